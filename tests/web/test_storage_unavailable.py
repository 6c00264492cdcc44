"""A database that is locked, full or read-only: 503, nothing lost, and everything as before once it is well again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.store import inbox
from gateway.store.sqlite import SqliteDatabase
from tests.integrations.senders import STRIPE
from tests.web.conftest import FixedClock, RemountableDatabase
from tests.web.entries import FlaskEntry, FrontEntry, Reply, Request, request

Entry = FlaskEntry | FrontEntry

# What a server that is gone means: tests/store/test_postgres.py.
pytestmark = pytest.mark.sqlite_file

LOCKER = """
import sys
from sqlite_utils.utils import sqlite3
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def locked(database: SqliteDatabase) -> Iterator[None]:
    """Another process is in the middle of a write."""
    database.utils.execute("PRAGMA busy_timeout = 50")
    with subprocess.Popen(
        [sys.executable, "-c", LOCKER, str(database.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        yield
        process.communicate()


@contextmanager
def full(database: SqliteDatabase) -> Iterator[None]:
    """No page can be added to the file, as on a full disk."""
    (pages,) = database.utils.execute("PRAGMA page_count").fetchone()
    (most,) = database.utils.execute("PRAGMA max_page_count").fetchone()
    database.utils.execute(f"PRAGMA max_page_count = {pages}")
    yield
    database.utils.execute(f"PRAGMA max_page_count = {most}")


@contextmanager
def read_only(database: SqliteDatabase) -> Iterator[None]:
    """What is opened meanwhile is opened for reading only, and stays so, as on a file system mounted like that."""
    assert isinstance(database, RemountableDatabase)
    database.close()
    database.is_read_only = True
    yield
    database.is_read_only = False


def delivery(event_id: str) -> Request:
    """Large enough to need a page of its own."""
    body = STRIPE.body(event_id).replace("Zoë".encode(), b"x" * 8000)
    return request("/webhooks/stripe", body, STRIPE.headers(body))


def stored(database: SqliteDatabase) -> set[str]:
    with database.read() as tx:
        return {row.event_id for row in inbox.list_events(tx, limit=100)}


@pytest.mark.parametrize("trouble", [locked, full, read_only], ids=lambda trouble: trouble.__name__)
def test_what_cannot_be_stored_is_a_503_and_is_taken_when_it_comes_again(
    entry: Entry, database: SqliteDatabase, clock: FixedClock, trouble: object
) -> None:
    assert entry.send(delivery("evt_before")).status == 200
    assert callable(trouble)

    with trouble(database):
        during = entry.send(delivery("evt_during"))
        clock.at_ms += 2000
        ready = entry.send(request("/readyz", method="GET"))
        live = entry.send(request("/healthz", method="GET"))
        assert stored(database) == {"evt_before"}

    clock.at_ms += 2000
    assert_told_to_come_again(during)
    assert (ready.status, live.status) == (503, 200)
    assert entry.send(delivery("evt_during")).json["status"] == "accepted"
    assert entry.send(delivery("evt_before")).json["status"] == "duplicate"
    assert entry.send(request("/readyz", method="GET")).status == 200
    assert stored(database) == {"evt_before", "evt_during"}


def assert_told_to_come_again(reply: Reply) -> None:
    assert (reply.status, reply.code) == (503, "storage_unavailable")
    assert 1 <= int(reply.headers["retry-after"]) <= 60
    assert b"disk" not in reply.body
    assert b"lock" not in reply.body


def test_while_the_database_is_locked_signatures_are_still_checked(entry: Entry, database: SqliteDatabase) -> None:
    body = STRIPE.body()
    with locked(database):
        reply = entry.send(request("/webhooks/stripe", body, STRIPE.headers(body, secret="whsec_other")))

    assert reply.status == 401


def test_a_database_that_is_gone_is_a_503_without_its_path(
    entry: Entry, database: SqliteDatabase, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database.close()
    database.path = tmp_path / "missing" / "gateway.db"

    reply = entry.send(delivery("evt_1"))

    assert (reply.status, reply.code) == (503, "storage_unavailable")
    assert str(tmp_path).encode() not in reply.body
