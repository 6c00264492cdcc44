"""Whether an event can be stored now, and what else is not as it should be. For anybody who asks: no details."""

from __future__ import annotations

from collections.abc import Callable

from gateway.errors import StorageUnavailable
from gateway.flow.receive import StorageProbe
from gateway.ports import Clock
from gateway.store import aftermath, inbox, providers
from gateway.store.database import Database

LATE_BACKLOG_MS = 60_000


class Health:
    """Asked by the health routes; safe from any thread."""

    def __init__(
        self, database: Database, probe: StorageProbe, clock: Clock, worker_problem: Callable[[], str | None]
    ) -> None:
        self._database = database
        self._probe = probe
        self._clock = clock
        self._worker_problem = worker_problem

    def cannot_store(self) -> str | None:
        """Why no event can be stored now; None when one can. May take as long as a write."""
        return self._probe.problem(self._clock.now_ms())

    def degraded(self) -> dict[str, str]:
        """What else is wrong: `worker`, `backlog`, `providers`, `restore`, each with a sentence."""
        found: dict[str, str] = {}
        worker = self._worker_problem()
        if worker is not None:
            found["worker"] = worker
        try:
            with self._database.read() as tx:
                backlog = inbox.backlog(tx)
                states = providers.states(tx)
                is_restored = aftermath.restored_at_ms(tx) is not None
        except StorageUnavailable:
            return found
        now_ms = self._clock.now_ms()
        oldest_ms = backlog.oldest_received_at_ms
        if oldest_ms is not None and now_ms - oldest_ms > LATE_BACKLOG_MS:
            found["backlog"] = "Events have been waiting for more than a minute to be applied. Is a worker running?"
        troubled = [s.name for s in states.values() if s.is_refusing or s.paused_until_ms > now_ms]
        if troubled:
            found["providers"] = f"Calls are held back from: {', '.join(sorted(troubled))}."
        if is_restored:
            found["restore"] = "A backup was put back: nothing is bought or given back until all was compared."
        return found
