"""How many calls are open at each pretend service: who keeps a limit is seen to keep it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class OpenCalls:
    """Counts by vendor. Thread-safe.

    A call is open from its last byte until just before the first byte of its answer: for its caller it is open longer.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now: Counter[str] = Counter()
        self._most: Counter[str] = Counter()

    @contextmanager
    def count(self, operation: str | None) -> Iterator[None]:
        """Hold while a call is open; None is no call of any vendor."""
        if operation is None:
            yield
            return
        vendor = operation.partition(".")[0]
        with self._lock:
            self._now[vendor] += 1
            self._most[vendor] = max(self._most[vendor], self._now[vendor])
        try:
            yield
        finally:
            with self._lock:
                self._now[vendor] -= 1

    def most(self) -> dict[str, int]:
        """The most that were open at once since the start of this process."""
        with self._lock:
            return dict(self._most)
