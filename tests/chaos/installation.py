"""The gateway as people run it: `python -m gateway serve` in a folder of its own, started again when it dies."""

from __future__ import annotations

import base64
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway import wiring
from gateway.flow.reconcile import Report, reconcile
from gateway.settings import Settings, load
from gateway.simulator import defaults
from gateway.store import installation as clock_store
from gateway.store.database import Database
from gateway.store.engines import open_database
from gateway.store.gate import ClockGate
from tests.chaos.worlds import ROOT, PretendWorld

PROVIDER_TIMEOUT_SECONDS = 0.7
LEASE_SECONDS = 7.2
SETTLE_SECONDS = 8.0
TAKEN_SETTLE_SECONDS = 2.0
WAITING_SECONDS = 5.0
READY_SECONDS = 20.0
AUTHORIZATION = "Basic " + base64.b64encode(f"{defaults.ACCOUNT_SID}:{defaults.AUTH_TOKEN}".encode()).decode()


def environment(folder: Path, world: PretendWorld, changes: Mapping[str, str] | None = None) -> dict[str, str]:
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
        **(changes or {}),
    }


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Answer:
    """What an HTTP request came to; status 0 when there was no answer."""

    status: int
    body: bytes = b""


def ask(port: int, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=3.0)
    try:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, response.read())
    except (OSError, http.client.HTTPException):
        return Answer(0)
    finally:
        connection.close()


class Server:
    """`serve` on one port, kept running like a platform does: whenever its main process ends it is started again."""

    def __init__(self, environ: Mapping[str, str], folder: Path, name: str = "a") -> None:
        self.port = free_port()
        self.starts = 0
        self._environ = {**environ, "PORT": str(self.port)}
        self._log = folder / f"server-{name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._is_wanted = True
        self._lock = threading.Lock()
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._keeper.start()

    def _keep(self) -> None:
        while self._is_wanted:
            with self._lock:
                if self._is_wanted and (self._process is None or self._process.poll() is not None):
                    self._start()
            time.sleep(0.05)

    def _start(self) -> None:
        if self._process is not None:
            # What a platform needs to notice and act.
            time.sleep(0.1)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gateway", "serve"],
                cwd=self._log.parent,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.starts += 1

    @property
    def main_pid(self) -> int | None:
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    @property
    def worker_pid(self) -> int | None:
        """The worker process, once it is there."""
        pid = self.main_pid
        with suppress(OSError):
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            return int(children[0]) if children else None
        return None

    def is_ready(self) -> bool:
        return ask(self.port, "GET", "/healthz").status == 200

    def wait_ready(self, seconds: float = READY_SECONDS) -> bool:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.worker_pid is not None and self.is_ready():
                return True
            time.sleep(0.03)
        return False

    def signal(self, target: str, number: int) -> bool:
        """Send a signal to `main`, `worker` or `both`; False when none of them is there."""
        main, worker = self.main_pid, self.worker_pid
        pids = {"main": [main], "worker": [worker], "both": [main, worker]}[target]
        sent = False
        for pid in pids:
            with suppress(ProcessLookupError):
                if pid is not None:
                    os.kill(pid, number)
                    sent = True
        return sent

    def terminate(self, seconds: float = 30.0) -> int | None:
        """SIGTERM, and no start after that; the exit status, or None when it had to be killed."""
        self._is_wanted = False
        self._keeper.join()
        process = self._process
        if process is None:
            return None
        if process.poll() is None:
            process.terminate()
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def kill(self) -> None:
        """SIGKILL to everything, and no start after that."""
        self._is_wanted = False
        self._keeper.join()
        self.signal("both", signal.SIGCONT)
        self.signal("both", signal.SIGKILL)
        if self._process is not None:
            self._process.wait()


class Installation:
    """One gateway's folder: its database seen from outside, its clock, and its servers."""

    def __init__(self, folder: Path, world: PretendWorld, changes: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.world = world
        self.environ = environment(folder, world, changes)
        self.settings: Settings = load(self.environ)
        self.path = self.settings.database.path
        self.database: Database = open_database(self.settings)
        self.server = Server(self.environ, folder)
        self._gate = ClockGate(self.path)
        self._clock_lock = threading.Lock()
        self.offset_ms = 0

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.offset_ms

    def advance(self, seconds: float) -> None:
        """Move the gateway's clock and the world's, while no provider call is open.

        Waits for ever when a process was frozen in a call.
        """
        with self._clock_lock, self._gate.no_call_open():
            with self.database.transaction() as tx:
                self.offset_ms = clock_store.move_clock(tx, round(seconds * 1000))
            self.world.ask("POST", "/clock", {"offset_ms": self.offset_ms})
            self._gate.mark_moved()

    def rows(self, sql: str, **params: Any) -> list[dict[str, Any]]:
        with self.database.read() as tx:
            found: list[dict[str, Any]] = tx.all(sql, **params)
        return found

    def reconcile(self, *, apply: bool) -> Report:
        """As `python -m gateway reconcile` does, from this process."""
        gateway = wiring.build(self.settings, self.database)
        try:
            return reconcile(gateway.steps, apply=apply)
        finally:
            gateway.http.close()
            gateway.close_writer()

    def close(self) -> None:
        self.server.kill()
        self.database.close()
