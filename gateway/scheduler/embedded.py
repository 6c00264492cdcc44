"""The default driver: APScheduler and a few threads, in the web process or in `work`.

A coordinator thread takes a turn whenever something may be due: in one transaction it applies news and claims tenants,
together with whatever steps have just finished. APScheduler holds the sweep, which is the safety net under every lost
wake-up, and the housekeeping. Nothing here decides what is done, only when.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from apscheduler.executors.pool import ThreadPoolExecutor as JobThreads
from apscheduler.schedulers.background import BackgroundScheduler

from gateway.errors import ProviderError, StorageUnavailable
from gateway.flow.advance import Claim
from gateway.scheduler.lock import WorkerPlace
from gateway.steps.context import Stopping

log = logging.getLogger("gateway.scheduler")

POLL_SECONDS = 0.1
SWEEP_SECONDS = 1.0
STORAGE_PAUSE_SECONDS = 1.0
# While deliveries pour in, work is done in small portions: an answer that is late is a delivery that is sent again.
PRESSED_CLAIMS = 2
PRESSED_PAUSE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn found. next_due_at_ms: when the next tenant is due.   has_more: it could not take it all."""

    claims: Sequence[Claim]
    next_due_at_ms: int | None
    has_more: bool


@dataclass(frozen=True, slots=True)
class Housekeeping:
    """Something done every so often, in a thread of its own."""

    name: str
    seconds: float
    run: Callable[[], None]


@dataclass(frozen=True)
class Driving:
    """What the scheduler calls.

    turn: applies news, claims up to so many tenants.   advance: works for one until it has to wait; never raises.
    changed_elsewhere: whether another process committed.   now_ms: reads the clock.
    is_pressed: whether this process is busy taking deliveries in, which goes first.
    """

    turn: Callable[[int], Turn]
    advance: Callable[[Claim], None]
    changed_elsewhere: Callable[[], bool]
    now_ms: Callable[[], int]
    threads: int
    is_pressed: Callable[[], bool] = lambda: False
    housekeeping: Sequence[Housekeeping] = ()


