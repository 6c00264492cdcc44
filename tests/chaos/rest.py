"""Let a gateway do all that is due, its clock moved from one due moment to the next, until nothing is left."""

from __future__ import annotations

import time

from tests.chaos.installation import SETTLE_SECONDS, Installation

REST_SECONDS = 90.0
LOOK_EVERY_SECONDS = 0.1
SOON_MS = 300
# Beyond, nothing that a chaos run does is due.
FAR_MS = 20 * 60_000


def come_to_rest(
    installation: Installation, seconds: float = REST_SECONDS, *, waits_for_late_effects: bool = True
) -> bool:
    """Whether nothing is due and nothing on its way any more, within so many seconds of real time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        due_ms = next_due_ms(installation, waits_for_late_effects)
        if due_ms is None:
            return True
        wait_ms = due_ms - installation.now_ms()
        if wait_ms > SOON_MS:
            installation.advance(min(wait_ms / 1000, SETTLE_SECONDS))
        time.sleep(LOOK_EVERY_SECONDS)
    return False


def next_due_ms(installation: Installation, waits_for_late_effects: bool) -> int | None:
    """When something is due next; None at rest."""
    rows = installation.rows(
        """SELECT MIN(at_ms) AS at_ms FROM (
             SELECT MIN(next_run_at_ms) AS at_ms FROM tenants WHERE next_run_at_ms IS NOT NULL
             UNION ALL SELECT MIN(try_at_ms) FROM inbox WHERE try_at_ms IS NOT NULL
             UNION ALL SELECT MIN(received_at_ms) FROM inbox WHERE status = 'new'
             UNION ALL SELECT MIN(probe_at_ms) FROM providers WHERE is_refusing = 1) AS each_once"""
    )
    due_ms: int | None = rows[0]["at_ms"]
    if due_ms is None and waits_for_late_effects and installation.world.state()["late"]:
        return installation.now_ms() + 1000
    return None if due_ms is None or due_ms > installation.now_ms() + FAR_MS else due_ms
