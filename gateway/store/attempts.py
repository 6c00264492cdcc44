"""Every call that may change something outside: that it began, committed before the call, and how it ended.

Rows are never changed. An attempt without an outcome, or with an unclear one, may have happened, and may still happen
until its deadline has passed and the settle time after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.domain.model import Step, Tenant
from gateway.store.database import Row, Transaction

UNCLEAR = "unclear"
NOT_PROCESSED = "not_processed"
PROVED_ABSENT = "proved_absent"
PROVED_DONE = "proved_done"

# An attempt is open while nothing but "unclear" is known of it.
OPEN = """NOT EXISTS (SELECT 1 FROM attempt_outcomes o WHERE o.attempt_id = a.id AND o.outcome <> 'unclear')"""


@dataclass(frozen=True, slots=True)
class Attempt:
    id: int
    operation: str
    number: str | None
    began_at_ms: int
    deadline_at_ms: int


def begin(
    tx: Transaction, tenant: Tenant, step: Step, operation: str, number: str | None, now_ms: int, deadline_at_ms: int
) -> Attempt:
    """Write down that a call is about to be made."""
    attempt_id = tx.insert(
        """INSERT INTO attempts (tenant_id, generation, step, operation, number, fence, began_at_ms, deadline_at_ms)
           VALUES (:tenant_id, :generation, :step, :operation, :number, :fence, :now_ms, :deadline_at_ms)
           RETURNING id""",
        tenant_id=tenant.id,
        generation=tenant.generation,
        step=step,
        operation=operation,
        number=number,
        fence=tenant.fence,
        now_ms=now_ms,
        deadline_at_ms=deadline_at_ms,
    )
    return Attempt(attempt_id, operation, number, now_ms, deadline_at_ms)


def finish(
    tx: Transaction,
    attempt_id: int,
    outcome: str,
    now_ms: int,
    duration_ms: int,
    *,
    code: str | None = None,
    detail: str | None = None,
) -> None:
    """Write down how it ended."""
    tx.do_later(
        """INSERT INTO attempt_outcomes (attempt_id, outcome, code, detail, at_ms, duration_ms)
           VALUES (:attempt_id, :outcome, :code, :detail, :now_ms, :duration_ms)""",
        attempt_id=attempt_id,
        outcome=outcome,
        code=code,
        detail=detail,
        now_ms=now_ms,
        duration_ms=duration_ms,
    )


def open_for_number(tx: Transaction, number: str, operation: str, besides: int | None = None) -> list[Attempt]:
    """Attempts on this number, of any tenant and worker, that may have happened; `besides` is left out."""
    rows = tx.all(
        f"""SELECT a.* FROM attempts a WHERE a.number = :number AND a.operation = :operation
              AND (CAST(:besides AS BIGINT) IS NULL OR a.id <> :besides) AND {OPEN} ORDER BY a.id""",  # noqa: S608
        number=number,
        operation=operation,
        besides=besides,
    )
    return [from_row(row) for row in rows]


def open_for_tenant(tx: Transaction, tenant: Tenant, operation: str, besides: int | None = None) -> list[Attempt]:
    """This generation's attempts of one operation that may have happened."""
    rows = tx.all(
        f"""SELECT a.* FROM attempts a WHERE a.tenant_id = :tenant_id AND a.generation = :generation
              AND a.operation = :operation AND (CAST(:besides AS BIGINT) IS NULL OR a.id <> :besides)
              AND {OPEN} ORDER BY a.id""",  # noqa: S608
        tenant_id=tenant.id,
        generation=tenant.generation,
        operation=operation,
        besides=besides,
    )
    return [from_row(row) for row in rows]


def settle(tx: Transaction, settled: list[Attempt], outcome: str, now_ms: int) -> None:
    """Write down what a look proved about attempts that were open."""
    for attempt in settled:
        finish(tx, attempt.id, outcome, now_ms, max(0, now_ms - attempt.began_at_ms))


def last_end_at_ms(tx: Transaction, tenant: Tenant, operations: Sequence[str]) -> int:
    """The latest moment at which an attempt of this generation may have reached the provider; 0 when there is none.

    Attempts that were clearly not processed do not count.
    """
    return latest_deadline_ms(tx, tenant, operations, "NOT EXISTS", ("not_processed",)) or 0


def count_since(tx: Transaction, tenant: Tenant, operation: str, number: str, since_ms: int) -> int:
    """How many attempts of one operation were made on a number since then."""
    row = tx.one(
        """SELECT COUNT(*) AS n FROM attempts WHERE tenant_id = :tenant_id AND generation = :generation
             AND operation = :operation AND number = :number AND began_at_ms >= :since_ms""",
        tenant_id=tenant.id,
        generation=tenant.generation,
        operation=operation,
        number=number,
        since_ms=since_ms,
    )
    return int(row["n"]) if row else 0


