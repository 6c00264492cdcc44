"""The sandbox's clock stands still while a provider call is open, over all processes, and still gets its turn."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gateway.store.gate import ClockGate, open_gate
from tests.store.processes import outcome, running

SECONDS = 30

CALL = """
import sys
from pathlib import Path
from gateway.store.gate import ClockGate
gate = ClockGate(Path(sys.argv[1]))
for line in sys.stdin:
    with gate.call_open():
        print("open", flush=True)
        sys.stdin.readline()
    print("ended", flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.db"


class Mover:
    """Moves the clock in a thread of its own, and stays inside until it is told to leave."""

    def __init__(self, path: Path) -> None:
        self.inside, self.leave = threading.Event(), threading.Event()
        self._gate = ClockGate(path)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with self._gate.no_call_open():
            self.inside.set()
            self.leave.wait(SECONDS)

    def end(self) -> None:
        self.leave.set()
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()


@pytest.fixture
def mover(path: Path) -> Iterator[Mover]:
    """To be used only where it is waited for."""
    made = Mover(path)
    yield made
    made.end()


def test_many_calls_may_be_open_at_once(path: Path) -> None:
    gates = [ClockGate(path), ClockGate(path)]

    with ExitStack() as stack:
        for _ in range(20):
            for gate in gates:
                stack.enter_context(gate.call_open())


def test_the_clock_moves_at_once_when_nothing_is_open(mover: Mover) -> None:
    assert mover.inside.wait(SECONDS)


def test_the_clock_waits_until_every_call_in_every_process_has_ended(path: Path) -> None:
    gate = ClockGate(path)
    with running(CALL, path) as other:
        other.say()
        assert other.hear() == "open"
        with gate.call_open():
            mover = Mover(path)
            assert not mover.inside.wait(0.1)
            other.say()
            assert other.hear() == "ended"
            assert not mover.inside.wait(0.1)
        assert mover.inside.wait(SECONDS)
        mover.end()


def test_a_call_waits_while_the_clock_moves(path: Path) -> None:
    mover = Mover(path)
    assert mover.inside.wait(SECONDS)
    with running(CALL, path) as other:
        other.say()
        heard: list[str] = []
        listening = threading.Thread(target=lambda: heard.append(other.hear()))
        listening.start()
        listening.join(0.3)
        assert heard == []

        mover.end()
        listening.join(SECONDS)

        assert heard == ["open"]


def test_the_clock_gets_its_turn_although_new_calls_keep_coming(path: Path) -> None:
    stop = threading.Event()
    opened = [0] * 8

    def keep_calling(number: int) -> None:
        gate = ClockGate(path)
        while not stop.is_set():
            with gate.call_open():
                opened[number] += 1
                # Long beside the moment between two calls: without a turnstile the room is never empty.
                stop.wait(0.03)

    callers = [threading.Thread(target=keep_calling, args=(number,)) for number in range(8)]
    for caller in callers:
        caller.start()
    try:
        for _ in range(5):
            mover = Mover(path)
            assert mover.inside.wait(SECONDS)
            before = list(opened)
            stop.wait(0.02)
            assert opened == before
            mover.end()
    finally:
        stop.set()
        for caller in callers:
            caller.join(SECONDS)

    assert all(opened)


def test_a_process_that_dies_in_a_call_does_not_hold_up_the_clock(path: Path) -> None:
    with running(CALL, path) as other:
        other.say()
        assert other.hear() == "open"
        mover = Mover(path)
        assert not mover.inside.wait(0.1)

        other.kill()

        assert mover.inside.wait(SECONDS)
        mover.end()


def test_a_call_that_fails_is_no_longer_open(path: Path) -> None:
    with pytest.raises(RuntimeError), ClockGate(path).call_open():
        raise RuntimeError

    mover = Mover(path)
    assert mover.inside.wait(SECONDS)
    mover.end()


def test_the_stamp_changes_with_every_move_however_fast_they_follow(path: Path) -> None:
    gate, other = ClockGate(path), ClockGate(path)
    stamps = [other.stamp()]

    for _ in range(50):
        with gate.no_call_open():
            gate.mark_moved()
        stamps.append(other.stamp())

    assert stamps == sorted(set(stamps))
    assert ClockGate(path).stamp() == gate.stamp() == stamps[-1]


def test_another_process_sees_the_stamp_change_at_once(path: Path) -> None:
    gate = ClockGate(path)
    before = gate.stamp()

    mark = "import sys; from pathlib import Path; from gateway.store.gate import ClockGate; "
    outcome(mark + "ClockGate(Path(sys.argv[1])).mark_moved()", path)

    assert gate.stamp() == before + 1


def test_where_no_file_can_be_made_the_stamp_stays_and_is_known_once_there_is_one(tmp_path: Path) -> None:
    gate = ClockGate(tmp_path / "later" / "gateway.db")
    assert [gate.stamp(), gate.stamp()] == [0, 0]

    (tmp_path / "later").mkdir()
    gate.mark_moved()

    assert gate.stamp() == 1


def test_the_stamp_stays_while_only_calls_are_made(path: Path) -> None:
    gate = ClockGate(path)
    with gate.no_call_open():
        gate.mark_moved()
    before = gate.stamp()

    for _ in range(20):
        with gate.call_open():
            pass

    assert gate.stamp() == before


def test_the_gate_is_beside_the_database_and_never_opens_it(path: Path) -> None:
    gate = ClockGate(path)
    with gate.call_open():
        pass
    with gate.no_call_open():
        gate.mark_moved()

    assert not path.exists()
    assert {each.name for each in path.parent.iterdir()} == {"gateway.db.room", "gateway.db.turnstile"}


def test_no_gate_at_all_lets_everybody_through() -> None:
    with open_gate(), open_gate():
        pass
