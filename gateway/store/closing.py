"""A SQLite database that was moved away is closed for good: asked in every write transaction of every process.

Its mark is in the file's own header, so that it is found whatever tables there are.
"""

from __future__ import annotations

from pathlib import Path

from gateway.errors import DatabaseRefused
from gateway.store.database import Transaction

CLOSED = 1


def close_for_good(tx: Transaction, moved_to: str) -> None:
    """Let nobody write this database any more. moved_to: where it is now, for people; never with a password."""
    tx.do(f"PRAGMA user_version = {CLOSED}")
    tx.do(
        """INSERT INTO installation (name, value) VALUES ('move_to', :moved_to)
           ON CONFLICT (name) DO UPDATE SET value = :moved_to""",
        moved_to=moved_to,
    )


def closed_for(tx: Transaction) -> str | None:
    """Where a database was moved to that is closed for good; None while it is open."""
    if tx.run("PRAGMA user_version", [])[0][0] != CLOSED:
        return None
    row = tx.one("SELECT value FROM installation WHERE name = 'move_to'")
    return str(row["value"]) if row else "another database"


def refuse_closed(tx: Transaction, path: Path) -> None:
    moved_to = closed_for(tx)
    if moved_to is not None:
        raise DatabaseRefused(
            f"{path} was moved to {moved_to} and is closed for good: nothing was stored or changed. "
            "Let DATABASE_URL name the new database. If the move was cut off, run it again: "
            "python -m gateway move --to URL"
        )
