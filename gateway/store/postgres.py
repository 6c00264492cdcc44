"""PostgreSQL: a few connections, lent for one transaction each.

Writes run at READ COMMITTED and take the locks that their decisions need; where two wait for each other the server
ends one, which is repeated (`in_transaction`). Reads see one moment. No connection idles in a transaction, and
nothing that belongs to a session is used here, so that a pooler in transaction mode may stand between.
"""

from __future__ import annotations

import secrets
import select
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.types.numeric import Int8BinaryDumper
from psycopg_pool import ConnectionPool, PoolTimeout

from gateway.errors import StorageUnavailable, TransactionLost
from gateway.store import engine_schema
from gateway.store.database import Wakes, run_after_commit
from gateway.store.portable import for_postgres
from gateway.store.postgres_clock import ServerClock
from gateway.store.postgres_errors import NOT_REACHED, of_commit, translated
from gateway.store.postgres_server import (
    LIMITS,
    REACHING,
    Server,
    begin_reading,
    begin_writing,
    channel,
    end_writing,
    look,
    refuse_unfit,
    shown,
)
from gateway.store.postgres_session import PostgresSession
from gateway.store.postgres_transaction import PostgresTransaction
from gateway.store.postgres_wire import Connection, wires

POOL_MAX = 4
# As long as a write on SQLite waits for another one.
WAIT_SECONDS = 5.0
LEDGER = "CREATE TABLE IF NOT EXISTS schema_migrations (name TEXT PRIMARY KEY, applied_at_ms BIGINT NOT NULL)"
# The newest of what is told, and the next of what is due: each the first row of an index.
NEWS = """SELECT (SELECT max(id) FROM inbox), (SELECT max(id) FROM journal),
  (SELECT min(next_run_at_ms) FROM tenants WHERE next_run_at_ms IS NOT NULL),
  (SELECT min(try_at_ms) FROM inbox WHERE try_at_ms IS NOT NULL)"""
CLOCK = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"


