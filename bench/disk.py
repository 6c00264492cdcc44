"""What the disk itself can do: the time of one SQLite commit, and its stalls while something else is measured.

Run as a program (`python -m bench.disk commits|stalls FOLDER SECONDS`), so that nothing it does happens in a process
that is being measured. Prints one line of JSON, milliseconds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import processes
from bench.report import percentile

ROW_BYTES = 1800


@dataclass(frozen=True, slots=True)
class Latencies:
    count: int
    p50_ms: float
    p99_ms: float
    max_ms: float


def commit_floor(folder: Path, seconds: float = 1.0) -> Latencies:
    """One row of an event's size, one commit, WAL and FULL, one after the other, with the gateway's own SQLite."""
    return read_answer(start("commits", folder, seconds))


@contextmanager
def watching_stalls(folder: Path, seconds: float) -> Iterator[list[Latencies]]:
    """Write 4 KiB and fdatasync, 100 times a second, in a file of its own beside the block.

    The list is filled at the end of the block, which waits until `seconds` are over.
    """
    found: list[Latencies] = []
    process = start("stalls", folder, seconds)
    try:
        yield found
        found.append(read_answer(process))
    finally:
        process.kill()
        process.wait()


def start(what: str, folder: Path, seconds: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [processes.PYTHON, "-m", "bench.disk", what, str(folder), str(seconds)],
        env=processes.clean_environment({}), stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def read_answer(process: subprocess.Popen[bytes]) -> Latencies:
    output, _ = process.communicate(timeout=60)
    return Latencies(**json.loads(output))


def commits(folder: Path, seconds: float) -> list[float]:
    from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

    path = folder / "floor.db"
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    connection = sqlite3.connect(str(path), isolation_level=None)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(
        "CREATE TABLE inbox (id INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, body BLOB NOT NULL)"
    )
    spent: list[float] = []
    body, end = os.urandom(ROW_BYTES), time.perf_counter() + seconds
    while time.perf_counter() < end:
        began = time.perf_counter()
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO inbox (event_id, body) VALUES (?, ?)", (f"evt_{len(spent):012d}", body))
        connection.execute("COMMIT")
        spent.append(time.perf_counter() - began)
    connection.close()
    return spent


def stalls(folder: Path, seconds: float) -> list[float]:
    file = os.open(folder / "stalls.bin", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    spent: list[float] = []
    page, end = os.urandom(4096), time.perf_counter() + seconds
    while time.perf_counter() < end:
        began = time.perf_counter()
        os.write(file, page)
        os.fdatasync(file)
        spent.append(time.perf_counter() - began)
        time.sleep(max(0.0, 0.01 - spent[-1]))
    os.close(file)
    return spent


def main(what: str, folder: str, seconds: str) -> None:
    spent = {"commits": commits, "stalls": stalls}[what](Path(folder), float(seconds))
    answer = {
        "count": len(spent),
        "p50_ms": percentile(spent, 0.5) * 1e3,
        "p99_ms": percentile(spent, 0.99) * 1e3,
        "max_ms": max(spent) * 1e3,
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
