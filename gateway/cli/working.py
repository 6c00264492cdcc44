"""A gateway for one command: built on the opened database, never started, closed at the end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gateway.cli.opening import Opened, opened, settings_with_logs
from gateway.flow.at_once import Patience
from gateway.steps.context import StepParts

WAIT_SECONDS = 30.0


@dataclass(frozen=True)
class Working:
    """An opened database, and all that a step needs to work on it."""

    session: Opened
    steps: StepParts


@contextmanager
def working() -> Iterator[Working]:
    """Raises what opening the database raises; asks no provider by itself."""
    from gateway.wiring import build, with_pretend_world

    with opened(with_pretend_world(settings_with_logs())) as session:
        gateway = build(session.settings, session.database)
        try:
            yield Working(session, gateway.steps)
        finally:
            gateway.close()


def patience(seconds: float) -> Patience:
    """Waits on this machine's own time."""
    return Patience(round(seconds * 1000), time.sleep)
