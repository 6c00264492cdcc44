"""What belongs to one session of PostgreSQL: being told of others' commits, and the place of the one worker.

A connection of its own beside the pool, watched by a thread. When it breaks both are lost: whoever asks next makes
another one. Not through a pooler in transaction mode, where no two transactions share a session.
"""

from __future__ import annotations

import select
import threading
from collections.abc import Callable
from typing import Any

import psycopg

from gateway.store.postgres_errors import unreachable

LOOK_SECONDS = 1.0
PLACE = "hashtextextended(current_schema() || '.worker', 0)"


class PostgresSession:
    """channel: where commits are announced.   me: what our own announcements say.   on_change: called in a thread."""

    def __init__(self, conninfo: str, channel: str, me: str, on_change: Callable[[], None]) -> None:
        self._conninfo = conninfo
        self._channel = channel
        self._me = me
        self._on_change = on_change
        self._lock = threading.Lock()
        self._connection: psycopg.Connection[Any] | None = None
        self._has_place = False
        self._is_news = True

    def has_news(self) -> bool:
        """Whether anybody else committed since this was asked last; also after a time when nobody could tell us."""
        if not self._is_open():
            with self._lock:
                self._open()
        is_news, self._is_news = self._is_news, False
        return is_news

    def hold(self) -> bool:
        """Take the worker's place, or see whether it is still ours. Raises StorageUnavailable."""
        if self._has_place and self._is_open():
            return True
        with self._lock:
            self._open()
            assert self._connection is not None
            self._has_place = bool(self._ask(f"SELECT pg_try_advisory_lock({PLACE})"))
        return self._has_place

    def let_go(self) -> None:
        with self._lock:
            if self._has_place and self._is_open():
                self._ask(f"SELECT pg_advisory_unlock({PLACE})")
            self._has_place = False

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _ask(self, sql: str) -> Any:
        assert self._connection is not None
        try:
            row = self._connection.execute(sql.encode()).fetchone()
        except psycopg.Error as error:
            self._drop()
            raise unreachable(error) from error
        return row[0] if row else None

    def _is_open(self) -> bool:
        connection = self._connection
        return connection is not None and not connection.closed

    def _open(self) -> None:
        if self._is_open():
            return
        try:
            connection = psycopg.connect(self._conninfo, autocommit=True)
            connection.add_notify_handler(self._notice)
            connection.execute(f"LISTEN {self._channel}".encode())
        except psycopg.Error as error:
            raise unreachable(error) from error
        self._connection = connection
        # What was committed while nobody listened was not announced to us.
        self._is_news, self._has_place = True, False
        threading.Thread(target=self._watch, args=(connection,), name="listener", daemon=True).start()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        self._has_place = False
        if connection is not None:
            connection.close()

    def _notice(self, note: psycopg.Notify) -> None:
        if note.payload != self._me:
            self._is_news = True
            self._on_change()

    def _watch(self, connection: psycopg.Connection[Any]) -> None:
        """Sleep until something comes, and take it; ends with its connection."""
        while not connection.closed:
            try:
                readable, _, _ = select.select([connection.fileno()], [], [], LOOK_SECONDS)
                if readable:
                    self._take(connection)
            except (psycopg.Error, OSError, ValueError):
                with self._lock:
                    if self._connection is connection:
                        self._drop()
                self._is_news = True
                self._on_change()
                return

    def _take(self, connection: psycopg.Connection[Any]) -> None:
        with self._lock:
            if connection.closed:
                return
            wire = connection.pgconn
            wire.consume_input()
            notes = iter(wire.notifies, None)
            found = [note for note in notes if note.extra.decode() != self._me]
        if found:
            self._is_news = True
            self._on_change()
