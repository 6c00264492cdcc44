"""What time it is on the server, told by answers that may be slow."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from gateway.store.database import Transaction, in_transaction
from gateway.store.postgres import PostgresDatabase
from gateway.store.postgres_clock import KEPT_SECONDS, ServerClock
from tests import databases
from tests.chaos.cluster import make_url
from tests.chaos.line import Line

NOW_MS = 1_795_000_000_000


class Hand:
    """A clock by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def told(clock: ServerClock, own: Hand, server_ms: int, taken: float) -> None:
    asked = clock.begin()
    own.seconds += taken
    clock.hear(server_ms, asked)


def test_it_goes_on_from_the_middle_of_a_quick_answer_and_is_asked_again_later() -> None:
    own = Hand()
    clock = ServerClock(own)
    assert clock.is_to_be_asked

    told(clock, own, NOW_MS, taken=0.1)

    assert clock.now_ms() == NOW_MS + 50
    own.seconds += KEPT_SECONDS - 1
    assert clock.now_ms() == NOW_MS + 50 + 9000
    assert not clock.is_to_be_asked
    own.seconds += 1
    assert clock.is_to_be_asked


@pytest.mark.parametrize("answered_at", [0.0, 1.0, 2.0], ids=["late", "in the middle", "early"])
def test_a_slow_answer_that_contradicts_nothing_changes_nothing_and_another_is_wanted(answered_at: float) -> None:
    own = Hand()
    clock = ServerClock(own)
    told(clock, own, NOW_MS, taken=0.0)

    told(clock, own, NOW_MS + round(answered_at * 1000), taken=2.0)

    assert clock.now_ms() == NOW_MS + 2000
    assert clock.is_to_be_asked


def test_a_slow_answer_corrects_a_clock_that_stood_still() -> None:
    own = Hand()
    clock = ServerClock(own)
    told(clock, own, NOW_MS, taken=0.0)

    told(clock, own, NOW_MS + 3_600_000, taken=2.0)

    assert clock.now_ms() == NOW_MS + 3_601_000


def test_a_slow_first_answer_is_better_than_none() -> None:
    own = Hand()
    clock = ServerClock(own)

    told(clock, own, NOW_MS, taken=2.0)

    assert clock.now_ms() == NOW_MS + 1000
    assert clock.is_to_be_asked


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    parts = conninfo_to_dict(databases.POSTGRES_URL)
    made = Line(str(parts.get("host") or "127.0.0.1"), int(str(parts.get("port") or 5432)), "fixed")
    yield made
    made.close()


@pytest.mark.skipif(not databases.POSTGRES_URL, reason="TEST_POSTGRES_URL is not set")
def test_a_connection_that_is_silent_for_a_while_does_not_put_the_clock_off(tmp_path: Path, line: Line) -> None:
    with databases.using("postgres"):
        url = databases.database_url(tmp_path)
        direct = PostgresDatabase(url)
        database = PostgresDatabase(make_url(url, host="127.0.0.1", port=line.port))
        truth_ms = database.now_ms() - time.monotonic() * 1000
        database._clock._ask_at = 0.0
        line.fall_silent()
        threading.Timer(1.0, line.mend).start()

        in_transaction(database, nothing)

        assert abs(database.now_ms() - time.monotonic() * 1000 - truth_ms) < 150
        direct.close()
        database.close()


def nothing(tx: Transaction) -> None:
    """A transaction that only begins and ends."""
