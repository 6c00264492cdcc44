"""An older copy of the SQLite file in its place, put there by hand: seen to be one, and nothing is bought twice."""

from __future__ import annotations

import pytest

from gateway.domain.model import Hold
from gateway.errors import ProviderError
from gateway.flow import operate
from tests.chaos.imagined import sign_again
from tests.stories.sandbox import Sandbox

WHO = operate.Operator("tester", "a story")
pytestmark = pytest.mark.sqlite_file


def tell(sandbox: Sandbox, *names: str) -> list[dict[str, object]]:
    told = []
    for name in names:
        event = sandbox.event(name)
        told.append(event)
        sandbox.send(event)
        sandbox.settle()
        sandbox.wait(seconds=5)
    return told


def tell_again(sandbox: Sandbox, told: list[dict[str, object]]) -> None:
    for event in told:
        sandbox.send(sign_again(event, sandbox.clock.at_ms))


def come_to_rest(sandbox: Sandbox) -> None:
    for _ in range(3):
        sandbox.reconcile_and_settle()


def assert_one_number(sandbox: Sandbox, state: str = "active") -> None:
    line = sandbox.export()
    assert (line["state"], line["blocked"]) == (state, None), sandbox.timeline()
    assert [number["phone_number"] for number in sandbox.numbers()] == [line["phone_number"]]


def test_a_customer_who_left_and_came_back_in_time_keeps_the_number(sandbox: Sandbox) -> None:
    backup = sandbox.back_up()
    told = tell(sandbox, "checkout.completed", "subscription.created", "subscription.deleted")
    sandbox.wait(days=2)
    told += tell(sandbox, "checkout.completed", "subscription.created")
    sandbox.wait(days=1)

    sandbox.put_back(backup)
    tell_again(sandbox, told)
    come_to_rest(sandbox)

    assert_one_number(sandbox)
    assert len(sandbox.purchases()) == 1
    assert sandbox.tenant().generation == 1


def test_a_list_that_lags_hides_no_purchase_of_the_minute_before(sandbox: Sandbox) -> None:
    backup = sandbox.back_up()
    sandbox.fault("twilio.buy", "list_lag", seconds=60)
    told = tell(sandbox, "checkout.completed")

    sandbox.put_back(backup)
    tell_again(sandbox, told)
    sandbox.settle(30)
    come_to_rest(sandbox)

    assert_one_number(sandbox)
    assert len(sandbox.purchases()) == 1


def test_who_ended_meanwhile_is_released_for_good(sandbox: Sandbox) -> None:
    backup = sandbox.back_up()
    told = tell(sandbox, "checkout.completed", "subscription.created")
    ended = sandbox.event("subscription.deleted")
    sandbox.wait(days=1)

    sandbox.put_back(backup)
    tell_again(sandbox, [*told, ended])
    come_to_rest(sandbox)
    sandbox.wait(days=40)
    come_to_rest(sandbox)

    assert sandbox.export()["state"] == "released"
    assert sandbox.numbers() == []
    assert sandbox.entries() == []


def test_who_is_suspended_now_is_silenced_although_the_copy_knows_of_no_import(sandbox: Sandbox) -> None:
    backup = sandbox.back_up()
    told = tell(sandbox, "checkout.completed", "subscription.created")
    paused = sandbox.event("subscription.paused")
    sandbox.wait(days=1)

    sandbox.put_back(backup)
    tell_again(sandbox, [*told, paused])
    come_to_rest(sandbox)

    assert_one_number(sandbox, "suspended")
    assert sandbox.entries()[0]["hooks"]


def test_an_ordinary_start_holds_nothing_back(sandbox: Sandbox) -> None:
    for _ in range(3):
        sandbox.back_up()
        (sandbox.folder / "backup.db").unlink()
        sandbox.restart()

    sandbox.deliver("checkout.completed")
    sandbox.settle(60)

    assert_one_number(sandbox)


# --- adopting --------------------------------------------------------------------------------------------------------


def test_a_lost_answer_to_the_renaming_of_an_adopted_number_loses_neither_tenant_nor_number(sandbox: Sandbox) -> None:
    tell(sandbox, "checkout.completed", "subscription.created", "subscription.deleted")
    sandbox.wait(days=40)
    assert sandbox.export()["state"] == "released"
    spare = sandbox.world.place_numbers({"friendly_name": "Spare", "voice_url": ""})[0]
    sandbox.fault("twilio.update", "lost_after", times=1)
    with pytest.raises(ProviderError):
        operate.adopt(sandbox.gateway.steps, "acme", spare["sid"], WHO)
    sandbox.settle(600)

    operate.adopt(sandbox.gateway.steps, "acme", spare["sid"], WHO)
    sandbox.settle(600)

    assert_one_number(sandbox)
    assert sandbox.export()["phone_number"] == spare["phone_number"]


def test_a_number_that_was_imported_by_hand_is_silenced_when_a_suspended_tenant_adopts_it(sandbox: Sandbox) -> None:
    tell(sandbox, "checkout.completed", "subscription.created")
    line = sandbox.export()
    sandbox.rename_number(line["twilio_sid"], "Front desk")
    sandbox.change_entry(line["vapi_id"], name="Front desk")
    with sandbox.database.transaction() as tx:
        operate.add(tx, "beta", {}, sandbox.gateway.rules, WHO, sandbox.clock.at_ms)
        operate.hold(tx, "beta", Hold.SUSPEND, sandbox.gateway.rules, WHO, sandbox.clock.at_ms)
    sandbox.settle(60)
    with sandbox.database.transaction() as tx:
        tx.do("UPDATE intents SET status = 'dropped' WHERE tenant_id = 1")

    operate.adopt(sandbox.gateway.steps, "beta", line["twilio_sid"], WHO)
    sandbox.settle(600)

    assert sandbox.export("beta")["state"] == "suspended"
    assert sandbox.entries()[0]["hooks"]
