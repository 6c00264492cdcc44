"""Setting what a call meets: absolute, proved, and never round and round against somebody else's hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway.domain.model import Answering, Hold, Step
from gateway.ports import Deadline, Entry
from gateway.steps.assign_assistant import MOST_IN_VAIN
from tests.steps.ports import change
from tests.stories.sandbox import Sandbox

Install = Callable[..., Sandbox]
SECOND = "b0b0b0b0-0000-4000-8000-000000000002"
HOUR = 3600


def state(sandbox: Sandbox) -> tuple[str, str | None]:
    line = sandbox.export()
    return line["state"], line["blocked"]


def message(sandbox: Sandbox) -> str:
    block = sandbox.tenant().block
    assert block is not None, sandbox.timeline()
    return block.message


def sign_up(sandbox: Sandbox, **metadata: str) -> dict[str, Any]:
    sandbox.deliver("checkout.completed", metadata=metadata)
    sandbox.settle(60)
    line = sandbox.export()
    assert line["state"] == "active", sandbox.timeline()
    return line


def entry_of(sandbox: Sandbox) -> dict[str, Any]:
    (entry,) = sandbox.entries()
    return entry


def answers_for(sandbox: Sandbox, assistant_id: str | None) -> None:
    assert state(sandbox) == ("active", None), sandbox.timeline()
    assert entry_of(sandbox).get("assistantId") == assistant_id
    assert not entry_of(sandbox).get("hooks")


# --- what is set -----------------------------------------------------------------------------------------------------


def test_the_template_of_the_server_is_filled_in_with_the_tenants_key(installed: Install) -> None:
    sandbox = installed(VAPI_SERVER_URL="https://app.example.com/vapi/{tenant}")

    sign_up(sandbox)

    assert entry_of(sandbox)["server"]["url"] == "https://app.example.com/vapi/acme"


def test_without_a_template_a_server_set_by_hand_stays_whatever_else_changes(sandbox: Sandbox) -> None:
    line = sign_up(sandbox)
    sandbox.change_entry(line["vapi_id"], server={"url": "https://theirs.example.com"})
    sandbox.world.add_assistant({"id": SECOND, "name": "second"})

    sandbox.operate("set", {"assistant_id": SECOND})
    sandbox.settle(60)
    sandbox.operate("hold", Hold.SUSPEND)
    sandbox.settle(60)
    sandbox.operate("hold", None)
    sandbox.settle(60)

    answers_for(sandbox, SECOND)
    assert entry_of(sandbox)["server"]["url"] == "https://theirs.example.com"


def test_an_entry_that_is_set_already_is_not_set_again(sandbox: Sandbox) -> None:
    line = sign_up(sandbox)
    sandbox.delete_entry(line["vapi_id"])
    account = sandbox.settings.twilio.account_sid
    made = sandbox.world.place_entry(
        {"number": line["phone_number"], "name": line["friendly_names"][0], "provider": "twilio",
         "twilioAccountSid": account, "assistantId": line["assistant_id"]}
    )  # fmt: skip
    before = sandbox.calls("vapi.assign")

    sandbox.operate("redo")
    sandbox.settle(HOUR)

    answers_for(sandbox, line["assistant_id"])
    assert sandbox.export()["vapi_id"] == made["id"]
    assert sandbox.calls("vapi.assign") == before


# --- suspending ------------------------------------------------------------------------------------------------------


def test_a_suspension_works_although_the_assistant_is_gone_meanwhile(sandbox: Sandbox) -> None:
    line = sign_up(sandbox)
    sandbox.world_call("DELETE", f"assistants/{line['assistant_id']}")

    sandbox.operate("hold", Hold.SUSPEND)
    sandbox.settle(60)

    assert state(sandbox) == ("suspended", None)
    assert len(entry_of(sandbox)["hooks"]) == 1


def test_a_suspension_works_although_the_tenants_assistant_makes_no_sense_meanwhile(sandbox: Sandbox) -> None:
    line = sign_up(sandbox)
    sandbox.deliver("subscription.updated", metadata={"assistant_id": "no such thing!"}, set={"status": "active"})
    sandbox.settle(60)
    assert state(sandbox)[1] == "options_invalid"

    sandbox.operate("hold", Hold.SUSPEND)
    sandbox.settle(60)

    assert state(sandbox) == ("suspended", None)
    assert entry_of(sandbox)["assistantId"] == line["assistant_id"]
    assert len(entry_of(sandbox)["hooks"]) == 1


def test_a_resumption_waits_for_an_assistant_that_is_gone_and_goes_on_when_it_is_back(sandbox: Sandbox) -> None:
    line = sign_up(sandbox)
    sandbox.operate("hold", Hold.SUSPEND)
    sandbox.settle(60)
    sandbox.world_call("DELETE", f"assistants/{line['assistant_id']}")
    sandbox.operate("hold", None)
    sandbox.settle(30)
    during = state(sandbox), message(sandbox), entry_of(sandbox)["hooks"]

    sandbox.world.add_assistant({"id": line["assistant_id"], "name": "back"})
    sandbox.settle(300)

    assert during[0] == ("resuming", "needs_assistant")
    assert line["assistant_id"] in during[1]
    assert len(during[2]) == 1
    answers_for(sandbox, line["assistant_id"])


# --- options ---------------------------------------------------------------------------------------------------------


def test_an_assistant_that_makes_no_sense_is_named_and_the_number_kept(sandbox: Sandbox) -> None:
    line = sign_up(sandbox)
    sandbox.deliver("subscription.updated", metadata={"assistant_id": "no such thing!"}, set={"status": "active"})
    sandbox.settle(60)
    blocked, said = state(sandbox), message(sandbox)
    sandbox.world.add_assistant({"id": SECOND, "name": "second"})

    sandbox.operate("set", {"assistant_id": SECOND})
    sandbox.settle(60)

    assert blocked[1] == "options_invalid"
    assert "assistant_id" in said
    assert "keeps its number" in said
    answers_for(sandbox, SECOND)
    assert sandbox.export()["phone_number"] == line["phone_number"]


def test_without_any_assistant_nothing_is_bought(installed: Install) -> None:
    sandbox = installed(VAPI_ASSISTANT_ID="")
    if sandbox.gateway.rules.default_assistant_id is not None:
        steps = sandbox.gateway.steps
        rules = replace(steps.rules, default_assistant_id=None)
        sandbox.gateway = replace(sandbox.gateway, rules=rules, steps=replace(steps, rules=rules))
    sandbox.deliver("checkout.completed")
    sandbox.settle(600)
    assert state(sandbox) == ("provisioning", "needs_assistant")
    assert "no assistant is named" in message(sandbox)
    sandbox.world.add_assistant({"id": SECOND, "name": "second"})

    sandbox.operate("set", {"assistant_id": SECOND})
    sandbox.settle(60)

    answers_for(sandbox, SECOND)


# --- answers that show something else --------------------------------------------------------------------------------


def test_an_answer_that_shows_other_settings_is_looked_at_and_set_again_but_not_for_ever(sandbox: Sandbox) -> None:
    assistants = sandbox.gateway.steps.assistants

    def ignores(entry_id: str, answering: Answering, deadline: Deadline) -> Entry:
        return replace(assistants.assign(entry_id, answering, deadline), answering=Answering("a-squad"))

    change(sandbox, "assistants", assign=ignores, get=with_a_squad(sandbox))
    sandbox.deliver("checkout.completed")
    sandbox.wait(days=1)

    assert state(sandbox) == ("provisioning", "provider_refused")
    assert "keeps other settings" in message(sandbox)
    assert sandbox.calls("vapi.assign") == MOST_IN_VAIN
    assert len([line for line in sandbox.timeline() if line == "blocked provider_refused"]) == 1


def with_a_squad(sandbox: Sandbox) -> Callable[..., Entry | None]:
    real = sandbox.gateway.steps.assistants.get

    def get(entry_id: str, deadline: Deadline) -> Entry | None:
        found = real(entry_id, deadline)
        return replace(found, answering=Answering("a-squad")) if found else None

    return get


def test_an_answer_that_was_lost_is_never_held_against_the_entry(sandbox: Sandbox) -> None:
    sandbox.fault("vapi.assign", "lost_before", times=MOST_IN_VAIN + 3)
    sandbox.deliver("checkout.completed")

    sandbox.wait(days=1)

    answers_for(sandbox, sandbox.export()["assistant_id"])


def test_a_refused_setting_asks_for_a_person_and_can_be_tried_again(sandbox: Sandbox) -> None:
    sandbox.fault("vapi.assign", "error_before", times=1, status=400)
    sandbox.deliver("checkout.completed")
    sandbox.wait(days=1)
    assert state(sandbox) == ("provisioning", "provider_refused")
    assert "Vapi refuses to set" in message(sandbox)
    assert sandbox.calls("vapi.assign") == 1

    sandbox.operate("retry")
    sandbox.settle(60)

    answers_for(sandbox, sandbox.export()["assistant_id"])


def test_a_refusal_is_over_when_what_was_refused_is_no_longer_wanted(sandbox: Sandbox) -> None:
    line = sign_up(sandbox)
    sandbox.world.add_assistant({"id": SECOND, "name": "second"})
    sandbox.fault("vapi.assign", "error_before", times=1, status=400)
    sandbox.operate("set", {"assistant_id": SECOND})
    sandbox.settle(60)
    blocked = state(sandbox)

    sandbox.operate("set", {"assistant_id": ""})
    sandbox.settle(60)

    assert blocked[1] == "provider_refused"
    answers_for(sandbox, line["assistant_id"])


def test_a_rate_limit_is_waited_out(sandbox: Sandbox) -> None:
    sandbox.fault("vapi.assign", "rate_limit", times=2, retry_after=20)
    sandbox.deliver("checkout.completed")
    began_ms = sandbox.clock.at_ms

    sandbox.settle(600)

    answers_for(sandbox, sandbox.export()["assistant_id"])
    assert sandbox.clock.at_ms - began_ms >= 40_000


# --- the entry itself ------------------------------------------------------------------------------------------------


def test_an_entry_that_is_gone_is_imported_anew(sandbox: Sandbox) -> None:
    line = sign_up(sandbox)
    sandbox.delete_entry(line["vapi_id"])
    sandbox.world.add_assistant({"id": SECOND, "name": "second"})

    sandbox.operate("set", {"assistant_id": SECOND})
    sandbox.settle(HOUR)

    answers_for(sandbox, SECOND)
    assert sandbox.export()["vapi_id"] == entry_of(sandbox)["id"] != line["vapi_id"]


def test_an_entry_that_goes_just_before_it_is_set_is_imported_anew(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed")
    sandbox.meanwhile("vapi.assign", lambda: sandbox.delete_entry(sandbox.entries()[0]["id"]))

    sandbox.settle(HOUR)

    answers_for(sandbox, sandbox.export()["assistant_id"])
    assert sandbox.calls("vapi.import") == 2
    assert "outcome assign_assistant.entry_gone" in sandbox.timeline()


def test_an_entry_that_lists_show_and_nothing_else_knows_is_asked_for_ever_more_rarely(sandbox: Sandbox) -> None:
    sign_up(sandbox)
    sandbox.world.add_assistant({"id": SECOND, "name": "second"})
    asked: list[int] = []

    def gone(entry_id: str, deadline: Deadline) -> None:
        asked.append(sandbox.clock.at_ms)

    change(sandbox, "assistants", get=gone)
    sandbox.operate("set", {"assistant_id": SECOND})
    sandbox.wait(seconds=HOUR)

    assert 5 < len(asked) < 90
    assert asked[-1] - asked[-2] > 40_000


def test_an_entry_that_is_gone_when_a_setting_is_looked_at_once_more_is_imported_anew(sandbox: Sandbox) -> None:
    sandbox.fault("vapi.assign", "lost_after", times=1)
    line = sign_up(sandbox)
    sandbox.delete_entry(line["vapi_id"])

    sandbox.wait(seconds=2 * HOUR)

    answers_for(sandbox, line["assistant_id"])
    assert "outcome assign_assistant.entry_gone" in sandbox.timeline()


def test_an_entry_that_is_another_gateways_meanwhile_is_not_set(sandbox: Sandbox) -> None:
    line = sign_up(sandbox)
    sandbox.change_entry(line["vapi_id"], name="rf:prod:0123456789abcdef:1")
    before = sandbox.calls("vapi.assign")
    sandbox.operate("hold", Hold.SUSPEND)
    sandbox.settle(HOUR)
    assert state(sandbox) == ("suspending", "ambiguous")
    assert "is not this tenant's any more" in message(sandbox)
    assert sandbox.calls("vapi.assign") == before

    sandbox.change_entry(line["vapi_id"], name=line["friendly_names"][0])
    sandbox.operate("retry")
    sandbox.settle(HOUR)

    assert state(sandbox) == ("suspended", None)


# --- what lands late -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [5, 100, 500])
def test_a_setting_that_lands_after_a_later_one_is_found_and_set_right(sandbox: Sandbox, seconds: int) -> None:
    sign_up(sandbox)
    sandbox.world.add_assistant({"id": SECOND, "name": "second"})
    sandbox.fault("vapi.assign", "late_effect", times=1, seconds=seconds)
    sandbox.operate("set", {"assistant_id": SECOND})
    sandbox.turn()
    sandbox.operate("set", {"assistant_id": ""})

    sandbox.wait(seconds=HOUR)

    answers_for(sandbox, sandbox.export()["assistant_id"])
    assert entry_of(sandbox)["assistantId"] != SECOND


def test_a_look_takes_note_of_what_the_entry_really_does(sandbox: Sandbox) -> None:
    line = sign_up(sandbox)
    before = sandbox.held()[Step.ASSIGN_ASSISTANT].ref
    sandbox.world.add_assistant({"id": SECOND, "name": "second"})
    sandbox.change_entry(line["vapi_id"], assistantId=SECOND)
    sandbox.operate("redo")

    sandbox.settle(60)

    assert sandbox.held()[Step.ASSIGN_ASSISTANT].ref == before
    answers_for(sandbox, line["assistant_id"])
    assert "outcome assign_assistant.looked" in sandbox.timeline()
