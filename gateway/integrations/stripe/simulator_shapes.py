"""The objects inside the pretend Stripe's events, in the old and the new shape of its API.

old: 2025-02-24.acacia, the last before the fields moved.   new: 2026-10-28.endive. What moved is listed in Stripe's
changelog for 2025-03-31.basil and 2026-03-25.dahlia; field names are those of stripe/openapi `fixtures3.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

Record = dict[str, Any]

API_VERSIONS = {"old": "2025-02-24.acacia", "new": "2026-10-28.endive"}
_MONTH_S = 30 * 86_400
_AMOUNT = 2000


class LifeLike(Protocol):
    """What the shapes need to know of a customer's life."""

    shape: str
    livemode: bool
    tenant: str
    carry: tuple[str, ...]
    status: str
    created_s: int
    period_start_s: int
    trial_end_s: int | None
    cancel_at_period_end: bool
    canceled_s: int | None
    ended_s: int | None
    reason: str | None
    invoices: int

    @property
    def customer_id(self) -> str: ...
    @property
    def subscription_id(self) -> str: ...
    @property
    def session_id(self) -> str: ...
    @property
    def invoice_id(self) -> str: ...
    def id(self, prefix: str, *parts: object) -> str: ...
    def carried(self, where: str) -> dict[str, str]: ...


def checkout_session(life: LifeLike, name: str, at_s: int) -> Record:
    """The session of this signup, as `name` leaves it: paid, unpaid, free for now, or expired."""
    new = life.shape == "new"
    free = name == "checkout.no_payment_required"
    unpaid = name in ("checkout.unpaid", "checkout.async_payment_failed", "checkout.expired")
    expired = name == "checkout.expired"
    address = {"city": None, "country": "US", "line1": None, "line2": None, "postal_code": "94103", "state": None}
    session: Record = {
        "id": life.session_id,
        "object": "checkout.session",
        "allow_promotion_codes": None,
        "amount_subtotal": 0 if free else _AMOUNT,
        "amount_total": 0 if free else _AMOUNT,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "billing_address_collection": None,
        "cancel_url": "https://example.com/cancel",
        "client_reference_id": life.tenant if "reference" in life.carry else None,
        "created": life.created_s,
        "currency": "usd",
        "custom_fields": [],
        "customer": None if expired else life.customer_id,
        "customer_creation": "always",
        "customer_details": {
            "address": address,
            "email": "buyer@example.com",
            "name": "Pretend Buyer",
            "phone": None,
            "tax_exempt": "none",
            "tax_ids": [],
        },
        "customer_email": None,
        "expires_at": life.created_s + 86_400,
        "invoice": None if expired else life.invoice_id,
        "livemode": life.livemode,
        "locale": None,
        "metadata": life.carried("session"),
        "mode": "subscription",
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": "always",
        "payment_method_types": ["us_bank_account" if unpaid and not expired else "card"],
        "payment_status": "no_payment_required" if free else "unpaid" if unpaid else "paid",
        "phone_number_collection": {"enabled": False},
        "setup_intent": None,
        "status": "expired" if expired else "complete",
        "submit_type": None,
        "subscription": None if expired else life.subscription_id,
        "success_url": "https://example.com/success",
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted_page" if new else "hosted",
        "url": None,
    }
    if new:
        session["collected_information"] = {"business_name": None, "individual_name": None, "shipping_details": None}
        session["customer_account"] = None
    else:
        session["shipping_details"] = None
    return session


def subscription(life: LifeLike) -> Record:
    """The subscription as it stands."""
    new = life.shape == "new"
    end_s = life.period_start_s + _MONTH_S
    period = {"current_period_end": end_s, "current_period_start": life.period_start_s}
    item: Record = {
        "id": life.id("si", life.subscription_id),
        "object": "subscription_item",
        "created": life.created_s,
        "discounts": [],
        "metadata": {},
        "plan": _plan(life),
        "price": _price(life),
        "quantity": 1,
        "subscription": life.subscription_id,
        "tax_rates": [],
        **(period if new else {}),
    }
    thing: Record = {
        "id": life.subscription_id,
        "object": "subscription",
        "application": None,
        "billing_cycle_anchor": life.created_s,
        "cancel_at": end_s if life.cancel_at_period_end else None,
        "cancel_at_period_end": life.cancel_at_period_end,
        "canceled_at": life.canceled_s,
        "cancellation_details": {"comment": None, "feedback": None, "reason": life.reason},
        "collection_method": "charge_automatically",
        "created": life.created_s,
        "currency": "usd",
        "customer": life.customer_id,
        "days_until_due": None,
        "default_payment_method": None,
        "description": None,
        "discounts": [],
        "ended_at": life.ended_s,
        "items": {
            "object": "list",
            "data": [item],
            "has_more": False,
            "url": f"/v1/subscription_items?subscription={life.subscription_id}",
        },
        "latest_invoice": life.invoice_id,
        "livemode": life.livemode,
        "metadata": life.carried("subscription"),
        "pause_collection": None,
        "pending_setup_intent": None,
        "pending_update": None,
        "schedule": None,
        "start_date": life.created_s,
        "status": life.status,
        "test_clock": None,
        "trial_end": life.trial_end_s,
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
        "trial_start": life.created_s if life.trial_end_s else None,
    }
    if new:
        thing["billing_mode"] = {"flexible": None, "type": "classic"}
        thing["customer_account"] = None
    else:
        thing |= {**period, "discount": None, "plan": _plan(life), "quantity": 1}
    return thing


