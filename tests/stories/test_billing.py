"""With an API key the billing system is asked before anything is done, and its answer replaces the news."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stories.sandbox import Sandbox


@pytest.fixture
def asking(tmp_path: Path) -> Iterator[Sandbox]:
    made = Sandbox(tmp_path, {"STRIPE_API_KEY": "sk_test_story_0123456789abcdef"})
    yield made
    made.close()


def test_a_signup_is_asked_about_before_a_number_is_bought(asking: Sandbox) -> None:
    asking.deliver("checkout.completed")
    asking.deliver("subscription.created")

    asking.settle(60)

    assert asking.calls("stripe.subscription") >= 1
    assert asking.export()["state"] == "active"


def test_an_event_that_says_less_than_the_billing_system_does_not_count(asking: Sandbox) -> None:
    signup = asking.event("checkout.completed")
    asking.event("subscription.created")
    asking.event("subscription.deleted")
    asking.send(signup)

    asking.settle(600)

    assert asking.export()["state"] == "released"
    assert asking.purchases() == []


def test_a_billing_system_that_cannot_be_asked_makes_the_tenant_wait_not_guess(asking: Sandbox) -> None:
    asking.fault("stripe.subscription", "error_before", times=3)
    asking.deliver("checkout.completed")
    asking.deliver("subscription.created")
    asking.work()
    assert asking.purchases() == []

    asking.settle(600)

    assert asking.export()["state"] == "active"
