"""The gateway as an operator would run it, told everything by its environment; and the providers it talks to."""

from __future__ import annotations

import json
import shutil
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import events, processes, venvs
from bench.processes import HOME, PYTHON, Running, Unmeasurable

WEBHOOK = "/webhooks/stripe"
THREADS = 64
# What `serve` gives Flask by itself.
FLASK_THREADS = 16
ASSISTANT = "00000000-0000-4000-8000-0000000000aa"


@dataclass(frozen=True, slots=True)
class Report:
    """What the stand-in has seen: calls by operation, calls open now, and when each finished call began and ended."""

    operations: dict[str, int]
    open: int
    spans: list[tuple[float, float]]
    cpu_s: float

    @property
    def calls(self) -> int:
        return sum(self.operations.values())

    @property
    def busy_s(self) -> float:
        """How long at least one call was under way."""
        total, until = 0.0, 0.0
        for began, ended in sorted(self.spans):
            total += max(0.0, ended - max(began, until))
            until = max(until, ended)
        return total


@dataclass(frozen=True, slots=True)
class StandIn:
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def reset(self, *, delay_ms: float = 0, hangs: bool = False, keep_numbers: bool = False) -> None:
        """Forget all calls; from now on answer after `delay_ms`, or never."""
        query = f"delay_ms={delay_ms}&hang={int(hangs)}&keep={int(keep_numbers)}"
        self._ask(f"/stand-in/reset?{query}", data=b"")

    def report(self) -> Report:
        told = self._ask("/stand-in/report")
        return Report(told["operations"], told["open"], [(a, b) for a, b in told["spans"]], told["cpu_s"])

    def _ask(self, path: str, data: bytes | None = None) -> dict[str, Any]:
        with urllib.request.urlopen(self.url + path, data=data, timeout=10) as answer:
            told: dict[str, Any] = json.loads(answer.read())
            return told


@contextmanager
def stand_in(folder: Path) -> Iterator[StandIn]:
    """Twilio and Vapi in a process of their own, with uvloop when its environment can be made."""
    try:
        python = venvs.python_of("standin")
    except Unmeasurable:
        python = PYTHON
    port = processes.free_port()
    with processes.started([python, str(HOME.parents[1] / "bench" / "standin.py"), str(port)], folder, {}, port=port):
        yield StandIn(port)


def fresh_folder(name: str) -> Path:
    """An empty folder for one run, on the disk where the checkout is."""
    folder = HOME / "run" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def environment(folder: Path, providers: StandIn | None, **more: str) -> dict[str, str]:
    """Live mode, whose clock nobody moves, with providers of our own, 64 threads, and caps out of the way.

    Without providers nobody listens at their address: for runs in which no call is made.
    """
    url = providers.url if providers else "http://127.0.0.1:9"
    return {
        "GATEWAY_MODE": "live",
        "STRIPE_LIVEMODE": "any",
        "GATEWAY_ENV": "bench",
        "DATABASE_URL": f"sqlite:///{folder / 'gateway.db'}",
        "STRIPE_WEBHOOK_SECRET": events.SECRET,
        "STRIPE_BASE_URL": url,
        "TWILIO_BASE_URL": url,
        "TWILIO_PRICING_BASE_URL": url,
        "TWILIO_NUMBERS_BASE_URL": url,
        "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
        "TWILIO_AUTH_TOKEN": "0" * 32,
        "VAPI_BASE_URL": url,
        "VAPI_API_KEY": "bench-key-of-nobody",
        "VAPI_ASSISTANT_ID": ASSISTANT,
        "STEP_THREADS": str(THREADS),
        "TWILIO_CONCURRENCY": str(THREADS),
        "VAPI_CONCURRENCY": str(THREADS),
        "MAX_PURCHASES_PER_HOUR": "1000000",
        "MAX_PURCHASES_PER_DAY": "1000000",
        "LOG_FORMAT": "json",
        **more,
    }


@contextmanager
def serve(folder: Path, settings: dict[str, str], *, worker: bool) -> Iterator[Running]:
    """`python -m gateway serve`, ready."""
    port = processes.free_port()
    argv = [PYTHON, "-m", "gateway", "serve", "--worker" if worker else "--no-worker"]
    with processes.started(argv, folder, {**settings, "PORT": str(port)}, port=port, ready="/readyz") as running:
        yield running


@contextmanager
def flask_view(folder: Path, settings: dict[str, str]) -> Iterator[Running]:
    """The Flask application alone, under granian's WSGI interface."""
    port = processes.free_port()
    argv = [*granian(PYTHON, port, threads=FLASK_THREADS), "app:app"]
    processes.run_to_end([PYTHON, "-m", "gateway", "migrate"], settings, folder)
    with processes.started(argv, folder, settings, port=port, ready="/healthz") as running:
        yield running


@contextmanager
def work(folder: Path, settings: dict[str, str]) -> Iterator[Running]:
    """`python -m gateway work`; not waited for."""
    with processes.started([PYTHON, "-m", "gateway", "work"], folder, settings) as running:
        yield running


def granian(python: str, port: int, *, threads: int) -> list[str]:
    return [
        python, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--blocking-threads", str(threads), "--no-access-log", "--log-level", "error",
    ]  # fmt: skip


class Peek:
    """Reads a running gateway's database from this process, with the gateway's own store."""

    def __init__(self, folder: Path, url: str = "") -> None:
        """url: of a PostgreSQL database; else the file in the folder."""
        if str(processes.ROOT) not in sys.path:
            sys.path.insert(0, str(processes.ROOT))
        from gateway.store.postgres import PostgresDatabase
        from gateway.store.sqlite import SqliteDatabase

        is_postgres = url.startswith("postgres")
        self._database = PostgresDatabase(url) if is_postgres else SqliteDatabase(folder / "gateway.db")

    def one(self, sql: str, **params: Any) -> Any:
        """The first column of the first row; None when there is none."""
        with self._database.read() as tx:
            row = tx.one(sql, **params)
        return next(iter(row.values())) if row else None

    def active(self) -> int:
        return int(self.one("SELECT COUNT(*) FROM tenants WHERE state = 'active'"))

    def stored(self) -> int:
        return int(self.one("SELECT COUNT(*) FROM inbox"))

    def state(self, tenant_key: str) -> str | None:
        found: str | None = self.one("SELECT state FROM tenants WHERE tenant_key = :key", key=tenant_key)
        return found

    def troubles(self) -> str:
        """States and blocks, for saying why a run did not end."""
        with self._database.read() as tx:
            rows = tx.all("SELECT state, blocked_code AS blocked, COUNT(*) AS n FROM tenants GROUP BY 1, 2 ORDER BY 1")
        return ", ".join(f"{row['n']} {row['state']} {row['blocked'] or ''}".strip() for row in rows)

    def close(self) -> None:
        self._database.close()
