"""`serve`: granian with one worker process, and what keeps two servers from sharing a port.

The main process only starts the worker, starts it again when it dies, and stops it. Everything else, scheduler
included, lives in the worker, which leaves when the main process is gone.
"""

from __future__ import annotations

import asyncio
import ctypes
import importlib
import importlib.util
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from gateway.errors import SettingsError

if TYPE_CHECKING:
    from granian.constants import Loops

SHUTDOWN_SECONDS = 25.0
# The outer bound, for a worker that does not even come to count: kept by the main process.
KILL_SECONDS = 28
HEADER_MILLISECONDS = 10_000
MAX_CONNECTIONS = 4096
OPEN_FILES = 8192
READ_BUFFER_BYTES = 64 * 1024
PARENT_CHECK_SECONDS = 1.0
RESEND_SECONDS = 0.05
PR_SET_PDEATHSIG = 1

Asgi = Callable[..., Any]


class Address(Protocol):
    """Where to listen."""

    @property
    def host(self) -> str: ...

    @property
    def port(self) -> int: ...


def serve(address: Address, factory: str) -> None:
    """Serve until a signal ends it; returns when the worker is gone, or exits with status 1 if it kept dying.

    factory: `module:function`; called without arguments in the worker process, gives the ASGI application.
    Raises SettingsError when the address is taken or cannot be listened on. Close every database first: the worker
    is a fork of this process.
    """
    refuse_taken(address.host, address.port)
    from granian.constants import HTTPModes, Interfaces
    from granian.http import HTTP1Settings
    from granian.log import LogLevels
    from granian.server import Server as Granian

    _allow_open_files(OPEN_FILES)
    os.register_at_fork(after_in_child=_heed_signals)
    server = Granian(
        factory,
        address=address.host,
        port=address.port,
        interface=Interfaces.ASGI,
        loop=fastest_loop(),
        workers=1,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_MILLISECONDS, max_buffer_size=READ_BUFFER_BYTES),
        websockets=False,
        backpressure=MAX_CONNECTIONS,
        respawn_failed_workers=True,
        workers_kill_timeout=KILL_SECONDS,
        log_level=LogLevels.warning,
        log_dictconfig=QUIET,
        log_access=False,
    )
    server.serve(target_loader=partial(load_worker, parent=os.getpid()))


def fastest_loop() -> Loops:
    """uvloop where it is installed: a fifth less work a request, for it is woken without giving up the GIL."""
    from granian.constants import Loops

    return Loops.uvloop if importlib.util.find_spec("uvloop") else Loops.asyncio


# Granian's own lines go where ours go, instead of to a handler of its own.
QUIET = {
    "formatters": {},
    "handlers": {},
    "loggers": {"_granian": {"handlers": [], "level": "WARNING", "propagate": True}},
}


def refuse_taken(host: str, port: int) -> None:
    """Raise SettingsError when somebody listens there already, or nobody may.

    The server would not notice: it lets several processes share a port, and requests would go to either.
    """
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in infos[:1]:
            with closing(socket.socket(family, kind, protocol)) as probe:
                # Without it, connections that ended a moment ago would pass for a server.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
                probe.listen(1)
    except OSError as error:
        raise SettingsError(
            [
                f"PORT {port} on {host} cannot be listened on: {error.strerror or error}. "
                "If another gateway is running there, stop it first; else choose another PORT or HOST."
            ]
        ) from error


def load_worker(factory: str, *, parent: int) -> Asgi:
    """In the worker process: tie its life to the main process, then make the application."""
    leave_with_parent(parent)
    module, _, name = factory.partition(":")
    make: Callable[[], Asgi] = getattr(importlib.import_module(module), name)
    return bounded_shutdown(make())


def _heed_signals() -> None:
    """In a worker process that has just been made: a signal ends it until the event loop handles them.

    It inherits the main process's handlers, which would take note and do nothing: a worker that was starting when its
    parent died went on for ever, and no other server could take its port.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def leave_with_parent(parent: int) -> None:
    """End this process when its parent dies: it would go on serving, beside the server started in its place."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    else:
        threading.Thread(target=_watch_parent, args=(parent,), name="parent", daemon=True).start()
    if os.getppid() != parent:
        os._exit(1)


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


def bounded_shutdown(app: Asgi, seconds: float = SHUTDOWN_SECONDS, leave: Callable[[int], Any] = os._exit) -> Asgi:
    """The same application; its process is gone so many seconds after SIGTERM, whatever still hangs."""

    def bounded(scope: dict[str, Any], receive: Any, send: Any) -> Any:
        if scope["type"] == "lifespan":
            _count_from_the_signal(seconds, leave)
        return app(scope, receive, send)

    return bounded


def _count_from_the_signal(seconds: float, leave: Callable[[int], Any]) -> None:
    """The event loop hears of signals by a descriptor, so that a handler of our own can be called beside it.

    uvloop hears nothing between two runs, as between the start of the application and that of the server (0.23, tried
    2026-11): such a signal is sent once more. Never one that was heard: the server hangs when it is told twice.
    """
    is_deaf_between_runs = type(asyncio.get_running_loop()).__module__.startswith("uvloop")
    counting: list[threading.Timer] = []

    def count(number: int, frame: object) -> None:
        if not counting:
            counting.append(start_timer(seconds, leave, 0))
        if is_deaf_between_runs and asyncio._get_running_loop() is None:
            start_timer(RESEND_SECONDS, os.kill, os.getpid(), number)

    # Signals reach the main thread only; elsewhere there is nobody to tell.
    with suppress(ValueError):
        signal.signal(signal.SIGTERM, count)
        signal.signal(signal.SIGINT, count)


def start_timer(seconds: float, call: Callable[..., Any], *args: Any) -> threading.Timer:
    timer = threading.Timer(seconds, call, args)
    timer.daemon = True
    timer.start()
    return timer


def _allow_open_files(wanted: int) -> None:
    """Raise the soft limit, as far as we may: each connection is an open file, and 1024 are few."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        target = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        if soft < target:
            resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
