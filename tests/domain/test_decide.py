"""The whole thought about one tenant, put together."""

from __future__ import annotations

import pytest

from gateway.domain.decide import Verdict, decide
from gateway.domain.model import Held, Hold, Holding, State, StatusNews, Step, Subscription, Wanted

DAY = 86_400_000


def said(status: str) -> Subscription:
    return Subscription("stripe", "sub_1", True, "name", statuses=(StatusNews(0, status, 0),))


def verdict(state: State, *records: Subscription, held: Held = Held.NO, done: bool = False,
            was_released: bool = False, **more: Hold) -> Verdict:  # fmt: skip
    return decide(
        state,
        records,
        hold=more.get("hold"),
        holdings={Step.BUY_NUMBER: Holding(Step.BUY_NUMBER, held)},
        is_complete=lambda wanted: done,
        was_released=lambda: was_released,
        now_ms=DAY,
        grace_ms=7 * DAY,
        release_after_ms=30 * DAY,
    )


def test_a_first_active_subscription_starts_provisioning() -> None:
    found = verdict(State.NEW, said("active"))

    assert (found.decision.wanted, found.state) == (Wanted.ACTIVE, State.PROVISIONING)


def test_a_payment_that_fails_half_way_suspends_what_may_be_held() -> None:
    found = verdict(State.PROVISIONING, said("unpaid"), held=Held.MAYBE)

    assert (found.decision.wanted, found.state) == (Wanted.SUSPENDED, State.SUSPENDING)


def test_a_first_payment_that_is_open_makes_nothing() -> None:
    found = verdict(State.NEW, said("incomplete"))

    assert (found.decision.wanted, found.state) == (Wanted.NOTHING, State.NEW)


def test_a_payment_withdrawn_while_something_may_be_held_is_a_suspension() -> None:
    found = verdict(State.PROVISIONING, said("incomplete"), held=Held.MAYBE)

    assert (found.decision.wanted, found.state) == (Wanted.SUSPENDED, State.SUSPENDING)


def test_an_end_with_a_number_in_doubt_keeps_it_until_its_release() -> None:
    found = verdict(State.ACTIVE, said("canceled"), held=Held.MAYBE)

    assert (found.decision.wanted, found.decision.changes_at_ms) == (Wanted.SUSPENDED, 30 * DAY)


def test_a_return_after_the_release_provisions_anew() -> None:
    found = verdict(State.RELEASED, said("active"), done=True)

    assert found.state is State.PROVISIONING


def test_a_hold_that_releases_is_done_when_nothing_is_left() -> None:
    found = verdict(State.RELEASING, said("active"), done=True, hold=Hold.RELEASE)

    assert (found.decision.wanted, found.state) == (Wanted.RELEASED, State.RELEASED)
    assert found.why


@pytest.mark.parametrize(("was_released", "state"), [(False, State.NEW), (True, State.RELEASED)])
def test_without_the_hold_a_tenant_that_never_paid_is_as_before(was_released: bool, state: State) -> None:
    found = verdict(State.SUSPENDED, said("incomplete"), done=True, was_released=was_released)

    assert (found.decision.wanted, found.state) == (Wanted.NOTHING, state)
