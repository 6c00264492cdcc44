"""Whether the SQLite file in its place is the newest there was: a copy put back by hand is in the past.

A number rises in the file and beside it (in `<database>.use`), first in the file, at every start, after every backup
and once a minute of work. A file with a smaller one than lies beside it is an old copy, and is treated as restored.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path

from gateway.store import aftermath, installation
from gateway.store.database import Database
from gateway.store.sqlite import SqliteDatabase

log = logging.getLogger("gateway.store")

NAME = "watermark"
MOST_BYTES = 20


def rise(database: Database, now_ms: int) -> None:
    """Raise the mark by one. A file that proves to be an old copy is marked as restored: all is compared first.

    Nothing on PostgreSQL, where nothing lies beside. Safe to repeat, and in several processes. Raises
    StorageUnavailable.
    """
    if not isinstance(database, SqliteDatabase):
        return
    place = Path(f"{database.path.resolve()}.use")
    with database.transaction() as tx:
        stored = int(installation.value(tx, NAME) or 0)
        beside = read(place)
        if beside > stored:
            aftermath.mark(tx, now_ms, "An older copy of the database was put in its place.", "start")
        mark = max(stored, beside) + 1
        installation.put(tx, NAME, str(mark))
    write(place, mark)
    if beside > stored:
        log.warning("storage.old_copy", extra={"fields": {"database": str(database.path)}})


def read(place: Path) -> int:
    """What lies beside; 0 where nothing does, or nothing that makes sense."""
    try:
        return int(place.read_bytes()[:MOST_BYTES])
    except (OSError, ValueError):
        return 0


def write(place: Path, mark: int) -> None:
    """Never in the way of work: without it, an old copy is only not recognised."""
    with suppress(OSError):
        handle = os.open(place, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            os.pwrite(handle, f"{mark:0{MOST_BYTES}d}".encode(), 0)
            os.fsync(handle)
        finally:
            os.close(handle)
