"""Provider calls a second: a backlog of signups worked off, beside DBOS making the same calls."""

from __future__ import annotations

from collections.abc import Iterator

from bench import product
from bench.backlog import Backlog, of_peer, of_product, words
from bench.processes import Unmeasurable
from bench.report import Missing, Ratio, Target, at_least, median, number

PART, SLOW_PART = "calls", "slow-calls"
TENANTS, PEER_TENANTS, SLOW_TENANTS = 400, 100, 500
SLOW_DELAY_MS = 200.0
SLOW_LIMIT = product.THREADS / (SLOW_DELAY_MS / 1e3)


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
                    url = f"sqlite:///{product.fresh_folder('dbos') / 'dbos.sqlite'}"
                    theirs[shape].append(of_peer("dbos", PEER_TENANTS, "--database", url, "--steps", shape))
                except Unmeasurable as error:
                    missing[shape] = str(error)
    for shape, (name, target) in shapes.items():
        if shape in missing:
            yield Missing(PART, name, missing[shape])
        else:
            yield compared(PART, name, target, ours, theirs[shape])


def compared(part: str, name: str, target: Target | None, ours: list[Backlog], theirs: list[Backlog]) -> Ratio:
    ratios = tuple(a.per_second / b.per_second for a, b in zip(ours, theirs, strict=True))
    return Ratio(part, name, ratios, "x", target, words(ours), words(theirs))


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
