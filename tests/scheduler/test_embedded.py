"""The embedded scheduler decides when: at once when woken, by the sweep when not, and never after it was stopped."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.model import State, Tenant, Wanted
from gateway.errors import StorageUnavailable, TryLater
from gateway.flow.advance import Claim
from gateway.scheduler import embedded
from gateway.scheduler.embedded import Driving, EmbeddedScheduler, Housekeeping, Turn
from gateway.scheduler.lock import WorkerLock
from gateway.steps.context import Stopping

SECONDS = 30
NOTHING = Turn((), None, False)


def claim(key: str) -> Claim:
    tenant = Tenant(
        id=1, tenant_key=key, state=State.PROVISIONING, wanted=Wanted.ACTIVE, reason="", changes_at_ms=None,
        generation=1, version=1, fence=1, lease_owner="w", lease_until_ms=1, next_run_at_ms=1, hold=None, block=None,
        tries=0, self_named=False, created_at_ms=1, updated_at_ms=1,
    )  # fmt: skip
    return Claim(tenant, {}, None)


class Desk:
    """What the scheduler drives: turns give what was put in, and everything it does can be waited for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: queue.SimpleQueue[Turn | Exception] = queue.SimpleQueue()
        self.turns: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.begun: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.asked: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.go_on = threading.Event()
        self.hold_turns = threading.Event()
        self.hold_turns.set()
        self.fails_for: set[str] = set()
        self.is_changed = False
        self.is_pressed = False
        self.at_ms = 1000
        self.made: list[EmbeddedScheduler] = []

    def scheduler(self, threads: int = 2, housekeeping: tuple[Housekeeping, ...] = ()) -> EmbeddedScheduler:
        driving = Driving(
            turn=self._turn,
            advance=self._advance,
            changed_elsewhere=self._changed,
            now_ms=lambda: self.at_ms,
            threads=threads,
            is_pressed=lambda: self.is_pressed,
            housekeeping=housekeeping,
        )
        self.made.append(EmbeddedScheduler(driving, WorkerLock(self.path)))
        return self.made[-1]

    def _turn(self, free: int) -> Turn:
        self.turns.put(free)
        assert self.hold_turns.wait(SECONDS)
        try:
            found = self.found.get_nowait()
        except queue.Empty:
            return NOTHING
        if isinstance(found, Exception):
            raise found
        return found

    def _advance(self, claimed: Claim) -> None:
        key = claimed.tenant.tenant_key
        self.begun.put(key)
        if key in self.fails_for:
            raise RuntimeError("a surprise")
        assert self.go_on.wait(SECONDS)

    def _changed(self) -> bool:
        self.asked.put(None)
        changed, self.is_changed = self.is_changed, False
        return changed

    def next_turn(self) -> int:
        """Wait for a turn; how many threads were free."""
        return self.turns.get(timeout=SECONDS)

    def finds(self, *keys: str, **given: Any) -> None:
        self.found.put(replace(NOTHING, claims=tuple(claim(key) for key in keys), **given))

    def close(self) -> None:
        self.go_on.set()
        self.hold_turns.set()
        for scheduler in self.made:
            scheduler.stop(SECONDS)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing happens by itself: what happens was asked for."""
    for name in ("POLL_SECONDS", "SWEEP_SECONDS"):
        monkeypatch.setattr(embedded, name, 600.0)
    monkeypatch.setattr(embedded, "STORAGE_PAUSE_SECONDS", 0.01)


@pytest.fixture
def polling(slow: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks every few milliseconds whether something is due; no sweep."""
    monkeypatch.setattr(embedded, "POLL_SECONDS", 0.005)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path / "gateway.db")
    yield made
    made.close()


def start(scheduler: EmbeddedScheduler) -> EmbeddedScheduler:
    scheduler.start()
    scheduler.wake()
    return scheduler


def drain(desk: Desk) -> None:
    with suppress(queue.Empty):
        while True:
            desk.asked.get_nowait()


def until(is_so: Callable[[], bool]) -> None:
    """For what nobody announces."""
    end = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < end
        threading.Event().wait(0.001)


# --- when ------------------------------------------------------------------------------------------------------------


def test_a_wake_up_makes_a_turn_at_once(slow: None, desk: Desk) -> None:
    scheduler = start(desk.scheduler())
    desk.next_turn()

    for _ in range(50):
        scheduler.wake()
        assert desk.next_turn() == 2


def test_a_wake_up_during_a_turn_makes_another_turn(slow: None, desk: Desk) -> None:
    desk.hold_turns.clear()
    scheduler = start(desk.scheduler())
    desk.next_turn()

    scheduler.wake()
    desk.hold_turns.set()

    desk.next_turn()


def test_the_first_turn_is_made_without_being_woken(polling: None, desk: Desk) -> None:
    desk.scheduler().start()

    desk.next_turn()


