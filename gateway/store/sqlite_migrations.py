"""Which migrations a SQLite file has, and applying the rest: kept by sqlite-utils in a table of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlite_utils import Migrations

from gateway.store.portable import for_sqlite

MIGRATION_SET = "gateway"
TABLE = "_sqlite_migrations"


def applied_names(utils: Any) -> list[str]:
    table = utils[TABLE]
    if not table.exists():
        return []
    return [row["name"] for row in table.rows_where("migration_set = ?", [MIGRATION_SET])]


def apply(utils: Any, scripts: Mapping[str, str]) -> None:
    """Apply those of name -> portable SQL that it lacks, in the open transaction."""
    migrations = Migrations(MIGRATION_SET)
    for name, sql in scripts.items():
        migrations(name=name)(script(for_sqlite(sql)))
    migrations.apply(utils)


def script(sql: str) -> Callable[[Any], None]:
    def run(utils: Any) -> None:
        utils.executescript(sql)

    return run
