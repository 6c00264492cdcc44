"""Intake of both sizes side by side, at 16 and 64 clients, beside DBOS taking the same webhooks on the same server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from bench import events, intake, postgres, processes, product, venvs
from bench.intake import figures
from bench.load import Load, drive
from bench.processes import Running, Unmeasurable
from bench.report import Missing, Ratio, Target, at_least
from bench.sizes import EMBEDDED, PROCRASTINATE, SQLITE, Size, installed

PART = "intake-sizes"
CLIENTS = (16, 64)
WARM_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Taking:
    """A server that takes webhooks. stored: counts what it has stored so far."""

    server: Running
    stored: Callable[[], int]


@contextmanager
def taking(size: Size) -> Iterator[Taking]:
    """`serve --no-worker`: what comes in is stored, and whoever would work for it is told."""
    with (
        installed(size, "intake", None) as installation,
        product.serve(installation.folder, dict(installation.settings), worker=False) as server,
    ):
        peek = installation.peek()
        yield Taking(server, peek.stored)
        peek.close()


@contextmanager
def dbos() -> Iterator[Taking]:
    """Two processes of 16 threads: measured as its fastest set-up on two cores."""
    folder, python = product.fresh_folder("intake"), venvs.python_of("dbos")
    with postgres.fresh_database() as url:
        settings = {**intake.in_peer("dbos"), "PEER_DB": url, "PEER_SECRET": events.SECRET}
        processes.run_to_end([python, str(venvs.PEERS / "dbos" / "enqueue.py")], settings, folder)
        port = processes.free_port()
        argv = [
            python, "-m", "gunicorn", "-b", f"127.0.0.1:{port}", "--no-control-socket", "--log-level", "error",
            "-k", "gthread", "-w", "2", "--threads", "16", "enqueue:app",
        ]  # fmt: skip
        with processes.started(argv, folder, settings, port=port, ready="/healthz") as server:
            yield Taking(server, lambda: postgres.count(url, "dbos.workflow_status"))


@dataclass(frozen=True, slots=True)
class Case:
    start: Callable[[], AbstractContextManager[Taking]]
    per_second_at_most: int = intake.PER_SECOND_AT_MOST


FILE, MANY, ONE, DBOS = "SQLite", "PostgreSQL", "PostgreSQL, ENGINE=embedded", "DBOS 3.4 enqueue"
CASES = {
    FILE: Case(lambda: taking(SQLITE)),
    MANY: Case(lambda: taking(PROCRASTINATE)),
    DBOS: Case(dbos, per_second_at_most=3_000),
    ONE: Case(lambda: taking(EMBEDDED)),
}
RATIOS: tuple[tuple[str, str, float, Target, str], ...] = (
    (MANY, FILE, 100.0, at_least(60), "%"),
    (ONE, FILE, 100.0, at_least(60), "%"),
    (MANY, DBOS, 1.0, at_least(2), "x"),
    (ONE, DBOS, 1.0, at_least(2), "x"),
)


def measure(rounds: int, seconds: float) -> Iterator[Ratio | Missing]:
    """Every case once a round at each number of clients, the order turned by one each round."""
    loads: dict[tuple[str, int], list[Load]] = {(name, clients): [] for name in CASES for clients in CLIENTS}
    missing: dict[str, str] = {}
    names = list(CASES)
    for index in range(rounds):
        turn = index % len(names)
        for clients in CLIENTS:
            for name in names[turn:] + names[:turn]:
                if name in missing:
                    continue
                try:
                    loads[name, clients].append(load_case(CASES[name], clients, seconds))
                except Unmeasurable as error:
                    missing[name] = str(error)
    for clients in CLIENTS:
        for ours, theirs, factor, target, unit in RATIOS:
            name = f"intake, {clients} clients: {ours} / {theirs}"
            why = missing.get(ours) or missing.get(theirs)
            if why:
                yield Missing(PART, name, why)
                continue
            pairs = zip(loads[ours, clients], loads[theirs, clients], strict=True)
            ratios = tuple(factor * a.per_second / b.per_second for a, b in pairs)
            yield Ratio(
                PART, name, ratios, unit, target, figures(loads[ours, clients]), figures(loads[theirs, clients])
            )  # fmt: skip


def load_case(case: Case, clients: int, seconds: float) -> Load:
    """Start the server afresh, warm it up, load it, and count what it stored."""
    with case.start() as taking:
        answered, load = 0, None
        for length in (WARM_SECONDS, seconds):
            load = drive(
                taking.server, product.WEBHOOK, clients=clients, seconds=length,
                pool_size=int(case.per_second_at_most * length),
            )  # fmt: skip
            answered += load.answered
        stored = taking.stored()
    if stored < answered:
        raise Unmeasurable(f"{answered} deliveries were answered 200 and only {stored} are stored")
    assert load is not None
    return load
