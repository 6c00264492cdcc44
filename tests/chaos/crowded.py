"""Two gateways on one PostgreSQL database, the second of which acts between any two statements of the first.

What real processes do to each other within a millisecond, and seldom, happens here at a chosen place, and often. The
second one waits for a lock for a moment only: nobody would give it up while the first one stands still.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway import wiring
from gateway.domain.model import Delivery
from gateway.flow.advance import advance
from gateway.flow.receive import read_verified
from gateway.flow.turn import take_turn
from gateway.settings import Secret
from gateway.simulator.adapter import WorldAdapter
from gateway.store.database import Transaction
from gateway.store.engines import open_database
from gateway.store.postgres import PostgresDatabase
from tests.chaos.cluster import make_url
from tests.stories.sandbox import EnoughSlots, Sandbox

LOCK_MS = 40
STATEMENTS = frozenset({"all", "one", "do", "insert", "run", "lock", "try_lock"})


class Watched:
    """A transaction that tells before each of its statements."""

    def __init__(self, tx: Transaction, tell: Callable[[], None]) -> None:
        self._tx = tx
        self._tell = tell

    def __getattr__(self, name: str) -> Any:
        if name in STATEMENTS:
            self._tell()
        return getattr(self._tx, name)


class InterruptedDatabase(PostgresDatabase):
    """Something happens, once, after so many statements: before the next one, or before the commit."""

    after_statements: int | None = None
    happens: Callable[[], None]

    def _count(self) -> None:
        if self.after_statements is None:
            return
        self.after_statements -= 1
        if self.after_statements < 0:
            self.after_statements = None
            self.happens()

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        with super().transaction() as tx:
            yield Watched(tx, self._count)
            self._count()

    @contextmanager
    def read(self, *given: Any, **named: Any) -> Iterator[Any]:
        with super().read(*given, **named) as tx:
            yield Watched(tx, self._count)


class CrowdedSandbox(Sandbox):
    """A sandbox with a second gateway. Whatever `second` does may raise what a database in use raises."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None, seed: int = 1) -> None:
        super().__init__(folder, settings, seed)
        url = make_url(str(self.settings.database.conninfo), options=f"-c lock_timeout={LOCK_MS}ms")
        impatient = replace(self.settings, database=replace(self.settings.database, conninfo=Secret(url)))
        self.second = self._build(PostgresDatabase(url), seed + 1000, impatient)

    def _open(self) -> wiring.Gateway:
        open_database(self.settings).close()
        return self._build(InterruptedDatabase(str(self.settings.database.conninfo)), self.seed, self.settings)

    def _build(self, database: PostgresDatabase, seed: int, settings: Any) -> wiring.Gateway:
        def adapter() -> WorldAdapter:
            return WorldAdapter(self.world)

        return wiring.build(settings, database, clock=self.clock, adapter=adapter, seed=seed, slots=EnoughSlots())

    def interrupt(self, after_statements: int | None, happens: Callable[[], None]) -> None:
        """Have something happen in the midst of a transaction of the first gateway; None: nothing any more."""
        assert isinstance(self.database, InterruptedDatabase)
        self.database.happens = happens
        self.database.after_statements = after_statements

    def second_turn(self) -> None:
        found = take_turn(self.second.steps, self.second.news, "second", 64)
        for claim in found.claims:
            advance(self.second.steps, claim)

    def second_send(self, event: Mapping[str, Any]) -> None:
        headers = {name.lower(): value for name, value in event["headers"].items()}
        delivery = Delivery("stripe", headers, event["body"].encode(), self.clock.at_ms)
        source = self.second.sources["stripe"]
        self.second.intake.call(read_verified(source, delivery, self.clock.at_ms))

    def close(self) -> None:
        self.second.close()
        super().close()
