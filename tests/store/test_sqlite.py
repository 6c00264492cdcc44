"""What only SQLite has: pragmas on every connection, journal modes, files that cannot be written, and kill -9."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from gateway.errors import DatabaseRefused, StorageUnavailable
from gateway.store import installation, leases
from gateway.store.migrate import migrate
from gateway.store.sqlite import SAFE_WAL_VERSION, SqliteDatabase
from tests.store.processes import heed_file_modes, outcome, running

PRAGMAS = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
FULL = 2
IS_SAFE = sqlite3.sqlite_version_info >= SAFE_WAL_VERSION

# What a machine without pysqlite3 has: the standard library's SQLite, and one with the WAL-reset bug.
WITH_THE_OLD_LIBRARY = """
import sys
sys.modules["pysqlite3"] = None
from gateway.store import sqlite as module
from gateway.store.sqlite import SAFE_WAL_VERSION, SqliteDatabase
from gateway.store.migrate import migrate
from gateway.errors import DatabaseRefused, StorageUnavailable
assert module.sqlite3.__name__ == "sqlite3"
if module.sqlite3.sqlite_version_info >= module.SAFE_WAL_VERSION:
    module.SAFE_WAL_VERSION = (99, 0, 0)
"""


class Watched(SqliteDatabase):
    """Keeps what each connection was set to when it was made, and the connection."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, busy_timeout_seconds=3.0)
        self.connections: list[Any] = []
        self.set_to: list[dict[str, Any]] = []

    def connect(self) -> Any:
        connection = super().connect()
        self.connections.append(connection)
        self.set_to.append(pragmas(connection))
        return connection


def pragmas(connection: Any) -> dict[str, Any]:
    return {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in PRAGMAS}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.db"


@pytest.fixture
def database(path: Path) -> Iterator[SqliteDatabase]:
    opened = SqliteDatabase(path, busy_timeout_seconds=0.1)
    migrate(opened)
    yield opened
    opened.close()


def put(database: SqliteDatabase, name: str = "key", text: str = "value") -> None:
    with database.transaction() as tx:
        installation.put(tx, name, text)


def value(database: SqliteDatabase, name: str = "key") -> str | None:
    with database.read() as tx:
        return installation.value(tx, name)


# --- connections -----------------------------------------------------------------------------------------------------


def test_every_connection_commits_to_disk_whoever_made_it_and_whatever_was_done_on_it(path: Path) -> None:
    expected = {
        "journal_mode": "wal" if IS_SAFE else "truncate",
        "synchronous": FULL,
        "foreign_keys": 1,
        "busy_timeout": 3000,
    }
    watched = Watched(path)
    watched.quick_check()
    migrate(watched)
    put(watched)
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(watched.read())
    watched.changed_elsewhere()
    with pytest.raises(RuntimeError), watched.transaction():
        raise RuntimeError
    before_backup = list(watched.connections)
    watched.vacuum_into(path.with_name("copy.db"))

    assert len(watched.connections) >= 6
    assert watched.set_to == [expected] * len(watched.connections)
    assert [pragmas(connection) for connection in before_backup] == [expected] * len(before_backup)
    watched.close()


def test_a_reader_that_ended_well_lends_its_connection_to_the_next(path: Path) -> None:
    watched = Watched(path)
    migrate(watched)
    made = len(watched.connections)

    for _ in range(5):
        value(watched)

    assert len(watched.connections) == made + 1
    watched.close()


def test_a_reader_that_failed_leaves_no_connection_open(path: Path) -> None:
    watched = Watched(path)
    migrate(watched)

    with pytest.raises(RuntimeError), watched.read():
        raise RuntimeError

    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        watched.connections[-1].execute("SELECT 1")
    watched.close()


def test_a_sqlite_that_is_too_old_is_refused_with_what_to_do(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 0))

    with pytest.raises(DatabaseRefused, match="pysqlite3"):
        SqliteDatabase(path).quick_check()


def test_a_claim_reads_the_narrow_index_of_what_is_due(database: SqliteDatabase) -> None:
    with database.transaction() as tx:
        plan = tx.all(
            """EXPLAIN QUERY PLAN SELECT id FROM tenants WHERE next_run_at_ms <= :now_ms
               ORDER BY next_run_at_ms, id LIMIT 5""",
            now_ms=1,
        )
        next_due = leases.next_due_at_ms(tx)

    assert [row["detail"] for row in plan] == ["SEARCH tenants USING COVERING INDEX tenants_due (next_run_at_ms<?)"]
    assert next_due is None


