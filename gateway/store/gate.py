"""Keep the sandbox's clock still while a provider call is open, over all processes that share a database.

Calls hold the room together; whoever moves the clock holds it alone. The turnstile lets the mover in although new
calls keep coming. Beside the database file, never on it: closing a second descriptor of that would drop its locks.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

COUNTER_BYTES = 8


class ClockGate:
    """For sandbox and tests. In live mode nothing moves the clock, and `OPEN_GATE` costs nothing."""

    def __init__(self, database_path: Path) -> None:
        place = database_path.resolve()
        self._turnstile = Path(f"{place}.turnstile")
        self._room = Path(f"{place}.room")
        self._moves: mmap.mmap | None = None

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
        """How often the clock was moved; 0 where that cannot be known.

        In memory that all processes share, because every webhook asks: a look at the file would give up the GIL.
        """
        if self._moves is None:
            try:
                self._moves = self._mapped()
            except OSError:
                return 0
        return int.from_bytes(self._moves[:COUNTER_BYTES], "little")

    def mark_moved(self) -> None:
        """Let every process read the clock's offset again; to be called with no call open, after it was stored."""
        handle = os.open(self._room, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            moves = int.from_bytes(os.pread(handle, COUNTER_BYTES, 0), "little") + 1
            # Not through the memory: on a full disk that would end the process.
            os.pwrite(handle, moves.to_bytes(COUNTER_BYTES, "little"), 0)
        finally:
            os.close(handle)

    def _mapped(self) -> mmap.mmap:
        handle = os.open(self._room, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if os.fstat(handle).st_size < COUNTER_BYTES:
                os.ftruncate(handle, COUNTER_BYTES)
            return mmap.mmap(handle, COUNTER_BYTES, access=mmap.ACCESS_READ)
        finally:
            os.close(handle)

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
