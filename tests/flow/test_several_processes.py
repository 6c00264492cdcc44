"""Several processes on one database, each with writers and connections of its own, at work at the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from gateway import wiring
from gateway.errors import EventWaits, OperatorError
from gateway.flow import operate
from gateway.flow.advance import advance
from gateway.flow.apply import apply_new, named
from gateway.flow.operate import Operator
from gateway.flow.turn import take_turn
from gateway.simulator.adapter import WorldAdapter
from gateway.store import inbox, tenants
from gateway.store.database import in_transaction
from gateway.store.engines import open_database
from tests import databases
from tests.stories.sandbox import DAY, Sandbox

SECONDS = 60.0
TURNS = 400


class Processes:
    """A sandbox, and more gateways beside its own."""

    def __init__(self, sandbox: Sandbox, count: int) -> None:
        self.sandbox = sandbox
        self.gateways = [sandbox.gateway]
        for seed in range(2, count + 1):
            database = open_database(sandbox.settings)
            made = wiring.build(
                sandbox.settings,
                database,
                clock=sandbox.clock,
                adapter=lambda: WorldAdapter(sandbox.world),
                seed=seed,
            )
            self.gateways.append(made)

    def close(self) -> None:
        for each in self.gateways[1:]:
            each.close()

    def work(self, *beside: Callable[[], None]) -> None:
        """All of them take turns until nothing is due, each in threads of its own."""
        calls = [lambda gateway=gateway, n=n: self._turns(gateway, f"worker-{n}") for n, gateway in
                 enumerate(self.gateways)]  # fmt: skip
        in_threads(*calls, *beside)

    def _turns(self, gateway: wiring.Gateway, owner: str) -> None:
        for _ in range(TURNS):
            found = take_turn(gateway.steps, gateway.news, owner, 4)
            in_threads(*[lambda claim=claim: advance(gateway.steps, claim) for claim in found.claims])
            if not found.claims and self._is_at_rest():
                return
            if not found.claims:
                # Others are at work: turns in vain would only take the processor from them.
                time.sleep(0.01)
        raise AssertionError("never comes to rest")

    def _is_at_rest(self) -> bool:
        with self.sandbox.database.read() as tx:
            news = inbox.backlog(tx).new
            leased = tx.one("SELECT 1 AS one FROM tenants WHERE lease_owner IS NOT NULL LIMIT 1")
        due_ms = self.sandbox.next_due_ms()
        return not news and leased is None and (due_ms is None or due_ms > self.sandbox.clock.at_ms)

    def settle(self, seconds: float) -> None:
        """The same, moving the clock from one due moment to the next."""
        end_ms = self.sandbox.clock.at_ms + int(seconds * 1000)
        for _ in range(TURNS):
            self.work()
            due_ms = self.sandbox.next_due_ms()
            if due_ms is None or due_ms > end_ms:
                return
            self.sandbox.clock.at_ms = max(self.sandbox.clock.at_ms, due_ms)
        raise AssertionError("never comes to rest")


def in_threads(*calls: Callable[[], object]) -> None:
    errors: list[BaseException] = []

    def guarded(call: Callable[[], object]) -> None:
        try:
            call()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(call,), daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert not errors, errors
    assert not any(thread.is_alive() for thread in threads)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., Processes]]:
    with ExitStack() as stack:

        def start(count: int = 3, **settings: str) -> Processes:
            sandbox = Sandbox(tmp_path, settings)
            stack.callback(sandbox.close)
            made = Processes(sandbox, count)
            stack.callback(made.close)
            return made

        yield start


def test_every_tenant_gets_one_number_whoever_works_and_whatever_is_told_meanwhile(
    started: Callable[..., Processes],
) -> None:
    processes = started()
    sandbox, keys = processes.sandbox, [f"tenant-{n}" for n in range(12)]
    for key in keys:
        sandbox.deliver("checkout.completed", key)

    def tell_more() -> None:
        for key in keys:
            sandbox.deliver("subscription.updated", key)
            sandbox.deliver("invoice.paid", key)

    def operate_on_them() -> None:
        who = Operator("tester", "why not")
        database, rules = processes.gateways[-1].database, sandbox.gateway.rules
        for key in reversed(keys):
            for action in (operate.redo, operate.retry):
                try:
                    in_transaction(database, lambda tx: action(tx, key, rules, who, sandbox.clock.at_ms))  # noqa: B023
                except OperatorError:
                    continue

    processes.work(tell_more, operate_on_them)
    processes.settle(3600)

    assert {sandbox.export(key)["state"] for key in keys} == {"active"}
    assert len(sandbox.purchases()) == len(sandbox.numbers()) == len(sandbox.entries()) == len(keys)
    with sandbox.database.read() as tx:
        assert {row.status for row in inbox.list_events(tx, limit=500)} <= {"applied", "ignored"}


def test_the_spend_cap_holds_over_all_processes(started: Callable[..., Processes]) -> None:
    processes = started(MAX_PURCHASES_PER_HOUR="3")
    keys = [f"tenant-{n}" for n in range(9)]
    for key in keys:
        processes.sandbox.deliver("checkout.completed", key)

    processes.work()

    assert len(processes.sandbox.purchases()) == 3
    blocked = [key for key in keys if processes.sandbox.export(key)["blocked"] == "spend_cap"]
    assert len(blocked) == 6


def test_the_release_brake_holds_over_all_processes(started: Callable[..., Processes]) -> None:
    processes = started(RELEASE_AFTER_DAYS="1", MAX_RELEASES_PER_HOUR="2")
    sandbox, keys = processes.sandbox, [f"tenant-{n}" for n in range(6)]
    for key in keys:
        sandbox.deliver("checkout.completed", key)
    processes.settle(600)
    for key in keys:
        sandbox.deliver("subscription.deleted", key)
    processes.work()
    sandbox.clock.at_ms += DAY * 1000 + 60_000

    processes.work()

    assert sum(sandbox.export(key)["blocked"] == "release_brake" for key in keys) == 4


def test_news_is_applied_by_one_process_and_the_others_leave_it_to_that_one(
    started: Callable[..., Processes],
) -> None:
    processes = started(2)
    processes.sandbox.deliver("checkout.completed")
    first, second = processes.gateways
    if not databases.is_postgres():
        # One write at a time: nobody else is ever in the middle of it.
        return

    with first.database.transaction() as tx:
        mine = apply_new(tx, first.news, processes.sandbox.clock.at_ms)
        with second.database.transaction() as other:
            theirs = apply_new(other, second.news, processes.sandbox.clock.at_ms)

    assert [event.status for event in mine.events] == ["applied"]
    assert (theirs.events, theirs.is_left) == ((), True)


def test_news_of_a_tenant_that_somebody_is_changing_is_left_to_the_next_turn(
    started: Callable[..., Processes],
) -> None:
    processes = started(2)
    sandbox, (first, second) = processes.sandbox, processes.gateways
    for key in ("acme", "beta"):
        sandbox.deliver("checkout.completed", key)
    processes.work()
    for key in ("acme", "beta"):
        sandbox.deliver("invoice.paid", key)
    if not databases.is_postgres():
        return

    with second.database.transaction() as tx:
        tenants.lock(tx, sandbox.tenant("acme").id)
        found = take_turn(first.steps, first.news, "worker-1", 4)
    with first.database.read() as tx:
        left = [row.status for row in inbox.list_events(tx, status="new")]
    processes.work()

    assert left == ["new"]
    assert found.next_due_at_ms is not None
    with first.database.read() as tx:
        assert inbox.backlog(tx).new == 0


def test_one_key_is_never_the_key_of_one_tenant_and_the_alias_of_another(started: Callable[..., Processes]) -> None:
    processes = started(2)
    sandbox, now_ms = processes.sandbox, processes.sandbox.clock.at_ms
    first, second = [gateway.database for gateway in processes.gateways]
    for n in range(12):
        key = f"tenant-{n}"
        own = in_transaction(first, lambda tx: tenants.create(tx, f"sub_{n}", now_ms, self_named=True))  # noqa: B023

        def give_alias(key: str = key, tenant_id: int = own.id) -> None:
            with suppress(EventWaits):
                in_transaction(first, lambda tx: named(tx, key, tenant_id, now_ms))

        def add(key: str = key) -> None:
            in_transaction(second, lambda tx: operate.find_or_create(tx, key, now_ms))

        in_threads(give_alias, add, add)

    with sandbox.database.read() as tx:
        both = tx.all("SELECT alias_key FROM tenant_aliases JOIN tenants ON tenant_key = alias_key")
    assert both == []
