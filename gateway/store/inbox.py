"""The inbox: every event we were told of, once and for good.

The put side is the hot path: a whole batch costs one insert. The read side belongs to `flow/apply.py`: it takes rows
that are `new`, and marks each with what became of it.

Statuses: `new` (not looked at yet), `applied`, `ignored` (says nothing to us), and those that wait: `waiting` (for a
link or a time), `tenant_key_invalid`, `link_conflict`, `time_invalid`, `wrong_mode`, `failed` (parked after tries).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import msgspec

from gateway.domain.model import Event
from gateway.errors import StorageUnavailable
from gateway.store import conflicts
from gateway.store.database import IntegrityError, Row, Transaction

MAX_ROWS_A_STATEMENT = 512

Key = tuple[str, str]

COLUMNS = (
    "id, source, event_id, type, occurred_at_ms, received_at_ms, says_hash, headers, body, status, reason, "
    "tenant_id, subscription_id, customer_id, try_at_ms, tries, repeats"
)


@dataclass(frozen=True, slots=True)
class Incoming:
    """The events of one verified delivery, and when it came."""

    events: tuple[Event, ...]
    received_at_ms: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a delivery's events; together they are its events."""

    accepted: int = 0
    duplicates: int = 0
    conflicts: int = 0


@dataclass(frozen=True, slots=True)
class InboxRow:
    """One stored event. `body` is None once it has expired."""

    id: int
    source: str
    event_id: str
    type: str
    occurred_at_ms: int
    received_at_ms: int
    says_hash: str
    headers: Mapping[str, str]
    body: bytes | None
    status: str
    reason: str | None
    tenant_id: int | None
    subscription_id: str | None
    customer_id: str | None
    try_at_ms: int | None
    tries: int
    repeats: int

    @property
    def event(self) -> Event:
        """The event as its source can interpret it."""
        return Event(
            source=self.source,
            event_id=self.event_id,
            type=self.type,
            occurred_at_ms=self.occurred_at_ms,
            says_hash=self.says_hash,
            body=self.body or b"",
            headers=self.headers,
        )


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much is not done yet. `oldest_received_at_ms` is of the oldest `new` row."""

    new: int
    oldest_received_at_ms: int | None
    waiting: int
    unread_conflicts: int


# --- reading ---------------------------------------------------------------------------------------------------------


def take_new(tx: Transaction, limit: int) -> list[InboxRow]:
    """The oldest rows nobody has looked at, in the order they were stored. Claims nothing: mark them in this `tx`."""
    rows = tx.all(f"SELECT {COLUMNS} FROM inbox WHERE status = 'new' ORDER BY id LIMIT :limit", limit=limit)  # noqa: S608
    return [_row(row) for row in rows]


def due(tx: Transaction, now_ms: int, limit: int) -> list[InboxRow]:
    """Rows that wait for a time which has come, the longest due first. Claims nothing: mark them in this `tx`."""
    rows = tx.all(
        f"SELECT {COLUMNS} FROM inbox WHERE try_at_ms IS NOT NULL AND try_at_ms <= :now_ms "  # noqa: S608
        "ORDER BY try_at_ms, id LIMIT :limit",
        now_ms=now_ms,
        limit=limit,
    )
    return [_row(row) for row in rows]


def next_due_at_ms(tx: Transaction) -> int | None:
    """When the first waiting row is due; None when nothing waits for a time."""
    row = tx.one("SELECT min(try_at_ms) AS at_ms FROM inbox WHERE try_at_ms IS NOT NULL")
    return None if row is None else row["at_ms"]


def is_due(tx: Transaction, now_ms: int) -> bool:
    """Whether anything is new, or waits for a time which has come."""
    row = tx.one(
        "SELECT 1 AS found WHERE EXISTS (SELECT 1 FROM inbox WHERE status = 'new') "
        "OR EXISTS (SELECT 1 FROM inbox WHERE try_at_ms IS NOT NULL AND try_at_ms <= :now_ms)",
        now_ms=now_ms,
    )
    return row is not None


def mark(
    tx: Transaction,
    id: int,
    status: str,
    reason: str | None = None,
    tenant_id: int | None = None,
    subscription_id: str | None = None,
    customer_id: str | None = None,
    try_at_ms: int | None = None,
    tries: int | None = None,
) -> None:
    """Say what became of a row. A tenant, subscription or customer that is not given keeps what is known of it.

    try_at_ms: when to look again by itself; None, never.   tries: how often in a row it failed; None counts one more.
    """
    tx.do_later(
        "UPDATE inbox SET status = :status, reason = :reason, try_at_ms = :try_at_ms, "
        "tries = coalesce(:tries, tries + 1), "
        "tenant_id = coalesce(:tenant_id, tenant_id), "
        "subscription_id = coalesce(:subscription_id, subscription_id), "
        "customer_id = coalesce(:customer_id, customer_id) WHERE id = :id",
        id=id,
        status=status,
        reason=reason,
        tenant_id=tenant_id,
        subscription_id=subscription_id,
        customer_id=customer_id,
        try_at_ms=try_at_ms,
        tries=tries,
    )


def wake_waiting(
    tx: Transaction, source: str, subscription_id: str | None = None, customer_id: str | None = None
) -> int:
    """Make waiting rows of this subscription or this customer `new` again; how many."""
    woken = 0
    for column, value in (("subscription_id", subscription_id), ("customer_id", customer_id)):
        if value is not None:
            woken += tx.do(
                "UPDATE inbox SET status = 'new', try_at_ms = NULL "  # noqa: S608
                f"WHERE status = 'waiting' AND source = :source AND {column} = :value",
                source=source,
                value=value,
            )
    return woken


REPLAY = "UPDATE inbox SET status = 'new', reason = NULL, try_at_ms = NULL, tries = 0 WHERE body IS NOT NULL AND "


def replay(tx: Transaction, id: int) -> bool:
    """Have a row looked at once more, whatever became of it; False when its body has expired or it is unknown."""
    changed = tx.do(f"{REPLAY} id = :id", id=id)
    tx.wakes.has_news = True
    return changed == 1


def replay_applied(tx: Transaction, source: str, subscription_id: str, tenant_id: int) -> int:
    """Have every applied event of a subscription looked at once more that was this tenant's; how many."""
    again = tx.do(
        f"{REPLAY} tenant_id = :tenant_id AND source = :source AND subscription_id = :subscription_id "
        "AND status = 'applied'",
        tenant_id=tenant_id, source=source, subscription_id=subscription_id,
    )  # fmt: skip
    tx.wakes.has_news = tx.wakes.has_news or again > 0
    return again


