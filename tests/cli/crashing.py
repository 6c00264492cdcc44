"""Commands in processes of their own that die, as by `kill -9`, just before the nth thing they do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.store.processes import Program, running

# A child is a fork, so that it begins at once.
SCRIPT = """
import os, signal, sys
from gateway.cli import main
import gateway.cli.move, gateway.cli.restore, gateway.store.postgres, gateway.wiring

{watch}

done, last = 0, 0

def count():
    global done
    done += 1
    if done == last:
        os.kill(os.getpid(), signal.SIGKILL)

for line in sys.stdin:
    point, *arguments = line.split()
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        last = int(point)
        watch()
        status = main(arguments)
        sys.settrace(None), sys.setprofile(None)
        os.write(theirs, str(done).encode())
        os._exit(status)
    os.close(theirs)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(status, os.read(ours, 20).decode() or 0, flush=True)
    os.close(ours)
"""
AT_POINTS = """
def watch():
    sys.setprofile(lambda frame, event, called: event == "c_call" and called.__name__ in POINTS and count())
"""
FILES = {"link", "rename", "replace", "unlink", "fsync", "chmod", "chown", "sendfile", "copy_file_range"}
# Every change of a file; those and every statement.
AT_FILES = f"POINTS = {FILES}{AT_POINTS}"
AT_CALLS = f"POINTS = {FILES | {'execute', 'executescript', 'close', 'flock'}}{AT_POINTS}"
# Every line of these files, but those that only read.
AT_LINES = """
FILES = ("/cli/move.py", "/store/move.py", "/store/copying.py", "/store/closing.py", "/store/installation.py")
READING = ("spelt", "content", "page", "table_of", "tables_of", "batches", "<genexpr>")

def at_line(frame, event, called):
    if event == "line":
        count()
    return at_line

def watch():
    def at_call(frame, event, called):
        code = frame.f_code
        return at_line if code.co_filename.endswith(FILES) and code.co_name not in READING else None

    sys.settrace(at_call)
"""


class Crashing:
    """points: how many things the last run did that came to its end."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self.points = 0

    def run(self, *arguments: str, until: int = 0) -> int:
        """Its status; -9 when it died just before that thing it does."""
        self._program.say(" ".join((str(until), *arguments)))
        status, points = self._program.hear().split()
        self.points = int(points) or self.points
        return int(status)


@contextmanager
def crashing(watch: str) -> Iterator[Crashing]:
    """watch: at what it dies, such as AT_LINES."""
    with running(SCRIPT.replace("{watch}", watch)) as program:
        yield Crashing(program)
