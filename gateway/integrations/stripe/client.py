"""Stripe, read before anything is done about a subscription. The port `Billing` in Stripe's dialect.

One call: GET /v1/subscriptions/{id} with the latest invoice. The key needs to read subscriptions and invoices, no
more. Shapes before and since 2025-03-31.basil are both read (stripe-node changelog 18.0.0; stripe-python 16.1.0).
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from gateway.integrations.answers import Answer, Complaint, Operation, doubt
from gateway.integrations.http import Api, Http, encoded
from gateway.ports import BillingRecord, Deadline

# Answers keep this shape whatever the account's default version is (stripe-python 16.1.0 pins the same).
STRIPE_VERSION = "2026-10-28.endive"
ID = re.compile(r"[A-Za-z0-9_]{1,255}")


class _Item(msgspec.Struct):
    current_period_end: int | None = None


class _Items(msgspec.Struct):
    data: list[_Item] = []


class _Invoice(msgspec.Struct):
    status: str | None = None
    paid: bool | None = None


class _Customer(msgspec.Struct):
    id: str


class _Subscription(msgspec.Struct):
    id: str
    status: str
    created: int
    start_date: int | None = None
    ended_at: int | None = None
    cancel_at: int | None = None
    cancel_at_period_end: bool = False
    current_period_end: int | None = None
    items: _Items | None = None
    metadata: dict[str, Any] | None = None
    customer: str | _Customer | None = None
    latest_invoice: str | _Invoice | None = None


class _ErrorFields(msgspec.Struct):
    type: str
    code: str | None = None


class _Error(msgspec.Struct):
    error: _ErrorFields


_error_decoder = msgspec.json.Decoder(_Error)


class StripeClient:
    """Reads subscriptions of one Stripe account."""

    provider = "stripe"

    def __init__(self, http: Http, *, base_url: str, api_key: str) -> None:
        self._api = Api(
            http,
            provider=self.provider,
            base_url=base_url,
            headers={"Authorization": f"Bearer {api_key}", "Stripe-Version": STRIPE_VERSION},
            complaint=_read_complaint,
        )

    def read_subscription(self, subscription_id: str, deadline: Deadline) -> BillingRecord | None:
        """The subscription as it is now; None when Stripe does not know it."""
        if not ID.fullmatch(subscription_id):
            return None
        operation = Operation(self.provider, "read_subscription", writes=False)
        target = f"/v1/subscriptions/{subscription_id}?{encoded([('expand[]', 'latest_invoice')])}"
        subscription = self._api.read_or_none("read_subscription", target, deadline, _Subscription)
        if subscription is None:
            return None
        if subscription.id != subscription_id:
            raise doubt(operation, "Stripe answered about another subscription")
        return _record(subscription)


def _record(subscription: _Subscription) -> BillingRecord:
    customer = subscription.customer
    metadata = subscription.metadata or {}
    return BillingRecord(
        subscription_id=subscription.id,
        status=subscription.status,
        started_at_ms=(subscription.start_date or subscription.created) * 1000,
        ended_at_ms=None if subscription.ended_at is None else subscription.ended_at * 1000,
        ends_at_ms=_ends_at_ms(subscription),
        metadata={key: value for key, value in metadata.items() if isinstance(value, str)},
        customer_id=customer.id if isinstance(customer, _Customer) else customer,
        latest_invoice_paid=_is_paid(subscription.latest_invoice),
    )


def _ends_at_ms(subscription: _Subscription) -> int | None:
    """When it ends by itself. The period moved from the subscription to its items in 2025-03-31.basil."""
    if subscription.cancel_at is not None:
        return subscription.cancel_at * 1000
    if not subscription.cancel_at_period_end:
        return None
    ends = [item.current_period_end for item in subscription.items.data] if subscription.items else []
    known = [end for end in (*ends, subscription.current_period_end) if end is not None]
    return max(known) * 1000 if known else None


def _is_paid(invoice: str | _Invoice | None) -> bool | None:
    """True or False once money was asked for; None for a draft, a void one, or none at all."""
    if not isinstance(invoice, _Invoice):
        return None
    if invoice.status == "paid" or invoice.paid:
        return True
    return False if invoice.status in ("open", "uncollectible") else None


def _read_complaint(_operation: Operation, answer: Answer) -> Complaint | None:
    try:
        error = _error_decoder.decode(answer.body).error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if answer.status == 404:
        return Complaint("Stripe does not know this subscription", gone=error.code == "resource_missing")
    return Complaint("Stripe refuses this request")
