"""A database that was moved away: nobody writes it any more, whoever has it open."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import DatabaseRefused
from gateway.store import installation
from gateway.store.closing import close_for_good, closed_for
from gateway.store.migrate import migrate, pending
from gateway.store.sqlite import SqliteDatabase


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = SqliteDatabase(tmp_path / "gateway.db")
    migrate(made)
    made.close()
    return tmp_path / "gateway.db"


def close(path: Path) -> None:
    mover = SqliteDatabase(path, is_alone=True)
    with mover.transaction() as tx:
        close_for_good(tx, "postgresql://gateway@host/new")
    mover.close()


def test_whoever_has_it_open_stores_nothing_from_that_moment_on(path: Path) -> None:
    database = SqliteDatabase(path)
    with database.transaction() as tx:
        installation.put(tx, "mode", "sandbox")

    close(path)

    says = r"was moved to postgresql://gateway@host/new and is closed for good"
    with pytest.raises(DatabaseRefused, match=says), database.transaction() as tx:
        installation.put(tx, "mode", "live")
    with database.read() as tx:
        assert installation.value(tx, "mode") == "sandbox"
    database.close()


def test_it_stays_closed_for_every_later_process_and_every_copy(path: Path, tmp_path: Path) -> None:
    close(path)
    mover = SqliteDatabase(path, is_alone=True)
    mover.vacuum_into(tmp_path / "copy.db")
    mover.close()

    for file in (path, tmp_path / "copy.db"):
        later = SqliteDatabase(file)
        with pytest.raises(DatabaseRefused, match="closed for good"):
            migrate(later)
        with pytest.raises(DatabaseRefused, match="closed for good"):
            pending(later)
        with later.read() as tx:
            assert closed_for(tx) == "postgresql://gateway@host/new"
        later.close()


def test_a_database_without_any_table_is_open(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "new.db")

    with database.read() as tx:
        assert closed_for(tx) is None

    database.close()
