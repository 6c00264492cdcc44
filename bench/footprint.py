"""How much memory the gateway takes after many events, and how soon it is there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from bench import intake, load, processes, product
from bench.processes import PYTHON, Running, Unmeasurable
from bench.report import Missing, Ratio, at_most, median, number

MEMORY_PART, START_PART = "memory", "start"
EVENTS = 100_000
CLIENTS = 16
TAKE_IN_LIMIT_SECONDS = 300.0
SETTLE_LIMIT_SECONDS = 30.0
STARTS = 5


def measure_memory(rounds: int, seconds: float, events: int = EVENTS) -> Iterator[Ratio | Missing]:
    """The greatest PSS of the whole process group: while events come in, and while the worker applies them.

    One round however many are asked for: it is the longest of all parts, and memory does not scatter.
    """
    name = f"PSS of serve with its worker, {events:,} events"
    folder = product.fresh_folder("memory")
    try:
        with product.stand_in(folder) as providers:
            providers.reset(delay_ms=intake.PROVIDER_DELAY_MS)
            settings = product.environment(folder, providers)
            with product.serve(folder, settings, worker=True) as server:
                fresh = processes.pss_mib(server.group)
                taken, greatest = take_in(server, events)
                greatest = max(greatest, greatest_while_settling(server))
                peek = product.Peek(folder)
                told = f"{number(greatest)} MiB after {taken:,} events, {peek.active():,} tenants active,"
                peek.close()
    except Unmeasurable as error:
        yield Missing(MEMORY_PART, name, str(error))
        return
    yield Ratio(MEMORY_PART, name, (greatest,), "MiB", at_most(120), told, f"{number(fresh)} MiB when started")


def take_in(server: Running, events: int) -> tuple[int, float]:
    """Loads of 3 s until `events` were answered; how many, and the greatest PSS seen between them.

    Raises Unmeasurable when that takes more than TAKE_IN_LIMIT_SECONDS.
    """
    taken, greatest, end = 0, 0.0, time.monotonic() + TAKE_IN_LIMIT_SECONDS
    while taken < events:
        if time.monotonic() > end:
            raise Unmeasurable(
                f"only {taken:,} of {events:,} events were taken in within {TAKE_IN_LIMIT_SECONDS:.0f} s; "
                f"the greatest PSS until then was {number(greatest)} MiB"
            )
        taken += load.drive(server, product.WEBHOOK, clients=CLIENTS, seconds=3, pool_size=36_000).answered
        greatest = max(greatest, processes.pss_mib(server.group))
    return taken, greatest


def greatest_while_settling(server: Running) -> float:
    greatest, end = 0.0, time.monotonic() + SETTLE_LIMIT_SECONDS
    while time.monotonic() < end:
        greatest = max(greatest, processes.pss_mib(server.group))
        time.sleep(1)
    return greatest


def measure_start(rounds: int, seconds: float) -> Iterator[Ratio | Missing]:
    """Start to ready, and `--help`, each beside `python -c "import flask"`; `seconds` is not used."""
    names = {"ready": "serve: start to ready / import flask", "help": "--help / import flask"}
    found: dict[str, list[float]] = {"ready": [], "help": [], "flask": []}
    folder = product.fresh_folder("start")
    try:
        for _ in range(rounds):
            ready, asked, flask = [], [], []
            for _ in range(STARTS):
                flask.append(processes.run_to_end([PYTHON, "-c", "import flask"], {}, folder))
                asked.append(processes.run_to_end([PYTHON, "-m", "gateway", "--help"], {}, folder))
                ready.append(start_to_ready_ms(folder))
            for name, values in (("ready", ready), ("help", asked), ("flask", flask)):
                found[name].append(median(values))
    except Unmeasurable as error:
        for name in names.values():
            yield Missing(START_PART, name, str(error))
        return
    for what, limit in (("ready", 8), ("help", 3)):
        ratios = tuple(ours / flask for ours, flask in zip(found[what], found["flask"], strict=True))
        yield Ratio(
            START_PART, names[what], ratios, "x", at_most(limit),
            f"{number(median(found[what]))} ms", f"{number(median(found['flask']))} ms",
        )  # fmt: skip


def start_to_ready_ms(folder: Path) -> float:
    """A second and later start: the database exists, nothing has to be migrated."""
    began = time.perf_counter()
    with product.serve(folder, product.environment(folder, None), worker=True):
        return (time.perf_counter() - began) * 1000
