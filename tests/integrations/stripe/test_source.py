"""Stripe's dialect: its header in every disguise, and what its events say in shapes old and new."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from gateway.domain.model import Delivery, News, Payment
from gateway.errors import BodyUnreadable, SignatureInvalid
from gateway.integrations.stripe.source import StripeSource
from tests.integrations.senders import NOW_MS, STRIPE

KNOWN_BODY = '{"id":"evt_1","object":"event","type":"invoice.paid","note":"é"}'.encode()
KNOWN_TIME = 1_700_000_000
KNOWN_V1 = "69bd205bcad1195457e6fc82764f29a8c2358e0b2c8ccd9c7619c30c17546721"

CREATED = NOW_MS // 1000
SOURCE = StripeSource(["whsec_test_secret"])


def verify(header: str, body: bytes = KNOWN_BODY) -> None:
    SOURCE.verify(Delivery("stripe", {"stripe-signature": header}, body, 0), KNOWN_TIME * 1000)


def news_of(kind: str, thing: dict[str, Any], **envelope: Any) -> News | None:
    value = {"id": "evt_1", "object": "event", "type": kind, "created": CREATED, "data": {"object": thing}, **envelope}
    (event,) = SOURCE.read(Delivery("stripe", {}, json.dumps(value).encode(), NOW_MS))
    return SOURCE.interpret(event)


def said(kind: str, thing: dict[str, Any], **envelope: Any) -> News:
    news = news_of(kind, thing, **envelope)
    assert news is not None
    return news


def expected(kind: str, **fields: Any) -> News:
    return News(source="stripe", event_id="evt_1", type=kind, occurred_at_ms=NOW_MS, **fields)


# --- the header ------------------------------------------------------------------------------------------------------


def test_the_known_answer_is_accepted() -> None:
    verify(f"t={KNOWN_TIME},v1={KNOWN_V1}")


@pytest.mark.parametrize(
    "header",
    [
        f"v1={KNOWN_V1},t={KNOWN_TIME}",
        f"t={KNOWN_TIME},v1={'0' * 64},v1={KNOWN_V1}",
        f"t={KNOWN_TIME},v1={KNOWN_V1},v0=abc,v2=def,unknown",
        f"t={KNOWN_TIME}, v1={KNOWN_V1}",
    ],
    ids=["another order", "second of two", "unknown schemes beside it", "blanks"],
)
def test_a_header_in_another_order_or_with_more_in_it_is_accepted(header: str) -> None:
    verify(header)


@pytest.mark.parametrize(
    "header",
    [
        f"t={KNOWN_TIME},v0={KNOWN_V1}",
        f"t={KNOWN_TIME},v2={KNOWN_V1}",
        f"t={KNOWN_TIME},V1={KNOWN_V1}",
        f"t={KNOWN_TIME},v1={KNOWN_V1.upper()}",
        f"t={KNOWN_TIME},v1={KNOWN_V1[:-1]}",
        f"t={KNOWN_TIME},v1={KNOWN_V1}0",
        f"t={KNOWN_TIME},v1=",
        f"t={KNOWN_TIME},v1={'é' * 64}",
        f"t={KNOWN_TIME},v1={KNOWN_V1[:-1]}\N{FULLWIDTH DIGIT ONE}",
        f"v1={KNOWN_V1}",
        f"t={KNOWN_TIME},t={KNOWN_TIME},v1={KNOWN_V1}",
        f"t=,v1={KNOWN_V1}",
        f"t=-{KNOWN_TIME},v1={KNOWN_V1}",
        f"t=1e400,v1={KNOWN_V1}",
        f"t={'9' * 20},v1={KNOWN_V1}",
        f"t=0{KNOWN_TIME},v1={KNOWN_V1}",
        f"t={KNOWN_TIME},{','.join(['v1=' + KNOWN_V1] * 33)}",
        f"t={KNOWN_TIME},v1={KNOWN_V1}," + "x" * 10_240,
    ],
    ids=[
        *("v0 only", "v2 only", "upper-case scheme", "upper-case hex", "a digit short", "a digit long", "empty"),
        *(
            "non-ASCII",
            "full-width digit",
            "no time",
            "two times",
            "empty time",
            "negative",
            "1e400",
            "too long a time",
        ),
        *("leading zero", "33 candidates", "10 kB"),
    ],
)
def test_a_header_that_is_not_quite_right_is_refused(header: str) -> None:
    with pytest.raises(SignatureInvalid) as caught:
        verify(header)

    assert caught.value.code == "signature_invalid"


def test_refusals_hold_neither_secret_nor_what_was_sent() -> None:
    with pytest.raises(SignatureInvalid) as caught:
        verify(f"t={KNOWN_TIME},v1={'a' * 64}")

    assert "whsec" not in str(caught.value)
    assert "a" * 64 not in str(caught.value)


# --- the envelope ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["id", "type", "created", "data"])
def test_an_event_without_its_envelope_is_unreadable(name: str) -> None:
    value = STRIPE.event("evt_1")
    del value[name]

    with pytest.raises(BodyUnreadable):
        SOURCE.read(Delivery("stripe", {}, json.dumps(value).encode(), NOW_MS))


@pytest.mark.parametrize("created", [-1, 1.5, True, "1700000000", None, 2**62], ids=repr)
def test_a_time_that_is_not_whole_seconds_is_unreadable(created: object) -> None:
    value = STRIPE.event("evt_1") | {"created": created}

    with pytest.raises(BodyUnreadable):
        SOURCE.read(Delivery("stripe", {}, json.dumps(value).encode(), NOW_MS))


def test_what_differs_between_deliveries_of_one_event_does_not_count_as_said() -> None:
    value = STRIPE.event("evt_1")
    again = value | {"pending_webhooks": 7, "request": {"id": "req_2"}, "api_version": "2020-01-01"}

    hashes = {
        SOURCE.read(Delivery("stripe", {}, json.dumps(each).encode(), NOW_MS))[0].says_hash for each in (value, again)
    }

    assert len(hashes) == 1


def test_a_thin_event_is_stored_and_says_nothing() -> None:
    value = {
        "id": "evt_thin",
        "object": "v2.core.event",
        "type": "v1.customer.subscription.deleted",
        "created": "2026-11-22T09:56:38.124Z",
        "related_object": {"id": "sub_1", "type": "subscription", "url": "/v1/subscriptions/sub_1"},
    }
    (event,) = SOURCE.read(Delivery("stripe", {}, json.dumps(value).encode(), NOW_MS))

    assert event.occurred_at_ms == 1_795_341_398_124
    assert SOURCE.interpret(event) is None
    assert SOURCE.interpret(replace(event, type="customer.subscription.deleted")) is None


def test_an_event_of_a_connected_account_says_nothing() -> None:
    thing = {"id": "sub_1", "status": "active", "metadata": {"tenant_id": "acme"}}

    assert news_of("customer.subscription.updated", thing, account="acct_1") is None


@pytest.mark.parametrize(("livemode", "known"), [(True, True), (False, False), (None, None), ("yes", None)], ids=repr)
def test_the_mode_is_passed_on(livemode: object, known: bool | None) -> None:
    thing = {"id": "sub_1", "status": "active"}

    assert said("customer.subscription.updated", thing, livemode=livemode).livemode is known


# --- checkouts -------------------------------------------------------------------------------------------------------

SESSION: dict[str, Any] = {
    "id": "cs_1",
    "mode": "subscription",
    "payment_status": "paid",
    "subscription": "sub_1",
    "customer": "cus_1",
    "client_reference_id": "from-link",
    "metadata": {"tenant_id": "acme", "area_code": "415", "plan": "pro"},
}


@pytest.mark.parametrize(
    ("event", "payment_status", "payment"),
    [
        ("completed", "paid", Payment.PAID),
        ("completed", "no_payment_required", Payment.PAID),
        ("completed", "unpaid", Payment.UNPAID),
        ("completed", "something_new", None),
        ("completed", None, None),
        ("async_payment_succeeded", "paid", Payment.PAID),
        ("async_payment_succeeded", "unpaid", Payment.PAID),
        ("async_payment_failed", "unpaid", Payment.FAILED),
    ],
)
def test_what_a_checkout_says_about_money(event: str, payment_status: str | None, payment: Payment | None) -> None:
    kind = f"checkout.session.{event}"

    news = said(kind, SESSION | {"payment_status": payment_status})

    assert news == expected(
        kind,
        subscription_id="sub_1",
        customer_id="cus_1",
        tenant_key="acme",
        payment=payment,
        makes_tenant=event == "completed",
        options={"area_code": "415"},
        options_level="session",
    )


@pytest.mark.parametrize("mode", ["payment", "setup", None])
def test_a_checkout_for_anything_but_a_subscription_says_nothing(mode: str | None) -> None:
    assert news_of("checkout.session.completed", SESSION | {"mode": mode}) is None


@pytest.mark.parametrize(
    ("metadata", "reference", "key"),
    [
        ({"tenant_id": "acme"}, "other", "acme"),
        ({"tenant_id": ""}, "other", "other"),
        ({}, "other", "other"),
        (None, "other", "other"),
        ({}, None, None),
        ({"tenant_id": "not legal!"}, "other", "not legal!"),
    ],
    ids=["metadata first", "empty is absent", "reference", "no metadata", "neither", "unchecked"],
)
def test_the_tenants_key_is_metadata_before_the_reference(
    metadata: dict[str, str] | None, reference: str | None, key: str | None
) -> None:
    session = SESSION | {"metadata": metadata, "client_reference_id": reference}

    assert said("checkout.session.completed", session).tenant_key == key


@pytest.mark.parametrize(
    ("customer", "account", "known"),
    [
        ("cus_1", None, "cus_1"),
        ({"id": "cus_1", "object": "customer"}, None, "cus_1"),
        ({"id": "cus_1", "deleted": True}, "acct_2", "cus_1"),
        (None, "acct_2", "acct_2"),
        (None, None, None),
    ],
    ids=["id", "expanded", "deleted", "customer account", "none"],
)
def test_the_customer_is_known_alone_expanded_or_as_an_account(
    customer: object, account: str | None, known: str | None
) -> None:
    session = SESSION | {"customer": customer, "customer_account": account}

    assert said("checkout.session.completed", session).customer_id == known


@pytest.mark.parametrize(
    ("subscription", "known"), [("sub_1", "sub_1"), ({"id": "sub_1", "status": "active"}, "sub_1"), (None, None)]
)
def test_the_subscription_is_known_alone_or_expanded(subscription: object, known: str | None) -> None:
    assert said("checkout.session.completed", SESSION | {"subscription": subscription}).subscription_id == known


# --- subscriptions ---------------------------------------------------------------------------------------------------

SUBSCRIPTION: dict[str, Any] = {
    "id": "sub_1",
    "status": "active",
    "customer": "cus_1",
    "metadata": {"tenant_id": "acme", "assistant_id": "asst"},
    "cancel_at": None,
    "cancel_at_period_end": False,
}


@pytest.mark.parametrize(
    ("event", "status", "known"),
    [
        ("created", "incomplete", "incomplete"),
        ("created", "trialing", "trialing"),
        ("updated", "active", "active"),
        ("updated", "past_due", "past_due"),
        ("updated", "unpaid", "unpaid"),
        ("updated", "incomplete_expired", "incomplete_expired"),
        ("updated", "something_new", "something_new"),
        ("paused", "paused", "paused"),
        ("resumed", "active", "active"),
        ("trial_will_end", "trialing", "trialing"),
        ("deleted", "canceled", "canceled"),
        ("deleted", "active", "canceled"),
    ],
)
def test_what_a_subscription_says_about_its_status(event: str, status: str, known: str) -> None:
    kind = f"customer.subscription.{event}"

    news = said(kind, SUBSCRIPTION | {"status": status})

    assert news == expected(
        kind,
        subscription_id="sub_1",
        customer_id="cus_1",
        tenant_key="acme",
        status=known,
        options={"assistant_id": "asst"},
    )


@pytest.mark.parametrize(
    ("fields", "ends_at"),
    [
        ({}, None),
        ({"cancel_at": CREATED + 5}, CREATED + 5),
        ({"cancel_at": CREATED + 5, "cancel_at_period_end": True, "current_period_end": CREATED + 9}, CREATED + 5),
        ({"cancel_at_period_end": True, "current_period_end": CREATED + 9}, CREATED + 9),
        (
            {
                "cancel_at_period_end": True,
                "items": {
                    "data": [
                        {"current_period_end": CREATED + 7},
                        {"current_period_end": CREATED + 8},
                        {"current_period_end": None},
                    ]
                },
            },
            CREATED + 8,
        ),
        ({"cancel_at_period_end": True}, None),
        ({"cancel_at_period_end": True, "items": {"data": "?"}}, None),
        ({"cancel_at_period_end": False, "current_period_end": CREATED + 9}, None),
    ],
    ids=["no end", "a date", "a date wins", "old shape", "new shape", "no period", "strange items", "renews"],
)
def test_a_planned_end_is_remembered_in_shapes_old_and_new(fields: dict[str, Any], ends_at: int | None) -> None:
    news = said("customer.subscription.updated", SUBSCRIPTION | fields)

    assert news.ends_at_ms == (None if ends_at is None else ends_at * 1000)
    assert news.status == "active"


@pytest.mark.parametrize("name", ["id", "status"])
def test_a_subscription_without_id_or_status_is_unreadable(name: str) -> None:
    with pytest.raises(BodyUnreadable):
        news_of("customer.subscription.updated", SUBSCRIPTION | {name: None})


# --- invoices --------------------------------------------------------------------------------------------------------

OLD_INVOICE: dict[str, Any] = {
    "id": "in_1",
    "customer": "cus_1",
    "subscription": "sub_1",
    "subscription_details": {"metadata": {"tenant_id": "acme", "area_code": "415"}},
    "status_transitions": {"finalized_at": CREATED - 60},
}
NEW_INVOICE: dict[str, Any] = {
    "id": "in_1",
    "customer": "cus_1",
    "parent": {
        "type": "subscription_details",
        "subscription_details": {"subscription": "sub_1", "metadata": {"tenant_id": "acme", "area_code": "415"}},
    },
    "status_transitions": {"finalized_at": CREATED - 60},
}


@pytest.mark.parametrize("invoice", [OLD_INVOICE, NEW_INVOICE], ids=["old shape", "new shape"])
@pytest.mark.parametrize(("event", "payment"), [("paid", Payment.PAID), ("payment_failed", Payment.FAILED)])
def test_what_an_invoice_says_about_money_in_shapes_old_and_new(
    event: str, payment: Payment, invoice: dict[str, Any]
) -> None:
    kind = f"invoice.{event}"

    news = said(kind, invoice)

    assert news == expected(
        kind,
        subscription_id="sub_1",
        customer_id="cus_1",
        tenant_key="acme",
        payment=payment,
        options={"area_code": "415"},
        options_at_ms=NOW_MS - 60_000,
    )


@pytest.mark.parametrize("subscription", ["sub_1", {"id": "sub_1", "object": "subscription"}], ids=["id", "expanded"])
@pytest.mark.parametrize("shape", ["old", "new"])
def test_an_invoices_subscription_is_known_alone_or_expanded(subscription: object, shape: str) -> None:
    invoice = (
        {"subscription": subscription}
        if shape == "old"
        else {"subscription": None, "parent": {"subscription_details": {"subscription": subscription}}}
    )

    assert said("invoice.paid", invoice).subscription_id == "sub_1"


@pytest.mark.parametrize(
    "invoice",
    [{}, {"subscription": None}, {"parent": None}, {"parent": {"quote_details": {"quote": "qt_1"}}}],
    ids=["nothing", "null", "no parent", "of a quote"],
)
def test_an_invoice_of_no_subscription_says_nothing(invoice: dict[str, Any]) -> None:
    assert news_of("invoice.paid", invoice) is None


@pytest.mark.parametrize(
    "kind",
    [
        "invoice.payment_succeeded",
        "invoice.created",
        "charge.refunded",
        "customer.updated",
        "checkout.session.expired",
    ],
)
def test_other_events_say_nothing(kind: str) -> None:
    assert news_of(kind, SUBSCRIPTION | SESSION) is None
