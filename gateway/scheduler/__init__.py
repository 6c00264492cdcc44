"""Decides when, never what: calls `flow`, owns no rules."""

from __future__ import annotations

from typing import Protocol


class Scheduler(Protocol):
    """The work of one process, whoever wakes it."""

    was_started: bool

    @property
    def in_flight(self) -> int:
        """Tenants being worked for in this process now."""
        ...

    @property
    def is_working(self) -> bool:
        """Whether it works, and does not wait for a place or a database."""
        ...

    @property
    def is_stopping(self) -> bool: ...

    @property
    def is_alive(self) -> bool: ...

    def start(self) -> None: ...

    def wake(self) -> None:
        """Something may be due here. From any thread, at any time; microseconds."""
        ...

    def stop(self, budget_seconds: float) -> bool:
        """Start nothing more and wait for what is in flight; True when all of it ended within the budget."""
        ...
