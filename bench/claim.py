"""What a claim of due tenants costs when the table is large."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from bench import postgres, processes, product
from bench.processes import Unmeasurable
from bench.report import Missing, Ratio, at_most, median, number

PART = "claim"
SIZES = {"small": 10_000, "large": 1_000_000}
CLAIMED = 64
REPEATS = 40
NOW_MS = 1_800_000_000_000
DUE_NOW = 1_000
# A migrated database gets so many tenants: most at rest, a tenth due later, and the same number due now in both.
COLUMNS = "INSERT INTO tenants (tenant_key, state, wanted, reason, next_run_at_ms, created_at_ms, updated_at_ms)"
DUE = "CASE WHEN i % :every = 0 THEN :now_ms - i WHEN i % 10 = 1 THEN :now_ms + 60000 + i ELSE NULL END"
FILL_SQLITE = f"""WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :size)
    {COLUMNS} SELECT printf('tenant-%09d', i), 'active', 'active', 'paid', {DUE}, :now_ms, :now_ms FROM n"""
FILL_POSTGRES = f"""{COLUMNS}
    SELECT 'tenant-' || lpad(i::text, 9, '0'), 'active', 'active', 'paid', {DUE}, :now_ms, :now_ms
    FROM generate_series(1, :size) AS i"""


class RolledBack(Exception):
    """Ends a claim without its commit: the disk would hide what the table costs."""


def measure(rounds: int, seconds: float) -> Iterator[Ratio | Missing]:
    """Both tables are made once; what is measured is done in turn and rolled back. `seconds` is not used."""
    if str(processes.ROOT) not in sys.path:
        sys.path.insert(0, str(processes.ROOT))
    with ExitStack() as stack:
        folder = product.fresh_folder("claim")
        tables = {name: on_sqlite(stack, folder / f"{name}.db", size) for name, size in SIZES.items()}
        yield compared("SQLite: claim of 64 due tenants", tables, claim_ms, rounds)
        if not postgres.is_named():
            yield postgres.skipped(PART, "a claim on PostgreSQL")
            return
        try:
            tables = {name: on_postgres(stack, size) for name, size in SIZES.items()}
        except Unmeasurable as error:
            yield Missing(PART, "a claim on PostgreSQL", str(error))
            return
        yield compared("PostgreSQL: claim of 64 due tenants", tables, claim_ms, rounds)
        yield compared("PostgreSQL: claim of one by its job", tables, claim_one_ms, rounds)
        yield compared("PostgreSQL: sweep that makes jobs", tables, sweep_ms, rounds)


def compared(what: str, tables: dict[str, Any], measured: Callable[[Any], float], rounds: int) -> Ratio:
    found: dict[str, list[float]] = {name: [] for name in tables}
    for _ in range(rounds):
        times: dict[str, list[float]] = {name: [] for name in tables}
        for _ in range(REPEATS):
            for name, table in tables.items():
                times[name].append(measured(table))
        for name, spent in times.items():
            found[name].append(median(spent))
    ratios = tuple(a / b for a, b in zip(found["large"], found["small"], strict=True))
    return Ratio(
        PART, f"{what}, 1 M tenants / 10 k", ratios, "x", at_most(2),
        f"{number(median(found['large']))} ms", f"{number(median(found['small']))} ms",
    )  # fmt: skip


def on_sqlite(stack: ExitStack, path: Path, size: int) -> Any:
    from gateway.store.sqlite import SqliteDatabase

    return filled(stack, SqliteDatabase(path), FILL_SQLITE, size)


def on_postgres(stack: ExitStack, size: int) -> Any:
    from gateway.store.postgres import PostgresDatabase

    url = stack.enter_context(postgres.fresh_database())
    database = filled(stack, PostgresDatabase(url), FILL_POSTGRES, size)
    # What the server does by itself soon after so many rows; a vacuum in the middle would be measured too.
    postgres.vacuum(url)
    return database


def filled(stack: ExitStack, database: Any, sql: str, size: int) -> Any:
    from gateway.store.migrate import migrate

    migrate(database)
    with database.transaction() as tx:
        tx.do(sql, size=size, every=size // DUE_NOW, now_ms=NOW_MS)
    stack.callback(database.close)
    return database


def rolled_back_ms(database: Any, job: Callable[[Any], None]) -> float:
    spent_ms = 0.0
    with suppress(RolledBack), database.transaction() as tx:
        began = time.perf_counter()
        job(tx)
        spent_ms = (time.perf_counter() - began) * 1e3
        raise RolledBack
    return spent_ms


def claim_ms(database: Any) -> float:
    """What the embedded worker calls."""
    from gateway.store import leases

    def job(tx: Any) -> None:
        got = leases.claim_due(tx, NOW_MS, 60_000, "bench", CLAIMED)
        assert len(got) == CLAIMED, f"claimed {len(got)} of {CLAIMED}"

    return rolled_back_ms(database, job)


def claim_one_ms(database: Any) -> float:
    """What a job of Procrastinate calls; the thousandth tenant is one of those that are due."""
    from gateway.store import leases

    def job(tx: Any) -> None:
        assert leases.claim_if_due(tx, 1_000, NOW_MS, 60_000, "bench") is not None

    return rolled_back_ms(database, job)


def sweep_ms(database: Any) -> float:
    """What Procrastinate is told every other second: jobs for whoever is due."""
    from gateway.store import wakeups

    def job(tx: Any) -> None:
        wakeups.sweep(tx, NOW_MS)

    return rolled_back_ms(database, job)
