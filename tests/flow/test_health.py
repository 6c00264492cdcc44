"""Whether an event can be stored now, and what else is not as it should be, without any detail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.domain.model import Event
from gateway.flow.health import Health
from gateway.flow.receive import StorageProbe
from gateway.store import inbox, providers
from gateway.store.inbox import Incoming
from gateway.store.migrate import migrate
from gateway.store.sqlite import SqliteDatabase
from tests.stories.sandbox import ManualClock

MINUTE_MS = 60_000


class Desk:
    def __init__(self, path: Path) -> None:
        self.clock = ManualClock()
        self.database = SqliteDatabase(path)
        migrate(self.database)
        self.worker_problem: str | None = None
        probe = StorageProbe(self.database, self.clock.monotonic)
        self.health = Health(self.database, probe, self.clock, lambda: self.worker_problem)

    def receive(self, event_id: str) -> None:
        event = Event("stripe", event_id, "invoice.paid", 1, "x", b"{}")
        with self.database.transaction() as tx:
            inbox.put(tx, [Incoming((event,), self.clock.at_ms)])

    def break_storage(self) -> None:
        self.database.close()
        self.database.path = self.database.path.parent / "missing" / "gateway.db"


# It breaks the storage as a file can break; a server's ways are in tests/store/test_postgres.py.
pytestmark = pytest.mark.sqlite_file


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path / "gateway.db")
    yield made
    made.database.close()


def test_when_all_is_well_there_is_nothing_to_say(desk: Desk) -> None:
    desk.receive("evt_1")

    assert desk.health.cannot_store() is None
    assert desk.health.degraded() == {}


def test_a_database_that_cannot_store_is_said_and_heard_of_again_when_it_can(desk: Desk) -> None:
    path = desk.database.path
    desk.break_storage()

    during = desk.health.cannot_store()
    desk.database.path = path
    desk.clock.at_ms += 2000

    assert during is not None
    assert str(path.parent) not in during
    assert desk.health.cannot_store() is None


def test_a_worker_that_stopped_is_said_even_when_nothing_can_be_read(desk: Desk) -> None:
    desk.worker_problem = "The worker has stopped."

    assert desk.health.degraded() == {"worker": "The worker has stopped."}


def test_events_that_wait_longer_than_a_minute_are_a_backlog(desk: Desk) -> None:
    desk.receive("evt_1")
    desk.clock.at_ms += MINUTE_MS
    at_a_minute = desk.health.degraded()

    desk.clock.at_ms += 1

    assert at_a_minute == {}
    assert list(desk.health.degraded()) == ["backlog"]


@pytest.mark.parametrize("trouble", ["refusing", "paused"])
def test_providers_that_are_held_back_are_named(desk: Desk, trouble: str) -> None:
    now_ms = desk.clock.at_ms
    with desk.database.transaction() as tx:
        for name in ("vapi", "twilio"):
            if trouble == "refusing":
                providers.refuse(tx, name, "token abc is not valid", now_ms, now_ms)
            else:
                providers.pause(tx, name, now_ms + 1, now_ms)

    assert desk.health.degraded() == {"providers": "Calls are held back from: twilio, vapi."}


def test_a_pause_that_is_over_is_no_trouble(desk: Desk) -> None:
    with desk.database.transaction() as tx:
        providers.pause(tx, "twilio", desk.clock.at_ms, desk.clock.at_ms)

    assert desk.health.degraded() == {}
