"""Signups as Stripe sends them: unique, really signed, made before the load begins.

Signature: `t=<unix s>,v1=<hex HMAC-SHA256 of "t.body" with the whole secret>` (docs.stripe.com, "Receive Stripe
events in your webhook endpoint", read 2026-11).
"""

from __future__ import annotations

import hmac
import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SECRET = "whsec_bench_0123456789abcdef"
SIGNUP = "checkout.session.completed"


@dataclass(frozen=True, slots=True)
class Signed:
    """One delivery: the body as sent, and its Stripe-Signature header."""

    header: str
    body: bytes


def template(event_type: str, created_s: int) -> str:
    """A body of 1.6 kB with @ID@ where events differ, in the shape of API version 2026-10-28.endive."""
    session = {
        "id": "cs_test_@ID@", "object": "checkout.session", "amount_subtotal": 4900, "amount_total": 4900,
        "automatic_tax": {"enabled": False, "liability": None, "status": None}, "billing_address_collection": None,
        "cancel_url": "https://example.test/cancel", "client_reference_id": "t-@ID@", "consent": None,
        "created": created_s, "currency": "usd", "custom_fields": [], "customer": "cus_@ID@",
        "customer_details": {
            "address": {"city": "San Francisco", "country": "US", "line1": "1 Market St", "line2": None,
                        "postal_code": "94105", "state": "CA"},
            "email": "owner+@ID@@example.test", "name": "Jane Example", "phone": "+14155550100",
            "tax_exempt": "none", "tax_ids": []},
        "expires_at": created_s + 86400, "livemode": False, "locale": "en", "mode": "subscription",
        "metadata": {"tenant_id": "t-@ID@", "area_code": "415", "plan": "pro", "business_name": "Example Dental"},
        "payment_method_collection": "always", "payment_method_types": ["card", "link"],
        "payment_status": "paid", "status": "complete", "subscription": "sub_@ID@",
        "success_url": "https://example.test/success?session_id={CHECKOUT_SESSION_ID}",
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0}, "ui_mode": "hosted",
        "url": None, "shipping_address_collection": None, "shipping_cost": None, "shipping_options": [],
        "submit_type": None, "phone_number_collection": {"enabled": True}, "recovered_from": None,
        "invoice": "in_@ID@",
    }  # fmt: skip
    event = {
        "id": "evt_@ID@", "object": "event", "api_version": "2026-10-28.endive", "created": created_s,
        "data": {"object": session}, "livemode": False, "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None}, "type": event_type,
    }  # fmt: skip
    return json.dumps(event, separators=(",", ":"))


def signed(count: int, event_type: str = SIGNUP) -> Iterator[Signed]:
    """`count` deliveries, each of an event and a tenant of its own, signed now."""
    now_s = int(time.time())
    text, run, key = template(event_type, now_s), uuid.uuid4().hex[:8], SECRET.encode()
    stamp = f"{now_s}.".encode()
    for index in range(count):
        body = text.replace("@ID@", f"{run}{index:07d}").encode()
        yield Signed(f"t={now_s},v1={hmac.digest(key, stamp + body, 'sha256').hex()}", body)


def tenant_key(delivery: Signed) -> str:
    return str(json.loads(delivery.body)["data"]["object"]["metadata"]["tenant_id"])


def write_pool(path: Path, count: int, event_type: str = SIGNUP) -> None:
    """One delivery a line: header, tab, body. What `replay.lua` reads."""
    with path.open("wb") as pool:
        for delivery in signed(count, event_type):
            pool.write(delivery.header.encode() + b"\t" + delivery.body + b"\n")
