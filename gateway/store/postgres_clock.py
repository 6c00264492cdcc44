"""The server's time, counted on from when it was last asked.

An answer says what time it was at some moment between question and answer. A quick one is taken at its word. A slow
one, from a server or a network that had stopped for a while, would put this process's clock off by half of that, and
others prove by our times what did not happen: it only corrects what it contradicts, and the next is asked for at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable

KEPT_SECONDS = 10.0
QUICK_SECONDS = 0.2


def monotonic() -> float:
    """Goes on while the machine sleeps, where the kernel has such a clock."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class ServerClock:
    """Safe from any thread: whoever is last was told last, or about then."""

    def __init__(self, own: Callable[[], float] = monotonic) -> None:
        """own: this machine's clock, in seconds."""
        self._own = own
        # The server's time at a moment of ours: (epoch milliseconds, seconds).
        self._kept: tuple[float, float] | None = None
        self._ask_at = 0.0

    @property
    def is_known(self) -> bool:
        return self._kept is not None

    @property
    def is_to_be_asked(self) -> bool:
        return self._kept is None or self._own() >= self._ask_at

    def begin(self) -> float:
        """To be called directly before the question; its result goes with the answer."""
        return self._own()

    def hear(self, server_ms: int, asked: float) -> None:
        """What the server answered to a question that began then."""
        answered = self._own()
        taken = answered - asked
        is_quick = taken <= QUICK_SECONDS
        if is_quick or not self._fits(server_ms, answered, taken):
            self._kept = server_ms + taken * 500, answered
        self._ask_at = answered + KEPT_SECONDS if is_quick else answered

    def now_ms(self) -> int:
        assert self._kept is not None, "the server was never asked"
        server_ms, at = self._kept
        return int(server_ms + (self._own() - at) * 1000)

    def _fits(self, server_ms: int, answered: float, taken: float) -> bool:
        if self._kept is None:
            return False
        kept_ms, at = self._kept
        return server_ms <= kept_ms + (answered - at) * 1000 <= server_ms + taken * 1000
