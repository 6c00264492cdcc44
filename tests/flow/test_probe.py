"""After refused credentials one call a minute asks again, over all processes, and then everybody goes on."""

from __future__ import annotations

import pytest

from gateway.domain.model import Blocked
from gateway.flow.probe import probe_refusing
from gateway.store import providers
from gateway.store.providers import ProviderState
from tests.stories.sandbox import Sandbox

MINUTE = 60


def state(sandbox: Sandbox, name: str = "twilio") -> ProviderState | None:
    found: ProviderState | None = sandbox.query(providers.states).get(name)
    return found


def refused(sandbox: Sandbox, *keys: str, operation: str = "twilio.search") -> None:
    """These signed up while the provider refuses our credentials."""
    sandbox.fault(operation, "unauthorized", times=None)
    for key in keys:
        sandbox.deliver("checkout.completed", key)
    sandbox.settle(1)
    assert {sandbox.export(key)["blocked"] for key in keys} == {Blocked.PROVIDER_CREDENTIALS}


def test_one_refusal_holds_everybody_back_from_that_provider(sandbox: Sandbox) -> None:
    refused(sandbox, "acme", "beta", "gamma")

    assert sandbox.calls("twilio.search") == 1
    found = state(sandbox)
    assert found is not None
    assert (found.is_refusing, found.probe_at_ms) == (True, sandbox.clock.at_ms + MINUTE * 1000)


def test_nothing_is_asked_before_the_minute_is_over(sandbox: Sandbox) -> None:
    refused(sandbox, "acme")
    asked = sandbox.calls("twilio.account")
    sandbox.clock.at_ms += MINUTE * 1000 - 1

    assert sandbox.probe() == []
    assert sandbox.calls("twilio.account") == asked


def test_while_it_still_refuses_one_call_a_minute_is_made_and_nobody_else_calls(sandbox: Sandbox) -> None:
    refused(sandbox, "acme", "beta")
    sandbox.world.set_account("suspended")
    asked = sandbox.calls("twilio.account")

    for _ in range(5 * MINUTE):
        sandbox.clock.at_ms += 1000
        assert sandbox.probe() == []
        sandbox.turn()

    assert sandbox.calls("twilio.account") == asked + 5
    assert sandbox.calls("twilio.search") == 1
    assert sandbox.export()["blocked"] == Blocked.PROVIDER_CREDENTIALS


@pytest.mark.parametrize("kind", ["error_before", "lost_before", "rate_limit", "html"])
def test_a_probe_without_a_clear_answer_is_no_yes(sandbox: Sandbox, kind: str) -> None:
    refused(sandbox, "acme")
    sandbox.clock.at_ms += MINUTE * 1000
    sandbox.fault("twilio.account", kind, times=1)

    first = sandbox.probe()
    sandbox.clock.at_ms += MINUTE * 1000
    second = sandbox.probe()

    assert (first, second) == ([], ["twilio"])


@pytest.mark.parametrize("operation", ["twilio.search", "twilio.buy", "vapi.assistant", "vapi.import", "vapi.assign"])
def test_once_it_takes_us_again_everybody_goes_on(sandbox: Sandbox, operation: str) -> None:
    keys = ("acme", "beta", "gamma")
    refused(sandbox, *keys, operation=operation)
    sandbox.world.clear_faults()
    sandbox.clock.at_ms += MINUTE * 1000

    accepted = sandbox.probe()
    sandbox.settle(60)

    assert accepted == [operation.partition(".")[0]]
    assert [sandbox.export(key)["state"] for key in keys] == ["active"] * 3
    assert len(sandbox.purchases()) == 3


def test_a_refusal_in_the_middle_of_a_release_is_waited_out_too(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed")
    sandbox.settle(60)
    sandbox.deliver("subscription.deleted")
    sandbox.wait(days=29)
    sandbox.fault("twilio.release", "unauthorized", times=1)
    sandbox.wait(days=2)
    assert sandbox.export()["blocked"] == Blocked.PROVIDER_CREDENTIALS

    sandbox.probe()
    sandbox.wait(days=1)

    assert sandbox.export()["state"] == "released"
    assert sandbox.numbers() == []


def test_a_provider_that_cannot_be_probed_is_simply_tried_again(sandbox: Sandbox) -> None:
    with sandbox.database.transaction() as tx:
        providers.refuse(tx, "stripe", "no", sandbox.clock.at_ms, sandbox.clock.at_ms)

    assert sandbox.probe() == ["stripe"]


def test_without_a_refusal_nobody_is_asked(sandbox: Sandbox) -> None:
    before = sum(sandbox.world.calls().values())

    assert probe_refusing(sandbox.gateway.steps) == []
    assert sum(sandbox.world.calls().values()) == before
