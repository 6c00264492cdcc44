"""The line to the database loses what it is said to lose, so that what survives it has survived that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from gateway.errors import CommitUnknown, StorageUnavailable
from gateway.store import installation
from gateway.store.database import Transaction, in_transaction
from gateway.store.postgres import PostgresDatabase
from tests import databases
from tests.chaos.cluster import make_url
from tests.chaos.line import Line

pytestmark = pytest.mark.skipif(not databases.POSTGRES_URL, reason="TEST_POSTGRES_URL is not set")


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with databases.using("postgres"):
        yield databases.database_url(tmp_path)


@pytest.fixture
def line(url: str) -> Iterator[Line]:
    parts = conninfo_to_dict(url)
    made = Line(str(parts["host"]), int(str(parts.get("port") or 5432)), "fixed")
    yield made
    made.close()


@pytest.fixture
def database(url: str, line: Line) -> Iterator[PostgresDatabase]:
    """Through the line."""
    made = PostgresDatabase(make_url(url, host="127.0.0.1", port=line.port), wait_seconds=1.0)
    yield made
    made.close()


def put(tx: Transaction) -> None:
    installation.put(tx, "key", "value")


def stored(url: str) -> str | None:
    direct = PostgresDatabase(url)
    with direct.read() as tx:
        found = installation.value(tx, "key")
    direct.close()
    return found


@pytest.mark.parametrize(("way", "left"), [("answer lost", "value"), ("lost before", None)])
def test_a_commit_is_lost_or_only_its_answer_and_nobody_can_tell(
    url: str, line: Line, database: PostgresDatabase, way: str, left: str | None
) -> None:
    database.now_ms()
    line.ways, line.loses_commits = (way,), 1.0

    with pytest.raises(CommitUnknown):
        in_transaction(database, put)

    assert stored(url) == left
    assert line.counts[f"commits {way}"] == 1


def test_a_line_that_was_cut_refuses_everybody_until_it_is_mended(line: Line, database: PostgresDatabase) -> None:
    in_transaction(database, put)
    line.cut()

    with pytest.raises(StorageUnavailable):
        in_transaction(database, put)

    line.mend()
    in_transaction(database, put)
