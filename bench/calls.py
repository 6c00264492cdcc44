"""Provider calls a second: a backlog of signups worked off, beside DBOS making the same calls."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

from bench import events, load, processes, product, venvs
from bench.processes import Unmeasurable
from bench.report import Missing, Ratio, Target, at_least, median, number

PART, SLOW_PART = "calls", "slow-calls"
TENANTS, PEER_TENANTS, SLOW_TENANTS = 400, 100, 500
SLOW_DELAY_MS = 200.0
SLOW_LIMIT = product.THREADS / (SLOW_DELAY_MS / 1e3)


@dataclass(frozen=True, slots=True)
class Backlog:
    """A backlog worked off, from its first call to its last tenant active."""

    calls: int
    tenants: int
    seconds: float
    cpu_ms_a_call: float
    operations: dict[str, int]

    @property
    def per_second(self) -> float:
        return self.calls / self.seconds

    @property
    def words(self) -> str:
        return f"{number(self.per_second)} calls/s ({number(self.cpu_ms_a_call)} ms CPU a call)"


def measure(rounds: int, seconds: float) -> Iterator[Ratio | Missing]:
    """`seconds` is not used: the same backlog each round."""
    shapes = {
        "call": ("worker / DBOS 3.4 on SQLite, each call a step", at_least(5)),
        "effect": ("worker / DBOS 3.4 on SQLite, three steps a tenant", None),
    }
    ours: list[Backlog] = []
    theirs: dict[str, list[Backlog]] = {shape: [] for shape in shapes}
    missing: dict[str, str] = {}
    for _ in range(rounds):
        try:
            ours.append(of_product(TENANTS, 0.0))
        except Unmeasurable as error:
            for name, _ in shapes.values():
                yield Missing(PART, name, str(error))
            return
        for shape in shapes:
            if shape not in missing:
                try:
                    theirs[shape].append(of_dbos(PEER_TENANTS, shape))
                except Unmeasurable as error:
                    missing[shape] = str(error)
    for shape, (name, target) in shapes.items():
        if shape in missing:
            yield Missing(PART, name, missing[shape])
        else:
            yield compared(name, target, ours, theirs[shape])


def compared(name: str, target: Target | None, ours: list[Backlog], theirs: list[Backlog]) -> Ratio:
    ratios = tuple(a.per_second / b.per_second for a, b in zip(ours, theirs, strict=True))
    cpu, rate = median([one.cpu_ms_a_call for one in ours]), median([one.per_second for one in ours])
    peer_cpu, peer_rate = median([one.cpu_ms_a_call for one in theirs]), median([one.per_second for one in theirs])
    return Ratio(
        PART, name, ratios, "x", target,
        f"{number(rate)} calls/s ({number(cpu)} ms CPU a call, {a_tenant(ours[0])} calls a tenant)",
        f"{number(peer_rate)} calls/s ({number(peer_cpu)} ms CPU a call, {a_tenant(theirs[0])} calls a tenant)",
    )  # fmt: skip


def a_tenant(backlog: Backlog) -> str:
    return number(backlog.calls / backlog.tenants)


def measure_slow(rounds: int, seconds: float) -> Iterator[Ratio | Missing]:
    """Providers that take 200 ms: 64 threads can make 320 calls a second."""
    name = f"worker, providers of {SLOW_DELAY_MS:.0f} ms, {product.THREADS} threads / what they can do"
    done: list[Backlog] = []
    for _ in range(rounds):
        try:
            done.append(of_product(SLOW_TENANTS, SLOW_DELAY_MS))
        except Unmeasurable as error:
            yield Missing(SLOW_PART, name, str(error))
            return
    yield Ratio(
        SLOW_PART, name, tuple(100 * one.per_second / SLOW_LIMIT for one in done), "%", at_least(90),
        f"{number(median([one.per_second for one in done]))} calls/s", f"{SLOW_LIMIT:.0f}",
    )  # fmt: skip


def of_product(tenants: int, delay_ms: float) -> Backlog:
    """Signups taken in with the worker off, then worked off by `work`."""
    folder = product.fresh_folder("calls")
    with product.stand_in(folder) as providers:
        settings = product.environment(folder, providers)
        with product.serve(folder, settings, worker=False) as server:
            load.post_all(server.port, product.WEBHOOK, events.signed(tenants))
        providers.reset(delay_ms=delay_ms)
        with product.work(folder, settings) as worker:
            peek = product.Peek(folder)
            cpu_before, last_at = 0.0, 0.0
            limit = time.monotonic() + 40 + tenants * 12 * max(0.01, delay_ms / 1e3 / product.THREADS * 2)
            while peek.active() < tenants:
                if time.monotonic() > limit or worker.process.poll() is not None:
                    raise Unmeasurable(f"not all active in time: {peek.troubles()}; {processes.tail(worker.log)}")
                time.sleep(0.02)
            last_at = time.time()
            cpu = processes.cpu_seconds(worker.group) - cpu_before
            peek.close()
        report = providers.report()
    first_at = min(began for began, _ in report.spans)
    return Backlog(report.calls, tenants, last_at - first_at, cpu / report.calls * 1e3, report.operations)


def of_dbos(tenants: int, shape: str) -> Backlog:
    python = venvs.python_of("dbos_sqlite")
    folder = product.fresh_folder("dbos")
    with product.stand_in(folder) as providers:
        argv = [
            python, str(venvs.PEERS / "dbos_sqlite" / "provision.py"), "--tenants", str(tenants),
            "--threads", str(product.THREADS), "--steps", shape, "--api", providers.url,
            "--database", str(folder / "dbos.sqlite"),
        ]  # fmt: skip
        done = subprocess.run(
            argv, cwd=folder, env=processes.clean_environment({}), capture_output=True, text=True, timeout=150,
            check=False,
        )  # fmt: skip
        lines = [text for text in done.stdout.splitlines() if text.startswith("JSON ")]
        told = json.loads(lines[0][5:]) if lines else {"active": 0}
        if told["active"] != tenants:
            raise Unmeasurable(f"DBOS finished {told['active']} of {tenants}: {done.stderr[-300:]}")
        report = providers.report()
    return Backlog(report.calls, tenants, told["seconds"], told["cpu_s"] / report.calls * 1e3, report.operations)
