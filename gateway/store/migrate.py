"""Bring a database up to date: numbered files, forward only, each applied once.

Safe to run twice, and in several processes at once. A database with a migration that this program does not know
was written by a newer one, and is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlite_utils import Migrations

from gateway.errors import DatabaseRefused
from gateway.store.database import SqliteDatabase

FOLDER = Path(__file__).parents[2] / "migrations"
SET_NAME = "gateway"


def migration_files(folder: Path = FOLDER) -> list[Path]:
    """The numbered files, in order."""
    return sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql"))


def for_sqlite(sql: str) -> str:
    """The portable text in SQLite's words. STRICT knows INTEGER and BLOB only."""
    return (
        sql.replace("/*strict*/", "STRICT")
        .replace("/*serial*/ ", "")
        .replace("BIGINT", "INTEGER")
        .replace("BYTEA", "BLOB")
    )


def migrate(database: SqliteDatabase, folder: Path = FOLDER) -> list[str]:
    """Apply what is missing; gives the names applied. All of them, or none."""
    migrations = Migrations(SET_NAME)
    files = migration_files(folder)
    for file in files:
        migrations(name=file.stem)(script(for_sqlite(file.read_text(encoding="utf-8"))))
    with database.transaction():
        utils = database.utils
        before = applied_names(utils)
        refuse_unknown(before, files, database)
        migrations.apply(utils)
        return [name for name in applied_names(utils) if name not in before]


def pending(database: SqliteDatabase, folder: Path = FOLDER) -> list[str]:
    """Names not applied yet; refuses a database of a newer program."""
    files = migration_files(folder)
    with database.transaction():
        done = applied_names(database.utils)
    refuse_unknown(done, files, database)
    return [file.stem for file in files if file.stem not in done]


def script(sql: str) -> Callable[[Any], None]:
    def run(utils: Any) -> None:
        utils.executescript(sql)

    return run


def applied_names(utils: Any) -> list[str]:
    table = utils["_sqlite_migrations"]
    if not table.exists():
        return []
    return [row["name"] for row in table.rows_where("migration_set = ?", [SET_NAME])]


def refuse_unknown(applied: list[str], files: list[Path], database: SqliteDatabase) -> None:
    known = {file.stem for file in files}
    unknown = [name for name in applied if name not in known]
    if unknown:
        raise DatabaseRefused(
            f"{database.path} was written by a newer release (it has {', '.join(unknown)}, unknown here). "
            "Start that release, or put back a backup from before the upgrade."
        )
