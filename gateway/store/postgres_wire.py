"""Statements on one connection, with as little round each as can be: a tenant's whole way is a hundred of them.

psycopg's own cursors cost more than the server for what is asked here. So its types are used (what a value looks like
on the wire) and libpq itself, through psycopg's wrapper: a statement that comes again is prepared, its answer is
waited for without the GIL, and several statements that do not depend on each other are sent as one message.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import errors
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ConnStatus, ExecStatus, Format, TransactionStatus
from psycopg.pq.abc import PGresult

Connection = psycopg.Connection[tuple[Any, ...]]
# A statement is prepared once it has proved to come again. Lists of different lengths are statements of their own.
PREPARED_AT = 3
MOST_PREPARED = 200
MOST_COUNTED = 2000
# Prepared for a table that has changed since; or the session is another one, behind a pooler that nobody noticed.
# PostgreSQL 15, appendix A.
NOT_AS_PREPARED = ("0A000", "26000", "42P05")
DONE = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK, ExecStatus.EMPTY_QUERY)


@dataclass(slots=True)
class Statement:
    """params: as they come, for `$1`, `$2` …"""

    text: bytes
    params: Sequence[Any]


@dataclass(slots=True)
class Found:
    """What the server answered: column names, rows, how many were changed or found, and the word for what was done."""

    names: list[str]
    rows: list[tuple[Any, ...]]
    count: int
    word: bytes | None = None


class Wire:
    """One connection, used by one thread at a time. may_prepare: its session is ours, as it is not with a pooler."""

    def __init__(self, connection: Connection, may_prepare: bool) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        self._types = Transformer(connection)
        self._may_prepare = may_prepare
        self._seen: dict[tuple[bytes, tuple[int, ...]], int] = {}
        self._prepared: dict[tuple[bytes, tuple[int, ...]], bytes] = {}
        self._columns: dict[bytes, list[str]] = {}
        self._count = 0
        self._ready = select.poll()
        self._ready.register(self._pgconn.socket, select.POLLIN)

    @property
    def is_in_transaction(self) -> bool:
        return self._pgconn.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR)

    @property
    def is_usable(self) -> bool:
        return self._pgconn.status == ConnStatus.OK

    def say(self, text: bytes) -> Found:
        """Statements without parameters, `;` between them; what the last of them found. Raises psycopg.Error."""
        return self._read(text, self._pgconn.exec_(text))

    def ask(self, statement: Statement) -> Found:
        """One statement. Raises psycopg.Error."""
        name, values, types, formats = self._said(statement)
        if name is None:
            result = self._pgconn.exec_params(statement.text, values, types, formats, Format.BINARY)
        else:
            result = self._pgconn.exec_prepared(name, values, formats, Format.BINARY)
        return self._read(statement.text, result)

    def ask_all(self, statements: Sequence[Statement]) -> list[Found]:
        """Several, in order, as one message; after one that fails nothing is done. Raises psycopg.Error."""
        if len(statements) == 1:
            return [self.ask(statements[0])]
        # Preparing is a message of its own, so it comes before the pipeline.
        said = [self._said(each) for each in statements]
        self._pgconn.enter_pipeline_mode()
        try:
            for each, (name, values, types, formats) in zip(statements, said, strict=True):
                if name is None:
                    self._pgconn.send_query_params(each.text, values, types, formats, Format.BINARY)
                else:
                    self._pgconn.send_query_prepared(name, values, formats, Format.BINARY)
            self._pgconn.pipeline_sync()
            self._send_all()
            return self._read_all(statements)
        finally:
            if self.is_usable:
                self._pgconn.exit_pipeline_mode()

    def _send_all(self) -> None:
        """While the server takes no more it may have answers that it wants to be rid of first."""
        while self._pgconn.flush():
            self._ready.modify(self._pgconn.socket, select.POLLIN | select.POLLOUT)
            self._ready.poll()
            self._ready.modify(self._pgconn.socket, select.POLLIN)
            self._pgconn.consume_input()

    def _next_result(self) -> PGresult | None:
        """Waited for here and not in libpq, which psycopg calls with the GIL held."""
        while self._pgconn.is_busy():
            self._ready.poll()
            self._pgconn.consume_input()
        return self._pgconn.get_result()

    def _read_all(self, statements: Sequence[Statement]) -> list[Found]:
        """Every answer of a message is taken in, also behind one that failed: the next message has its own."""
        found: list[Found] = []
        wrong: Exception | None = None
        position = 0
        while True:
            result = self._next_result()
            if result is None:
                if not self.is_usable:
                    raise lost()
                continue
            if result.status == ExecStatus.PIPELINE_SYNC:
                break
            if result.status == ExecStatus.PIPELINE_ABORTED:
                continue
            try:
                found.append(self._read(statements[position].text, result))
            except psycopg.Error as error:
                if not self.is_usable:
                    raise
                wrong = wrong or error
            position += 1
        if wrong is not None:
            raise wrong
        return found

    def _said(self, statement: Statement) -> tuple[bytes | None, Any, tuple[int, ...], Any]:
        """The name it is prepared under, if it is, and its values with their types and formats."""
        values = self._types.dump_sequence(statement.params, [PyFormat.AUTO] * len(statement.params))
        types = self._types.types or ()
        return self._name(statement.text, types), values, types, self._types.formats

    def _name(self, text: bytes, types: tuple[int, ...]) -> bytes | None:
        """The name it is prepared under; None: it is sent as it is."""
        key = (text, types)
        name = self._prepared.get(key)
        if name is not None or not self._may_prepare or len(self._prepared) >= MOST_PREPARED:
            return name
        seen = self._seen.get(key, 0) + 1
        if seen < PREPARED_AT:
            if len(self._seen) < MOST_COUNTED:
                self._seen[key] = seen
            return None
        self._count += 1
        name = b"ringfence_%d" % self._count
        self._read(text, self._pgconn.prepare(name, text, types))
        self._prepared[key] = name
        return name

    def _read(self, text: bytes, result: PGresult) -> Found:
        if result.status not in DONE:
            raise self._error(result)
        if not result.nfields:
            return Found([], [], result.command_tuples or 0, result.command_status)
        self._types.set_pgresult(result)
        rows = self._types.load_rows(0, result.ntuples, tuple)
        return Found(self._names(text, result), rows, result.ntuples, result.command_status)

    def _names(self, text: bytes, result: PGresult) -> list[str]:
        names = self._columns.get(text)
        # A table may have a column more since.
        if names is None or len(names) != result.nfields:
            names = [(result.fname(index) or b"").decode() for index in range(result.nfields)]
            if len(self._columns) < MOST_COUNTED:
                self._columns[text] = names
        return names

    def _error(self, result: PGresult) -> psycopg.Error:
        if not self.is_usable:
            return lost()
        error = errors.error_from_result(result, encoding="utf-8")
        if error.sqlstate in NOT_AS_PREPARED:
            self._prepared.clear()
        return error


def lost() -> psycopg.Error:
    return psycopg.OperationalError("the connection is lost")


def wires(may_prepare: bool) -> Callable[[Connection], Wire]:
    """Gives each connection its wire, the same one every time."""

    def of(connection: Connection) -> Wire:
        found: Wire | None = getattr(connection, "ringfence_wire", None)
        if found is None:
            found = Wire(connection, may_prepare)
            connection.ringfence_wire = found  # type: ignore[attr-defined]
        return found

    return of
