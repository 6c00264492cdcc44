"""One turn of the worker: apply the news, claim what is due. One transaction, shared with steps that just finished."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from gateway.flow.advance import Claim, claim_tenant, claim_turn
from gateway.flow.apply import Applied, ApplyParts, apply_new
from gateway.flow.aside import AppliedEvent
from gateway.steps.context import StepParts
from gateway.store import inbox, leases
from gateway.store.database import Database, Transaction, in_transaction

log = logging.getLogger("gateway.apply")

# A turn holds the one write lock: more would keep deliveries waiting for their commit.
EVENTS_A_TURN = 25
# Whoever has what this turn could not have is done with it by then.
LEFT_PAUSE_MS = 20


@dataclass(frozen=True, slots=True)
class TurnFound:
    claims: list[Claim]
    next_due_at_ms: int | None
    has_more: bool


def take_turn(steps: StepParts, news: ApplyParts, owner: str, free_threads: int) -> TurnFound:
    """Apply up to EVENTS_A_TURN events and lease up to `free_threads` tenants. Raises StorageUnavailable."""

    def job(tx: Transaction) -> tuple[Applied, TurnFound]:
        now_ms = steps.clock.now_ms()
        applied = apply_new(tx, news, now_ms, EVENTS_A_TURN)
        claims = claim_turn(tx, steps.rules, now_ms, owner, free_threads) if free_threads else []
        times = [time for time in (leases.next_due_at_ms(tx), inbox.next_due_at_ms(tx)) if time is not None]
        if applied.is_left:
            times.append(now_ms + LEFT_PAUSE_MS)
        next_due_at_ms = min(times, default=None)
        has_more = len(applied.events) >= EVENTS_A_TURN or (next_due_at_ms is not None and next_due_at_ms <= now_ms)
        return applied, TurnFound(claims, next_due_at_ms, has_more)

    applied, found = steps.commit(job)
    tell(applied)
    return found


def apply_some(database: Database, news: ApplyParts, now_ms: Callable[[], int]) -> Applied:
    """Apply up to EVENTS_A_TURN events, in a transaction of its own. Raises StorageUnavailable."""
    applied = in_transaction(database, lambda tx: apply_new(tx, news, now_ms(), EVENTS_A_TURN))
    tell(applied)
    return applied


def claim(steps: StepParts, owner: str, tenant_id: int) -> Claim | None:
    """Lease one tenant if it is due, and decide its next step; None if there is nothing to do for it now.

    Raises TenantBusy while somebody is changing it, and StorageUnavailable.
    """
    return steps.commit(lambda tx: claim_tenant(tx, steps.rules, steps.clock.now_ms(), owner, tenant_id))


def tell(applied: Applied) -> None:
    for event in applied.events:
        tell_one(event)


def tell_one(event: AppliedEvent) -> None:
    """What became of an event. One that is parked needs a person: nothing looks at it again by itself."""
    fields = {"tenant": event.tenant_key, "source": event.source, "event_id": event.event_id, "type": event.type,
              "outcome": event.status, "reason": event.reason}  # fmt: skip
    level, name = (logging.ERROR, "event.parked") if event.status == "failed" else (logging.INFO, "event.applied")
    log.log(level, name, extra={"fields": {field: value for field, value in fields.items() if value}})
