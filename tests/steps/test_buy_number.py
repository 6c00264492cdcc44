"""Buying beyond the plain stories: caps, doubts that only people can settle, refusals, and numbers that turn up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway.domain import keys
from gateway.domain.model import Held, Hold, Holding, Step
from gateway.errors import Refused
from gateway.ports import Deadline, NumberWish
from gateway.store import attempts, holdings, intents, ledger
from gateway.store.database import Transaction
from tests.steps.ports import change, raising
from tests.stories.sandbox import Sandbox

Install = Callable[..., Sandbox]
TAG = keys.tag("dev", "acme", 1)
HOUR, DAY = 3600, 86_400


def rows(sandbox: Sandbox, key: str = "acme") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sandbox.query(lambda tx: intents.of_tenant(tx, sandbox.tenant(key).id))
    return found


def statuses(sandbox: Sandbox, key: str = "acme") -> list[str]:
    return [row["status"] for row in rows(sandbox, key)]


def message(sandbox: Sandbox, key: str = "acme") -> str:
    block = sandbox.tenant(key).block
    assert block is not None, sandbox.timeline(key)
    return block.message


def states(sandbox: Sandbox, *names: str) -> list[tuple[str, str | None]]:
    return [(sandbox.export(name)["state"], sandbox.export(name)["blocked"]) for name in names]


def with_rules(sandbox: Sandbox, **changes: Any) -> None:
    """As after a restart with other settings."""
    gateway = sandbox.gateway
    rules = replace(gateway.rules, **changes)
    sandbox.gateway = replace(gateway, rules=rules, steps=replace(gateway.steps, rules=rules))


# --- caps ------------------------------------------------------------------------------------------------------------


def test_the_daily_cap_lets_tenants_wait_for_their_day_and_go_on_by_themselves(installed: Install) -> None:
    sandbox = installed(MAX_PURCHASES_PER_DAY="2")
    for name in ("acme", "beta"):
        sandbox.deliver("checkout.completed", name)
        sandbox.settle(60)
        sandbox.wait(seconds=6 * HOUR)
    sandbox.deliver("checkout.completed", "gamma")
    sandbox.settle(60)
    assert states(sandbox, "gamma") == [("provisioning", "spend_cap")]
    assert "MAX_PURCHASES_PER_DAY is 2" in message(sandbox, "gamma")

    sandbox.wait(seconds=11 * HOUR)
    before = states(sandbox, "gamma")
    sandbox.wait(seconds=2 * HOUR)

    assert before == [("provisioning", "spend_cap")]
    assert states(sandbox, "gamma") == [("active", None)]


def test_a_cap_of_nothing_stops_purchases_and_no_search_or_look(installed: Install) -> None:
    sandbox = installed(MAX_PURCHASES_PER_HOUR="0")
    sandbox.deliver("checkout.completed")

    sandbox.wait(days=2)

    assert states(sandbox, "acme") == [("provisioning", "spend_cap")]
    assert sandbox.calls("twilio.buy") == 0
    assert sandbox.calls("twilio.list") > 10
    assert len(rows(sandbox)) == 1


def test_a_cap_of_nothing_still_proves_and_repeats_what_is_in_doubt(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.buy", "lost_before", times=2)
    sandbox.deliver("checkout.completed")
    sandbox.turn()
    with_rules(sandbox, max_purchases_per_hour=0, max_purchases_per_day=0)

    sandbox.settle(HOUR)

    assert states(sandbox, "acme") == [("active", None)]
    assert sandbox.calls("twilio.buy") == 3
    assert len(sandbox.purchases()) == 1


def test_a_number_that_is_sent_again_is_counted_once(installed: Install) -> None:
    sandbox = installed(MAX_PURCHASES_PER_HOUR="2")
    sandbox.fault("twilio.buy", "rate_limit", times=3, retry_after=1)
    for name in ("acme", "beta"):
        sandbox.deliver("checkout.completed", name)

    sandbox.settle(300)

    assert states(sandbox, "acme", "beta") == [("active", None)] * 2


def test_a_second_round_of_the_same_number_is_not_counted_again(installed: Install) -> None:
    sandbox = installed(MAX_PURCHASES_PER_HOUR="1")
    sandbox.fault("twilio.buy", "lost_before", times=3)
    sandbox.deliver("checkout.completed")

    sandbox.settle(2000)

    assert states(sandbox, "acme") == [("active", None)]
    assert [(row["status"], row["round"]) for row in rows(sandbox)] == [("owned", 2)]


def test_tenants_that_go_on_waiting_for_a_cap_make_no_calls(installed: Install) -> None:
    sandbox = installed(MAX_PURCHASES_PER_DAY="1")
    sandbox.deliver("checkout.completed")
    sandbox.settle(60)
    looks_of_a_purchase = sandbox.calls("twilio.list")
    waiting = ("beta", "gamma", "delta")
    for name in waiting:
        sandbox.deliver("checkout.completed", name)
        sandbox.settle(60)
    before = sandbox.calls("twilio.list")

    sandbox.wait(days=1)

    assert sorted(states(sandbox, *waiting), key=str) == [("active", None), *[("provisioning", "spend_cap")] * 2]
    assert sandbox.calls("twilio.list") - before == looks_of_a_purchase


def test_a_tenant_that_waits_for_a_cap_keeps_its_number_for_itself(installed: Install) -> None:
    sandbox = installed(MAX_PURCHASES_PER_HOUR="1")
    sandbox.deliver("checkout.completed")
    sandbox.settle(60)
    number = sandbox.for_sale()
    sandbox.deliver("checkout.completed", "beta", metadata={"phone_number": number})
    sandbox.settle(60)
    assert states(sandbox, "beta") == [("provisioning", "spend_cap")]
    sandbox.deliver("checkout.completed", "gamma", metadata={"phone_number": number})
    sandbox.settle(60)

    assert states(sandbox, "gamma") == [("provisioning", "number_taken")]


# --- rounds and repeats ----------------------------------------------------------------------------------------------


def test_two_proved_absences_move_on_to_the_next_candidate(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.buy", "lost_before", times=6)
    sandbox.deliver("checkout.completed")

    sandbox.settle(HOUR)

    assert statuses(sandbox) == ["refused", "owned"]
    assert states(sandbox, "acme") == [("active", None)]
    assert sandbox.calls("twilio.buy") == 7


def test_two_proved_absences_of_exactly_this_number_ask_for_a_person(sandbox: Sandbox) -> None:
    number = sandbox.for_sale()
    sandbox.fault("twilio.buy", "lost_before", times=None)
    sandbox.deliver("checkout.completed", metadata={"phone_number": number})

    sandbox.settle(2 * HOUR)

    assert states(sandbox, "acme") == [("provisioning", "provider_refused")]
    assert sandbox.calls("twilio.buy") == 6
    assert sandbox.purchases() == []


def test_one_number_is_sent_at_most_three_times_within_a_minute_and_then_only_looked_for(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.buy", "lost_before", times=None)
    sandbox.deliver("checkout.completed")
    sent_at = []
    for _ in range(60):
        before = sandbox.calls("twilio.buy")
        sandbox.turn()
        if sandbox.calls("twilio.buy") > before:
            sent_at.append(sandbox.clock.at_ms)
        due_ms = sandbox.next_due_ms()
        if due_ms is None or due_ms > sent_at[0] + 600_000:
            break
        sandbox.clock.at_ms = max(sandbox.clock.at_ms, due_ms)

    assert len(sent_at) == 3
    assert sent_at[-1] <= sent_at[0] + 60_000


def test_a_repeat_waits_for_a_look_and_a_pause(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.buy", "lost_before", times=1)
    sandbox.deliver("checkout.completed")
    sandbox.turn()

    assert sandbox.calls("twilio.buy") == 1
    due_ms = sandbox.next_due_ms()
    assert due_ms is not None
    assert due_ms >= sandbox.clock.at_ms + 700
    sandbox.settle(60)
    assert states(sandbox, "acme") == [("active", None)]


def test_a_purchase_in_doubt_that_is_no_longer_wanted_is_proved_absent_and_dropped(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.buy", "lost_before", times=None)
    sandbox.deliver("checkout.completed")
    sandbox.turn()
    sandbox.deliver("subscription.deleted")

    sandbox.settle(300)
    early = states(sandbox, "acme"), statuses(sandbox)
    sandbox.settle(HOUR)

    assert early[1] == ["unknown"]
    assert early[0][0][0] != "released"
    assert statuses(sandbox) == ["dropped"]
    assert states(sandbox, "acme") == [("released", None)]
    assert sandbox.calls("twilio.buy") == 1


def test_a_number_taken_by_somebody_is_not_replaced_for_a_tenant_that_went(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.buy", "taken", times=1)
    sandbox.deliver("checkout.completed")
    sandbox.turn()
    sandbox.deliver("subscription.deleted")

    sandbox.settle(HOUR)

    assert statuses(sandbox) == ["dropped"]
    assert states(sandbox, "acme") == [("released", None)]
    assert sandbox.calls("twilio.search") == 1


def test_after_a_minute_a_purchase_in_doubt_is_only_looked_for(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.buy", "lost_before", times=1)
    sandbox.deliver("checkout.completed")
    sandbox.turn()
    sandbox.clock.at_ms += 61_000

    sandbox.settle(500)
    during = sandbox.calls("twilio.buy"), sandbox.calls("twilio.list")
    sandbox.settle(HOUR)

    assert during[0] == 1
    assert during[1] > 8
    assert states(sandbox, "acme") == [("active", None)]
    assert [(row["status"], row["round"]) for row in rows(sandbox)] == [("owned", 2)]


# --- what only a person can settle -----------------------------------------------------------------------------------


def test_several_numbers_under_our_tag_are_settled_by_a_person_and_the_one_left_is_adopted(sandbox: Sandbox) -> None:
    first, second = sandbox.world.place_numbers({"friendly_name": TAG, "count": 2})
    sandbox.deliver("checkout.completed")
    sandbox.settle(60)
    assert states(sandbox, "acme") == [("provisioning", "ambiguous")]
    assert first["phone_number"] in message(sandbox)
    assert second["phone_number"] in message(sandbox)

    sandbox.delete_number(first["sid"])
    sandbox.operate("retry")
    sandbox.settle(600)

    assert states(sandbox, "acme") == [("active", None)]
    assert sandbox.export()["twilio_sid"] == second["sid"]
    assert sandbox.calls("twilio.buy") == 0
    assert statuses(sandbox) == ["dropped", "owned"]


def test_several_numbers_that_are_all_renamed_leave_the_tenant_to_buy_its_own(sandbox: Sandbox) -> None:
    placed = sandbox.world.place_numbers({"friendly_name": TAG, "count": 2})
    sandbox.deliver("checkout.completed")
    sandbox.settle(60)

    for number in placed:
        sandbox.rename_number(number["sid"], "front desk")
    sandbox.operate("retry")
    sandbox.settle(600)

    assert states(sandbox, "acme") == [("active", None)]
    assert len(sandbox.purchases()) == 1


def test_a_cancellation_while_several_bear_our_tag_releases_none_by_guess(sandbox: Sandbox) -> None:
    sandbox.world.place_numbers({"friendly_name": TAG, "count": 2})
    sandbox.deliver("checkout.completed")
    sandbox.settle(60)

    sandbox.deliver("subscription.deleted")
    sandbox.wait(days=32)

    assert sandbox.export()["blocked"] == "ambiguous"
    assert [number["friendly_name"] for number in sandbox.numbers()] == [TAG, TAG]


@pytest.mark.parametrize("name", ["front desk", ""])
def test_a_purchase_in_doubt_found_under_a_strange_name_is_left_to_a_person(sandbox: Sandbox, name: str) -> None:
    sandbox.fault("twilio.buy", "lost_before", times=None)
    sandbox.deliver("checkout.completed")
    sandbox.turn()
    number = rows(sandbox)[0]["number"]
    (placed,) = sandbox.world.place_numbers({"friendly_name": name, "phone_number": number})
    sandbox.settle(60)
    assert states(sandbox, "acme") == [("provisioning", "ambiguous")]
    assert TAG in message(sandbox)

    sandbox.rename_number(placed["sid"], TAG)
    sandbox.operate("retry")
    sandbox.settle(600)

    assert states(sandbox, "acme") == [("active", None)]
    assert sandbox.export()["phone_number"] == number


def test_a_purchase_in_doubt_found_under_another_tenants_tag_moves_on(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.buy", "lost_before", times=1)
    sandbox.deliver("checkout.completed")
    sandbox.turn()
    number = rows(sandbox)[0]["number"]
    sandbox.world.place_numbers({"friendly_name": "rf:prod:0123456789abcdef:1", "phone_number": number})

    sandbox.settle(600)

    assert statuses(sandbox) == ["refused", "owned"]
    assert states(sandbox, "acme") == [("active", None)]
    assert sorted(each["friendly_name"] for each in sandbox.numbers()) == [TAG, "rf:prod:0123456789abcdef:1"]


def test_a_number_under_our_tag_that_another_tenant_is_committed_to_is_left_to_a_person(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed", "beta")
    sandbox.settle(60)
    sandbox.rename_number(sandbox.export("beta")["twilio_sid"], TAG)
    sandbox.deliver("checkout.completed")

    sandbox.settle(600)

    assert states(sandbox, "acme") == [("provisioning", "ambiguous")]
    assert "another tenant is committed to it" in message(sandbox)
    assert sandbox.calls("twilio.buy") == 1


@pytest.mark.parametrize("happening", ["gone", "renamed"])
def test_a_held_number_that_is_not_as_believed_is_never_bought_anew(sandbox: Sandbox, happening: str) -> None:
    sandbox.deliver("checkout.completed")
    sandbox.settle(60)
    sid = sandbox.export()["twilio_sid"]
    if happening == "gone":
        sandbox.delete_number(sid)
    else:
        sandbox.rename_number(sid, "front desk")
    sandbox.operate("redo")

    sandbox.settle(HOUR)

    assert sandbox.export()["blocked"] == "ambiguous"
    assert "Nothing was bought in its place" in message(sandbox)
    assert len(sandbox.purchases()) == 1


def test_a_held_number_that_is_as_believed_stays_held_after_a_look(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed")
    sandbox.settle(60)
    before = sandbox.held()[Step.BUY_NUMBER]
    sandbox.operate("redo")

    sandbox.settle(60)

    assert sandbox.held()[Step.BUY_NUMBER] == before
    assert "outcome buy_number.still_there" in sandbox.timeline()


def test_a_number_that_is_gone_already_when_it_is_to_be_released_is_proved_gone(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed")
    sandbox.settle(60)
    sandbox.delete_number(sandbox.export()["twilio_sid"])
    sandbox.operate("hold", Hold.RELEASE)
    sandbox.operate("redo")

    sandbox.wait(days=1)

    assert states(sandbox, "acme") == [("released", None)]
    assert sandbox.entries() == []
    assert sandbox.calls("twilio.release") == 0


# --- numbers that turn up --------------------------------------------------------------------------------------------


def test_a_number_under_our_tag_is_adopted_before_anything_is_bought(sandbox: Sandbox) -> None:
    (placed,) = sandbox.world.place_numbers({"friendly_name": TAG})
    sandbox.deliver("checkout.completed")

    sandbox.settle(60)

    assert states(sandbox, "acme") == [("active", None)]
    assert sandbox.export()["twilio_sid"] == placed["sid"]
    assert sandbox.calls("twilio.buy") == 0
    (entry,) = (row for row in sandbox.query(lambda tx: ledger.of_tenant(tx, sandbox.tenant().id))
                if row["thing"] == "number")  # fmt: skip
    assert (entry["how"], entry["change"]) == ("adopted", "gained")


def test_a_number_that_only_its_own_look_shows_as_ours_is_adopted(sandbox: Sandbox) -> None:
    number = sandbox.for_sale()
    (placed,) = sandbox.world.place_numbers({"friendly_name": TAG, "phone_number": number})
    change(sandbox, "telephony", find_by_tag=lambda tag, deadline: [])
    sandbox.deliver("checkout.completed", metadata={"phone_number": number})

    sandbox.settle(60)

    assert states(sandbox, "acme") == [("active", None)]
    assert sandbox.export()["twilio_sid"] == placed["sid"]
    assert sandbox.calls("twilio.buy") == 0


def test_an_intent_that_somebody_else_has_sent_meanwhile_is_not_sent_again(sandbox: Sandbox) -> None:
    """The fence keeps others out; should it ever fail, the intent's own state still does."""

    def sent_by_somebody_else() -> None:
        def mark(tx: Transaction) -> None:
            intent = intents.open_of(tx, sandbox.tenant())
            assert intent is not None
            now_ms = sandbox.clock.at_ms
            intents.mark_sent(tx, intent, now_ms)
            attempts.begin(tx, sandbox.tenant(), Step.BUY_NUMBER, "buy", intent.number, now_ms, now_ms + 15_000)

        sandbox.gateway.steps.commit(mark)

    sandbox.deliver("checkout.completed")
    sandbox.meanwhile("twilio.list", sent_by_somebody_else)
    sandbox.turn()

    assert sandbox.calls("twilio.buy") == 0
    assert "outcome buy_number.changed_meanwhile" in sandbox.timeline()
    assert sandbox.held()[Step.BUY_NUMBER].held == "maybe"