# --- journal modes ---------------------------------------------------------------------------------------------------


def test_an_old_sqlite_library_uses_no_wal_and_is_as_durable(path: Path) -> None:
    told = outcome(
        WITH_THE_OLD_LIBRARY
        + """
database = SqliteDatabase(sys.argv[1])
migrate(database)
with database.transaction() as tx:
    tx.do("INSERT INTO installation (name, value) VALUES ('key', 'value')")
    writer = [tx.run(f"PRAGMA {name}", [])[0][0] for name in ("journal_mode", "synchronous", "foreign_keys")]
with database.read() as tx:
    reader = [tx.run(f"PRAGMA {name}", [])[0][0] for name in ("journal_mode", "synchronous", "foreign_keys")]
print(writer, reader)
""",
        path,
    )

    assert told == "['truncate', 2, 1] ['truncate', 2, 1]"
    assert not path.with_name("gateway.db-wal").exists()
    opened = SqliteDatabase(path)
    assert value(opened) == "value"
    opened.close()


OPEN_WITH_THE_OLD_LIBRARY = (
    WITH_THE_OLD_LIBRARY
    + """
try:
    SqliteDatabase(sys.argv[1], busy_timeout_seconds=0.2).quick_check()
except DatabaseRefused as refused:
    print(refused)
"""
)


@pytest.mark.skipif(not IS_SAFE, reason="this machine's SQLite uses no WAL itself")
def test_a_wal_file_that_an_old_library_cannot_change_is_refused_with_a_sentence(database: SqliteDatabase) -> None:
    put(database)

    told = outcome(OPEN_WITH_THE_OLD_LIBRARY, database.path)

    assert "is in journal mode wal" in told
    assert "Stop every process that uses the file" in told
    assert value(database) == "value"


def test_a_wal_file_that_nobody_uses_is_changed_by_an_old_library(database: SqliteDatabase) -> None:
    put(database)
    database.close()

    told = outcome(OPEN_WITH_THE_OLD_LIBRARY, database.path)

    assert told == ""
    assert value(database) == "value"


CHECK_AND_SAY = """
import sys
from gateway.errors import DatabaseRefused
from gateway.store.sqlite import SqliteDatabase
database = SqliteDatabase(sys.argv[1])
try:
    database.quick_check()
except DatabaseRefused as refused:
    print(refused)
database.close()
"""


# --- what cannot be stored -------------------------------------------------------------------------------------------

HOLD_THE_LOCK = """
import sys
from gateway.store.sqlite import SAFE_WAL_VERSION, SqliteDatabase
database = SqliteDatabase(sys.argv[1])
with database.transaction() as tx:
    tx.do("INSERT INTO installation (name, value) VALUES ('theirs', 'x')")
    print("locked", flush=True)
    sys.stdin.readline()
print("free", flush=True)
sys.stdin.readline()
"""


def test_a_database_that_another_process_has_locked_cannot_store_until_it_is_free(database: SqliteDatabase) -> None:
    put(database, "before")
    with running(HOLD_THE_LOCK, database.path) as other:
        assert other.hear() == "locked"

        with pytest.raises(StorageUnavailable, match="locked by another process"):
            put(database)
        during = value(database, "before"), value(database), value(database, "theirs")
        other.say()
        assert other.hear() == "free"
        put(database)

    assert during == ("value", None, None)
    assert (value(database), value(database, "theirs")) == ("value", "x")


def test_a_lock_that_ends_in_time_is_waited_for(path: Path) -> None:
    patient = SqliteDatabase(path, busy_timeout_seconds=60)
    migrate(patient)
    with running(HOLD_THE_LOCK, path) as other:
        assert other.hear() == "locked"
        writing = threading.Thread(target=put, args=(patient,))
        writing.start()
        other.say()
        writing.join(60)

    assert (value(patient), value(patient, "theirs")) == ("value", "x")
    patient.close()


