"""What happens to the database while the gateway works: it is gone, or does not answer, for up to two seconds."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from random import Random

from tests.chaos.cluster import Cluster, Rented
from tests.chaos.line import Line

BETWEEN_SECONDS = (5.0, 40.0)
LONGEST_SECONDS = 2.0
LOSES_COMMITS = 0.01
THROW_OUT = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
  WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() < 0.5"""


class Outages:
    """Strikes in a thread of its own until it is stopped.

    has_clock: held while the run itself needs the database, to move the clock.
    """

    def __init__(self, server: Cluster | Rented, line: Line, random: Random, has_clock: threading.Lock) -> None:
        self._server = server
        self._line = line
        self._random = random
        self._has_clock = has_clock
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._problem: Exception | None = None
        self.counts: Counter[str] = Counter()

    def start(self) -> None:
        self._line.loses_commits = LOSES_COMMITS
        self._thread.start()

    def stop(self) -> None:
        """Everything works again when this returns. Raises what went wrong here."""
        self._ends.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._line.loses_commits = 0.0
        self.counts += self._line.counts
        self._line.counts.clear()
        if self._problem is not None:
            raise self._problem

    def _run(self) -> None:
        acts: list[tuple[int, Callable[[], str]]] = [(3, self._cut), (2, self._silence), (2, self._throw_out)]
        if isinstance(self._server, Cluster):
            acts += [(4, self._crash), (2, self._kill_backend), (3, self._freeze)]
        try:
            while not self._ends.wait(self._random.uniform(*BETWEEN_SECONDS)):
                act = self._random.choices([act for _, act in acts], [weight for weight, _ in acts])[0]
                self.counts[act()] += 1
        except Exception as error:
            self._problem = error

    def _for_a_while(self) -> None:
        time.sleep(self._random.random() * LONGEST_SECONDS)

    # --- each says what it did ---------------------------------------------------------------------------------------

    def _cut(self) -> str:
        self._line.cut()
        self._for_a_while()
        self._line.mend()
        return "connections cut"

    def _silence(self) -> str:
        """Nothing gets through; then it does, or the connections turn out to be broken."""
        self._line.fall_silent()
        self._for_a_while()
        if self._random.random() < 0.5:
            self._line.cut()
        self._line.mend()
        return "connections silent"

    def _throw_out(self) -> str:
        """Half of the connections are ended from the server's side, as by an administrator."""
        with self._has_clock, self._server.connect() as connection:
            connection.execute(THROW_OUT)
        return "connections ended by the server"

    def _crash(self) -> str:
        """The server and everything it had not written down; it recovers when it starts again."""
        with self._has_clock:
            self._cluster.crash()
            self._for_a_while()
            self._cluster.start()
        return "database crashed"

    def _kill_backend(self) -> str:
        """kill -9 of one connection's process: the server throws out everybody and recovers by itself."""
        with self._has_clock:
            self._cluster.kill_backend(self._random)
            self._cluster.wait()
        return "database process killed"

    def _freeze(self) -> str:
        with self._has_clock:
            pids = self._cluster.freeze()
            self._for_a_while()
            self._cluster.thaw(pids)
        return "database frozen"

    @property
    def _cluster(self) -> Cluster:
        assert isinstance(self._server, Cluster)
        return self._server