def count_made_since(tx: Transaction, tenant: Tenant, operation: str, number: str, since_ms: int) -> int:
    """The same without those that are known to have had no effect."""
    row = tx.one(
        """SELECT COUNT(*) AS n FROM attempts a WHERE a.tenant_id = :tenant_id AND a.generation = :generation
             AND a.operation = :operation AND a.number = :number AND a.began_at_ms >= :since_ms
             AND NOT EXISTS (SELECT 1 FROM attempt_outcomes o WHERE o.attempt_id = a.id
                             AND o.outcome IN ('not_processed', 'refused', 'proved_absent'))""",
        tenant_id=tenant.id,
        generation=tenant.generation,
        operation=operation,
        number=number,
        since_ms=since_ms,
    )
    return int(row["n"]) if row else 0


def was_processed(tx: Transaction, tenant: Tenant, operation: str) -> bool:
    """Whether any attempt of this generation was made that is not known to have had no effect."""
    row = tx.one(
        """SELECT 1 AS one FROM attempts a
           WHERE a.tenant_id = :tenant_id AND a.generation = :generation AND a.operation = :operation
             AND NOT EXISTS (SELECT 1 FROM attempt_outcomes o
                             WHERE o.attempt_id = a.id AND o.outcome IN ('not_processed', 'refused'))
           LIMIT 1""",
        tenant_id=tenant.id,
        generation=tenant.generation,
        operation=operation,
    )
    return row is not None


def last_began_at_ms(tx: Transaction, tenant_id: int) -> int:
    """When this tenant's newest attempt began; 0 when there is none."""
    row = tx.one("SELECT MAX(began_at_ms) AS at_ms FROM attempts WHERE tenant_id = :tenant_id", tenant_id=tenant_id)
    return (row["at_ms"] or 0) if row else 0


def count_tenants_since(tx: Transaction, operations: tuple[str, str], since_ms: int, besides_tenant_id: int) -> int:
    """How many other tenants had an attempt of one of two operations since then."""
    row = tx.one(
        """SELECT COUNT(DISTINCT tenant_id) AS n FROM attempts
           WHERE operation IN (:first, :second) AND began_at_ms > :since_ms AND tenant_id <> :besides""",
        first=operations[0],
        second=operations[1],
        since_ms=since_ms,
        besides=besides_tenant_id,
    )
    return int(row["n"]) if row else 0


def of_tenant(tx: Transaction, tenant_id: int, limit: int = 200) -> list[Row]:
    """The newest attempts with their last outcome, oldest first, for people."""
    rows = tx.all(
        """SELECT a.*, o.outcome, o.code, o.detail, o.at_ms AS ended_at_ms, o.duration_ms FROM attempts a
           LEFT JOIN attempt_outcomes o ON o.id = (SELECT MAX(id) FROM attempt_outcomes WHERE attempt_id = a.id)
           WHERE a.tenant_id = :tenant_id ORDER BY a.id DESC LIMIT :limit""",
        tenant_id=tenant_id,
        limit=limit,
    )
    return list(reversed(rows))


def from_row(row: Row) -> Attempt:
    return Attempt(row["id"], row["operation"], row["number"], row["began_at_ms"], row["deadline_at_ms"])


def has_begun(tx: Transaction, tenant: Tenant, operations: tuple[str, str]) -> bool:
    """Whether this generation ever had an attempt of one of two operations."""
    row = tx.one(
        """SELECT 1 AS one FROM attempts WHERE tenant_id = :tenant_id AND generation = :generation
             AND operation IN (:first, :second) LIMIT 1""",
        tenant_id=tenant.id,
        generation=tenant.generation,
        first=operations[0],
        second=operations[1],
    )
    return row is not None


def last_unclear_end_at_ms(tx: Transaction, tenant: Tenant, operations: Sequence[str]) -> int | None:
    """The latest deadline of this generation's attempts that once were unclear, whatever a look proved since."""
    return latest_deadline_ms(tx, tenant, operations, "EXISTS", (UNCLEAR, PROVED_DONE))


def latest_deadline_ms(
    tx: Transaction, tenant: Tenant, operations: Sequence[str], exists: str, outcomes: Sequence[str]
) -> int | None:
    """The latest deadline of this generation's attempts of which an outcome `exists`, or does not; None for none."""
    ended = ", ".join("?" * len(outcomes))
    named = ", ".join("?" * len(operations))
    rows = tx.run(
        f"""SELECT MAX(a.deadline_at_ms) FROM attempts a
            WHERE a.tenant_id = ? AND a.generation = ? AND a.operation IN ({named})
              AND {exists} (SELECT 1 FROM attempt_outcomes o WHERE o.attempt_id = a.id AND o.outcome IN ({ended}))""",  # noqa: S608
        [tenant.id, tenant.generation, *operations, *outcomes],
    )
    found: int | None = rows[0][0]
    return found
