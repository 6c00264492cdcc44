"""Whole lives: paid, late, suspended, back, canceled, gone, and back again."""

from __future__ import annotations

import pytest

from gateway.domain.model import Hold
from tests.stories.sandbox import Sandbox

CALLS = ("twilio.release", "vapi.delete", "vapi.assign", "vapi.list", "vapi.get", "twilio.list", "twilio.fetch")


def spoken(sandbox: Sandbox) -> list[str]:
    """The sentences that callers hear instead of the assistant."""
    return [
        action["exact"] for entry in sandbox.entries() for hook in entry.get("hooks") or [] for action in hook["do"]
    ]


def sign_up(sandbox: Sandbox) -> str:
    sandbox.deliver("checkout.completed")
    sandbox.deliver("subscription.created")
    sandbox.settle(60)
    tenant = sandbox.export()
    assert tenant["state"] == "active"
    return str(tenant["phone_number"])


def nothing_is_left(sandbox: Sandbox) -> None:
    assert sandbox.export()["state"] == "released", sandbox.timeline()
    assert sandbox.export()["phone_number"] is None
    assert sandbox.numbers() == []
    assert sandbox.entries() == []


def test_a_failed_payment_suspends_after_its_grace_and_recovers_with_the_same_number(sandbox: Sandbox) -> None:
    number = sign_up(sandbox)
    sandbox.wait(days=30)
    sandbox.deliver("invoice.payment_failed")
    sandbox.wait(days=6.9)
    assert sandbox.export()["state"] == "active"

    sandbox.wait(days=0.2)
    assert sandbox.export()["state"] == "suspended"
    assert spoken(sandbox) == [sandbox.settings.signup.suspended_message]

    sandbox.deliver("invoice.paid")
    sandbox.settle(60)

    assert sandbox.export()["state"] == "active"
    assert sandbox.export()["phone_number"] == number
    assert spoken(sandbox) == []
    assert len(sandbox.purchases()) == 1


def test_a_cancellation_suspends_and_releases_after_its_waiting_time(sandbox: Sandbox) -> None:
    number = sign_up(sandbox)
    sandbox.deliver("subscription.deleted")
    sandbox.settle(60)
    assert sandbox.export()["state"] == "suspended"
    assert sandbox.export()["phone_number"] == number
    assert spoken(sandbox) == [sandbox.settings.signup.suspended_message]

    sandbox.wait(days=29.9)
    assert sandbox.export()["state"] == "suspended"
    sandbox.wait(days=0.2)

    nothing_is_left(sandbox)


def test_a_return_within_the_waiting_time_keeps_the_number(sandbox: Sandbox) -> None:
    number = sign_up(sandbox)
    sandbox.deliver("subscription.deleted")
    sandbox.wait(days=20)

    sandbox.deliver("checkout.completed", set={"subscription": "sub_second"})
    sandbox.wait(days=40)

    assert sandbox.export()["state"] == "active"
    assert sandbox.export()["phone_number"] == number
    assert spoken(sandbox) == []


def test_a_return_after_the_release_is_a_new_generation_with_one_new_number(sandbox: Sandbox) -> None:
    sign_up(sandbox)
    sandbox.deliver("subscription.deleted")
    sandbox.wait(days=32)
    nothing_is_left(sandbox)

    sandbox.deliver("checkout.completed", set={"subscription": "sub_second"})
    sandbox.settle(600)

    tenant = sandbox.export()
    assert tenant["state"] == "active"
    assert len(tenant["friendly_names"]) == 2
    assert [number["friendly_name"] for number in sandbox.numbers()] == [tenant["friendly_names"][1]]


