"""Who has a SQLite file open: a lock beside it, shared by all of them, and alone for whoever replaces the file.

The kernel frees it when its holder dies. Beside the file and never on it, for closing a second descriptor of that
would drop the engine's own locks. Never deleted: a lock on a deleted file keeps nobody out.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import threading
import time
from contextlib import suppress
from pathlib import Path

from gateway.errors import DatabaseRefused, StorageUnavailable

# A command that only looks is gone by then.
PATIENCE_SECONDS = 2.0
POLL_SECONDS = 0.05
# Where nothing can be made, nothing can be written, and the engine says so itself.
NOT_OURS_TO_SAY = {errno.ENOENT, errno.EROFS, errno.ENOTDIR}
COMMAND = re.compile(r"[a-z][a-z-]{0,20}")


class UseLock:
    """`<database>.use`. Safe from any thread; one object is one holder.

    patience_seconds: how long who wants it alone waits for those who just have a look.
    """

    def __init__(self, database_path: Path, patience_seconds: float = PATIENCE_SECONDS) -> None:
        # The file itself, whatever links lead to it: the engine keeps its journals there too.
        self.database_path = database_path.resolve()
        self.path = Path(f"{self.database_path}.use")
        self._patience_seconds = patience_seconds
        self._handle: int | None = None
        self._lock = threading.Lock()

    def share(self) -> None:
        """Have the file together with others. Raises DatabaseRefused while somebody has it alone. Safe to repeat."""
        with self._lock:
            if self._handle is None and not self._take(fcntl.LOCK_SH):
                raise DatabaseRefused(
                    f"{self.database_path} is being restored or moved just now{by(self._holders())}. "
                    "Nothing was started or changed. Wait until that has ended, then try again."
                )

    def take_alone(self) -> None:
        """Have the file for oneself. Raises DatabaseRefused with who else has it, after waiting a moment for them."""
        with self._lock:
            for _ in range(round(self._patience_seconds / POLL_SECONDS)):
                if self._take(fcntl.LOCK_EX):
                    break
                time.sleep(POLL_SECONDS)
            if self._handle is None and not self._take(fcntl.LOCK_EX):
                raise DatabaseRefused(
                    f"{self.database_path} is in use{by(self._holders())}, so nothing was changed. "
                    "Stop every process that uses it, then try again."
                )
            if self._handle is None:
                raise DatabaseRefused(
                    f"{self.path} cannot be locked, so nobody could tell who uses the database, and nothing was "
                    "changed. Check that its folder exists and can be written to."
                )

    def free(self) -> None:
        with self._lock:
            if self._handle is not None:
                os.close(self._handle)
                self._handle = None

    def _take(self, how: int) -> bool:
        """False while others stand in the way. True without a handle where the file system has no such locks."""
        handle = self._open()
        if handle is None:
            return True
        try:
            fcntl.flock(handle, how | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
        self._handle = handle
        return True

    def _open(self) -> int | None:
        try:
            handle = os.open(self.path, os.O_RDONLY | os.O_CREAT, 0o644)
        except OSError as error:
            if error.errno in NOT_OURS_TO_SAY or not self.path.exists():
                return None
            raise StorageUnavailable(f"{self.path} cannot be opened: check its owner and its folder's.") from error
        with suppress(OSError):
            # Whoever may reach the folder may lock it, whichever account made it.
            os.fchmod(handle, 0o644)
        return handle

    def _holders(self) -> list[str]:
        """Who has the lock, for people; empty where the system does not tell."""
        try:
            inode = str(self.path.stat().st_ino)
            lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
        except (OSError, UnicodeDecodeError):
            return []
        # 1: FLOCK  ADVISORY  READ 4711 08:01:131074 0 EOF
        found = [line.split() for line in lines]
        pids = {words[4] for words in found if words[1] == "FLOCK" and words[5].rpartition(":")[2] == inode}
        return [named(pid) for pid in sorted(pids, key=int) if int(pid) > 0]


def by(holders: list[str]) -> str:
    return f" by {', '.join(holders)}" if holders else ""


def named(pid: str) -> str:
    """A process by its command, where it is one of ours. Arguments may hold secrets: they are never shown."""
    with suppress(OSError, UnicodeDecodeError):
        words = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").split("\0")
        if "gateway" in words:
            command = words[words.index("gateway") + 1]
            if COMMAND.fullmatch(command):
                return f"{command} (process {pid})"
        return f"{Path(f'/proc/{pid}/comm').read_text(encoding='utf-8').strip()} (process {pid})"
    return f"process {pid}"