class EmbeddedScheduler:
    """Starts and stops the work of one process. `wake` may be called from any thread, at any time."""

    def __init__(self, driving: Driving, place: WorkerPlace) -> None:
        self._driving = driving
        self._place = place
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._in_flight = 0
        self._keeping_house = 0
        self._count = threading.Condition()
        self._pool = ThreadPoolExecutor(driving.threads, thread_name_prefix="step")
        self._coordinator = threading.Thread(target=self._run, name="coordinator", daemon=True)
        self._jobs = BackgroundScheduler(
            timezone="UTC",
            executors={"default": JobThreads(1), "housekeeping": JobThreads(2)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self.is_working = False
        self._has_waited = False
        self.was_started = False

    @property
    def in_flight(self) -> int:
        """Tenants being worked for in this process now."""
        return self._in_flight

    @property
    def is_stopping(self) -> bool:
        return self._stopping.is_set()

    @property
    def is_alive(self) -> bool:
        """Whether the coordinator runs; it may be waiting for another process to give up the worker's place."""
        return self._coordinator.is_alive()

    def start(self) -> None:
        """Begin to work, now or as soon as no other process does."""
        self.was_started = True
        self._coordinator.start()

    def wake(self) -> None:
        """Something may be due. Microseconds; a wake-up too many costs one look."""
        self._wake.set()

    def stop(self, budget_seconds: float) -> bool:
        """Start nothing more and wait for what is in flight; True when all of it ended within the budget."""
        end = time.monotonic() + budget_seconds
        self._stopping.set()
        self._wake.set()
        if self._coordinator.is_alive():
            self._coordinator.join(budget_seconds)
        # After the coordinator, who uses both: what its last turn claimed is handed over, to be let go at once.
        self._pool.shutdown(wait=False)
        if self._jobs.running:
            self._jobs.shutdown(wait=False)
        with self._count:
            is_idle = self._count.wait_for(self._is_idle, timeout=max(0.0, end - time.monotonic()))
        self._place.free()
        return is_idle and not self._coordinator.is_alive()

    def _is_idle(self) -> bool:
        return not self._in_flight and not self._keeping_house

    def _run(self) -> None:
        next_due_at_ms: int | None = 0
        while not self._stopping.is_set():
            if self._has_place():
                next_due_at_ms = self._wait_and_turn(next_due_at_ms)
            else:
                self._stopping.wait(SWEEP_SECONDS)
        self.is_working = False

    def _has_place(self) -> bool:
        """Whether this process is to work: asked again before each turn, for a place can be lost with a connection."""
        has_place = False
        try:
            has_place = self._place.take()
            if not has_place and not self._has_waited:
                log.info("worker.waiting", extra={"fields": {"why": "another worker has this database"}})
                self._has_waited = True
        except StorageUnavailable as error:
            log.error("worker.storage_unavailable", extra={"fields": {"reason": str(error)}})
        if has_place and not self.is_working:
            log.info("worker.started", extra={"fields": {"threads": self._driving.threads}})
            self._start_jobs()
        self.is_working = has_place
        return has_place

    def _start_jobs(self) -> None:
        if self._jobs.running:
            return
        self._jobs.add_job(self.wake, "interval", seconds=SWEEP_SECONDS, id="sweep")
        for each in self._driving.housekeeping:
            self._jobs.add_job(
                self._keep_house, "interval", args=[each], seconds=each.seconds, id=each.name, executor="housekeeping"
            )
        if not self._stopping.is_set():
            self._jobs.start()

    def _wait_and_turn(self, next_due_at_ms: int | None) -> int | None:
        is_woken = self._wake.wait(POLL_SECONDS)
        if self._stopping.is_set():
            return None
        try:
            is_due = next_due_at_ms is not None and next_due_at_ms <= self._driving.now_ms()
            if not (is_woken or is_due or self._driving.changed_elsewhere()):
                return next_due_at_ms
            self._wake.clear()
            return self._turn()
        except StorageUnavailable as error:
            log.error("worker.storage_unavailable", extra={"fields": {"reason": str(error)}})
            self._stopping.wait(STORAGE_PAUSE_SECONDS)
            return 0
        except Exception:
            log.exception("worker.surprised")
            self._stopping.wait(STORAGE_PAUSE_SECONDS)
            return 0

    def _turn(self) -> int | None:
        free = self._driving.threads - self._in_flight
        if self._driving.is_pressed():
            free = min(free, PRESSED_CLAIMS)
            self._stopping.wait(PRESSED_PAUSE_SECONDS)
        turn = self._driving.turn(max(0, free))
        for claim in turn.claims:
            self._submit(claim)
        if turn.has_more and self._driving.threads > self._in_flight:
            self._wake.set()
        return turn.next_due_at_ms if self._driving.threads > self._in_flight else None

    def _submit(self, claim: Claim) -> None:
        with self._count:
            self._in_flight += 1
        try:
            self._pool.submit(self._advance, claim)
        except RuntimeError:
            # The pool was closed meanwhile; the lease runs out, and nothing was begun.
            with self._count:
                self._in_flight -= 1
                self._count.notify_all()

    def _advance(self, claim: Claim) -> None:
        try:
            self._driving.advance(claim)
        except Exception:
            log.exception("advance.surprised", extra={"fields": {"tenant": claim.tenant.tenant_key}})
        finally:
            with self._count:
                self._in_flight -= 1
                self._count.notify_all()
            self._wake.set()

    def _keep_house(self, housekeeping: Housekeeping) -> None:
        with self._count:
            if self._stopping.is_set():
                return
            self._keeping_house += 1
        try:
            guarded(housekeeping)
        finally:
            with self._count:
                self._keeping_house -= 1
                self._count.notify_all()


def guarded(housekeeping: Housekeeping) -> None:
    """Run one housekeeping job; what goes wrong is logged and tried again at its next time."""
    try:
        housekeeping.run()
    except Stopping:
        log.info("housekeeping.stopped", extra={"fields": {"job": housekeeping.name}})
    except (ProviderError, StorageUnavailable) as error:
        # Everyday trouble of others.
        log.warning("housekeeping.put_off", extra={"fields": {"job": housekeeping.name, "reason": str(error)}})
    except Exception:
        log.exception("housekeeping.failed", extra={"fields": {"job": housekeeping.name}})
