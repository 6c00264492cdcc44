"""Small programs in processes of their own, told what to do line by line, and killed when they must be."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECONDS = 60.0
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1


class Program:
    """A running program: `say` writes it a line, `hear` reads one of its."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def say(self, line: str = "go on") -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        """As `kill -9` does."""
        self.process.kill()
        self.process.wait(SECONDS)

    def end(self) -> int:
        """Wait for its end; its status."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(SECONDS)


def heed_file_modes() -> None:
    """In a new process: have root bound by the modes of files, as everybody else is."""
    if os.geteuid() == 0:
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)


@contextmanager
def running(script: str, *args: object, preexec: Callable[[], None] | None = None) -> Iterator[Program]:
    """A program with the gateway's own modules and nothing of this process."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, *map(str, args)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        preexec_fn=preexec,
    )
    try:
        yield Program(process)
    finally:
        process.kill()
        process.wait(SECONDS)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def outcome(script: str, *args: object) -> str:
    """What a program prints until it ends with status 0."""
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, args)], capture_output=True, text=True, timeout=SECONDS, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
