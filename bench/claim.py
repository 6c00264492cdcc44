"""What a claim of due tenants costs when the table is large."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench import processes, product
from bench.report import Missing, Ratio, at_most, median, number

PART = "claim"
NAME = "claim of 64 due tenants, 1 M tenants / 10 k"
SMALL, LARGE = 10_000, 1_000_000
CLAIMED = 64
REPEATS = 40
NOW_MS = 1_800_000_000_000


class RolledBack(Exception):
    """Ends a claim without its commit: the disk would hide what the table costs."""


def measure(rounds: int, seconds: float) -> Iterator[Ratio | Missing]:
    """Both tables are made once; claims are taken in turn and rolled back. `seconds` is not used."""
    if str(processes.ROOT) not in sys.path:
        sys.path.insert(0, str(processes.ROOT))
    try:
        from gateway.store import leases
    except ImportError as error:
        yield Missing(PART, NAME, f"the store has no leases: {error}")
        return
    folder = product.fresh_folder("claim")
    small, large = table_of(folder / "small.db", SMALL), table_of(folder / "large.db", LARGE)
    found: dict[str, list[float]] = {"small": [], "large": []}
    for _ in range(rounds):
        times: dict[str, list[float]] = {"small": [], "large": []}
        for _ in range(REPEATS):
            times["small"].append(claim_ms(small, leases))
            times["large"].append(claim_ms(large, leases))
        for size, spent in times.items():
            found[size].append(median(spent))
    small.close()
    large.close()
    ratios = tuple(a / b for a, b in zip(found["large"], found["small"], strict=True))
    yield Ratio(
        PART, NAME, ratios, "x", at_most(2),
        f"{number(median(found['large']))} ms", f"{number(median(found['small']))} ms",
    )  # fmt: skip


def table_of(path: Path, size: int) -> Any:
    """A migrated database with `size` tenants: 90 % at rest, 9 % due later, 1 % due now."""
    from gateway.store.migrate import migrate
    from gateway.store.sqlite import SqliteDatabase

    database = SqliteDatabase(path)
    migrate(database)
    with database.transaction() as tx:
        tx.do(
            """WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :size)
               INSERT INTO tenants (tenant_key, state, wanted, reason, next_run_at_ms, created_at_ms, updated_at_ms)
               SELECT printf('tenant-%09d', i), 'active', 'active', 'paid',
                 CASE WHEN i % 100 < 90 THEN NULL WHEN i % 100 < 99 THEN :now_ms + 60000 + i ELSE :now_ms - i END,
                 :now_ms, :now_ms
               FROM n""",
            size=size,
            now_ms=NOW_MS,
        )
    return database


def claim_ms(database: Any, leases: Any) -> float:
    began = 0.0
    spent_ms = 0.0
    with suppress(RolledBack), database.transaction() as tx:
        began = time.perf_counter()
        got = leases.claim_due(tx, NOW_MS, 60_000, "bench", CLAIMED)
        spent_ms = (time.perf_counter() - began) * 1e3
        assert len(got) == CLAIMED, f"claimed {len(got)} of {CLAIMED}"
        raise RolledBack
    return spent_ms
