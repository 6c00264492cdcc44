"""The purchase protocol, told one misfortune at a time: whatever is lost, late or doubled, one number is bought."""

from __future__ import annotations

import pytest

from gateway.domain.model import IntentStatus
from gateway.store import intents
from gateway.store.database import Transaction
from tests.stories.sandbox import Sandbox

LOST = ("lost_before", "lost_after", "error_before", "error_after", "truncated", "html", "empty", "hang")


def active_with_one_number(sandbox: Sandbox, key: str = "acme") -> None:
    """What every story here must end in."""
    tenant = sandbox.export(key)
    assert tenant["state"] == "active", sandbox.timeline(key)
    held = [number for number in sandbox.numbers() if number["friendly_name"] in tenant["friendly_names"]]
    assert [number["phone_number"] for number in held] == [tenant["phone_number"]]
    entries = [entry for entry in sandbox.entries() if entry["number"] == tenant["phone_number"]]
    assert [entry["id"] for entry in entries] == [tenant["vapi_id"]]
    bought = [sold for sold in sandbox.purchases() if sold["tag"] in tenant["friendly_names"]]
    assert len(bought) == 1, bought


def statuses(sandbox: Sandbox, key: str = "acme") -> list[str]:
    tenant = sandbox.tenant(key)

    def question(tx: Transaction) -> list[str]:
        return [row["status"] for row in intents.of_tenant(tx, tenant.id)]

    found: list[str] = sandbox.query(question)
    return found


@pytest.mark.parametrize("kind", LOST)
def test_a_lost_response_does_not_buy_a_second_number(sandbox: Sandbox, kind: str) -> None:
    sandbox.fault("twilio.buy", kind, times=1)

    sandbox.deliver("checkout.completed")
    sandbox.settle(2 * 3600)

    active_with_one_number(sandbox)


@pytest.mark.parametrize("kind", LOST)
@pytest.mark.parametrize("policy", ["refuse", "update"])
def test_every_answer_lost_for_a_while_still_ends_in_one_number(sandbox: Sandbox, kind: str, policy: str) -> None:
    sandbox.world.set_policies({"buy_owned": policy})
    sandbox.fault("twilio.buy", kind, times=3)

    sandbox.deliver("checkout.completed")
    sandbox.settle(4 * 3600)

    active_with_one_number(sandbox)


