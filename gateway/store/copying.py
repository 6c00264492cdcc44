"""Every table of one database into another, in the order of their keys, and whether both then say the same.

What there is to copy is read from the original's own schema, so that no table is ever forgotten. A copy that was cut
off goes on behind the last row that arrived: nobody writes either side meanwhile.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

from gateway.errors import DatabaseRefused
from gateway.store.database import Database, IntegrityError, Transaction, in_transaction
from gateway.store.sqlite_migrations import TABLE as SQLITE_MIGRATIONS

ROWS = 500
# Bodies have up to a megabyte.
ROWS_WITH_BODIES = 100
# What each side knows of the move itself.
OWN_MARKS = "move_"

Values = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """key: the columns of its primary key.   rows: how many are copied at once."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    rows: int

    @property
    def where(self) -> str:
        return f"name NOT LIKE '{OWN_MARKS}%'" if self.name == "installation" else "true"

    @property
    def has_serial(self) -> bool:
        return self.key == ("id",)


@dataclass(frozen=True, slots=True)
class Content:
    """What a table holds, in short."""

    rows: int
    digest: str


def tables_of(tx: Transaction) -> list[Table]:
    """Every table of a SQLite database, those that others refer to first."""
    names = [
        row[0]
        for row in tx.run(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> ?",
            [SQLITE_MIGRATIONS],
        )
    ]
    refers = {name: {row[2] for row in tx.run(f"PRAGMA foreign_key_list({name})", [])} for name in sorted(names)}
    return [table_of(tx, name) for name in TopologicalSorter(refers).static_order()]


def table_of(tx: Transaction, name: str) -> Table:
    found = tx.run(f"PRAGMA table_info({name})", [])
    keys = sorted((row[5], row[1]) for row in found if row[5])
    has_bodies = any(row[2] == "BLOB" for row in found)
    return Table(
        name,
        tuple(row[1] for row in found),
        tuple(column for _, column in keys),
        ROWS_WITH_BODIES if has_bodies else ROWS,
    )


def copy(source: Database, target: Database, table: Table) -> int:
    """Copy what the target lacks; how many rows. Safe to repeat, and to cut off anywhere."""
    copied = 0
    for rows in batches(source, table, last_key(target, table)):
        in_transaction(target, inserting(table, rows), is_repeatable=True)
        copied += len(rows)
    if table.has_serial:
        in_transaction(target, lambda tx: count_on(tx, table), is_repeatable=True)
    return copied


def last_key(target: Database, table: Table) -> Values | None:
    """The key of the last row that arrived. Not of the few that stand between marks of the target's own."""
    if table.name == "installation":
        return None
    order = ", ".join(f"{column} DESC" for column in table.key)
    with target.read() as tx:
        found = tx.run(f"SELECT {', '.join(table.key)} FROM {table.name} ORDER BY {order} LIMIT 1", [])  # noqa: S608
    return found[0] if found else None


def batches(database: Database, table: Table, after: Values | None = None) -> Iterator[list[Values]]:
    """Its rows in the order of the key, so many at a time; no transaction is open in between."""
    keys = [table.columns.index(column) for column in table.key]
    while True:
        with database.read() as tx:
            rows = tx.run(*page(table, after))
        if rows:
            yield rows
        if len(rows) < table.rows:
            return
        after = tuple(rows[-1][index] for index in keys)


def page(table: Table, after: Values | None) -> tuple[str, list[Any]]:
    key = ", ".join(table.key)
    behind = f"AND ({key}) > ({', '.join('?' * len(table.key))})" if after else ""
    sql = (
        f"SELECT {', '.join(table.columns)} FROM {table.name} "  # noqa: S608
        f"WHERE {table.where} {behind} ORDER BY {key} LIMIT {table.rows}"
    )
    return sql, list(after or ())


def inserting(table: Table, rows: Sequence[Values]) -> Callable[[Transaction], object]:
    marks = f"({', '.join('?' * len(table.columns))})"
    sql = (
        f"INSERT INTO {table.name} ({', '.join(table.columns)}) "  # noqa: S608
        f"VALUES {', '.join([marks] * len(rows))} ON CONFLICT DO NOTHING"
    )
    values = [value for row in rows for value in row]

    def job(tx: Transaction) -> object:
        try:
            return tx.run(sql, values)
        except IntegrityError as error:
            raise DatabaseRefused(f"PostgreSQL does not take rows of {table.name}: {error}.") from error

    return job


def count_on(tx: Transaction, table: Table) -> None:
    """New rows are numbered after those that were copied."""
    tx.run(
        f"SELECT setval(pg_get_serial_sequence(?, 'id'), max(id)) FROM {table.name} HAVING max(id) > 0",  # noqa: S608
        [table.name],
    )


def content(database: Database, table: Table) -> Content:
    """What a table holds now, equal for two databases exactly when it is the same."""
    digest, count = hashlib.sha256(), 0
    for rows in batches(database, table):
        for row in rows:
            digest.update(b"".join(spelt(value) for value in row))
            count += 1
    return Content(count, digest.hexdigest())


def spelt(value: object) -> bytes:
    """A value so that no other one, and no two others in a row, are spelt alike."""
    if value is None:
        return b"-"
    if isinstance(value, int):
        return b"i%d;" % value
    kind, text = (b"t", value.encode()) if isinstance(value, str) else (b"b", bytes(value))  # type: ignore[call-overload]
    return b"%b%d:%b" % (kind, len(text), text)


def is_empty(tx: Transaction, table: Table) -> bool:
    return tx.run(f"SELECT 1 FROM {table.name} WHERE {table.where} LIMIT 1", []) == []  # noqa: S608
