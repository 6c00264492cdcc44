"""Commands, run in this process against an installation of their own."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import time_machine

from gateway.cli import main
from gateway.settings.names import NAMES
from tests import databases
from tests.conftest import levels_now, put_back_levels
from tests.stories.sandbox import ManualClock, Sandbox


@dataclass(frozen=True)
class Result:
    """How a command ended and what it printed."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def place(database_kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder as the working folder, and nothing of the tester's own settings."""
    for name in (*NAMES, "DYNO"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", databases.database_url(tmp_path))
    monkeypatch.setenv("GATEWAY_MODE", "sandbox")
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


@pytest.fixture(autouse=True)
def own_logs() -> Iterator[None]:
    """Commands set up this process's logs; afterwards they are pytest's again."""
    root = logging.getLogger()
    handlers, umask = list(root.handlers), os.umask(0o022)
    levels = levels_now()
    hooks = sys.excepthook, threading.excepthook, logging.raiseExceptions
    yield
    os.umask(umask)
    root.handlers[:] = handlers
    put_back_levels(levels)
    logging.captureWarnings(False)
    sys.excepthook, threading.excepthook, logging.raiseExceptions = hooks


class Watch:
    """What time it is for the commands: the same as for the gateway at work, where there is one."""

    def __init__(self) -> None:
        self.clock = ManualClock()


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def run(place: Path, capsys: pytest.CaptureFixture[str], watch: Watch) -> Run:
    def run_command(*arguments: str) -> Result:
        capsys.readouterr()
        if databases.is_postgres():
            databases.LENT.set_time(place, watch.clock.at_ms)
        with time_machine.travel(watch.clock.at_ms / 1000, tick=False):
            status = main(arguments)
        printed = capsys.readouterr()
        return Result(status, printed.out, printed.err)

    return run_command


@pytest.fixture
def sandbox(place: Path, watch: Watch) -> Iterator[Sandbox]:
    """A gateway at work on the database that the commands open."""
    made = Sandbox(place)
    watch.clock = made.clock
    yield made
    made.close()


@pytest.fixture
def acme(sandbox: Sandbox) -> Sandbox:
    """`acme` has paid and is active."""
    sandbox.deliver("checkout.completed", set={"metadata.area_code": "415"})
    sandbox.settle(60)
    return sandbox