def test_a_lost_wake_up_is_caught_by_the_sweep(slow: None, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "SWEEP_SECONDS", 0.05)

    desk.scheduler().start()

    for _ in range(3):
        desk.next_turn()


def test_what_another_process_commits_makes_a_turn(polling: None, desk: Desk) -> None:
    desk.scheduler().start()
    desk.next_turn()

    desk.is_changed = True

    desk.next_turn()


def test_a_tenant_that_becomes_due_makes_a_turn(polling: None, desk: Desk) -> None:
    desk.finds(next_due_at_ms=5000)
    desk.scheduler().start()
    desk.next_turn()
    drain(desk)
    for _ in range(5):
        desk.asked.get(timeout=SECONDS)
    assert desk.turns.empty()

    desk.at_ms = 5000

    desk.next_turn()


def test_without_a_reason_there_is_no_turn(polling: None, desk: Desk) -> None:
    desk.scheduler().start()
    desk.next_turn()
    drain(desk)

    for _ in range(20):
        desk.asked.get(timeout=SECONDS)

    assert desk.turns.empty()


def test_what_one_turn_could_not_take_is_taken_by_the_next_at_once(slow: None, desk: Desk) -> None:
    for _ in range(3):
        desk.finds(has_more=True)

    start(desk.scheduler())

    assert [desk.next_turn() for _ in range(4)] == [2, 2, 2, 2]


# --- what is in flight -----------------------------------------------------------------------------------------------


def test_claimed_tenants_are_worked_for_side_by_side_and_no_more_than_there_are_threads(
    slow: None, desk: Desk
) -> None:
    desk.finds("acme", "beta", has_more=True)
    scheduler = start(desk.scheduler(threads=2))
    begun = {desk.begun.get(timeout=SECONDS) for _ in range(2)}
    assert desk.next_turn() == 2

    scheduler.wake()

    assert begun == {"acme", "beta"}
    assert desk.next_turn() == 0
    assert scheduler.in_flight == 2


def test_a_thread_that_becomes_free_makes_a_turn_at_once(slow: None, desk: Desk) -> None:
    desk.finds("acme", "beta")
    scheduler = start(desk.scheduler(threads=2))
    assert desk.next_turn() == 2
    for _ in range(2):
        desk.begun.get(timeout=SECONDS)

    desk.go_on.set()

    until(lambda: desk.next_turn() == 2)
    assert scheduler.in_flight == 0


def test_while_every_thread_is_busy_what_is_due_makes_no_turn_after_turn(polling: None, desk: Desk) -> None:
    desk.finds("acme", next_due_at_ms=1)
    desk.scheduler(threads=1).start()
    desk.next_turn()
    desk.begun.get(timeout=SECONDS)
    drain(desk)

    for _ in range(10):
        desk.asked.get(timeout=SECONDS)

    assert desk.turns.empty()


def test_while_deliveries_pour_in_few_are_claimed_at_a_time_and_all_of_them_in_the_end(slow: None, desk: Desk) -> None:
    desk.is_pressed = True
    for keys in (("a", "b"), ("c", "d")):
        desk.finds(*keys, has_more=True)
    start(desk.scheduler(threads=5))

    offered = [desk.next_turn() for _ in range(3)]
    begun = {desk.begun.get(timeout=SECONDS) for _ in range(4)}

    assert offered == [2, 2, 1]
    assert begun == {"a", "b", "c", "d"}


def test_once_deliveries_no_longer_pour_in_all_threads_are_used_again(slow: None, desk: Desk) -> None:
    desk.is_pressed = True
    scheduler = start(desk.scheduler(threads=5))
    pressed = desk.next_turn()
    desk.is_pressed = False

    scheduler.wake()

    assert (pressed, desk.next_turn()) == (2, 5)


