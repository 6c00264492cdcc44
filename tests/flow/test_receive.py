"""Intake: stored before answered, one bad delivery harms no other, and a flood costs next to nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.model import Event
from gateway.errors import SignatureInvalid, StorageUnavailable
from gateway.flow.receive import (
    MOST_CLIENTS,
    REJECTIONS_PAUSE_SECONDS,
    Intake,
    Rejections,
    StorageProbe,
    read_verified,
)
from gateway.store import inbox, rejections
from gateway.store.database import Database
from gateway.store.inbox import Incoming, Receipt
from gateway.store.rejections import RING_SLOTS, Rejection
from gateway.store.sqlite import SqliteDatabase
from tests import databases
from tests.integrations.senders import NOW_MS, STRIPE

PATIENCE_SECONDS = 10.0


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = databases.open_database(tmp_path)
    yield database
    database.close()


@pytest.fixture
def intake(database: Database) -> Iterator[Intake]:
    intake = Intake(database)
    yield intake
    intake.close()


def incoming(event_id: str, source: Any = "stripe") -> Incoming:
    return Incoming((Event(source, event_id, "t", NOW_MS, "hash", b"{}"),), NOW_MS)


def count(database: Database) -> int:
    with database.read() as tx:
        return len(inbox.list_events(tx, limit=10_000))


class Gate:
    """Holds the write lock of a database until it is opened."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._held, self._open = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._hold)

    def _hold(self) -> None:
        with self._database.transaction():
            self._held.set()
            self._open.wait(PATIENCE_SECONDS)

    def __enter__(self) -> Gate:
        self._thread.start()
        self._held.wait(PATIENCE_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.set()
        self._thread.join()


# --- reading a delivery ----------------------------------------------------------------------------------------------


def test_a_verified_delivery_is_read() -> None:
    delivery = STRIPE.delivery()

    assert read_verified(STRIPE.source, delivery, NOW_MS) == Incoming(STRIPE.source.read(delivery), NOW_MS)


def test_a_delivery_is_not_even_read_before_its_signature_was_checked() -> None:
    with pytest.raises(SignatureInvalid):
        read_verified(STRIPE.source, STRIPE.delivery(b"not json", secret="whsec_other"), NOW_MS)


# --- the intake ------------------------------------------------------------------------------------------------------


def test_what_is_answered_is_stored(intake: Intake, database: Database) -> None:
    assert intake.call(incoming("evt_1")) == Receipt(accepted=1)
    assert intake.call(incoming("evt_1")) == Receipt(duplicates=1)

    assert count(database) == 1


def test_making_an_intake_starts_nothing(database: Database) -> None:
    before = threading.active_count()

    Intake(database).close()

    assert threading.active_count() == before


def test_nobody_is_answered_before_the_commit(intake: Intake, database: Database) -> None:
    answers: list[object] = []
    done = threading.Event()

    def answered(result: object) -> None:
        answers.append(result)
        done.set()

    with Gate(database):
        intake.submit(incoming("evt_1"), answered)
        assert not answers
        assert intake.waiting_rows == 1

    assert done.wait(PATIENCE_SECONDS)
    assert answers == [Receipt(accepted=1)]
    assert intake.waiting_rows == 0


def test_two_hundred_threads_with_one_event_store_it_once(intake: Intake, database: Database) -> None:
    receipts: list[Receipt] = []
    threads = [threading.Thread(target=lambda: receipts.append(intake.call(incoming("evt_1")))) for _ in range(200)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(receipt.accepted for receipt in receipts) == 1
    assert sum(receipt.duplicates for receipt in receipts) == 199
    assert count(database) == 1


def test_those_who_wait_together_are_stored_together_and_the_bell_rings_once_a_batch(
    intake: Intake, database: Database
) -> None:
    order: list[object] = []
    finished = threading.Event()
    intake.call(incoming("first"))

    def ring() -> None:
        order.append("bell")
        if len(order) > 20:
            finished.set()

    intake.ring_after_batch(ring)

    with Gate(database):
        intake.submit(incoming("evt_0"), lambda result: order.append(0))
        while_waiting = range(1, 21)
        for n in while_waiting:
            intake.submit(incoming(f"evt_{n}"), lambda result, n=n: order.append(n))  # type: ignore[misc]

    assert finished.wait(PATIENCE_SECONDS)
    assert [each for each in order if each != "bell"] == list(range(21))
    assert 1 <= order.count("bell") <= 2
    assert order[-1] == "bell"


def test_news_is_announced_only_after_a_commit_that_brought_some(database: Database) -> None:
    seen: list[int] = []
    intake = Intake(database, on_news=lambda: seen.append(count(database)))

    intake.call(incoming("evt_1"))
    intake.call(incoming("evt_1"))
    intake.call(incoming("evt_2"))
    intake.close()

    assert seen == [1, 2]


def test_one_delivery_that_cannot_be_stored_harms_no_neighbour(intake: Intake, database: Database) -> None:
    results: dict[str, object] = {}
    finished = threading.Event()

    def keep(name: str) -> Callable[[object], None]:
        def done(result: object) -> None:
            results[name] = result
            if len(results) == 3:
                finished.set()

        return done

    with Gate(database):
        intake.submit(incoming("evt_1"), keep("before"))
        intake.submit(incoming("evt_2", source=object()), keep("broken"))
        intake.submit(incoming("evt_3"), keep("after"))

    assert finished.wait(PATIENCE_SECONDS)
    assert (results["before"], results["after"]) == (Receipt(accepted=1), Receipt(accepted=1))
    assert isinstance(results["broken"], Exception)
    assert count(database) == 2


def test_an_answer_that_fails_does_not_stop_the_writer(intake: Intake) -> None:
    def fail(result: object) -> None:
        raise RuntimeError("the client is gone")

    intake.submit(incoming("evt_1"), fail)

    assert intake.call(incoming("evt_2")) == Receipt(accepted=1)


def test_beyond_what_may_wait_the_next_delivery_is_refused_at_once(database: Database) -> None:
    intake = Intake(database, max_rows=2)
    done = threading.Event()

    with Gate(database):
        intake.submit(incoming("evt_1"), lambda result: None)
        intake.submit(incoming("evt_2"), lambda result: done.set())
        assert intake.is_full
        with pytest.raises(StorageUnavailable) as caught:
            intake.submit(incoming("evt_3"), lambda result: None)

    assert caught.value.retry_after_seconds > 0
    assert done.wait(PATIENCE_SECONDS)
    intake.close()
    assert count(database) == 2


def test_closing_stores_what_waits(database: Database) -> None:
    intake = Intake(database)
    for n in range(50):
        intake.submit(incoming(f"evt_{n}"), lambda result: None)

    intake.close()

    assert count(database) == 50


# --- rejections ------------------------------------------------------------------------------------------------------


class Timer:
    """Keeps what is to be called later."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, Callable[[], None]]] = []

    def __call__(self, seconds: float, call: Callable[[], None]) -> None:
        self.calls.append((seconds, call))

    def fire(self) -> None:
        calls, self.calls = self.calls, []
        for _, call in calls:
            call()


def written(database: Database, source: str = "stripe") -> Sequence[int]:
    with database.read() as tx:
        return [rejection.at_ms for rejection in rejections.of_source(tx, source)]


def rejection(at_ms: int) -> Rejection:
    return Rejection(at_ms, "signature_invalid", 0, 100)


def test_a_flood_of_rejections_is_one_write_of_the_newest(database: Database) -> None:
    timer = Timer()
    ring = Rejections(database, timer)

    for n in range(100_000):
        ring.note("stripe", rejection(n))

    assert [seconds for seconds, _ in timer.calls] == [REJECTIONS_PAUSE_SECONDS]
    assert written(database) == []
    timer.fire()
    assert written(database) == list(range(99_999, 99_999 - RING_SLOTS, -1))
    assert timer.calls == []


def test_a_flood_of_rejections_is_one_line_of_the_log_for_each_reason(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    timer = Timer()
    ring = Rejections(database, timer)
    for n in range(500):
        ring.note("stripe", rejection(n), f"2001:db8::{n % 7 % 5}")
    ring.note("stripe", Rejection(1, "signature_missing", None, 0), "192.0.2.7")

    timer.fire()
    timer.fire()

    fields = [vars(record)["fields"] for record in caplog.records if record.message == "webhooks.refused"]
    most = ["2001:db8::0", "2001:db8::1", "2001:db8::2"]
    assert fields == [
        {"source": "stripe", "code": "signature_invalid", "times": 500, "clients": most},
        {"source": "stripe", "code": "signature_missing", "times": 1, "clients": ["192.0.2.7"]},
    ]


def test_a_flood_from_everywhere_takes_no_room(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    timer = Timer()
    ring = Rejections(database, timer)
    for n in range(20_000):
        ring.note("stripe", rejection(n), f"2001:db8::{n:x}")

    assert sum(map(len, ring._clients.values())) == MOST_CLIENTS
    timer.fire()
    assert "times': 20000" in str([vars(record) for record in caplog.records])


def test_rejections_after_a_write_are_written_by_the_next(database: Database) -> None:
    timer = Timer()
    ring = Rejections(database, timer)
    ring.note("stripe", rejection(1))
    timer.fire()

    ring.note("stripe", rejection(2))
    ring.note("standard", rejection(3))
    timer.fire()

    assert (written(database), written(database, "standard")) == ([2, 1], [3])


def test_rejections_that_cannot_be_written_are_kept_for_later(database: Database) -> None:
    timer = Timer()
    ring = Rejections(database, timer)
    ring.note("stripe", rejection(1))
    with databases.unwritable(database):
        timer.fire()
    assert written(database) == []

    ring.note("stripe", rejection(2))
    timer.fire()

    assert written(database) == [2, 1]


# --- the probe -------------------------------------------------------------------------------------------------------


def test_the_probe_finds_no_problem_where_events_can_be_stored(database: Database) -> None:
    assert StorageProbe(database, lambda: 0.0).problem(NOW_MS) is None
    assert count(database) == 0


def test_the_probe_asks_the_disk_at_most_once_a_second(database: Database) -> None:
    now = 100.0
    probe = StorageProbe(database, lambda: now)
    assert probe.problem(NOW_MS) is None
    with databases.unwritable(database):
        now = 100.9
        assert probe.problem(NOW_MS) is None
        now = 101.0
        assert probe.problem(NOW_MS) is not None


def test_the_probe_says_nothing_about_this_installation(tmp_path: Path) -> None:
    problem = StorageProbe(SqliteDatabase(tmp_path / "missing" / "gateway.db"), lambda: 0.0).problem(NOW_MS)

    assert problem is not None
    assert str(tmp_path) not in problem
