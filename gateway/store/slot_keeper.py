"""This process's share of the calls that may be open at a provider: held in bulk, renewed by a thread, free to use.

A call costs no transaction. One thread holds the share in the database while calls are made (`slots.py`), and gives
it back when none was made for a while. Two rules keep the bound over all processes, whatever happens to this one:

- A call begins only while the lease is young, by both clocks, and that is asked once more directly before its first
  byte: a process that was frozen meanwhile must not go on with slots that are somebody else's by now.
- The lease in the database outlives that by as long as a call may take: a call has ended before its slot is free.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from gateway.errors import StorageUnavailable
from gateway.ports import Clock
from gateway.store import slots
from gateway.store.database import Database, Transaction, in_transaction
from gateway.store.processes import is_gone, name_of_this_process
from gateway.store.slots import Held, Wish

log = logging.getLogger("gateway.slots")

CLOSE_SECONDS = 10.0
# A term that never is.
GIVEN_UP = -1


@dataclass(frozen=True, slots=True)
class Pace:
    """ask_again_seconds: while a slot has to come from another process; and the database is never asked more often.

    begin_seconds: how long calls may begin after a renewal: one may come late without anybody noticing.
    skew_seconds: how far two machines' ideas of the database's time may go apart.
    """

    renew_seconds: float = 1.0
    ask_again_seconds: float = 0.1
    idle_seconds: float = 10.0
    begin_seconds: float = 4.0
    skew_seconds: float = 1.0


@dataclass(slots=True)
class Local:
    """One provider's slots in this process: how many it holds, on how many of those it may begin, how many are open.

    term: counts how often they were lost. A call of an old term has ended, or must not begin any more.
    """

    limit: int
    freed: threading.Condition
    held: int = 0
    usable: int = 0
    open: int = 0
    waiting: int = 0
    term: int = 0

    @property
    def in_use(self) -> int:
        return max(self.usable, self.open)


class SlotKeeper:
    """Safe from any thread. Its own thread comes with the first call, and goes when there were none for a while."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        limits: Mapping[str, int],
        *,
        wanted: Callable[[], int],
        call_seconds: float,
        pace: Pace = Pace(),
    ) -> None:
        """clock: one that nobody moves.   limits: by provider, of all processes together.

        wanted: how many calls this process may make at once.   call_seconds: how long one takes at most.
        """
        self.owner = name_of_this_process()
        self._database = database
        self._clock = clock
        self._wanted = wanted
        self._pace = pace
        self._lease_ms = round((pace.begin_seconds + call_seconds + pace.skew_seconds) * 1000)
        self._lock = threading.Lock()
        self._local = {name: Local(limit, threading.Condition(self._lock)) for name, limit in limits.items()}
        self._begin_until, self._begin_until_ms = 0.0, 0
        self._used_at = clock.monotonic()
        self._thread: threading.Thread | None = None
        self._look = threading.Event()
        self._closed = threading.Event()
        self._trouble: Exception | None = None

    # --- for those who call ------------------------------------------------------------------------------------------

    @contextmanager
    def hold(self, provider: str, gives_up: Callable[[], bool]) -> Iterator[Callable[[], bool]]:
        """Hold a slot for one call, waiting for one if need be; gives what says whether it was lost since.

        gives_up: whether to wait no longer; what is given then is lost already. Raises StorageUnavailable.
        """
        mine = self._local[provider]
        term = self._take_one(mine, gives_up)
        try:
            yield lambda: mine.term != term or not self._may_begin()
        finally:
            self._free_one(mine, term)

    def expect_calls(self) -> None:
        """Have slots before the first call asks for one."""
        with self._lock:
            self._used_at = self._clock.monotonic()
            if not self._may_begin():
                self._wake()

    def close(self) -> None:
        """Begin nothing more, and give back what is held, unless a call is still open. Safe to repeat."""
        with self._lock:
            self._closed.set()
            self._look.set()
            thread = self._thread
            for mine in self._local.values():
                mine.freed.notify_all()
        if thread is not None:
            thread.join(CLOSE_SECONDS)

    def _may_begin(self) -> bool:
        return self._clock.monotonic() < self._begin_until and self._clock.now_ms() < self._begin_until_ms

    def _take_one(self, mine: Local, gives_up: Callable[[], bool]) -> int:
        """The term of the slot that was taken."""
        with self._lock:
            if mine.open < mine.usable and self._may_begin():
                mine.open += 1
                return mine.term
            mine.waiting += 1
            try:
                return self._wait_for_one(mine, gives_up)
            finally:
                mine.waiting -= 1

    def _wait_for_one(self, mine: Local, gives_up: Callable[[], bool]) -> int:
        self._trouble = None
        self._wake()
        while not (gives_up() or self._closed.is_set()):
            if self._may_begin():
                if mine.open < mine.usable:
                    mine.open += 1
                    return mine.term
            elif self._trouble is not None:
                trouble, self._trouble = self._trouble, None
                raise trouble
            # One of ours that is freed is heard of; for one of the others' the thread looks.
            mine.freed.wait(self._pace.renew_seconds if mine.open else self._pace.ask_again_seconds)
        return GIVEN_UP

    def _free_one(self, mine: Local, term: int) -> None:
        with self._lock:
            self._used_at = self._clock.monotonic()
            if mine.term != term:
                return
            mine.open -= 1
            if mine.open < mine.usable:
                mine.freed.notify()
            elif mine.held > mine.in_use:
                self._look.set()

    # --- the thread that holds them ----------------------------------------------------------------------------------

    def _wake(self) -> None:
        self._look.set()
        if self._thread is None and not self._closed.is_set():
            self._thread = threading.Thread(target=self._keep, name="slots", daemon=True)
            self._thread.start()

    def _keep(self) -> None:
        while self._is_needed() or not self._leave():
            self._look.clear()
            try:
                if self._renew():
                    # What is not used any more is free for the others only once that is written too.
                    self._renew()
            except StorageUnavailable as error:
                self._tell(error)
            except Exception as error:
                log.exception("slots.failed")
                self._tell(error)
                self._closed.wait(self._pace.renew_seconds)
            # However many wish for a look, one soon serves them all.
            self._closed.wait(self._pace.ask_again_seconds)
            self._look.wait(self._pause_seconds())

    def _is_needed(self) -> bool:
        with self._lock:
            return self._has_calls()

    def _has_calls(self) -> bool:
        if self._closed.is_set():
            return False
        is_idle = self._clock.monotonic() - self._used_at >= self._pace.idle_seconds
        return not is_idle or any(mine.open or mine.waiting for mine in self._local.values())

    def _leave(self) -> bool:
        """Give everything back and end; False when somebody came for a slot meanwhile."""
        with self._lock:
            if any(mine.open for mine in self._local.values()):
                # This process is about to end; until then, or until the lease does, nobody else gets them.
                return True
            self._begin_until = 0.0
            for mine in self._local.values():
                mine.usable = mine.held = 0
        try:
            in_transaction(self._database, lambda tx: slots.give_back(tx, self.owner), is_repeatable=True)
        except Exception as error:
            # They are free when their lease ends; this thread has to go on or end in order, whatever it was.
            log.info("slots.left_to_their_lease", extra={"fields": {"reason": str(error)}})
        with self._lock:
            if self._has_calls():
                return False
            self._thread = None
            return True

    def _pause_seconds(self) -> float:
        with self._lock:
            is_short = any(mine.waiting and not mine.usable for mine in self._local.values())
            return 0.0 if is_short or not self._may_begin() else self._pace.renew_seconds

    def _renew(self) -> bool:
        """Renew the lease and fit what is held to our share; whether more is held then than is used."""
        began, now_ms = self._clock.monotonic(), self._clock.now_ms()
        wanted = self._wanted()
        with self._lock:
            wishes = [Wish(name, one.limit, min(wanted, one.limit), one.in_use) for name, one in self._local.items()]

        def take(tx: Transaction) -> list[Held]:
            return [slots.take(tx, self.owner, wish, now_ms, now_ms + self._lease_ms, is_gone) for wish in wishes]

        found = in_transaction(self._database, take, is_repeatable=True)
        with self._lock:
            for mine, held in zip(self._local.values(), found, strict=True):
                adjust(mine, held)
            self._begin_until = began + self._pace.begin_seconds
            self._begin_until_ms = now_ms + round(self._pace.begin_seconds * 1000)
            self._trouble = None
            return any(mine.held > mine.in_use for mine in self._local.values())

    def _tell(self, trouble: Exception) -> None:
        """Somebody who waits and may not begin hears why."""
        with self._lock:
            self._trouble = trouble
            for mine in self._local.values():
                mine.freed.notify_all()


def adjust(mine: Local, found: Held) -> None:
    if found.is_anew:
        mine.term += 1
        mine.open = 0
    mine.held, mine.usable = found.held, found.usable
    if mine.waiting:
        mine.freed.notify_all()