def invoice(life: LifeLike, *, paid: bool, at_s: int) -> Record:
    """The invoice of the current period, paid or with a failed attempt behind it."""
    new = life.shape == "new"
    reason = "subscription_create" if life.invoices <= 1 else "subscription_cycle"
    thing: Record = {
        "id": life.invoice_id,
        "object": "invoice",
        "account_country": "US",
        "account_name": "Pretend Company",
        "amount_due": _AMOUNT,
        "amount_paid": _AMOUNT if paid else 0,
        "amount_remaining": 0 if paid else _AMOUNT,
        "attempt_count": 1,
        "attempted": True,
        "auto_advance": not paid,
        "billing_reason": reason,
        "collection_method": "charge_automatically",
        "created": life.period_start_s,
        "currency": "usd",
        "customer": life.customer_id,
        "customer_email": "buyer@example.com",
        "customer_name": "Pretend Buyer",
        "due_date": None,
        "lines": {
            "object": "list",
            "data": [_line(life)],
            "has_more": False,
            "url": f"/v1/invoices/{life.invoice_id}/lines",
        },
        "livemode": life.livemode,
        "metadata": {},
        "next_payment_attempt": None if paid else at_s + 3 * 86_400,
        "number": f"PRETEND-{life.invoices:04d}",
        "period_end": life.period_start_s,
        "period_start": life.period_start_s,
        "status": "paid" if paid else "open",
        "status_transitions": {
            "finalized_at": life.period_start_s,
            "marked_uncollectible_at": None,
            "paid_at": at_s if paid else None,
            "voided_at": None,
        },
        "subtotal": _AMOUNT,
        "test_clock": None,
        "total": _AMOUNT,
    }
    details = {"metadata": life.carried("subscription"), "subscription": life.subscription_id}
    if new:
        parent = {"quote_details": None, "subscription_details": details, "type": "subscription_details"}
        thing |= {"customer_account": None, "discounts": [], "parent": parent, "total_taxes": []}
    else:
        thing |= {
            "charge": life.id("ch", life.invoice_id, paid),
            "discount": None,
            "paid": paid,
            "paid_out_of_band": False,
            "payment_intent": life.id("pi", life.invoice_id),
            "subscription": life.subscription_id,
            "subscription_details": {"metadata": life.carried("subscription")},
            "tax": None,
            "total_tax_amounts": [],
        }
    return thing


def customer(life: LifeLike) -> Record:
    return {
        "id": life.customer_id,
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": life.created_s,
        "currency": "usd",
        "default_source": None,
        "delinquent": False,
        "description": None,
        "email": "buyer@example.com",
        "livemode": life.livemode,
        "metadata": {},
        "name": "Pretend Buyer",
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }


def _line(life: LifeLike) -> Record:
    item = life.id("si", life.subscription_id)
    price_id = _price(life)["id"]
    line: Record = {
        "id": life.id("il", life.invoice_id),
        "object": "line_item",
        "amount": _AMOUNT,
        "currency": "usd",
        "description": "1 x Pretend plan (at $20.00 / month)",
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": life.invoice_id,
        "livemode": life.livemode,
        "metadata": life.carried("subscription"),
        "period": {"end": life.period_start_s + _MONTH_S, "start": life.period_start_s},
        "quantity": 1,
    }
    if life.shape == "old":
        subscription_id = life.subscription_id
        old = {"price": _price(life), "proration": False, "subscription": subscription_id, "subscription_item": item}
        return line | old | {"type": "subscription", "plan": _plan(life)}
    details: Record = {"invoice_item": None, "proration": False, "proration_details": {"credited_items": None}}
    details |= {"subscription": life.subscription_id, "subscription_item": item}
    parent = {"invoice_item_details": None, "subscription_item_details": details, "type": "subscription_item_details"}
    pricing: Mapping[str, Any] = {
        "price_details": {"price": price_id, "product": "prod_pretend"},
        "type": "price_details",
        "unit_amount_decimal": str(_AMOUNT),
    }
    return line | {"parent": parent, "pricing": pricing, "taxes": []}


def _price(life: LifeLike) -> Record:
    return {
        "id": "price_pretend_monthly",
        "object": "price",
        "active": True,
        "billing_scheme": "per_unit",
        "created": 1_700_000_000,
        "currency": "usd",
        "livemode": life.livemode,
        "lookup_key": None,
        "metadata": {},
        "nickname": None,
        "product": "prod_pretend",
        "recurring": {"interval": "month", "interval_count": 1, "trial_period_days": None, "usage_type": "licensed"},
        "tax_behavior": "unspecified",
        "type": "recurring",
        "unit_amount": _AMOUNT,
        "unit_amount_decimal": str(_AMOUNT),
    }


def _plan(life: LifeLike) -> Record:
    return {
        "id": "price_pretend_monthly",
        "object": "plan",
        "active": True,
        "amount": _AMOUNT,
        "amount_decimal": str(_AMOUNT),
        "billing_scheme": "per_unit",
        "created": 1_700_000_000,
        "currency": "usd",
        "interval": "month",
        "interval_count": 1,
        "livemode": life.livemode,
        "metadata": {},
        "nickname": None,
        "product": "prod_pretend",
        "trial_period_days": None,
        "usage_type": "licensed",
    }
