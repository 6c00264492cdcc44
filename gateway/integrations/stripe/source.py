"""Stripe's webhooks: who signed them, what identifies them, and what they say of a subscription.

Shapes before and after 2025-03-31.basil are read alike, for an event keeps the version of its endpoint for good
(stripe-python 16.1.0, `_event.py`; stripe-node 23.1.0, CHANGELOG, 2026).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.domain.model import Delivery, Event, News, Payment
from gateway.errors import SettingsError, SignatureInvalid
from gateway.integrations import payload, signing

HEADER = "stripe-signature"
THIN = "v2.core.event"
SUBSCRIPTION_EVENTS = "customer.subscription."

Body = dict[str, Any]


class StripeSource:
    """secrets: the endpoint's signing secrets, whole, with `whsec_`; more than one while they are rolled."""

    def __init__(self, secrets: Sequence[str], name: str = "stripe") -> None:
        self.name = name
        self._keys = [signing.keyed(secret.encode()) for secret in secrets]
        if not self._keys or not all(secret.strip() for secret in secrets):
            raise SettingsError(["STRIPE_WEBHOOK_SECRET is empty, and an empty secret verifies anybody."])

    def verify(self, delivery: Delivery, now_ms: int) -> None:
        """The scheme `v1` of Stripe-Signature over `t.body` (stripe-python 16.1.0, `_webhook.py`).

        Unlike that package it refuses times in the future as well.
        """
        header = delivery.headers.get(HEADER)
        if not header:
            raise signing.missing("Stripe-Signature")
        sent_at, candidates = _parts(header)
        signed = b"%s.%s" % (sent_at.encode("ascii"), delivery.body)
        signing.check(self._keys, signed, candidates, _hex, int(sent_at), now_ms)

    def read(self, delivery: Delivery) -> tuple[Event, ...]:
        body = payload.read_object(delivery.body)
        kind = payload.event_type(body.get("type"))
        occurred_at_ms, said = _what_is_said(body)
        return (
            Event(
                source=self.name,
                event_id=payload.event_id(body.get("id")),
                type=kind,
                occurred_at_ms=occurred_at_ms,
                says_hash=payload.says_hash(kind, *said),
                body=delivery.body,
                headers=payload.kept_headers(delivery.headers),
            ),
        )

    def interpret(self, event: Event) -> News | None:
        """None for other types, thin events, checkouts and invoices without a subscription, and connected accounts.

        A connected account's customers are not ours, even where their ids or keys look like it.
        """
        tell = _TELLS.get(event.type)
        if tell is None and event.type.startswith(SUBSCRIPTION_EVENTS):
            tell = _of_subscription
        if tell is None:
            return None
        body = payload.read_object(event.body)
        if body.get("object") == THIN or body.get("account"):
            return None
        livemode = body.get("livemode")
        said = tell(event.type, payload.required_object(payload.object_at(body, "data").get("object"), "data.object"))
        if said is None:
            return None
        return News(
            source=event.source,
            event_id=event.event_id,
            type=event.type,
            occurred_at_ms=event.occurred_at_ms,
            livemode=livemode if isinstance(livemode, bool) else None,
            **said,
        )


def _parts(header: str) -> tuple[str, list[str]]:
    """The one time and every `v1` of a signature header; other schemes are passed over."""
    times: list[str] = []
    candidates: list[str] = []
    if len(header) > signing.MAX_HEADER_CHARACTERS:
        raise signing.malformed("Stripe-Signature")
    for part in header.split(","):
        key, _, value = part.strip().partition("=")
        if key == "t":
            times.append(value)
        elif key == "v1":
            candidates.append(value)
    if len(times) != 1 or signing.unix_seconds(times[0]) is None:
        raise signing.malformed("Stripe-Signature")
    if not candidates or len(candidates) > signing.MAX_CANDIDATES:
        raise SignatureInvalid("signature_invalid", "The header Stripe-Signature holds no signature of scheme v1.")
    return times[0], candidates


def _hex(digest: bytes) -> bytes:
    return digest.hex().encode("ascii")


def _what_is_said(body: Body) -> tuple[int, tuple[Any, ...]]:
    """When it happened, and what is the same in every delivery of the event."""
    created = body.get("created")
    if body.get("object") != THIN:
        data = payload.required_object(body.get("data"), "data")
        payload.required_object(data.get("object"), "data.object")
        return payload.milliseconds(created, "created"), (created, data)
    return payload.moment(created, "created"), (created, body.get("related_object"))


