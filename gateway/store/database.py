"""What every database of ours can do, in words no engine owns. `sqlite.py` and `postgres.py` are two that do it.

Write a query once: parameters are `:name`, times and counts are BIGINT, truth is 0 or 1. Markers say what only one
engine needs: `/*lock*/` keeps the rows of a SELECT from everybody else's changes until the commit, `/*skip_locked*/`
does that and passes over rows that somebody else holds. Where all writes come one after another they say nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from gateway.errors import CommitUnknown, TransactionLost

log = logging.getLogger("gateway.store")

T = TypeVar("T")
Row = dict[str, Any]
# A statement and its parameters.
Question = tuple[str, dict[str, Any]]
# The first and so many more: a transaction that lost against another one wins soon, or the database has other trouble.
MOST_TRIES = 5


class IntegrityError(Exception):
    """A rule of the schema forbids this row. Names the rule at most, never a value."""


@dataclass(slots=True)
class Wakes:
    """What a transaction made due, for whoever wakes tenants: tenants with the moment, and whether there is news."""

    tenants: dict[int, int] = field(default_factory=dict)
    has_news: bool = False


class Transaction(Protocol):
    """An open transaction. Parameters are `:name` on every engine."""

    wakes: Wakes

    def all(self, sql: str, **params: Any) -> list[Row]: ...

    def one(self, sql: str, **params: Any) -> Row | None: ...

    def all_of(self, *questions: Question) -> list[list[Row]]:
        """Rows of several statements, in order: for what is read together, in one message where that is dear."""
        ...

    def do(self, sql: str, **params: Any) -> int:
        """Run a statement; how many rows it changed."""
        ...

    def do_later(self, sql: str, **params: Any) -> None:
        """Run a statement of which nothing needs to be known, before the next one or the end of its savepoint.

        What is wrong with it is raised then. Values are taken now.
        """
        ...

    def insert(self, sql: str, **params: Any) -> int:
        """Run an INSERT … RETURNING id; the id."""
        ...

    def run(self, sql: str, params: list[Any]) -> list[tuple[Any, ...]]:
        """A statement with `?` parameters, for multi-row inserts; its rows, if any."""
        ...

    def lock(self, name: str) -> None:
        """Wait until nobody else's open transaction has this name, and have it until the end of this one."""
        ...

    def try_lock(self, name: str) -> bool:
        """The same without waiting: whether we have it."""
        ...

    @property
    def outlives_refusals(self) -> bool:
        """Whether the transaction goes on after a statement that broke a rule of its tables."""
        ...

    def after_commit(self, call: Callable[[], None]) -> None:
        """Run `call` once this transaction is on disk; never if it is rolled back."""
        ...

    def savepoint(self) -> AbstractContextManager[None]:
        """What fails inside is undone alone, the rest of the transaction stays."""
        ...

    def is_lost_by(self, error: Exception) -> bool:
        """Whether the engine itself could not go on, so that the whole transaction is lost, not one job in it."""
        ...


class Database(Protocol):
    name: str
    # Called, from any thread, soon after somebody else has committed, where the engine tells us by itself.
    on_change: Callable[[], None] | None
    # What to say just before a COMMIT, in the same message, of what it made due; where jobs can be kept.
    last_words: Callable[[Wakes], str] | None

    def transaction(self) -> AbstractContextManager[Transaction]:
        """A write transaction: committed at its end, rolled back on an exception.

        Raises StorageUnavailable when nothing can be stored now (locked, full, read-only, unreachable).
        """
        ...

    def read(self, *, is_single: bool = False) -> AbstractContextManager[Transaction]:
        """A transaction with one consistent view, for reading only.

        is_single: for one statement, which needs no transaction round it where that costs messages of its own.
        """
        ...

    def changed_elsewhere(self) -> bool:
        """Whether anybody committed what a worker should look at since this was asked last.

        Cheap; for one thread only. May say yes too often; a sweep finds what it missed.
        """
        ...

    @property
    def has_sessions(self) -> bool:
        """Whether a connection is ours alone. Without, nobody tells us of commits or keeps the worker's place."""
        ...

    def now_ms(self) -> int | None:
        """The database's own time, the same for every process; None where it has none but this machine's."""
        ...

    def quick_check(self) -> None:
        """Raise DatabaseRefused where what is stored cannot be trusted, with a sentence that says what to do."""
        ...

    def is_lasting(self) -> bool:
        """Whether a commit is on disk when it returns."""
        ...

    def describe(self) -> str:
        """What it runs on, for people."""
        ...

    def applied_migrations(self) -> list[str]:
        """Names of the migrations it has."""
        ...

    def lacks_engine(self) -> list[str]:
        """Names of what the tables of a job engine lack, where this database can carry one."""
        ...

    def apply_migrations(self, scripts: dict[str, str], refuse: Callable[[list[str]], None]) -> list[str]:
        """Apply what is missing of name -> portable SQL, all or none, alone; gives the names.

        refuse: called with what is applied already; may raise.
        """
        ...

    def close(self) -> None:
        """Close every connection; only when no other thread is using this database."""
        ...


def in_transaction(database: Database, job: Callable[[Transaction], T], *, is_repeatable: bool = False) -> T:
    """Run a job in a transaction of its own, again when it lost against another transaction; gives its result.

    is_repeatable: the job does no harm when it was stored already, so it is repeated too when nobody knows whether.
    """
    for tries in range(1, MOST_TRIES + 1):
        try:
            with database.transaction() as tx:
                return job(tx)
        except (TransactionLost, CommitUnknown) as error:
            may_repeat = is_repeatable or isinstance(error, TransactionLost)
            if not may_repeat or tries == MOST_TRIES:
                raise
            log.info("transaction.repeated", extra={"fields": {"reason": str(error), "tries": tries}})
    raise AssertionError("unreachable")


def in_read(database: Database, question: Callable[[Transaction], T], *, is_single: bool = False) -> T:
    """Ask a question in a read transaction of its own, again when the transaction was lost. Changes nothing."""
    for tries in range(1, MOST_TRIES + 1):
        try:
            with database.read(is_single=is_single) as tx:
                return question(tx)
        except TransactionLost:
            if tries == MOST_TRIES:
                raise
    raise AssertionError("unreachable")


def run_after_commit(call: Callable[[], None]) -> None:
    """What is on disk is done, whatever comes of the call: its failure must not look like one of the transaction."""
    try:
        call()
    except Exception:
        log.exception("after_commit.failed")