def test_a_refused_candidate_that_was_bought_all_the_same_is_adopted_before_the_next_is_sent(
    sandbox: Sandbox,
) -> None:
    """It was absent when the look proved it, and landed before the next candidate was sent."""
    sandbox.fault("twilio.buy", "taken", times=1)
    sandbox.deliver("checkout.completed")
    sandbox.settle(20)
    number = rows(sandbox)[0]["number"]

    def lands() -> None:
        sandbox.world.place_numbers({"friendly_name": TAG, "phone_number": number})

    sandbox.meanwhile("twilio.search", lands)
    sandbox.settle(600)

    assert states(sandbox, "acme") == [("active", None)]
    assert sandbox.export()["phone_number"] == number
    assert len(sandbox.numbers()) == 1


def test_a_holding_that_says_no_beside_an_intent_in_doubt_is_looked_at_before_anything_is_sent(
    sandbox: Sandbox,
) -> None:
    sandbox.fault("twilio.buy", "lost_after", times=1, lag_seconds=20)
    sandbox.deliver("checkout.completed")
    sandbox.turn()
    tenant = sandbox.tenant()

    def forget(tx: Transaction) -> None:
        holdings.put(tx, tenant.id, Holding(Step.BUY_NUMBER, Held.NO), sandbox.clock.at_ms)

    sandbox.gateway.steps.commit(forget)
    sandbox.settle(600)

    assert states(sandbox, "acme") == [("active", None)]
    assert len(sandbox.purchases()) == 1
    assert "outcome buy_number.in_doubt" in sandbox.timeline()


