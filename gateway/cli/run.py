"""`serve` and `work`: what runs for as long as the installation does."""

from __future__ import annotations

import logging
import os
import signal
import threading
from contextlib import suppress

import click

from gateway.cli.opening import settings_with_logs
from gateway.errors import StorageUnavailable
from gateway.logs import log_event
from gateway.settings import Settings
from gateway.store.database import Database

log = logging.getLogger("gateway.cli")

STOP_SECONDS = 24.0
STORAGE_PAUSE_SECONDS = 1.0


@click.command()
@click.option("--worker/--no-worker", default=True, help="Whether the worker runs inside.  [default: --worker]")
def serve(worker: bool) -> None:
    """Serve until SIGTERM or Ctrl-C. A worker process that dies is started again.

    Two of these on one database do no harm: one of them works, both take events.
    """
    from gateway.store.engines import open_database
    from gateway.store.use import UseLock
    from gateway.web.server import serve as serve_forever
    from gateway.wiring import with_pretend_world

    os.umask(0o077)
    settings = settings_with_logs()
    # Here and not in the worker process, so that what is wrong is said once, with a status.
    # What cannot be stored now may be stored later: the worker process says so, and tells senders to come again.
    with suppress(StorageUnavailable):
        open_database(settings).close()
    if settings.database.conninfo is None:
        # Worker processes come and go; nobody may put another file in the database's place in between.
        UseLock(settings.database.path).share()
    with_pretend_world(settings)
    host, port = settings.web.host, settings.web.port
    log_event(log, "serve.starting", mode=settings.mode, env=settings.env, host=host, port=port, worker=worker)
    name = "make_front" if worker else "make_front_without_worker"
    serve_forever(settings.web, f"gateway.web.process:{name}")


@click.command()
def work() -> None:
    """Work on tenants until SIGTERM or Ctrl-C. While another worker has this database, wait for its place."""
    from gateway.wiring import build, with_pretend_world

    os.umask(0o077)
    settings = settings_with_logs()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    database = open_when_possible(settings, stop)
    if database is None:
        return
    gateway = build(with_pretend_world(settings), database)
    gateway.start()
    stop.wait()
    if not gateway.scheduler.stop(STOP_SECONDS):
        # A call hangs: it is a maybe, its lease runs out, and the next worker looks.
        os._exit(0)
    gateway.close()


def open_when_possible(settings: Settings, stop: threading.Event) -> Database | None:
    """The database as soon as it can be used; None when we are told to stop before."""
    from gateway.store.engines import open_database

    while not stop.is_set():
        try:
            return open_database(settings)
        except StorageUnavailable as error:
            log_event(log, "worker.storage_unavailable", logging.ERROR, reason=str(error))
            stop.wait(STORAGE_PAUSE_SECONDS)
    return None
