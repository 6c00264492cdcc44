"""Provider calls a second on PostgreSQL, beside peers that make the same calls on the same server."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bench import postgres
from bench.backlog import Backlog, of_peer, of_product
from bench.calls import compared
from bench.processes import Unmeasurable
from bench.report import Missing, Ratio, Target, at_least
from bench.sizes import EMBEDDED, PROCRASTINATE, SQLITE, Size

PART = "engines"
TENANTS = 300


def ours(size: Size) -> Callable[[], Backlog]:
    return lambda: of_product(TENANTS, 0.0, size)


def theirs(peer: str, *options: str) -> Callable[[], Backlog]:
    def run() -> Backlog:
        with postgres.fresh_database() as url:
            return of_peer(peer, TENANTS, "--database", url, *options)

    return run


ON_SQLITE, ONE, MANY = "SQLite", "ENGINE=embedded", "ENGINE=procrastinate"
DBOS, DBOS_CALLS = "DBOS 3.4", "DBOS 3.4, each call a step"
PLAIN, NOTHING = "plain Procrastinate", "the calls alone, nothing stored"
CASES: dict[str, Callable[[], Backlog]] = {
    ONE: ours(EMBEDDED),
    DBOS: theirs("dbos"),
    MANY: ours(PROCRASTINATE),
    PLAIN: theirs("plain_procrastinate"),
    ON_SQLITE: ours(SQLITE),
    DBOS_CALLS: theirs("dbos", "--steps", "call"),
    NOTHING: lambda: of_peer("no_engine", TENANTS),
}
RATIOS: tuple[tuple[str, str, Target | None], ...] = (
    (ONE, DBOS, at_least(5)),
    (ONE, PLAIN, at_least(4)),
    (MANY, DBOS, at_least(2)),
    (MANY, PLAIN, at_least(1.5)),
    (ONE, DBOS_CALLS, None),
    (MANY, DBOS_CALLS, None),
    (ONE, ON_SQLITE, None),
    (MANY, ON_SQLITE, None),
    (NOTHING, DBOS, None),
    (NOTHING, PLAIN, None),
)


def measure(rounds: int, seconds: float) -> Iterator[Ratio | Missing]:
    """Every case once a round, the order turned by one each round; `seconds` is not used."""
    done: dict[str, list[Backlog]] = {name: [] for name in CASES}
    missing: dict[str, str] = {}
    names = list(CASES)
    for index in range(rounds):
        turn = index % len(names)
        for name in names[turn:] + names[:turn]:
            if name in missing:
                continue
            try:
                done[name].append(CASES[name]())
            except Unmeasurable as error:
                missing[name] = str(error)
    for one, other, target in RATIOS:
        why = missing.get(one) or missing.get(other)
        if why:
            yield Missing(PART, f"{one} / {other}", why)
        else:
            yield compared(PART, f"{one} / {other}", target, done[one], done[other])
