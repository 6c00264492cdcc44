"""Chaos without processes: a whole gateway in this one, under a clock by hand, the same customers, the same judge.

A thousand times cheaper than real processes, so it reaches what they do not: a process dies at any call by an
exception that nothing catches, a frozen worker is a claim that is advanced after its lease was given to another, and a
call in flight is a moment in which others work and time passes.
"""

from __future__ import annotations

import argparse
import logging
import secrets
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from gateway import wiring
from gateway.errors import ProviderError, StorageUnavailable
from gateway.integrations.stripe.simulator import sign
from gateway.simulator import defaults
from gateway.simulator.wire import Reply, Request
from tests import databases
from tests.chaos import misfortunes
from tests.chaos.crowded import CrowdedSandbox
from tests.chaos.customers import EVENTS_APART_MS, Customer, invent
from tests.chaos.judge import Violation, Watcher, judge, read_scene
from tests.stories.sandbox import Crash, CrashingWorld, Sandbox

SETTLE_SECONDS = 600
TAKEN_SETTLE_SECONDS = 30
LEASE_SECONDS = 60
# What may pass while a call is in flight; it and what comes late together stay below the settle time.
LONGEST_CALL_SECONDS = 150.0
LATEST_SECONDS = SETTLE_SECONDS - LONGEST_CALL_SECONDS - 20
FIRST_EVENT_AGO_MS = 600_000
SETTINGS = {
    "GRACE_DAYS": "0.01",
    "RELEASE_AFTER_DAYS": "0.01",
    "MAX_PURCHASES_PER_HOUR": "100000",
    "MAX_PURCHASES_PER_DAY": "100000",
    "MAX_RELEASES_PER_HOUR": "100000",
    "MAX_RELEASE_SHARE": "1",
}
PROBE_MS = 61_000
TENANTS = 4
ACTS = 60
REST_SECONDS = 3 * 3600.0


def run_life(seed: str, folder: Path) -> tuple[list[Violation], Counter[str]]:
    """One imagined world; the same seed gives the same life, to the last detail."""
    return Life(seed, folder).run()


class UnluckyWorld(CrashingWorld):
    """At one of the next calls the gateway's process dies, or others work while the call is on its way.

    crash_in, interrupt_in: at which of the next calls, 0 being the very next; None: at none.
    """

    crash_in: int | None = None
    crash_before = False
    interrupt_in: int | None = None
    others: Callable[[], None]

    def handle(self, request: Request) -> Reply:
        if self._operation(request) is None:
            return super().handle(request)
        interrupted, self.interrupt_in = self.interrupt_in == 0, counted(self.interrupt_in)
        crashes, self.crash_in = self.crash_in == 0, counted(self.crash_in)
        if interrupted and self.crash_before:
            self.others()
        if crashes and self.crash_before:
            raise Crash
        reply = super().handle(request)
        if interrupted and not self.crash_before:
            self.others()
        if crashes:
            raise Crash
        return reply


def counted(left: int | None) -> int | None:
    return left - 1 if left else None


