"""Group commit: what waits is written together, and each is answered for itself, once it is on disk."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from gateway.errors import LeaseLost, StorageUnavailable
from gateway.store import installation
from gateway.store.database import Database, Transaction
from gateway.store.group import GroupCommit, run_each
from gateway.store.sqlite import SqliteDatabase
from tests.store.engines import sqlite_only
from tests.store.processes import outcome, running

SECONDS = 30


class Writer:
    """A group commit of names, whose first batch waits at a gate so that others can gather behind it."""

    def __init__(self, database: Database, **given: Any) -> None:
        self.database = database
        self.batches: list[list[str]] = []
        self.gate = threading.Event()
        self.at_the_gate = threading.Event()
        self.troubles: dict[str, Exception] = {}
        self.answers: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self.group: GroupCommit[str, str] = GroupCommit(database, self.flush, name="test", **given)

    def flush(self, tx: Transaction, batch: Sequence[str]) -> list[str]:
        self.batches.append(list(batch))
        if batch[0] == "first":
            self.at_the_gate.set()
            assert self.gate.wait(SECONDS)
        for name in batch:
            installation.put(tx, name, "written")
            if name in self.troubles:
                raise self.troubles[name]
        return [f"{name} of {len(batch)}" for name in batch]

    def submit(self, name: str) -> None:
        self.group.submit(name, lambda result: self.answers.put((name, result)))

    def hold(self) -> None:
        """Bring the writer to its gate; what is submitted from now on waits together."""
        self.submit("first")
        assert self.at_the_gate.wait(SECONDS)

    def answered(self, count: int) -> dict[str, Any]:
        return dict(self.answers.get(timeout=SECONDS) for _ in range(count))

    def stored(self) -> set[str]:
        with self.database.read() as tx:
            return {row["name"] for row in tx.all("SELECT name FROM installation WHERE value = 'written'")}


@pytest.fixture
def make(database: Database) -> Iterator[Callable[..., Writer]]:
    made: list[Writer] = []

    def build(**given: Any) -> Writer:
        made.append(Writer(database, **given))
        return made[-1]

    yield build
    for writer in made:
        writer.gate.set()
        writer.group.close()


@pytest.fixture
def writer(make: Callable[..., Writer]) -> Writer:
    return make()


# --- together --------------------------------------------------------------------------------------------------------


def test_one_alone_is_written_alone_and_at_once(writer: Writer) -> None:
    assert writer.group.call("alone") == "alone of 1"

    assert writer.stored() == {"alone"}


def test_what_waits_is_written_by_one_commit_and_each_gets_its_own_answer(writer: Writer) -> None:
    writer.hold()
    for count in range(5):
        writer.submit(f"n{count}")
    waiting = writer.group.waiting
    writer.gate.set()

    answers = writer.answered(6)

    assert waiting == 5
    assert writer.batches == [["first"], ["n0", "n1", "n2", "n3", "n4"]]
    assert answers == {"first": "first of 1", **{f"n{count}": f"n{count} of 5" for count in range(5)}}


def test_a_batch_holds_no_more_than_it_may(make: Callable[..., Writer]) -> None:
    writer = make(max_batch=2)
    writer.hold()
    for count in range(5):
        writer.submit(f"n{count}")
    writer.gate.set()

    writer.answered(6)

    assert [len(batch) for batch in writer.batches] == [1, 2, 2, 1]


def test_nobody_is_answered_before_the_commit(writer: Writer) -> None:
    seen: list[set[str]] = []
    told = threading.Event()

    def look(_: Any) -> None:
        seen.append(writer.stored())
        told.set()

    writer.group.submit("name", look)
    assert told.wait(SECONDS)

    assert seen == [{"name"}]


def test_a_pause_lets_more_gather(make: Callable[..., Writer]) -> None:
    asked = threading.Event()

    def pause() -> float:
        asked.set()
        return float(SECONDS)

    writer = make(pause_seconds=pause)
    writer.submit("one")
    assert asked.wait(SECONDS)
    writer.submit("two")

    writer.answered(2)

    assert writer.batches == [["one", "two"]]


def test_after_a_batch_the_bell_is_rung_once(make: Callable[..., Writer]) -> None:
    rung: queue.SimpleQueue[int] = queue.SimpleQueue()
    made: list[Writer] = []
    made.append(make(after_batch=lambda: rung.put(made[0].answers.qsize())))
    made[0].hold()
    for name in ("one", "two", "three"):
        made[0].submit(name)
    made[0].gate.set()

    assert [rung.get(timeout=SECONDS), rung.get(timeout=SECONDS)] == [1, 4]
    assert rung.empty()


# --- alone in misfortune ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["n0", "n1", "n2"], ids=["the first", "one between", "the last"])
def test_one_bad_item_does_not_harm_its_neighbours(writer: Writer, bad: str) -> None:
    writer.troubles[bad] = ValueError("cannot be written")
    writer.hold()
    for count in range(3):
        writer.submit(f"n{count}")
    writer.gate.set()

    answers = writer.answered(4)

    assert answers.pop(bad) is writer.troubles[bad]
    assert answers == {name: f"{name} of 1" for name in ("first", "n0", "n1", "n2") if name != bad}
    assert writer.stored() == {"first", "n0", "n1", "n2"} - {bad}


def test_what_cannot_be_stored_now_fails_for_the_whole_batch_and_is_not_repeated(writer: Writer) -> None:
    writer.troubles["n1"] = StorageUnavailable("the disk is full")
    writer.hold()
    for count in range(3):
        writer.submit(f"n{count}")
    writer.gate.set()

    answers = writer.answered(4)

    assert {name for name, answer in answers.items() if isinstance(answer, StorageUnavailable)} == {"n0", "n1", "n2"}
    assert writer.batches == [["first"], ["n0", "n1", "n2"]]
    assert writer.stored() == {"first"}


def test_who_calls_gets_the_error_raised(writer: Writer) -> None:
    writer.troubles["bad"] = LeaseLost("taken over")

    with pytest.raises(LeaseLost, match="taken over"):
        writer.group.call("bad")
    assert writer.group.call("good") == "good of 1"


def test_an_answer_that_cannot_be_told_does_not_stop_the_writer(
    writer: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Any) -> None:
        raise RuntimeError("nobody listens any more")

    writer.hold()
    with caplog.at_level(logging.WARNING, "gateway.store"):
        writer.group.submit("deaf", fail)
        writer.submit("next")
        writer.gate.set()
        answers = writer.answered(2)

    assert answers["next"] == "next of 2"
    assert "writer.answer_failed" in caplog.text
    assert writer.group.call("later") == "later of 1"


def test_a_bell_that_fails_does_not_stop_the_writer(make: Callable[..., Writer]) -> None:
    def fail() -> None:
        raise RuntimeError

    writer = make(after_batch=fail)

    assert [writer.group.call("one"), writer.group.call("two")] == ["one of 1", "two of 1"]


# --- the end ---------------------------------------------------------------------------------------------------------


def test_closing_writes_what_waits(writer: Writer) -> None:
    writer.hold()
    for count in range(3):
        writer.submit(f"n{count}")
    closing = threading.Thread(target=writer.group.close)
    closing.start()
    writer.gate.set()
    closing.join(SECONDS)

    assert writer.stored() == {"first", "n0", "n1", "n2"}


def test_what_comes_after_closing_is_told_so_at_once(writer: Writer) -> None:
    writer.group.close()
    writer.group.close()

    writer.submit("late")

    assert str(writer.answered(1)["late"]).startswith("This process is about to end")
    assert writer.stored() == set()


WITH_A_WRITER = """
import sys, threading
from pathlib import Path
from gateway.store.sqlite import SqliteDatabase
from gateway.store.group import GroupCommit
from gateway.store.migrate import migrate
database = SqliteDatabase(sys.argv[1])
migrate(database)
"""


@sqlite_only
def test_a_dead_writer_ends_the_process_for_nobody_would_be_answered_again(database: SqliteDatabase) -> None:
    script = (
        WITH_A_WRITER
        + """
