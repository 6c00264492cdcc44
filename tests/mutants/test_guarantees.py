"""One story for each guarantee that a single wrong line would break; `test_mutants.py` breaks the lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gateway import wiring
from gateway.domain.model import Delivery
from gateway.flow.receive import read_verified
from gateway.simulator.wire import Reply, Request
from gateway.store import leases, ledger
from tests.stories.sandbox import DAY, CrashingWorld, Sandbox

LEASE_MS = 60_000
SETTLE_MS = 600_000
TIMEOUT_MS = 15_000


class TravellingWorld(CrashingWorld):
    """A world whose answers can take their time: what they tell was true when they set out."""

    on_the_way_back: tuple[str, Callable[[], None]] | None = None

    def handle(self, request: Request) -> Reply:
        reply = super().handle(request)
        plan = self.on_the_way_back
        if plan is not None and self._operation(request) == plan[0]:
            self.on_the_way_back = None
            plan[1]()
        return reply


@pytest.fixture
def travelling(sandbox: Sandbox) -> TravellingWorld:
    """The sandbox's world, before anything was asked of it."""
    world = TravellingWorld(now=sandbox.clock.now_ms, **wiring.world_options(sandbox.settings))
    sandbox.world.close()
    sandbox.world = world
    return world


def assert_one_purchase_for_an_active_tenant(sandbox: Sandbox) -> None:
    tenant = sandbox.export()
    assert tenant["state"] == "active", sandbox.timeline()
    assert [sold["number"] for sold in sandbox.purchases()] == [tenant["phone_number"]]
    assert [number["phone_number"] for number in sandbox.numbers()] == [tenant["phone_number"]]


def test_nothing_is_acknowledged_while_its_commit_has_not_come(sandbox: Sandbox) -> None:
    event = sandbox.event("checkout.completed")
    headers = {name.lower(): value for name, value in event["headers"].items()}
    delivery = Delivery("stripe", headers, event["body"].encode(), sandbox.clock.at_ms)
    incoming = read_verified(sandbox.gateway.sources["stripe"], delivery, sandbox.clock.at_ms)
    answers: list[Any] = []

    with sandbox.database.transaction():
        # Nothing else can be committed while this transaction is open.
        sandbox.gateway.intake.submit(incoming, answers.append)
        answered_at_once = list(answers)
    sandbox.gateway.intake.close()

    assert answered_at_once == []
    assert [answer.accepted for answer in answers] == [1]


