"""What the tests of the pretend world share: a world with a clock that stands still, and a plain client of it."""

from __future__ import annotations

from typing import Any

import requests

from gateway.simulator import defaults
from gateway.simulator.adapter import WorldAdapter
from gateway.simulator.world import World

NOW_MS = 1_795_341_369_000  # 2026-11-22 09:56:09 UTC
URL = "http://world"
NUMBER = "+14155550123"
TAG = "rf:test:0123456789abcdef:1"
ACCOUNT = f"/2010-04-01/Accounts/{defaults.ACCOUNT_SID}"
NUMBERS = f"{ACCOUNT}/IncomingPhoneNumbers"
SEARCH = f"{ACCOUNT}/AvailablePhoneNumbers/US/Local.json"


class StillClock:
    """A clock that moves only when told."""

    def __init__(self) -> None:
        self.at_ms = NOW_MS

    def __call__(self) -> int:
        return self.at_ms

    def advance(self, seconds: float) -> None:
        self.at_ms += round(seconds * 1000)


class Caller:
    """Calls a world as any HTTP client would; `url` may be a loopback port as well."""

    def __init__(self, world: World | None = None, url: str = URL) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False
        if world is not None:
            self.session.mount(url, WorldAdapter(world))
        self.twilio_auth: tuple[str, str] | None = (defaults.ACCOUNT_SID, defaults.AUTH_TOKEN)
        self.vapi_key = defaults.VAPI_KEY
        self.stripe_key = defaults.STRIPE_API_KEY
        self.timeout = 5.0

    def twilio(self, method: str, path: str, **params: Any) -> requests.Response:
        form, query = (params, None) if method == "POST" else (None, params)
        return self.session.request(
            method, self.url + path, auth=self.twilio_auth, timeout=self.timeout, data=form, params=query
        )

    def vapi(self, method: str, path: str, body: Any = None, **params: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.vapi_key}"}
        return self.session.request(
            method, self.url + path, headers=headers, json=body, params=params, timeout=self.timeout
        )

    def stripe(self, path: str, **params: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.stripe_key}"}
        return self.session.get(self.url + path, headers=headers, params=params, timeout=self.timeout)

    def world(self, method: str, path: str, body: Any = None) -> Any:
        return self.session.request(method, f"{self.url}/_world{path}", json=body, timeout=5).json()

    def buy(self, number: str = NUMBER, tag: str = TAG, **params: Any) -> requests.Response:
        return self.twilio("POST", f"{NUMBERS}.json", PhoneNumber=number, FriendlyName=tag, **params)

    def listed(self, **params: Any) -> list[dict[str, Any]]:
        return list(self.twilio("GET", f"{NUMBERS}.json", **params).json()["incoming_phone_numbers"])

    def bring(self, number: str = NUMBER, **fields: Any) -> requests.Response:
        """Import a number at Vapi."""
        body = {
            "provider": "twilio",
            "number": number,
            "twilioAccountSid": defaults.ACCOUNT_SID,
            "twilioAuthToken": defaults.AUTH_TOKEN,
            "name": TAG,
        }
        return self.vapi("POST", "/phone-number", body | fields)


def code(response: requests.Response) -> tuple[int, int]:
    """HTTP status and Twilio's code, once the form of the error is right."""
    error = response.json()
    assert set(error) == {"code", "message", "more_info", "status"}
    assert error["status"] == response.status_code
    assert error["more_info"] == f"https://www.twilio.com/docs/errors/{error['code']}"
    return response.status_code, error["code"]
