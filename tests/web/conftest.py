from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from gateway.flow.receive import Rejections
from gateway.store.database import Database
from gateway.store.migrate import migrate
from gateway.store.sqlite import SqliteDatabase, address
from gateway.web import WebParts
from tests import databases
from tests.integrations.senders import NOW_MS
from tests.web.entries import FlaskEntry, FrontEntry
from tests.web.serving import make_parts


class FixedClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.at_ms = NOW_MS
        self.trouble: Exception | None = None

    def now_ms(self) -> int:
        if self.trouble is not None:
            raise self.trouble
        return self.at_ms

    def monotonic(self) -> float:
        return self.at_ms / 1000


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


class RemountableDatabase(SqliteDatabase):
    """File modes do not bind a test that runs as root: this opens its file as the engine does where they do."""

    is_read_only = False

    def connect(self) -> Any:
        if not self.is_read_only:
            return super().connect()
        place = address(self.path, "ro")
        return sqlite3.connect(place, uri=True, isolation_level=None, check_same_thread=False)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database: Database
    if databases.is_postgres():
        database = databases.open_database(tmp_path)
    else:
        database = RemountableDatabase(tmp_path / "gateway.db")
        migrate(database)
    yield database
    database.close()


@pytest.fixture
def parts(database: Database, clock: FixedClock) -> Iterator[WebParts]:
    # Written when a test says so, and not by a timer that outlives it.
    parts = make_parts(database, clock, Rejections(database, schedule=lambda seconds, call: None))
    yield parts
    parts.intake.close()


@pytest.fixture
def front(parts: WebParts) -> Iterator[FrontEntry]:
    entry = FrontEntry(parts)
    yield entry
    entry.close()


@pytest.fixture(params=["front", "flask"])
def entry(request: pytest.FixtureRequest, parts: WebParts) -> Iterator[FrontEntry | FlaskEntry]:
    made = FrontEntry(parts) if request.param == "front" else FlaskEntry(parts)
    yield made
    made.close()