def test_a_write_that_another_thread_holds_too_long_is_given_up(database: SqliteDatabase) -> None:
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with database.transaction():
            inside.set()
            leave.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    assert inside.wait(60)

    with pytest.raises(StorageUnavailable, match=r"held it for 0\.1 s"):
        put(database)
    leave.set()
    holder.join(60)
    put(database)

    assert value(database) == "value"


def fill_up(database: SqliteDatabase, spare_pages: int = 0) -> None:
    """As on a full disk: the file may not grow by more than so many pages."""
    with database.transaction() as tx:
        (pages,) = tx.run("PRAGMA page_count", [])[0]
        tx.run(f"PRAGMA max_page_count = {pages + spare_pages}", [])


def make_room(database: SqliteDatabase) -> None:
    with database.transaction() as tx:
        tx.run("PRAGMA max_page_count = 1000000", [])


def put_small_and_large(database: SqliteDatabase, in_a_savepoint: bool = False) -> None:
    with database.transaction() as tx:
        installation.put(tx, "small", "x")
        with tx.savepoint() if in_a_savepoint else nullcontext():
            installation.put(tx, "large", "x" * 100_000)


def test_a_full_disk_stores_nothing_and_everything_once_there_is_room(database: SqliteDatabase) -> None:
    put(database, "before")
    fill_up(database)

    with pytest.raises(StorageUnavailable, match="disk is full"):
        put_small_and_large(database)
    during = value(database, "before"), value(database, "small")
    make_room(database)
    put(database, "large", "x" * 100_000)

    assert during == ("value", None)
    assert value(database, "large") == "x" * 100_000


def test_a_disk_that_fills_up_inside_a_savepoint_undoes_the_whole_transaction(database: SqliteDatabase) -> None:
    fill_up(database)

    with pytest.raises(StorageUnavailable, match="disk is full"):
        put_small_and_large(database, in_a_savepoint=True)

    assert value(database, "small") is None


WRITE_WITHOUT_RIGHTS = """
import os, sys
from gateway.store.sqlite import SAFE_WAL_VERSION, SqliteDatabase
from gateway.errors import StorageUnavailable
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
database = SqliteDatabase(sys.argv[1])
try:
    with database.transaction() as tx:
        tx.do("INSERT INTO installation (name, value) VALUES ('key', 'value')")
except StorageUnavailable as error:
    print(error)
"""


def test_a_file_that_may_not_be_written_cannot_store_and_says_so() -> None:
    with tempfile.TemporaryDirectory(prefix="ringfence-test-") as name:
        folder = Path(name)
        made = SqliteDatabase(folder / "gateway.db")
        migrate(made)
        made.close()
        (folder / "gateway.db").chmod(0o444)
        folder.chmod(0o555)

        told = outcome(WRITE_WITHOUT_RIGHTS, folder / "gateway.db")

        folder.chmod(0o755)
    assert told.startswith("The database cannot store anything now: the file")


USE_AND_SAY = """
import sys
from contextlib import ExitStack
from gateway.errors import StorageUnavailable
from gateway.store import installation
from gateway.store.sqlite import SqliteDatabase
database = SqliteDatabase(sys.argv[1])
for line in sys.stdin:
    try:
        with ExitStack() as stack:
            # Readers that are at it while the writer fails, and the watcher, keep what they opened.
            readers = [stack.enter_context(database.read()) for _ in range(2)]
            seen = [installation.value(tx, "key") for tx in readers]
            database.changed_elsewhere()
            with database.transaction() as tx:
                installation.put(tx, "key", line.strip())
        with database.read() as tx:
            print("stored", installation.value(tx, "key"), flush=True)
    except StorageUnavailable as error:
        print(error, flush=True)
"""


@contextmanager
def read_only(path: Path) -> Iterator[None]:
    """The folder and all in it as on a file system that is mounted for reading only."""
    files = [path.parent, *path.parent.iterdir()]
    modes = [file.stat().st_mode for file in files]
    for file in files:
        file.chmod(0o555)
    try:
        yield
    finally:
        for file, mode in zip(files, modes, strict=True):
            file.chmod(mode)