def test_a_purchase_that_lands_late_is_adopted_and_not_repeated_with_another_number(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.buy", "late_effect", times=3, seconds=300)

    sandbox.deliver("checkout.completed")
    sandbox.settle(4 * 3600)

    active_with_one_number(sandbox)


def test_a_purchase_that_lists_do_not_show_yet_is_not_repeated_with_another_number(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.buy", "lost_after", times=1, lag_seconds=400)

    sandbox.deliver("checkout.completed")
    sandbox.settle(4 * 3600)

    active_with_one_number(sandbox)


def test_a_request_doubled_on_the_way_is_not_taken_for_a_sale_to_somebody_else(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.buy", "twice", times=1)

    sandbox.deliver("checkout.completed")
    sandbox.settle(3600)

    active_with_one_number(sandbox)


def test_a_request_doubled_on_the_way_with_a_lagging_list_is_found_in_the_end(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.buy", "twice", times=1, lag_seconds=20)

    sandbox.deliver("checkout.completed")
    sandbox.settle(3600)

    active_with_one_number(sandbox)


def test_a_number_taken_meanwhile_is_replaced_by_the_next_candidate(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.buy", "taken", times=1)

    sandbox.deliver("checkout.completed")
    sandbox.settle(3600)

    active_with_one_number(sandbox)
    assert statuses(sandbox) == [IntentStatus.REFUSED, IntentStatus.OWNED]


def test_after_three_candidates_a_person_is_asked(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.buy", "taken", times=9)

    sandbox.deliver("checkout.completed")
    sandbox.settle(3600)

    assert sandbox.export()["blocked"] == "no_numbers"
    assert statuses(sandbox) == [IntentStatus.REFUSED] * 3
    assert sandbox.purchases() == []


def test_a_rate_limit_is_waited_out_with_the_same_number(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.buy", "rate_limit", times=2, retry_after=7)

    sandbox.deliver("checkout.completed")
    sandbox.settle(3600)

    active_with_one_number(sandbox)
    assert statuses(sandbox) == [IntentStatus.OWNED]


def test_refused_credentials_hold_everybody_back_and_all_go_on_by_themselves(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.search", "unauthorized", times=1)
    sandbox.deliver("checkout.completed", "acme")
    sandbox.settle(1)
    assert sandbox.export()["blocked"] == "provider_credentials"
    sandbox.deliver("checkout.completed", "beta")
    sandbox.settle(1)
    assert sandbox.export("beta")["blocked"] == "provider_credentials"

    sandbox.wait(seconds=61)
    sandbox.probe()
    sandbox.settle(60)

    active_with_one_number(sandbox, "acme")
    active_with_one_number(sandbox, "beta")


def test_an_unclear_answer_then_a_clean_refusal_of_the_repeat_still_proves_the_first(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.buy", "lost_after", times=1, lag_seconds=200)
    sandbox.fault("twilio.buy", "error_before", times=1, status=503, after_calls=1)

    sandbox.deliver("checkout.completed")
    sandbox.settle(4 * 3600)

    active_with_one_number(sandbox)


def test_a_cancellation_during_an_unclear_purchase_leaves_nothing_behind(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.buy", "lost_after", times=1, lag_seconds=100)
    sandbox.deliver("checkout.completed")
    sandbox.turn()

    sandbox.deliver("subscription.deleted")
    sandbox.wait(days=32)

    assert sandbox.export()["state"] == "released", sandbox.timeline()
    assert sandbox.numbers() == []
    assert sandbox.entries() == []


def test_an_exact_number_that_is_taken_is_never_replaced_by_another(sandbox: Sandbox) -> None:
    number = sandbox.for_sale()
    sandbox.fault("twilio.buy", "taken", times=1)

    sandbox.deliver("checkout.completed", metadata={"phone_number": number})
    sandbox.settle(3600)

    assert sandbox.export()["blocked"] == "number_taken"
    assert sandbox.purchases() == []


def test_an_exact_number_in_the_account_under_another_name_is_never_touched(sandbox: Sandbox) -> None:
    placed = sandbox.world.place_numbers({"friendly_name": "front desk"})[0]

    sandbox.deliver("checkout.completed", metadata={"phone_number": placed["phone_number"]})
    sandbox.settle(3600)

    assert sandbox.export()["blocked"] == "number_taken"
    assert [(number["sid"], number["friendly_name"]) for number in sandbox.numbers()] == [
        (placed["sid"], "front desk")
    ]
    assert sandbox.calls("twilio.buy") == 0


def test_the_hourly_cap_lets_tenants_wait_and_go_on_by_themselves(capped: Sandbox) -> None:
    for key in ("acme", "beta", "gamma"):
        capped.deliver("checkout.completed", key)
    capped.settle(60)
    assert sorted(str(capped.export(key)["blocked"]) for key in ("acme", "beta", "gamma")) == [
        "None",
        "None",
        "spend_cap",
    ]

    capped.settle(2 * 3600)

    for key in ("acme", "beta", "gamma"):
        active_with_one_number(capped, key)


def test_a_missing_assistant_stops_the_purchase_and_its_coming_lets_it_go_on(sandbox: Sandbox) -> None:
    assistant_id = "b0b0b0b0-0000-4000-8000-000000000001"
    sandbox.deliver("checkout.completed", metadata={"assistant_id": assistant_id})
    sandbox.settle(30)
    assert sandbox.export()["blocked"] == "needs_assistant"
    assert sandbox.calls("twilio.buy") == 0

    sandbox.world.add_assistant({"id": assistant_id, "name": "late"})
    sandbox.settle(3600)

    active_with_one_number(sandbox)


def test_an_option_that_makes_no_sense_is_named_and_its_correction_goes_on(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed", metadata={"area_code": "banana"})
    sandbox.settle(60)
    assert sandbox.export()["blocked"] == "options_invalid"
    assert "area_code" in (sandbox.tenant().block or pytest.fail("no block")).message

    sandbox.operate("set", {"area_code": "415"})
    sandbox.settle(60)

    active_with_one_number(sandbox)


def test_a_crash_between_the_committed_intent_and_the_post_goes_on_with_the_same_number(sandbox: Sandbox) -> None:
    sandbox.crash_at("twilio.buy", before=True)
    sandbox.deliver("checkout.completed")
    assert sandbox.turn_and_crash()

    sandbox.restart()
    sandbox.settle(3600)

    active_with_one_number(sandbox)
    assert len(set(statuses(sandbox))) == 1


def test_a_crash_after_the_purchase_before_its_record_adopts_the_number(sandbox: Sandbox) -> None:
    sandbox.crash_at("twilio.buy", before=False)
    sandbox.deliver("checkout.completed")
    assert sandbox.turn_and_crash()

    sandbox.restart()
    sandbox.settle(3600)

    active_with_one_number(sandbox)


@pytest.mark.parametrize("operation", ["twilio.search", "twilio.list", "twilio.buy", "twilio.fetch", "vapi.list",
                                       "vapi.import", "vapi.get", "vapi.assign", "vapi.assistant"])  # fmt: skip
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("nth", [1, 2])
def test_a_crash_at_any_call_ends_in_one_active_number(
    sandbox: Sandbox, operation: str, before: bool, nth: int
) -> None:
    sandbox.crash_at(operation, before=before, nth=nth)
    sandbox.deliver("checkout.completed")
    sandbox.turn_and_crash()

    sandbox.restart()
    sandbox.settle(4 * 3600)

    active_with_one_number(sandbox)


def test_a_country_that_wants_an_address_waits_for_it_and_is_shown_the_configured_one(sandbox: Sandbox) -> None:
    number = {"country": "ZA", "number_type": "local"}
    sandbox.deliver("checkout.completed", metadata=number)
    sandbox.settle(60)
    assert sandbox.export()["blocked"] in ("needs_address", "no_numbers")
    assert sandbox.purchases() == []

    sandbox.show_papers(
        "ZA", "local", CustomerName="Acme", Street="1 Long St", City="Cape Town", Region="WC", PostalCode="8001"
    )
    sandbox.operate("retry")
    sandbox.settle(600)

    active_with_one_number(sandbox)
    assert sandbox.purchases()[0]["number"].startswith("+27")
