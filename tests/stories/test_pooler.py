"""PostgreSQL through PgBouncer in transaction mode: everything works, and nothing of a session is relied on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.scheduler.lock import place_of
from gateway.settings import load
from gateway.store import journal
from gateway.store.engines import open_database
from gateway.store.postgres import PostgresDatabase
from tests import databases, pooler
from tests.stories.sandbox import Sandbox

pytestmark = [
    pytest.mark.sqlite_file,
    pytest.mark.sockets,
    pytest.mark.skipif(not databases.POSTGRES_URL, reason="TEST_POSTGRES_URL is not set"),
    pytest.mark.skipif(pooler.PROGRAM is None, reason="no pgbouncer found"),
]


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with databases.using("postgres"), pooler.pooled(databases.database_url(tmp_path), tmp_path) as through:
        yield through


def test_a_whole_life_goes_through_a_pooler(url: str, tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, {"DATABASE_URL": url})

    sandbox.deliver("checkout.completed")
    sandbox.settle(60)
    states = [sandbox.export()["state"]]
    sandbox.deliver("subscription.deleted")
    sandbox.wait(days=32)
    states.append(sandbox.export()["state"])

    assert not sandbox.database.has_sessions
    assert states == ["active", "released"]
    assert len(sandbox.purchases()) == 1
    sandbox.close()


def test_statements_that_are_asked_often_are_not_prepared_for_a_session_that_is_lent_on(url: str) -> None:
    databases_through = [PostgresDatabase(url), PostgresDatabase(url)]

    for _ in range(20):
        for database in databases_through:
            with database.transaction() as tx:
                tx.do("UPDATE installation SET value = :value WHERE name = :name", value="x", name="none")
            with database.read() as tx:
                assert tx.one("SELECT value FROM installation WHERE name = :name", name="none") is None

    for database in databases_through:
        database.close()


def test_others_commits_are_found_by_asking_and_the_worker_has_its_place_at_once(url: str) -> None:
    settings = load({"DATABASE_URL": url, "GATEWAY_MODE": "sandbox"})
    database, other = open_database(settings), PostgresDatabase(url)
    database.changed_elsewhere()
    assert not database.changed_elsewhere()

    with other.transaction() as tx:
        journal.write(tx, None, 1, "note", "somebody did something")

    assert database.changed_elsewhere()
    assert not database.changed_elsewhere()
    assert place_of(settings, database).take()
    assert "polling" in database.describe()
    database.close()
    other.close()


def test_limits_of_a_transaction_hold_through_a_pooler_too(url: str) -> None:
    database = PostgresDatabase(url)

    with database.transaction() as tx:
        shown = [tx.run(f"SHOW {name}", [])[0][0] for name in ("lock_timeout", "statement_timeout")]

    assert shown == ["5s", "30s"]
    database.close()
