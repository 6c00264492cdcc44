"""What tests of the outgoing clients share: a clock that stands still, deadlines, clients of pretend accounts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import requests
from requests.adapters import BaseAdapter, HTTPAdapter

from gateway.errors import ProviderError
from gateway.integrations.http import Http
from gateway.integrations.stripe.client import StripeClient
from gateway.integrations.twilio.client import TwilioClient
from gateway.integrations.vapi.client import VapiClient
from gateway.integrations.vapi.imports import twilio_import
from gateway.ports import Clock, Deadline

NOW_MS = 1_795_341_369_000  # 2026-11-22 09:56:09 UTC
ACCOUNT_SID = "AC" + "1" * 32
AUTH_TOKEN = "0123456789abcdef0123456789abcdef"
VAPI_KEY = "11111111-2222-4333-8444-555555555555"
STRIPE_KEY = "rk_test_51abcdefghijklmnop"
NUMBER = "+14155550123"
TAG = "rf:test:0123456789abcdef:1"
PN = "PN" + "a" * 32

TWILIO = "https://api.twilio.com"
NUMBERS_URL = f"{TWILIO}/2010-04-01/Accounts/{ACCOUNT_SID}/IncomingPhoneNumbers"
VAPI = "https://api.vapi.ai"
STRIPE = "https://api.stripe.com"


class StillClock:
    """A clock that moves only when told."""

    def __init__(self, now_ms: int = NOW_MS) -> None:
        self.at_ms = now_ms
        self.seconds = 1000.0

    def now_ms(self) -> int:
        return self.at_ms

    def monotonic(self) -> float:
        return self.seconds


def within(clock: Clock, seconds: float = 15.0) -> Deadline:
    return Deadline(clock.monotonic() + seconds, clock.now_ms() + round(seconds * 1000))


def http_core(clock: Clock, adapter: Callable[[], BaseAdapter] = HTTPAdapter) -> Http:
    """With the adapter of `requests` itself, which `responses` stands in for."""
    return Http(clock, adapter)


def twilio_client(http: Http, base_url: str = TWILIO, username: str = ACCOUNT_SID) -> TwilioClient:
    return TwilioClient(
        http,
        base_url=base_url,
        pricing_base_url=base_url if base_url != TWILIO else "https://pricing.twilio.com",
        account_sid=ACCOUNT_SID,
        username=username,
        password=AUTH_TOKEN,
    )


def vapi_client(http: Http, base_url: str = VAPI) -> VapiClient:
    return VapiClient(
        http,
        base_url=base_url,
        api_key=VAPI_KEY,
        account_sid=ACCOUNT_SID,
        describe=twilio_import(ACCOUNT_SID, auth_token=AUTH_TOKEN),
    )


def stripe_client(http: Http, base_url: str = STRIPE) -> StripeClient:
    return StripeClient(http, base_url=base_url, api_key=STRIPE_KEY)


def everything_said(error: BaseException) -> str:
    """All text that hangs on an exception: its own, its fields, and the same of everything it was raised from."""
    texts: list[str] = []
    queue: list[BaseException | None] = [error]
    while queue:
        one = queue.pop()
        if one is None:
            continue
        texts += [str(one), repr(one), repr(one.args), repr(vars(one)), *getattr(one, "__notes__", ())]
        queue += [one.__cause__, one.__context__]
    return "\n".join(texts)


def said_of(error: ProviderError) -> tuple[str, object]:
    """The class of a provider error, and the kind where it is a refusal."""
    return type(error).__name__, getattr(error, "kind", None)


def sent_bodies(calls: Sequence[object]) -> list[requests.PreparedRequest]:
    return [call.request for call in calls]  # type: ignore[attr-defined]
