"""A subscription read from Stripe, in the shapes before and since 2025-03-31.basil."""

from __future__ import annotations

from typing import Any

import pytest
import responses

from gateway.errors import ProviderError, TryLater
from gateway.integrations.stripe.client import STRIPE_VERSION, StripeClient
from gateway.ports import BillingRecord
from tests.integrations.providers import STRIPE, STRIPE_KEY, StillClock, http_core, said_of, stripe_client, within

CLOCK = StillClock()
DEADLINE = within(CLOCK)
ID = "sub_1QABCdefGHIjkl"
URL = f"{STRIPE}/v1/subscriptions/{ID}"
END = 1_797_933_369


@pytest.fixture
def client() -> StripeClient:
    return stripe_client(http_core(CLOCK))


def subscription(**fields: Any) -> dict[str, Any]:
    return {
        "id": ID, "object": "subscription", "status": "active", "created": 1_795_341_300, "start_date": 1_795_341_369,
        "cancel_at": None, "cancel_at_period_end": False, "ended_at": None, "customer": "cus_1", "livemode": False,
        "metadata": {"tenant_id": "acme", "area_code": "415"}, "latest_invoice": {"id": "in_1", "status": "paid"},
        "items": {"object": "list", "data": [{"id": "si_1", "current_period_end": END}]}, **fields,
    }  # fmt: skip


def read(client: StripeClient, **fields: Any) -> BillingRecord:
    responses.get(URL, json=subscription(**fields))
    record = client.read_subscription(ID, DEADLINE)
    assert record is not None
    return record


@responses.activate
def test_a_subscription_is_read_with_its_latest_invoice_in_a_fixed_version(client: StripeClient) -> None:
    record = read(client)

    assert record == BillingRecord(
        subscription_id=ID,
        status="active",
        started_at_ms=1_795_341_369_000,
        ended_at_ms=None,
        ends_at_ms=None,
        metadata={"tenant_id": "acme", "area_code": "415"},
        customer_id="cus_1",
        latest_invoice_paid=True,
    )
    request = responses.calls[0].request
    assert request.url == f"{URL}?expand%5B%5D=latest_invoice"
    assert request.headers["Stripe-Version"] == STRIPE_VERSION
    assert request.headers["Authorization"] == f"Bearer {STRIPE_KEY}"


ENDS: dict[str, tuple[dict[str, Any], int | None]] = {
    "not": ({}, None),
    "on a date": ({"cancel_at": 1_800_000_000, "cancel_at_period_end": False}, 1_800_000_000_000),
    "with its period": ({"cancel_at_period_end": True}, END * 1000),
    "with its period, before basil": (
        {"cancel_at_period_end": True, "items": {"data": [{"id": "si_1"}]}, "current_period_end": END}, END * 1000,
    ),
    "with the latest of its items' periods": (
        {
            "cancel_at_period_end": True,
            "items": {"data": [{"current_period_end": END}, {"current_period_end": END + 5}]},
        },
        (END + 5) * 1000,
    ),
    "with a period nobody knows": ({"cancel_at_period_end": True, "items": None}, None),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "ends_at_ms"), ENDS.values(), ids=ENDS)
@responses.activate
def test_when_a_subscription_ends_by_itself(
    fields: dict[str, Any], ends_at_ms: int | None, client: StripeClient
) -> None:
    assert read(client, **fields).ends_at_ms == ends_at_ms


INVOICES: dict[str, tuple[Any, bool | None]] = {
    "paid": ({"status": "paid"}, True),
    "paid, before basil": ({"status": "paid", "paid": True}, True),
    "paid outside Stripe": ({"status": "open", "paid": True}, True),
    "open": ({"status": "open"}, False),
    "given up": ({"status": "uncollectible", "paid": False}, False),
    "a draft": ({"status": "draft"}, None),
    "void": ({"status": "void"}, None),
    "not expanded": ("in_1", None),
    "none": (None, None),
}


@pytest.mark.parametrize(("invoice", "paid"), INVOICES.values(), ids=INVOICES)
@responses.activate
def test_whether_the_latest_invoice_is_paid(invoice: Any, paid: bool | None, client: StripeClient) -> None:
    assert read(client, latest_invoice=invoice).latest_invoice_paid is paid


@responses.activate
def test_an_ended_subscription_says_since_when(client: StripeClient) -> None:
    record = read(client, status="canceled", ended_at=END, start_date=None, customer={"id": "cus_2"}, metadata=None)

    assert (record.status, record.ended_at_ms) == ("canceled", END * 1000)
    assert record.started_at_ms == 1_795_341_300_000
    assert (record.customer_id, dict(record.metadata)) == ("cus_2", {})


UNKNOWN = {"error": {"code": "resource_missing", "type": "invalid_request_error", "message": f"No such {ID}"}}
FAILURES: dict[str, tuple[int, Any, tuple[str, object]]] = {
    "404 by a proxy": (404, "<html>", ("TryLater", None)),
    "404 of another kind": (404, {"error": {"type": "invalid_request_error"}}, ("Refused", "other")),
    "401": (401, {"error": {"type": "invalid_request_error", "message": STRIPE_KEY}}, ("Refused", "credentials")),
    "403": (403, {"error": {"type": "invalid_request_error"}}, ("Refused", "credentials")),
    "400": (400, {"error": {"type": "invalid_request_error"}}, ("Refused", "other")),
    "429": (429, {"error": {"type": "rate_limit_error"}}, ("TryLater", None)),
    "409": (409, {"error": {"type": "idempotency_error"}}, ("TryLater", None)),
    "500": (500, {"error": {"type": "api_error"}}, ("TryLater", None)),
    "another object": (200, {"id": "cus_1", "object": "customer"}, ("TryLater", None)),
    "another subscription": (200, subscription(id="sub_2"), ("TryLater", None)),
    "HTML": (200, "<html>", ("TryLater", None)),
}


@pytest.mark.parametrize(("status", "body", "expected"), FAILURES.values(), ids=FAILURES)
@responses.activate
def test_a_read_that_fails_says_nothing_of_the_subscription(
    status: int, body: Any, expected: tuple[str, object], client: StripeClient
) -> None:
    responses.get(URL, status=status, json=body)

    with pytest.raises(ProviderError) as caught:
        client.read_subscription(ID, DEADLINE)

    assert said_of(caught.value) == expected
    assert STRIPE_KEY not in str(caught.value)


@responses.activate
def test_stripe_says_that_it_does_not_know_a_subscription(client: StripeClient) -> None:
    responses.get(URL, status=404, json=UNKNOWN)

    assert client.read_subscription(ID, DEADLINE) is None


@pytest.mark.parametrize("name", ["", "../customers", "sub 1", "sub_é", "sub_1\n", "s" * 256])
@responses.activate
def test_what_cannot_be_an_id_is_not_asked_for(name: str, client: StripeClient) -> None:
    assert client.read_subscription(name, DEADLINE) is None
    assert len(responses.calls) == 0


@responses.activate
def test_metadata_that_is_not_text_is_left_out(client: StripeClient) -> None:
    assert read(client, metadata={"tenant_id": "acme", "n": 7, "o": {}}).metadata == {"tenant_id": "acme"}


@responses.activate
def test_no_answer_is_later_not_unknown(client: StripeClient) -> None:
    with pytest.raises(TryLater):
        client.read_subscription(ID, DEADLINE)