# --- what they say ---------------------------------------------------------------------------------------------------


def _of_checkout(kind: str, session: Body) -> dict[str, Any] | None:
    """A checkout moves money and names the tenant; the subscription's own events give its status."""
    if session.get("mode") != "subscription":
        return None
    metadata = payload.object_at(session, "metadata")
    return {
        **_whose(session, metadata),
        "tenant_key": payload.text_of(metadata.get(payload.TENANT_KEY))
        or payload.text_of(session.get("client_reference_id")),
        "subscription_id": _id_of(session.get("subscription")),
        "payment": _CHECKOUT_PAYMENTS.get(kind) or _PAYMENT_STATUSES.get(str(session.get("payment_status"))),
        "makes_tenant": kind == "checkout.session.completed",
        "options_level": "session",
    }


def _of_subscription(kind: str, subscription: Body) -> dict[str, Any]:
    is_deleted = kind == "customer.subscription.deleted"
    status = "canceled" if is_deleted else payload.required_text(subscription.get("status"), "data.object.status")
    return {
        **_whose(subscription, payload.object_at(subscription, "metadata")),
        "subscription_id": payload.required_text(subscription.get("id"), "data.object.id"),
        "status": status,
        "ends_at_ms": _ends_at_ms(subscription),
    }


def _of_invoice(kind: str, invoice: Body) -> dict[str, Any] | None:
    """An invoice carries a copy of its subscription's metadata, frozen when it was finalised.

    Source: docs.stripe.com, "Metadata"; the parent was introduced by 2025-03-31.basil.
    """
    details = payload.object_at(invoice, "parent", "subscription_details")
    subscription_id = _id_of(details.get("subscription")) or _id_of(invoice.get("subscription"))
    if subscription_id is None:
        return None
    old = payload.object_at(invoice, "subscription_details")
    metadata = payload.object_at(details, "metadata") or payload.object_at(old, "metadata")
    finalized_at = payload.object_at(invoice, "status_transitions").get("finalized_at")
    return {
        **_whose(invoice, metadata),
        "subscription_id": subscription_id,
        "payment": _INVOICE_PAYMENTS[kind],
        "options_at_ms": finalized_at * 1000 if isinstance(finalized_at, int) else None,
    }


def _whose(thing: Body, metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "customer_id": _id_of(thing.get("customer")) or _id_of(thing.get("customer_account")),
        "tenant_key": payload.text_of(metadata.get(payload.TENANT_KEY)),
        "options": payload.signup_options(metadata),
    }


def _id_of(value: Any) -> str | None:
    """An id, whether it came alone or expanded into its object."""
    return payload.text_of(value.get("id") if isinstance(value, dict) else value)


def _ends_at_ms(subscription: Body) -> int | None:
    """The date it is set to end, if any: `cancel_at`, or the end of the paid period.

    Since 2025-03-31.basil the period is the items', which may differ: the last one counts.
    """
    at = subscription.get("cancel_at")
    if at is None and subscription.get("cancel_at_period_end"):
        items = payload.object_at(subscription, "items").get("data")
        parts = [subscription, *(items if isinstance(items, list) else [])]
        ends = [payload.object_at(part).get("current_period_end") for part in parts]
        at = max((end for end in ends if isinstance(end, int)), default=None)
    return at * 1000 if isinstance(at, int) else None


_PAYMENT_STATUSES = {"paid": Payment.PAID, "no_payment_required": Payment.PAID, "unpaid": Payment.UNPAID}
_CHECKOUT_PAYMENTS = {
    "checkout.session.async_payment_succeeded": Payment.PAID,
    "checkout.session.async_payment_failed": Payment.FAILED,
}
_INVOICE_PAYMENTS = {"invoice.paid": Payment.PAID, "invoice.payment_failed": Payment.FAILED}

_TELLS: dict[str, Callable[[str, Body], dict[str, Any] | None]] = {
    "checkout.session.completed": _of_checkout,
    **dict.fromkeys(_CHECKOUT_PAYMENTS, _of_checkout),
    **dict.fromkeys(_INVOICE_PAYMENTS, _of_invoice),
}
