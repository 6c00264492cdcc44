"""SQLite in one file: one connection that writes, a few that read.

Nothing else names the SQLite module: two SQLite libraries in one process drop each other's file locks and lose
committed rows, so the one that sqlite-utils picked is the only one there may be. For the same reason nobody may
`open()` a database file in this process.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlite_utils
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from gateway.errors import DatabaseRefused, StorageUnavailable
from gateway.store import file
from gateway.store.closing import refuse_closed
from gateway.store.database import IntegrityError, Question, Row, Wakes, run_after_commit
from gateway.store.sqlite_codes import BUSY, CANNOT_OPEN, CANNOT_STORE, CORRUPT, NOT_A_DATABASE, READ_ONLY, error_code
from gateway.store.sqlite_migrations import applied_names, apply
from gateway.store.use import UseLock

BUSY_TIMEOUT_SECONDS = 5.0
JOURNAL_PAUSE_SECONDS = 0.05
# Fixed in 3.51.3: until then a checkpoint beside a commit may reset the WAL and corrupt the file.
SAFE_WAL_VERSION = (3, 51, 3)


class SqliteTransaction:
    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.committed_calls: list[Callable[[], None]] = []
        self.wakes = Wakes()
        self._savepoints = 0

    def _execute(self, sql: str, params: Any = ()) -> Any:
        try:
            return self._connection.execute(sql, params)
        except sqlite3.IntegrityError as error:
            raise IntegrityError(str(error)) from error

    def all(self, sql: str, **params: Any) -> list[Row]:
        cursor = self._execute(sql, params)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def one(self, sql: str, **params: Any) -> Row | None:
        rows = self.all(sql, **params)
        return rows[0] if rows else None

    def all_of(self, *questions: Question) -> list[list[Row]]:
        return [self.all(sql, **params) for sql, params in questions]

    def do(self, sql: str, **params: Any) -> int:
        return int(self._execute(sql, params).rowcount)

    def do_later(self, sql: str, **params: Any) -> None:
        self._execute(sql, params)

    def insert(self, sql: str, **params: Any) -> int:
        return int(self._execute(sql, params).fetchall()[0][0])

    def run(self, sql: str, params: list[Any]) -> list[tuple[Any, ...]]:
        return list(self._execute(sql, params).fetchall())

    def lock(self, name: str) -> None:
        """There is one write transaction at a time."""

    def try_lock(self, name: str) -> bool:
        return True

    @property
    def outlives_refusals(self) -> bool:
        return True

    def after_commit(self, call: Callable[[], None]) -> None:
        self.committed_calls.append(call)

    def is_lost_by(self, error: Exception) -> bool:
        engine = (StorageUnavailable, DatabaseRefused, sqlite3.OperationalError, sqlite3.InternalError)
        return isinstance(error, engine) or type(error) is sqlite3.DatabaseError

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        self._savepoints += 1
        name = f"s{self._savepoints}"
        calls = len(self.committed_calls)
        self._execute(f"SAVEPOINT {name}")
        try:
            yield
        except BaseException:
            del self.committed_calls[calls:]
            # After some failures, such as a full disk, the engine has undone the whole transaction by itself.
            if self._connection.in_transaction:
                self._execute(f"ROLLBACK TO {name}")
                self._execute(f"RELEASE {name}")
            raise
        self._execute(f"RELEASE {name}")


class SqliteDatabase:
    """A SQLite file: one connection that writes, a few that read, lent to whoever needs one.

    One lock goes round every write transaction of this process. It is fair and SQLite's own busy handler is not: with
    that alone the 99th percentile of intake is several times worse. The busy handler stays, for other processes.

    busy_timeout_seconds: how long a write waits for another one before it gives up.
    is_alone: nobody else can have the file: whoever opens it holds `<database>.use` alone, or nobody else knows of it.
    Then one that was moved away can be written too.
    """

    name = "sqlite"

    def __init__(
        self, path: str | Path, busy_timeout_seconds: float = BUSY_TIMEOUT_SECONDS, *, is_alone: bool = False
    ) -> None:
        self.path = Path(path)
        self._use = None if is_alone else UseLock(self.path)
        self.on_change: Callable[[], None] | None = None
        self.last_words: Callable[[Wakes], str] | None = None
        self._busy_timeout_seconds = busy_timeout_seconds
        self._write_lock = threading.Lock()
        self._writer: Any = None
        self._readers: deque[Any] = deque()
        self._watcher: Any = None
        self._watcher_lock = threading.Lock()
        self._data_version: int | None = None
        # Rises when every connection is to be opened anew.
        self._era = 0
        # Which file it is, once one was opened: another one under its name is not ours.
        self._identity: tuple[int, int] | None = None

    @contextmanager
    def transaction(self) -> Iterator[SqliteTransaction]:
        if not self._write_lock.acquire(timeout=self._busy_timeout_seconds):
            raise StorageUnavailable(
                f"The database is busy: another write has held it for {self._busy_timeout_seconds:g} s."
            )
        try:
            if self._writer is None:
                self._writer = self.connect()
            self._refuse_another()
            tx = SqliteTransaction(self._writer)
            with translated_errors(self.path), self._let_go_of_what_stays_shut(), writing(self._writer):
                if self._use is not None:
                    refuse_closed(tx, self.path)
                yield tx
        finally:
            self._write_lock.release()
        for call in tx.committed_calls:
            run_after_commit(call)

    @contextmanager
    def read(self, *, is_single: bool = False) -> Iterator[SqliteTransaction]:
        era = self._era
        try:
            connection = self._readers.pop()
        except IndexError:
            connection = self.connect()
        try:
            with translated_errors(self.path):
                connection.execute("BEGIN")
                try:
                    yield SqliteTransaction(connection)
                finally:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
        except BaseException:
            connection.close()
            raise
        if era == self._era:
            self._readers.append(connection)
        else:
            connection.close()

    def changed_elsewhere(self) -> bool:
        """For one thread only: it keeps what it saw last."""
        with self._watcher_lock, translated_errors(self.path):
            if self._watcher is None:
                self._watcher, self._data_version = self.connect(), None
            version = self._watcher.execute("PRAGMA data_version").fetchone()[0]
        seen, self._data_version = self._data_version, version
        return bool(seen != version)

    def quick_check(self) -> None:
        """Refuse a damaged file with a sentence that says what to do. Before any other use: then nothing was changed.

        For a connection that may write puts what a -wal holds into the file as it closes, whosever that is.
        """
        self._share()
        if file.size_of(self.path) is not None:
            beside = file.left_beside(self.path)
            try:
                self._check("ro", beside)
            except StorageUnavailable:
                # A journal must be played back first, which only a writer may do.
                self._check("rw", beside)
        with self.read():
            pass

    def _check(self, mode: str, beside: Sequence[str]) -> None:
        with translated_errors(self.path, beside), closing(self._open(mode)) as connection:
            if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise DatabaseRefused(file.damaged(self.path, beside))

    @property
    def has_sessions(self) -> bool:
        return True

    def now_ms(self) -> int | None:
        return None

    def is_lasting(self) -> bool:
        """Every connection was opened so, or refused."""
        return True

    def describe(self) -> str:
        with self.read() as tx:
            version = tx.run("SELECT sqlite_version()", [])[0][0]
            journal_mode = tx.run("PRAGMA journal_mode", [])[0][0]
        return f"SQLite {version}, journal mode {journal_mode}"

    def lacks_engine(self) -> list[str]:
        return []

    def applied_migrations(self) -> list[str]:
        with self.transaction():
            return applied_names(self.utils)

    def apply_migrations(self, scripts: dict[str, str], refuse: Callable[[list[str]], None]) -> list[str]:
        with self.transaction():
            before = applied_names(self.utils)
            refuse(before)
            apply(self.utils, scripts)
            return [name for name in applied_names(self.utils) if name not in before]

    def vacuum_into(self, target: Path) -> None:
        """Write a consistent copy while running; `target` must not exist."""
        if target.exists():
            raise DatabaseRefused(f"{target} exists already, and a copy never replaces a file. Name another.")
        with translated_errors(self.path), closing(self.connect()) as connection:
            connection.execute("VACUUM INTO ?", (str(target),))

    def close(self) -> None:
        """Close every connection; only when no other thread is using this database."""
        self._close_connections()
        if self._use is not None:
            self._use.free()

    def _share(self) -> None:
        """Raise DatabaseRefused while somebody else has the file alone."""
        if self._use is not None:
            self._use.share()

    def _close_connections(self) -> None:
        for connection in (self._writer, self._watcher):
            if connection is not None:
                connection.close()
        self._writer = self._watcher = None
        # One at a time, for another thread may be taking one.
        with suppress(IndexError):
            while True:
                self._readers.pop().close()

    @contextmanager
    def _let_go_of_what_stays_shut(self) -> Iterator[None]:
        """A file opened while it was read-only stays so for as long as any connection of this process is open."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            if error_code(error) in (READ_ONLY, CANNOT_OPEN):
                self._era += 1
                with self._watcher_lock:
                    self._close_connections()
            raise

    @property
    def utils(self) -> sqlite_utils.Database:
        """The writing connection as sqlite-utils sees it; only inside `transaction()`."""
        return sqlite_utils.Database(self._writer)

    def connect(self) -> Any:
        """A new connection with every pragma set. The first one makes the file if there is none."""
        self._share()
        with translated_errors(self.path):
            if self._identity is not None:
                self._refuse_another()
            elif file.size_of(self.path) is None:
                file.put_in_place(self.path, write_first_page)
            connection = self._open("rw")
            try:
                set_pragmas(connection, self.path, self._busy_timeout_seconds)
            except BaseException:
                connection.close()
                raise
        self._identity = self._identity or file.identity_of(self.path)
        return connection

    def _refuse_another(self) -> None:
        """What is written to a file that was moved away is lost to whoever starts next."""
        if file.identity_of(self.path) != self._identity:
            raise StorageUnavailable(file.replaced())

    def _open(self, mode: str) -> Any:
        if file.size_of(self.path) == 0:
            raise DatabaseRefused(file.emptied(self.path))
        return sqlite3.connect(
            address(self.path, mode), uri=True,
            timeout=self._busy_timeout_seconds, isolation_level=None, check_same_thread=False,
        )  # fmt: skip