def test_a_crash_in_a_purchase_that_no_list_shows_yet_leads_to_no_other_number(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.buy", "list_lag", seconds=400)
    sandbox.crash_at("twilio.buy", before=False)
    sandbox.deliver("checkout.completed")
    assert sandbox.turn_and_crash()

    sandbox.restart()
    sandbox.settle(3 * 3600)

    assert_one_purchase_for_an_active_tenant(sandbox)


def test_a_worker_that_lost_its_lease_in_a_call_stores_nothing_of_what_it_learns(sandbox: Sandbox) -> None:
    def the_lease_goes_to_another() -> None:
        sandbox.clock.at_ms += LEASE_MS + 1000
        assert len(sandbox.claim("worker-2")) == 1

    sandbox.deliver("checkout.completed")
    sandbox.meanwhile("twilio.buy", the_lease_goes_to_another)

    sandbox.turn("worker-1")

    assert len(sandbox.purchases()) == 1
    assert sandbox.query(lambda tx: ledger.refs(tx, "number")) == {}
    sandbox.settle(3 * 3600)
    assert_one_purchase_for_an_active_tenant(sandbox)


def test_a_number_that_no_list_shows_yet_is_not_replaced_by_another(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.buy", "lost_after", lag_seconds=400)
    sandbox.deliver("checkout.completed")

    sandbox.settle(3 * 3600)

    assert_one_purchase_for_an_active_tenant(sandbox)


@pytest.mark.parametrize("kind", ["lost_before", "lost_after", "error_after", "truncated"])
def test_a_request_without_a_clear_answer_is_not_sent_again_before_a_look(sandbox: Sandbox, kind: str) -> None:
    sandbox.fault("twilio.buy", kind)
    sandbox.deliver("checkout.completed")

    sandbox.turn()

    assert sandbox.calls("twilio.buy") == 1


def test_a_number_that_is_somebody_elses_by_now_is_not_given_back(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed")
    sandbox.settle(60)
    sandbox.rename_number(sandbox.export()["twilio_sid"], "Sales hotline")
    sandbox.deliver("subscription.deleted")

    sandbox.wait(days=40)

    assert [number["friendly_name"] for number in sandbox.numbers()] == ["Sales hotline"]
    assert sandbox.export()["blocked"] == "ambiguous"


def test_a_refused_repeat_does_not_speak_for_the_post_before_it(sandbox: Sandbox) -> None:
    # The first POST buys, its answer is lost and lists lag; the second is told that the number is not for sale.
    sandbox.fault("twilio.buy", "lost_after", lag_seconds=400)
    sandbox.deliver("checkout.completed")

    sandbox.settle(3 * 3600)

    assert sandbox.calls("twilio.buy") > 1
    assert_one_purchase_for_an_active_tenant(sandbox)


def test_a_number_of_somebody_else_in_the_account_is_not_taken_by_buying_it(sandbox: Sandbox) -> None:
    sandbox.world.set_policies({"buy_owned": "update"})
    placed = sandbox.world.place_numbers({"friendly_name": "Sales hotline"})[0]
    before = sandbox.numbers()

    sandbox.deliver("checkout.completed", metadata={"phone_number": placed["phone_number"]})
    sandbox.settle(3600)

    assert sandbox.numbers() == before
    assert sandbox.calls("twilio.buy") == 0
    assert sandbox.export()["blocked"] == "number_taken"


def test_a_look_that_began_before_the_settle_time_proves_nothing(
    sandbox: Sandbox, travelling: TravellingWorld
) -> None:
    bought_late_ms = SETTLE_MS - 5_000
    sandbox.fault("twilio.buy", "late_effect", seconds=bought_late_ms / 1000)
    sandbox.deliver("checkout.completed")
    began_ms = sandbox.clock.at_ms
    sandbox.turn()
    sandbox.deliver("subscription.deleted")
    sandbox.turn()

    # The look sets out before the purchase lands, and is back when it would prove that there was none.
    sandbox.clock.at_ms = began_ms + bought_late_ms - 1_000
    with sandbox.database.transaction() as tx:
        leases.wake(tx, sandbox.tenant().id, sandbox.clock.at_ms)
    travelling.on_the_way_back = ("twilio.list", lambda: travel(sandbox, began_ms + SETTLE_MS + TIMEOUT_MS + 1_000))
    sandbox.turn()
    assert travelling.on_the_way_back is None
    sandbox.wait(days=40)

    assert sandbox.numbers() == []
    assert len(sandbox.purchases()) == 1
    assert sandbox.export()["state"] == "released"


def test_a_purchase_that_lands_the_settle_time_after_its_deadline_is_not_left_over(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.buy", "late_effect", seconds=(SETTLE_MS + TIMEOUT_MS - 1_000) / 1000)
    sandbox.deliver("checkout.completed")
    sandbox.turn()

    sandbox.deliver("subscription.deleted")
    sandbox.wait(days=40)

    assert len(sandbox.purchases()) == 1
    assert sandbox.numbers() == []
    assert sandbox.export()["state"] == "released"


def test_a_removal_that_lands_after_the_customer_came_back_is_noticed_and_put_right(sandbox: Sandbox) -> None:
    sandbox.fault("vapi.delete", "late_effect", seconds=300)
    sandbox.deliver("checkout.completed")
    sandbox.deliver("subscription.created")
    sandbox.settle(60)
    sandbox.deliver("subscription.deleted")
    while sandbox.calls("vapi.delete") == 0:
        sandbox.settle(DAY)
        sandbox.clock.at_ms = sandbox.next_due_ms() or sandbox.clock.at_ms
        sandbox.turn()

    sandbox.deliver("checkout.completed")
    sandbox.wait(seconds=3 * 3600)

    assert_one_purchase_for_an_active_tenant(sandbox)
    assert [entry["number"] for entry in sandbox.entries()] == [sandbox.export()["phone_number"]]


def travel(sandbox: Sandbox, until_ms: int) -> None:
    sandbox.clock.at_ms = until_ms
