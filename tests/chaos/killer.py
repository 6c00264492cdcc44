"""Kills and freezes the gateway's processes: at random, and exactly before and after each effect at a provider."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

from gateway.errors import StorageUnavailable
from tests.chaos.installation import LEASE_SECONDS, SETTLE_SECONDS, WAITING_SECONDS, Installation
from tests.chaos.misfortunes import WRITES
from tests.chaos.processes import Server
from tests.chaos.sender import Sender
from tests.chaos.victims import Frozen, Victim, Victims

HOLD_LOOKS = 4
GIVING_BACK = ("twilio.release", "vapi.delete")
# A session's lock is the place of the one embedded worker.
END_SESSION = """SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
  WHERE l.locktype = 'advisory' AND l.granted AND d.datname = current_database()"""
# Between a kill and a jump of the clock: what the dead had sent must have arrived.
ARRIVAL_SECONDS = 0.25


class Killer:
    """One world's killer. Counts every SIGKILL that hit something as one kill, however many processes it hit."""

    def __init__(
        self, installation: Installation, sender: Sender, random: Random, bring: Callable[[str], None]
    ) -> None:
        """bring: has a customer begin whose story leads to an operation."""
        self._bring = bring
        self._installation = installation
        self._world = installation.world
        self._sender = sender
        self._random = random
        self._victims = Victims(installation, random)
        self._other: Server | None = None
        self.counts: Counter[str] = Counter()

    @property
    def kills(self) -> int:
        return self.counts["kills"]

    @property
    def pauses(self) -> int:
        return self.counts["pauses"]

    def strike(self) -> None:
        """One misfortune, chosen by the seed."""
        acts: list[tuple[int, Callable[[], None]]] = [
            (26, self.kill_any_time),
            (44, self.kill_at_an_effect),
            (6, self.kill_twice),
            (6, self.freeze_briefly),
            (3, self.freeze_beyond_lease),
            (3, self.freeze_while_another_works),
            (4, self.restart),
            (12, self.jump),
            (3, self.reconcile),
        ]
        self._random.choices([act for _, act in acts], [weight for weight, _ in acts])[0]()

    # --- kills -------------------------------------------------------------------------------------------------------

    def kill_any_time(self) -> None:
        victims = self._victims.anybody()
        if all(victim.process.wait_ready() for victim in victims):
            time.sleep(self._random.random() ** 2 * 1.2)
        self._kill(victims, "at any time")

    def kill_twice(self) -> None:
        """The second while the first one's successor is starting."""
        victims = self._victims.anybody()
        self._kill(victims, "at any time")
        time.sleep(self._random.random() * 0.5)
        self._kill(victims, "while starting")

    def kill_at_an_effect(self) -> None:
        """Hold a request before or after its effect, kill whoever sent it, let the request go on or never arrive."""
        operation = self._random.choice(WRITES)
        when = self._random.choice(("before", "after"))
        if not self._hold(operation, when):
            return
        self._kill(self._victims.the_sender(), f"{when} {operation}")
        how = self._random.random()
        if when == "before" and how < 0.3:
            self._world.ask("POST", "/hold/release", {"drop": True})
            return
        if how < 0.6:
            # It lands late: others have looked meanwhile and seen nothing. Within the settle time, in real time.
            time.sleep(self._random.random() * 2.5)
        self._world.ask("POST", "/hold/release", {})

    def _hold(self, operation: str, when: str) -> bool:
        """Have a request of this operation stop there, and a customer who leads to one; whether one was held."""
        self._world.ask("POST", "/hold", {"operation": operation, "when": when})
        self._bring(operation)
        for _ in range(HOLD_LOOKS):
            if self._world.ask("GET", "/hold?wait_seconds=0.8")["holding"]:
                return True
            if operation in GIVING_BACK:
                # An end takes effect when its waiting time is over.
                self._installation.advance(WAITING_SECONDS)
        self._world.ask("DELETE", "/hold")
        return False

    def _kill(self, victims: list[Victim], where: str) -> None:
        struck = [victim.name for victim in victims if victim.signal(signal.SIGKILL)]
        if struck:
            self.counts["kills"] += 1
            self.counts[f"killed {struck[0] if len(struck) == 1 else 'all workers'}"] += 1
            self.counts[f"killed {where}"] += 1

    # --- pauses ------------------------------------------------------------------------------------------------------

    def freeze_briefly(self) -> None:
        with self._frozen(self._victims.anybody()):
            time.sleep(self._random.random() * 2)

    def freeze_beyond_lease(self) -> None:
        """When it wakes up its leases and deadlines are over, and another one may have worked meanwhile."""
        with self._frozen(self._victims.a_worker()) as is_frozen:
            if is_frozen:
                self._outlast_leases()
                self.counts["pauses beyond the lease"] += 1

    def freeze_while_another_works(self) -> None:
        """Frozen in the middle of a call, and its tenants are given to another: two work for the same ones."""
        is_held = self._hold(self._random.choice(WRITES), self._random.choice(("before", "after")))
        victims = self._victims.the_sender() if is_held else self._victims.a_worker()
        with self._frozen(victims) as is_frozen:
            if is_frozen and self._installation.shape.is_postgres:
                self._give_place_away()
            elif is_frozen:
                self._start_other()
            self._world.ask("DELETE", "/hold")
        if self._other is not None:
            time.sleep(self._random.random() * 2)
            self._end_other(self._installation.server)

    def _give_place_away(self) -> None:
        """A frozen worker's session is ended, so that one of the others takes its place where there is one place."""
        self._installation.rows(END_SESSION)
        self._outlast_leases()
        self.counts["two at work"] += 1
        time.sleep(self._random.random() * 2)

    def _start_other(self) -> None:
        """A frozen worker's lock is gone, as on a disk that does not keep locks."""
        Path(f"{self._installation.path}.lock").unlink(missing_ok=True)
        self._other = Server(self._installation.environ, self._installation.folder, "b")
        if self._other.wait_ready(4.0):
            self._sender.ports.append(self._other.port)
            self._outlast_leases()
            self.counts["two at work"] += 1
            time.sleep(self._random.random() * 2)

    def _end_other(self, server: Server) -> None:
        other, self._other = self._other, None
        assert other is not None
        if self._random.random() < 0.5 and server.signal("both", signal.SIGKILL):
            self.counts["kills"] += 1
            time.sleep(self._random.random())
        if other.port in self._sender.ports:
            self._sender.ports.remove(other.port)
        other.kill()
        self.counts["kills"] += 1

    def _frozen(self, victims: list[Victim]) -> Frozen:
        return Frozen(victims, self.counts)

    def _outlast_leases(self) -> None:
        """Until every lease has run out: by the clock where no call is open, else in real time."""
        time.sleep(ARRIVAL_SECONDS)
        # One frozen in the middle of a commit holds the database until it wakes up.
        with suppress(StorageUnavailable):
            if is_gate_free(Path(f"{self._installation.path}.room")):
                self._installation.advance(LEASE_SECONDS)
                return
        time.sleep(LEASE_SECONDS + 0.5)

    # --- what else happens -------------------------------------------------------------------------------------------

    def restart(self) -> None:
        """A deployment: SIGTERM, and the platform starts it anew."""
        if self._random.choice(self._installation.processes).signal("main", signal.SIGTERM):
            self.counts["restarts"] += 1
        time.sleep(self._random.random())

    def jump(self) -> None:
        time.sleep(ARRIVAL_SECONDS)
        self._installation.advance(self._random.uniform(0.5, SETTLE_SECONDS))
        self.counts["jumps"] += 1

    def reconcile(self) -> None:
        with suppress(Exception):
            self._installation.reconcile(apply=True)
            self.counts["reconciled"] += 1

    def stop(self) -> None:
        """Undo whatever is half done, so that the world can come to rest."""
        self._world.ask("DELETE", "/hold")
        if self._other is not None:
            self._end_other(self._installation.server)


def is_gate_free(room: Path) -> bool:
    """Whether no provider call is open in any process, the frozen ones included."""
    handle = os.open(room, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True
