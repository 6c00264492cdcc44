"""Requests that failed verification: a ring of fixed size a source, so that a flood of them takes no room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.store.database import Transaction

RING_SLOTS = 200


@dataclass(frozen=True, slots=True)
class Rejection:
    """A request that was not taken. Says nothing of what it held."""

    at_ms: int
    code: str
    skew_ms: int | None
    body_bytes: int


def write(tx: Transaction, source: str, rejections: Sequence[Rejection]) -> None:
    """Put these into the source's ring, over its oldest."""
    tx.lock("rejections")
    newest = tx.one(
        "SELECT slot FROM rejections WHERE source = :source ORDER BY at_ms DESC, slot DESC LIMIT 1", source=source
    )
    slot = -1 if newest is None else newest["slot"]
    for rejection in rejections[-RING_SLOTS:]:
        slot = (slot + 1) % RING_SLOTS
        tx.do(
            "INSERT INTO rejections (source, slot, at_ms, code, skew_ms, body_bytes) "
            "VALUES (:source, :slot, :at_ms, :code, :skew_ms, :body_bytes) "
            "ON CONFLICT (source, slot) DO UPDATE SET at_ms = excluded.at_ms, code = excluded.code, "
            "skew_ms = excluded.skew_ms, body_bytes = excluded.body_bytes",
            source=source,
            slot=slot,
            at_ms=rejection.at_ms,
            code=rejection.code,
            skew_ms=rejection.skew_ms,
            body_bytes=rejection.body_bytes,
        )


def of_source(tx: Transaction, source: str) -> list[Rejection]:
    """What the ring holds, newest first."""
    rows = tx.all(
        "SELECT at_ms, code, skew_ms, body_bytes FROM rejections WHERE source = :source "
        "ORDER BY at_ms DESC, slot DESC",
        source=source,
    )
    return [Rejection(**row) for row in rows]
