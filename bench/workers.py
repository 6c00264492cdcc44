"""How much more several workers do than one; on SQLite there is one only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.backlog import Backlog, of_product
from bench.processes import Unmeasurable
from bench.report import Missing, Ratio, Target, at_least, median, number
from bench.sizes import PROCRASTINATE, SQLITE, Size

PART = "workers"


@dataclass(frozen=True, slots=True)
class Load:
    """What is worked off. threads: of each worker, few enough that calls are waited for and not this machine."""

    delay_ms: float
    tenants: int
    threads: int


FAST, SLOW = Load(0.0, 300, 64), Load(200.0, 120, 16)
COUNTS = (1, 2, 4)


def measure(rounds: int, seconds: float) -> Iterator[Ratio | Missing]:
    """`seconds` is not used: the same backlogs each round."""
    for work in (SLOW, FAST):
        yield from measure_one(work, rounds)


def measure_one(work: Load, rounds: int) -> Iterator[Ratio | Missing]:
    cases = [(SQLITE, 1), *((PROCRASTINATE, count) for count in COUNTS)]
    done: dict[tuple[Size, int], list[Backlog]] = {case: [] for case in cases}
    for index in range(rounds):
        turn = index % len(cases)
        for size, count in cases[turn:] + cases[:turn]:
            try:
                done[size, count].append(of_product(work.tenants, work.delay_ms, size, workers=count,
                                                    threads=work.threads, starts_first=True))  # fmt: skip
            except Unmeasurable as error:
                yield Missing(PART, f"{count} workers, providers of {work.delay_ms:.0f} ms, {size.name}", str(error))
                return
    one = done[PROCRASTINATE, 1]
    for count in COUNTS[1:]:
        target = at_least(1.8) if (count, work) == (2, SLOW) else None
        yield compared(f"{count} workers / 1", work, target, done[PROCRASTINATE, count], one)
    yield compared("1 worker / SQLite", work, None, one, done[SQLITE, 1])


def compared(name: str, work: Load, target: Target | None, ours: list[Backlog], theirs: list[Backlog]) -> Ratio:
    def told(backlogs: list[Backlog]) -> str:
        return f"{number(median([each.steady_per_second for each in backlogs]))} calls/s"

    return Ratio(
        PART, f"{name}, providers of {work.delay_ms:.0f} ms, {work.threads} threads each",
        tuple(a.steady_per_second / b.steady_per_second for a, b in zip(ours, theirs, strict=True)), "x", target,
        told(ours), told(theirs),
    )  # fmt: skip
