"""Events whose id is known and that say something else: kept once and shown, never applied."""

from __future__ import annotations

import msgspec

from gateway.domain.model import Event
from gateway.errors import StorageUnavailable
from gateway.store.database import Row, Transaction

MAX_UNREAD = 10_000


class Keeper:
    """Keeps conflicts of one transaction, as long as somebody reads them."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._room: int | None = None

    def keep(self, event: Event, received_at_ms: int) -> bool:
        """Keep it once; False when there is no room for one that is not kept yet."""
        if self._room is None:
            self._room = MAX_UNREAD - count_unread(self._tx)
        if self._room <= 0:
            return self._is_kept(event)
        self._room -= self._tx.do(
            "INSERT INTO inbox_conflicts (source, event_id, received_at_ms, says_hash, headers, body) "
            "VALUES (:source, :event_id, :received_at_ms, :says_hash, :headers, :body) "
            "ON CONFLICT (source, event_id, says_hash) DO NOTHING",
            source=event.source,
            event_id=event.event_id,
            received_at_ms=received_at_ms,
            says_hash=event.says_hash,
            headers=headers_text(event),
            body=event.body,
        )
        return True

    def _is_kept(self, event: Event) -> bool:
        row = self._tx.one(
            "SELECT 1 AS yes FROM inbox_conflicts "
            "WHERE source = :source AND event_id = :event_id AND says_hash = :says_hash",
            source=event.source,
            event_id=event.event_id,
            says_hash=event.says_hash,
        )
        return row is not None


def too_many() -> StorageUnavailable:
    return StorageUnavailable(
        f"{MAX_UNREAD} events that contradict stored ones wait to be read; no more are kept.", retry_after_seconds=300
    )


def headers_text(event: Event) -> str:
    """An event's headers as they are stored."""
    return msgspec.json.encode(event.headers).decode()


def count_unread(tx: Transaction) -> int:
    row = tx.one("SELECT count(*) AS n FROM inbox_conflicts WHERE is_read = 0")
    return 0 if row is None else int(row["n"])


def list_unread(tx: Transaction, limit: int = 50) -> list[Row]:
    """Unread conflicts, oldest first, without their bodies."""
    return tx.all(
        "SELECT id, source, event_id, received_at_ms, says_hash FROM inbox_conflicts WHERE is_read = 0 "
        "ORDER BY id LIMIT :limit",
        limit=limit,
    )


def mark_read(tx: Transaction, up_to_id: int) -> int:
    """Make room for more; how many were unread."""
    return tx.do("UPDATE inbox_conflicts SET is_read = 1 WHERE is_read = 0 AND id <= :id", id=up_to_id)
