"""Everything that can come between: a story told to one gateway, its next event to another one, at each place.

Between any two statements of a transaction of the first gateway, and before each of its commits, the second one takes
the next event in, applies it and works for as long as it gets what it needs. Whatever the place, the tenant must end
where the story ends. One place a run; a scenario is tried at every place there is, or at some by a seed.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.domain.model import Hold
from gateway.errors import OperatorError, ProviderError, StorageUnavailable
from gateway.flow import operate
from gateway.flow.reconcile import reconcile
from gateway.store.database import in_transaction
from tests import databases
from tests.chaos.crowded import CrowdedSandbox
from tests.chaos.customers import EVENTS_APART_MS, RELEASED, STORIES, SUSPENDED, Customer
from tests.chaos.imagined import FIRST_EVENT_AGO_MS, SETTINGS, SETTLE_SECONDS, sign_again
from tests.chaos.judge import Violation, judge, read_scene

REST_SECONDS = 3 * 3600.0
SECOND_TURNS = 3


NEXT_EVENT = "the next event"


@dataclass(frozen=True, slots=True)
class Scenario:
    """first: which event of the story the first gateway is told.   meanwhile: what the second one does then.

    ends: where the tenant must end, unless the second one was kept out; None: where the story ends.
    """

    story: str
    first: int
    meanwhile: str = NEXT_EVENT
    ends: str | None = None

    def __str__(self) -> str:
        events = STORIES[self.story][1]
        meanwhile = events[self.first + 1] if self.meanwhile == NEXT_EVENT else self.meanwhile
        return f"{self.story}: {events[self.first]}, meanwhile {meanwhile}"


SCENARIOS = (
    Scenario("cancels at once", 0),
    Scenario("cancels", 0),
    Scenario("cancels", 2),
    Scenario("fails to pay for good", 2),
    Scenario("fails to pay and recovers", 4),
    Scenario("pauses", 2),
    Scenario("pauses and resumes", 3),
    Scenario("cancels and returns", 3),
    Scenario("returns and cancels again", 6),
    Scenario("is unpaid, then ends", 5),
    Scenario("signs up, one event", 0, "an operator's redo"),
    Scenario("signs up, one event", 0, "an operator's suspend", SUSPENDED),
    Scenario("signs up, one event", 0, "an operator's release", RELEASED),
    Scenario("signs up, one event", 0, "a reconcile"),
    Scenario("pauses", 3, "a reconcile"),
    Scenario("cancels", 3, "a reconcile"),
    Scenario("cancels", 3, "an operator's redo"),
)


@dataclass(frozen=True, slots=True)
class Told:
    """What came of one run.

    happened: whether there was such a place at all.   was_kept_out: whether the second gateway met a lock.
    has_acted: whether it did all that it had to do, committed, while the first one stood still.
    """

    happened: bool
    was_kept_out: bool
    has_acted: bool
    violations: list[Violation]


def tell(scenario: Scenario, folder: Path, place: int) -> Told:
    """One story, interrupted after so many statements."""
    sandbox = CrowdedSandbox(folder, SETTINGS)
    try:
        return Telling(sandbox, scenario).run(place)
    finally:
        sandbox.close()


class Telling:
    def __init__(self, sandbox: CrowdedSandbox, scenario: Scenario) -> None:
        _, names, ends = STORIES[scenario.story]
        self._sandbox = sandbox
        self._scenario = scenario
        self._customer = Customer("acme", scenario.story, list(names), ends)
        first_ms = sandbox.clock.now_ms() - FIRST_EVENT_AGO_MS
        self._events = [
            sandbox.event(name, "acme", at_ms=first_ms + index * EVENTS_APART_MS) for index, name in enumerate(names)
        ]
        self._happened = self._has_acted = self._was_kept_out = False

    def run(self, place: int) -> Told:
        sandbox, events = self._sandbox, self._events
        before = sandbox.world.state()
        for event in events[: self._scenario.first]:
            self._send(event)
        sandbox.settle(60)
        self._send(events[self._scenario.first])
        sandbox.interrupt(place, self._meanwhile)
        sandbox.settle(REST_SECONDS)
        sandbox.interrupt(None, self._meanwhile)
        if not self._happened:
            return Told(False, False, False, [])
        for event in events[self._scenario.first + 1 :]:
            # What the second one was told comes as a repeat.
            self._send(event)
        if self._scenario.ends is not None and self._has_acted:
            self._customer.ends = self._scenario.ends
        violations = [*self._rest(), *judge(self._scene(), before)]
        return Told(True, self._was_kept_out, self._has_acted, violations)

    def _send(self, event: dict[str, Any]) -> None:
        self._sandbox.send(sign_again(event, self._sandbox.clock.now_ms()))

    def _meanwhile(self) -> None:
        self._happened = True
        try:
            self._act()
            self._has_acted = True
            for _ in range(SECOND_TURNS):
                self._sandbox.second_turn()
        except (StorageUnavailable, OperatorError, ProviderError):
            # By a lock; by a tenant that is not there yet; by a list that changed while it was read.
            self._was_kept_out = True

    def _act(self) -> None:
        sandbox, now_ms = self._sandbox, self._sandbox.clock.now_ms()
        second = sandbox.second
        rules, who = second.rules, operate.Operator("tester", "a story")
        holds = {"an operator's suspend": Hold.SUSPEND, "an operator's release": Hold.RELEASE}
        match self._scenario.meanwhile:
            case "the next event":
                sandbox.second_send(sign_again(self._events[self._scenario.first + 1], now_ms))
            case "a reconcile":
                reconcile(second.steps, apply=True)
            case "an operator's redo":
                in_transaction(second.database, lambda tx: operate.redo(tx, "acme", rules, who, now_ms))
            case wish:
                in_transaction(second.database, lambda tx: operate.hold(tx, "acme", holds[wish], rules, who, now_ms))

    def _rest(self) -> Iterator[Violation]:
        self._sandbox.settle(REST_SECONDS)
        self._sandbox.clock.at_ms += (SETTLE_SECONDS + 60) * 1000
        self._sandbox.settle(REST_SECONDS)
        drifts = self._sandbox.reconcile(apply=False).drifts
        if drifts:
            yield Violation("Reconcile finds differences at rest.", [str(drift) for drift in drifts])

    def _scene(self) -> Any:
        acknowledged = {event["event_id"]: "acme" for event in self._events}
        world = self._sandbox.world
        return read_scene(self._rows, world.state(), world.log(), [self._customer], acknowledged)

    def _rows(self, sql: str, **params: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._sandbox.query(lambda tx: tx.all(sql, **params))
        return found


def main(arguments: list[str] | None = None) -> int:
    """`python -m tests.chaos.interleavings`: every scenario at every place; status 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--every", type=int, default=1, help="only each so manieth place")
    parser.add_argument("--scenario", type=int, default=None, help="only this one, counted from 0")
    options = parser.parse_args(arguments)
    if not databases.POSTGRES_URL:
        parser.error("TEST_POSTGRES_URL is not set")
    logging.basicConfig(level=logging.CRITICAL)
    broken = 0
    chosen = SCENARIOS if options.scenario is None else [SCENARIOS[options.scenario]]
    for scenario in chosen:
        began, places, kept_out = time.monotonic(), 0, 0
        for place in range(0, 10_000, options.every):
            with tempfile.TemporaryDirectory() as folder, databases.using("postgres"):
                told = tell(scenario, Path(folder), place)
            if not told.happened:
                break
            places += 1
            kept_out += told.was_kept_out
            broken += bool(told.violations)
            for violation in told.violations:
                print(f"VIOLATION in {scenario}, at {place}: {violation}", flush=True)
        print(f"{scenario}: {places} places, kept out at {kept_out}, {time.monotonic() - began:.0f} s", flush=True)
    print(f"broken {broken}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