def test_a_doubt_without_any_intent_is_no_doubt(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed")
    sandbox.claim("worker-1")
    tenant = sandbox.tenant()

    def doubt(tx: Transaction) -> None:
        holdings.put(tx, tenant.id, Holding(Step.BUY_NUMBER, Held.MAYBE), sandbox.clock.at_ms)

    sandbox.gateway.steps.commit(doubt)
    sandbox.clock.at_ms += 61_000
    sandbox.settle(600)

    assert states(sandbox, "acme") == [("active", None)]
    assert "outcome buy_number.nothing_in_doubt" in sandbox.timeline()


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 404, 405])
def test_a_refusal_buys_nothing_and_names_what_to_do(sandbox: Sandbox, status: int) -> None:
    sandbox.fault("twilio.buy", "error_before", times=1, status=status)
    sandbox.deliver("checkout.completed")

    sandbox.settle(2 * HOUR)

    assert states(sandbox, "acme") == [("provisioning", "provider_refused")]
    assert "Nothing was bought" in message(sandbox)
    assert statuses(sandbox) == ["chosen"]
    assert sandbox.calls("twilio.buy") == 1


def test_a_refusal_of_a_repeat_says_nothing_about_the_first(sandbox: Sandbox) -> None:
    """The first POST went through and its answer was lost; the repeat is refused: only a look may say what is."""
    sandbox.fault("twilio.buy", "lost_after", times=1, lag_seconds=30)
    sandbox.fault("twilio.buy", "error_before", times=1, status=400)
    sandbox.deliver("checkout.completed")

    sandbox.settle(HOUR)

    assert states(sandbox, "acme") == [("active", None)]
    assert len(sandbox.purchases()) == 1


