"""Take a delivery in: verify it, read it, put it into the inbox, and only then say so.

Nothing else happens here: what an event means is found out later, by `flow/apply.py`, from what was stored.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence

from gateway.domain.model import Delivery
from gateway.errors import GatewayError, StorageUnavailable
from gateway.logs import log_event
from gateway.ports import Source
from gateway.store import inbox, rejections
from gateway.store.database import Database, Transaction, in_transaction
from gateway.store.group import GroupCommit
from gateway.store.inbox import Incoming, Receipt
from gateway.store.rejections import RING_SLOTS, Rejection

log = logging.getLogger("gateway.receive")

MAX_WAITING_ROWS = 2000
OVERLOADED_RETRY_SECONDS = 2
REJECTIONS_PAUSE_SECONDS = 3.0
# Of each kind of refusal: how many addresses are remembered until then, and how many of them are named.
MOST_CLIENTS = 1000
SHOWN_CLIENTS = 3
PRESSURE_WINDOW_SECONDS = 0.02
PRESSURE_ROWS_A_SECOND = 300

Done = Callable[[Receipt | Exception], None]


def read_verified(source: Source, delivery: Delivery, now_ms: int) -> Incoming:
    """The delivery's events, once its signature has been checked over its raw bytes.

    Raises SignatureInvalid, and BodyUnreadable for what only a verified sender can have got wrong.
    """
    source.verify(delivery, now_ms)
    return Incoming(source.read(delivery), delivery.received_at_ms)


class Intake:
    """Puts deliveries into the inbox, as many at a time as wait, and answers each once it is on disk.

    on_news: called after a commit that brought something new, in the writer's thread; must be quick.
    Its thread starts with the first delivery. Safe to use from any thread.
    """

    def __init__(
        self, database: Database, on_news: Callable[[], None] | None = None, max_rows: int = MAX_WAITING_ROWS
    ) -> None:
        self._database = database
        self._on_news = on_news
        self._max_rows = max_rows
        self._lock = threading.Lock()
        self._writer: GroupCommit[Incoming, Receipt | StorageUnavailable] | None = None
        self._submitted = 0
        self._done = 0
        self._bells: list[Callable[[], None]] = []

    @property
    def waiting_rows(self) -> int:
        """Rows that are not on disk yet."""
        return self._submitted - self._done

    @property
    def received_rows(self) -> int:
        """Rows that were ever queued here."""
        return self._submitted

    @property
    def is_full(self) -> bool:
        return self.waiting_rows >= self._max_rows

    def ring_after_batch(self, bell: Callable[[], None]) -> None:
        """Have `bell` called once whenever a batch has been answered, in the writer's thread."""
        self._bells.append(bell)

    def submit(self, incoming: Incoming, done: Done) -> None:
        """Queue a delivery; `done` gets its receipt, or why it was not stored, in the writer's thread.

        Raises StorageUnavailable at once when too many wait already.
        """
        rows = len(incoming.events)
        with self._lock:
            if self.is_full:
                raise too_much_at_once()
            self._submitted += rows
            if self._writer is None:
                self._writer = GroupCommit(
                    self._database, self._flush, name="intake", after_batch=self._ring, is_repeatable=True
                )
            writer = self._writer

        def finished(result: Receipt | Exception) -> None:
            self._done += rows
            done(result)

        writer.submit(incoming, finished)

    def submit_and_wait(self, incoming: Incoming, done: Done) -> None:
        """Like `submit`, for a thread that has nothing else to do: `done` is called in it."""
        # A bare lock: an Event is built of three, and many threads wait here.
        lock = threading.Lock()
        lock.acquire()
        results: list[Receipt | Exception] = []

        def finished(result: Receipt | Exception) -> None:
            results.append(result)
            lock.release()

        self.submit(incoming, finished)
        lock.acquire()
        done(results[0])

    def call(self, incoming: Incoming) -> Receipt:
        """Store a delivery and wait for the disk; raises why it was not stored."""
        results: list[Receipt | Exception] = []
        self.submit_and_wait(incoming, results.append)
        if isinstance(results[0], Exception):
            raise results[0]
        return results[0]

    def close(self, timeout_seconds: float = 10.0) -> None:
        """Store what waits, then end."""
        with self._lock:
            writer, self._writer = self._writer, None
        if writer is not None:
            writer.close(timeout_seconds)

    def _flush(self, tx: Transaction, batch: Sequence[Incoming]) -> list[Receipt | StorageUnavailable]:
        results = inbox.put(tx, batch)
        if self._on_news is not None and any(isinstance(result, Receipt) and result.accepted for result in results):
            tx.after_commit(self._on_news)
        return results

    def _ring(self) -> None:
        for bell in self._bells:
            bell()


