"""A pretend Stripe: the events of a customer's whole life, shaped, indented and signed as the real ones.

Shapes follow stripe/openapi `fixtures3.json` (2026-08-21) for the new API and the fields that moved in
2025-03-31.basil for the old one; signatures follow stripe-python 16.1.0. It shares no code with `source.py`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from gateway.integrations.stripe.simulator_shapes import (
    API_VERSIONS,
    checkout_session,
    customer,
    invoice,
    subscription,
)

Record = dict[str, Any]

DAY_S = 86_400
MONTH_S = 30 * DAY_S
TRIAL_S = 14 * DAY_S

# Name for `trigger` -> type at Stripe. Several names may be one type in another mood.
TYPES: dict[str, str] = {
    "checkout.completed": "checkout.session.completed",
    "checkout.unpaid": "checkout.session.completed",
    "checkout.no_payment_required": "checkout.session.completed",
    "checkout.async_payment_succeeded": "checkout.session.async_payment_succeeded",
    "checkout.async_payment_failed": "checkout.session.async_payment_failed",
    "checkout.expired": "checkout.session.expired",
    "subscription.created": "customer.subscription.created",
    "subscription.updated": "customer.subscription.updated",
    "subscription.active": "customer.subscription.updated",
    "subscription.past_due": "customer.subscription.updated",
    "subscription.unpaid": "customer.subscription.updated",
    "subscription.cancel_at_period_end": "customer.subscription.updated",
    "subscription.deleted": "customer.subscription.deleted",
    "subscription.paused": "customer.subscription.paused",
    "subscription.resumed": "customer.subscription.resumed",
    "subscription.trial_will_end": "customer.subscription.trial_will_end",
    "invoice.paid": "invoice.paid",
    "invoice.payment_succeeded": "invoice.payment_succeeded",
    "invoice.payment_failed": "invoice.payment_failed",
    "customer.created": "customer.created",
    "unknown": "ringfence.made_up",
}
_NAMES = {kind: name for name, kind in reversed(TYPES.items())}

_PAPERS = {
    "metadata.company_name": "Mia (Pty) Ltd",
    "metadata.street": "1 Long Street",
    "metadata.city": "Cape Town",
    "metadata.region": "Western Cape",
    "metadata.postal_code": "8001",
    "metadata.bundle_sid": "BU" + "5c" * 16,
}

# Whole stories: (seconds after the one before, name, overrides).
SCENARIOS: dict[str, list[tuple[int, str, dict[str, str]]]] = {
    "signup": [
        (0, "checkout.completed", {}),
        (1, "subscription.created", {}),
        (1, "invoice.paid", {}),
    ],
    "trial": [
        (0, "checkout.no_payment_required", {}),
        (1, "subscription.created", {}),
        (TRIAL_S - 3 * DAY_S, "subscription.trial_will_end", {}),
        (3 * DAY_S, "subscription.active", {}),
        (1, "invoice.paid", {}),
    ],
    # The bundle is one that the pretend Twilio approves a day after its world began.
    "needs-papers": [
        (0, "checkout.completed", {"metadata.country": "ZA", "metadata.number_type": "national"}),
        (1, "subscription.created", {}),
        (600, "subscription.updated", _PAPERS),
        (DAY_S, "invoice.paid", {}),
    ],
    "payment-fails-and-recovers": [
        (0, "checkout.completed", {}),
        (1, "subscription.created", {}),
        (MONTH_S, "invoice.payment_failed", {}),
        (1, "subscription.past_due", {}),
        (3 * DAY_S, "invoice.paid", {}),
        (1, "subscription.active", {}),
    ],
    "payment-fails-for-good": [
        (0, "checkout.completed", {}),
        (1, "subscription.created", {}),
        (MONTH_S, "invoice.payment_failed", {}),
        (1, "subscription.past_due", {}),
        (14 * DAY_S, "subscription.unpaid", {}),
        (30 * DAY_S, "subscription.deleted", {"cancellation_details.reason": "payment_failed"}),
    ],
    "pause-and-resume": [
        (0, "checkout.completed", {}),
        (DAY_S, "subscription.paused", {}),
        (7 * DAY_S, "subscription.resumed", {}),
    ],
    "cancel": [
        (0, "checkout.completed", {}),
        (1, "subscription.created", {}),
        (DAY_S, "subscription.cancel_at_period_end", {}),
        (MONTH_S - DAY_S, "subscription.deleted", {}),
    ],
    "cancel-and-return": [
        (0, "checkout.completed", {}),
        (1, "subscription.created", {}),
        (MONTH_S, "subscription.deleted", {}),
        (5 * DAY_S, "checkout.completed", {}),
        (1, "subscription.created", {}),
    ],
    "async-payment": [
        (0, "checkout.unpaid", {}),
        (1, "subscription.created", {}),
        (2 * DAY_S, "checkout.async_payment_succeeded", {}),
        (1, "invoice.paid", {}),
        (1, "subscription.active", {}),
    ],
    "async-payment-fails": [
        (0, "checkout.unpaid", {}),
        (1, "subscription.created", {}),
        (2 * DAY_S, "checkout.async_payment_failed", {}),
    ],
    "abandoned": [(0, "checkout.expired", {})],
}


@dataclass(frozen=True, slots=True)
class SignedEvent:
    """One delivery as it would arrive: bytes and headers."""

    event_id: str
    type: str
    body: bytes
    headers: dict[str, str]


def our_name(name: str) -> str:
    """The name of an event in `TYPES`, by that or by Stripe's own. Raises ValueError for one that does not exist."""
    ours = name if name in TYPES else _NAMES.get(name)
    if ours is None:
        raise ValueError(f"no event {name!r}; known: {', '.join(TYPES)}")
    return ours


