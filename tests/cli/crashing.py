"""Commands in processes of their own that die, as by `kill -9`, just before the nth thing they do to the outside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.store.processes import Program, running

# Every statement, every change of a file. A child is a fork, so that it begins at once.
SCRIPT = """
import os, signal, sys
from gateway.cli import main
import gateway.cli.restore, gateway.wiring

POINTS = {"execute", "executescript", "link", "rename", "replace", "unlink", "fsync", "chmod", "chown", "close",
          "sendfile", "copy_file_range", "flock"}

def run(point, arguments):
    seen = 0

    def watch(frame, event, called):
        nonlocal seen
        if event == "c_call" and called.__name__ in POINTS:
            seen += 1
            if seen == point:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(watch)
    return main(arguments)

for line in sys.stdin:
    point, *arguments = line.split()
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os._exit(run(int(point), arguments))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Crashing:
    def __init__(self, program: Program) -> None:
        self._program = program

    def run(self, point: int, *arguments: str) -> int:
        """Its status; -9 when it died at that point."""
        self._program.say(" ".join((str(point), *arguments)))
        return int(self._program.hear())


@contextmanager
def crashing() -> Iterator[Crashing]:
    with running(SCRIPT) as program:
        yield Crashing(program)