def address(path: Path, mode: str) -> str:
    """How the engine is told to open a file without making one. mode: `rw`, or `ro`."""
    return f"{path.absolute().as_uri()}?mode={mode}"


def write_first_page(path: Path) -> None:
    """A database without tables, and not of 0 bytes."""
    with closing(sqlite3.connect(str(path), isolation_level=None)) as connection:
        connection.execute("PRAGMA user_version = 0")


@contextmanager
def writing(connection: Any) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def set_pragmas(connection: Any, path: Path, busy_timeout_seconds: float) -> None:
    """Make a commit mean: on disk. The journal mode is read back, for SQLite may silently keep the old one."""
    if sqlite3.sqlite_version_info < (3, 37, 0):
        raise DatabaseRefused(
            f"SQLite {sqlite3.sqlite_version} is too old: 3.37 or later is needed. Install the package pysqlite3."
        )
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    mode = "wal" if sqlite3.sqlite_version_info >= SAFE_WAL_VERSION else "truncate"
    # Setting a mode takes a lock even when it is the mode already; asking does not.
    got = connection.execute("PRAGMA journal_mode").fetchone()[0]
    if got != mode:
        got = change_journal_mode(connection, mode, got, busy_timeout_seconds)
    if got != mode:
        raise DatabaseRefused(
            f"{path} is in journal mode {got} and SQLite {sqlite3.sqlite_version} cannot change it to {mode}. "
            "Stop every process that uses the file, then start again; if that does not help, install pysqlite3."
        )


