"""An open transaction on PostgreSQL: what is said to the server, in as few messages as can be.

Each message is waited for, and a tenant's whole way is a hundred statements. So what nobody needs an answer to waits
for the next statement that somebody does, and goes with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from gateway.errors import DatabaseRefused, StorageUnavailable
from gateway.store.database import Question, Row, Wakes
from gateway.store.portable import numbered
from gateway.store.postgres_errors import translated
from gateway.store.postgres_wire import Found, Statement, Wire

LOCK_ID = b"hashtextextended(current_schema() || '.' || $1, 0)"


class PostgresTransaction:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.committed_calls: list[Callable[[], None]] = []
        self.wakes = Wakes()
        self._savepoints = 0
        self._unsent: list[Statement] = []
        # How many of those are more than beginnings and ends of savepoints.
        self._put_off = 0

    def send_rest(self) -> None:
        """Say what was put off."""
        if self._unsent:
            self._send([])

    def _send(self, statements: list[Statement]) -> list[Found]:
        message = [*self._unsent, *statements]
        self._unsent, self._put_off = [], 0
        try:
            return self._wire.ask_all(message)[len(message) - len(statements) :]
        except psycopg.Error as error:
            raise translated(error) from error

    def _execute(self, text: bytes, params: list[Any]) -> Found:
        return self._send([Statement(text, params)])[0]

    def _named(self, sql: str, params: dict[str, Any]) -> Found:
        return self._send([of(sql, params)])[0]

    def all(self, sql: str, **params: Any) -> list[Row]:
        return rows_of(self._named(sql, params))

    def one(self, sql: str, **params: Any) -> Row | None:
        rows = self.all(sql, **params)
        return rows[0] if rows else None

    def all_of(self, *questions: Question) -> list[list[Row]]:
        return [rows_of(found) for found in self._send([of(sql, params) for sql, params in questions])]

    def do(self, sql: str, **params: Any) -> int:
        return self._named(sql, params).count

    def do_later(self, sql: str, **params: Any) -> None:
        self._unsent.append(of(sql, params))
        self._put_off += 1

    def insert(self, sql: str, **params: Any) -> int:
        return int(self._named(sql, params).rows[0][0])

    def run(self, sql: str, params: list[Any]) -> list[tuple[Any, ...]]:
        return self._execute(numbered(sql).text, params).rows

    def lock(self, name: str) -> None:
        self._execute(b"SELECT pg_advisory_xact_lock(" + LOCK_ID + b")", [name])

    def try_lock(self, name: str) -> bool:
        return bool(self._execute(b"SELECT pg_try_advisory_xact_lock(" + LOCK_ID + b")", [name]).rows[0][0])

    @property
    def outlives_refusals(self) -> bool:
        return False

    def after_commit(self, call: Callable[[], None]) -> None:
        self.committed_calls.append(call)

    def is_lost_by(self, error: Exception) -> bool:
        # A table that is not there is nobody's own fault either.
        engine = StorageUnavailable | DatabaseRefused | psycopg.OperationalError | psycopg.ProgrammingError
        return isinstance(error, engine | psycopg.InternalError) or not self._wire.is_usable

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        self._savepoints += 1
        name = f"s{self._savepoints}"
        calls = len(self.committed_calls)
        begin, end = Statement(f"SAVEPOINT {name}".encode(), ()), Statement(f"RELEASE {name}".encode(), ())
        # What is put off belongs to whoever put it off: a failure must undo nobody else's work.
        if self._put_off:
            self.send_rest()
        self._unsent.append(begin)
        try:
            yield
            self._release(begin, end)
        except BaseException:
            del self.committed_calls[calls:]
            if any(each is begin for each in self._unsent):
                del self._unsent[[each is begin for each in self._unsent].index(True) :]
                self._put_off = 0
            elif self._wire.is_in_transaction:
                self._unsent, self._put_off = [], 0
                self.say(f"ROLLBACK TO {name}; RELEASE {name}")
            raise

    def _release(self, begin: Statement, end: Statement) -> None:
        if self._unsent and self._unsent[-1] is begin:
            self._unsent.pop()
            return
        self._unsent.append(end)
        if self._put_off:
            self.send_rest()

    def say(self, text: str) -> None:
        self.send_rest()
        try:
            self._wire.say(text.encode())
        except psycopg.Error as error:
            raise translated(error) from error


def of(sql: str, params: dict[str, Any]) -> Statement:
    statement = numbered(sql)
    return Statement(statement.text, [params[name] for name in statement.names])


def rows_of(found: Found) -> list[Row]:
    names = found.names
    return [dict(zip(names, row, strict=True)) for row in found.rows]