def test_a_return_after_the_delete_was_sent_first_finishes_the_release(sandbox: Sandbox) -> None:
    number = sign_up(sandbox)
    sandbox.fault("twilio.release", "lost_after", times=1)
    sandbox.operate("hold", Hold.RELEASE)
    sandbox.work()
    assert sandbox.export()["state"] == "releasing"

    sandbox.operate("hold", None)
    sandbox.wait(days=1)

    tenant = sandbox.export()
    assert tenant["state"] == "active"
    assert len(tenant["friendly_names"]) == 2
    assert [each["phone_number"] for each in sandbox.numbers()] == [tenant["phone_number"]]
    assert number not in [each["phone_number"] for each in sandbox.numbers()] or number == tenant["phone_number"]


def test_a_return_while_every_delete_was_clearly_not_processed_keeps_the_number(sandbox: Sandbox) -> None:
    number = sign_up(sandbox)
    sandbox.fault("twilio.release", "rate_limit", times=1, retry_after=120)
    sandbox.operate("hold", Hold.RELEASE)
    sandbox.work()
    assert sandbox.calls("twilio.release") == 1

    sandbox.operate("hold", None)
    sandbox.settle(600)

    assert sandbox.export()["state"] == "active"
    assert sandbox.export()["phone_number"] == number
    assert len(sandbox.export()["friendly_names"]) == 1


@pytest.mark.parametrize("kind", ["lost_before", "lost_after", "error_before", "error_after", "rate_limit", "twice"])
@pytest.mark.parametrize("operation", ["twilio.release", "vapi.delete", "vapi.assign", "twilio.list", "vapi.list"])
def test_a_release_with_any_answer_lost_leaves_nothing_behind(sandbox: Sandbox, operation: str, kind: str) -> None:
    sign_up(sandbox)
    sandbox.fault(operation, kind, times=2)

    sandbox.deliver("subscription.deleted")
    sandbox.wait(days=32)

    nothing_is_left(sandbox)


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_crash_at_any_call_of_a_release_leaves_nothing_behind(
    sandbox: Sandbox, operation: str, before: bool
) -> None:
    sign_up(sandbox)
    sandbox.operate("hold", Hold.RELEASE)
    sandbox.crash_at(operation, before=before)
    sandbox.turn_and_crash(4000)

    sandbox.restart()
    sandbox.wait(days=1)

    nothing_is_left(sandbox)


@pytest.mark.parametrize("operation", ["vapi.import", "vapi.assign", "vapi.list", "vapi.get", "twilio.fetch"])
@pytest.mark.parametrize(
    "kind", ["lost_before", "lost_after", "error_before", "error_after", "rate_limit", "twice", "html", "truncated"]
)
@pytest.mark.parametrize("policy", ["refuse", "allow", "conflict"])
def test_import_and_assignment_survive_any_lost_answer(
    sandbox: Sandbox, operation: str, kind: str, policy: str
) -> None:
    sandbox.world.set_policies({"import_twice": policy})
    sandbox.fault(operation, kind, times=2)

    sandbox.deliver("checkout.completed")
    sandbox.settle(4 * 3600)
    sandbox.reconcile_and_settle()

    tenant = sandbox.export()
    assert tenant["state"] == "active", sandbox.timeline()
    assert [(entry["id"], entry["assistantId"]) for entry in sandbox.entries()] == [
        (tenant["vapi_id"], tenant["assistant_id"])
    ]
    assert len(sandbox.purchases()) == 1


def test_an_import_that_lands_after_its_repeat_leaves_one_entry(sandbox: Sandbox) -> None:
    sandbox.world.set_policies({"import_twice": "allow"})
    sandbox.fault("vapi.import", "late_effect", times=1, seconds=500)

    sandbox.deliver("checkout.completed")
    sandbox.settle(4 * 3600)

    assert sandbox.export()["state"] == "active"
    assert [entry["id"] for entry in sandbox.entries()] == [sandbox.export()["vapi_id"]]


