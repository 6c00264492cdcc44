"""One embedded worker a database, by accident or not: a lock that the kernel frees when its holder dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Protocol, cast

from gateway.errors import StorageUnavailable
from gateway.settings import Settings
from gateway.store.database import Database


class WorkerPlace(Protocol):
    """Who works on a database. Two by accident do no harm: leases and fences guard beneath."""

    def take(self) -> bool:
        """Whether this process is the worker now; False while another is. Safe to repeat, and cheap once it is.

        Raises StorageUnavailable where nobody can say now.
        """
        ...

    def free(self) -> None: ...


class HasPlace(Protocol):
    """A database that keeps the worker's place itself."""

    def take_worker_place(self) -> bool: ...

    def free_worker_place(self) -> None: ...


class DatabasePlace:
    """The place as the database keeps it: over all machines, and given up when the connection breaks."""

    def __init__(self, database: HasPlace) -> None:
        self._database = database

    def take(self) -> bool:
        return self._database.take_worker_place()

    def free(self) -> None:
        self._database.free_worker_place()


class WorkerLock:
    """`<database>.lock`, held for life. Never the database file itself."""

    def __init__(self, database_path: Path) -> None:
        self.path = Path(f"{database_path.resolve()}.lock")
        self._handle: int | None = None

    def take(self) -> bool:
        """Whether this process is the worker now; False while another is. Safe to repeat.

        Raises StorageUnavailable while nobody could be, as on a file system that is read-only.
        """
        if self._handle is not None:
            return True
        try:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise cannot_take(self.path, error) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            if isinstance(error, BlockingIOError):
                return False
            raise cannot_take(self.path, error) from error
        self._handle = handle
        return True

    def free(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def place_of(settings: Settings, database: Database) -> WorkerPlace:
    """Where the one embedded worker of a database is known by."""
    if settings.database.conninfo is None:
        return WorkerLock(settings.database.path)
    return DatabasePlace(cast(HasPlace, database))


def cannot_take(path: Path, error: OSError) -> StorageUnavailable:
    return StorageUnavailable(f"The worker's place {path} cannot be taken: {error.strerror}.")