def change_journal_mode(connection: Any, mode: str, before: str, wait_seconds: float) -> str:
    """The journal mode after asking for `mode`. The engine does not wait for this lock by itself, so we do."""
    for _ in range(max(1, round(wait_seconds / JOURNAL_PAUSE_SECONDS))):
        try:
            return str(connection.execute(f"PRAGMA journal_mode = {mode}").fetchone()[0])
        except sqlite3.OperationalError as error:
            if error_code(error) != BUSY:
                raise
            failure = error
        time.sleep(JOURNAL_PAUSE_SECONDS)
    if before == "wal":
        # It can leave this mode only when nobody else has it open: a sentence for people, not a thing to wait for.
        return before
    raise failure


@contextmanager
def translated_errors(path: Path, beside: Sequence[str] | None = None) -> Iterator[None]:
    """Turn the engine's errors into ours: cannot store now, or must not be used at all.

    beside: names of what lay beside the file before it was opened; None looks now.
    """
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise IntegrityError(str(error)) from error
    except sqlite3.DatabaseError as error:
        code = error_code(error)
        if code in (CORRUPT, NOT_A_DATABASE):
            beside = file.left_beside(path) if beside is None else beside
            raise DatabaseRefused(file.damaged(path, beside)) from error
        if code == CANNOT_OPEN and not path.parent.is_dir():
            raise DatabaseRefused(
                f"The folder {path.parent} of the database does not exist. Create it, or correct DATABASE_URL."
            ) from error
        if code in CANNOT_STORE:
            raise StorageUnavailable(f"The database cannot store anything now: {CANNOT_STORE[code]}.") from error
        raise