class Mortal(BaseException):
    pass

def flush(tx, batch):
    raise Mortal

GroupCommit(database, flush, name="mortal").submit("x", print)
threading.Event().wait(60)
"""
    )
    with running(script, database.path) as program:
        assert program.process.wait(SECONDS) == 70


@sqlite_only
def test_a_writer_keeps_no_process_alive(database: SqliteDatabase) -> None:
    script = (
        WITH_A_WRITER
        + """
group = GroupCommit(database, lambda tx, batch: list(batch), name="test")
print(group.call("done"))
"""
    )

    assert outcome(script, database.path) == "done"


# --- jobs ------------------------------------------------------------------------------------------------------------


def writing(name: str, then: Exception | None = None) -> Callable[[Transaction], str]:
    def job(tx: Transaction) -> str:
        installation.put(tx, name, "written")
        if then is not None:
            raise then
        return name

    return job


def names(database: Database) -> set[str]:
    with database.read() as tx:
        return {row["name"] for row in tx.all("SELECT name FROM installation")}


def test_each_job_is_undone_alone(database: Database) -> None:
    lost = LeaseLost("taken over")

    with database.transaction() as tx:
        results = run_each(tx, [writing("a"), writing("b", lost), writing("c")])

    assert results == ["a", lost, "c"]
    assert names(database) == {"a", "c"}


def test_a_job_that_meets_a_database_that_cannot_store_ends_all(database: Database) -> None:
    jobs = [writing("a"), writing("b", StorageUnavailable("the disk is full")), writing("c")]

    with pytest.raises(StorageUnavailable), database.transaction() as tx:
        run_each(tx, jobs)

    assert names(database) == set()


@sqlite_only
def test_a_disk_that_fills_up_in_one_job_fails_all_of_them_and_writes_none(database: SqliteDatabase) -> None:
    with database.transaction() as tx:
        (pages,) = tx.run("PRAGMA page_count", [])[0]
        tx.run(f"PRAGMA max_page_count = {pages + 2}", [])
    group: GroupCommit[Any, Any] = GroupCommit(database, run_each, name="jobs")
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
    at_work, go_on = threading.Event(), threading.Event()

    def wait(tx: Transaction) -> None:
        at_work.set()
        assert go_on.wait(SECONDS)

    group.submit(wait, lambda _: None)
    assert at_work.wait(SECONDS)
    for job in (writing("a"), writing("b" * 100_000), writing("c")):
        group.submit(job, answers.put)
    go_on.set()
    got = [answers.get(timeout=SECONDS) for _ in range(3)]
    group.close()

    assert [type(answer) for answer in got] == [StorageUnavailable] * 3
    assert names(database) == set()
