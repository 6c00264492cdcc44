"""Two workers on one tenant: one was paused beyond its lease and wakes up in the middle of the other's work."""

from __future__ import annotations

import pytest

from tests.stories.sandbox import Sandbox

LEASE_SECONDS = 60


def test_a_worker_that_lost_its_lease_before_a_call_makes_no_call(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed")
    paused = sandbox.claim("worker-1")
    sandbox.clock.at_ms += (LEASE_SECONDS + 1) * 1000
    sandbox.settle(60)
    calls = sum(sandbox.world.calls().values())

    sandbox.advance(paused)

    assert sum(sandbox.world.calls().values()) == calls
    assert len(sandbox.purchases()) == 1
    assert sandbox.export()["state"] == "active"


@pytest.mark.parametrize("operation", ["twilio.search", "twilio.list", "twilio.buy", "vapi.import", "vapi.assign"])
@pytest.mark.parametrize("pause_seconds", [LEASE_SECONDS + 1, 2 * 3600], ids=["a lease", "hours"])
@pytest.mark.parametrize("policy", ["refuse", "update"])
def test_a_worker_paused_in_a_call_while_another_finishes_buys_nothing_more(
    sandbox: Sandbox, operation: str, pause_seconds: int, policy: str
) -> None:
    sandbox.world.set_policies({"buy_owned": policy})
    sandbox.deliver("checkout.completed")

    def another_worker() -> None:
        sandbox.clock.at_ms += pause_seconds * 1000
        sandbox.settle(3600)

    sandbox.meanwhile(operation, another_worker)
    sandbox.settle(3600)

    tenant = sandbox.export()
    assert tenant["state"] == "active", sandbox.timeline()
    held = [number["phone_number"] for number in sandbox.numbers()]
    assert held == [tenant["phone_number"]]
    assert len({sold["number"] for sold in sandbox.purchases()}) == 1


def test_a_cancellation_that_comes_during_a_search_stops_the_purchase(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed")
    sandbox.meanwhile("twilio.search", lambda: apply_news(sandbox, "subscription.deleted"))

    sandbox.settle(600)

    assert sandbox.export()["state"] == "released"
    assert sandbox.calls("twilio.buy") == 0


@pytest.mark.parametrize("operation", ["twilio.buy", "vapi.import", "vapi.assign", "twilio.fetch", "vapi.get"])
def test_a_cancellation_that_comes_during_any_call_ends_with_nothing_left_over(
    sandbox: Sandbox, operation: str
) -> None:
    sandbox.deliver("checkout.completed")
    sandbox.meanwhile(operation, lambda: apply_news(sandbox, "subscription.deleted"))

    sandbox.settle(600)
    assert sandbox.export()["state"] in ("suspended", "released")
    sandbox.wait(days=32)

    assert sandbox.export()["state"] == "released", sandbox.timeline()
    assert sandbox.numbers() == []
    assert sandbox.entries() == []


def apply_news(sandbox: Sandbox, name: str) -> None:
    """The event is received and applied while the tenant is under another worker's lease."""
    sandbox.deliver(name)
    assert sandbox.claim("worker-2") == []
