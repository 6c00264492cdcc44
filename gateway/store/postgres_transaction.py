"""An open transaction on PostgreSQL: what is said to the server, in as few messages as can be.

Each message is waited for, and a tenant's whole way is a hundred of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import RawCursor
from psycopg.pq import TransactionStatus
from psycopg.pq.abc import PGresult

from gateway.errors import DatabaseRefused, StorageUnavailable
from gateway.store.database import Row, Wakes
from gateway.store.portable import numbered
from gateway.store.postgres_errors import translated

LOCK_ID = b"hashtextextended(current_schema() || '.' || $1, 0)"
Connection = psycopg.Connection[tuple[Any, ...]]


class PostgresTransaction:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._cursor = connection.cursor(binary=True)
        self.committed_calls: list[Callable[[], None]] = []
        self.wakes = Wakes()
        self._savepoints = 0
        # Ends and beginnings of savepoints: said in one message, and only once something else is to be said.
        self._unsaid: list[str] = []

    def _execute(self, text: bytes, params: Any) -> RawCursor[tuple[Any, ...]]:
        if self._unsaid:
            self.say("; ".join(self._unsaid))
            self._unsaid.clear()
        try:
            return self._cursor.execute(text, params)  # type: ignore[return-value]
        except psycopg.Error as error:
            raise translated(error) from error

    def _named(self, sql: str, params: dict[str, Any]) -> RawCursor[tuple[Any, ...]]:
        statement = numbered(sql)
        return self._execute(statement.text, [params[name] for name in statement.names])

    def all(self, sql: str, **params: Any) -> list[Row]:
        cursor = self._named(sql, params)
        names = column_names(cursor.pgresult)
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()] if names else []

    def one(self, sql: str, **params: Any) -> Row | None:
        rows = self.all(sql, **params)
        return rows[0] if rows else None

    def do(self, sql: str, **params: Any) -> int:
        return self._named(sql, params).rowcount

    def insert(self, sql: str, **params: Any) -> int:
        return int(self._named(sql, params).fetchall()[0][0])

    def run(self, sql: str, params: list[Any]) -> list[tuple[Any, ...]]:
        cursor = self._execute(numbered(sql).text, params)
        return cursor.fetchall() if cursor.pgresult and cursor.pgresult.nfields else []

    def lock(self, name: str) -> None:
        self._execute(b"SELECT pg_advisory_xact_lock(" + LOCK_ID + b")", [name])

    def try_lock(self, name: str) -> bool:
        return bool(self._execute(b"SELECT pg_try_advisory_xact_lock(" + LOCK_ID + b")", [name]).fetchall()[0][0])

    @property
    def outlives_refusals(self) -> bool:
        return False

    def after_commit(self, call: Callable[[], None]) -> None:
        self.committed_calls.append(call)

    def is_lost_by(self, error: Exception) -> bool:
        # A table that is not there is nobody's own fault either.
        engine = StorageUnavailable | DatabaseRefused | psycopg.OperationalError | psycopg.ProgrammingError
        return isinstance(error, engine | psycopg.InternalError) or self._connection.broken

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        self._savepoints += 1
        name = f"s{self._savepoints}"
        calls = len(self.committed_calls)
        begin, end = f"SAVEPOINT {name}", f"RELEASE {name}"
        self._unsaid.append(begin)
        try:
            yield
        except BaseException:
            del self.committed_calls[calls:]
            if begin in self._unsaid:
                del self._unsaid[self._unsaid.index(begin) :]
            elif self._connection.info.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
                self._unsaid.clear()
                self.say(f"ROLLBACK TO {name}; {end}")
            raise
        if self._unsaid[-1:] == [begin]:
            self._unsaid.pop()
        else:
            self._unsaid.append(end)

    def say(self, text: str) -> None:
        try:
            self._connection.execute(text.encode())
        except psycopg.Error as error:
            raise translated(error) from error


def column_names(result: PGresult | None) -> list[str]:
    """psycopg's own description of columns says far more, and costs more than the rows."""
    if result is None:
        return []
    return [(result.fname(index) or b"").decode() for index in range(result.nfields)]