class PostgresDatabase:
    """One database, through at most `pool_max` connections, and one more for whoever listens or works.

    conninfo: a URL or a list of key=value.   wait_seconds: how long a transaction waits for a connection.
    """

    name = "postgres"

    def __init__(self, conninfo: str, pool_max: int = POOL_MAX, wait_seconds: float = WAIT_SECONDS) -> None:
        given = {name: str(value) for name, value in conninfo_to_dict(conninfo).items()}
        self._conninfo = make_conninfo(**{**REACHING, **given})
        self._pool_max = pool_max
        self._wait_seconds = wait_seconds
        self._lock = threading.Lock()
        self._server: Server | None = None
        self._pool: ConnectionPool[Connection] | None = None
        self._session: PostgresSession | None = None
        self._clock = ServerClock()
        # Tells our own announcements from those of others.
        self._me = secrets.token_hex(8)
        self._seen_news: tuple[Any, ...] | None = None
        self.on_change: Callable[[], None] | None = None
        self.last_words: Callable[[Wakes], str] | None = None

    # --- transactions ------------------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[PostgresTransaction]:
        pool = self._opened()
        connection = self._begin(pool, self._begin_writing)
        try:
            tx = PostgresTransaction(self._wire(connection))
            yield tx
            tx.send_rest()
            self._commit(connection, tx.wakes)
        finally:
            roll_back(connection)
            pool.putconn(connection)
        for call in tx.committed_calls:
            run_after_commit(call)

    @contextmanager
    def read(self, *, is_single: bool = False) -> Iterator[PostgresTransaction]:
        pool = self._opened()
        connection = self._begin(pool, self._begin_reading, is_single and self.has_sessions)
        try:
            yield PostgresTransaction(self._wire(connection))
        finally:
            roll_back(connection)
            pool.putconn(connection)

    def _begin(self, pool: ConnectionPool[Connection], text: str, is_single: bool = False) -> Connection:
        """A connection with an open transaction. One that broke while nobody used it is replaced without a word.

        is_single: one that nothing was heard from since is as good without.
        """
        for _ in range(self._pool_max + 1):
            try:
                connection = pool.getconn(timeout=self._wait_seconds)
            except PoolTimeout as error:
                raise StorageUnavailable("The database is busy, or cannot be reached.") from error
            if is_single and is_quiet(connection):
                return connection
            try:
                self._say_and_read_clock(connection, text)
            except psycopg.Error as error:
                is_gone = connection.broken or connection.closed
                roll_back(connection)
                pool.putconn(connection)
                if not is_gone:
                    raise translated(error) from error
            except BaseException:
                connection.close()
                pool.putconn(connection)
                raise
            else:
                return connection
        raise StorageUnavailable(NOT_REACHED)

    def _commit(self, connection: Connection, wakes: Wakes) -> None:
        text = self._end_writing
        if self.last_words is not None:
            # Whoever is woken by jobs needs no other announcement.
            words = self.last_words(wakes)
            text = f"{words}; COMMIT".encode() if words else b"COMMIT"
        try:
            found = self._wire(connection).say(text)
        except psycopg.Error as error:
            raise of_commit(error, not (connection.broken or connection.closed)) from error
        if found.word != b"COMMIT":
            raise TransactionLost("The transaction had failed before its end; nothing of it was stored.")

    def _say_and_read_clock(self, connection: Connection, text: str) -> None:
        """Begin; and now and then ask what time it is with the same message."""
        if not self._clock.is_to_be_asked:
            self._wire(connection).say(text.encode())
            return
        asked = self._clock.begin()
        found = self._wire(connection).say(f"{text}; {CLOCK}".encode())
        self._clock.hear(int(found.rows[0][0]), asked)

    # --- what it is --------------------------------------------------------------------------------------------------

    def now_ms(self) -> int:
        """Counted on from when the database was last asked: nobody waits for it."""
        if not self._clock.is_known:
            self._opened()
        return self._clock.now_ms()

    @property
    def server(self) -> Server:
        self._opened()
        assert self._server is not None
        return self._server

    @property
    def has_sessions(self) -> bool:
        return not self.server.is_pooled

    def quick_check(self) -> None:
        refuse_unfit(self.server)

    def is_lasting(self) -> bool:
        return self.server.fsync == "on"

    def describe(self) -> str:
        how = "through a pooler: polling instead of LISTEN" if self.server.is_pooled else "with LISTEN"
        return f"PostgreSQL {shown(self.server.version)}, {how}, up to {self._pool_max} connections a process"

    def applied_migrations(self) -> list[str]:
        with self.read() as tx:
            return applied_names(tx)

    def lacks_engine(self) -> list[str]:
        with self.read() as tx:
            return engine_schema.missing(tx)

    def apply_migrations(self, scripts: dict[str, str], refuse: Callable[[list[str]], None]) -> list[str]:
        with self.transaction() as tx:
            tx.lock("migrations")
            before = applied_names(tx)
            refuse(before)
            tx.do(LEDGER)
            missing = {name: sql for name, sql in scripts.items() if name not in before}
            for name, sql in missing.items():
                tx.say(for_postgres(sql))
                tx.do("INSERT INTO schema_migrations VALUES (:name, :now_ms)", name=name, now_ms=self.now_ms())
            engine = engine_schema.apply(tx, tx.say, self.now_ms())
        return [*missing, *engine]

    # --- who else is there -------------------------------------------------------------------------------------------

    def changed_elsewhere(self) -> bool:
        if self.server.is_pooled:
            return self._asks_for_news()
        return self.session.has_news()

    @property
    def session(self) -> PostgresSession:
        """A connection of its own, for what belongs to a session; made when first needed."""
        server = self.server
        with self._lock:
            if self._session is None:
                self._session = PostgresSession(self._conninfo, channel(server), self._me, self._tell_change)
            return self._session

    def take_worker_place(self) -> bool:
        """Whether this process is the one embedded worker. Through a pooler nobody can know, so everybody is."""
        return self.server.is_pooled or self.session.hold()

    def free_worker_place(self) -> None:
        with self._lock:
            session = self._session
        if session is not None:
            session.let_go()

    def _tell_change(self) -> None:
        if self.on_change is not None:
            self.on_change()

    def _asks_for_news(self) -> bool:
        """What can be found out without a session: whether a worker would find anything else than before."""
        with self.read() as tx:
            news = tx.run(NEWS, [])[0]
        seen, self._seen_news = self._seen_news, news
        return seen != news

    def close(self) -> None:
        with self._lock:
            session, self._session = self._session, None
            pool, self._pool = self._pool, None
            self._server = None
        if session is not None:
            session.close()
        if pool is not None:
            pool.close()

    # --- opening -----------------------------------------------------------------------------------------------------

    def _opened(self) -> ConnectionPool[Connection]:
        pool = self._pool
        if pool is not None:
            return pool
        with self._lock:
            if self._pool is None:
                self._server = server = look(self._conninfo, self._clock)
                self._begin_writing = begin_writing(server)
                self._begin_reading = begin_reading(server)
                self._end_writing = end_writing(server, self._me).encode()
                self._wire = wires(may_prepare=not server.is_pooled)
                self._pool = self._make_pool(server)
            return self._pool

    def _make_pool(self, server: Server) -> ConnectionPool[Connection]:
        conninfo = self._conninfo
        if not server.is_pooled:
            limits = " ".join(f"-c {name}={value}" for name, value in LIMITS.items())
            given = str(conninfo_to_dict(conninfo).get("options") or "")
            conninfo = make_conninfo(conninfo, options=f"{limits} {given}".strip())
        # What is prepared belongs to a session; through a pooler the next transaction has another one.
        kwargs: dict[str, Any] = {"autocommit": True, "prepare_threshold": None}
        return ConnectionPool(
            conninfo,
            kwargs=kwargs,
            min_size=1,
            max_size=self._pool_max,
            open=True,
            configure=prepare_types,
            timeout=self._wait_seconds,
            # Waiting grows with each attempt, and a server that is back should be found at once.
            reconnect_timeout=self._wait_seconds,
            num_workers=2,
            name="database",
        )


def prepare_types(connection: Connection) -> None:
    """Every integer is a BIGINT, so that a statement has one form and is prepared once."""
    connection.adapters.register_dumper(int, Int8BinaryDumper)


def roll_back(connection: Connection) -> None:
    """End what is open. A connection that cannot be used any more is dropped by the pool."""
    with suppress(psycopg.Error):
        if connection.info.transaction_status is not TransactionStatus.IDLE:
            connection.execute(b"ROLLBACK")


def is_quiet(connection: Connection) -> bool:
    """Whether the server has said nothing since we last asked: not even that it closes the connection."""
    if connection.closed:
        return False
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN)
    return not waiting.poll(0)


def applied_names(tx: PostgresTransaction) -> list[str]:
    if not tx.run("SELECT 1 WHERE to_regclass('schema_migrations') IS NOT NULL", []):
        return []
    return [row["name"] for row in tx.all("SELECT name FROM schema_migrations ORDER BY name")]
