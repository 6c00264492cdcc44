"""Statements nobody waits for, and several asked at once: said later or together, and otherwise as if said alone."""

from __future__ import annotations

import pytest

from gateway.store import installation
from gateway.store.database import Database, IntegrityError, Transaction
from gateway.store.group import run_each

PUT = "INSERT INTO installation (name, value) VALUES (:name, :value)"
GET = "SELECT value FROM installation WHERE name = :name"


def put_later(tx: Transaction, name: str, value: str = "value") -> None:
    """Breaks a rule of the table the second time."""
    tx.do_later(PUT, name=name, value=value)


def names(database: Database) -> list[str]:
    with database.read() as tx:
        return [row["name"] for row in tx.all("SELECT name FROM installation ORDER BY name")]


def test_what_is_put_off_is_stored_with_the_commit(database: Database) -> None:
    with database.transaction() as tx:
        put_later(tx, "a")
        put_later(tx, "b")

    assert names(database) == ["a", "b"]


def test_the_next_question_sees_what_was_put_off(tx: Transaction) -> None:
    put_later(tx, "a")

    assert installation.value(tx, "a") == "value"


def test_questions_asked_together_are_answered_in_order_and_see_what_was_put_off(tx: Transaction) -> None:
    put_later(tx, "a", "one")
    put_later(tx, "b", "two")

    found = tx.all_of((GET, {"name": "b"}), (GET, {"name": "none"}), (GET, {"name": "a"}))

    assert found == [[{"value": "two"}], [], [{"value": "one"}]]


def test_values_are_taken_when_a_statement_is_put_off_and_not_when_it_is_said(database: Database) -> None:
    value = {"name": "a", "value": "before"}

    with database.transaction() as tx:
        tx.do_later(PUT, **value)
        value["value"] = "after"

    with database.read() as reading:
        assert installation.value(reading, "a") == "before"


def test_what_was_put_off_in_a_transaction_that_fails_is_never_said(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.transaction() as tx:  # noqa: PT012
        put_later(tx, "a")
        raise ZeroDivisionError

    assert names(database) == []


def test_a_fault_of_what_was_put_off_undoes_the_transaction_and_the_next_one_goes_on(database: Database) -> None:
    with pytest.raises(IntegrityError), database.transaction() as tx:  # noqa: PT012
        put_later(tx, "a")
        put_later(tx, "a")
        put_later(tx, "b")

    with database.transaction() as tx:
        put_later(tx, "c")
    assert names(database) == ["c"]


def test_a_fault_of_what_one_job_put_off_undoes_that_job_alone(database: Database) -> None:
    def twice(tx: Transaction) -> None:
        put_later(tx, "b")
        put_later(tx, "b")

    with database.transaction() as tx:
        results = run_each(tx, [lambda tx: put_later(tx, "a"), twice, lambda tx: put_later(tx, "c")])

    assert [type(result) for result in results] == [type(None), IntegrityError, type(None)]
    assert names(database) == ["a", "c"]


def test_a_job_that_fails_takes_back_what_it_put_off_and_nothing_else(database: Database) -> None:
    def fails(tx: Transaction) -> None:
        put_later(tx, "b")
        raise ZeroDivisionError

    def fails_late(tx: Transaction) -> None:
        put_later(tx, "d")
        assert installation.value(tx, "d") == "value"
        put_later(tx, "e")
        raise ZeroDivisionError

    with database.transaction() as tx:
        put_later(tx, "first")
        run_each(tx, [lambda tx: put_later(tx, "a"), fails, fails_late, lambda tx: put_later(tx, "c")])

    assert names(database) == ["a", "c", "first"]


def test_after_a_question_that_fails_among_others_the_connection_is_as_good_as_before(database: Database) -> None:
    with pytest.raises(Exception, match="no_such"), database.transaction() as tx:  # noqa: PT012
        put_later(tx, "a")
        tx.all_of((GET, {"name": "a"}), ("SELECT * FROM no_such_table", {}), (GET, {"name": "a"}))

    for _ in range(5):
        with database.transaction() as tx:
            assert tx.all_of((GET, {"name": "a"}), (GET, {"name": "b"})) == [[], []]
