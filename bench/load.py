"""The load: wrk with signed, unique deliveries over keep-alive connections."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from bench import events, processes
from bench.processes import Unmeasurable

SCRIPT = Path(__file__).with_name("replay.lua")


@dataclass(frozen=True, slots=True)
class Load:
    """What one load showed. cpu_us: CPU time of the server's process group for one request."""

    answered: int
    seconds: float
    per_second: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    cpu_us: float


def drive(
    server: processes.Running,
    path: str,
    *,
    clients: int,
    seconds: float,
    pool_size: int,
    event_type: str = events.SIGNUP,
    pool: Path | None = None,
) -> Load:
    """Load a server for `seconds`. pool: deliveries to send again (for servers that store nothing); else signed now.

    Raises Unmeasurable when any answer was not a 2xx or none came, or the pool was used up before the time.
    """
    if shutil.which("wrk") is None:
        raise Unmeasurable("wrk is not installed (Debian: apt-get install wrk)")
    if pool is None:
        pool = processes.HOME / "pool.tsv"
        events.write_pool(pool, pool_size, event_type)
    cpu_before = processes.cpu_seconds(server.group)
    done = subprocess.run(
        ["wrk", "-t1", f"-c{clients}", f"-d{max(1, round(seconds))}s", "--timeout", "10s", "-s", str(SCRIPT),
         f"http://127.0.0.1:{server.port}"],
        env={**os.environ, "BENCH_POOL": str(pool), "BENCH_PATH": path},
        capture_output=True, text=True, timeout=seconds + 60, check=False,
    )  # fmt: skip
    cpu = processes.cpu_seconds(server.group) - cpu_before
    lines = [text for text in done.stdout.splitlines() if text.startswith("JSON ")]
    if not lines:
        raise Unmeasurable(f"wrk failed: {(done.stdout + done.stderr)[-400:]}")
    told = json.loads(lines[0][5:])
    if told["bad_status"] or told["broken"] or told["late"]:
        raise Unmeasurable(
            f"{told['bad_status']} answers not 2xx, {told['broken']} broken and {told['late']} late of "
            f"{told['answered']} at {path}: {processes.tail(server.log)}"
        )
    if not told["answered"]:
        raise Unmeasurable(f"{path} answered nothing within {seconds} s")
    if told["answered"] >= pool_size:
        raise Unmeasurable(f"all {pool_size} signed deliveries were used up within {seconds} s; sign more")
    return Load(
        answered=told["answered"],
        seconds=told["seconds"],
        per_second=told["answered"] / told["seconds"],
        p50_ms=told["p50_ms"],
        p99_ms=told["p99_ms"],
        max_ms=told["max_ms"],
        cpu_us=cpu / max(1, told["answered"]) * 1e6,
    )


def post_all(port: int, path: str, deliveries: Iterable[events.Signed]) -> int:
    """Send each delivery once, one after the other; how many. Every answer must be 200."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    count = 0
    for delivery in deliveries:
        connection.request(
            "POST", path, delivery.body, {"Content-Type": "application/json", "Stripe-Signature": delivery.header}
        )
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise Unmeasurable(f"{path} answered {answer.status}: {text[:200]!r}")
        count += 1
    connection.close()
    return count
