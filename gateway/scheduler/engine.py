"""The driver for more than one machine: Procrastinate on PostgreSQL, in as many `work` processes as one likes.

Jobs are written with the changes that make somebody due (`store/wakeups.py`) and carried out here. A job is a wake-up
and nothing more: what is done, and whether it is still to be done, our own tables say. Steps are plain code in threads
and may outlive the job that began them: whatever becomes of a job, a step ends under its lease.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.errors import StorageUnavailable
from gateway.scheduler.embedded import Housekeeping, guarded

if TYPE_CHECKING:
    from gateway.scheduler.jobs import Jobs

log = logging.getLogger("gateway.scheduler")

SWEEP_SECONDS = 2.0
# Before beginning anew after a failure: a server that is back should be found soon.
RESTART_SECONDS = 0.5
# Threads for what there is one of: news, the sweep and the housekeeping.
SINGLE_THREADS = 4


@dataclass(frozen=True)
class EngineDriving:
    """What jobs do.

    work_for: works for a tenant for as long as it is due.   apply: applies all the news there is.
    sweep: makes jobs for whoever is due and has none.   conninfo: how Procrastinate reaches the database.
    is_pooled: through a pooler that keeps no session, so that nobody can listen.
    """

    work_for: Callable[[int], None]
    apply: Callable[[], None]
    sweep: Callable[[], None]
    housekeeping: Sequence[Housekeeping]
    threads: int
    conninfo: str
    is_pooled: bool


class EngineScheduler:
    """Starts and stops the work of one process."""

    def __init__(self, driving: EngineDriving) -> None:
        self._driving = driving
        self._stopping = threading.Event()
        self._in_flight = 0
        self._busy = 0
        self._count = threading.Condition()
        self._steps = ThreadPoolExecutor(driving.threads, thread_name_prefix="step")
        self._singles = ThreadPoolExecutor(SINGLE_THREADS, thread_name_prefix="single")
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_over: asyncio.Event | None = None
        self._applying = threading.Lock()
        self._is_news = threading.Event()
        self._jobs: Jobs | None = None
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
        return self._thread.is_alive()

    @property
    def is_working(self) -> bool:
        return self._jobs is not None and self._jobs.is_working

    def start(self) -> None:
        self.was_started = True
        self._thread.start()

    def wake(self) -> None:
        """Nothing to do: whatever makes somebody due brings a job with it."""

    def stop(self, budget_seconds: float) -> bool:
        """Start nothing more and wait for what is in flight; True when all of it ended within the budget."""
        end = time.monotonic() + budget_seconds
        self._stopping.set()
        loop, is_over = self._loop, self._is_over
        if self._thread.is_alive():
            if loop is not None and is_over is not None:
                loop.call_soon_threadsafe(is_over.set)
            self._thread.join(budget_seconds)
        for pool in (self._steps, self._singles):
            pool.shutdown(wait=False, cancel_futures=True)
        with self._count:
            is_idle = self._count.wait_for(lambda: not self._busy, timeout=max(0.0, end - time.monotonic()))
        return is_idle and not self._thread.is_alive()

    # --- in the thread of Procrastinate's event loop -----------------------------------------------------------------

    def _run(self) -> None:
        try:
            asyncio.run(self._keep_working())
        except Exception:
            log.exception("worker.surprised")

    async def _keep_working(self) -> None:
        # Loading Procrastinate takes a quarter of a second, which only a worker spends.
        from gateway.scheduler.jobs import Jobs, Periodic

        self._is_over = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        if self._stopping.is_set():
            return
        housekeeping = [Periodic(each.name, each.seconds, self._house(each)) for each in self._driving.housekeeping]
        self._jobs = Jobs(
            conninfo=self._driving.conninfo,
            is_pooled=self._driving.is_pooled,
            threads=self._driving.threads,
            advance=self._advance,
            apply=self._apply,
            sweep=Periodic("sweep", SWEEP_SECONDS, lambda: self._in_thread(self._singles, self._driving.sweep)),
            housekeeping=housekeeping,
        )
        while not self._is_over.is_set():
            try:
                await self._jobs.carry_out(self._is_over)
            except Exception as error:
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                log.error("worker.begins_anew", extra={"fields": {"reason": reason}})
                await wait_for(self._is_over, RESTART_SECONDS)

    def _house(self, housekeeping: Housekeeping) -> Callable[[], asyncio.Future[None]]:
        return lambda: self._in_thread(self._singles, lambda: guarded(housekeeping))

    def _advance(self, tenant_id: int) -> asyncio.Future[None]:
        return self._in_thread(self._steps, lambda: self._step(tenant_id))

    def _apply(self) -> asyncio.Future[None]:
        # Whoever applies already looks once more; what is announced before this is seen by that look.
        self._is_news.set()
        return self._in_thread(self._singles, self._apply_news)

    def _in_thread(self, pool: Executor, call: Callable[[], None]) -> asyncio.Future[None]:
        return asyncio.get_running_loop().run_in_executor(pool, self._counted, call)

    # --- in threads of their own -------------------------------------------------------------------------------------

    def _counted(self, call: Callable[[], None]) -> None:
        with self._count:
            if self._stopping.is_set():
                return
            self._busy += 1
        try:
            call()
        except StorageUnavailable as error:
            # What it was about is still due: the sweep finds it.
            log.error("worker.storage_unavailable", extra={"fields": {"reason": str(error)}})
        except Exception:
            log.exception("worker.surprised")
        finally:
            with self._count:
                self._busy -= 1
                self._count.notify_all()

    def _step(self, tenant_id: int) -> None:
        with self._count:
            self._in_flight += 1
        try:
            self._driving.work_for(tenant_id)
        finally:
            with self._count:
                self._in_flight -= 1

    def _apply_news(self) -> None:
        while self._is_news.is_set() and not self._stopping.is_set() and self._applying.acquire(blocking=False):
            try:
                self._is_news.clear()
                self._driving.apply()
            finally:
                self._applying.release()


async def wait_for(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return