@pytest.mark.parametrize("is_left_over", [False, True], ids=["closed well", "killed"])
def test_what_was_opened_read_only_stores_again_once_it_may(path: Path, is_left_over: bool) -> None:
    made = SqliteDatabase(path)
    migrate(made)
    made.close()
    if is_left_over:
        with running(DIE_IN_THE_MIDDLE, path) as other:
            assert (other.hear(), other.hear()) == ("committed", "in the middle")
            other.kill()
    with ExitStack() as stack:
        stack.enter_context(read_only(path))
        other = stack.enter_context(running(USE_AND_SAY, path, preexec=heed_file_modes))
        for _ in range(2):
            other.say("during")
            assert other.hear().startswith("The database cannot store anything now: the file")

        for file in path.parent.iterdir():
            file.chmod(0o644)
        path.parent.chmod(0o755)
        other.say("after")

        assert other.hear() == "stored after"


def test_a_file_that_is_gone_while_it_is_used_is_not_made_anew(database: SqliteDatabase) -> None:
    put(database)
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(database.read())
        database.path.unlink()

        with pytest.raises(StorageUnavailable, match="moved or replaced"):
            stack.enter_context(database.read())

    assert not database.path.exists()


def test_a_missing_folder_is_named_with_the_setting_to_correct(tmp_path: Path) -> None:
    missing = SqliteDatabase(tmp_path / "missing" / "gateway.db")

    with pytest.raises(DatabaseRefused, match=r"missing of the database does not exist.*DATABASE_URL"):
        missing.quick_check()


# --- damage ----------------------------------------------------------------------------------------------------------


def spoil(path: Path, at: int, with_what: bytes) -> None:
    """Only on a file that nobody has open."""
    with path.open("r+b") as file:
        file.seek(at)
        file.write(with_what)


@pytest.mark.parametrize(
    ("at", "with_what"), [(0, b"not a database at all"), (100, b"\xff" * 3000)], ids=["its head", "its first page"]
)
def test_a_damaged_file_is_refused_with_what_to_do(path: Path, at: int, with_what: bytes) -> None:
    made = SqliteDatabase(path)
    migrate(made)
    made.close()
    spoil(path, at, with_what)

    with pytest.raises(DatabaseRefused, match="newest backup in its place"):
        made.quick_check()
    made.close()


