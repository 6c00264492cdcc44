"""Bring a database up to date: numbered files, forward only, each applied once.

Safe to run twice, and in several processes at once. A database with a migration that this program does not know
was written by a newer one, and is refused.
"""

from __future__ import annotations

from pathlib import Path

from gateway.errors import DatabaseRefused
from gateway.store.database import Database

FOLDER = Path(__file__).parents[2] / "migrations"


def migration_files(folder: Path = FOLDER) -> list[Path]:
    """The numbered files, in order."""
    return sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql"))


def migrate(database: Database, folder: Path = FOLDER) -> list[str]:
    """Apply what is missing; gives the names applied. All of them, or none."""
    files = migration_files(folder)
    scripts = {file.stem: file.read_text(encoding="utf-8") for file in files}
    return database.apply_migrations(scripts, lambda applied: refuse_unknown(applied, files))


def pending(database: Database, folder: Path = FOLDER) -> list[str]:
    """Names not applied yet; refuses a database of a newer program."""
    files = migration_files(folder)
    done = database.applied_migrations()
    refuse_unknown(done, files)
    return [file.stem for file in files if file.stem not in done] + database.lacks_engine()


def refuse_unknown(applied: list[str], files: list[Path]) -> None:
    known = {file.stem for file in files}
    unknown = [name for name in applied if name not in known]
    if unknown:
        raise DatabaseRefused(
            f"This database was written by a newer release (it has {', '.join(unknown)}, unknown here). "
            "Start that release, or put back a backup from before the upgrade."
        )
