"""How long to wait before the next try: growing, bounded, and spread out."""

from __future__ import annotations

FIRST_PAUSE_MS = 1_000
LONGEST_PAUSE_MS = 60_000
LONGEST_ASKED_MS = 15 * 60_000


def pause_ms(tries: int, spread: float, *, first_ms: int = FIRST_PAUSE_MS, longest_ms: int = LONGEST_PAUSE_MS) -> int:
    """The pause after `tries` failures in a row: doubled each time, at most `longest_ms`.

    spread: 0.0 to 1.0, drawn by the caller; up to a quarter is taken off so that tenants do not come back together.
    """
    full = min(longest_ms, first_ms * 2 ** min(tries, 20))
    return int(full * (1 - spread / 4))


def asked_pause_ms(retry_after_seconds: float | None, tries: int, spread: float) -> int:
    """The pause a provider asked for, never shorter than ours and never longer than a quarter of an hour."""
    own = pause_ms(tries, spread)
    if retry_after_seconds is None:
        return own
    return max(own, min(LONGEST_ASKED_MS, int(retry_after_seconds * 1000)))
