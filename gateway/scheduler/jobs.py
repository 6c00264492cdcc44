"""Procrastinate itself: its tasks, its two workers, and the one connection on which both listen.

Steps have a worker of their own, so that news is applied and the stalled are found while every step thread waits for
a provider. Whatever goes wrong with the database, both workers are begun anew under new names: the jobs of the old
ones are then seen to be nobody's, finished, and made again from what the tables say is due.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import procrastinate
import psycopg
from procrastinate import exceptions
from procrastinate.jobs import Status
from procrastinate.manager import get_channel_for_queues
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import AsyncConnectionPool

from gateway.store.postgres_server import LIMITS, REACHING
from gateway.store.wakeups import ADVANCE, APPLY, DUE, FIRST, SINGLE, SOON

log = logging.getLogger("gateway.scheduler")
# It tells of every job, several times.
logging.getLogger("procrastinate").setLevel(logging.WARNING)

HEARTBEAT_SECONDS = 2.0
# A worker that is killed is found before the shortest lease that the settings allow has run out.
STALLED_SECONDS = 8.0
RESCUE_SECONDS = 2.0
# Found by asking only: the next job of a lock that was freed, a job whose time has come, and whatever went unheard.
POLL_SECONDS = 1.0
# Steps are not waited for here: `EngineScheduler.stop` does.
GRACE_SECONDS = 1.0
SINGLE_JOBS = 8
# A worker forgets what it is told while it fetches, even if it could not see that job yet: it is told twice.
SAY_AGAIN_SECONDS = 0.03
CONNECT_SECONDS = 5.0
FINISHED_KEPT_HOURS = 24
CLEAN_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Periodic:
    """Something done every so often, by one worker of all."""

    name: str
    seconds: float
    run: Callable[[], Awaitable[None]]

    @property
    def cron(self) -> str:
        """With seconds as the sixth field, as Procrastinate reads it."""
        seconds = round(self.seconds)
        if seconds < 60:
            return f"* * * * * */{seconds}"
        return f"*/{seconds // 60} * * * *" if seconds < 3600 else "7 * * * *"


class Connector(procrastinate.PsycopgConnector):
    """One that tells when the database is in trouble, and that listens once for all workers."""

    def __init__(self) -> None:
        super().__init__()
        self.is_troubled = asyncio.Event()
        self._listeners: dict[str, list[Any]] = {}
        self._said_again: set[str] = set()

    @asynccontextmanager
    async def _watched(self) -> AsyncIterator[None]:
        try:
            yield
        except exceptions.ConnectorException as error:
            if isinstance(error.__cause__, psycopg.OperationalError | psycopg.InterfaceError):
                self.is_troubled.set()
            raise

    async def execute_query_async(self, query: Any, **arguments: Any) -> None:
        async with self._watched():
            await super().execute_query_async(query, **arguments)

    async def execute_query_one_async(self, query: Any, **arguments: Any) -> dict[str, Any]:
        async with self._watched():
            row: dict[str, Any] = await super().execute_query_one_async(query, **arguments)
        return row

    async def execute_query_all_async(self, query: Any, **arguments: Any) -> list[dict[str, Any]]:
        async with self._watched():
            rows: list[dict[str, Any]] = await super().execute_query_all_async(query, **arguments)
        return rows

    async def listen_notify(self, on_notification: Any, channels: Iterable[str]) -> None:
        """Have `on_notification` called for these channels until this is cancelled."""
        names = list(channels)
        for name in names:
            self._listeners.setdefault(name, []).append(on_notification)
        try:
            await asyncio.Event().wait()
        finally:
            for name in names:
                self._listeners[name].remove(on_notification)

    async def listen(self, conninfo: str, queues: Sequence[str]) -> None:
        """Listen until the connection breaks, and raise what broke it."""
        connection = await psycopg.AsyncConnection.connect(conninfo, autocommit=True)
        async with connection, asyncio.TaskGroup() as again:
            for name in get_channel_for_queues(queues):
                await connection.execute(psycopg.sql.SQL("LISTEN {}").format(psycopg.sql.Identifier(name)))
            async for note in connection.notifies():
                await self._tell(note.channel, note.payload)
                if note.channel not in self._said_again:
                    self._said_again.add(note.channel)
                    again.create_task(self._tell_again(note.channel, note.payload))

    async def _tell(self, channel: str, payload: str) -> None:
        for on_notification in list(self._listeners.get(channel, ())):
            await on_notification(channel=channel, payload=payload)

    async def _tell_again(self, channel: str, payload: str) -> None:
        await asyncio.sleep(SAY_AGAIN_SECONDS)
        self._said_again.discard(channel)
        await self._tell(channel, payload)


class Jobs:
    """Carries out jobs while it is told to.

    advance, apply: start what a job is about, in a thread.   sweep, housekeeping: what is done now and then.
    """

    def __init__(
        self,
        *,
        conninfo: str,
        is_pooled: bool,
        threads: int,
        advance: Callable[[int], Awaitable[None]],
        apply: Callable[[], Awaitable[None]],
        sweep: Periodic,
        housekeeping: Sequence[Periodic],
    ) -> None:
        self._conninfo = reaching(conninfo, is_pooled)
        self._is_pooled = is_pooled
        self._threads = threads
        self._advance = advance
        self._apply = apply
        self._sweep = sweep
        self._housekeeping = housekeeping
        self.is_working = False

    async def carry_out(self, is_over: asyncio.Event) -> None:
        """Work until `is_over`; raises when something is wrong with the database: then begin anew."""
        kwargs: dict[str, Any] = {"autocommit": True}
        if self._is_pooled:
            kwargs["prepare_threshold"] = None
        pool = AsyncConnectionPool(
            self._conninfo, kwargs=kwargs, min_size=1, max_size=1, open=False, timeout=CONNECT_SECONDS, name="jobs"
        )
        try:
            await pool.open(wait=True, timeout=CONNECT_SECONDS)
            await self._work(pool, is_over)
        finally:
            self.is_working = False
            await pool.close(timeout=GRACE_SECONDS)

    async def _work(self, pool: AsyncConnectionPool[Any], is_over: asyncio.Event) -> None:
        connector = Connector()
        await connector.open_async(pool)
        steps, singles = self._steps_app(connector), self._singles_app(connector)
        running = [
            asyncio.create_task(self._worker(steps, "steps", self._threads, (DUE, SOON))),
            asyncio.create_task(self._worker(singles, "singles", SINGLE_JOBS, (SINGLE,))),
        ]
        if not self._is_pooled:
            running.append(asyncio.create_task(connector.listen(self._conninfo, (DUE, SOON, SINGLE))))
        ends = [asyncio.create_task(is_over.wait()), asyncio.create_task(connector.is_troubled.wait())]
        self.is_working = True
        log.info("worker.started", extra={"fields": {"threads": self._threads, "engine": "procrastinate"}})
        try:
            await asyncio.wait([*running, *ends], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in [*running, *ends]:
                task.cancel()
            ended = await asyncio.gather(*running, return_exceptions=True)
        if not is_over.is_set():
            wrong = [each for each in ended if isinstance(each, Exception)]
            raise wrong[0] if wrong else ConnectionError("The database could not be asked.")

    async def _worker(self, app: procrastinate.App, name: str, concurrency: int, queues: Sequence[str]) -> None:
        await app.run_worker_async(
            name=name,
            queues=list(queues),
            concurrency=concurrency,
            fetch_job_polling_interval=POLL_SECONDS,
            abort_job_polling_interval=60.0,
            update_heartbeat_interval=HEARTBEAT_SECONDS,
            stalled_worker_timeout=STALLED_SECONDS,
            shutdown_graceful_timeout=GRACE_SECONDS,
            listen_notify=not self._is_pooled,
            delete_jobs="successful",
            install_signal_handlers=False,
        )

    def _steps_app(self, connector: Connector) -> procrastinate.App:
        app = procrastinate.App(connector=connector)

        @app.task(name=ADVANCE, queue=DUE)
        async def advance(tenant_id: int) -> None:
            await self._advance(tenant_id)

        return app

    def _singles_app(self, connector: Connector) -> procrastinate.App:
        app = procrastinate.App(connector=connector)

        @app.task(name=APPLY, queue=SINGLE)
        async def apply() -> None:
            await self._apply()

        rescue = Periodic("rescue", RESCUE_SECONDS, lambda: self._rescue(app))
        clean = Periodic("clean", CLEAN_SECONDS, lambda: forget_finished(app))
        for each in (self._sweep, rescue, clean, *self._housekeeping):
            add_periodic(app, each)
        return app

    async def _rescue(self, app: procrastinate.App) -> None:
        """Finish the jobs of workers that are gone. Put back into the queue they could block themselves for good."""
        manager = app.job_manager
        stalled = list(await manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_SECONDS))
        for job in stalled:
            # Another worker may have been quicker.
            with suppress(exceptions.ConnectorException):
                await manager.finish_job(job, status=Status.FAILED, delete_job=True)
                fields = {"job": job.task_name, **job.task_kwargs}
                log.warning("worker.job_was_nobodys", extra={"fields": fields})
        await manager.prune_stalled_workers(STALLED_SECONDS)
        if stalled:
            await self._sweep.run()


def add_periodic(app: procrastinate.App, periodic: Periodic) -> None:
    @app.periodic(cron=periodic.cron)
    @app.task(name=periodic.name, queue=SINGLE, queueing_lock=periodic.name, priority=FIRST)
    async def run(timestamp: int) -> None:
        await periodic.run()


async def forget_finished(app: procrastinate.App) -> None:
    await app.job_manager.delete_old_jobs(
        FINISHED_KEPT_HOURS, include_failed=True, include_cancelled=True, include_aborted=True
    )


def reaching(conninfo: str, is_pooled: bool) -> str:
    """How jobs reach the database. What is said of them may be lost in a power cut: the sweep makes them again."""
    given = {name: str(value) for name, value in conninfo_to_dict(conninfo).items()}
    found = {**REACHING, "fallback_application_name": "ringfence jobs", **given}
    if not is_pooled:
        own = {**LIMITS, "synchronous_commit": "off"}
        found["options"] = " ".join([found.get("options", ""), *(f"-c {name}={value}" for name, value in own.items())])
    return make_conninfo(**found)