def test_damage_in_the_middle_is_found_at_the_start(path: Path) -> None:
    made = SqliteDatabase(path)
    migrate(made)
    with made.transaction() as tx:
        for count in range(300):
            installation.put(tx, f"name-{count}", "x" * 500)
    made.close()
    spoil(path, path.stat().st_size // 2, b"\x13" * 8192)

    with pytest.raises(DatabaseRefused, match="newest backup in its place"):
        made.quick_check()
    made.close()


# Takes a backup and dies later, with pages that are not in the file itself yet, or with older ones beside it.
TAKE_A_BACKUP_AND_DIE = """
import os, sys
from pathlib import Path
from gateway.store import installation
from gateway.store.sqlite import SqliteDatabase
from gateway.store.migrate import migrate
database = SqliteDatabase(sys.argv[1])
migrate(database)
with database.transaction() as tx:
    for count in range(400):
        installation.put(tx, f"old-{count}", "x" * 500)
database.vacuum_into(Path(sys.argv[2]))
with database.transaction() as tx:
    tx.do("DELETE FROM installation WHERE name LIKE 'old-%'")
database.close()
with database.transaction() as tx:
    tx.run("PRAGMA cache_size = 2", [])
    for count in range(0, 400, 7):
        installation.put(tx, f"new-{count}", "x" * 700)
    if tx.run("PRAGMA journal_mode", [])[0][0] != "wal":
        os._exit(0)
os._exit(0)
"""


def put_backup_back(path: Path, head: str) -> None:
    """The way it should not be done: what a killed process left stays beside it."""
    outcome(head + TAKE_A_BACKUP_AND_DIE, path, path.with_name("backup"))
    shutil.copyfile(path.with_name("backup"), path)


@pytest.mark.parametrize("head", ["", WITH_THE_OLD_LIBRARY], ids=["this library", "the old library"])
def test_a_damaged_file_beside_what_another_one_left_is_refused_and_both_are_named(path: Path, head: str) -> None:
    put_backup_back(path, head)

    told = outcome(head + CHECK_AND_SAY, path)

    assert "gateway.db is damaged" in told
    assert f"Beside it lies gateway.db-{'wal' if IS_SAFE and not head else 'journal'}" in told
    assert "move everything named gateway.db* away, copy the backup there once more" in told
    for file in path.parent.glob("gateway.db*"):
        file.unlink()
    shutil.copyfile(path.with_name("backup"), path)
    opened = SqliteDatabase(path)
    opened.quick_check()
    assert value(opened, "old-399") == "x" * 500
    opened.close()


@pytest.mark.skipif(not IS_SAFE, reason="this machine's SQLite uses no WAL itself")
def test_what_is_refused_as_damaged_is_left_as_it_is(path: Path) -> None:
    put_backup_back(path, "")
    before = path.read_bytes(), Path(f"{path}-wal").read_bytes()

    first, second = outcome(CHECK_AND_SAY, path), outcome(CHECK_AND_SAY, path)

    assert first == second
    assert "nothing was changed" in first
    assert (path.read_bytes(), Path(f"{path}-wal").read_bytes()) == before


def test_a_file_that_was_cut_to_nothing_is_refused_and_left_as_it_is(path: Path) -> None:
    made = SqliteDatabase(path)
    migrate(made)
    made.close()
    os.truncate(path, 0)
    Path(f"{path}-wal").write_bytes(b"what was not in the file yet")

    for use in (made.quick_check, lambda: migrate(made), lambda: value(made)):
        with pytest.raises(DatabaseRefused, match=r"gateway\.db is an empty file.*newest backup.*first start, remove"):
            use()

    assert path.stat().st_size == 0
    assert Path(f"{path}-wal").read_bytes() == b"what was not in the file yet"
    made.close()


# --- new files -------------------------------------------------------------------------------------------------------

MAKE_AND_STOP = """
import sys
from gateway.store.sqlite import SqliteDatabase
database = SqliteDatabase(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
database.quick_check()
print("made", flush=True)
sys.stdin.readline()
"""
WATCH = """
import os, sys
print("watching", flush=True)
while True:
    try:
        size = os.stat(sys.argv[1]).st_size
        break
    except FileNotFoundError:
        pass
print(size, flush=True)
"""


def test_a_new_file_is_never_seen_empty(path: Path) -> None:
    with running(WATCH, path) as watcher, running(MAKE_AND_STOP, path) as maker:
        assert (watcher.hear(), maker.hear()) == ("watching", "ready")
        maker.say()

        assert int(watcher.hear()) > 0
        assert maker.hear() == "made"


@pytest.mark.parametrize("head", ["", WITH_THE_OLD_LIBRARY], ids=["this library", "the old library"])
def test_a_process_killed_before_it_wrote_a_table_leaves_a_file_that_the_next_one_takes(path: Path, head: str) -> None:
    with running(head + MAKE_AND_STOP, path) as maker:
        assert maker.hear() == "ready"
        maker.say()
        assert maker.hear() == "made"
        maker.kill()

    opened = SqliteDatabase(path, busy_timeout_seconds=30)
    opened.quick_check()
    migrate(opened)
    put(opened)

    assert value(opened) == "value"
    opened.close()
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name, f"{path.name}.use"]


def test_a_new_file_is_made_where_the_file_system_has_no_links(path: Path) -> None:
    outcome(
        """
import os, sys
def no_links(*_, **__):
    raise PermissionError(1, "Operation not permitted")
os.link = no_links
from gateway.store.sqlite import SqliteDatabase
from gateway.store.migrate import migrate
database = SqliteDatabase(sys.argv[1])
database.quick_check()
migrate(database)
database.close()
""",
        path,
    )

    opened = SqliteDatabase(path)
    put(opened)
    assert value(opened) == "value"
    opened.close()


# --- copies ----------------------------------------------------------------------------------------------------------


def test_a_copy_made_while_others_write_is_of_one_moment(path: Path) -> None:
    database = SqliteDatabase(path, busy_timeout_seconds=60)
    migrate(database)
    put(database, "left", "0")
    put(database, "right", "0")
    stop = threading.Event()

    def keep_writing() -> None:
        count = 0
        while not stop.is_set():
            count += 1
            with database.transaction() as tx:
                installation.put(tx, "left", str(count))
                installation.put(tx, "right", str(count))

    writer = threading.Thread(target=keep_writing)
    writer.start()
    copies = []
    try:
        for count in range(5):
            target = database.path.with_name(f"copy-{count}.db")
            database.vacuum_into(target)
            copies.append(SqliteDatabase(target))
    finally:
        stop.set()
        writer.join(60)
    database.close()

    for copy in copies:
        copy.quick_check()
        assert value(copy, "left") == value(copy, "right")
        copy.close()


