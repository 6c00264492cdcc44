"""What the old database knows and the backup lacks: events that were acknowledged, and how far a sandbox's clock is.

Every event with a body is put into the copy's inbox as new, so that it is applied again. The old file may be damaged:
then as much is read as can be, the newest first, for those are what a backup lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.errors import DatabaseRefused, OtherInstallation
from gateway.store import installation
from gateway.store.closing import closed_for
from gateway.store.database import Transaction
from gateway.store.sqlite import SqliteDatabase

EVENT = ("source", "event_id", "type", "occurred_at_ms", "received_at_ms", "says_hash", "headers", "body")
CONFLICT = ("source", "event_id", "received_at_ms", "says_hash", "headers", "body", "is_read")
PAGE = 500
# Beyond, too much of a file is damaged to look for single rows.
MOST_FAILURES = 500
MOST_ACTIONS = 200


@dataclass(frozen=True, slots=True)
class Action:
    """What an operator did after the backup was made, and whoever puts it back may have to do again."""

    at_ms: int
    tenant_key: str
    name: str
    actor: str


@dataclass(frozen=True, slots=True)
class Carried:
    """events: how many the backup lacked.   expired: more that it lacks, whose bodies are forgotten: nobody can apply
    them.   is_whole: False where the old file could not be read, or not all of it.
    """

    events: int = 0
    expired: int = 0
    is_whole: bool = True
    actions: tuple[Action, ...] = ()


@dataclass
class Old:
    """The old database, which may be damaged: what cannot be read is passed over and counted."""

    database: SqliteDatabase
    failures: int = 0

    def rows(self, sql: str, *params: Any) -> list[tuple[Any, ...]] | None:
        """None where they cannot be read."""
        try:
            with self.database.read() as tx:
                return tx.run(sql, list(params))
        except DatabaseRefused:
            self.failures += 1
            return None

    def has(self, table: str, columns: Sequence[str]) -> bool:
        found = self.rows(f"PRAGMA table_info({table})")
        return found is not None and {row[1] for row in found}.issuperset(columns)


def carry_over(copy: SqliteDatabase, path: Path, check: Callable[[Transaction], None]) -> Carried:
    """Put what only the old database knows into the copy. Raises DatabaseRefused where it must not be replaced.

    Leaves the old one as one file: whatever was committed is in it, and its journal is gone, unless it is damaged.
    """
    if path.stat().st_size == 0:
        return Carried(is_whole=False)
    old = Old(SqliteDatabase(path, is_alone=True))
    try:
        refuse_to_replace(old.database, path, check)
        with copy.transaction() as tx:
            found = read_old(old, tx)
    finally:
        # The last connection that ends writes everything into the file, and takes the journal away.
        old.database.close()
    if found.is_whole and Path(f"{path}-wal").exists():
        raise DatabaseRefused(f"Another program has {path} open, so nothing was changed. Stop it, then try again.")
    return found


def refuse_to_replace(old: SqliteDatabase, path: Path, check: Callable[[Transaction], None]) -> None:
    try:
        with old.read() as tx:
            moved_to = closed_for(tx)
            check(tx)
    except OtherInstallation:
        raise
    except DatabaseRefused:
        # Damaged: nobody can tell.
        return
    if moved_to is not None:
        raise DatabaseRefused(
            f"{path} was moved to {moved_to} and is closed for good: nothing may take its place, or two databases "
            "would think that the numbers are theirs. Nothing was changed."
        )


def read_old(old: Old, tx: Transaction) -> Carried:
    if not old.has("inbox", EVENT):
        return Carried(is_whole=False)
    missing, expired = missing_events(old, tx)
    events = sum(carry_events(old, tx, missing[start : start + PAGE]) for start in range(0, len(missing), PAGE))
    carry_conflicts(old, tx)
    keep_clock(old, tx)
    actions = actions_since(old, tx)
    return Carried(events, expired, not old.failures, actions)


def missing_events(old: Old, tx: Transaction) -> tuple[list[int], int]:
    """Row ids of events that the copy lacks, oldest first; and how many more have lost their bodies."""
    newest = old.rows("SELECT max(id) FROM inbox")
    before, size = (newest[0][0] or 0) + 1 if newest else 0, PAGE
    missing: list[int] = []
    expired = 0
    while before > 0 and old.failures <= MOST_FAILURES:
        rows = old.rows(
            "SELECT id, source, event_id, body IS NULL FROM inbox WHERE id < ? ORDER BY id DESC LIMIT ?", before, size
        )
        if rows is None:
            before, size = (before, size // 8) if size > 1 else (before - 1, 1)
            size = max(size, 1)
            continue
        if not rows:
            break
        known = known_events(tx, [(source, event_id) for _, source, event_id, _ in rows])
        lacking = [(row[0], row[3]) for row in rows if (row[1], row[2]) not in known]
        missing += [id for id, is_expired in lacking if not is_expired]
        expired += sum(is_expired for _, is_expired in lacking)
        before, size = rows[-1][0], min(PAGE, size * 2)
    return missing[::-1], expired


def known_events(tx: Transaction, keys: list[tuple[str, str]]) -> set[tuple[Any, ...]]:
    values = ", ".join(["(?, ?)"] * len(keys))
    return set(
        tx.run(
            f"SELECT source, event_id FROM inbox WHERE (source, event_id) IN (VALUES {values})",  # noqa: S608
            [text for key in keys for text in key],
        )
    )


def carry_events(old: Old, tx: Transaction, ids: list[int]) -> int:
    """How many of these could be read."""
    rows = rows_of(old, ids)
    if rows is None:
        rows = [row for id in ids for row in rows_of(old, [id]) or []] if old.failures <= MOST_FAILURES else []
    for row in rows:
        put(tx, "inbox", EVENT, row, "source, event_id")
    return len(rows)


def rows_of(old: Old, ids: list[int]) -> list[tuple[Any, ...]] | None:
    marks = ", ".join("?" * len(ids))
    return old.rows(f"SELECT {', '.join(EVENT)} FROM inbox WHERE id IN ({marks}) ORDER BY id", *ids)  # noqa: S608


def carry_conflicts(old: Old, tx: Transaction) -> None:
    if old.has("inbox_conflicts", CONFLICT):
        for row in old.rows(f"SELECT {', '.join(CONFLICT)} FROM inbox_conflicts ORDER BY id") or []:  # noqa: S608
            put(tx, "inbox_conflicts", CONFLICT, row, "source, event_id, says_hash")


def put(tx: Transaction, table: str, columns: Sequence[str], row: Sequence[Any], unique: str) -> None:
    tx.run(
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))}) "  # noqa: S608
        f"ON CONFLICT ({unique}) DO NOTHING",
        list(row),
    )


def keep_clock(old: Old, tx: Transaction) -> None:
    """A sandbox's clock never goes back, or the pretend world would be ahead of it."""
    found = old.rows("SELECT value FROM installation WHERE name = ?", installation.CLOCK_OFFSET)
    if found and int(found[0][0]) > installation.clock_offset_ms(tx):
        installation.put(tx, installation.CLOCK_OFFSET, found[0][0])


def actions_since(old: Old, tx: Transaction) -> tuple[Action, ...]:
    """What operators did after the last thing that the copy knows of."""
    last = tx.one("SELECT max(at_ms) AS at_ms FROM journal")
    rows = old.rows(
        """SELECT j.at_ms, t.tenant_key, j.name, coalesce(j.actor, '') FROM journal AS j
           JOIN tenants AS t ON t.id = j.tenant_id WHERE j.kind = 'operator' AND j.at_ms > ? ORDER BY j.id LIMIT ?""",
        (last["at_ms"] or 0) if last else 0,
        MOST_ACTIONS,
    )
    return tuple(Action(*row) for row in rows or [])
