"""Importing beyond the plain stories: numbers not seen yet, calls that go nowhere, and entries of other people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway.domain.model import Hold, Step
from gateway.ports import Deadline, Entry
from gateway.steps.import_number import MOST_TRIES
from gateway.store import attempts, ledger
from tests.steps.ports import change
from tests.stories.sandbox import Sandbox

Install = Callable[..., Sandbox]
HOUR = 3600
VAPI_VOICE_URL = "https://api.vapi.ai/twilio/inbound_call"


def state(sandbox: Sandbox) -> tuple[str, str | None]:
    line = sandbox.export()
    return line["state"], line["blocked"]


def message(sandbox: Sandbox) -> str:
    block = sandbox.tenant().block
    assert block is not None, sandbox.timeline()
    return block.message


def one_entry(sandbox: Sandbox) -> None:
    """Active, and Vapi has exactly the entry that we refer to, answering for the tenant's assistant."""
    line = sandbox.export()
    assert (line["state"], line["blocked"]) == ("active", None), sandbox.timeline()
    assert [(entry["id"], entry["assistantId"]) for entry in sandbox.entries()] == [
        (line["vapi_id"], line["assistant_id"])
    ]
    assert len(sandbox.purchases()) == 1


def place_entry(sandbox: Sandbox, name: str, **fields: Any) -> str:
    account = sandbox.settings.twilio.account_sid
    number = sandbox.numbers()[0]["phone_number"]
    given = {"number": number, "name": name, "provider": "twilio", "twilioAccountSid": account, **fields}
    return str(sandbox.world.place_entry(given)["id"])


def bought_and_not_imported(sandbox: Sandbox) -> None:
    """Held between the purchase and the import."""
    sandbox.fault("vapi.list", "error_before", times=1)
    sandbox.deliver("checkout.completed")
    sandbox.turn()
    assert (len(sandbox.purchases()), sandbox.entries()) == (1, [])


# --- not seen yet ----------------------------------------------------------------------------------------------------


def test_a_number_that_vapi_does_not_see_yet_is_imported_when_it_does(sandbox: Sandbox) -> None:
    sandbox.fault("vapi.import", "not_found_yet", times=3)
    sandbox.deliver("checkout.completed")
    began_ms = sandbox.clock.at_ms

    sandbox.settle(HOUR)

    one_entry(sandbox)
    assert sandbox.calls("vapi.import") == 4
    assert sandbox.clock.at_ms - began_ms >= 5000


def test_a_number_that_vapi_never_sees_asks_for_a_person_who_can_have_it_tried_again(sandbox: Sandbox) -> None:
    sandbox.fault("vapi.import", "not_found_yet", times=MOST_TRIES + 1)
    sandbox.deliver("checkout.completed")
    sandbox.wait(days=1)
    assert state(sandbox) == ("provisioning", "provider_refused")
    assert "is bought, but Vapi refuses it" in message(sandbox)
    assert sandbox.calls("vapi.import") == MOST_TRIES + 1

    sandbox.operate("retry")
    sandbox.settle(60)

    one_entry(sandbox)


def test_an_entry_that_lists_do_not_show_yet_is_not_imported_again(sandbox: Sandbox) -> None:
    sandbox.world.set_policies({"import_twice": "allow"})
    sandbox.fault("vapi.import", "list_lag", seconds=120)
    sandbox.deliver("checkout.completed")
    sandbox.settle(5)
    sandbox.operate("redo")

    sandbox.settle(HOUR)

    one_entry(sandbox)
    assert sandbox.calls("vapi.import") == 1
    assert "outcome import_number.not_listed_yet" in sandbox.timeline()


# --- calls that go nowhere -------------------------------------------------------------------------------------------


def test_an_import_that_left_the_voice_url_unset_is_made_anew(sandbox: Sandbox) -> None:
    sandbox.fault("vapi.import", "voice_url_unset", times=1)
    sandbox.deliver("checkout.completed")

    sandbox.settle(HOUR)

    one_entry(sandbox)
    assert sandbox.numbers()[0]["voice_url"] == VAPI_VOICE_URL
    assert sandbox.calls("vapi.import") == 2


