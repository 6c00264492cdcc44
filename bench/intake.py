"""Intake: durable, verified, deduplicated webhooks a second, beside a bare Flask view and dj-stripe."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import disk, events, processes, product, venvs
from bench.load import Load, drive
from bench.processes import HOME, Running, Unmeasurable
from bench.report import Missing, Ratio, Target, at_least, at_most, median, number

PART = "intake"
CLIENTS = 16
PER_SECOND_AT_MOST = 12_000
# What the worker's calls take meanwhile: the real ones answer no faster.
PROVIDER_DELAY_MS = 200.0
DJSTRIPE_PATH = "/stripe/webhook/11111111-1111-4111-8111-111111111111/"
# dj-stripe reads most objects again from Stripe inside the request; for this type it does not: its best case.
DJSTRIPE_EVENT = "balance.available"


@dataclass(frozen=True, slots=True)
class Case:
    """One server to load. stores: whether it must get deliveries that it has never seen.

    warm_seconds: loaded that long before it counts; dj-stripe needs longer until both its workers are at speed.
    """

    name: str
    start: Callable[[Path], AbstractContextManager[Running]]
    path: str = product.WEBHOOK
    event_type: str = events.SIGNUP
    per_second_at_most: int = PER_SECOND_AT_MOST
    stores: bool = True
    warm_seconds: float = 1.0


@contextmanager
def bare_on_granian(folder: Path) -> Iterator[Running]:
    python, port = venvs.python_of("bare_flask"), processes.free_port()
    argv = [*product.granian(python, port, threads=1), "bare:app"]
    with processes.started(argv, folder, in_peer("bare_flask"), port=port) as running:
        yield running


@contextmanager
def bare_on_gunicorn(folder: Path) -> Iterator[Running]:
    with gunicorn("bare_flask", "bare:app", folder, {}, "-k", "gthread", "-w", "1", "--threads", "16") as running:
        yield running


@contextmanager
def djstripe(folder: Path) -> Iterator[Running]:
    """Two synchronous workers: measured as its fastest set-up on two cores."""
    shutil.copy(djstripe_seed(), folder / "peer.db")
    settings = {"PEER_DB": str(folder / "peer.db"), "PEER_SECRET": events.SECRET}
    with gunicorn("djstripe", "project:app", folder, settings, "-k", "sync", "-w", "2") as running:
        # Its port is open long before Django is up.
        processes.wait_until_answered(running, DJSTRIPE_PATH)
        yield running


def djstripe_seed() -> Path:
    """A migrated database with one endpoint; made once, for it takes a minute."""
    seed = HOME / "djstripe-seed.db"
    if not seed.is_file():
        python, making = venvs.python_of("djstripe"), seed.with_suffix(".making")
        making.unlink(missing_ok=True)
        settings = {**in_peer("djstripe"), "PEER_DB": str(making), "PEER_SECRET": events.SECRET}
        processes.run_to_end([python, str(venvs.PEERS / "djstripe" / "project.py")], settings, HOME, 300)
        making.rename(seed)
    return seed


@contextmanager
def gunicorn(peer: str, application: str, folder: Path, settings: dict[str, str], *how: str) -> Iterator[Running]:
    port = processes.free_port()
    argv = [
        venvs.python_of(peer), "-m", "gunicorn", "-b", f"127.0.0.1:{port}", "--no-control-socket",
        "--log-level", "error", *how, application,
    ]  # fmt: skip
    with processes.started(argv, folder, {**in_peer(peer), **settings}, port=port) as running:
        yield running


def in_peer(peer: str) -> dict[str, str]:
    return {"PYTHONPATH": str(venvs.PEERS / peer)}


def product_serve(*, worker: bool) -> Callable[[Path], AbstractContextManager[Running]]:
    @contextmanager
    def start(folder: Path) -> Iterator[Running]:
        with product.stand_in(folder) as providers:
            providers.reset(delay_ms=PROVIDER_DELAY_MS)
            with product.serve(folder, product.environment(folder, providers), worker=worker) as running:
                yield running

    return start


@contextmanager
def product_flask(folder: Path) -> Iterator[Running]:
    with product.flask_view(folder, product.environment(folder, None)) as running:
        yield running


GRANIAN, GUNICORN, DJSTRIPE = "bare Flask, granian WSGI", "bare Flask, gunicorn gthread", "dj-stripe 2.11"
ALONE, WORKING, VIEW = "serve --no-worker", "serve with its worker", "our Flask view, granian WSGI"
CASES = (
    Case(GRANIAN, bare_on_granian, stores=False, per_second_at_most=30_000),
    Case(ALONE, product_serve(worker=False)),
    Case(GUNICORN, bare_on_gunicorn, stores=False, per_second_at_most=30_000),
    Case(WORKING, product_serve(worker=True)),
    Case(DJSTRIPE, djstripe, DJSTRIPE_PATH, DJSTRIPE_EVENT, per_second_at_most=2_000, warm_seconds=3.0),
    Case(VIEW, product_flask),
)
# With its worker `serve` does two jobs at once, and how they share the cores is the machine's: for information.
RATIOS: tuple[tuple[str, str, float, Target | None, str], ...] = (
    (ALONE, GRANIAN, 100.0, at_least(40), "%"),
    (ALONE, GUNICORN, 1.0, at_least(2.5), "x"),
    (ALONE, DJSTRIPE, 1.0, at_least(25), "x"),
    (VIEW, DJSTRIPE, 1.0, at_least(15), "x"),
    (WORKING, GRANIAN, 100.0, None, "%"),
    (WORKING, GUNICORN, 1.0, None, "x"),
    (WORKING, DJSTRIPE, 1.0, None, "x"),
)


def measure(rounds: int, seconds: float) -> Iterator[Ratio | Missing]:
    """Every case once a round, the order turned by one each round; ratios are taken within a round."""
    loads: dict[str, list[Load]] = {}
    missing: dict[str, str] = {}
    for index in range(rounds):
        turn = index % len(CASES)
        for case in CASES[turn:] + CASES[:turn]:
            if case.name in missing:
                continue
            try:
                loads.setdefault(case.name, []).append(load_case(case, seconds))
            except Unmeasurable as error:
                missing[case.name] = str(error)
                loads.pop(case.name, None)
    for ours, theirs, factor, target, unit in RATIOS:
        name = f"{ours} / {theirs}"
        why = missing.get(ours) or missing.get(theirs)
        if why:
            yield Missing(PART, name, why)
            continue
        pairs = zip(loads[ours], loads[theirs], strict=True)
        ratios = tuple(factor * a.per_second / b.per_second for a, b in pairs)
        yield Ratio(PART, name, ratios, unit, target, figures(loads[ours]), figures(loads[theirs]))


def figures(loads: list[Load]) -> str:
    def middle(name: str) -> str:
        return number(median([getattr(load, name) for load in loads]))

    return f"{middle('per_second')}/s (p50 {middle('p50_ms')}, p99 {middle('p99_ms')} ms, {middle('cpu_us')} us CPU)"


def load_case(case: Case, seconds: float) -> Load:
    """Start the server afresh, warm it up for a second, load it, and count what it stored."""
    folder = product.fresh_folder("intake")
    pool = None if case.stores else shared_pool()
    with case.start(folder) as server:
        options = {"clients": CLIENTS, "event_type": case.event_type, "pool": pool}
        size = case.per_second_at_most
        warm = drive(server, case.path, seconds=case.warm_seconds, pool_size=int(size * case.warm_seconds), **options)  # type: ignore[arg-type]
        load = drive(server, case.path, seconds=seconds, pool_size=int(size * seconds), **options)  # type: ignore[arg-type]
        if case.start in (product_flask,) or case.name in (ALONE, WORKING):
            check_stored(folder, warm.answered + load.answered)
    return load


def shared_pool() -> Path:
    """Deliveries for servers that read nothing."""
    pool = HOME / "pool-of-bare.tsv"
    if not pool.is_file():
        events.write_pool(pool, 40_000)
    return pool


def check_stored(folder: Path, answered: int) -> None:
    peek = product.Peek(folder)
    stored = peek.stored()
    peek.close()
    if stored < answered:
        raise Unmeasurable(f"{answered} deliveries were answered 200 and only {stored} are stored")


def measure_one_client(rounds: int, seconds: float) -> Iterator[Ratio | Missing]:
    """The median of one client alone, less the median of a bare commit before and after it."""
    over, ours, floors = [], [], []
    name = "one client: median, above 1.5 commits"
    for _ in range(rounds):
        folder = product.fresh_folder("intake")
        try:
            with product.serve(folder, product.environment(folder, None), worker=False) as server:
                drive(server, product.WEBHOOK, clients=1, seconds=1, pool_size=8_000)
                before = disk.commit_floor(folder)
                load = drive(server, product.WEBHOOK, clients=1, seconds=seconds, pool_size=int(8_000 * seconds))
                after = disk.commit_floor(folder)
        except Unmeasurable as error:
            yield Missing(PART, name, str(error))
            return
        floor = (before.p50_ms + after.p50_ms) / 2
        floors.append(floor)
        ours.append(load.p50_ms)
        over.append(load.p50_ms - 1.5 * floor)
    yield Ratio(
        PART, name, tuple(over), "ms", at_most(0.7),
        f"p50 {number(median(ours))} ms", f"{number(median(floors))} ms a commit",
    )  # fmt: skip