def sign(body: bytes, secrets: Iterable[str], timestamp_s: int) -> str:
    """The `Stripe-Signature` header: one v1 for each secret, as while a secret is being rolled."""
    signed = f"{timestamp_s}.".encode() + body
    marks = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={timestamp_s}", *(f"v1={mark}" for mark in marks)])


def deliver(event: Record, secrets: Iterable[str], timestamp_s: int) -> SignedEvent:
    """The event as Stripe sends it: indented JSON, signed at `timestamp_s` (epoch seconds)."""
    body = json.dumps(event, indent=2, ensure_ascii=False).encode()
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "Stripe-Signature": sign(body, secrets, timestamp_s),
        "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
    }
    return SignedEvent(event["id"], event["type"], body, headers)


@dataclass(slots=True)
class Life:
    """One customer with one subscription at a time; a return after the end is a new subscription.

    Ids follow from seed and tenant alone, so a second process continues the same life.
    carry: where the tenant's key travels: any of `session`, `subscription`, `reference` (client_reference_id).
    """

    tenant: str = "acme"
    seed: str = ""
    shape: str = "new"
    livemode: bool = False
    metadata: dict[str, str] = field(default_factory=dict)
    carry: tuple[str, ...] = ("session", "subscription")
    round: int = 0
    status: str = "none"
    events: int = 0
    invoices: int = 0
    created_s: int = 0
    period_start_s: int = 0
    trial_end_s: int | None = None
    cancel_at_period_end: bool = False
    canceled_s: int | None = None
    ended_s: int | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        self.carry = tuple(self.carry)

    def to_record(self) -> Record:
        return asdict(self)

    def id(self, prefix: str, *parts: object) -> str:
        """An id of this life, such as `sub_…`; the same parts give the same id."""
        text = "/".join(str(part) for part in (self.seed, self.tenant, prefix, *parts))
        return f"{prefix}_{hashlib.sha256(text.encode()).hexdigest()[:24]}"

    @property
    def customer_id(self) -> str:
        return self.id("cus")

    @property
    def subscription_id(self) -> str:
        return self.id("sub", self.round)

    @property
    def session_id(self) -> str:
        return self.id("cs_test", self.round)

    @property
    def invoice_id(self) -> str:
        return self.id("in", self.round, self.invoices)

    def carried(self, where: str) -> dict[str, str]:
        """The metadata of the session or the subscription."""
        return {"tenant_id": self.tenant, **self.metadata} if where in self.carry else {}

    def event(self, name: str, at_ms: int, overrides: Mapping[str, Any] | None = None) -> Record:
        """The event `name` (ours or Stripe's own) happening now; it moves this life on.

        overrides: dotted path -> value, into `data.object`, or into the envelope when it begins with `event.`.
        Raises ValueError for a name or path that does not exist.
        """
        name = our_name(name)
        kind = TYPES[name]
        at_s = at_ms // 1000
        changes = dict(overrides or {})
        before = subscription(self) if self.round else None
        self._live(name, at_s, changes)
        thing = self._object(name, at_s)
        for path, value in changes.items():
            if not path.startswith("event."):
                _put(thing, path, value)
        data: Record = {"object": thing}
        if kind == "customer.subscription.updated" and before is not None:
            data["previous_attributes"] = {k: before.get(k) for k, v in thing.items() if before.get(k) != v}
        self.events += 1
        event: Record = {
            "id": self.id("evt", self.round, self.events, kind, at_ms),
            "object": "event",
            "api_version": API_VERSIONS[self.shape],
            "created": at_s,
            "data": data,
            "livemode": self.livemode,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": kind,
        }
        for path, value in changes.items():
            if path.startswith("event."):
                _put(event, path.removeprefix("event."), value)
        return event

    def play(self, scenario: str, at_ms: int) -> list[Record]:
        """All events of a story from `SCENARIOS`, each at its time. Raises ValueError for an unknown one."""
        if scenario not in SCENARIOS:
            raise ValueError(f"no scenario {scenario!r}; known: {', '.join(SCENARIOS)}")
        events = []
        for delay_seconds, name, overrides in SCENARIOS[scenario]:
            at_ms += delay_seconds * 1000
            events.append(self.event(name, at_ms, overrides))
        return events

    def _begin(self, at_s: int, status: str) -> None:
        self.round += 1
        self.status, self.created_s, self.period_start_s = status, at_s, at_s
        self.invoices, self.cancel_at_period_end, self.reason = 1, False, None
        self.canceled_s = self.ended_s = None
        self.trial_end_s = at_s + TRIAL_S if status == "trialing" else None

    def _live(self, name: str, at_s: int, changes: Mapping[str, Any]) -> None:
        """What the event says has happened, as a change of this life."""
        begins = {"checkout.completed": "active", "checkout.unpaid": "incomplete", "checkout.expired": "none"}
        begins |= {"checkout.no_payment_required": "trialing", "subscription.created": "active"}
        over = self.status in ("none", "canceled", "incomplete_expired")
        if over and (name in begins or self.round == 0):
            self._begin(at_s, begins.get(name, "active"))
        becomes: dict[str, Callable[[], str]] = {
            "checkout.async_payment_succeeded": lambda: "active",
            "subscription.active": lambda: "active",
            "subscription.past_due": lambda: "past_due",
            "subscription.unpaid": lambda: "unpaid",
            "subscription.deleted": lambda: "canceled",
            "subscription.paused": lambda: "paused",
            "subscription.resumed": lambda: "active",
            "invoice.paid": lambda: "active" if self.status in ("incomplete", "past_due", "unpaid") else self.status,
            "invoice.payment_failed": lambda: "past_due" if self.status == "active" else self.status,
        }
        self.status = becomes.get(name, lambda: self.status)()
        while at_s >= self.period_start_s + MONTH_S:
            self.period_start_s += MONTH_S
            self.invoices += 1
        if name == "subscription.cancel_at_period_end":
            self.cancel_at_period_end, self.canceled_s, self.reason = True, at_s, "cancellation_requested"
        if name.startswith("subscription."):
            self.status = str(changes.get("status", self.status))
            for path, value in changes.items():
                if path.startswith("metadata."):
                    self.metadata[path.removeprefix("metadata.")] = str(value)
        if self.status == "canceled" and self.ended_s is None:
            self.ended_s = at_s
            self.canceled_s = self.canceled_s or at_s
            self.reason = self.reason or "cancellation_requested"

    def _object(self, name: str, at_s: int) -> Record:
        if name.startswith("checkout."):
            return checkout_session(self, name, at_s)
        if name.startswith("subscription."):
            return subscription(self)
        if name.startswith("invoice."):
            return invoice(self, paid=name != "invoice.payment_failed", at_s=at_s)
        if name == "customer.created":
            return customer(self)
        return {"id": self.id("made", self.events), "object": "made_up", "customer": self.customer_id}


def _put(thing: Record, path: str, value: Any) -> None:
    """Set a value by dotted path; numbers count into lists. Metadata is always text, as at Stripe."""
    *way, last = path.split(".")
    place: Any = thing
    for part in way:
        place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
        if not isinstance(place, dict | list):
            raise ValueError(f"{path!r} leads through {part!r}, which holds a plain value")
    if isinstance(place, list):
        place[int(last)] = value
    else:
        place[last] = str(value) if way[-1:] == ["metadata"] and value is not None else value
