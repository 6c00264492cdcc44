"""Clients of the pretend world, reached through `requests` without a socket, for the contract suites."""

from __future__ import annotations

from typing import Any

from gateway.integrations.http import Http
from gateway.integrations.twilio.client import TwilioClient
from gateway.integrations.vapi.client import VapiClient
from gateway.integrations.vapi.imports import twilio_import
from gateway.ports import Deadline
from gateway.simulator import defaults
from gateway.simulator.adapter import WorldAdapter
from gateway.simulator.world import World
from tests.integrations.providers import TWILIO, VAPI, StillClock, within

TAG = "rf:test:0123456789abcdef:1"
OTHER_TAG = "rf:test:fedcba9876543210:1"


class Pretend:
    """A world, a clock that stands still, and clients with credentials that open it."""

    def __init__(self) -> None:
        self.clock = StillClock()
        self.world = World(seed="contract", now=self.clock.now_ms)
        self.http = Http(self.clock, lambda: WorldAdapter(self.world))

    @property
    def deadline(self) -> Deadline:
        return within(self.clock)

    def fault(self, operation: str, kind: str, **options: Any) -> None:
        self.world.add_fault({"operation": operation, "kind": kind, **options})

    def twilio(self, password: str = defaults.AUTH_TOKEN) -> TwilioClient:
        return TwilioClient(
            self.http,
            base_url=TWILIO,
            pricing_base_url="https://pricing.twilio.com",
            account_sid=defaults.ACCOUNT_SID,
            username=defaults.ACCOUNT_SID,
            password=password,
        )

    def vapi(self, api_key: str = defaults.VAPI_KEY) -> VapiClient:
        return VapiClient(
            self.http,
            base_url=VAPI,
            api_key=api_key,
            account_sid=defaults.ACCOUNT_SID,
            describe=twilio_import(defaults.ACCOUNT_SID, auth_token=defaults.AUTH_TOKEN),
        )