def test_a_voice_url_that_stays_unset_asks_for_a_person_after_a_few_imports(sandbox: Sandbox) -> None:
    sandbox.fault("vapi.import", "voice_url_unset", times=None)
    sandbox.deliver("checkout.completed")
    sandbox.wait(days=1)
    assert state(sandbox) == ("provisioning", "provider_refused")
    assert "Twilio does not send its calls there" in message(sandbox)
    imports = sandbox.calls("vapi.import")
    sandbox.wait(days=1)
    assert 1 < sandbox.calls("vapi.import") == imports < 8

    sandbox.set_voice_url(VAPI_VOICE_URL)
    sandbox.operate("retry")
    sandbox.settle(60)

    one_entry(sandbox)
    assert sandbox.calls("vapi.import") == imports


def test_a_voice_url_that_somebody_set_by_hand_is_left_to_them(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed")
    sandbox.settle(60)
    before = sandbox.entries()
    sandbox.set_voice_url("https://elsewhere.example.com/voice")
    sandbox.operate("redo")
    sandbox.wait(days=1)
    assert state(sandbox)[1] == "provider_refused"
    assert sandbox.entries() == before

    sandbox.set_voice_url(VAPI_VOICE_URL)
    sandbox.operate("retry")
    sandbox.settle(60)

    one_entry(sandbox)
    assert sandbox.calls("vapi.import") == 1


# --- other people's entries ------------------------------------------------------------------------------------------


def test_an_entry_under_another_gateways_name_is_left_to_a_person(sandbox: Sandbox) -> None:
    bought_and_not_imported(sandbox)
    entry_id = place_entry(sandbox, "rf:prod:0123456789abcdef:1")
    before = sandbox.entries()
    sandbox.wait(days=1)
    assert state(sandbox) == ("provisioning", "ambiguous")
    assert entry_id in message(sandbox)
    assert sandbox.entries() == before

    sandbox.delete_entry(entry_id)
    sandbox.operate("retry")
    sandbox.settle(60)

    one_entry(sandbox)


def test_an_import_in_doubt_found_under_another_gateways_name_is_left_to_a_person(sandbox: Sandbox) -> None:
    sandbox.fault("vapi.import", "lost_before", times=1)
    sandbox.deliver("checkout.completed")
    sandbox.turn()
    entry_id = place_entry(sandbox, "rf:prod:0123456789abcdef:1")

    sandbox.wait(days=1)

    assert state(sandbox) == ("provisioning", "ambiguous")
    assert [entry["id"] for entry in sandbox.entries()] == [entry_id]
    assert sandbox.calls("vapi.import") == 1


def test_an_entry_that_a_person_made_for_our_number_is_taken_over(sandbox: Sandbox) -> None:
    bought_and_not_imported(sandbox)
    entry_id = place_entry(sandbox, "Reception")
    set_voice_url_of_the_only_number(sandbox)

    sandbox.settle(600)

    one_entry(sandbox)
    assert sandbox.export()["vapi_id"] == entry_id
    assert sandbox.calls("vapi.import") == 0


def set_voice_url_of_the_only_number(sandbox: Sandbox) -> None:
    assert sandbox.export()["twilio_sid"] is not None
    sandbox.set_voice_url(VAPI_VOICE_URL)


def test_of_two_entries_that_are_not_ours_none_is_ever_removed(sandbox: Sandbox) -> None:
    bought_and_not_imported(sandbox)
    set_voice_url_of_the_only_number(sandbox)
    entries = {place_entry(sandbox, name) for name in ("Reception", "Night desk")}

    sandbox.wait(days=1)

    assert {entry["id"] for entry in sandbox.entries()} == entries
    assert sandbox.calls("vapi.delete") == 0


@pytest.mark.parametrize("policy", ["refuse", "conflict", "other_org"])
def test_a_number_that_vapi_has_somewhere_else_asks_for_a_person(sandbox: Sandbox, policy: str) -> None:
    sandbox.world.set_policies({"import_twice": policy})
    bought_and_not_imported(sandbox)
    elsewhere = place_entry(sandbox, "theirs", twilioAccountSid="AC" + "9" * 32)
    sandbox.wait(days=1)
    assert state(sandbox) == ("provisioning", "provider_refused")
    assert "has this number already and shows no entry for it" in message(sandbox)
    assert sandbox.calls("vapi.import") == 1

    sandbox.delete_entry(elsewhere)
    sandbox.operate("retry")
    sandbox.settle(600)

    one_entry(sandbox)


def test_a_tenant_that_goes_while_vapi_has_its_number_somewhere_else_is_released(sandbox: Sandbox) -> None:
    sandbox.world.set_policies({"import_twice": "other_org"})
    bought_and_not_imported(sandbox)
    place_entry(sandbox, "theirs", twilioAccountSid="AC" + "9" * 32)
    sandbox.settle(60)

    sandbox.operate("hold", Hold.RELEASE)
    sandbox.wait(days=1)

    assert state(sandbox) == ("released", None)
    assert sandbox.numbers() == []
    assert [entry["name"] for entry in sandbox.entries()] == ["theirs"]


# --- the number itself -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("happening", ["gone", "renamed"])
def test_a_number_that_is_not_as_believed_is_not_imported(sandbox: Sandbox, happening: str) -> None:
    bought_and_not_imported(sandbox)
    sid = sandbox.export()["twilio_sid"]
    tag = sandbox.export()["friendly_names"][0]
    if happening == "gone":
        sandbox.delete_number(sid)
    else:
        sandbox.rename_number(sid, "front desk")
    sandbox.wait(days=1)
    assert state(sandbox) == ("provisioning", "ambiguous")
    assert "Nothing was imported, and nothing bought in its place" in message(sandbox)
    assert sandbox.calls("vapi.import") == 0

    if happening == "renamed":
        sandbox.rename_number(sid, tag)
        sandbox.operate("retry")
        sandbox.settle(60)
        one_entry(sandbox)


def test_a_number_that_is_renamed_while_it_is_imported_is_left_to_a_person(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed")
    sandbox.meanwhile("vapi.import", lambda: sandbox.rename_number(sandbox.numbers()[0]["sid"], "front desk"))

    sandbox.settle(HOUR)
    assert state(sandbox) == ("provisioning", "ambiguous")
    sandbox.rename_number(sandbox.numbers()[0]["sid"], sandbox.export()["friendly_names"][0])
    sandbox.operate("retry")
    sandbox.settle(60)

    one_entry(sandbox)
    assert sandbox.calls("vapi.import") == 1


# --- refusals and answers that cannot be trusted ---------------------------------------------------------------------


def test_a_refused_import_asks_for_a_person_and_can_be_tried_again(sandbox: Sandbox) -> None:
    sandbox.fault("vapi.import", "error_before", times=1, status=400)
    sandbox.deliver("checkout.completed")
    sandbox.wait(days=1)
    assert state(sandbox) == ("provisioning", "provider_refused")
    assert sandbox.calls("vapi.import") == 1

    sandbox.operate("retry")
    sandbox.settle(60)

    one_entry(sandbox)


def test_an_answer_about_another_number_proves_nothing(sandbox: Sandbox) -> None:
    assistants = sandbox.gateway.steps.assistants

    def confused(number: str, tag: str, deadline: Deadline) -> Entry:
        return replace(assistants.import_number(number, tag, deadline), number="+14155550000")

    change(sandbox, "assistants", import_number=confused)
    sandbox.deliver("checkout.completed")

    sandbox.settle(HOUR)

    one_entry(sandbox)
    assert sandbox.calls("vapi.import") == 1
    assert "outcome import_number.unclear" in sandbox.timeline()


# --- suspended and released on the way -------------------------------------------------------------------------------


def test_a_tenant_suspended_before_its_import_is_imported_when_it_resumes(sandbox: Sandbox) -> None:
    bought_and_not_imported(sandbox)
    sandbox.operate("hold", Hold.SUSPEND)
    sandbox.wait(days=1)
    assert state(sandbox) == ("suspended", None)
    assert sandbox.calls("vapi.import") == 0

    sandbox.operate("hold", None)
    sandbox.settle(60)

    one_entry(sandbox)


def test_a_tenant_suspended_during_an_import_in_doubt_settles_it_and_lets_no_call_through(sandbox: Sandbox) -> None:
    sandbox.fault("vapi.import", "lost_after", times=1, lag_seconds=30)
    sandbox.deliver("checkout.completed")
    sandbox.turn()
    sandbox.operate("hold", Hold.SUSPEND)

    sandbox.settle(HOUR)

    assert state(sandbox) == ("suspended", None)
    (entry,) = sandbox.entries()
    assert entry["hooks"][0]["do"][0]["exact"] == sandbox.settings.signup.suspended_message


def test_a_release_before_the_import_gives_the_number_back_without_one(sandbox: Sandbox) -> None:
    bought_and_not_imported(sandbox)
    sandbox.operate("hold", Hold.RELEASE)

    sandbox.wait(days=1)

    assert state(sandbox) == ("released", None)
    assert (sandbox.numbers(), sandbox.calls("vapi.import")) == ([], 0)


def test_a_release_during_an_import_that_lands_late_leaves_nothing_behind(sandbox: Sandbox) -> None:
    sandbox.fault("vapi.import", "late_effect", times=1, seconds=300)
    sandbox.deliver("checkout.completed")
    sandbox.turn()
    sandbox.operate("hold", Hold.RELEASE)

    sandbox.wait(days=1)

    assert state(sandbox) == ("released", None)
    assert (sandbox.numbers(), sandbox.entries()) == ([], [])


# --- undoing ---------------------------------------------------------------------------------------------------------


def test_an_entry_that_is_gone_already_needs_no_removal(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed")
    sandbox.settle(60)
    sandbox.delete_entry(sandbox.export()["vapi_id"])
    sandbox.operate("hold", Hold.RELEASE)

    sandbox.wait(days=1)

    assert state(sandbox) == ("released", None)
    assert sandbox.calls("vapi.delete") == 0
    rows = sandbox.query(lambda tx: ledger.of_tenant(tx, sandbox.tenant().id))
    assert [(row["change"], row["how"]) for row in rows if row["thing"] == "entry"] == [
        ("gained", "imported"),
        ("lost", "missing"),
    ]


@pytest.mark.parametrize("fields", [{"name": "rf:prod:0123456789abcdef:1"}])
def test_an_entry_that_bears_another_gateways_name_meanwhile_is_not_removed(
    sandbox: Sandbox, fields: dict[str, Any]
) -> None:
    sandbox.deliver("checkout.completed")
    sandbox.settle(60)
    sandbox.change_entry(sandbox.export()["vapi_id"], **fields)
    sandbox.operate("hold", Hold.RELEASE)

    sandbox.wait(days=1)

    assert state(sandbox) == ("releasing", "ambiguous")
    assert len(sandbox.entries()) == 1
    assert len(sandbox.numbers()) == 1
    assert sandbox.calls("vapi.delete") == 0


def test_a_refused_removal_keeps_the_entry_and_asks_for_a_person(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed")
    sandbox.settle(60)
    sandbox.fault("vapi.delete", "error_before", times=1, status=400)
    sandbox.operate("hold", Hold.RELEASE)
    sandbox.settle(HOUR)
    held = sandbox.held()[Step.IMPORT_NUMBER]
    assert (state(sandbox), held.held) == (("releasing", "provider_refused"), "yes")

    sandbox.operate("retry")
    sandbox.wait(days=1)

    assert state(sandbox) == ("released", None)


def test_a_double_that_cannot_be_removed_now_is_removed_later(sandbox: Sandbox) -> None:
    sandbox.world.set_policies({"import_twice": "allow"})
    sandbox.fault("vapi.import", "twice", times=1)
    sandbox.fault("vapi.delete", "error_before", times=2)
    sandbox.deliver("checkout.completed")

    sandbox.wait(days=1)
    sandbox.reconcile_and_settle()

    one_entry(sandbox)


def test_removing_a_double_does_not_count_as_a_release(sandbox: Sandbox) -> None:
    sandbox.world.set_policies({"import_twice": "allow"})
    sandbox.fault("vapi.import", "twice", times=1)
    sandbox.deliver("checkout.completed")
    sandbox.wait(days=0.1)
    sandbox.reconcile_and_settle()

    tenant = sandbox.tenant()

    assert sandbox.calls("vapi.delete") == 1
    assert not sandbox.query(lambda tx: attempts.has_begun(tx, tenant, ("release", "remove")))