def get(tx: Transaction, id: int) -> InboxRow | None:
    row = tx.one(f"SELECT {COLUMNS} FROM inbox WHERE id = :id", id=id)  # noqa: S608
    return None if row is None else _row(row)


def get_by_event_id(tx: Transaction, source: str, event_id: str) -> InboxRow | None:
    sql = f"SELECT {COLUMNS} FROM inbox WHERE source = :source AND event_id = :event_id"  # noqa: S608
    row = tx.one(sql, source=source, event_id=event_id)
    return None if row is None else _row(row)


def list_events(
    tx: Transaction,
    *,
    status: str | None = None,
    source: str | None = None,
    tenant_id: int | None = None,
    before_id: int | None = None,
    after_id: int | None = None,
    limit: int = 50,
) -> list[InboxRow]:
    """Rows that meet every condition given, newest first; with `after_id` (for following along) oldest first."""
    conditions = {
        "status = :status": status,
        "source = :source": source,
        "tenant_id = :tenant_id": tenant_id,
        "id < :before_id": before_id,
        "id > :after_id": after_id,
    }
    asked = {text: value for text, value in conditions.items() if value is not None}
    where = " AND ".join(asked) or "1 = 1"
    params: dict[str, Any] = {text.rpartition(":")[2]: value for text, value in asked.items()}
    order = "ASC" if after_id is not None else "DESC"
    rows = tx.all(
        f"SELECT {COLUMNS} FROM inbox WHERE {where} ORDER BY id {order} LIMIT :limit",  # noqa: S608
        **params,
        limit=limit,
    )
    return [_row(row) for row in rows]


def backlog(tx: Transaction) -> Backlog:
    """How many rows are `new` and since when, how many wait, and how many conflicts nobody has read."""
    new = tx.one("SELECT count(*) AS n FROM inbox WHERE status = 'new'") or {"n": 0}
    oldest = tx.one("SELECT received_at_ms FROM inbox WHERE status = 'new' ORDER BY id LIMIT 1")
    waiting = tx.one("SELECT count(*) AS n FROM inbox WHERE status = 'waiting'") or {"n": 0}
    return Backlog(
        new=new["n"],
        oldest_received_at_ms=None if oldest is None else oldest["received_at_ms"],
        waiting=waiting["n"],
        unread_conflicts=conflicts.count_unread(tx),
    )


def parked(tx: Transaction) -> tuple[int, InboxRow | None]:
    """How many events failed too often and are not tried again by themselves, and the newest of them."""
    count = tx.one("SELECT count(*) AS n FROM inbox WHERE status = 'failed'") or {"n": 0}
    newest = list_events(tx, status="failed", limit=1)
    return count["n"], newest[0] if newest else None


def expire_bodies(tx: Transaction, received_before_ms: int, limit: int) -> int:
    """Forget the bodies of applied and ignored events from before then, `limit` at a time; how many. Ids stay."""
    return tx.do(
        "UPDATE inbox SET body = NULL, headers = '{}' WHERE id IN (SELECT id FROM inbox "
        "WHERE received_at_ms < :before_ms AND body IS NOT NULL AND status IN ('applied', 'ignored') "
        "ORDER BY id LIMIT :limit)",
        before_ms=received_before_ms,
        limit=limit,
    )


def _row(row: Row) -> InboxRow:
    return InboxRow(**{**row, "headers": msgspec.json.decode(row["headers"], type=dict[str, str])})


