"""Migrations: each once, by however many processes, all or none, and never backwards."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gateway.errors import DatabaseRefused
from gateway.store.migrate import FOLDER, migrate, migration_files, pending
from gateway.store.portable import for_sqlite
from gateway.store.sqlite import SqliteDatabase
from tests.store.processes import running

NAMES = [file.stem for file in migration_files()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The program's own migrations, to which others can be added."""
    copy = tmp_path / "migrations"
    shutil.copytree(FOLDER, copy)
    return copy


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SqliteDatabase]:
    opened = SqliteDatabase(tmp_path / "gateway.db")
    yield opened
    opened.close()


def tables(database: SqliteDatabase) -> set[str]:
    with database.read() as tx:
        return {row["name"] for row in tx.all("SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_files_are_numbered_without_gap_or_double() -> None:
    assert [int(name[:4]) for name in NAMES] == list(range(1, len(NAMES) + 1))


def test_what_is_missing_is_applied_in_order_and_only_once(database: SqliteDatabase) -> None:
    before = pending(database)

    first, second = migrate(database), migrate(database)

    assert (before, first, second, pending(database)) == (NAMES, NAMES, [], [])


def test_a_new_file_is_applied_to_a_database_that_has_the_others(database: SqliteDatabase, folder: Path) -> None:
    migrate(database, folder)
    (folder / "0099_extra.sql").write_text("CREATE TABLE extra (id BIGINT PRIMARY KEY) /*strict*/;")

    assert pending(database, folder) == ["0099_extra"]
    assert migrate(database, folder) == ["0099_extra"]
    assert "extra" in tables(database)


def test_a_file_that_is_not_numbered_is_no_migration(database: SqliteDatabase, folder: Path) -> None:
    (folder / "notes.sql").write_text("this is no SQL")

    assert migrate(database, folder) == NAMES


@pytest.mark.parametrize(
    "broken",
    ["CREATE TABLE extra (id BIGINT); CREATE TABEL more (id BIGINT);", "CREATE TABLE tenants (id BIGINT);"],
    ids=["no SQL half-way", "a table that is there already"],
)
def test_when_one_file_is_broken_none_is_applied(database: SqliteDatabase, folder: Path, broken: str) -> None:
    (folder / "0098_before.sql").write_text("CREATE TABLE before (id BIGINT);")
    (folder / "0099_broken.sql").write_text(broken)

    with pytest.raises(Exception, match=r"TABEL|already exists"):
        migrate(database, folder)

    assert pending(database, folder) == [*NAMES, "0098_before", "0099_broken"]
    assert not tables(database) & {"tenants", "before", "extra"}
    (folder / "0099_broken.sql").unlink()
    assert migrate(database, folder) == [*NAMES, "0098_before"]


def test_a_database_of_a_newer_release_is_refused_and_left_as_it_is(database: SqliteDatabase, folder: Path) -> None:
    (folder / "0098_newer.sql").write_text("CREATE TABLE newer (id BIGINT);")
    migrate(database, folder)
    (folder / "0098_newer.sql").unlink()
    (folder / "0099_own.sql").write_text("CREATE TABLE own (id BIGINT);")

    for ask in (migrate, pending):
        with pytest.raises(DatabaseRefused, match=r"newer release \(it has 0098_newer"):
            ask(database, folder)

    assert "own" not in tables(database)


def test_the_portable_text_becomes_sqlites_own() -> None:
    sql = "CREATE TABLE t (id /*serial*/ BIGINT PRIMARY KEY, body BYTEA) /*strict*/;"

    assert for_sqlite(sql) == "CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB) STRICT;"


def test_every_table_of_ours_checks_its_types(database: SqliteDatabase) -> None:
    migrate(database)

    with database.read() as tx:
        rows = tx.all("SELECT name, strict FROM pragma_table_list WHERE type = 'table' AND schema = 'main'")
    loose = {row["name"] for row in rows if not row["strict"]} - {"sqlite_schema", "_sqlite_migrations"}
    assert loose == set()


MIGRATE = """
import sys
from gateway.store.sqlite import SqliteDatabase
from gateway.store.migrate import migrate
database = SqliteDatabase(sys.argv[1], busy_timeout_seconds=60)
print("ready", flush=True)
sys.stdin.readline()
database.quick_check()
print(*migrate(database), flush=True)
"""


def test_three_processes_at_once_apply_each_migration_once(tmp_path: Path) -> None:
    path = tmp_path / "fresh.db"
    with ExitStack() as stack:
        programs = [stack.enter_context(running(MIGRATE, path)) for _ in range(3)]
        for program in programs:
            assert program.hear() == "ready"
        for program in programs:
            program.say()
        told = [program.hear().split() for program in programs]
        assert [program.end() for program in programs] == [0, 0, 0]

    assert sorted(told) == [[], [], NAMES]
    made = SqliteDatabase(path)
    assert pending(made) == []
    made.close()
