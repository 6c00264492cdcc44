"""How statements reach PostgreSQL: prepared when they come again, together when they can, and never stuck."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gateway.errors import TransactionLost
from gateway.store.database import Transaction, in_transaction
from gateway.store.migrate import migrate
from gateway.store.postgres import PostgresDatabase
from gateway.store.postgres_wire import MOST_PREPARED, PREPARED_AT
from tests import databases

pytestmark = pytest.mark.skipif(not databases.POSTGRES_URL, reason="TEST_POSTGRES_URL is not set")

COUNT = "SELECT count(*) AS n FROM pg_prepared_statements WHERE name LIKE 'ringfence%'"


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with databases.using("postgres"):
        yield databases.database_url(tmp_path)


@pytest.fixture
def database(url: str) -> Iterator[PostgresDatabase]:
    """With one connection, so that every transaction meets what was prepared."""
    opened = PostgresDatabase(url, pool_max=1)
    migrate(opened)
    yield opened
    opened.close()


@pytest.fixture
def other(url: str) -> Iterator[Callable[[str], Any]]:
    """Says something to the same database over another connection."""
    with psycopg.connect(url, autocommit=True) as connection:
        yield lambda sql: connection.execute(sql.encode())
        connection.execute("DROP TABLE IF EXISTS growing")


def prepared(tx: Transaction) -> int:
    row = tx.one(COUNT)
    return int(row["n"]) if row else 0


def test_a_statement_that_comes_again_is_prepared_and_one_that_does_not_is_not(database: PostgresDatabase) -> None:
    with database.transaction() as tx:
        before = prepared(tx)
        tx.one("SELECT 1 AS once")
        assert prepared(tx) == before
        for _ in range(PREPARED_AT):
            tx.one("SELECT :a AS often", a=1)

        # This one, and the count itself.
        assert prepared(tx) == before + 2


def test_however_many_statements_there_are_only_so_many_are_kept_prepared(database: PostgresDatabase) -> None:
    with database.transaction() as tx:
        for index in range(MOST_PREPARED + 20):
            for _ in range(PREPARED_AT):
                tx.one(f"SELECT {index} AS n")

        assert prepared(tx) <= MOST_PREPARED
        assert tx.one("SELECT 7 AS n") == {"n": 7}


def test_one_text_with_values_of_other_types_is_another_statement(database: PostgresDatabase) -> None:
    sql = "SELECT CAST(:value AS TEXT) IS NULL AS is_null"

    with database.transaction() as tx:
        for value in ("text", None, "text", None, "text", None, "text", None):
            assert tx.one(sql, value=value) == {"is_null": value is None}


def test_a_table_that_got_a_column_meanwhile_costs_one_repeat_and_no_more(
    database: PostgresDatabase, other: Callable[[str], Any]
) -> None:
    other("CREATE TABLE growing (name TEXT)")

    def ask(tx: Transaction) -> Any:
        return tx.all("SELECT * FROM growing")

    with database.transaction() as tx:
        for _ in range(PREPARED_AT + 1):
            ask(tx)
    other("ALTER TABLE growing ADD COLUMN more TEXT")

    with pytest.raises(TransactionLost), database.transaction() as tx:
        ask(tx)

    other("INSERT INTO growing VALUES ('a', 'b')")
    assert in_transaction(database, ask) == [{"name": "a", "more": "b"}]


def test_a_job_is_repeated_by_itself_when_its_table_got_a_column(
    database: PostgresDatabase, other: Callable[[str], Any]
) -> None:
    other("CREATE TABLE growing (name TEXT)")

    def ask(tx: Transaction) -> int:
        tx.do_later("UPDATE growing SET name = 'x' WHERE name = 'none'")
        return len(tx.all_of(("SELECT * FROM growing", {}), ("SELECT * FROM growing", {})))

    for _ in range(PREPARED_AT + 1):
        in_transaction(database, ask)
    other("ALTER TABLE growing ADD COLUMN more TEXT")

    assert in_transaction(database, ask) == 2


def test_much_said_and_much_answered_at_once_does_not_get_stuck(database: PostgresDatabase) -> None:
    """Both sides would wait for each other if nobody read before all was said."""
    much = "x" * 1_000_000

    with database.transaction() as tx:
        found = tx.all_of(*[("SELECT :much AS much", {"much": f"{index}{much}"}) for index in range(24)])

    assert [rows[0]["much"][:2] for rows in found] == [f"{index}x"[:2] for index in range(24)]
    assert all(len(rows[0]["much"]) > 1_000_000 for rows in found)


def test_a_connection_that_breaks_in_the_middle_of_a_message_loses_the_transaction(
    database: PostgresDatabase, other: Callable[[str], Any]
) -> None:
    tries = 0

    def job(tx: Transaction) -> list[Any]:
        nonlocal tries
        tries += 1
        row = tx.one("SELECT pg_backend_pid() AS pid")
        if tries == 1 and row:
            other(f"SELECT pg_terminate_backend({row['pid']})")
        return tx.all_of(("SELECT 1 AS a", {}), ("SELECT 2 AS a", {}))

    assert in_transaction(database, job) == [[{"a": 1}], [{"a": 2}]]
    assert tries == 2
