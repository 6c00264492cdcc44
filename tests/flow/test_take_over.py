"""Numbers that were set up by hand are taken over row by row: nothing is bought, and nothing of them is lost."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.domain import keys, roster
from gateway.domain.model import Hold
from gateway.flow import operate
from gateway.flow.operate import Operator
from gateway.flow.take_over import PAUSE_SECONDS, Became, Result, carry_out
from gateway.flow.take_over_plan import Intended, Way, plan
from gateway.store import journal, ledger, subscriptions, tenants
from tests.stories.sandbox import Crash, Sandbox

ANN = Operator("ann", "moving in")
VAPI_URL = "https://api.vapi.ai/twilio/inbound_call"
OTHER = "b0b0b0b0-0000-4000-8000-000000000002"
HAND_MADE = "a1a1a1a1-0000-4000-8000-000000000001"


def by_hand(sandbox: Sandbox, called: str = "Reception", *, voice_url: str = VAPI_URL, **entry: Any) -> dict[str, str]:
    """A number and its entry as people make them: SID, number, Vapi id."""
    placed = sandbox.world.place_numbers({"friendly_name": called, "voice_url": voice_url})[0]
    sandbox.world.add_assistant({"id": HAND_MADE, "name": "by hand"})
    fields: dict[str, Any] = {
        "number": placed["phone_number"],
        "name": f"{called} at Vapi",
        "twilioAccountSid": sandbox.settings.twilio.account_sid,
        "assistantId": HAND_MADE,
        **entry,
    }
    made = sandbox.world.place_entry({each: value for each, value in fields.items() if value is not None})
    return {"sid": placed["sid"], "number": placed["phone_number"], "vapi_id": made["id"]}


def bare(sandbox: Sandbox, name: str = "Reception", voice_url: str = "") -> dict[str, str]:
    """A number that Vapi does not know."""
    placed = sandbox.world.place_numbers({"friendly_name": name, "voice_url": voice_url})[0]
    return {"sid": placed["sid"], "number": placed["phone_number"]}


def csv(*rows: Sequence[str], header: str = "key,number,vapi_id,assistant") -> bytes:
    return "\n".join([header, *(",".join(row) for row in rows)]).encode()


def planned(sandbox: Sandbox, content: bytes) -> list[Intended]:
    return plan(sandbox.gateway.steps, roster.read(content), sandbox.settings.twilio.account_sid)


def taken(sandbox: Sandbox, content: bytes) -> list[Result]:
    def pause() -> None:
        sandbox.clock.at_ms += int(PAUSE_SECONDS * 1000)

    return list(carry_out(sandbox.gateway.steps, planned(sandbox, content), ANN, pause))


def became(results: list[Result]) -> list[str]:
    return [str(result.became) for result in results]


def tag(key: str = "acme", generation: int = 1) -> str:
    return keys.tag("dev", key, generation)


def nothing_was_bought(sandbox: Sandbox) -> None:
    assert sandbox.purchases() == []
    assert sandbox.calls("twilio.buy") == sandbox.calls("twilio.search") == sandbox.calls("twilio.release") == 0


def is_whole(sandbox: Sandbox, hand: dict[str, str], key: str = "acme", assistant: str = HAND_MADE) -> None:
    """The tenant has what was made by hand, and nothing else was made."""
    line = sandbox.export(key)
    assert (line["state"], line["blocked"]) == ("active", None), sandbox.timeline(key)
    assert (line["twilio_sid"], line["phone_number"]) == (hand["sid"], hand["number"])
    assert line["assistant_id"] == assistant
    (number,) = (each for each in sandbox.numbers() if each["sid"] == hand["sid"])
    (entry,) = (each for each in sandbox.entries() if each["number"] == hand["number"])
    assert (number["friendly_name"], entry["name"]) == (tag(key), tag(key))
    assert (entry["id"], entry["assistantId"]) == (hand.get("vapi_id", entry["id"]), assistant)
    assert "vapi.ai" in number["voice_url"]
    nothing_was_bought(sandbox)


# --- what comes of it ------------------------------------------------------------------------------------------------


def test_a_number_with_its_import_is_taken_over_as_it_is(sandbox: Sandbox) -> None:
    hand = by_hand(sandbox)

    results = taken(sandbox, csv(["acme", hand["number"], hand["vapi_id"], HAND_MADE]))

    assert became(results) == ["taken_over"]
    is_whole(sandbox, hand)
    assert sandbox.calls("vapi.import") == 0
    assert sandbox.calls("vapi.assign") == 1, "only its name was set"
    held = sandbox.query(lambda tx: ledger.of_tenant(tx, sandbox.tenant().id))
    assert [(row["thing"], row["how"], row["ref"]) for row in held] == [
        ("number", "adopted", hand["sid"]),
        ("entry", "adopted", hand["vapi_id"]),
    ]


def test_the_names_that_it_had_can_be_read_in_its_story(sandbox: Sandbox) -> None:
    hand = by_hand(sandbox, "Front desk")

    taken(sandbox, csv(["acme", hand["sid"], hand["vapi_id"], ""]))

    rows = sandbox.query(lambda tx: journal.of_tenant(tx, sandbox.tenant().id))
    details = {row["name"]: row["detail"] for row in rows}
    assert details["adopting"]["name"] == "Front desk"
    assert details["entry_renamed"]["former_name"] == "Front desk at Vapi"
    assert details["adopt"]["reason"] == "moving in"


def test_it_stays_active_by_its_own_record_and_a_subscription_that_comes_later_is_added(sandbox: Sandbox) -> None:
    hand = by_hand(sandbox)
    taken(sandbox, csv(["acme", hand["number"], "", ""]))
    sandbox.wait(days=1)

    sandbox.deliver("checkout.completed")
    sandbox.deliver("subscription.created")
    sandbox.settle(600)

    is_whole(sandbox, hand)
    records = sandbox.query(lambda tx: subscriptions.records_of(tx, sandbox.tenant().id))
    assert sorted(record.source for record in records) == ["manual", "stripe"]
    sandbox.deliver("subscription.deleted")
    sandbox.wait(days=40)
    is_whole(sandbox, hand)


def test_another_assistant_is_assigned(sandbox: Sandbox) -> None:
    hand = by_hand(sandbox)
    sandbox.world.add_assistant({"id": OTHER, "name": "other"})

    results = taken(sandbox, csv(["acme", hand["number"], hand["vapi_id"], OTHER]))

    assert became(results) == ["taken_over"]
    is_whole(sandbox, hand, assistant=OTHER)


def test_without_a_word_on_it_the_assistant_stays_and_so_it_does_when_the_default_changes(sandbox: Sandbox) -> None:
    hand = by_hand(sandbox)
    assert sandbox.settings.vapi.assistant_id != HAND_MADE

    taken(sandbox, csv(["acme", hand["number"], hand["vapi_id"], ""]))
    sandbox.operate("redo")
    sandbox.settle(600)

    is_whole(sandbox, hand)


def test_an_import_that_is_not_named_is_found_by_its_number(sandbox: Sandbox) -> None:
    hand = by_hand(sandbox)

    results = taken(sandbox, csv(["acme", hand["sid"]], header="key,sid"))

    assert became(results) == ["taken_over"]
    is_whole(sandbox, hand)
    assert sandbox.calls("vapi.import") == 0


def test_a_number_that_vapi_does_not_know_is_imported_by_the_ordinary_step(sandbox: Sandbox) -> None:
    hand = bare(sandbox, voice_url="https://old.example.com/voice?token=whsec_hidden")
    default = str(sandbox.settings.vapi.assistant_id)

    (before,) = planned(sandbox, csv(["acme", hand["number"], "", ""]))
    results = taken(sandbox, csv(["acme", hand["number"], "", ""]))

    assert "its calls go to old.example.com no longer" in "; ".join(before.does)
    assert "hidden" not in "; ".join(before.does)
    assert became(results) == ["taken_over"]
    is_whole(sandbox, hand, assistant=default)
    assert sandbox.calls("vapi.import") == 1


def test_a_tenant_that_waits_for_a_number_gets_this_one(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed", metadata={"choose": "yes"})
    sandbox.settle(60)
    hand = by_hand(sandbox)

    results = taken(sandbox, csv(["acme", hand["number"], hand["vapi_id"], ""]))
    sandbox.settle(600)

    assert became(results) == ["taken_over"]
    is_whole(sandbox, hand)


def test_a_held_tenant_is_taken_over_and_silenced(sandbox: Sandbox) -> None:
    sandbox.deliver("subscription.created", set={"status": "incomplete"})
    sandbox.settle(60)
    sandbox.operate("hold", Hold.SUSPEND)
    sandbox.settle(60)
    hand = by_hand(sandbox)

    results = taken(sandbox, csv(["acme", hand["number"], hand["vapi_id"], ""]))

    assert became(results) == ["taken_over"]
    assert sandbox.export()["state"] == "suspended"
    assert len(sandbox.entries()[0]["hooks"]) == 1
    nothing_was_bought(sandbox)


def test_after_a_release_the_number_is_of_the_next_generation(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed")
    sandbox.settle(60)
    sandbox.operate("hold", Hold.RELEASE)
    sandbox.wait(days=1)
    sandbox.deliver("subscription.deleted")
    sandbox.operate("hold", None)
    sandbox.settle(600)
    hand = by_hand(sandbox)

    results = taken(sandbox, csv(["acme", hand["number"], hand["vapi_id"], ""]))

    assert became(results) == ["taken_over"]
    assert [each["friendly_name"] for each in sandbox.numbers()] == [tag(generation=2)]
    assert [each["name"] for each in sandbox.entries()] == [tag(generation=2)]


def test_what_was_taken_over_agrees_with_the_providers_and_is_given_back_as_any_other(sandbox: Sandbox) -> None:
    hand = by_hand(sandbox)
    taken(sandbox, csv(["acme", hand["number"], hand["vapi_id"], ""]))
    sandbox.wait(seconds=1200)
    assert sandbox.reconcile(apply=False).drifts == ()

    sandbox.operate("hold", Hold.RELEASE)
    sandbox.wait(days=1)

    assert sandbox.export()["state"] == "released"
    assert sandbox.numbers() == sandbox.entries() == []


# --- dry run ---------------------------------------------------------------------------------------------------------


def test_a_plan_changes_nothing_and_lists_each_provider_once(sandbox: Sandbox) -> None:
    hands = [by_hand(sandbox, f"Desk {count}") for count in range(5)]
    before = sandbox.numbers(), sandbox.entries()

    found = planned(sandbox, csv(*([f"tenant-{at}", hand["number"], "", ""] for at, hand in enumerate(hands))))

    assert [each.way for each in found] == [Way.TAKE_OVER] * 5
    assert (sandbox.numbers(), sandbox.entries()) == before
    assert sandbox.calls("twilio.list") == sandbox.calls("vapi.list") == 1
    assert sandbox.query(lambda tx: tenants.list_page(tx)) == []


def test_carrying_it_out_reads_no_list_again_for_each_row(sandbox: Sandbox) -> None:
    hands = [by_hand(sandbox, f"Desk {count}") for count in range(5)]
    content = csv(*([f"tenant-{at}", hand["number"], "", ""] for at, hand in enumerate(hands)))

    results = taken(sandbox, content)

    assert became(results) == ["taken_over"] * 5
    assert sandbox.calls("twilio.list") == 1


class Ways:
    """Everything that can stand in the way; each gives the rows of a file."""

    @staticmethod
    def the_number_is_not_there(sandbox: Sandbox) -> list[list[str]]:
        return [["acme", "+14155550199", "", ""]]

    @staticmethod
    def the_sid_is_not_there(sandbox: Sandbox) -> list[list[str]]:
        return [["acme", "PN" + "0" * 32, "", ""]]

    @staticmethod
    def it_bears_another_installations_tag(sandbox: Sandbox) -> list[list[str]]:
        return [["acme", by_hand(sandbox, "rf:prod:0123456789abcdef:1", name="x")["number"], "", ""]]

    @staticmethod
    def it_bears_another_tenants_tag(sandbox: Sandbox) -> list[list[str]]:
        return [["acme", by_hand(sandbox, tag("beta"), name="x")["number"], "", ""]]

    @staticmethod
    def it_is_another_tenants(sandbox: Sandbox) -> list[list[str]]:
        sandbox.deliver("checkout.completed", "beta")
        sandbox.settle(60)
        return [["acme", sandbox.export("beta")["phone_number"], "", ""]]

    @staticmethod
    def the_tenant_has_another_number(sandbox: Sandbox) -> list[list[str]]:
        sandbox.deliver("checkout.completed")
        sandbox.settle(60)
        return [["acme", by_hand(sandbox)["number"], "", ""]]

    @staticmethod
    def its_purchase_is_undecided(sandbox: Sandbox) -> list[list[str]]:
        sandbox.fault("twilio.buy", "lost_before", times=9)
        sandbox.deliver("checkout.completed")
        sandbox.settle(5)
        return [["acme", by_hand(sandbox)["number"], "", ""]]

    @staticmethod
    def the_tenant_is_to_be_released(sandbox: Sandbox) -> list[list[str]]:
        sandbox.deliver("subscription.created", set={"status": "incomplete"})
        sandbox.settle(5)
        sandbox.operate("hold", Hold.RELEASE)
        return [["acme", by_hand(sandbox)["number"], "", ""]]

    @staticmethod
    def there_is_no_such_entry(sandbox: Sandbox) -> list[list[str]]:
        return [["acme", bare(sandbox)["number"], OTHER, ""]]

    @staticmethod
    def the_entry_is_for_another_number(sandbox: Sandbox) -> list[list[str]]:
        return [["acme", bare(sandbox)["number"], by_hand(sandbox)["vapi_id"], ""]]

    @staticmethod
    def the_entry_is_of_another_account(sandbox: Sandbox) -> list[list[str]]:
        hand = by_hand(sandbox, twilioAccountSid="AC" + "9" * 32)
        return [["acme", hand["number"], hand["vapi_id"], ""]]

    @staticmethod
    def the_entry_bears_another_tag(sandbox: Sandbox) -> list[list[str]]:
        return [["acme", by_hand(sandbox, name="rf:prod:0123456789abcdef:1")["number"], "", ""]]

    @staticmethod
    def the_named_entry_bears_another_tag(sandbox: Sandbox) -> list[list[str]]:
        hand = by_hand(sandbox, name="rf:prod:0123456789abcdef:1")
        return [["acme", hand["number"], hand["vapi_id"], ""]]

    @staticmethod
    def there_are_two_entries(sandbox: Sandbox) -> list[list[str]]:
        hand = by_hand(sandbox)
        sandbox.world.place_entry(
            {"number": hand["number"], "name": "again", "twilioAccountSid": sandbox.settings.twilio.account_sid}
        )
        return [["acme", hand["number"], "", ""]]

    @staticmethod
    def a_squad_answers(sandbox: Sandbox) -> list[list[str]]:
        return [["acme", by_hand(sandbox, squadId=OTHER)["number"], "", ""]]

    @staticmethod
    def it_has_hooks(sandbox: Sandbox) -> list[list[str]]:
        hook = {"on": "call.ringing", "do": [{"type": "transfer", "destination": {}}]}
        return [["acme", by_hand(sandbox, hooks=[hook])["number"], "", ""]]

    @staticmethod
    def its_calls_go_elsewhere(sandbox: Sandbox) -> list[list[str]]:
        hand = by_hand(sandbox, voice_url="https://old.example.com/x?token=whsec_hidden")
        return [["acme", hand["number"], "", ""]]

    @staticmethod
    def there_is_no_such_assistant(sandbox: Sandbox) -> list[list[str]]:
        return [["acme", by_hand(sandbox)["number"], "", OTHER]]

    @staticmethod
    def nobody_is_to_answer(sandbox: Sandbox) -> list[list[str]]:
        rules = sandbox.gateway.steps.rules
        object.__setattr__(rules, "default_assistant_id", None)
        return [["acme", bare(sandbox)["number"], "", ""]]

    @staticmethod
    def two_lines_mean_one_number(sandbox: Sandbox) -> list[list[str]]:
        hand = by_hand(sandbox)
        return [["acme", hand["number"], "", ""], ["beta", hand["sid"], "", ""]]

    @staticmethod
    def two_lines_mean_one_tenant(sandbox: Sandbox) -> list[list[str]]:
        sandbox.deliver("subscription.created", set={"status": "incomplete"})
        sandbox.settle(5)
        sandbox.gateway.steps.commit(lambda tx: tenants.add_alias(tx, sandbox.tenant().id, "acme-2"))
        return [["acme", bare(sandbox)["number"], "", ""], ["acme-2", bare(sandbox)["number"], "", ""]]


PROBLEMS: dict[str, str] = {
    "the_number_is_not_there": r"There is no number \+14155550199 in the Twilio account",
    "the_sid_is_not_there": "There is no number PN000",
    "it_bears_another_installations_tag": "bears the tag rf:prod:",
    "it_bears_another_tenants_tag": "bears the tag rf:dev:",
    "it_is_another_tenants": "is beta's",
    "the_tenant_has_another_number": "acme already has",
    "its_purchase_is_undecided": "acme already has",
    "the_tenant_is_to_be_released": "tenants resume acme",
    "there_is_no_such_entry": "There is no entry b0b0",
    "the_entry_is_for_another_number": r"is for \+1",
    "the_entry_is_of_another_account": "another Twilio account",
    "the_entry_bears_another_tag": "The Vapi entry .* bears the tag rf:prod:",
    "the_named_entry_bears_another_tag": "The Vapi entry .* bears the tag rf:prod:",
    "there_are_two_entries": "has 2 entries at Vapi",
    "a_squad_answers": "a squad or a workflow",
    "it_has_hooks": "hooks of its own",
    "its_calls_go_elsewhere": "Twilio sends its calls to old.example.com. ",
    "there_is_no_such_assistant": "Vapi has no assistant b0b0",
    "nobody_is_to_answer": "No assistant is to answer it",
    "two_lines_mean_one_number": "Lines 2, 3 mean one number",
    "two_lines_mean_one_tenant": "Lines 2, 3 mean one tenant",
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_what_stands_in_the_way_is_said_and_nothing_is_touched(sandbox: Sandbox, name: str) -> None:
    rows = getattr(Ways, name)(sandbox)
    before = sandbox.numbers(), sandbox.entries(), sandbox.query(lambda tx: tenants.list_page(tx))
    header = "key,number,vapi_id,assistant"

    found = planned(sandbox, csv(*rows, header=header))
    results = taken(sandbox, csv(*rows, header=header))

    assert [each.way for each in found] == [Way.PROBLEM] * len(rows)
    assert became(results) == ["problem"] * len(rows)
    for result in results:
        assert re.search(PROBLEMS[name], result.says or ""), result.says
        assert "hidden" not in (result.says or "")
    assert (sandbox.numbers(), sandbox.entries(), sandbox.query(lambda tx: tenants.list_page(tx))) == before


def test_a_row_with_a_problem_does_not_stop_the_others(sandbox: Sandbox) -> None:
    hands = [by_hand(sandbox, f"Desk {count}") for count in range(2)]
    content = csv(
        ["acme", hands[0]["number"], "", ""],
        ["no key!", "+14155550199", "", ""],
        ["gone", "+14155550199", "", ""],
        ["beta", hands[1]["number"], "", ""],
    )

    results = taken(sandbox, content)

    assert became(results) == ["taken_over", "problem", "problem", "taken_over"]
    is_whole(sandbox, hands[0])
    is_whole(sandbox, hands[1], "beta")


# --- cut off, slowed down, beside others -----------------------------------------------------------------------------

# Every call that one row makes, in this order.
CALLS = ("twilio.fetch", "twilio.update", "vapi.list", "vapi.assign", "twilio.fetch", "vapi.get", "vapi.assign")
PLACES = [(operation, before, nth) for operation, nth in (
    ("twilio.fetch", 1), ("twilio.update", 1), ("vapi.list", 2), ("vapi.list", 3), ("vapi.assign", 1),
    ("vapi.assign", 2), ("vapi.get", 1), ("twilio.fetch", 2),
) for before in (True, False)]  # fmt: skip


@pytest.mark.parametrize("is_known", [False, True], ids=["a new tenant", "a paying tenant"])
@pytest.mark.parametrize("worker_first", [False, True], ids=["run again", "a worker first"])
@pytest.mark.parametrize(("operation", "before", "nth"), PLACES)
def test_a_run_that_is_cut_off_anywhere_is_gone_on_with(
    sandbox: Sandbox, operation: str, before: bool, nth: int, worker_first: bool, is_known: bool
) -> None:
    if is_known:
        sandbox.deliver("checkout.completed", metadata={"choose": "yes"})
        sandbox.settle(60)
    sandbox.world.add_assistant({"id": OTHER, "name": "other"})
    hand = by_hand(sandbox)
    content = csv(["acme", hand["number"], hand["vapi_id"], OTHER])
    already = sandbox.calls(operation)
    sandbox.crash_at(operation, before=before, nth=already + nth)
    with pytest.raises(Crash):
        taken(sandbox, content)
    sandbox.world.crash_plan = None
    sandbox.restart()
    if worker_first:
        sandbox.wait(seconds=600)

    results = taken(sandbox, content)
    sandbox.settle(600)

    assert became(results)[0] in ("taken_over", "already"), results
    is_whole(sandbox, hand, assistant=OTHER)
    assert became(taken(sandbox, content)) == ["already"]
    former = [row["detail"] for row in sandbox.query(lambda tx: journal.of_tenant(tx, sandbox.tenant().id))]
    assert "Reception" in {each.get("name") for each in former}
    assert "Reception at Vapi" in {each.get("former_name") for each in former}


def test_a_worker_alone_finishes_all_of_a_row_that_was_begun_for_a_paying_tenant(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed", metadata={"choose": "yes"})
    sandbox.settle(60)
    sandbox.world.add_assistant({"id": OTHER, "name": "other"})
    hand = by_hand(sandbox)
    sandbox.crash_at("twilio.update", before=True)
    with pytest.raises(Crash):
        taken(sandbox, csv(["acme", hand["number"], hand["vapi_id"], OTHER]))
    sandbox.world.crash_plan = None
    sandbox.restart()

    sandbox.wait(seconds=600)

    is_whole(sandbox, hand, assistant=OTHER)


def test_calls_that_go_to_vapi_already_are_not_said_to_go_elsewhere(sandbox: Sandbox) -> None:
    hand = bare(sandbox, voice_url=VAPI_URL)

    (found,) = planned(sandbox, csv(["acme", hand["number"], "", ""]))

    assert "import it at Vapi" in found.does


@pytest.mark.parametrize("operation", ["twilio.fetch", "twilio.update", "vapi.list", "vapi.get", "vapi.assign"])
@pytest.mark.parametrize("kind", ["lost_before", "lost_after", "error_before", "error_after", "rate_limit"])
def test_a_call_that_goes_wrong_once_delays_a_row_and_loses_nothing(
    sandbox: Sandbox, operation: str, kind: str
) -> None:
    hand = by_hand(sandbox)
    content = csv(["acme", hand["number"], hand["vapi_id"], ""])
    intended = planned(sandbox, content)
    sandbox.fault(operation, kind, times=1)

    def pause() -> None:
        sandbox.clock.at_ms += int(PAUSE_SECONDS * 1000)

    (result,) = carry_out(sandbox.gateway.steps, intended, ANN, pause)
    sandbox.settle(3600)

    assert result.became in (Became.TAKEN_OVER, Became.UNDER_WAY), result.says
    is_whole(sandbox, hand)
    assert became(taken(sandbox, content)) == ["already"]


def test_a_row_that_twilio_refuses_is_left_as_it_was_and_the_others_go_on(sandbox: Sandbox) -> None:
    hands = [by_hand(sandbox, f"Desk {count}") for count in range(2)]
    content = csv(*([f"tenant-{at}", hand["number"], "", ""] for at, hand in enumerate(hands)))
    sandbox.fault("twilio.update", "error_before", times=1, status=400)

    results = taken(sandbox, content)
    sandbox.wait(days=1)

    assert became(results) == ["failed", "taken_over"]
    assert sandbox.export("tenant-0")["phone_number"] is None
    assert "Desk 0" in {each["friendly_name"] for each in sandbox.numbers()}
    is_whole(sandbox, hands[1], "tenant-1")


def test_credentials_that_are_refused_end_it_and_the_rest_is_said_not_to_be_tried(sandbox: Sandbox) -> None:
    hands = [by_hand(sandbox, f"Desk {count}") for count in range(3)]
    content = csv(*([f"tenant-{at}", hand["number"], "", ""] for at, hand in enumerate(hands)))
    intended = planned(sandbox, content)
    sandbox.fault("twilio.fetch", "unauthorized", times=None)
    before = sandbox.calls("twilio.fetch")

    results = list(carry_out(sandbox.gateway.steps, intended, ANN, lambda: None))

    assert became(results) == ["failed", "not_tried", "not_tried"]
    assert sandbox.calls("twilio.fetch") == before + 1
    assert sandbox.query(lambda tx: tenants.list_page(tx)) == []


@pytest.mark.parametrize("name", ["somebody else's", "rf:prod:0123456789abcdef:1"])
def test_a_number_that_was_changed_since_it_was_looked_at_is_left_alone(sandbox: Sandbox, name: str) -> None:
    hand = by_hand(sandbox)
    intended = planned(sandbox, csv(["acme", hand["number"], "", ""]))
    sandbox.rename_number(hand["sid"], name)

    (result,) = carry_out(sandbox.gateway.steps, intended, ANN, lambda: None)

    assert result.became is Became.FAILED
    assert "was changed at Twilio since" in (result.says or "")
    assert [each["friendly_name"] for each in sandbox.numbers()] == [name]
    assert sandbox.query(lambda tx: tenants.list_page(tx)) == []


def test_an_entry_that_got_another_gateways_tag_meanwhile_is_never_changed(sandbox: Sandbox) -> None:
    hand = by_hand(sandbox)
    intended = planned(sandbox, csv(["acme", hand["number"], hand["vapi_id"], ""]))
    sandbox.change_entry(hand["vapi_id"], name="rf:prod:0123456789abcdef:1")
    before = sandbox.entries()

    (result,) = carry_out(sandbox.gateway.steps, intended, ANN, lambda: None)
    sandbox.wait(days=1)

    assert result.became is Became.FAILED
    assert "under another gateway's name" in (result.says or "")
    assert sandbox.entries() == before
    assert sandbox.export()["blocked"] == "ambiguous"


def test_a_tenant_under_a_workers_lease_is_waited_for(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed", metadata={"choose": "yes"})
    sandbox.settle(60)
    hand = by_hand(sandbox)
    sandbox.operate("retry")
    claims = sandbox.claim("worker-1")
    assert claims
    pauses: list[int] = []

    def pause() -> None:
        pauses.append(1)
        sandbox.clock.at_ms += int(PAUSE_SECONDS * 1000)
        if len(pauses) == 3:
            sandbox.advance(claims)

    intended = planned(sandbox, csv(["acme", hand["number"], hand["vapi_id"], ""]))
    results = list(carry_out(sandbox.gateway.steps, intended, ANN, pause))

    assert (became(results), len(pauses)) == (["taken_over"], 3)
    is_whole(sandbox, hand)


def test_news_that_comes_in_the_middle_of_it_loses_nothing(sandbox: Sandbox) -> None:
    """A subscription of the tenant begins while its number is being renamed."""
    hand = by_hand(sandbox)
    content = csv(["acme", hand["number"], hand["vapi_id"], ""])
    intended = planned(sandbox, content)

    def news() -> None:
        sandbox.deliver("checkout.completed", metadata={"area_code": "415"})
        sandbox.turn("worker-1")

    sandbox.meanwhile("twilio.update", news)
    results = list(carry_out(sandbox.gateway.steps, intended, ANN, lambda: None))
    sandbox.settle(600)

    assert became(results)[0] in ("taken_over", "under_way", "failed")
    sandbox.wait(seconds=120)
    assert became(taken(sandbox, content))[0] in ("taken_over", "already")
    is_whole(sandbox, hand)


def test_what_is_taken_over_already_is_passed_over_and_another_assistant_is_assigned(sandbox: Sandbox) -> None:
    hand = by_hand(sandbox)
    taken(sandbox, csv(["acme", hand["number"], hand["vapi_id"], ""]))
    sandbox.world.add_assistant({"id": OTHER, "name": "other"})
    calls = sandbox.calls("vapi.assign")

    again = taken(sandbox, csv(["acme", hand["number"], hand["vapi_id"], HAND_MADE]))
    assert (became(again), sandbox.calls("vapi.assign")) == (["already"], calls)
    (change,) = planned(sandbox, csv(["acme", hand["number"], hand["vapi_id"], OTHER]))
    results = taken(sandbox, csv(["acme", hand["number"], hand["vapi_id"], OTHER]))

    assert (change.way, change.does) == (Way.GO_ON, (f"assign assistant {OTHER}",))
    assert became(results) == ["taken_over"]
    is_whole(sandbox, hand, assistant=OTHER)


def test_an_adopted_number_whose_entry_kept_its_name_gets_our_tag(sandbox: Sandbox) -> None:
    hand = by_hand(sandbox)
    operate.adopt(sandbox.gateway.steps, "acme", hand["sid"], ANN)
    sandbox.operate("set", {"assistant_id": HAND_MADE})
    sandbox.settle(600)
    assert sandbox.entries()[0]["name"] == "Reception at Vapi"
    states = [line for line in sandbox.timeline() if line.startswith("state")]

    results = taken(sandbox, csv(["acme", hand["number"], "", ""]))

    assert became(results) == ["taken_over"]
    is_whole(sandbox, hand)
    assert [line for line in sandbox.timeline() if line.startswith("state")] == states, "it was active all along"


def test_another_entry_than_the_tenants_own_is_a_problem(sandbox: Sandbox) -> None:
    hand = by_hand(sandbox)
    taken(sandbox, csv(["acme", hand["number"], hand["vapi_id"], ""]))

    (found,) = planned(sandbox, csv(["acme", hand["number"], OTHER, ""]))

    assert found.way is Way.PROBLEM
    assert "with the Vapi entry" in found.problems[0]
