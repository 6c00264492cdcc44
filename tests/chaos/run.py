"""Chaos, world after world: stories told, processes killed, faults on; then rest, and the judge."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from gateway.errors import ProviderError
from gateway.flow.reconcile import Report
from gateway.simulator import defaults
from tests.chaos import misfortunes
from tests.chaos.customers import ACTIVE, RELEASED, Customer, invent, invent_hasty
from tests.chaos.installation import AUTHORIZATION, SETTLE_SECONDS, TAKEN_SETTLE_SECONDS, Installation, Shape
from tests.chaos.judge import Violation, Watcher, judge, read_scene
from tests.chaos.killer import GIVING_BACK, Killer
from tests.chaos.rest import come_to_rest
from tests.chaos.sender import Sender
from tests.chaos.worlds import PretendWorld

LATEST_SECONDS = SETTLE_SECONDS - 1.0
TAKEN_LATEST_SECONDS = TAKEN_SETTLE_SECONDS - 0.7
TENANTS_A_KILL = 0.4
TELLING_SECONDS = 60.0
BYSTANDERS = 4
MOST_BLOCKED_SHARE = 0.005
# What a customer is told who asks for a number that is somebody else's: nobody's fault.
OWN_WISH = "number_taken"
SURPRISES = ("surprised", "writer.died", "Traceback", "housekeeping.failed", "request.failed", "web.stop_failed")


@dataclass
class Totals:
    """What a run comes to. Adds up over worlds."""

    worlds: int = 0
    programs: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    blocked: Counter[str] = field(default_factory=Counter)
    blocked_by_faults: int = 0
    purchases: int = 0
    releases: int = 0
    acknowledged: int = 0
    tenants: int = 0
    violations: list[Violation] = field(default_factory=list)

    def add(self, other: Totals) -> None:
        self.worlds += other.worlds
        self.programs += other.programs
        self.counts += other.counts
        self.faults += other.faults
        self.blocked += other.blocked
        self.blocked_by_faults += other.blocked_by_faults
        self.purchases += other.purchases
        self.releases += other.releases
        self.acknowledged += other.acknowledged
        self.tenants += other.tenants
        self.violations += other.violations

    @property
    def most_blocked(self) -> int:
        """How many tenants the faults may block, each with its reason: 0.5 % of all, and one in a short run."""
        return max(1, int(self.tenants * MOST_BLOCKED_SHARE))

    @property
    def is_broken(self) -> bool:
        return bool(self.violations) or self.blocked_by_faults > self.most_blocked

    def lines(self) -> list[str]:
        def listed(counter: Counter[str]) -> str:
            return ", ".join(f"{name} {count}" for name, count in sorted(counter.items())) or "none"

        details = Counter({name: n for name, n in self.counts.items() if name not in ("kills", "pauses")})
        return [
            f"worlds                {self.worlds}",
            f"releases at once      {', '.join(self.programs)}",
            f"kills                 {self.counts['kills']}",
            f"pauses                {self.counts['pauses']}",
            f"what was done         {listed(details)}",
            f"faults                {sum(self.faults.values())}: {listed(self.faults)}",
            f"tenants               {self.tenants}",
            f"events acknowledged   {self.acknowledged}",
            f"purchases             {self.purchases}",
            f"releases              {self.releases}",
            f"blocked               {listed(self.blocked)}",
            f"blocked by faults     {self.blocked_by_faults}, at most {self.most_blocked}",
            f"violations            {len(self.violations)}",
        ]


def run_world(seed: str, kills: int, folder: Path, shape: Shape | None = None) -> Totals:
    """One world: so many kills, then the verdict.

    seed: decides stories, faults, policies and kills, not the timing.   shape: what is killed.
    """
    random = Random(seed)
    world = PretendWorld(seed=seed, policies=misfortunes.policies(random))
    installation: Installation | None = None
    try:
        foreign = place_strangers(world, random)
        for_sale = world.numbers_for_sale(AUTHORIZATION, defaults.ACCOUNT_SID)
        before = world.state()
        installation = Installation(folder, world, shape=shape, seed=seed)
        return Chaos(seed, random, world, installation, before).run(kills, for_sale, foreign)
    finally:
        if installation is not None:
            installation.close()
        world.close()


def place_strangers(world: PretendWorld, random: Random) -> list[str]:
    """Numbers in the account, and an entry at Vapi, that are none of ours; gives the numbers."""
    placed = []
    for name in ("Sales hotline", "rf:prod:0123456789abcdef:1", "", "+1 our old line")[:BYSTANDERS]:
        wish = {
            "friendly_name": name,
            "area_code": random.choice(("415", "212", "303")),
            "voice_url": "https://x.example",
        }
        placed += world.ask("POST", "/numbers", wish)
    number = placed[0]["phone_number"]
    entry = {"provider": "twilio", "number": number, "name": "Sales", "twilioAccountSid": defaults.ACCOUNT_SID}
    world.ask("POST", "/entries", entry)
    return [number["phone_number"] for number in placed]


class Chaos:
    def __init__(
        self, seed: str, random: Random, world: PretendWorld, installation: Installation, before: dict[str, Any]
    ) -> None:
        self._random = random
        self._world = world
        self._installation = installation
        self._before = before
        self._sender = Sender(installation, seed)
        self._killer = Killer(installation, self._sender, random, self._bring)
        self._watcher = Watcher(installation.rows)
        self._customers: list[Customer] = []
        self._begun = 0
        self._brought = 0
        self._violations: list[Violation] = []

    def run(self, kills: int, for_sale: list[str], foreign: list[str]) -> Totals:
        tenants = max(8, round(kills * TENANTS_A_KILL))
        customers = [invent(self._random, index, for_sale, foreign) for index in range(tenants)]
        self._brought = tenants
        self._installation.wait_ready()
        if self._installation.outages is not None:
            self._installation.outages.start()
        self._world.ask("POST", "/faults", misfortunes.script(self._random, LATEST_SECONDS, TAKEN_LATEST_SECONDS))
        while self._killer.kills < kills:
            self._begin(customers, self._killer.kills / kills)
            self._killer.strike()
            self._watcher.look()
        self._begin(customers, 1.0)
        self._killer.stop()
        if self._installation.outages is not None:
            self._installation.outages.stop()
        if not self._sender.wait(TELLING_SECONDS):
            self._violations.append(
                Violation("Deliveries are not answered 200 although nothing is wrong.", self._sender.sent)
            )
            self._sender.gives_up.set()
        self._world.ask("DELETE", "/faults")
        self._come_to_rest()
        self._reconcile()
        return self._verdict()

    def _begin(self, customers: list[Customer], share: float) -> None:
        """Let customers arrive as the killing goes on."""
        until = min(len(customers), 4 + round(len(customers) * share))
        for customer in customers[self._begun : until]:
            self._customers.append(customer)
            self._sender.tell(customer)
        self._begun = max(self._begun, until)

    def _bring(self, operation: str) -> None:
        """One more customer, whose story leads to this operation soon."""
        ends = RELEASED if operation in GIVING_BACK else ACTIVE
        customer = invent_hasty(self._random, self._brought, ends)
        self._brought += 1
        self._customers.append(customer)
        self._sender.tell(customer)

    def _come_to_rest(self) -> None:
        self._installation.wait_ready()
        time.sleep(0.5)
        if come_to_rest(self._installation):
            return
        waiting = self._installation.rows("SELECT * FROM tenants WHERE next_run_at_ms IS NOT NULL")
        self._violations.append(Violation("It never comes to rest.", {"tenants": waiting, "log": self._log_end()}))

    def _reconcile(self) -> None:
        """Once to have everything looked at, once more when that is settled: then there is nothing to report."""
        self._try_reconcile()
        self._come_to_rest()
        self._installation.advance(SETTLE_SECONDS + 1)
        report = self._try_reconcile()
        if report is None or report.drifts:
            self._violations.append(Violation("Reconcile still finds differences at rest.", str(report)))
        self._come_to_rest()

    def _try_reconcile(self) -> Report | None:
        for _ in range(3):
            try:
                return self._installation.reconcile(apply=True)
            except ProviderError as error:
                problem = str(error)
        self._violations.append(Violation("Reconcile fails although nothing is wrong.", problem))
        return None

    def _verdict(self) -> Totals:
        sender, rows = self._sender, self._installation.rows
        state, log = self._world.state(), self._world.log()
        scene = read_scene(rows, state, log, self._customers, sender.acknowledged, sender.refused)
        self._violations += [*judge(scene, self._before), *self._watcher.changed()]
        self._violations += self._surprises()
        for process in self._installation.processes:
            status = process.terminate()
            if status not in (0, -15):
                sentence = f"A healthy process ({process.name}) does not leave on SIGTERM."
                self._violations.append(Violation(sentence, status))
        outages = self._installation.outages
        struck = [entry for entry in scene.log if entry["what"] == "fault"]
        return Totals(
            worlds=1,
            counts=self._killer.counts + (outages.counts if outages else Counter()),
            programs=Counter(dict.fromkeys(self._installation.releases, 1)),
            faults=Counter(entry["kind"] for entry in struck),
            blocked=Counter(row["blocked_code"] for row in scene.tenants.values() if row["blocked_code"]),
            blocked_by_faults=sum(row["blocked_code"] not in (None, OWN_WISH) for row in scene.tenants.values()),
            purchases=sum(entry["what"] == "bought" for entry in scene.log),
            releases=sum(entry["what"] == "released" for entry in scene.log),
            acknowledged=len(self._sender.acknowledged),
            tenants=len(scene.tenants),
            violations=self._violations,
        )

    def _log_lines(self) -> list[str]:
        return [
            line for path in sorted(self._installation.folder.glob("server-*.log"))
            for line in path.read_text(errors="replace").splitlines()
        ]  # fmt: skip

    def _log_end(self) -> list[str]:
        return self._log_lines()[-20:]

    def _surprises(self) -> list[Violation]:
        """Lines of the log that no misfortune may cause."""
        odd = [line for line in self._log_lines() if any(mark in line for mark in SURPRISES)]
        return [Violation(f"{len(odd)} surprises in the log.", odd[:5])] if odd else []