class Pressure:
    """Whether deliveries pour in just now. For one thread only: it keeps what it saw last."""

    def __init__(self, intake: Intake, monotonic: Callable[[], float]) -> None:
        self._intake = intake
        self._monotonic = monotonic
        self._seen = (0.0, 0)
        self._is_high = False

    def __call__(self) -> bool:
        at_seconds, rows = self._monotonic(), self._intake.received_rows
        seconds = at_seconds - self._seen[0]
        if seconds >= PRESSURE_WINDOW_SECONDS:
            self._is_high = rows - self._seen[1] > PRESSURE_ROWS_A_SECOND * seconds
            self._seen = (at_seconds, rows)
        return self._is_high


def too_much_at_once() -> StorageUnavailable:
    return StorageUnavailable("More is coming in than can be stored at once.", OVERLOADED_RETRY_SECONDS)


class Rejections:
    """The last requests of each source that were not taken, kept in memory and written down now and then.

    A flood costs one small write and a line of the log every few seconds, whatever its size.
    schedule: has a call made after that many seconds; by default in a thread of its own, while there is something.
    """

    def __init__(
        self, database: Database, schedule: Callable[[float, Callable[[], None]], None] | None = None
    ) -> None:
        self._database = database
        self._schedule = schedule or _in_a_thread
        self._lock = threading.Lock()
        self._pending: dict[str, deque[Rejection]] = {}
        self._counts: Counter[tuple[str, str]] = Counter()
        self._clients: dict[tuple[str, str], Counter[str]] = {}
        self._is_scheduled = False

    def note(self, source: str, rejection: Rejection, client: str = "unknown") -> None:
        """Remember one; never fails, never waits for the disk. client: the address it came from."""
        with self._lock:
            self._pending.setdefault(source, deque(maxlen=RING_SLOTS)).append(rejection)
            self._counts[source, rejection.code] += 1
            clients = self._clients.setdefault((source, rejection.code), Counter())
            if client in clients or len(clients) < MOST_CLIENTS:
                clients[client] += 1
            is_first, self._is_scheduled = not self._is_scheduled, True
        if is_first:
            self._schedule(REJECTIONS_PAUSE_SECONDS, self.flush)

    def flush(self) -> None:
        """Write down what is remembered. What cannot be written now is tried again with the next one."""
        with self._lock:
            pending, self._pending, self._is_scheduled = self._pending, {}, False
            counts, self._counts = self._counts, Counter()
            clients, self._clients = self._clients, {}
        if not pending:
            return
        for (source, code), times in counts.items():
            most = [client for client, _ in clients[source, code].most_common(SHOWN_CLIENTS)]
            log_event(log, "webhooks.refused", logging.WARNING, source=source, code=code, times=times, clients=most)
        try:
            in_transaction(self._database, lambda tx: self._write(tx, pending))
        except GatewayError as error:
            log_event(log, "rejections.not_written", logging.WARNING, reason=str(error))
            self._put_back(pending)

    def _write(self, tx: Transaction, pending: dict[str, deque[Rejection]]) -> None:
        for source, noted in pending.items():
            rejections.write(tx, source, list(noted))

    def _put_back(self, pending: dict[str, deque[Rejection]]) -> None:
        with self._lock:
            for source, noted in pending.items():
                noted.extend(self._pending.get(source, ()))
                self._pending[source] = noted


def _in_a_thread(seconds: float, call: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, call)
    timer.name, timer.daemon = "rejections", True
    timer.start()


class StorageProbe:
    """Whether an event could be stored now, found out by doing it; at most once a second, by one caller at a time."""

    def __init__(self, database: Database, monotonic: Callable[[], float], keep_seconds: float = 1.0) -> None:
        self._database = database
        self._monotonic = monotonic
        self._keep_seconds = keep_seconds
        self._lock = threading.Lock()
        self._asked_at: float | None = None
        self._problem: str | None = "Storing has not been tried yet."

    def problem(self, now_ms: int) -> str | None:
        """None when an event can be stored; else a sentence without any detail of this installation."""
        is_mine = self._lock.acquire(blocking=self._asked_at is None)
        if not is_mine:
            return self._problem
        try:
            if self._asked_at is None or self._monotonic() - self._asked_at >= self._keep_seconds:
                self._problem = self._try(now_ms)
                self._asked_at = self._monotonic()
            return self._problem
        finally:
            self._lock.release()

    def _try(self, now_ms: int) -> str | None:
        try:
            with self._database.transaction() as tx:
                inbox.probe(tx, now_ms)
        except StorageUnavailable as error:
            return str(error)
        except Exception:
            log.exception("storage.probe_failed")
            return "The database cannot be used; the log says why."
        return None
