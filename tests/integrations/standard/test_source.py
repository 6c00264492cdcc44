"""Standard Webhooks: its headers in every disguise, and the form a system of one's own writes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.domain.model import Delivery, News
from gateway.errors import BodyUnreadable, SignatureInvalid
from gateway.integrations.standard.source import StandardSource
from tests.integrations.senders import NOW_MS, STANDARD, STANDARD_SECRET

KNOWN_BODY = '{"id":"evt_1","object":"event","type":"invoice.paid","note":"é"}'.encode()
KNOWN_TIME = 1_700_000_000
KNOWN = "t5ve+cC3CVOmy7ePNCK7n0zC0JxoH7wWR1dqYo3xD4M="

SOURCE = StandardSource([STANDARD_SECRET])


def verify(signature: str = f"v1,{KNOWN}", **changed: str) -> None:
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(KNOWN_TIME),
        "webhook-signature": signature,
        **{name.replace("_", "-"): value for name, value in changed.items()},
    }
    SOURCE.verify(Delivery("standard", headers, KNOWN_BODY, 0), KNOWN_TIME * 1000)


def news_of(value: dict[str, Any]) -> News | None:
    (event,) = SOURCE.read(Delivery("standard", {"webhook-id": "msg_1"}, json.dumps(value).encode(), NOW_MS))
    return SOURCE.interpret(event)


def test_the_known_answer_is_accepted() -> None:
    verify()


@pytest.mark.parametrize(
    "signature",
    [
        f"v1a,abc v1,{KNOWN}",
        f"v1,AAAA v1,{KNOWN}",
        f"nonsense v1,{KNOWN} v9,",
    ],
    ids=["an asymmetric one first", "second of two", "unknown versions around it"],
)
def test_one_good_signature_among_others_is_enough(signature: str) -> None:
    verify(signature)


@pytest.mark.parametrize(
    "signature",
    [f"v1a,{KNOWN}", f"v2,{KNOWN}", KNOWN, f"V1,{KNOWN}", f"v1,{KNOWN[:-1]}", f"v1,{KNOWN},", f"v1={KNOWN}", "v1,é"],
)
def test_a_signature_that_is_not_quite_right_is_refused(signature: str) -> None:
    with pytest.raises(SignatureInvalid) as caught:
        verify(signature)

    assert caught.value.code == "signature_invalid"


@pytest.mark.parametrize("name", ["webhook_id", "webhook_timestamp", "webhook_signature"])
def test_a_header_that_is_missing_or_empty_is_named(name: str) -> None:
    with pytest.raises(SignatureInvalid) as caught:
        verify(**{name: ""})

    assert caught.value.code == "signature_missing"
    assert name.replace("_", "-") in caught.value.message


@pytest.mark.parametrize("message_id", ["msg_2", "é", "msg_1.1700000000"])
def test_another_id_under_the_same_signature_is_refused(message_id: str) -> None:
    with pytest.raises(SignatureInvalid):
        verify(webhook_id=message_id)


@pytest.mark.parametrize(
    "secret",
    [STANDARD_SECRET, STANDARD_SECRET.removeprefix("whsec_"), f" {STANDARD_SECRET} "],
    ids=["with its prefix", "without", "with blanks"],
)
def test_a_secret_is_read_as_the_official_package_reads_it(secret: str) -> None:
    source = StandardSource([secret])
    delivery = STANDARD.delivery()

    source.verify(delivery, NOW_MS)


def test_the_events_identity_is_the_header_and_its_time_the_bodys() -> None:
    value = STANDARD.event("evt_1") | {"timestamp": "2026-11-22T11:56:09.5+02:00"}

    (event,) = SOURCE.read(Delivery("standard", {"webhook-id": "msg_7"}, json.dumps(value).encode(), NOW_MS))

    assert (event.event_id, event.occurred_at_ms) == ("msg_7", 1_795_341_369_500)


@pytest.mark.parametrize(
    "timestamp",
    [None, "", "yesterday", 1_795_341_369, "2026-13-01T00:00:00Z", "1969-12-31T23:59:59Z", "2026-11-22"],
    ids=repr,
)
def test_a_body_without_a_time_is_unreadable(timestamp: object) -> None:
    with pytest.raises(BodyUnreadable):
        news_of(STANDARD.event("evt_1") | {"timestamp": timestamp})


@pytest.mark.parametrize("name", ["type", "data"])
def test_a_body_of_another_form_is_unreadable(name: str) -> None:
    value = STANDARD.event("evt_1")
    del value[name]

    with pytest.raises(BodyUnreadable):
        news_of(value)


@pytest.mark.parametrize("status", ["trialing", "active", "past_due", "unpaid", "paused", "canceled"])
def test_each_status_is_said_by_the_type(status: str) -> None:
    data = {"id": "sub_81", "status": status, "customer_id": "cust_7", "metadata": {"tenant_id": "acme", "x": "y"}}

    news = news_of({"type": f"subscription.{status}", "timestamp": "2026-11-22T09:56:09Z", "data": data})

    assert news == News(
        source="standard",
        event_id="msg_1",
        type=f"subscription.{status}",
        occurred_at_ms=1_795_341_369_000,
        subscription_id="sub_81",
        customer_id="cust_7",
        tenant_key="acme",
        status=status,
    )


@pytest.mark.parametrize(
    ("data", "subscription_id", "is_issued", "key"),
    [
        ({"id": "sub_81", "metadata": {"tenant_id": "acme"}}, "sub_81", True, "acme"),
        ({"id": 81, "metadata": {"tenant_id": 7}}, "81", True, "7"),
        ({"metadata": {"tenant_id": "acme"}}, "acme", False, "acme"),
        ({"id": "", "metadata": {"tenant_id": "acme"}}, "acme", False, "acme"),
        ({"id": "sub_81"}, "sub_81", True, None),
        ({"customer_id": "cust_7", "metadata": None}, None, False, None),
    ],
    ids=["both", "numbers", "key only", "empty id", "id only", "neither"],
)
def test_the_tenants_key_stands_for_a_subscription_without_id(
    data: dict[str, Any], subscription_id: str | None, is_issued: bool, key: str | None
) -> None:
    news = news_of({"type": "subscription.active", "timestamp": "2026-11-22T09:56:09Z", "data": data})

    assert news is not None
    assert (news.subscription_id, news.subscription_issued, news.tenant_key) == (subscription_id, is_issued, key)


def test_a_type_and_a_status_that_contradict_each_other_are_unreadable() -> None:
    data = {"id": "sub_81", "status": "canceled"}

    with pytest.raises(BodyUnreadable):
        news_of({"type": "subscription.active", "timestamp": "2026-11-22T09:56:09Z", "data": data})


@pytest.mark.parametrize(
    "kind", ["subscription", "subscription.", "subscription.deleted", "active", "contact.created"]
)
def test_other_types_say_nothing(kind: str) -> None:
    assert news_of({"type": kind, "timestamp": "2026-11-22T09:56:09Z", "data": {}}) is None
