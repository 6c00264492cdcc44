"""The processes of a gateway, each kept running as a platform does: whenever it ends it is started again."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.chaos.worlds import ROOT

READY_SECONDS = 20.0


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


def children(pid: int | None) -> list[int]:
    """The processes that its main thread has made and that are still there."""
    with suppress(OSError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


class Kept:
    """A command of the gateway, kept running.

    releases: folders that hold the program; each start takes one of them, as while a new release is rolled out.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        folder: Path,
        name: str,
        command: Sequence[str],
        releases: Sequence[Path] = (ROOT,),
    ) -> None:
        self.name = name
        self.starts = 0
        self._environ = dict(environ)
        self._command = tuple(command)
        self._releases = releases
        self._random = Random(name)
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
        release = self._random.choice(self._releases)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gateway", *self._command],
                cwd=self._log.parent,
                env={**self._environ, "PYTHONPATH": str(release)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.starts += 1

    @property
    def main_pid(self) -> int | None:
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def pids(self, target: str) -> list[int]:
        """Those of `main`; here it is all there is."""
        pid = self.main_pid
        return [] if pid is None else [pid]

    def wait_ready(self, seconds: float = READY_SECONDS) -> bool:
        """Whether it is there and, where one can ask, answers within the time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.is_ready():
                return True
            time.sleep(0.03)
        return False

    def is_ready(self) -> bool:
        return self.main_pid is not None

    def signal(self, target: str, number: int) -> bool:
        """Send a signal to `main`, `worker` or `both`; False when none of them is there."""
        sent = False
        for pid in self.pids(target):
            with suppress(ProcessLookupError):
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


class Server(Kept):
    """`serve` on one port: a main process and the one that does everything."""

    def __init__(
        self,
        environ: Mapping[str, str],
        folder: Path,
        name: str = "a",
        releases: Sequence[Path] = (ROOT,),
        *,
        works: bool = True,
    ) -> None:
        self.port = free_port()
        command = ["serve"] if works else ["serve", "--no-worker"]
        super().__init__({**environ, "PORT": str(self.port)}, folder, name, command, releases)

    @property
    def worker_pid(self) -> int | None:
        """The process that serves, once it is there."""
        return next(iter(children(self.main_pid)), None)

    def pids(self, target: str) -> list[int]:
        found = {"main": [self.main_pid], "worker": [self.worker_pid], "both": [self.main_pid, self.worker_pid]}
        return [pid for pid in found[target] if pid is not None]

    def is_ready(self) -> bool:
        return self.worker_pid is not None and ask(self.port, "GET", "/healthz").status == 200


class Worker(Kept):
    """`work`: one process."""

    def __init__(
        self, environ: Mapping[str, str], folder: Path, name: str, releases: Sequence[Path] = (ROOT,)
    ) -> None:
        super().__init__(environ, folder, name, ["work"], releases)