def test_a_copy_never_replaces_a_file(database: SqliteDatabase, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    target.write_text("somebody's")

    with pytest.raises(DatabaseRefused, match=r"copy\.db exists already"):
        database.vacuum_into(target)

    assert target.read_text() == "somebody's"


# --- processes -------------------------------------------------------------------------------------------------------

COUNT_UP = """
import sys
from gateway.store import installation
from gateway.store.sqlite import SAFE_WAL_VERSION, SqliteDatabase
database = SqliteDatabase(sys.argv[1], busy_timeout_seconds=60)
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[2])):
    with database.transaction() as tx:
        installation.put(tx, "count", str(int(installation.value(tx, "count") or 0) + 1))
"""


def test_processes_that_write_at_once_lose_nothing(path: Path) -> None:
    database = SqliteDatabase(path, busy_timeout_seconds=60)
    migrate(database)
    with ExitStack() as stack:
        others = [stack.enter_context(running(COUNT_UP, path, 30)) for _ in range(2)]
        for other in others:
            assert other.hear() == "ready"
        for other in others:
            other.say()
        for _ in range(30):
            with database.transaction() as tx:
                installation.put(tx, "count", str(int(installation.value(tx, "count") or 0) + 1))
        assert [other.end() for other in others] == [0, 0]

    assert value(database, "count") == "90"
    database.close()


DIE_IN_THE_MIDDLE = """
import sys
from gateway.store import installation
from gateway.store.sqlite import SAFE_WAL_VERSION, SqliteDatabase
database = SqliteDatabase(sys.argv[1])
with database.transaction() as tx:
    installation.put(tx, "committed", "yes")
print("committed", flush=True)
with database.transaction() as tx:
    for count in range(500):
        installation.put(tx, f"half-{count}", "x" * 4000)
    with tx.savepoint():
        installation.put(tx, "half", "x")
    print("in the middle", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("head", ["", WITH_THE_OLD_LIBRARY], ids=["this library", "the old library"])
def test_a_process_killed_in_the_middle_of_a_transaction_loses_only_that(path: Path, head: str) -> None:
    made = SqliteDatabase(path, busy_timeout_seconds=30)
    migrate(made)
    made.close()
    with running(head + DIE_IN_THE_MIDDLE, path) as other:
        assert other.hear() == "committed"
        assert other.hear() == "in the middle"
        other.kill()

    made.quick_check()
    assert (value(made, "committed"), value(made, "half"), value(made, "half-0")) == ("yes", None, None)
    put(made)
    assert value(made) == "value"
    made.close()


# --- the very same file ----------------------------------------------------------------------------------------------


def test_a_file_that_was_replaced_while_it_is_open_takes_no_more_until_it_is_back(tmp_path: Path) -> None:
    path, aside = tmp_path / "gateway.db", tmp_path / "aside.db"
    database, other = SqliteDatabase(path), SqliteDatabase(tmp_path / "other.db")
    for each in (database, other):
        migrate(each)
    other.close()

    path.rename(aside)
    (tmp_path / "other.db").rename(path)
    with pytest.raises(StorageUnavailable, match="moved or replaced"), database.transaction():
        pass
    aside.replace(path)

    with database.transaction() as tx:
        tx.run("SELECT 1", [])
    database.close()


def test_newest_commits_without_their_file_are_neither_taken_for_another_files_nor_thrown_away(tmp_path: Path) -> None:
    (tmp_path / "gateway.db-wal").write_bytes(b"commits")

    with pytest.raises(DatabaseRefused, match=r"is missing, and gateway\.db-wal"):
        SqliteDatabase(tmp_path / "gateway.db").quick_check()

    assert sorted(each.name for each in tmp_path.iterdir()) == ["gateway.db-wal", "gateway.db.use"]
    assert (tmp_path / "gateway.db-wal").read_bytes() == b"commits"