# --- surprises -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "said"),
    [(StorageUnavailable("the disk is full"), "worker.storage_unavailable"), (RuntimeError("?"), "worker.surprised")],
    ids=["cannot store", "a surprise"],
)
def test_a_turn_that_fails_is_logged_and_made_again(
    slow: None, desk: Desk, caplog: pytest.LogCaptureFixture, error: Exception, said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(embedded, "POLL_SECONDS", 0.005)
    desk.found.put(error)
    desk.finds("acme")

    with caplog.at_level(logging.ERROR, "gateway.scheduler"):
        start(desk.scheduler())
        assert desk.begun.get(timeout=SECONDS) == "acme"

    assert said in caplog.text


def test_a_step_that_fails_is_logged_and_gives_its_thread_back(
    slow: None, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.fails_for.add("acme")
    desk.finds("acme")
    with caplog.at_level(logging.ERROR, "gateway.scheduler"):
        scheduler = start(desk.scheduler(threads=1))
        assert desk.begun.get(timeout=SECONDS) == "acme"
        desk.next_turn()
        until(lambda: desk.next_turn() == 1)
        desk.finds("beta")
        scheduler.wake()

        assert desk.begun.get(timeout=SECONDS) == "beta"
    assert "advance.surprised" in caplog.text
    assert scheduler.is_alive


# --- stopping --------------------------------------------------------------------------------------------------------


def stopping(scheduler: EmbeddedScheduler, budget_seconds: float) -> Callable[[], bool]:
    """Stop in a thread of its own; asked, it waits for the answer."""
    answer: queue.SimpleQueue[bool] = queue.SimpleQueue()
    threading.Thread(target=lambda: answer.put(scheduler.stop(budget_seconds)), daemon=True).start()
    return lambda: answer.get(timeout=SECONDS)


def test_stopping_an_idle_worker_takes_no_time_and_ends_its_thread(slow: None, desk: Desk) -> None:
    scheduler = start(desk.scheduler())
    desk.next_turn()

    assert scheduler.stop(600) is True
    assert (scheduler.is_alive, scheduler.is_working, scheduler.is_stopping) == (False, False, True)


def test_stopping_waits_for_what_is_in_flight(slow: None, desk: Desk) -> None:
    desk.finds("acme")
    scheduler = start(desk.scheduler())
    desk.begun.get(timeout=SECONDS)

    ended = stopping(scheduler, SECONDS)
    until(lambda: scheduler.is_stopping)
    assert scheduler.in_flight == 1
    desk.go_on.set()

    assert ended() is True
    assert scheduler.in_flight == 0


def test_stopping_waits_no_longer_than_its_budget_whatever_hangs(slow: None, desk: Desk) -> None:
    desk.finds("acme")
    scheduler = start(desk.scheduler())
    desk.begun.get(timeout=SECONDS)
    desk.next_turn()
    desk.hold_turns.clear()
    scheduler.wake()
    desk.next_turn()

    began = time.monotonic()
    is_done = scheduler.stop(1.0)
    took = time.monotonic() - began

    assert is_done is False
    assert 0.9 < took < 1.8


def test_what_a_last_turn_claimed_is_handed_over_to_be_let_go_and_then_there_is_no_turn(
    slow: None, desk: Desk
) -> None:
    desk.go_on.set()
    desk.hold_turns.clear()
    desk.finds("late", has_more=True, next_due_at_ms=1)
    scheduler = start(desk.scheduler())
    desk.next_turn()

    ended = stopping(scheduler, SECONDS)
    until(lambda: scheduler.is_stopping)
    desk.hold_turns.set()

    assert ended() is True
    assert desk.begun.get(timeout=SECONDS) == "late"
    scheduler.wake()
    assert desk.turns.empty()


def test_a_claim_that_comes_too_late_for_the_pool_is_left_to_its_lease(slow: None, desk: Desk) -> None:
    desk.hold_turns.clear()
    desk.finds("late")
    scheduler = start(desk.scheduler())
    desk.next_turn()

    assert scheduler.stop(0.05) is False
    desk.hold_turns.set()
    until(lambda: not scheduler.is_alive)

    assert scheduler.stop(SECONDS) is True
    assert desk.begun.empty()


def test_a_worker_that_never_started_can_be_stopped(slow: None, desk: Desk) -> None:
    assert desk.scheduler().stop(0.1) is True


# --- housekeeping ----------------------------------------------------------------------------------------------------


def test_housekeeping_that_fails_is_logged_and_done_again(
    slow: None, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    done: queue.SimpleQueue[None] = queue.SimpleQueue()

    def fail() -> None:
        done.put(None)
        raise RuntimeError("a page failed")

    with caplog.at_level(logging.ERROR, "gateway.scheduler"):
        start(desk.scheduler(housekeeping=(Housekeeping("reconcile", 0.02, fail),)))
        for _ in range(3):
            done.get(timeout=SECONDS)

    failures = [record for record in caplog.records if record.message == "housekeeping.failed"]
    assert len(failures) >= 2
    assert getattr(failures[0], "fields") == {"job": "reconcile"}  # noqa: B009


@pytest.mark.parametrize(
    "trouble", [TryLater("Vapi answers 502.", provider="vapi"), StorageUnavailable("The database cannot be reached.")]
)
def test_housekeeping_that_others_keep_from_its_work_is_put_off(
    slow: None, desk: Desk, caplog: pytest.LogCaptureFixture, trouble: Exception
) -> None:
    done: queue.SimpleQueue[None] = queue.SimpleQueue()

    def fail() -> None:
        done.put(None)
        raise trouble

    with caplog.at_level(logging.WARNING, "gateway.scheduler"):
        start(desk.scheduler(housekeeping=(Housekeeping("reconcile", 0.02, fail),)))
        for _ in range(3):
            done.get(timeout=SECONDS)

    put_off = [record for record in caplog.records if record.message == "housekeeping.put_off"]
    assert getattr(put_off[0], "fields") == {"job": "reconcile", "reason": str(trouble)}  # noqa: B009
    assert "housekeeping.failed" not in caplog.text


def test_housekeeping_that_gives_way_to_the_end_is_no_failure(
    slow: None, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    done: queue.SimpleQueue[None] = queue.SimpleQueue()

    def give_way() -> None:
        done.put(None)
        raise Stopping("This process is stopping.")

    with caplog.at_level(logging.INFO, "gateway.scheduler"):
        scheduler = start(desk.scheduler(housekeeping=(Housekeeping("reconcile", 0.02, give_way),)))
        done.get(timeout=SECONDS)
        scheduler.stop(SECONDS)

    assert "housekeeping.stopped" in caplog.text
    assert "housekeeping.failed" not in caplog.text


def test_housekeeping_holds_up_neither_turns_nor_the_sweep(
    slow: None, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "SWEEP_SECONDS", 0.05)
    inside = threading.Semaphore(0)

    def hang() -> None:
        inside.release()
        assert desk.go_on.wait(SECONDS)

    jobs = tuple(Housekeeping(name, 0.01, hang) for name in ("reconcile", "probe"))
    desk.scheduler(housekeeping=jobs).start()
    for _ in jobs:
        assert inside.acquire(timeout=SECONDS)

    for _ in range(3):
        desk.next_turn()


def test_stopping_waits_for_housekeeping_too_and_starts_no_more_of_it(slow: None, desk: Desk) -> None:
    begun: queue.SimpleQueue[None] = queue.SimpleQueue()

    def reconcile() -> None:
        begun.put(None)
        assert desk.go_on.wait(SECONDS)

    scheduler = start(desk.scheduler(housekeeping=(Housekeeping("reconcile", 0.01, reconcile),)))
    begun.get(timeout=SECONDS)
    assert scheduler.stop(0.05) is False

    desk.go_on.set()

    assert scheduler.stop(SECONDS) is True
    assert begun.empty()


def test_no_housekeeping_is_begun_while_a_last_turn_hangs(slow: None, desk: Desk) -> None:
    begun: queue.SimpleQueue[None] = queue.SimpleQueue()
    scheduler = desk.scheduler(housekeeping=(Housekeeping("reconcile", 0.01, lambda: begun.put(None)),))
    start(scheduler)
    desk.next_turn()
    desk.hold_turns.clear()
    scheduler.wake()
    desk.next_turn()
    begun.get(timeout=SECONDS)

    ended = stopping(scheduler, 0.3)
    until(lambda: scheduler.is_stopping)
    before = begun.qsize()

    assert ended() is False
    assert begun.qsize() <= before + 1


# --- one worker a database -------------------------------------------------------------------------------------------


def test_a_second_worker_waits_and_takes_over_when_the_first_has_stopped(
    slow: None, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "SWEEP_SECONDS", 0.01)
    first = start(desk.scheduler())
    desk.next_turn()
    other = Desk(desk.path)
    second = start(other.scheduler())

    assert not WorkerLock(desk.path).take()
    assert second.is_alive
    assert not second.is_working
    assert other.turns.empty()
    first.stop(SECONDS)

    other.next_turn()
    assert second.is_working
    other.close()


def test_a_worker_whose_place_cannot_be_taken_now_says_so_and_works_once_it_can(
    slow: None, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "SWEEP_SECONDS", 0.01)
    desk = Desk(tmp_path / "not mounted yet" / "gateway.db")
    with caplog.at_level(logging.ERROR, "gateway.scheduler"):
        scheduler = start(desk.scheduler())
        until(lambda: "worker.storage_unavailable" in caplog.text)
        assert (scheduler.is_alive, scheduler.is_working) == (True, False)

        (tmp_path / "not mounted yet").mkdir()

        desk.next_turn()
    assert scheduler.is_working
    desk.close()


def test_a_worker_that_waits_for_its_place_says_so_once(
    slow: None, desk: Desk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "SWEEP_SECONDS", 0.001)
    first = start(desk.scheduler())
    desk.next_turn()
    with caplog.at_level(logging.INFO, "gateway.scheduler"):
        second = start(desk.scheduler())
        until(lambda: "worker.waiting" in caplog.messages)
        first.stop(SECONDS)
        until(lambda: second.is_working)

    assert caplog.messages.count("worker.waiting") == 1


def test_a_worker_that_waits_for_its_place_can_be_stopped(slow: None, desk: Desk) -> None:
    start(desk.scheduler())
    desk.next_turn()
    waiting = start(desk.scheduler())

    assert waiting.stop(SECONDS) is True
    assert not waiting.is_alive
