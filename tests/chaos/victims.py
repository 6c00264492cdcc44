"""Whom a misfortune hits: any process of an installation, or the one that has just sent a certain request."""

from __future__ import annotations

import os
import re
import signal
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from random import Random

from tests.chaos.installation import Installation
from tests.chaos.processes import Kept, Server

TARGETS = ("main", "worker", "worker", "both", "both")
ALL_WORKERS = 0.1
# The newest attempt under way: a request that is held is about as new, and its sender has the tenant's lease.
SENDER = """SELECT t.lease_owner FROM attempts a JOIN tenants t ON t.id = a.tenant_id AND t.fence = a.fence
  WHERE t.lease_owner IS NOT NULL AND NOT EXISTS (SELECT 1 FROM attempt_outcomes o WHERE o.attempt_id = a.id)
  ORDER BY a.id DESC LIMIT 1"""


@dataclass(frozen=True, slots=True)
class Victim:
    """target: which of a server's processes, `main`, `worker` or `both`."""

    process: Kept
    target: str = "main"

    @property
    def name(self) -> str:
        return self.target if isinstance(self.process, Server) else "work"

    def signal(self, number: int) -> bool:
        return self.process.signal(self.target, number)


class Victims:
    """Chooses, by the seed."""

    def __init__(self, installation: Installation, random: Random) -> None:
        self._installation = installation
        self._random = random

    def anybody(self) -> list[Victim]:
        workers = self._installation.workers
        if workers and self._random.random() < ALL_WORKERS:
            return [Victim(each) for each in workers]
        process = self._random.choice(self._installation.processes)
        return [Victim(process, self._random.choice(TARGETS) if isinstance(process, Server) else "main")]

    def a_worker(self) -> list[Victim]:
        """One that may be at work."""
        workers = self._installation.workers
        if workers:
            return [Victim(self._random.choice(workers))]
        return [Victim(self._installation.server, "worker")]

    def the_sender(self) -> list[Victim]:
        """Who sent what is held just now: for a server that works, whichever of its processes."""
        workers = self._installation.workers
        if not workers:
            return [Victim(self._installation.server, self._random.choice(TARGETS))]
        rows = self._installation.rows(SENDER)
        words = re.findall(r"\d+", rows[0]["lease_owner"]) if rows else []
        found = [Victim(each) for each in workers if str(each.main_pid) in words]
        return found or [Victim(each) for each in workers]


class Frozen:
    """SIGSTOP at the beginning, SIGCONT at the end; as a value whether anybody was there to be frozen."""

    def __init__(self, victims: list[Victim], counts: Counter[str]) -> None:
        self.pids = [pid for victim in victims for pid in victim.process.pids(victim.target)]
        self._counts = counts

    def __enter__(self) -> bool:
        for pid in self.pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        self._counts["pauses"] += bool(self.pids)
        return bool(self.pids)

    def __exit__(self, *_: object) -> None:
        for pid in self.pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
