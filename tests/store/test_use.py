"""`<database>.use`: who has a SQLite file open, and that nobody gets in between who replaces it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.errors import DatabaseRefused
from gateway.store.migrate import migrate
from gateway.store.sqlite import SqliteDatabase
from gateway.store.use import UseLock
from tests.store.processes import running

# A process whose command line is that of `serve`, and that has the database open.
SERVING = """
import sys
from gateway.store.sqlite import SqliteDatabase
database = SqliteDatabase(sys.argv[1])
database.quick_check()
print("open", flush=True)
sys.stdin.readline()
database.close()
print("closed", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = SqliteDatabase(tmp_path / "gateway.db")
    migrate(made)
    made.close()
    return tmp_path / "gateway.db"


def test_many_may_have_it_open_and_who_replaces_it_waits_for_all_of_them(path: Path) -> None:
    first, second, alone = SqliteDatabase(path), SqliteDatabase(path), UseLock(path, patience_seconds=0.1)
    first.quick_check()
    second.quick_check()

    first.close()
    with pytest.raises(DatabaseRefused, match=r"is in use by .* nothing was changed"):
        alone.take_alone()
    second.close()
    alone.take_alone()

    alone.free()


def test_while_it_is_replaced_nobody_opens_it_not_even_to_read(path: Path) -> None:
    alone = UseLock(path)
    alone.take_alone()
    database = SqliteDatabase(path)

    for use in (database.quick_check, lambda: migrate(database)):
        with pytest.raises(DatabaseRefused, match="being restored or moved just now"):
            use()
    alone.free()
    database.quick_check()

    database.close()


def test_another_process_that_has_it_open_is_named_by_its_command_and_nothing_else(path: Path) -> None:
    script = f"import sys; sys.argv.pop(1); sys.argv.pop(1)\n{SERVING}"
    with running(script, "gateway", "serve", path, "postgres://user:secret@host/x") as serving:
        assert serving.hear() == "open"

        with pytest.raises(DatabaseRefused, match=rf"in use by serve \(process {serving.process.pid}\)") as refused:
            UseLock(path, patience_seconds=0).take_alone()

        assert "secret" not in str(refused.value)


def test_whoever_is_killed_no_longer_has_it(path: Path) -> None:
    alone = UseLock(path)
    with running(SERVING, path) as serving:
        assert serving.hear() == "open"
        serving.kill()

        alone.take_alone()

    alone.free()


def test_closing_frees_it_and_opening_again_takes_it_again(path: Path) -> None:
    alone = UseLock(path)
    with running(SERVING, path) as serving:
        assert serving.hear() == "open"
        serving.say()
        assert serving.hear() == "closed"

        alone.take_alone()

    alone.free()


def test_every_way_to_the_file_leads_to_one_lock(path: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "other.db"
    link.symlink_to(path)
    database = SqliteDatabase(link)
    database.quick_check()

    with pytest.raises(DatabaseRefused, match="is in use"):
        UseLock(path, patience_seconds=0).take_alone()

    database.close()


def test_the_lock_is_never_deleted_and_anybody_who_reaches_it_may_take_it(path: Path) -> None:
    before = os.umask(0o077)
    lock = UseLock(path)
    lock.take_alone()
    lock.free()
    os.umask(before)

    assert lock.path.name == "gateway.db.use"
    assert lock.path.stat().st_mode & 0o777 == 0o644


def test_where_no_lock_can_be_made_nothing_is_replaced(tmp_path: Path) -> None:
    with pytest.raises(DatabaseRefused, match="cannot be locked"):
        UseLock(tmp_path / "nowhere" / "gateway.db").take_alone()
