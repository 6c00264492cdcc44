"""What chaos found about pauses that were none: a provider in trouble is asked again after a while, not at once."""

from __future__ import annotations

import pytest

from gateway.simulator import defaults
from gateway.simulator.wire import Request
from tests.stories.sandbox import Sandbox


def calls(sandbox: Sandbox) -> int:
    return sum(sandbox.world.calls().values())


@pytest.mark.parametrize("kind", ["error_before", "lost_before", "rate_limit", "unauthorized"])
def test_a_look_at_something_held_that_gets_no_answer_is_repeated_after_growing_pauses(
    sandbox: Sandbox, kind: str
) -> None:
    sandbox.deliver("checkout.completed")
    sandbox.settle(60)
    sandbox.wait(seconds=1200)
    sandbox.delete_entry(sandbox.export()["vapi_id"])
    sandbox.reconcile()
    sandbox.fault("vapi.*", kind, times=None)
    before = calls(sandbox)

    sandbox.settle(120)

    assert calls(sandbox) - before < 12
    sandbox.world.clear_faults()
    sandbox.wait(seconds=1200)
    sandbox.probe()
    sandbox.settle(3600)
    assert sandbox.export()["state"] == "active"


def test_an_entry_that_is_gone_and_still_listed_is_not_looked_at_without_a_pause(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed")
    sandbox.settle(60)
    sandbox.wait(seconds=1200)
    sandbox.fault("vapi.delete", "list_lag", seconds=60)
    path = f"/phone-number/{sandbox.export()['vapi_id']}"
    sandbox.world.handle(Request("DELETE", path, "", b"", f"Bearer {defaults.VAPI_KEY}"))
    before = calls(sandbox)

    sandbox.deliver("subscription.paused")
    sandbox.settle(1800)

    assert calls(sandbox) - before < 400
    assert (sandbox.export()["state"], sandbox.entries()) == ("suspended", [])
