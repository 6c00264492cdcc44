"""Group commit: a thread drains what waits, writes it in one transaction, and only then answers.

One item alone pays for one commit; sixteen at once pay for one commit together. Nothing lingers by default.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from gateway.errors import StorageUnavailable
from gateway.store.database import Database, Transaction, in_transaction

log = logging.getLogger("gateway.store")

Item = TypeVar("Item")
Result = TypeVar("Result")
Done = Callable[[Any], None]


class GroupCommit(Generic[Item, Result]):
    """Writes items in batches.

    flush: writes a batch in an open transaction and gives one result an item, in order.
    pause_seconds: asked before each batch; how long to let more items gather (0: not at all).
    is_repeatable: writing a batch that is stored already does no harm.
    threads: how many batches are written beside each other, where the database can do that.
    after_batch: called once when every item of a batch has its answer, so that another thread is woken only once.
    A batch that lost against another transaction is written again, so `flush` may be called more than once.
    A batch that fails because nothing can be stored fails as a whole; any other failure is repeated item by item,
    so that one bad item cannot harm its neighbours.
    """

    def __init__(
        self,
        database: Database,
        flush: Callable[[Transaction, Sequence[Item]], Sequence[Result]],
        *,
        name: str,
        max_batch: int = 512,
        pause_seconds: Callable[[], float] | None = None,
        after_batch: Callable[[], None] | None = None,
        is_repeatable: bool = False,
        threads: int = 1,
    ) -> None:
        self._name = name
        self._database = database
        self._flush = flush
        self._max_batch = max_batch
        self._pause_seconds = pause_seconds
        self._after_batch = after_batch
        self._is_repeatable = is_repeatable
        self._queue: queue.SimpleQueue[tuple[Item, Done] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._is_closed = False
        self._threads = [threading.Thread(target=self._run, name=name, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """How many items wait for the writer."""
        return self._queue.qsize()

    def submit(self, item: Item, done: Done) -> None:
        """Queue an item; `done` gets its result, or the exception, once the commit is on disk or has failed.

        After `close` it gets StorageUnavailable at once: nobody would ever write it.
        """
        with self._lock:
            is_closed = self._is_closed
            if not is_closed:
                self._queue.put((item, done))
        if is_closed:
            self._tell(done, StorageUnavailable("This process is about to end and stores nothing any more."))

    def call(self, item: Item) -> Result:
        """Queue an item and wait; gives its result or raises what went wrong."""
        lock = threading.Lock()
        lock.acquire()
        answer: list[Any] = []

        def done(result: Any) -> None:
            answer.append(result)
            lock.release()

        self.submit(item, done)
        lock.acquire()
        if isinstance(answer[0], BaseException):
            raise answer[0]
        result: Result = answer[0]
        return result

    def close(self, timeout_seconds: float = 10.0) -> None:
        """Write what waits, then end the threads. Safe to repeat."""
        end = time.monotonic() + timeout_seconds
        with self._lock:
            self._is_closed = True
            for _ in self._threads:
                self._queue.put(None)
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except BaseException:
            # Nobody would ever be answered again, and a silent gateway is worse than one that is started anew.
            log.critical("writer.died thread=%s", self._name, exc_info=True)
            os._exit(70)

    def _turn(self) -> bool:
        first = self._queue.get()
        if first is None:
            return False
        batch = [first]
        goes_on = self._gather(batch)
        try:
            results: Sequence[Any] = self._write([item for item, _ in batch])
        except Exception as error:
            if isinstance(error, StorageUnavailable) or len(batch) == 1:
                results = [error] * len(batch)
            else:
                results = [self._write_alone(item) for item, _ in batch]
        for (_, done), result in zip(batch, results, strict=True):
            self._tell(done, result)
        if self._after_batch is not None:
            self._tell(self._after_batch)
        return goes_on

    def _tell(self, call: Callable[..., None], *args: Any) -> None:
        try:
            call(*args)
        except Exception:
            log.warning("writer.answer_failed thread=%s", self._name, exc_info=True)

    def _gather(self, batch: list[tuple[Item, Done]]) -> bool:
        pause = self._pause_seconds() if self._pause_seconds else 0.0
        while len(batch) < self._max_batch:
            try:
                more = self._queue.get(timeout=pause) if pause else self._queue.get_nowait()
            except queue.Empty:
                return True
            pause = 0.0
            if more is None:
                return False
            batch.append(more)
        return True

    def _write(self, items: Sequence[Item]) -> Sequence[Result]:
        return in_transaction(self._database, lambda tx: self._flush(tx, items), is_repeatable=self._is_repeatable)

    def _write_alone(self, item: Item) -> Any:
        try:
            return self._write([item])[0]
        except Exception as error:
            return error


Job = Callable[[Transaction], Any]


def run_each(tx: Transaction, jobs: Sequence[Job]) -> list[Any]:
    """Run every job in a savepoint of its own; gives each one's result, or the exception that undid it alone.

    One job alone is its transaction: it raises what went wrong, and needs no savepoint.
    """
    if len(jobs) == 1:
        return [jobs[0](tx)]
    results: list[Any] = []
    for job in jobs:
        try:
            with tx.savepoint():
                result = job(tx)
        except Exception as error:
            # A full disk undoes the whole transaction, not this job alone: nothing after it may be written, and what
            # the jobs before it were told is not true any more.
            if tx.is_lost_by(error):
                raise
            results.append(error)
        else:
            results.append(result)
    return results
