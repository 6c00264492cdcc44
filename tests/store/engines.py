"""The databases that the contract of the store is held to: one entry an engine, and every test of it runs on each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.store.database import Database, SqliteDatabase
from gateway.store.migrate import migrate


@dataclass(frozen=True)
class Engine:
    """open: the database of this folder, migrated; opened again it is the same one, as another process sees it."""

    name: str
    open: Callable[[Path], Database]


def open_sqlite(folder: Path) -> Database:
    # Long, because SQLite's own waiting is not fair, and the machine that tests may be busy with others.
    database = SqliteDatabase(folder / "gateway.db", busy_timeout_seconds=60)
    migrate(database)
    return database


ENGINES = (Engine("sqlite", open_sqlite),)
