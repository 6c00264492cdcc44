"""Keep the sandbox's clock still while a provider call is open, over all processes that share a database.

Calls hold the room together; whoever moves the clock holds it alone. The turnstile lets the mover in although new
calls keep coming. Beside the database file, never on it: closing a second descriptor of that would drop its locks.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class ClockGate:
    """For sandbox and tests. In live mode nothing moves the clock, and `OPEN_GATE` costs nothing."""

    def __init__(self, database_path: Path) -> None:
        place = database_path.resolve()
        self._turnstile = Path(f"{place}.turnstile")
        self._room = Path(f"{place}.room")

    @contextmanager
    def call_open(self) -> Iterator[None]:
        """Hold while one call is open; many at once."""
        with locked(self._turnstile, fcntl.LOCK_SH), locked(self._room, fcntl.LOCK_SH) as room:
            kept = os.dup(room)
        try:
            yield
        finally:
            os.close(kept)

    def stamp(self) -> int:
        """Changes whenever the clock was moved. A microsecond."""
        try:
            return os.stat(self._room).st_mtime_ns
        except FileNotFoundError:
            return 0

    def mark_moved(self) -> None:
        """Let every process read the clock's offset again; to be called after it was stored."""
        before_ns = self.stamp()
        os.utime(self._room)
        if self.stamp() <= before_ns:
            # A file's time is coarse on some systems: two quick moves would look like one.
            os.utime(self._room, ns=(before_ns + 1, before_ns + 1))

    @contextmanager
    def no_call_open(self) -> Iterator[None]:
        """Hold while the clock moves; waits until every open call has ended."""
        with locked(self._turnstile, fcntl.LOCK_EX), locked(self._room, fcntl.LOCK_EX):
            yield


@contextmanager
def locked(path: Path, how: int) -> Iterator[int]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, how)
        yield handle
    finally:
        os.close(handle)


@contextmanager
def open_gate() -> Iterator[None]:
    """No gate at all."""
    yield
