"""Real server processes over loopback: started on a free port with a database of their own, and always ended."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.integrations.senders import STRIPE
from tests.web.serving import DATABASE_VARIABLE

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 20.0

START = """
import sys, types
from gateway.web.server import serve
serve(types.SimpleNamespace(host="127.0.0.1", port=int(sys.argv[1])), sys.argv[2])
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    process: subprocess.Popen[bytes]
    port: int
    database: Path
    log: Path

    @property
    def worker_pid(self) -> int:
        return int(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()[0])

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE_SECONDS)

    def post(self, event_id: str, path: str = "/webhooks/stripe") -> tuple[int, bytes]:
        body = STRIPE.body(event_id)
        return self.ask("POST", path, body, STRIPE.headers(body, event_id, time.time_ns() // 1_000_000))

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def is_answering(self) -> bool:
        try:
            return self.ask("GET", "/healthz")[0] == 200
        except OSError:
            return False

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)


def wait_until(true: object, what: str) -> None:
    assert callable(true)
    end = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.02)


@contextmanager
def serving(
    folder: Path, factory: str = "tests.web.serving:front", before: Sequence[str] = (), port: int | None = None
) -> Iterator[Server]:
    """A server on a free port. before: what the command line begins with, such as a tracer."""
    port = port or free_port()
    database, log = folder / "gateway.db", folder / "server.log"
    environ = {**os.environ, DATABASE_VARIABLE: str(database), "PYTHONPATH": str(ROOT)}
    with log.open("ab") as out:
        process = subprocess.Popen(
            [*before, sys.executable, "-c", START, str(port), factory], cwd=ROOT, env=environ, stdout=out, stderr=out
        )
    server = Server(process, port, database, log)
    try:
        wait_until(lambda: server.is_answering() or process.poll() is not None, "a server that answers")
        assert process.poll() is None, log.read_text()
        yield server
    finally:
        workers = _children(process.pid)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for worker in workers:
            _end_if_ours(worker)


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _end_if_ours(pid: int) -> None:
    """Kill a worker that outlived its main process; only if it is still ours, for process ids are used again."""
    try:
        if b"gateway.web.server" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
    except OSError:
        return


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
