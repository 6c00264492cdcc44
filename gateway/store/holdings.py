"""What a tenant holds of each step: no, maybe, yes."""

from __future__ import annotations

import json
from collections.abc import Sequence

from gateway.domain.model import Held, Holding, Step
from gateway.domain.recipe import ORDER
from gateway.store.database import Question, Row, Transaction


def of_tenant(tx: Transaction, tenant_id: int) -> dict[Step, Holding]:
    """Every step's holding; a step without a row is not held."""
    sql, params = question(tenant_id)
    return from_rows(tx.all(sql, **params))


def question(tenant_id: int) -> Question:
    return "SELECT * FROM holdings WHERE tenant_id = :tenant_id", {"tenant_id": tenant_id}


def from_rows(rows: Sequence[Row]) -> dict[Step, Holding]:
    held = {step: Holding(step, Held.NO) for step in ORDER}
    return held | {holding.step: holding for holding in map(from_row, rows)}


def from_row(row: Row) -> Holding:
    return Holding(
        step=Step(row["step"]),
        held=Held(row["held"]),
        ref=row["ref"],
        detail=json.loads(row["detail"]),
        doubt_at_ms=row["doubt_at_ms"],
    )


def put(tx: Transaction, tenant_id: int, holding: Holding, now_ms: int) -> None:
    """Store one holding as it is now. Safe to repeat."""
    tx.do_later(
        """INSERT INTO holdings (tenant_id, step, held, ref, detail, doubt_at_ms, updated_at_ms)
           VALUES (:tenant_id, :step, :held, :ref, :detail, :doubt_at_ms, :now_ms)
           ON CONFLICT (tenant_id, step) DO UPDATE SET held = excluded.held, ref = excluded.ref,
             detail = excluded.detail, doubt_at_ms = excluded.doubt_at_ms, updated_at_ms = excluded.updated_at_ms""",
        tenant_id=tenant_id,
        step=holding.step,
        held=holding.held,
        ref=holding.ref,
        detail=json.dumps(dict(holding.detail), separators=(",", ":")),
        doubt_at_ms=holding.doubt_at_ms,
        now_ms=now_ms,
    )


def doubt(tx: Transaction, tenant_id: int, step: Step, at_ms: int, now_ms: int) -> None:
    """Have a held thing looked at from `at_ms` on; it counts as held meanwhile."""
    tx.do_later(
        """UPDATE holdings SET doubt_at_ms = :at_ms, updated_at_ms = :now_ms
           WHERE tenant_id = :tenant_id AND step = :step AND held = 'yes'""",
        tenant_id=tenant_id,
        step=step,
        at_ms=at_ms,
        now_ms=now_ms,
    )


def count_numbers_held_since(tx: Transaction, operations: tuple[str, str], since_ms: int) -> int:
    """How many tenants held a number at some time since then: who holds one now, or began one of two operations."""
    row = tx.one(
        """SELECT COUNT(*) AS n FROM (
             SELECT tenant_id FROM holdings WHERE step = 'buy_number' AND held = 'yes'
             UNION SELECT tenant_id FROM attempts
               WHERE operation IN (:first, :second) AND began_at_ms > :since_ms) AS each_once""",
        first=operations[0],
        second=operations[1],
        since_ms=since_ms,
    )
    return int(row["n"]) if row else 0


def tenants_by_ref(tx: Transaction, step: Step) -> dict[str, int]:
    """ref -> tenant row id, of everything held or undecided of this step."""
    rows = tx.all("SELECT ref, tenant_id FROM holdings WHERE step = :step AND ref IS NOT NULL", step=step)
    return {row["ref"]: row["tenant_id"] for row in rows}
