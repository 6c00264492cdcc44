"""One embedded worker a database, by accident or not: a lock that the kernel frees when its holder dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from gateway.errors import StorageUnavailable


class WorkerLock:
    """`<database>.lock`, held for life. Never the database file itself."""

    def __init__(self, database_path: Path) -> None:
        self.path = Path(f"{database_path}.lock")
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


def cannot_take(path: Path, error: OSError) -> StorageUnavailable:
    return StorageUnavailable(f"The worker's place {path} cannot be taken: {error.strerror}.")
