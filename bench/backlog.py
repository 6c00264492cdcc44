"""A backlog of signups worked off, by the gateway or by a peer that makes the same provider calls."""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import ExitStack
from dataclasses import dataclass

from bench import events, load, processes, product, venvs
from bench.processes import Running, Unmeasurable
from bench.report import median, number
from bench.sizes import SQLITE, Installation, Size, installed

PEER_LIMIT_SECONDS = 150.0
START_LIMIT_SECONDS = 30.0
# Between these shares of all calls everybody works: nobody starts any more, and nobody is done yet.
STEADY_FROM, STEADY_TO = 0.2, 0.8


@dataclass(frozen=True, slots=True)
class Backlog:
    """A backlog worked off, from its first call to its last tenant active.

    steady_per_second: calls a second in the middle of it.   cpu_ms_a_call: of the workers, without the database's.
    """

    calls: int
    tenants: int
    seconds: float
    steady_per_second: float
    cpu_ms_a_call: float
    operations: dict[str, int]

    @property
    def per_second(self) -> float:
        return self.calls / self.seconds


def words(backlogs: list[Backlog]) -> str:
    rate, cpu = median([one.per_second for one in backlogs]), median([one.cpu_ms_a_call for one in backlogs])
    a_tenant = number(backlogs[0].calls / backlogs[0].tenants)
    return f"{number(rate)} calls/s ({number(cpu)} ms CPU a call, {a_tenant} calls a tenant)"


def of_product(
    tenants: int,
    delay_ms: float,
    size: Size = SQLITE,
    *,
    workers: int = 1,
    threads: int = product.THREADS,
    starts_first: bool = False,
) -> Backlog:
    """Signups taken in with the workers off, then worked off by so many `work` processes.

    starts_first: the workers are up before the signups come, so that all of them work from the beginning.
    """
    limits = {
        "STEP_THREADS": str(threads),
        "TWILIO_CONCURRENCY": str(workers * threads),
        "VAPI_CONCURRENCY": str(workers * threads),
    }
    with ExitStack() as stack:
        folder = product.fresh_folder("stand-in")
        providers = stack.enter_context(product.stand_in(folder))
        installation = stack.enter_context(installed(size, "calls", providers, **limits))
        group: list[Running] = []
        if starts_first:
            providers.reset(delay_ms=delay_ms)
            group = start_workers(stack, installation, workers)
            wait_until_started(group)
        with product.serve(installation.folder, dict(installation.settings), worker=False) as server:
            load.post_all(server.port, product.WEBHOOK, events.signed(tenants))
        if not starts_first:
            providers.reset(delay_ms=delay_ms)
            group = start_workers(stack, installation, workers)
        limit_seconds = 40 + tenants * 12 * max(0.01, delay_ms / 1e3 / threads * 2)
        last_at = wait_until_all_active(installation, group, tenants, limit_seconds)
        cpu = sum(processes.cpu_seconds(worker.group) for worker in group)
        return measured(providers.report(), tenants, last_at, cpu)


def start_workers(stack: ExitStack, installation: Installation, count: int) -> list[Running]:
    settings = dict(installation.settings)
    return [stack.enter_context(product.work(installation.folder, settings)) for _ in range(count)]


def wait_until_started(workers: list[Running]) -> None:
    end = time.monotonic() + START_LIMIT_SECONDS
    for worker in workers:
        while "worker.started" not in worker.log.read_text(encoding="utf-8", errors="replace"):
            if time.monotonic() > end or worker.process.poll() is not None:
                raise Unmeasurable(f"a worker did not start: {processes.tail(worker.log)}")
            time.sleep(0.05)


def wait_until_all_active(
    installation: Installation, workers: list[Running], tenants: int, limit_seconds: float
) -> float:
    """The wall clock's time when the last one was; raises Unmeasurable when that takes too long."""
    peek = installation.peek()
    end = time.monotonic() + limit_seconds
    while peek.active() < tenants:
        for worker in workers:
            if time.monotonic() > end or worker.process.poll() is not None:
                raise Unmeasurable(f"not all active in time: {peek.troubles()}; {processes.tail(worker.log)}")
        time.sleep(0.02)
    last_at = time.time()
    peek.close()
    return last_at


def measured(report: product.Report, tenants: int, last_at: float, cpu_s: float) -> Backlog:
    first_at = min(began for began, _ in report.spans)
    ends = sorted(ended for _, ended in report.spans)
    first, last = int(len(ends) * STEADY_FROM), int(len(ends) * STEADY_TO)
    steady = (last - first) / max(1e-9, ends[last] - ends[first])
    return Backlog(
        report.calls, tenants, last_at - first_at, steady, cpu_s / report.calls * 1e3, report.operations
    )  # fmt: skip


def of_peer(peer: str, tenants: int, *options: str) -> Backlog:
    """The same by `provision.py` of a peer, in one process with as many threads. Raises Unmeasurable."""
    python = venvs.python_of(peer)
    folder = product.fresh_folder("peer")
    with product.stand_in(folder) as providers:
        argv = [
            python, str(venvs.PEERS / peer / "provision.py"), "--tenants", str(tenants),
            "--threads", str(product.THREADS), "--api", providers.url, *options,
        ]  # fmt: skip
        done = subprocess.run(
            argv, cwd=folder, env=processes.clean_environment({"PYTHONPATH": str(venvs.PEERS)}), capture_output=True,
            text=True, timeout=PEER_LIMIT_SECONDS, check=False,
        )  # fmt: skip
        lines = [text for text in done.stdout.splitlines() if text.startswith("JSON ")]
        told = json.loads(lines[0][5:]) if lines else {"active": 0}
        if told["active"] != tenants:
            raise Unmeasurable(f"{peer} finished {told['active']} of {tenants}: {done.stderr[-300:]}")
        report = providers.report()
        return measured(report, tenants, min(began for began, _ in report.spans) + told["seconds"], told["cpu_s"])
