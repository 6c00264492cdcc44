"""Transactions, the same on every engine: all or nothing, savepoints alone, and nothing told before it is stored."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import pytest

from gateway.errors import StorageUnavailable
from gateway.store import installation
from gateway.store.database import Database, IntegrityError, Transaction

Open = Callable[[], Database]


class Oops(Exception):
    pass


@contextmanager
def failing(opened: AbstractContextManager[Any]) -> Iterator[Any]:
    """The same, but it ends in an error, which must come out again."""
    with pytest.raises(Oops), opened as tx:  # noqa: PT012
        yield tx
        raise Oops


def value(database: Database, name: str = "key") -> str | None:
    with database.read() as tx:
        return installation.value(tx, name)


# --- all or nothing --------------------------------------------------------------------------------------------------


def test_what_was_committed_is_seen_by_everybody(database: Database, another: Open) -> None:
    with database.transaction() as tx:
        installation.put(tx, "key", "value")

    assert value(database) == value(another()) == "value"


def test_a_transaction_that_fails_leaves_nothing_behind_and_the_next_goes_on(database: Database) -> None:
    with failing(database.transaction()) as tx:
        installation.put(tx, "key", "value")

    assert value(database) is None
    with database.transaction() as tx:
        installation.put(tx, "key", "second")
    assert value(database) == "second"


def test_what_is_not_committed_yet_is_seen_by_nobody_else(database: Database, another: Open) -> None:
    other = another()

    with database.transaction() as tx:
        installation.put(tx, "key", "value")

        assert installation.value(tx, "key") == "value"
        assert value(database) is None
        assert value(other) is None


def test_a_reader_sees_one_moment_however_much_is_written_meanwhile(database: Database) -> None:
    """Where readers and writers exclude each other, the commit waits for the reader."""

    def write() -> None:
        with database.transaction() as tx:
            installation.put(tx, "key", "value")

    with database.read() as tx:
        before = installation.value(tx, "key")
        writer = threading.Thread(target=write)
        writer.start()
        writer.join(0.3)

        assert before is None
        assert installation.value(tx, "key") is None
    writer.join(60)
    assert value(database) == "value"


def test_what_a_reader_writes_by_mistake_is_not_kept(database: Database) -> None:
    """Nor does it fail everywhere: where it does, somebody hears of the mistake."""
    with suppress(StorageUnavailable), database.read() as tx:
        installation.put(tx, "key", "value")

    assert value(database) is None


def test_a_reader_that_fails_does_not_harm_the_next(database: Database) -> None:
    for _ in range(3):
        with failing(database.read()) as tx:
            installation.value(tx, "key")

    assert value(database) is None


def test_readers_may_be_nested_and_many(database: Database) -> None:
    with database.read() as first, database.read() as second, database.read() as third:
        assert [installation.value(tx, "key") for tx in (first, second, third)] == [None] * 3


def test_a_row_that_refers_to_nothing_is_refused(database: Database) -> None:
    with pytest.raises(IntegrityError), database.transaction() as tx:
        tx.do("INSERT INTO tenant_aliases (alias_key, tenant_id) VALUES ('nobody', 404)")


# --- savepoints ------------------------------------------------------------------------------------------------------


def test_what_fails_in_a_savepoint_is_undone_alone(database: Database) -> None:
    with database.transaction() as tx:
        installation.put(tx, "before", "kept")
        with failing(tx.savepoint()):
            installation.put(tx, "inside", "lost")
        installation.put(tx, "after", "kept")

    assert [value(database, name) for name in ("before", "inside", "after")] == ["kept", None, "kept"]


def test_a_failed_savepoint_takes_along_what_was_nested_in_it(database: Database) -> None:
    with database.transaction() as tx:
        with failing(tx.savepoint()), tx.savepoint():
            installation.put(tx, "inner", "lost")
        with tx.savepoint():
            with failing(tx.savepoint()):
                installation.put(tx, "inner2", "lost")
            installation.put(tx, "outer2", "kept")

    assert [value(database, name) for name in ("inner", "inner2", "outer2")] == [None, None, "kept"]


def test_a_failed_transaction_undoes_its_savepoints_too(database: Database) -> None:
    with failing(database.transaction()) as tx, tx.savepoint():
        installation.put(tx, "key", "lost")

    assert value(database) is None


def test_a_doubled_key_in_a_savepoint_leaves_the_transaction_usable(database: Database) -> None:
    sql = "INSERT INTO installation (name, value) VALUES ('key', :value)"

    with database.transaction() as tx:
        tx.do(sql, value="first")
        with pytest.raises(IntegrityError), tx.savepoint():
            tx.do(sql, value="second")
        installation.put(tx, "other", "kept")

    assert (value(database), value(database, "other")) == ("first", "kept")


# --- after the commit ------------------------------------------------------------------------------------------------


def test_calls_come_in_order_after_the_commit_and_may_write_themselves(database: Database, another: Open) -> None:
    other, seen = another(), []

    def look() -> None:
        seen.append(value(other))

    def write() -> None:
        with database.transaction() as tx:
            installation.put(tx, "key", "second")

    with database.transaction() as tx:
        for call in (look, write, look):
            tx.after_commit(call)
        installation.put(tx, "key", "first")
        assert seen == []

    assert seen == ["first", "second"]


def test_calls_of_a_transaction_that_failed_are_never_made(database: Database) -> None:
    calls: list[str] = []

    with failing(database.transaction()) as tx:
        tx.after_commit(lambda: calls.append("told"))
    with database.transaction() as tx:
        installation.put(tx, "key", "value")

    assert calls == []


def test_a_failed_savepoint_drops_its_calls_and_no_others(database: Database) -> None:
    calls: list[str] = []

    with database.transaction() as tx:
        tx.after_commit(lambda: calls.append("before"))
        with failing(tx.savepoint()):
            tx.after_commit(lambda: calls.append("inside"))
            with tx.savepoint():
                tx.after_commit(lambda: calls.append("deep inside"))
        with tx.savepoint():
            tx.after_commit(lambda: calls.append("another"))
        tx.after_commit(lambda: calls.append("after"))

    assert calls == ["before", "another", "after"]


def test_a_call_that_fails_after_the_commit_does_not_make_the_commit_look_failed(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[str] = []

    def fail() -> None:
        raise RuntimeError("nobody listens")

    with caplog.at_level(logging.ERROR, "gateway.store"), database.transaction() as tx:
        tx.after_commit(fail)
        tx.after_commit(lambda: calls.append("told"))
        installation.put(tx, "key", "value")

    assert (value(database), calls) == ("value", ["told"])
    assert "after_commit.failed" in caplog.text


# --- statements ------------------------------------------------------------------------------------------------------


def test_a_statement_says_how_many_rows_it_changed(database: Database) -> None:
    with database.transaction() as tx:
        for name in ("a", "b"):
            installation.put(tx, name, "x")

        assert tx.do("UPDATE installation SET value = 'y'") == 2
        assert tx.do("UPDATE installation SET value = 'y' WHERE name = 'none'") == 0
        assert tx.do("INSERT INTO installation (name, value) VALUES ('a', 'z') ON CONFLICT (name) DO NOTHING") == 0


def test_rows_come_by_name_and_an_insert_gives_its_id(database: Database) -> None:
    sql = """INSERT INTO tenants (tenant_key, created_at_ms, updated_at_ms) VALUES (:key, 1, 1) RETURNING id"""

    with database.transaction() as tx:
        first, second = tx.insert(sql, key="a"), tx.insert(sql, key="b")

        assert tx.all("SELECT tenant_key AS k FROM tenants ORDER BY id DESC") == [{"k": "b"}, {"k": "a"}]
        assert tx.one("SELECT tenant_key FROM tenants WHERE id = :id", id=first) == {"tenant_key": "a"}
        assert tx.one("SELECT tenant_key FROM tenants WHERE id = 404") is None
    assert second > first


def test_many_rows_are_written_by_one_statement(database: Database) -> None:
    with database.transaction() as tx:
        new = tx.run(
            """INSERT INTO installation (name, value) VALUES (?, ?), (?, ?)
               ON CONFLICT (name) DO NOTHING RETURNING name""",
            ["a", "1", "b", "2"],
        )

    assert sorted(new) == [("a",), ("b",)]


@pytest.mark.parametrize("text", ["'; DROP TABLE tenants; --", "%s %(name)s :name ?", "é\U0001f4de\n\t", ""])
def test_a_text_is_stored_as_it_is_and_never_read_as_sql(database: Database, text: str) -> None:
    with database.transaction() as tx:
        installation.put(tx, "key", text)

    assert value(database) == text


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63), 1_795_000_000_000])
def test_times_are_kept_to_the_millisecond_in_sixty_four_bits(database: Database, number: int) -> None:
    with database.transaction() as tx:
        tenant_id = tx.insert(
            """INSERT INTO tenants (tenant_key, created_at_ms, updated_at_ms) VALUES ('a', :at_ms, :at_ms)
               RETURNING id""",
            at_ms=number,
        )
        row = tx.one("SELECT created_at_ms FROM tenants WHERE id = :id", id=tenant_id)

    assert row == {"created_at_ms": number}


# --- many at once ----------------------------------------------------------------------------------------------------


def count_up(tx: Transaction) -> None:
    """A read that decides a write: two of these side by side lose one unless each has the name to itself."""
    tx.lock("count")
    installation.put(tx, "count", str(int(installation.value(tx, "count") or 0) + 1))


def test_threads_that_share_a_database_and_others_beside_them_lose_no_write(database: Database, another: Open) -> None:
    writers = [database, database, database, another(), another()]
    errors: list[BaseException] = []

    def work(writer: Database) -> None:
        try:
            for _ in range(20):
                with writer.transaction() as tx:
                    count_up(tx)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(writer,)) for writer in writers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert errors == []
    assert value(database, "count") == "100"


def test_a_commit_of_somebody_else_is_noticed_once(database: Database, another: Open) -> None:
    other = another()
    database.changed_elsewhere()
    assert not database.changed_elsewhere()

    with other.transaction() as tx:
        installation.put(tx, "key", "value")

    assert soon(database.changed_elsewhere)
    assert not database.changed_elsewhere()


def soon(is_so: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Word of another's commit takes its way."""
    end = time.monotonic() + seconds
    while not (found := is_so()) and time.monotonic() < end:
        time.sleep(0.01)
    return found


def test_a_transaction_that_changed_nothing_is_no_news(database: Database, another: Open) -> None:
    other = another()
    database.changed_elsewhere()

    with other.transaction() as tx:
        installation.value(tx, "key")
    with other.read() as tx:
        installation.value(tx, "key")
    with failing(other.transaction()) as tx:
        installation.put(tx, "key", "value")

    assert not database.changed_elsewhere()


def test_a_closed_database_can_be_used_again(database: Database) -> None:
    with database.transaction() as tx:
        installation.put(tx, "key", "value")

    database.close()

    assert value(database) == "value"
