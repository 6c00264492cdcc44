"""Independent senders: the official packages sign, and recorded deliveries are read byte for byte."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import stripe
from standardwebhooks import Webhook

from gateway.domain.model import Delivery
from gateway.integrations.standard.source import StandardSource
from gateway.integrations.stripe.source import StripeSource
from gateway.ports import Source

DELIVERIES = Path(__file__).parents[1] / "deliveries"
STRIPE_SECRET = "whsec_test_secret"
STANDARD_SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
NOW_MS = 1_795_341_400_000

Headers = dict[str, str]


@dataclass(frozen=True)
class Sender:
    """One source, with somebody who can sign for it.

    event: a body that says something, of this event id.   signed: its headers, lower-case names, sent at that second.
    signature_header: where the signature is.   time_header: where the time is, with its surroundings.
    """

    name: str
    make: Callable[[list[str]], Source]
    secret: str
    other_secret: str
    event: Callable[[str], dict[str, Any]]
    signed: Callable[[bytes, str, int, str], Headers]
    signature_header: str
    time_header: str

    @property
    def source(self) -> Source:
        return self.make([self.secret])

    def body(self, event_id: str = "evt_1") -> bytes:
        return json.dumps(self.event(event_id), indent=2, ensure_ascii=False).encode()

    def headers(self, body: bytes, event_id: str = "evt_1", at_ms: int = NOW_MS, secret: str | None = None) -> Headers:
        return {
            "content-type": "application/json; charset=utf-8",
            **self.signed(body, event_id, at_ms // 1000, secret or self.secret),
        }

    def delivery(
        self, body: bytes | None = None, event_id: str = "evt_1", at_ms: int = NOW_MS, secret: str | None = None
    ) -> Delivery:
        raw = self.body(event_id) if body is None else body
        return Delivery(self.name, self.headers(raw, event_id, at_ms, secret), raw, NOW_MS)

    def recorded(self) -> list[Path]:
        return sorted((DELIVERIES / self.name).glob("*.http"))


def sign_stripe(body: bytes, event_id: str, at_seconds: int, secret: str) -> Headers:
    text = body.decode("utf-8", "surrogateescape")
    if text.encode("utf-8", "replace") != body:
        # The package signs text only.
        import hmac

        digest = hmac.new(secret.encode(), f"{at_seconds}.".encode() + body, "sha256").hexdigest()
        return {"stripe-signature": f"t={at_seconds},v1={digest}"}
    header = stripe.WebhookSignature.generate_signature_header(text, secret, at_seconds)
    return {"stripe-signature": header}


def sign_standard(body: bytes, event_id: str, at_seconds: int, secret: str) -> Headers:
    at = datetime.fromtimestamp(at_seconds, UTC)
    try:
        signature = Webhook(secret).sign(event_id, at, body.decode())
    except UnicodeDecodeError:
        import base64
        import hmac

        key = base64.b64decode(secret.removeprefix("whsec_"))
        digest = hmac.new(key, f"{event_id}.{at_seconds}.".encode() + body, "sha256").digest()
        signature = f"v1,{base64.b64encode(digest).decode()}"
    return {"webhook-id": event_id, "webhook-timestamp": str(at_seconds), "webhook-signature": signature}


def stripe_event(event_id: str) -> dict[str, Any]:
    return {
        "id": event_id,
        "object": "event",
        "created": NOW_MS // 1000,
        "type": "customer.subscription.updated",
        "data": {
            "object": {
                "id": "sub_1",
                "object": "subscription",
                "status": "active",
                "metadata": {"tenant_id": "acme", "company_name": "Zoë & Söhne"},
            }
        },
        "livemode": False,
    }


def standard_event(event_id: str) -> dict[str, Any]:
    return {
        "type": "subscription.active",
        "timestamp": "2026-11-22T09:56:09Z",
        "data": {"id": "sub_1", "status": "active", "metadata": {"tenant_id": "acme", "company_name": "Zoë & Söhne"}},
    }


STRIPE = Sender(
    name="stripe",
    make=StripeSource,
    secret=STRIPE_SECRET,
    other_secret="whsec_another",
    event=stripe_event,
    signed=sign_stripe,
    signature_header="stripe-signature",
    time_header="stripe-signature",
)
STANDARD = Sender(
    name="standard",
    make=StandardSource,
    secret=STANDARD_SECRET,
    other_secret="whsec_YW5vdGhlci1zZWNyZXQtb2Ytc29tZWJvZHk=",
    event=standard_event,
    signed=sign_standard,
    signature_header="webhook-signature",
    time_header="webhook-timestamp",
)
SENDERS = [STRIPE, STANDARD]


def read_recorded(path: Path) -> Delivery:
    """A recorded request as a delivery; received at the second its sender signed it."""
    head, _, body = path.read_bytes().partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")[1:]
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    stamp = headers.get("webhook-timestamp") or headers["stripe-signature"].partition("t=")[2].partition(",")[0]
    return Delivery(path.parent.name, headers, body, int(stamp) * 1000)
