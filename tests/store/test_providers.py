"""Providers: a pause that all workers honour, a breaker, and one probe over all processes."""

from __future__ import annotations

import threading
from collections.abc import Callable

from gateway.store import providers
from gateway.store.database import Database, Transaction
from gateway.store.providers import ProviderState
from tests.store.conftest import NOW_MS

MINUTE_MS = 60_000


def state(tx: Transaction, name: str = "twilio") -> ProviderState:
    return providers.states(tx)[name]


def test_nothing_is_known_of_a_provider_that_never_complained(tx: Transaction) -> None:
    assert providers.states(tx) == {}


def test_a_pause_holds_until_its_end_and_is_counted(tx: Transaction) -> None:
    providers.pause(tx, "twilio", NOW_MS + 10, NOW_MS)
    providers.pause(tx, "twilio", NOW_MS + 20, NOW_MS)

    assert state(tx) == ProviderState("twilio", paused_until_ms=NOW_MS + 20, pauses=2)


def test_a_shorter_pause_does_not_end_a_longer_one(tx: Transaction) -> None:
    providers.pause(tx, "twilio", NOW_MS + 900, NOW_MS)
    providers.pause(tx, "twilio", NOW_MS + 20, NOW_MS)

    assert state(tx).paused_until_ms == NOW_MS + 900


def test_pausing_one_provider_leaves_the_others_alone(tx: Transaction) -> None:
    providers.pause(tx, "twilio", NOW_MS + 10, NOW_MS)
    providers.pause(tx, "vapi", NOW_MS + 50, NOW_MS)
    providers.went_well(tx, "vapi")

    assert {name: each.pauses for name, each in providers.states(tx).items()} == {"twilio": 1, "vapi": 0}


def test_after_a_call_that_went_well_pauses_start_small_again(tx: Transaction) -> None:
    providers.pause(tx, "twilio", NOW_MS + 10, NOW_MS)

    providers.went_well(tx, "twilio")

    assert (state(tx).pauses, state(tx).paused_until_ms) == (0, NOW_MS + 10)


def test_refused_credentials_open_the_breaker_and_only_the_first_refusal_is_news(tx: Transaction) -> None:
    first = providers.refuse(tx, "twilio", "no longer valid", NOW_MS + MINUTE_MS, NOW_MS)
    second = providers.refuse(tx, "twilio", "something else", NOW_MS + 5 * MINUTE_MS, NOW_MS + 1)

    assert (first, second) == (True, False)
    assert state(tx) == ProviderState(
        "twilio", is_refusing=True, probe_at_ms=NOW_MS + MINUTE_MS, reason="no longer valid"
    )


def test_a_breaker_that_was_closed_can_open_again(tx: Transaction) -> None:
    providers.pause(tx, "twilio", NOW_MS + 7, NOW_MS)
    providers.refuse(tx, "twilio", "no", NOW_MS, NOW_MS)
    providers.accept(tx, "twilio", NOW_MS)
    closed = state(tx)

    opened = providers.refuse(tx, "twilio", "no again", NOW_MS + 1, NOW_MS)

    assert (closed.is_refusing, closed.reason, closed.paused_until_ms) == (False, None, NOW_MS + 7)
    assert opened
    assert (state(tx).is_refusing, state(tx).reason, state(tx).probe_at_ms) == (True, "no again", NOW_MS + 1)


def test_a_probe_is_taken_once_when_it_is_due(tx: Transaction) -> None:
    providers.refuse(tx, "twilio", "no", NOW_MS + MINUTE_MS, NOW_MS)

    early = providers.take_probe(tx, "twilio", NOW_MS + MINUTE_MS - 1, NOW_MS + 9 * MINUTE_MS)
    due = providers.take_probe(tx, "twilio", NOW_MS + MINUTE_MS, NOW_MS + 2 * MINUTE_MS)
    again = providers.take_probe(tx, "twilio", NOW_MS + MINUTE_MS, NOW_MS + 3 * MINUTE_MS)

    assert (early, due, again) == (False, True, False)
    assert state(tx).probe_at_ms == NOW_MS + 2 * MINUTE_MS


def test_a_provider_that_accepts_us_is_not_probed(tx: Transaction) -> None:
    providers.refuse(tx, "twilio", "no", NOW_MS, NOW_MS)
    providers.accept(tx, "twilio", NOW_MS)

    assert providers.take_probe(tx, "twilio", NOW_MS, NOW_MS + 1) is False
    assert providers.take_probe(tx, "vapi", NOW_MS, NOW_MS + 1) is False


def test_of_eight_processes_one_makes_the_probe(database: Database, another: Callable[[], Database]) -> None:
    with database.transaction() as tx:
        providers.refuse(tx, "twilio", "no", NOW_MS, NOW_MS)
    took: list[bool] = []
    start = threading.Barrier(8)

    def probe(worker: Database) -> None:
        start.wait(10)
        with worker.transaction() as tx:
            took.append(providers.take_probe(tx, "twilio", NOW_MS, NOW_MS + MINUTE_MS))

    workers = [threading.Thread(target=probe, args=(another(),)) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)

    assert sorted(took) == [False] * 7 + [True]
