"""Addresses put on file by hand: each once, whoever asks, and whatever becomes of the answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.errors import Refused, TryLater, Unclear
from gateway.flow.papers import addresses, register_address
from gateway.ports import PostalAddress
from tests.stories.sandbox import Crash, Sandbox

ADDRESS = PostalAddress("Acme (Pty) Ltd", "1 Long Street", "Cape Town", "Western Cape", "8001", "ZA")


def on_file(sandbox: Sandbox) -> list[str]:
    return [address["sid"] for address in sandbox.world.state()["addresses"]]


def test_the_same_address_twice_is_registered_once(sandbox: Sandbox) -> None:
    first = register_address(sandbox.gateway.steps, ADDRESS)
    second = register_address(sandbox.gateway.steps, replace(ADDRESS, city="  CAPE   Town "))

    assert first == second
    assert first.address == ADDRESS
    assert on_file(sandbox) == [first.sid]


def test_nothing_of_an_address_can_be_read_from_its_tag(sandbox: Sandbox) -> None:
    made = register_address(sandbox.gateway.steps, ADDRESS)

    assert made.tag.startswith("rfa:")
    assert len(made.tag) <= 32
    assert "acme" not in made.tag.lower()


def test_addresses_are_listed_by_country(sandbox: Sandbox) -> None:
    steps = sandbox.gateway.steps
    home = register_address(steps, ADDRESS)
    abroad = register_address(steps, replace(ADDRESS, country="US"))

    assert [each.sid for each in addresses(steps)] == [abroad.sid, home.sid]
    assert addresses(steps, "ZA") == [home]


@pytest.mark.parametrize("kind", ["lost_after", "error_after", "truncated", "empty"])
def test_an_answer_that_is_lost_is_looked_for_and_not_asked_for_again(sandbox: Sandbox, kind: str) -> None:
    sandbox.fault("twilio.register", kind)

    made = register_address(sandbox.gateway.steps, ADDRESS)

    assert on_file(sandbox) == [made.sid]
    assert sandbox.calls("twilio.register") == 1


def test_one_that_is_not_there_yet_is_not_asked_for_again_until_it_cannot_come_any_more(sandbox: Sandbox) -> None:
    steps = sandbox.gateway.steps
    sandbox.fault("twilio.register", "late_effect", seconds=120)
    with pytest.raises(Unclear):
        register_address(steps, ADDRESS)

    with pytest.raises(TryLater):
        register_address(steps, ADDRESS)
    sandbox.clock.at_ms += 130_000
    made = register_address(steps, ADDRESS)

    assert on_file(sandbox) == [made.sid]
    assert sandbox.calls("twilio.register") == 1


def test_one_that_never_arrived_is_registered_once_that_is_certain(sandbox: Sandbox) -> None:
    steps = sandbox.gateway.steps
    sandbox.fault("twilio.register", "lost_before")
    with pytest.raises(Unclear):
        register_address(steps, ADDRESS)

    sandbox.clock.at_ms += steps.rules.settle_ms + steps.rules.provider_timeout_ms
    made = register_address(steps, ADDRESS)

    assert on_file(sandbox) == [made.sid]


def test_a_rate_limit_leaves_nothing_open(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.register", "rate_limit")
    with pytest.raises(TryLater):
        register_address(sandbox.gateway.steps, ADDRESS)

    assert register_address(sandbox.gateway.steps, ADDRESS).sid in on_file(sandbox)


def test_an_address_that_is_none_is_refused_and_the_corrected_one_is_taken(sandbox: Sandbox) -> None:
    steps = sandbox.gateway.steps
    with pytest.raises(Refused) as caught:
        register_address(steps, replace(ADDRESS, country="DE"))

    assert caught.value.kind == "address_invalid"
    assert register_address(steps, replace(ADDRESS, country="DE", postal_code="10115")).address.country == "DE"


@pytest.mark.parametrize("operation", ["twilio.address", "twilio.register"])
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_crash_at_any_call_leaves_one_address(sandbox: Sandbox, operation: str, before: bool) -> None:
    sandbox.crash_at(operation, before=before)
    with pytest.raises(Crash):
        register_address(sandbox.gateway.steps, ADDRESS)
    sandbox.world.crash_plan = None

    sandbox.restart()
    sandbox.clock.at_ms += sandbox.gateway.rules.settle_ms + sandbox.gateway.rules.provider_timeout_ms
    made = register_address(sandbox.gateway.steps, ADDRESS)

    assert on_file(sandbox) == [made.sid]
