"""A gateway of several processes on one PostgreSQL database: `serve`, any number of `work`, and their world."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from gateway import wiring
from gateway.domain.model import Delivery, State
from gateway.flow.receive import read_verified
from gateway.settings import load
from gateway.store import installation as clock_store
from gateway.store import tenants
from gateway.store.engines import open_database
from tests import databases
from tests.chaos.worlds import ROOT, PretendWorld

SECONDS = 100.0
LEASE_SECONDS = 8.0
DAY_SECONDS = 86_400.0


class Process:
    """A command of the gateway in a process of its own."""

    def __init__(self, folder: Path, environ: dict[str, str], command: str) -> None:
        self.log = folder / f"{command}-{time.monotonic_ns()}.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gateway", command],
                cwd=folder,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self.signal(signal.SIGCONT)
        self._process.kill()
        self._process.wait(SECONDS)

    def terminate(self) -> tuple[int, float]:
        """SIGTERM; its status, and how long it took."""
        began = time.monotonic()
        self.signal(signal.SIGTERM)
        return self._process.wait(SECONDS), time.monotonic() - began


class Installed:
    """What the processes share. This process is one that takes events in, and works for nobody."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.name = databases.LENT.name_for(folder)
        self.world = PretendWorld()
        self.environ = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ") if name in os.environ},
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "GATEWAY_MODE": "sandbox",
            "DATABASE_URL": databases.url_of(self.name),
            **{f"{name}_BASE_URL": self.world.url for name in ("STRIPE", "TWILIO", "TWILIO_PRICING", "VAPI")},
            "TWILIO_NUMBERS_BASE_URL": self.world.url,
            "PROVIDER_TIMEOUT_SECONDS": "1",
            "LEASE_SECONDS": str(LEASE_SECONDS),
            "SETTLE_SECONDS": "9",
            "TAKEN_SETTLE_SECONDS": "2",
            "STEP_THREADS": "8",
            "MAX_PURCHASES_PER_HOUR": "1000",
            "MAX_PURCHASES_PER_DAY": "1000",
            **settings,
        }
        given = load(self.environ)
        self.settings = replace(given, database=replace(given.database, path=folder / given.database.path))
        self.database = open_database(self.settings)
        self.web = wiring.build(self.settings, self.database)
        self.processes: list[Process] = []

    def close(self) -> None:
        for process in self.processes:
            process.kill()
        self.web.close()
        self.world.close()

    def start(self, command: str, **settings: str) -> Process:
        self.processes.append(Process(self.folder, {**self.environ, **settings}, command))
        return self.processes[-1]

    def work(self, **settings: str) -> Process:
        """A worker, working."""
        process = self.start("work", **settings)
        wait_until(lambda: "worker.started" in process.said)
        return process

    def delivery(self, name: str, tenant: str, **given: Any) -> dict[str, Any]:
        """A signed event, not sent."""
        made: dict[str, Any] = self.world.ask("POST", "/stripe/deliveries", {"name": name, "tenant": tenant, **given})
        return made

    def hear(self, name: str, tenant: str, **given: Any) -> None:
        """Take an event in, in this process."""
        made = self.delivery(name, tenant, **given)
        headers = {header.lower(): value for header, value in made["headers"].items()}
        delivery = Delivery("stripe", headers, made["body"].encode(), self.web.clock.now_ms())
        self.web.intake.call(read_verified(self.web.sources["stripe"], delivery, self.web.clock.now_ms()))

    def state(self, tenant: str) -> State | None:
        with self.database.read() as tx:
            found = tenants.by_key(tx, tenant)
        return found.state if found is not None else None

    def wait_for(self, state: State, *keys: str, seconds: float = SECONDS) -> float:
        """Wait until all of these are there; how long it took."""
        return wait_until(lambda: all(self.state(key) is state for key in keys), seconds)

    def pass_time(self, seconds: float) -> None:
        """Move the clock of every process, and the world's."""
        gate = self.web.gate
        assert gate is not None
        with gate.no_call_open():
            with self.database.transaction() as tx:
                offset_ms = clock_store.move_clock(tx, round(seconds * 1000))
            self.world.ask("POST", "/clock", {"offset_ms": offset_ms})
            gate.mark_moved()

    def rows(self, text: str, **params: Any) -> list[dict[str, Any]]:
        with self.database.read() as tx:
            return tx.all(text, **params)

    def calls(self, operation: str) -> int:
        """How often the world was asked for something."""
        found: int = self.world.ask("GET", "")["calls"].get(operation, 0)
        return found

    def hold(self, operation: str, when: str = "after") -> None:
        self.world.ask("POST", "/hold", {"operation": operation, "when": when})

    def wait_held(self) -> None:
        assert self.world.ask("GET", f"/hold?wait_seconds={SECONDS:g}", wait_seconds=2 * SECONDS)["holding"]

    def refuse_connections(self, seconds: float) -> None:
        """Throw everybody out of the database, and let nobody in for a while."""
        name = sql.Identifier(self.name)
        with databases.admin() as admin:
            admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
            try:
                admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [self.name])
                time.sleep(seconds)
            finally:
                admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))

    def connections(self) -> int:
        with psycopg.connect(databases.POSTGRES_URL) as admin:
            row = admin.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = %s", [self.name]).fetchone()
        assert row is not None
        return int(row[0])


def wait_until(is_so: Callable[[], bool], seconds: float = SECONDS) -> float:
    """Wait; how long it took. Fails when it takes too long."""
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < seconds, f"not within {seconds:g} s"
        time.sleep(0.02)
    return time.monotonic() - began