def test_a_rate_limit_of_a_repeat_says_nothing_about_the_first_either(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.buy", "lost_after", times=1, lag_seconds=90)
    sandbox.fault("twilio.buy", "rate_limit", times=1, retry_after=1)
    sandbox.deliver("checkout.completed")

    sandbox.settle(HOUR)

    assert states(sandbox, "acme") == [("active", None)]
    assert statuses(sandbox) == ["owned"]
    assert len(sandbox.purchases()) == 1


def with_papers(sandbox: Sandbox, country: str) -> str:
    """A number that Twilio does not sell without papers."""
    wish = NumberWish(country, has_address=True)
    deadline = Deadline(sandbox.clock.monotonic() + 60, sandbox.clock.at_ms + 60_000)
    return sandbox.gateway.steps.telephony.search(wish, 1, deadline)[0].number


def test_an_address_that_a_number_wants_blocks_and_another_number_goes_on(sandbox: Sandbox) -> None:
    number = with_papers(sandbox, "ZA")
    sandbox.deliver("checkout.completed", metadata={"country": "ZA", "phone_number": number})
    sandbox.settle(60)
    assert states(sandbox, "acme") == [("provisioning", "needs_address")]
    assert "tenants set acme country=US" in message(sandbox)

    sandbox.operate("set", {"country": "US", "phone_number": sandbox.for_sale()})
    sandbox.settle(600)

    assert states(sandbox, "acme") == [("active", None)], sandbox.timeline()
    assert statuses(sandbox) == ["owned"]


@pytest.mark.parametrize(("kind", "code"), [("address", "needs_address"), ("bundle", "needs_bundle")])
def test_what_a_country_wants_is_tried_again_by_itself_once_an_hour_and_told_once(
    sandbox: Sandbox, kind: str, code: str
) -> None:
    telephony = sandbox.gateway.steps.telephony
    error = Refused("this number needs papers", kind=kind, provider="twilio", operation="buy", status=400)
    change(sandbox, "telephony", buy=raising(error, 3, telephony.buy))
    sandbox.deliver("checkout.completed")
    sandbox.settle(60)
    assert states(sandbox, "acme") == [("provisioning", code)]

    sandbox.wait(seconds=1.5 * HOUR)
    between = states(sandbox, "acme")
    sandbox.wait(seconds=2 * HOUR)

    assert between == [("provisioning", code)]
    assert states(sandbox, "acme") == [("active", None)]
    assert statuses(sandbox) == ["dropped", "dropped", "dropped", "owned"]
    assert [line for line in sandbox.timeline() if line.startswith("blocked")] == [f"blocked {code}"]


# --- choosing --------------------------------------------------------------------------------------------------------


def test_a_customer_who_wants_to_choose_is_waited_for(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed", metadata={"choose": "yes"})
    sandbox.wait(days=1)
    assert states(sandbox, "acme") == [("provisioning", "awaiting_choice")]
    assert sandbox.calls("twilio.search") == 0
    number = sandbox.for_sale()

    sandbox.operate("set", {"phone_number": number})
    sandbox.settle(60)

    assert states(sandbox, "acme") == [("active", None)]
    assert sandbox.export()["phone_number"] == number


def test_when_nothing_fits_a_person_is_asked_and_another_wish_goes_on(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed", metadata={"area_code": "999"})
    sandbox.settle(600)
    assert states(sandbox, "acme") == [("provisioning", "no_numbers")]
    assert "area code 999" in message(sandbox)

    sandbox.operate("set", {"area_code": "406"})
    sandbox.settle(60)

    assert sandbox.export()["phone_number"].startswith("+1406")


def test_a_changed_option_gives_three_new_candidates(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.buy", "taken", times=5)
    sandbox.deliver("checkout.completed", metadata={"area_code": "415"})
    sandbox.settle(HOUR)
    assert states(sandbox, "acme") == [("provisioning", "no_numbers")]
    assert statuses(sandbox) == ["refused"] * 3

    sandbox.operate("set", {"area_code": "212"})
    sandbox.settle(HOUR)

    assert states(sandbox, "acme") == [("active", None)]
    assert statuses(sandbox) == ["refused"] * 5 + ["owned"]
    assert sandbox.export()["phone_number"].startswith("+1212")


def test_an_option_that_an_event_changes_gives_new_candidates_too(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.buy", "taken", times=3)
    sandbox.deliver("checkout.completed", metadata={"area_code": "415"})
    sandbox.settle(HOUR)
    assert states(sandbox, "acme") == [("provisioning", "no_numbers")]

    sandbox.deliver("checkout.completed", metadata={"area_code": "212"}, set={"subscription": "sub_second"})
    sandbox.settle(HOUR)

    assert states(sandbox, "acme") == [("active", None)]


def test_a_number_refused_lately_is_passed_over_by_everybody_for_a_week(sandbox: Sandbox) -> None:
    number = sandbox.for_sale()
    sandbox.fault("twilio.buy", "lost_before", times=6)
    sandbox.deliver("checkout.completed", metadata={"phone_number": number})
    sandbox.settle(2 * HOUR)
    assert states(sandbox, "acme") == [("provisioning", "provider_refused")]
    sandbox.deliver("checkout.completed", "beta", metadata={"contains": number[2:]})
    sandbox.settle(60)
    before = states(sandbox, "beta")

    sandbox.wait(days=8)
    sandbox.operate("retry", key="beta")
    sandbox.settle(60)

    assert before == [("provisioning", "no_numbers")]
    assert states(sandbox, "beta") == [("active", None)]
    assert sandbox.export("beta")["phone_number"] == number


def test_an_option_about_the_number_is_frozen_once_one_is_committed(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed", metadata={"area_code": "415"})
    sandbox.settle(60)
    number = sandbox.export()["phone_number"]

    sandbox.operate("set", {"area_code": "212"})
    sandbox.settle(600)

    assert sandbox.export()["phone_number"] == number
    assert len(sandbox.purchases()) == 1