class Life:
    def __init__(self, seed: str, folder: Path) -> None:
        self._random = Random(seed)
        make = CrowdedSandbox if databases.is_postgres() else Sandbox
        self._sandbox = make(folder, SETTINGS, seed=self._random.randrange(1 << 30))
        self._world = UnluckyWorld(
            seed=seed, now=self._sandbox.clock.now_ms, **wiring.world_options(self._sandbox.settings)
        )
        # Nothing was asked of the first one yet.
        self._sandbox.world.close()
        self._sandbox.world = self._world
        self._world.set_policies(misfortunes.policies(self._random))
        self._watcher = Watcher(self._rows)
        self._acknowledged: dict[str, str] = {}
        self._violations: list[Violation] = []
        self.counts: Counter[str] = Counter()

    def run(self) -> tuple[list[Violation], Counter[str]]:
        try:
            self._live()
        except Exception as error:
            # As in production, a surprise is a finding; the story so far is in the folder.
            logging.getLogger("chaos").exception("surprise")
            self._violations.append(Violation("A surprise.", f"{type(error).__name__}: {error}"))
        finally:
            self._sandbox.close()
        return self._violations, self.counts

    def _live(self) -> None:
        foreign = self._place_stranger()
        for_sale = [self._sandbox.for_sale(code) for code in ("415", "212")]
        customers = [invent(self._random, index, for_sale, foreign) for index in range(TENANTS)]
        before = self._world.state()
        for fault in misfortunes.script(self._random, LATEST_SECONDS, TAKEN_SETTLE_SECONDS * 0.8):
            self._world.add_fault(fault)
        letters = self._letters_left = self._letters(customers)
        for _ in range(ACTS):
            is_idle = self._sandbox.next_due_ms() is None
            if letters and (is_idle or self._random.random() < 0.3):
                self._deliver(letters.pop(0))
            self._act()
            self._watcher.look()
        for letter in letters:
            self._deliver(letter)
        self._world.clear_faults()
        self._rest()
        scene = read_scene(self._rows, self._world.state(), self._world.log(), customers, self._acknowledged)
        self._violations += [*judge(scene, before), *self._watcher.changed()]
        self.counts["purchases"] += len(self._world.purchases())
        self.counts["blocked"] += sum(row["blocked_code"] is not None for row in scene.tenants.values())

    def _place_stranger(self) -> list[str]:
        placed = self._world.place_numbers({"friendly_name": "Sales", "voice_url": "https://x.example"})
        return [number["phone_number"] for number in placed]

    def _letters(self, customers: list[Customer]) -> list[tuple[str, dict[str, Any]]]:
        """All events of all customers as they will be sent: each customer's own order, mixed, some twice."""
        queues = []
        for customer in customers:
            first_ms = self._sandbox.clock.now_ms() - FIRST_EVENT_AGO_MS
            extra: dict[str, Any] = {"carry": list(customer.carry)}
            if customer.number is not None:
                extra["metadata"] = {"phone_number": customer.number}
            made = [
                self._sandbox.event(name, customer.key, at_ms=first_ms + index * EVENTS_APART_MS, **extra)
                for index, name in enumerate(customer.events)
            ]
            queues.append([(customer.key, made[index]) for index in (*customer.order, *customer.repeats)])
        letters = []
        while queues:
            queue = self._random.choice(queues)
            letters.append(queue.pop(0))
            queues = [each for each in queues if each]
        return letters

    def _deliver(self, letter: tuple[str, dict[str, Any]]) -> None:
        """Signed anew, as the sender does: the first signature may be too old by now."""
        key, event = letter
        self._sandbox.send(sign_again(event, self._sandbox.clock.now_ms()))
        self._acknowledged[event["event_id"]] = key

    # --- what happens ------------------------------------------------------------------------------------------------

    def _act(self) -> None:
        acts: list[tuple[int, Callable[[], None]]] = [
            (30, self._work),
            (30, self._crash),
            (8, self._zombie),
            (14, self._in_flight),
            (20, self._pass),
            (3, self._reconcile),
            (2, self._probe),
        ]
        if isinstance(self._sandbox, CrowdedSandbox):
            acts.append((30, self._crowd))
        act = self._random.choices([act for _, act in acts], [weight for weight, _ in acts])[0]
        self.counts[act.__name__.strip("_")] += 1
        due_ms = self._sandbox.next_due_ms()
        if due_ms is not None and due_ms > self._sandbox.clock.at_ms and self._random.random() < 0.6:
            self._sandbox.clock.at_ms = due_ms
        act()

    def _work(self) -> None:
        self._sandbox.turn()

    def _pass(self) -> None:
        """Time goes by: a moment, until the next thing is due, or long."""
        clock = self._sandbox.clock
        how = self._random.random()
        due_ms = self._sandbox.next_due_ms()
        if how < 0.6 and due_ms is not None and due_ms > clock.at_ms:
            clock.at_ms = due_ms
        elif how < 0.9:
            clock.at_ms += round(self._random.uniform(0.1, 60) * 1000)
        else:
            clock.at_ms += round(self._random.uniform(60, 1.5 * SETTLE_SECONDS) * 1000)

    def _crash(self) -> None:
        """The process dies at a call, before or after its effect, and another one begins."""
        self._world.crash_in = self._random.randrange(6)
        self._world.crash_before = self._random.random() < 0.5
        try:
            self._sandbox.turn()
        except Crash:
            self.counts["crashed"] += 1
            self._sandbox.restart()
            if self._random.random() < 0.5:
                self._sandbox.clock.at_ms += LEASE_SECONDS * 1000
        finally:
            self._world.crash_in = None

    def _zombie(self) -> None:
        """A worker is frozen right after its claim; others work beyond its lease; it wakes up and goes on."""
        claims = self._sandbox.claim("zombie")
        self._sandbox.clock.at_ms += round(self._random.uniform(1, 2 * LEASE_SECONDS) * 1000)
        for _ in range(self._random.randrange(3)):
            self._sandbox.turn("other")
        self._sandbox.advance(claims)

    def _in_flight(self) -> None:
        """While a call is on its way time passes, beyond the lease perhaps, and others work."""

        def others() -> None:
            self.counts["interrupted"] += 1
            self._sandbox.clock.at_ms += round(self._random.uniform(0, LONGEST_CALL_SECONDS) * 1000)
            if self._random.random() < 0.7:
                self._sandbox.turn("other")

        self._world.others = others
        self._world.interrupt_in = self._random.randrange(6)
        self._world.crash_before = self._random.random() < 0.5
        self._sandbox.turn("slow")
        self._world.interrupt_in = None

    def _crowd(self) -> None:
        """Between two statements of a transaction another gateway does something, up to three times in one turn."""
        sandbox = self._sandbox
        assert isinstance(sandbox, CrowdedSandbox)
        times = self._random.randrange(1, 4)

        def others() -> None:
            nonlocal times
            times -= 1
            self.counts["crowded"] += 1
            try:
                self._meddle(sandbox)
            except StorageUnavailable:
                # The first one has what it needs, and will have it for as long as it stands still.
                self.counts["crowded out"] += 1
            if times:
                sandbox.interrupt(self._random.randrange(20), others)

        sandbox.interrupt(self._random.randrange(60), others)
        sandbox.turn("first")
        sandbox.interrupt(None, others)

    def _meddle(self, sandbox: CrowdedSandbox) -> None:
        if not self._letters_left or self._random.random() < 0.5:
            sandbox.second_turn()
            return
        key, event = self._letters_left[0]
        sandbox.second_send(sign_again(event, sandbox.clock.now_ms()))
        self._letters_left.pop(0)
        self._acknowledged[event["event_id"]] = key
        if self._random.random() < 0.5:
            sandbox.second_turn()

    def _reconcile(self) -> None:
        try:
            self._sandbox.reconcile()
        except ProviderError:
            self.counts["reconcile failed"] += 1

    def _probe(self) -> None:
        self._sandbox.probe()

    # --- the end -----------------------------------------------------------------------------------------------------

    def _rest(self) -> None:
        for round_number in range(2):
            self._sandbox.clock.at_ms += PROBE_MS
            self._sandbox.probe()
            self._sandbox.settle(REST_SECONDS)
            self._sandbox.clock.at_ms += (SETTLE_SECONDS + 60) * 1000
            self._sandbox.settle(REST_SECONDS)
            drifts = self._sandbox.reconcile().drifts
            # A second entry that nobody heard of is the one thing that only comparing can find.
            unheard = [drift for drift in drifts if drift.code != "entry_unreferenced" or round_number]
            if unheard:
                self._violations.append(
                    Violation("Reconcile finds what steps should have.", [str(d) for d in unheard])
                )
        self._sandbox.settle(REST_SECONDS)
        self._sandbox.clock.at_ms += (SETTLE_SECONDS + 60) * 1000
        drifts = self._sandbox.reconcile(apply=False).drifts
        if drifts:
            self._violations.append(Violation("Reconcile still finds differences at rest.", [str(d) for d in drifts]))

    def _rows(self, sql: str, **params: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._sandbox.query(lambda tx: tx.all(sql, **params))
        return found


def sign_again(event: dict[str, Any], now_ms: int) -> dict[str, Any]:
    body = event["body"].encode()
    signature = sign(body, [defaults.STRIPE_WEBHOOK_SECRET], now_ms // 1000)
    return {**event, "headers": {**event["headers"], "Stripe-Signature": signature}}


def main(arguments: list[str] | None = None) -> int:
    """`python -m tests.chaos.imagined`: many lives; status 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lives", type=int, default=100)
    parser.add_argument("--seed", default=None)
    parser.add_argument("--database", choices=databases.KINDS, default="sqlite", help="postgres: TEST_POSTGRES_URL")
    parser.add_argument("--one", default=None, help="a single life by its seed, kept in ./imagined")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.CRITICAL)
    began = time.monotonic()
    seed = options.seed or secrets.token_hex(4)
    seeds = [options.one] if options.one else [f"{seed}-{n}" for n in range(options.lives)]
    totals: Counter[str] = Counter()
    broken = 0
    for each in seeds:
        folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
        try:
            with databases.using(options.database):
                violations, counts = run_life(each, folder)
            totals += counts
            broken += bool(violations)
            for violation in violations:
                print(f"VIOLATION in {each}: {violation}", flush=True)
            if options.one:
                shutil.copytree(folder, "imagined", dirs_exist_ok=True)
        finally:
            shutil.rmtree(folder)
    print(f"seed {seed}, lives {len(seeds)}, broken {broken}, {time.monotonic() - began:.0f} s")
    print(", ".join(f"{name} {count}" for name, count in sorted(totals.items())))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