def test_an_assignment_that_lands_after_the_suspension_does_not_let_calls_through(sandbox: Sandbox) -> None:
    sandbox.fault("vapi.assign", "late_effect", times=1, seconds=400)
    sandbox.deliver("checkout.completed")
    sandbox.settle(5)
    sandbox.operate("hold", Hold.SUSPEND)

    sandbox.settle(4 * 3600)

    assert sandbox.export()["state"] == "suspended"
    assert spoken(sandbox) == [sandbox.settings.signup.suspended_message]


def test_another_assistant_is_assigned_when_the_signup_changes_it(sandbox: Sandbox) -> None:
    sign_up(sandbox)
    second = "b0b0b0b0-0000-4000-8000-000000000002"
    sandbox.world.add_assistant({"id": second, "name": "second"})

    sandbox.operate("set", {"assistant_id": second})
    sandbox.settle(60)

    assert sandbox.export()["state"] == "active"
    assert [entry["assistantId"] for entry in sandbox.entries()] == [second]


def test_an_unpaid_checkout_buys_nothing_until_its_money_comes(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed", set={"payment_status": "unpaid"})
    sandbox.deliver("subscription.created")
    sandbox.settle(3600)
    assert sandbox.purchases() == []

    sandbox.deliver("checkout.async_payment_succeeded")
    sandbox.settle(60)

    assert sandbox.export()["state"] == "active"


def test_a_tenant_that_is_canceled_before_anything_was_bought_is_released_at_once(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed")
    sandbox.deliver("subscription.deleted")
    sandbox.settle(60)

    assert sandbox.export()["state"] == "released"
    assert sandbox.purchases() == []


def test_a_number_whose_entry_was_deleted_by_hand_is_imported_again(sandbox: Sandbox) -> None:
    sign_up(sandbox)
    sandbox.delete_entry(str(sandbox.export()["vapi_id"]))
    sandbox.wait(seconds=700)

    sandbox.reconcile()
    sandbox.settle(600)

    tenant = sandbox.export()
    assert tenant["state"] == "active"
    assert [entry["id"] for entry in sandbox.entries()] == [tenant["vapi_id"]]


def test_a_number_that_was_deleted_by_hand_is_reported_and_never_bought_again(sandbox: Sandbox) -> None:
    sign_up(sandbox)
    sandbox.delete_number(str(sandbox.export()["twilio_sid"]))
    sandbox.wait(seconds=700)

    report = sandbox.reconcile()
    sandbox.settle(3600)

    assert [drift.code for drift in report.drifts] == ["number_missing"]
    assert sandbox.export()["blocked"] == "ambiguous"
    assert len(sandbox.purchases()) == 1


def test_a_number_that_bears_another_name_meanwhile_is_not_released(sandbox: Sandbox) -> None:
    sign_up(sandbox)
    sandbox.rename_number(str(sandbox.export()["twilio_sid"]), "front desk")

    sandbox.deliver("subscription.deleted")
    sandbox.wait(days=40)

    assert [number["friendly_name"] for number in sandbox.numbers()] == ["front desk"]
    assert sandbox.export()["blocked"] == "ambiguous"


def test_an_entry_with_settings_of_its_own_is_not_overwritten_for_ever(sandbox: Sandbox) -> None:
    sign_up(sandbox)
    sandbox.change_entry(str(sandbox.export()["vapi_id"]), squadId="5a5a5a5a-0000-4000-8000-00000000000f")
    sandbox.operate("redo")

    sandbox.settle(3600)

    assert sandbox.export()["blocked"] == "provider_refused"
    assert sandbox.calls("vapi.assign") < 12


def test_a_number_whose_calls_went_nowhere_is_put_right_by_itself(sandbox: Sandbox) -> None:
    """Somebody cleared it at Twilio's console, and nobody said anything."""
    number = sign_up(sandbox)
    sandbox.set_voice_url("")

    sandbox.reconcile_and_settle()

    assert (sandbox.export()["state"], sandbox.export()["phone_number"]) == ("active", number)
    assert "vapi.ai" in sandbox.numbers()[0]["voice_url"]
    assert len(sandbox.entries()) == len(sandbox.purchases()) == 1
