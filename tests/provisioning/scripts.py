"""Scripts and notebooks in the pretend world, reached over HTTP without a socket, under a clock by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gateway.provisioner import TwilioVAPIProvisioner
from gateway.provisioning.opening import Outside
from gateway.simulator import defaults
from gateway.simulator.adapter import WorldAdapter
from gateway.simulator.wire import Request
from tests import databases
from tests.stories.sandbox import WORLD_URL, Crash, CrashingWorld, EnoughSlots, ManualClock

ASSISTANT = defaults.ASSISTANT_ID
OTHER_ASSISTANT = "a5515700-0000-4000-8000-000000000002"
SERVER = "https://app.example.com/vapi/{tenant}"


class Script:
    """One place with its database, its world, and as many provisioners as are opened."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.url = databases.database_url(folder)
        self.world = CrashingWorld(now=self.clock.now_ms)
        self.world.vapi.add_assistant({"id": OTHER_ASSISTANT, "name": "Back office"}, self.clock.at_ms)
        self.opened: list[TwilioVAPIProvisioner] = []
        self.seed = 0

    def open(self, **given: Any) -> TwilioVAPIProvisioner:
        """A provisioner as a script makes it."""
        made = TwilioVAPIProvisioner(
            given.pop("twilio_account_sid", defaults.ACCOUNT_SID),
            given.pop("twilio_auth_token", defaults.AUTH_TOKEN),
            given.pop("vapi_api_key", defaults.VAPI_KEY),
            **{**self.given(), **given},
        )
        self.opened.append(made)
        return made

    def given(self) -> dict[str, Any]:
        """What leads a provisioner into this world."""
        self.seed += 1
        outside = Outside(self.clock, lambda: WorldAdapter(self.world), EnoughSlots(), self.pause, self.seed)
        where = {"database_url": self.url, "twilio_base_url": WORLD_URL, "vapi_server_url": SERVER}
        return {**where, "outside": outside}

    def pause(self, seconds: float) -> None:
        self.clock.at_ms += max(1, int(seconds * 1000))

    def close(self) -> None:
        for each in self.opened:
            each.close()
        self.world.close()

    def crash(self, operation: str, *, before: bool, nth: int = 1) -> None:
        """The process dies at the nth call of an operation from now on."""
        self.world.crash_plan = (operation, before, self.world.calls().get(operation, 0) + nth)

    def after_a_crash(self) -> TwilioVAPIProvisioner:
        """A new process, some time later."""
        self.world.crash_plan = None
        self.opened.pop().close()
        self.clock.at_ms += 61_000
        return self.open(wait_seconds=3600)

    def fault(self, operation: str, kind: str, **given: Any) -> None:
        self.world.add_fault({"operation": operation, "kind": kind, **given})

    def place(self, **fields: Any) -> None:
        """Numbers that are in the account by other means."""
        request = Request("POST", "/_world/numbers", "", json.dumps(fields).encode(), "")
        assert self.world.handle(request).status < 400

    def numbers(self) -> list[dict[str, Any]]:
        return list(self.world.state()["numbers"])

    def entries(self) -> list[dict[str, Any]]:
        return list(self.world.state()["entries"])

    def purchases(self) -> list[str]:
        return [each["number"] for each in self.world.purchases()]


__all__ = ["ASSISTANT", "OTHER_ASSISTANT", "Crash", "Script"]
