"""One gateway as people run it: its settings, its database, its processes, in a folder of its own."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from gateway import wiring
from gateway.errors import StorageUnavailable
from gateway.flow.reconcile import Report, reconcile
from gateway.settings import Settings, load
from gateway.simulator import defaults
from gateway.store import installation as clock_store
from gateway.store.database import Database
from gateway.store.engines import open_database
from gateway.store.gate import ClockGate
from tests.chaos.cluster import find_server, make_url
from tests.chaos.line import Line
from tests.chaos.outages import Outages
from tests.chaos.processes import Kept, Server, Worker
from tests.chaos.releases import other_release
from tests.chaos.worlds import ROOT, PretendWorld

T = TypeVar("T")

PROVIDER_TIMEOUT_SECONDS = 0.7
LEASE_SECONDS = 7.2
SETTLE_SECONDS = 8.0
TAKEN_SETTLE_SECONDS = 2.0
WAITING_SECONDS = 5.0
# Longer than the database is ever away.
PATIENCE_SECONDS = 20.0
AUTHORIZATION = "Basic " + base64.b64encode(f"{defaults.ACCOUNT_SID}:{defaults.AUTH_TOKEN}".encode()).decode()


@dataclass(frozen=True, slots=True)
class Shape:
    """What an installation consists of.

    database: `sqlite` or `postgres`.   engine: who wakes tenants.   webs, workers: how many processes of each; without
    workers the webs work.   checkout: where the history is, for an earlier release; None for one release only.
    """

    database: str = "sqlite"
    engine: str = "embedded"
    webs: int = 1
    workers: int = 0
    checkout: Path | None = None

    @property
    def is_postgres(self) -> bool:
        return self.database == "postgres"


def environment(
    folder: Path, world: PretendWorld, changes: Mapping[str, str] | None = None, shape: Shape | None = None
) -> dict[str, str]:
    """Every setting of one installation; nothing of the caller's own."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ") if name in os.environ}
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "GATEWAY_MODE": "sandbox",
        "DATABASE_URL": f"sqlite:///{folder}/gateway.db",
        "HOST": "127.0.0.1",
        **{f"{name}_BASE_URL": world.url for name in ("STRIPE", "TWILIO", "TWILIO_PRICING", "TWILIO_NUMBERS", "VAPI")},
        "PROVIDER_TIMEOUT_SECONDS": str(PROVIDER_TIMEOUT_SECONDS),
        "LEASE_SECONDS": str(LEASE_SECONDS),
        "SETTLE_SECONDS": str(SETTLE_SECONDS),
        "TAKEN_SETTLE_SECONDS": str(TAKEN_SETTLE_SECONDS),
        "GRACE_DAYS": f"{WAITING_SECONDS / 86_400:.6f}",
        "RELEASE_AFTER_DAYS": f"{WAITING_SECONDS / 86_400:.6f}",
        "MAX_PURCHASES_PER_HOUR": "100000",
        "MAX_PURCHASES_PER_DAY": "100000",
        "MAX_RELEASES_PER_HOUR": "100000",
        "MAX_RELEASE_SHARE": "1",
        "STEP_THREADS": "8",
        "LOG_FORMAT": "json",
        **({"ENGINE": shape.engine} if shape and shape.is_postgres else {}),
        **(changes or {}),
    }


