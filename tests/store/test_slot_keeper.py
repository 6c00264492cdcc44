"""Calls of several real processes: never more open at once than the limit, whoever is frozen or killed meanwhile."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import DatabaseRefused, GatewayError, StorageUnavailable
from gateway.ports import never
from gateway.store import slots
from gateway.store.database import Database, Transaction
from gateway.store.slot_keeper import SlotKeeper
from gateway.store.slots import Wish
from gateway.store.sqlite import SqliteDatabase
from tests import databases
from tests.store.conftest import NOW_MS
from tests.store.processes import Program, running

LIMIT = 6
# As the caller below has it: how long calls may begin after a renewal, and how long one may take.
LEASE_SECONDS = 1.0 + 0.5 + 0.25

# Each call first does what a step does between its slot and its first byte; then it is open for a while.
CALLER = """
import os, sys, threading, time
from gateway.errors import StorageUnavailable
from gateway.settings import load
from gateway.store.engines import database_of
from gateway.store.slot_keeper import Pace, SlotKeeper
from gateway.wiring import DatabaseClock

url, limit, threads, log_path = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
before_seconds, open_seconds = float(sys.argv[5]), float(sys.argv[6])
database = database_of(load({"DATABASE_URL": url}).database)
pace = Pace(renew_seconds=0.25, ask_again_seconds=0.05, idle_seconds=1.0, begin_seconds=1.0, skew_seconds=0.25)
clock = DatabaseClock(database)
keeper = SlotKeeper(database, clock, {"twilio": limit}, wanted=lambda: threads, call_seconds=0.5, pace=pace)
log = os.open(log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
busy, leaving = threading.Event(), threading.Event()

def call():
    while not leaving.is_set():
        if not busy.wait(0.1):
            continue
        try:
            with keeper.hold("twilio", leaving.is_set) as is_lost:
                time.sleep(before_seconds)
                if not is_lost():
                    began = clock.monotonic()
                    os.write(log, f"{began} {began + 0.5}\\n".encode())
                    time.sleep(open_seconds)
                    os.write(log, f"{began} {clock.monotonic()}\\n".encode())
        except StorageUnavailable:
            pass

callers = [threading.Thread(target=call) for _ in range(threads)]
for caller in callers:
    caller.start()
for line in sys.stdin:
    busy.set() if line.strip() == "call" else busy.clear()
leaving.set()
for caller in callers:
    caller.join()
keeper.close()
database.close()
"""


@dataclass
class Caller:
    """A process that calls as often as it may. killed_at: what it had open then ended then."""

    program: Program
    log: Path
    killed_at: float = float("inf")

    def call(self) -> None:
        self.program.say("call")

    def rest(self) -> None:
        self.program.say("rest")

    def freeze(self) -> None:
        os.kill(self.program.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.program.process.pid, signal.SIGCONT)

    def kill(self) -> None:
        self.program.kill()
        self.killed_at = now()

    def calls(self) -> list[tuple[float, float]]:
        """When each began and ended: at its deadline at the latest, for nobody waits longer."""
        spans: dict[float, float] = {}
        for line in self.log.read_text().splitlines() if self.log.exists() else []:
            began, ended = map(float, line.split())
            spans[began] = min(ended, spans.get(began, ended), self.killed_at)
        return sorted(spans.items())

    def since(self, moment: float) -> int:
        return sum(began > moment for began, _ in self.calls())


class Unwritable:
    """A database that takes no writes as long as it has trouble."""

    def __init__(self, database: Database, trouble: GatewayError | None = None) -> None:
        self.trouble = trouble
        self._database = database

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        if self.trouble is not None:
            raise self.trouble
        with self._database.transaction() as tx:
            yield tx


class HandClock:
    """Two clocks that stand still until they are moved, together or one alone."""

    def __init__(self) -> None:
        self.at_ms, self.at_seconds = NOW_MS, 1000.0

    def now_ms(self) -> int:
        return self.at_ms

    def monotonic(self) -> float:
        return self.at_seconds

    def move(self, seconds: float) -> None:
        self.at_ms += round(seconds * 1000)
        self.at_seconds += seconds


def now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def most_at_once(callers: list[Caller], since: float = 0.0) -> int:
    spans = [call for one in callers for call in one.calls()]
    changes = [(began, 1) for began, _ in spans] + [(ended, -1) for _, ended in spans]
    open_now = most = 0
    for moment, change in sorted(changes):
        open_now += change
        most = max(most, open_now) if moment >= since else most
    return most


def is_all_used(callers: list[Caller], since: float) -> bool:
    return most_at_once(callers, since) == LIMIT


def get_on(callers: list[Caller], since: float, calls: int = 5) -> bool:
    """Whether each of them has made so many calls since."""
    return all(caller.since(since) >= calls for caller in callers)


def wait_until(happened: Callable[[], bool], seconds: float = 90.0) -> None:
    end = now() + seconds
    while not happened():
        assert now() < end, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def start(database: Database, tmp_path: Path) -> Iterator[Callable[..., Caller]]:
    """Starts a process on this test's database; it calls when it is told to."""
    url = databases.database_url(tmp_path)
    with ExitStack() as stack:
        count = 0

        def start_one(
            limit: int = LIMIT, threads: int = LIMIT, before_seconds: float = 0.005, open_seconds: float = 0.02
        ) -> Caller:
            nonlocal count
            count += 1
            log = tmp_path / f"calls-{count}"
            program = stack.enter_context(running(CALLER, url, limit, threads, log, before_seconds, open_seconds))
            return Caller(program, log)

        yield start_one


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def keeper(database: Database, clock: HandClock) -> Iterator[SlotKeeper]:
    made = SlotKeeper(database, clock, {"twilio": 2, "vapi": 2}, wanted=lambda: 2, call_seconds=15)
    yield made
    made.close()


def test_a_call_that_has_its_slot_may_begin(keeper: SlotKeeper) -> None:
    with keeper.hold("twilio", never) as is_lost, keeper.hold("twilio", never) as is_other_lost:
        assert [is_lost(), is_other_lost()] == [False, False]


@pytest.mark.parametrize("clocks", ["both", "the database's", "the monotonic one"])
def test_a_call_does_not_begin_once_either_clock_says_that_its_lease_is_old(
    keeper: SlotKeeper, clock: HandClock, clocks: str
) -> None:
    with keeper.hold("twilio", never) as is_lost:
        clock.at_ms += 4000 * (clocks != "the monotonic one")
        clock.at_seconds += 4 * (clocks != "the database's")

        assert is_lost()


def test_a_slot_that_ran_out_stays_lost_to_its_call_although_the_process_has_slots_again(
    keeper: SlotKeeper, clock: HandClock
) -> None:
    with keeper.hold("twilio", never) as is_lost:
        clock.move(30)

        with keeper.hold("twilio", never) as is_new_one_lost:
            assert not is_new_one_lost()
            assert is_lost()


def test_a_lease_that_was_renewed_late_but_in_time_costs_no_call_its_slot(
    keeper: SlotKeeper, clock: HandClock
) -> None:
    with keeper.hold("twilio", never) as is_lost:
        clock.move(19)
        was_lost = is_lost()
        with keeper.hold("twilio", never):
            pass

        assert (was_lost, is_lost()) == (True, False)


def test_who_gives_up_waiting_gets_nothing_that_may_begin(keeper: SlotKeeper) -> None:
    with (
        keeper.hold("twilio", never),
        keeper.hold("twilio", never),
        keeper.hold("twilio", lambda: True) as is_lost,
    ):
        assert is_lost()


def test_nothing_begins_after_the_end(keeper: SlotKeeper, database: Database) -> None:
    with keeper.hold("vapi", never):
        pass
    keeper.close()

    with keeper.hold("vapi", never) as is_lost:
        assert is_lost()
    with database.read() as tx:
        assert not tx.all("SELECT * FROM provider_slots")


def test_what_open_calls_need_at_the_end_is_left_to_its_lease(keeper: SlotKeeper, database: Database) -> None:
    with keeper.hold("vapi", never):
        keeper.close()

    with database.read() as tx:
        assert [row["held"] for row in tx.all("SELECT * FROM provider_slots WHERE provider = 'vapi'")] == [2]


@pytest.mark.parametrize("trouble", [StorageUnavailable("The disk is full."), DatabaseRefused("It is damaged.")])
def test_who_waits_is_told_why_there_is_nothing_to_be_had(
    database: Database, clock: HandClock, trouble: GatewayError
) -> None:
    keeper = SlotKeeper(Unwritable(database, trouble), clock, {"twilio": 2}, wanted=lambda: 2, call_seconds=15)

    with pytest.raises(type(trouble)), keeper.hold("twilio", never):
        raise AssertionError("unreachable")
    keeper.close()


def test_calls_go_on_while_nothing_can_be_stored_until_their_lease_is_old(
    database: Database, clock: HandClock
) -> None:
    unsure = Unwritable(database)
    keeper = SlotKeeper(unsure, clock, {"twilio": 2}, wanted=lambda: 2, call_seconds=15)
    with keeper.hold("twilio", never):
        pass
    unsure.trouble = StorageUnavailable("The disk is full.")

    with keeper.hold("twilio", never) as is_lost:
        assert not is_lost()
    clock.move(4)
    with pytest.raises(StorageUnavailable), keeper.hold("twilio", never):
        raise AssertionError("unreachable")
    unsure.trouble = None
    with keeper.hold("twilio", never) as is_lost:
        assert not is_lost()
    keeper.close()


def test_a_call_that_began_as_late_as_it_may_has_ended_before_its_slot_is_somebody_elses(
    database: Database, clock: HandClock
) -> None:
    unsure = Unwritable(database)
    keeper = SlotKeeper(unsure, clock, {"twilio": 2}, wanted=lambda: 2, call_seconds=15)
    with keeper.hold("twilio", never):
        pass
    unsure.trouble = StorageUnavailable("The database cannot be reached.")
    held_by_another = []

    clock.move(3.9)
    with keeper.hold("twilio", never) as is_lost:
        assert not is_lost()
    for seconds in (0, 14.9, 2):
        clock.move(seconds)
        with database.transaction() as tx:
            found = slots.take(tx, "another", Wish("twilio", 2, 2, 0), clock.at_ms, clock.at_ms + 1, never_gone)
        held_by_another.append(found.held)
    keeper.close()

    assert held_by_another == [0, 0, 2]


def freeze_outside_of_writes(caller: Caller, folder: Path) -> None:
    """A process that is frozen in a write keeps everybody else from writing to a file, and so from any slot."""
    for _ in range(100):
        caller.freeze()
        if databases.is_postgres() or can_write(folder):
            return
        caller.thaw()
        time.sleep(0.05)
    raise AssertionError("it always writes")


def can_write(folder: Path) -> bool:
    database = SqliteDatabase(folder / "gateway.db", busy_timeout_seconds=0.2)
    try:
        with database.transaction():
            return True
    except StorageUnavailable:
        return False
    finally:
        database.close()


def never_gone(name: str) -> bool:
    return False


def test_several_processes_stay_within_the_limit_and_all_of_them_get_on(start: Callable[..., Caller]) -> None:
    callers = [start() for _ in range(3)]
    for caller in callers:
        caller.call()
    wait_until(lambda: all(caller.calls() for caller in callers))
    began = now()

    wait_until(partial(get_on, callers, began, 30))

    assert most_at_once(callers) == LIMIT
    counts = [caller.since(began) for caller in callers]
    assert max(counts) < 3 * min(counts)


def test_what_one_leaves_is_used_by_the_others_and_it_gets_its_share_again(start: Callable[..., Caller]) -> None:
    one, other = start(), start(open_seconds=0.2)
    one.call()
    other.call()
    wait_until(lambda: bool(one.calls() and other.calls()))

    one.rest()
    rested = now()
    wait_until(partial(is_all_used, [other], rested))
    one.call()

    wait_until(partial(get_on, [one], rested + 0.5))
    assert most_at_once([one, other]) == LIMIT


def test_a_process_that_was_frozen_begins_nothing_on_slots_that_others_have_by_now(
    start: Callable[..., Caller], tmp_path: Path
) -> None:
    # The one is nearly always about to begin, the other has nearly always begun.
    frozen, other = start(before_seconds=0.1, open_seconds=0.02), start(before_seconds=0, open_seconds=0.1)
    frozen.call()
    other.call()
    wait_until(lambda: bool(frozen.calls() and other.calls()))

    for _ in range(2):
        freeze_outside_of_writes(frozen, tmp_path)
        froze = now()
        wait_until(partial(is_all_used, [other], froze))
        frozen.thaw()
        wait_until(partial(get_on, [frozen], now()))

    assert most_at_once([frozen, other]) == LIMIT


def test_what_a_killed_process_held_is_used_long_before_its_lease_would_end(start: Callable[..., Caller]) -> None:
    victim, other = start(), start()
    victim.call()
    other.call()
    wait_until(lambda: bool(victim.calls() and other.calls()))

    victim.kill()
    wait_until(partial(is_all_used, [other], victim.killed_at))

    assert now() - victim.killed_at < LEASE_SECONDS
    assert most_at_once([victim, other]) == LIMIT


def test_one_slot_goes_round_among_those_who_want_it(start: Callable[..., Caller]) -> None:
    callers = [start(limit=1, threads=2) for _ in range(2)]
    for caller in callers:
        caller.call()

    for _ in range(2):
        wait_until(partial(get_on, callers, now(), 1))

    assert most_at_once(callers) == 1


def test_a_process_that_makes_no_calls_holds_nothing(database: Database, start: Callable[..., Caller]) -> None:
    caller = start()
    caller.call()
    wait_until(lambda: bool(caller.calls()))

    caller.rest()

    def is_nothing_held() -> bool:
        with database.read() as tx:
            return not tx.all("SELECT * FROM provider_slots")

    wait_until(is_nothing_held)
