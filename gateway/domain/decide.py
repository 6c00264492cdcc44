"""The whole thought about one tenant, pure: what is wanted, where that takes it, and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.domain import moves, subscriptions
from gateway.domain.model import Decision, Hold, State, Subscription, Wanted
from gateway.domain.recipe import Holdings, holds_anything


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wanted and where the tenant stands now."""

    decision: Decision
    state: State
    why: str


def decide(
    state: State,
    records: Sequence[Subscription],
    *,
    hold: Hold | None,
    holdings: Holdings,
    is_complete: Callable[[Wanted], bool],
    was_released: Callable[[], bool],
    now_ms: int,
    grace_ms: int,
    release_after_ms: int,
) -> Verdict:
    """Put all that is known of a tenant together.

    is_complete: whether nothing is left to do for a wish; for `nothing`, that nothing is held or undecided.
    was_released: whether this generation's number was given back; asked only where that decides.
    """
    decision = subscriptions.fold(
        records,
        hold=hold,
        holds_anything=holds_anything(holdings),
        now_ms=now_ms,
        grace_ms=grace_ms,
        release_after_ms=release_after_ms,
    )
    wanted = decision.wanted
    is_given_back = wanted is Wanted.NOTHING and state is not State.NEW and was_released()
    found = moves.next_state(state, wanted, is_complete(wanted), was_released=is_given_back)
    return Verdict(decision, found, moves.why(state, wanted))
