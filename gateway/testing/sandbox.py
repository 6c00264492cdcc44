"""A whole gateway and the pretend world in one process, under a clock by hand.

No thread of the scheduler runs: `settle` takes turns and advances tenants itself, and moves the clock to the next
thing that is due, so that a story of forty days takes a moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway import wiring
from gateway.domain.model import Delivery, Tenant
from gateway.flow import export
from gateway.flow.advance import advance
from gateway.flow.receive import read_verified
from gateway.flow.turn import take_turn
from gateway.ports import never
from gateway.settings import load, with_world
from gateway.simulator.adapter import WorldAdapter
from gateway.simulator.world import World
from gateway.store import inbox, leases, tenants
from gateway.store.database import Database, Transaction
from gateway.store.engines import open_database

WORLD_URL = "http://127.0.0.1:9"
START_MS = 1_795_000_000_000
DAY = 86_400
MOST_TURNS = 4000


class ManualClock:
    """Stands still until it is moved; the world goes with it."""

    def __init__(self) -> None:
        self.at_ms = START_MS
        self.before_next_read: Callable[[], None] | None = None

    def now_ms(self) -> int:
        return self.at_ms

    def monotonic(self) -> float:
        return self.at_ms / 1000


class EnoughSlots:
    """No process beside this one, and one call after the other."""

    @contextmanager
    def hold(self, provider: str, gives_up: Callable[[], bool]) -> Iterator[Callable[[], bool]]:
        yield never

    def expect_calls(self) -> None:
        """There are always enough."""

    def close(self) -> None:
        """Nothing is held."""


class Installation:
    """One gateway with its database, in a pretend world of its own."""

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, str] | None = None,
        seed: int = 1,
        *,
        world: type[World] = World,
    ) -> None:
        """folder: where its database is, unless `settings` (as in docs/settings.md) says otherwise."""
        self.clock = ManualClock()
        environ = {"GATEWAY_MODE": "sandbox", "DATABASE_URL": f"sqlite:///{folder}/gateway.db", **(settings or {})}
        self.settings = with_world(load(environ), WORLD_URL, "test")
        # What this machine keeps for itself stays in the test's folder, whichever database it is.
        self.settings = replace(self.settings, database=replace(self.settings.database, path=folder / "gateway.db"))
        self.world = world(now=self.clock.now_ms, **wiring.world_options(self.settings))
        self.seed = seed
        self.gateway = self._open()

    def _open(self) -> wiring.Gateway:
        database = open_database(self.settings)
        return wiring.build(
            self.settings,
            database,
            clock=self.clock,
            adapter=lambda: WorldAdapter(self.world),
            seed=self.seed,
            slots=EnoughSlots(),
        )

    def close(self) -> None:
        self.gateway.close()
        self.world.close()

    @property
    def database(self) -> Database:
        return self.gateway.database

    # --- webhooks ----------------------------------------------------------------------------------------------------

    def deliver(self, name: str, tenant: str | None = "acme", **given: Any) -> dict[str, int]:
        """One signed event of the tenant's life at Stripe, sent and stored; gives what became of it."""
        return self.send(self.event(name, tenant, **given))

    def event(self, name: str, tenant: str | None = "acme", **given: Any) -> dict[str, Any]:
        """A signed event, not sent. `set`: path -> value inside its object."""
        order: dict[str, Any] = {"name": name, **given}
        if tenant is not None:
            order["tenant"] = tenant
        made: dict[str, Any] = self.world.delivery(order)
        return made

    def send(self, event: Mapping[str, Any]) -> dict[str, int]:
        headers = {name.lower(): value for name, value in event["headers"].items()}
        body = event["body"].encode() if isinstance(event["body"], str) else event["body"]
        delivery = Delivery("stripe", headers, body, self.clock.at_ms)
        source = self.gateway.sources["stripe"]
        receipt = self.gateway.intake.call(read_verified(source, delivery, self.clock.at_ms))
        return {"accepted": receipt.accepted, "duplicates": receipt.duplicates, "conflicts": receipt.conflicts}

    # --- work --------------------------------------------------------------------------------------------------------

    def turn(self, owner: str = "worker-1") -> int:
        """One turn: apply, claim, advance what was claimed; how many tenants were worked for."""
        gateway = self.gateway
        found = take_turn(gateway.steps, gateway.news, owner, 64)
        for claim in found.claims:
            advance(gateway.steps, claim)
        return len(found.claims)

    def work(self) -> None:
        """Do everything that is due now, without moving the clock."""
        for _ in range(MOST_TURNS):
            before = self.next_due_ms()
            if self.turn() == 0 and not self._has_news():
                return
            if before is not None and before > self.clock.at_ms:
                return
        raise AssertionError("the gateway never comes to rest")

    def settle(self, seconds: float = 3600) -> None:
        """Work, moving the clock from one due moment to the next, until nothing is due within `seconds`."""
        end_ms = self.clock.at_ms + int(seconds * 1000)
        for _ in range(MOST_TURNS):
            self.turn()
            due_ms = self.next_due_ms()
            if due_ms is None or due_ms > end_ms:
                return
            if due_ms > self.clock.at_ms:
                self.clock.at_ms = due_ms
        raise AssertionError("the gateway never comes to rest")

    def wait(self, *, days: float = 0, seconds: float = 0) -> None:
        """Let time pass, with the gateway at work all along."""
        end_ms = self.clock.at_ms + int((days * DAY + seconds) * 1000)
        self.settle((end_ms - self.clock.at_ms) / 1000)
        self.clock.at_ms = end_ms
        self.settle(0)

    def next_due_ms(self) -> int | None:
        """When something is due next; news is due at once."""
        with self.database.read() as tx:
            times = [leases.next_due_at_ms(tx), inbox.next_due_at_ms(tx)]
            times += [row.received_at_ms for row in inbox.take_new(tx, 1)]
        return min((at_ms for at_ms in times if at_ms is not None), default=None)

    def _has_news(self) -> bool:
        with self.database.read() as tx:
            return bool(inbox.take_new(tx, 1))

    # --- looking -----------------------------------------------------------------------------------------------------

    def tenant(self, key: str = "acme") -> Tenant:
        with self.database.read() as tx:
            found = tenants.by_key(tx, key)
        assert found is not None, f"no tenant {key}"
        return found

    def known(self, key: str) -> bool:
        with self.database.read() as tx:
            return tenants.by_key(tx, key) is not None

    def export(self, key: str = "acme") -> dict[str, Any]:
        tenant = self.tenant(key)
        with self.database.read() as tx:
            return export.line(tx, tenant, self.gateway.rules)

    def query(self, question: Callable[[Transaction], Any]) -> Any:
        with self.database.read() as tx:
            return question(tx)

    def numbers(self) -> list[dict[str, Any]]:
        """What really is in the Twilio account."""
        return list(self.world.state()["numbers"])

    def entries(self) -> list[dict[str, Any]]:
        """What Vapi really has."""
        return list(self.world.state()["entries"])

    def purchases(self) -> list[dict[str, Any]]:
        return self.world.purchases()

    def calls(self, operation: str) -> int:
        """How often an operation was called."""
        return int(self.world.calls().get(operation, 0))

    def fault(self, operation: str, kind: str, **given: Any) -> None:
        self.world.add_fault({"operation": operation, "kind": kind, **given})
