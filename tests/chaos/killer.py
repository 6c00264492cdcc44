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
from tests.chaos.installation import LEASE_SECONDS, SETTLE_SECONDS, WAITING_SECONDS, Installation, Server
from tests.chaos.misfortunes import WRITES
from tests.chaos.sender import Sender

HOLD_LOOKS = 4
GIVING_BACK = ("twilio.release", "vapi.delete")
TARGETS = ("main", "worker", "worker", "both", "both")
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
        if self._installation.server.wait_ready():
            time.sleep(self._random.random() ** 2 * 1.2)
        self._kill("at any time")

    def kill_twice(self) -> None:
        """The second while the first one's successor is starting."""
        self._kill("at any time")
        time.sleep(self._random.random() * 0.5)
        self._kill("while starting")

    def kill_at_an_effect(self) -> None:
        """Hold a request before or after its effect, kill whoever sent it, let the request go on or never arrive."""
        operation = self._random.choice(WRITES)
        when = self._random.choice(("before", "after"))
        if not self._hold(operation, when):
            return
        self._kill(f"{when} {operation}")
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

    def _kill(self, where: str) -> None:
        target = self._random.choice(TARGETS)
        if self._installation.server.signal(target, signal.SIGKILL):
            self.counts["kills"] += 1
            self.counts[f"killed {target}"] += 1
            self.counts[f"killed {where}"] += 1

    # --- pauses ------------------------------------------------------------------------------------------------------

    def freeze_briefly(self) -> None:
        target = self._random.choice(("worker", "worker", "main", "both"))
        with self._frozen(target):
            time.sleep(self._random.random() * 2)

    def freeze_beyond_lease(self) -> None:
        """Nobody else may work meanwhile; when it wakes up its leases and deadlines are over."""
        with self._frozen("worker") as is_frozen:
            if is_frozen:
                self._outlast_leases()
                self.counts["pauses beyond the lease"] += 1

    def freeze_while_another_works(self) -> None:
        """A frozen worker's lock is gone, as on a disk that does not keep locks: two work for the same tenants."""
        server, folder = self._installation.server, self._installation.folder
        self._hold(self._random.choice(WRITES), self._random.choice(("before", "after")))
        with self._frozen("worker") as is_frozen:
            if is_frozen:
                Path(f"{self._installation.path}.lock").unlink(missing_ok=True)
                self._other = Server(self._installation.environ, folder, "b")
                if self._other.wait_ready(4.0):
                    self._sender.ports.append(self._other.port)
                    self._outlast_leases()
                    self.counts["two at work"] += 1
                    time.sleep(self._random.random() * 2)
            self._world.ask("DELETE", "/hold")
        if self._other is not None:
            time.sleep(self._random.random() * 2)
            self._end_other(server)

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

    def _frozen(self, target: str) -> Frozen:
        return Frozen(self._installation.server, target, self.counts)

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
        if self._installation.server.signal("main", signal.SIGTERM):
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


class Frozen:
    """SIGSTOP at the beginning, SIGCONT at the end; as a value whether anybody was there to be frozen."""

    def __init__(self, server: Server, target: str, counts: Counter[str]) -> None:
        self._pids = [pid for pid in pids_of(server, target) if pid is not None]
        self._counts = counts

    def __enter__(self) -> bool:
        for pid in self._pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        self._counts["pauses"] += bool(self._pids)
        return bool(self._pids)

    def __exit__(self, *_: object) -> None:
        for pid in self._pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def pids_of(server: Server, target: str) -> list[int | None]:
    main, worker = server.main_pid, server.worker_pid
    return {"main": [main], "worker": [worker], "both": [main, worker]}[target]


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