# --- putting ---------------------------------------------------------------------------------------------------------


def put(tx: Transaction, batch: Sequence[Incoming]) -> list[Receipt | StorageUnavailable]:
    """Store a batch of deliveries, each event once; what became of each delivery, in order.

    A known id that says the same is counted on the stored row. One that says something else is kept as a conflict and
    never applied; when nobody reads those, a delivery with a new one is not taken (its result is the error).
    Safe to repeat: what is stored already comes back as a duplicate.
    """
    first: dict[Key, tuple[Event, int]] = {}
    for incoming in batch:
        for event in incoming.events:
            first.setdefault((event.source, event.event_id), (event, incoming.received_at_ms))
    new = _insert(tx, list(first.values()))
    if new:
        tx.wakes.has_news = True
    says = {key: event.says_hash for key, (event, _) in first.items()}
    if len(new) < len(first):
        says |= _stored_hashes(tx, [key for key in first if key not in new])
    keeper = conflicts.Keeper(tx)
    repeats: Counter[Key] = Counter()
    results: list[Receipt | StorageUnavailable] = []
    for incoming in batch:
        accepted = duplicates = conflicting = refused = 0
        for event in incoming.events:
            key = (event.source, event.event_id)
            if key in new:
                # The first of them was stored; those after it only repeat it.
                new.discard(key)
                accepted += 1
            elif says[key] == event.says_hash:
                duplicates += 1
                repeats[key] += 1
            elif keeper.keep(event, incoming.received_at_ms):
                conflicting += 1
            else:
                refused += 1
        results.append(conflicts.too_many() if refused else Receipt(accepted, duplicates, conflicting))
    # In one order everywhere, so that two processes told the same do not wait for each other.
    for (source, event_id), times in sorted(repeats.items()):
        tx.do_later(
            "UPDATE inbox SET repeats = repeats + :times WHERE source = :source AND event_id = :event_id",
            times=times,
            source=source,
            event_id=event_id,
        )
    return results


def _insert(tx: Transaction, events: Sequence[tuple[Event, int]]) -> set[Key]:
    """Insert what is not stored yet; the keys that are new."""
    new: set[Key] = set()
    for start in range(0, len(events), MAX_ROWS_A_STATEMENT):
        chunk = events[start : start + MAX_ROWS_A_STATEMENT]
        params: list[Any] = []
        for event, received_at_ms in chunk:
            params += (
                event.source,
                event.event_id,
                event.type,
                event.occurred_at_ms,
                received_at_ms,
                event.says_hash,
                conflicts.headers_text(event),
                event.body,
            )
        if tx.outlives_refusals and _all_are_new(tx, len(chunk), params):
            new.update((event.source, event.event_id) for event, _ in chunk)
        else:
            new.update(cast(list[Key], tx.run(_insert_sql(len(chunk)) + WHAT_IS_NEW, params)))
    return new


def _all_are_new(tx: Transaction, rows: int, params: list[Any]) -> bool:
    """Insert them if they are, as they nearly always are; SQLite gives up the GIL for each row that it tells of."""
    try:
        tx.run(_insert_sql(rows), params)
    except IntegrityError:
        return False
    return True


WHAT_IS_NEW = " ON CONFLICT (source, event_id) DO NOTHING RETURNING source, event_id"


@lru_cache(maxsize=MAX_ROWS_A_STATEMENT)
def _insert_sql(rows: int) -> str:
    return (
        "INSERT INTO inbox "  # noqa: S608
        "(source, event_id, type, occurred_at_ms, received_at_ms, says_hash, headers, body) VALUES "
        + ", ".join(["(?, ?, ?, ?, ?, ?, ?, ?)"] * rows)
    )


def _stored_hashes(tx: Transaction, keys: Sequence[Key]) -> dict[Key, str]:
    found: dict[Key, str] = {}
    for start in range(0, len(keys), MAX_ROWS_A_STATEMENT):
        chunk = keys[start : start + MAX_ROWS_A_STATEMENT]
        rows = tx.run(
            "SELECT source, event_id, says_hash FROM inbox WHERE (source, event_id) IN (VALUES "  # noqa: S608
            + ", ".join(["(?, ?)"] * len(chunk))
            + ")",
            [text for key in chunk for text in key],
        )
        found.update({(source, event_id): says_hash for source, event_id, says_hash in rows})
    return found


def probe(tx: Transaction, now_ms: int) -> None:
    """Store an event and take it out again: raises StorageUnavailable unless one could be stored now.

    Of a body large enough to need a page of its own, so that a full disk is noticed.
    """
    id = tx.insert(
        "INSERT INTO inbox (source, event_id, type, occurred_at_ms, received_at_ms, says_hash, headers, body, status) "
        "VALUES ('', '', 'probe', :now_ms, :now_ms, '', '{}', :body, 'ignored') RETURNING id",
        now_ms=now_ms,
        body=bytes(8192),
    )
    tx.do_later("DELETE FROM inbox WHERE id = :id", id=id)
