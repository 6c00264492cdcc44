"""Procrastinate's tables: made and brought up to date by `migrate`, with a record of what was applied.

Procrastinate itself keeps none: its schema cannot be applied twice, and nobody could say which of its migrations a
database has. They are there whichever engine is chosen, so that choosing the other one is a restart.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from gateway.errors import DatabaseRefused
from gateway.store.database import Transaction

RECORD = "CREATE TABLE IF NOT EXISTS engine_migrations (name TEXT PRIMARY KEY, applied_at_ms BIGINT NOT NULL)"
FIRST = "procrastinate"


@lru_cache(maxsize=1)
def folder() -> Path:
    """The package's SQL files, found without loading it: that costs a quarter of a second."""
    found = importlib.util.find_spec("procrastinate")
    assert found is not None, "procrastinate is not installed"
    assert found.origin is not None
    return Path(found.origin).parent / "sql"


def known() -> list[str]:
    """Names of the installed package's migrations, in order."""
    return sorted(file.stem for file in (folder() / "migrations").glob("*.sql"))


def missing(tx: Transaction) -> list[str]:
    """What this database lacks; all of it together is called by the package's name. Refuses what a newer one wrote."""
    applied = recorded(tx)
    unknown = sorted(applied - set(known()))
    if unknown:
        raise DatabaseRefused(
            f"Procrastinate's tables are those of a newer release (they have {', '.join(unknown)}, unknown here). "
            "Start that release, or put back a backup from before the upgrade."
        )
    return [name for name in known() if name not in applied] if applied else [FIRST]


def recorded(tx: Transaction) -> set[str]:
    if not has_table(tx, "engine_migrations"):
        return set()
    return {row["name"] for row in tx.all("SELECT name FROM engine_migrations")}


def has_table(tx: Transaction, name: str) -> bool:
    return tx.one("SELECT 1 AS found WHERE to_regclass(:name) IS NOT NULL", name=name) is not None


def apply(tx: Transaction, script: Callable[[str], None], now_ms: int) -> list[str]:
    """Apply what is missing; its names. In a transaction that nobody else's `migrate` runs beside.

    script: runs several statements at once.
    """
    names = missing(tx)
    if names == [FIRST]:
        if has_table(tx, "procrastinate_jobs"):
            raise DatabaseRefused(
                "This schema holds Procrastinate's tables already, and not ours: let search_path in DATABASE_URL "
                "name a schema of our own."
            )
        script((folder() / "schema.sql").read_text(encoding="utf-8"))
        tx.do(RECORD)
    else:
        for name in names:
            script((folder() / "migrations" / f"{name}.sql").read_text(encoding="utf-8"))
    for name in known() if names == [FIRST] else names:
        tx.do("INSERT INTO engine_migrations VALUES (:name, :now_ms)", name=name, now_ms=now_ms)
    return names
