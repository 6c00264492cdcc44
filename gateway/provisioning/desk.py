"""One script at work: its gateway, how long it waits, and every failure made an answer."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable
from typing import TypeVar

from gateway.domain import options
from gateway.errors import GatewayError
from gateway.flow.at_once import Patience
from gateway.flow.operate import Operator
from gateway.provisioning.opening import Given, Outside, open_gateway
from gateway.steps.context import StepParts

log = logging.getLogger("gateway.provisioner")

T = TypeVar("T")
Answer = dict[str, object]


class Desk:
    """What every call of a provisioner works with. Used by any number of threads."""

    def __init__(self, given: Given, outside: Outside, wait_seconds: float) -> None:
        self._gateway = open_gateway(given, outside)
        self._finish = weakref.finalize(self, self._gateway.close)
        self.patience = Patience(round(wait_seconds * 1000), outside.pause)
        self.last_error: str | None = None

    def close(self) -> None:
        """Close the database. Safe to repeat; nothing can be asked afterwards."""
        self._finish()

    @property
    def steps(self) -> StepParts:
        return self._gateway.steps

    def operator(self, reason: str) -> Operator:
        return Operator("provisioner", reason)

    def attempt(self, what: str, job: Callable[[], T], failed: Callable[[str], T]) -> T:
        """What the job gives; what went wrong outside, or makes no sense, becomes an answer and is kept."""
        self.last_error = None
        try:
            return job()
        except GatewayError as error:
            self.note(what, str(error))
            return failed(str(error))

    def note(self, what: str, error: str) -> None:
        """Keep why a call did not do what was asked."""
        self.last_error = error
        log.warning("provisioner.failed", extra={"fields": {"call": what, "reason": error}})

    def refuse(self, what: str, error: str, **more: object) -> Answer:
        """The answer of a call that was not done."""
        self.note(what, error)
        return {"success": False, **more, "error": error}

    def words(self, **said: str | None) -> dict[str, str]:
        """Options that were said. Raises OptionsInvalid for what makes no sense."""
        found = {name: str(value) for name, value in said.items() if value is not None and str(value).strip()}
        options.parse(found, self.steps.rules)
        return found
