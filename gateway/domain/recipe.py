"""What a state needs, compared with what the tenant holds: the one thing to do next.

Doubt comes first, on the way out as much as on the way in: whatever may be held is looked at before anything is made
or undone. Then what is missing is made in order, or what is too much is undone in reverse order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from gateway.domain.model import Answering, Extent, Held, Holding, Step, Verb, Wanted, Work

ORDER: Sequence[Step] = (Step.BUY_NUMBER, Step.IMPORT_NUMBER, Step.ASSIGN_ASSISTANT)

Holdings = Mapping[Step, Holding]


def next_work(
    wanted: Wanted, holdings: Holdings, target: str | None, now_ms: int, extent: Extent = Extent.FULL
) -> Work | None:
    """The one thing to do next, or None when nothing is left for what is wanted.

    target: what `assign_assistant` should have set (see `target_of`); None when that cannot be said.
    """
    for step in ORDER:
        if is_in_doubt(holdings[step], now_ms):
            return Work(Verb.LOOK, step)
    return work_without_doubt(wanted, holdings, target, extent)


def is_complete(wanted: Wanted, holdings: Holdings, target: str | None, extent: Extent = Extent.FULL) -> bool:
    """Whether all that is wanted is held, and for `nothing`, that nothing is.

    A look that is due for a thing that counts as held does not matter.
    """
    if wanted is Wanted.NOTHING:
        return not holds_anything(holdings)
    if any(holdings[step].held is Held.MAYBE for step in ORDER):
        return False
    return work_without_doubt(wanted, holdings, target, extent) is None


def holds_anything(holdings: Holdings) -> bool:
    """Whether anything is held or undecided."""
    return any(holding.held is not Held.NO for holding in holdings.values())


def next_doubt_at_ms(holdings: Holdings, after_ms: int = 0) -> int | None:
    """When the next holding has to be looked at again by itself, of those moments that come later than `after_ms`."""
    times = [holding.doubt_at_ms or 0 for holding in holdings.values()]
    return min((time for time in times if time > after_ms), default=None)


def is_in_doubt(holding: Holding, now_ms: int) -> bool:
    if holding.held is Held.MAYBE:
        return True
    return holding.held is Held.YES and holding.doubt_at_ms is not None and holding.doubt_at_ms <= now_ms


def work_without_doubt(wanted: Wanted, holdings: Holdings, target: str | None, extent: Extent) -> Work | None:
    if wanted is Wanted.ACTIVE:
        return first_missing(holdings, target, extent)
    if wanted is Wanted.SUSPENDED:
        return silence(holdings, target)
    if wanted is Wanted.RELEASED:
        return last_held(holdings)
    return None


def first_missing(holdings: Holdings, target: str | None, extent: Extent) -> Work | None:
    for step in steps_of(extent):
        if holdings[step].held is Held.NO:
            return Work(Verb.MAKE, step)
    # Also of a tenant that needs no entry and has one: it may still say that it is not in service.
    set_now = holdings[Step.ASSIGN_ASSISTANT]
    if set_now.held is Held.YES and set_now.ref != target and holdings[Step.IMPORT_NUMBER].held is Held.YES:
        return Work(Verb.MAKE, Step.ASSIGN_ASSISTANT)
    return None


def steps_of(extent: Extent) -> Sequence[Step]:
    """What a tenant of this extent must hold to be active."""
    return ORDER[:1] if extent is Extent.NUMBER else ORDER


def silence(holdings: Holdings, target: str | None) -> Work | None:
    """Suspended makes nothing new; what is imported must not let a call reach the assistant."""
    is_imported = holdings[Step.IMPORT_NUMBER].held is Held.YES
    if is_imported and holdings[Step.ASSIGN_ASSISTANT].ref != target:
        return Work(Verb.MAKE, Step.ASSIGN_ASSISTANT)
    return None


def last_held(holdings: Holdings) -> Work | None:
    for step in (Step.IMPORT_NUMBER, Step.BUY_NUMBER):
        if holdings[step].held is Held.YES:
            return Work(Verb.UNDO, step)
    return None


def target_of(answering: Answering) -> str:
    """A short text that is equal for two settings exactly when a caller hears the same.

    Suspended, only the sentence counts: the assistant stays as it is.
    """
    if answering.says is not None:
        return f"says:{hashlib.sha256(answering.says.encode()).hexdigest()[:16]}"
    return f"assistant:{answering.assistant_id or ''}|server:{answering.server_url or ''}"