class Installation:
    """One gateway's folder: its database seen from outside, its clock, and its processes."""

    def __init__(
        self,
        folder: Path,
        world: PretendWorld,
        changes: Mapping[str, str] | None = None,
        shape: Shape | None = None,
        seed: str = "fixed",
    ) -> None:
        """seed: decides what befalls the database."""
        self.folder = folder
        self.world = world
        self.shape = shape or Shape()
        self.environ = environment(folder, world, changes, self.shape)
        self.offset_ms = 0
        self.outages: Outages | None = None
        self.processes: list[Kept] = []
        self._clock_lock = threading.Lock()
        with ExitStack() as ending:
            self.settings = self._make_postgres(ending, seed) if self.shape.is_postgres else load(self.environ)
            self.path = self.settings.database.path
            self.database: Database = open_database(self.settings)
            ending.callback(self.database.close)
            self.releases = self._find_releases()
            ending.callback(self._kill)
            self._start()
            self._ending = ending.pop_all()
        self._gate = ClockGate(self.path)

    def _make_postgres(self, ending: ExitStack, seed: str) -> Settings:
        """A database of its own. The gateway reaches it by a line that can be cut, this process directly."""
        server = find_server()
        ending.callback(server.close)
        line = Line(server.host, server.port, seed)
        ending.callback(line.close)
        self.outages = Outages(server, line, Random(f"{seed}/outages"), self._clock_lock)
        self.environ["DATABASE_URL"] = server.url
        command = [sys.executable, "-m", "gateway", "migrate"]
        subprocess.run(command, cwd=self.folder, env=self.environ, check=True, capture_output=True)
        settings = load(self.environ)
        self.environ["DATABASE_URL"] = make_url(server.url, host="127.0.0.1", port=line.port)
        # Where its processes, whose folder this is, have it too.
        return replace(settings, database=replace(settings.database, path=self.folder / settings.database.path))

    def _find_releases(self) -> dict[str, Path]:
        """Name to folder."""
        if self.shape.checkout is None:
            return {"this one": ROOT}
        other = other_release(self.shape.checkout, self.folder / "releases", self.environ)
        return {"this one": ROOT, other.name: other.folder}

    def _start(self) -> None:
        folders = list(self.releases.values())
        works = self.shape.workers == 0
        for name in "abcdefgh"[: self.shape.webs]:
            self.processes.append(Server(self.environ, self.folder, name, folders, works=works))
        for index in range(self.shape.workers):
            self.processes.append(Worker(self.environ, self.folder, f"work-{index}", folders))

    @property
    def webs(self) -> list[Server]:
        return [each for each in self.processes if isinstance(each, Server)]

    @property
    def workers(self) -> list[Worker]:
        return [each for each in self.processes if isinstance(each, Worker)]

    @property
    def server(self) -> Server:
        """The only web, or the first one."""
        return self.webs[0]

    @server.setter
    def server(self, server: Server) -> None:
        self.processes[self.processes.index(self.server)] = server

    def wait_ready(self) -> bool:
        return all(each.wait_ready() for each in self.processes)

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.offset_ms

    def advance(self, seconds: float) -> None:
        """Move the gateway's clock and the world's, while no provider call is open.

        Waits for ever when a process was frozen in a call.
        """
        with self._clock_lock, self._gate.no_call_open():
            self.offset_ms = self._patiently(lambda: self._move_clock(seconds))
            self.world.ask("POST", "/clock", {"offset_ms": self.offset_ms})
            self._gate.mark_moved()

    def _move_clock(self, seconds: float) -> int:
        with self.database.transaction() as tx:
            return clock_store.move_clock(tx, round(seconds * 1000))

    def rows(self, sql: str, **params: Any) -> list[dict[str, Any]]:
        """Waits for a database that is away."""

        def ask() -> list[dict[str, Any]]:
            with self.database.read() as tx:
                return tx.all(sql, **params)

        return self._patiently(ask)

    def _patiently(self, ask: Callable[[], T]) -> T:
        deadline = time.monotonic() + (PATIENCE_SECONDS if self.shape.is_postgres else 0)
        while True:
            try:
                return ask()
            except StorageUnavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def reconcile(self, *, apply: bool) -> Report:
        """As `python -m gateway reconcile` does, from this process."""
        gateway = wiring.build(self.settings, self.database)
        try:
            return reconcile(gateway.steps, apply=apply)
        finally:
            gateway.http.close()
            gateway.steps.slots.close()
            gateway.close_writer()

    def _kill(self) -> None:
        for each in self.processes:
            each.kill()

    def close(self) -> None:
        self._ending.close()
