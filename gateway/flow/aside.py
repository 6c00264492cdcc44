"""Put an event aside that cannot be applied now: findable, with a reason, and tried again where time may help."""

from __future__ import annotations

import traceback
from dataclasses import dataclass, replace

from gateway.domain.model import News
from gateway.errors import EventWaits, GatewayError
from gateway.store import inbox, journal, subscriptions
from gateway.store.database import Transaction
from gateway.store.inbox import InboxRow

PAUSES_SECONDS = (5, 20, 60, 300, 900, 3_600, 14_400)
MAX_TRIES = len(PAUSES_SECONDS) + 1


@dataclass(frozen=True, slots=True)
class AppliedEvent:
    """What became of one inbox row."""

    inbox_id: int
    source: str
    event_id: str
    type: str
    status: str
    reason: str | None = None
    tenant_id: int | None = None
    tenant_key: str | None = None


def put_by(
    tx: Transaction, row: InboxRow, news: News | None, event: AppliedEvent, wait: EventWaits, now_ms: int
) -> AppliedEvent:
    """Keep an event that waits, findable by its subscription and its customer; a conflict is shown to the owner."""
    issued_id = news.subscription_id if news is not None and news.subscription_issued else None
    tenant_id = None
    if wait.status == "link_conflict" and news is not None and issued_id is not None:
        known = subscriptions.find(tx, news.source, issued_id)
        tenant_id = known.tenant_id if known is not None else None
    if tenant_id is not None:
        detail = {"source": row.source, "event_id": row.event_id, "not_applied": wait.status, "reason": wait.reason}
        journal.write(tx, tenant_id, now_ms, "event", row.type, detail, inbox_id=row.id)
    inbox.mark(
        tx,
        row.id,
        wait.status,
        wait.reason,
        tenant_id=tenant_id,
        subscription_id=issued_id,
        customer_id=news.customer_id if news is not None else None,
        try_at_ms=wait.try_at_ms,
        tries=0,
    )
    return replace(event, status=wait.status, reason=wait.reason, tenant_id=tenant_id)


def put_off(
    tx: Transaction, row: InboxRow, news: News | None, event: AppliedEvent, error: Exception, now_ms: int
) -> AppliedEvent:
    """Try an event that failed again after a growing pause, or park it after MAX_TRIES."""
    tries = row.tries + 1
    is_over = tries >= MAX_TRIES
    status = "failed" if is_over else "waiting"
    reason = f"It failed {tries} of {MAX_TRIES} times: {describe(error)}."
    inbox.mark(
        tx,
        row.id,
        status,
        reason,
        subscription_id=news.subscription_id if news is not None and news.subscription_issued else None,
        customer_id=news.customer_id if news is not None else None,
        try_at_ms=None if is_over else now_ms + PAUSES_SECONDS[tries - 1] * 1000,
        tries=tries,
    )
    return replace(event, status=status, reason=reason)


def describe(error: Exception) -> str:
    """What went wrong and where, without an exception's own text unless we wrote it: it may quote a body."""
    if isinstance(error, GatewayError):
        return f"{type(error).__name__}, {error}".rstrip(".")
    frames = traceback.extract_tb(error.__traceback__)
    where = f" in {frames[-1].name}, line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"
