"""Start servers and workers, wait until they answer, weigh them, and stop exactly those."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
HOME = ROOT / "var" / "bench"
PYTHON = sys.executable


class Unmeasurable(Exception):
    """A measurement that cannot be taken here; the text says why."""


@dataclass(frozen=True, slots=True)
class Running:
    """A process in a group of its own."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def group(self) -> int:
        return self.process.pid


def clean_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """What a process needs to run, and nothing of the caller's own settings."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ") if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **extra}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 0.5).close()
    except OSError:
        return False
    return True


def http_status(port: int, path: str, timeout_seconds: float = 2.0) -> int:
    """The status of a GET, 0 when nobody answers; a bare socket, so that it costs next to nothing."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout_seconds) as connection:
            connection.settimeout(timeout_seconds)
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            start = connection.recv(64).split(b" ", 2)
            return int(start[1])
    except (OSError, IndexError, ValueError):
        return 0


@contextmanager
def started(
    argv: Sequence[str], folder: Path, environment: Mapping[str, str], *, port: int = 0, ready: str | None = None
) -> Iterator[Running]:
    """Run a process in `folder` until the block ends.

    port: waited for until it accepts connections (0: not waited for).   ready: then until this path answers 200.
    Raises Unmeasurable with the end of its output when it dies or is not up within 30 s.
    """
    log = folder / f"{Path(argv[0]).name}-{time.monotonic_ns()}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            list(argv), cwd=folder, env=clean_environment(environment), stdout=output, stderr=output,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    running = Running(" ".join(argv[:5]), process, port, log)
    try:
        wait_until_up(running, ready)
        yield running
    finally:
        stop(running)


def wait_until_up(running: Running, ready: str | None, limit_seconds: float = 30.0) -> None:
    end = time.monotonic() + limit_seconds
    while running.port and time.monotonic() < end:
        if running.process.poll() is not None:
            break
        if is_open(running.port) and (ready is None or http_status(running.port, ready) == 200):
            return
        time.sleep(0.01)
    if running.port:
        raise Unmeasurable(f"{running.name} did not come up: {tail(running.log)}")


def wait_until_answered(running: Running, path: str, limit_seconds: float = 60.0) -> None:
    """Until a GET is answered at all, whatever the answer; Unmeasurable when none comes."""
    end = time.monotonic() + limit_seconds
    while not http_status(running.port, path):
        if running.process.poll() is not None or time.monotonic() > end:
            raise Unmeasurable(f"{running.name} answers nothing: {tail(running.log)}")
        time.sleep(0.1)


def tail(log: Path, length: int = 600) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-length:].strip() or "(no output)"


def stop(running: Running, limit_seconds: float = 30.0) -> None:
    """SIGTERM, then SIGKILL to what is left of its own group."""
    if running.process.poll() is None:
        running.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            running.process.wait(limit_seconds)
    with suppress(ProcessLookupError):
        os.killpg(running.group, signal.SIGKILL)
    running.process.wait()


def cpu_share_in_use(seconds: float = 1.0) -> float:
    """How much of the machine's CPU time was used, by anybody, over so many seconds; 0 to 1."""
    before = machine_ticks()
    time.sleep(seconds)
    total, idle = (after - earlier for after, earlier in zip(machine_ticks(), before, strict=True))
    return 1 - idle / max(1, total)


def machine_ticks() -> tuple[int, int]:
    """All ticks, and the idle ones, waiting for the disk included."""
    ticks = [int(text) for text in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return sum(ticks), ticks[3] + ticks[4]


def members(group: int) -> list[int]:
    """Process ids of a group."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = stat_fields(entry)
            if fields and int(fields[2]) == group:
                found.append(int(entry.name))
    return found


def stat_fields(process: Path) -> list[str]:
    """/proc/<pid>/stat from the state on; empty when the process is gone."""
    try:
        return (process / "stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return []


def cpu_seconds(group: int) -> float:
    """User and system time used so far by the living processes of a group."""
    ticks = 0
    for pid in members(group):
        fields = stat_fields(Path(f"/proc/{pid}"))
        if fields:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def pss_mib(group: int) -> float:
    """Proportional set size of a group: shared pages counted once, split between those who share them."""
    kib = 0
    for pid in members(group):
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        kib += sum(int(row.split()[1]) for row in rollup.splitlines() if row.startswith("Pss:"))
    return kib / 1024


def run_to_end(argv: Sequence[str], environment: Mapping[str, str], folder: Path, limit_seconds: float = 60) -> float:
    """Run a command to its end; wall time in milliseconds. Raises Unmeasurable when it fails."""
    began = time.perf_counter()
    done = subprocess.run(
        list(argv),
        cwd=folder,
        env=clean_environment(environment),
        capture_output=True,
        timeout=limit_seconds,
        check=False,
    )
    spent_ms = (time.perf_counter() - began) * 1000
    if done.returncode:
        raise Unmeasurable(f"{' '.join(argv)} ended with {done.returncode}: {done.stderr.decode()[-400:].strip()}")
    return spent_ms
