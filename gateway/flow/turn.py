"""One turn of the worker: apply the news, claim what is due. One transaction, shared with steps that just finished."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from gateway.flow.advance import Claim, claim_turn
from gateway.flow.apply import Applied, AppliedEvent, ApplyParts, apply_new
from gateway.steps.context import StepParts
from gateway.store import inbox, leases
from gateway.store.database import Transaction

log = logging.getLogger("gateway.apply")

# A turn holds the one write lock: more would keep deliveries waiting for their commit.
EVENTS_A_TURN = 25


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
        next_due_at_ms = min(times, default=None)
        has_more = len(applied.events) >= EVENTS_A_TURN or (next_due_at_ms is not None and next_due_at_ms <= now_ms)
        return applied, TurnFound(claims, next_due_at_ms, has_more)

    applied, found = steps.commit(job)
    for event in applied.events:
        tell(event)
    return found


def tell(event: AppliedEvent) -> None:
    """What became of an event. One that is parked needs a person: nothing looks at it again by itself."""
    fields = {"tenant": event.tenant_key, "source": event.source, "event_id": event.event_id, "type": event.type,
              "outcome": event.status, "reason": event.reason}  # fmt: skip
    level, name = (logging.ERROR, "event.parked") if event.status == "failed" else (logging.INFO, "event.applied")
    log.log(level, name, extra={"fields": {field: value for field, value in fields.items() if value}})
