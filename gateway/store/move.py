"""Move a SQLite database to PostgreSQL, so that at every moment at most one of the two may be worked on.

The marks, in this order, each committed before the next step:

1. The old database has a number of its own for the move, and the new one says that it is the unfinished copy of it.
   Nobody starts on an unfinished copy.
2. The old one is closed for good.
3. Everything is copied, and both say the same, table by table.
4. The old one says that it is moved: from here on no other copy may ever be opened.
5. The new one is opened.

A move that was cut off goes on where it was when it is run again. Whoever calls has the old database for themselves.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from gateway.errors import DatabaseRefused
from gateway.store import installation, journal
from gateway.store.closing import close_for_good, closed_for
from gateway.store.copying import Table, content, copy, is_empty, tables_of
from gateway.store.database import Database, Transaction, in_transaction
from gateway.store.migrate import migrate
from gateway.store.sqlite import SqliteDatabase

MOVE_ID = "move_id"
MOVED = "move_done"
FROM_ID = "move_from"


@dataclass(frozen=True, slots=True)
class Moved:
    """copied: rows that this run brought over, by table.   rows: of the whole database.

    was_done: an earlier run had finished already.
    """

    copied: dict[str, int]
    rows: int
    was_done: bool = False


def move(source: SqliteDatabase, target: Database, shown: str, now_ms: Callable[[], int], actor: str) -> Moved:
    """Move everything; safe to repeat after a crash at any moment. Raises DatabaseRefused, StorageUnavailable.

    source: up to date, ours, and nobody else's for now.   shown: the target for people, without a password.
    """
    move_id = number_of_move(source)
    with source.read() as tx:
        tables = tables_of(tx)
        is_moved = installation.value(tx, MOVED) is not None
        moved_to = closed_for(tx)
    refuse_foreign(target, move_id)
    migrate(target)
    is_open = not claim(target, tables, move_id, moved_to if is_moved else None)
    with source.transaction() as tx:
        close_for_good(tx, shown)
        if is_open:
            # An older state of it, put back by hand: the new one has gone on from there.
            installation.put(tx, MOVED, "1")
    if is_open:
        return Moved({}, count_rows(target, tables), was_done=True)
    copied = {table.name: copy(source, target, table) for table in tables}
    rows = compare(source, target, tables)
    with source.transaction() as tx:
        installation.put(tx, MOVED, "1")
    in_transaction(target, lambda tx: open_copy(tx, move_id, now_ms(), actor), is_repeatable=True)
    return Moved(copied, rows)


def number_of_move(source: SqliteDatabase) -> str:
    """By which a half-done copy of this very database is known."""
    with source.transaction() as tx:
        known = installation.value(tx, MOVE_ID)
        if known is None:
            known = secrets.token_hex(16)
            installation.put(tx, MOVE_ID, known)
    return known


def refuse_foreign(target: Database, move_id: str) -> None:
    """Raise DatabaseRefused where somebody else's data is, before anything is changed there."""
    if not target.applied_migrations():
        return
    with target.read() as tx:
        mine = move_id in (installation.value(tx, installation.UNFINISHED_MOVE), installation.value(tx, FROM_ID))
        is_used = installation.value(tx, "mode") or installation.value(tx, installation.UNFINISHED_MOVE)
    if is_used and not mine:
        raise DatabaseRefused(NOT_EMPTY)


NOT_EMPTY = (
    "The database to move to is not empty, and holds nothing of this one. Nothing was changed. Name a new one, or a "
    "schema of its own."
)


def claim(target: Database, tables: list[Table], move_id: str, moved_to: str | None) -> bool:
    """Mark the target as the unfinished copy of this database; False when it is finished and open already.

    moved_to: where the database was moved for good, if it was: then no other copy may begin.
    """

    def job(tx: Transaction) -> bool:
        tx.lock("installation")
        if installation.value(tx, FROM_ID) == move_id:
            return False
        unfinished = installation.value(tx, installation.UNFINISHED_MOVE)
        if unfinished == move_id:
            return True
        if moved_to is not None:
            raise DatabaseRefused(
                f"This database was moved to {moved_to}, which may be in use by now: it is never moved anywhere else. "
                "Nothing was changed."
            )
        if unfinished is not None or not all(is_empty(tx, table) for table in tables):
            raise DatabaseRefused(NOT_EMPTY)
        installation.put(tx, installation.UNFINISHED_MOVE, move_id)
        return True

    return in_transaction(target, job, is_repeatable=True)


def compare(source: SqliteDatabase, target: Database, tables: list[Table]) -> int:
    """How many rows there are, where both agree on every table. Raises DatabaseRefused."""
    total = 0
    for table in tables:
        old, new = content(source, table), content(target, table)
        if old != new:
            raise DatabaseRefused(
                f"The copy of {table.name} differs from the original ({old.rows} rows there, {new.rows} in "
                "PostgreSQL), so it was not opened. The old database is whole and closed. Empty the new database "
                "or make another one, then run this again."
            )
        total += old.rows
    return total


def open_copy(tx: Transaction, move_id: str, now_ms: int, actor: str) -> None:
    tx.lock("installation")
    if installation.value(tx, FROM_ID) == move_id:
        return
    tx.do("DELETE FROM installation WHERE name = :name", name=installation.UNFINISHED_MOVE)
    installation.put(tx, FROM_ID, move_id)
    journal.write(tx, None, now_ms, "operator", "moved", {"reason": "from SQLite to PostgreSQL"}, actor=actor)


def count_rows(database: Database, tables: list[Table]) -> int:
    with database.read() as tx:
        return sum(int(tx.run(f"SELECT count(*) FROM {table.name}", [])[0][0]) for table in tables)  # noqa: S608
