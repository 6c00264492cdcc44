"""What the billing system says when asked replaces everything that events said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.model import Money, StatusNews, Subscription
from gateway.domain.subscriptions import Standing, fold, from_billing, standing
from gateway.ports import BillingRecord

DAY = 86_400_000
GRACE = 7 * DAY
NOW = 100 * DAY


def record(*statuses: tuple[int, str], **fields: Any) -> Subscription:
    told = tuple(StatusNews(at_ms, name, at_ms) for at_ms, name in statuses)
    return Subscription("stripe", "sub_1", True, "name", statuses=told, **fields)


def answer(status: str, **fields: Any) -> BillingRecord:
    said = {"started_at_ms": 0, "ended_at_ms": None, "ends_at_ms": None, "metadata": {}, "customer_id": None, **fields}
    return BillingRecord(subscription_id="sub_1", status=status, **said)


PAID_THEN_FAILED = {"paid": Money(1, 1), "failed": Money(90 * DAY, 90 * DAY)}

# What was known, what the billing system says, and what the subscription is then.
CASES = {
    "a new one is active": (record(), answer("active"), "active"),
    "a new one is paid": (record(), answer("active", latest_invoice_paid=True), "active"),
    "a new one is active and its invoice unpaid": (
        record(), answer("active", latest_invoice_paid=False), "not_yet_paid",
    ),
    "a paid one is active and its newest invoice unpaid": (
        record(paid=Money(1, 1)), answer("active", latest_invoice_paid=False), "active_in_grace",
    ),
    "a failed one has paid": (
        record((1, "active"), **PAID_THEN_FAILED), answer("active", latest_invoice_paid=True), "active",
    ),
    "a failed one is simply active": (record((1, "active"), **PAID_THEN_FAILED), answer("active"), "active"),
    "a trial has nothing to pay": (record(), answer("trialing", latest_invoice_paid=False), "active"),
    "it was never checked out": (record(checkout_unpaid=True), answer("active"), "active"),
    "an end told by events was wrong": (record((1, "canceled")), answer("active"), "active"),
    "an end was never told": (record((1, "active")), answer("canceled", ended_at_ms=99 * DAY), "ended"),
    "past due was never told": (record((1, "active")), answer("past_due"), "active_in_grace"),
    "past due too long": (record((90 * DAY, "past_due")), answer("past_due"), "suspended"),
    "unpaid for good": (record((1, "active")), answer("unpaid"), "suspended"),
    "paused": (record((1, "active")), answer("paused"), "suspended"),
    "incomplete": (record(), answer("incomplete"), "not_yet_paid"),
    "given up": (record((1, "incomplete")), answer("incomplete_expired"), "ended"),
    "a status nobody knows": (record((1, "active")), answer("frozen"), "active"),
}  # fmt: skip


@pytest.mark.parametrize(("known", "said", "expected"), CASES.values(), ids=list(CASES))
def test_its_word_replaces_all_news_about_status_and_money(
    known: Subscription, said: BillingRecord, expected: str
) -> None:
    assert standing(from_billing(known, said, NOW), NOW, GRACE) == expected


def test_a_grace_that_runs_goes_on_from_its_beginning() -> None:
    known = record((95 * DAY, "past_due"), (96 * DAY, "past_due"))

    read = from_billing(known, answer("past_due"), NOW)

    assert standing(read, 95 * DAY + GRACE - 1, GRACE) is Standing.ACTIVE_IN_GRACE
    assert standing(read, 95 * DAY + GRACE, GRACE) is Standing.SUSPENDED


def test_a_failure_that_is_known_counts_from_its_beginning() -> None:
    known = record((1, "active"), **PAID_THEN_FAILED)

    read = from_billing(known, answer("active", latest_invoice_paid=False), NOW)

    assert standing(read, NOW, GRACE) is Standing.SUSPENDED


def test_an_end_that_is_news_counts_from_the_reading() -> None:
    read = from_billing(record((1, "active")), answer("canceled", ended_at_ms=50 * DAY), NOW)

    decision = fold([read], hold=None, holds_anything=True, now_ms=NOW, grace_ms=GRACE, release_after_ms=30 * DAY)

    assert decision.changes_at_ms == NOW + 30 * DAY


def test_a_scheduled_end_is_remembered_and_forgotten_as_it_says() -> None:
    scheduled = from_billing(record(), answer("active", ends_at_ms=200 * DAY), NOW)

    assert scheduled.ends_at_ms == 200 * DAY
    assert from_billing(scheduled, answer("active"), NOW).ends_at_ms is None


def test_its_word_does_not_change_whose_the_subscription_is() -> None:
    known = replace(record(), linked_by="customer")

    assert from_billing(known, answer("active"), NOW).linked_by == "customer"


@settings(deadline=None)
@given(
    known=st.sampled_from([case[0] for case in CASES.values()]),
    said=st.sampled_from([case[1] for case in CASES.values()]),
    later=st.integers(0, 40),
)
def test_asking_again_changes_nothing(known: Subscription, said: BillingRecord, later: int) -> None:
    read = from_billing(known, said, NOW)

    assert from_billing(read, said, NOW + later * DAY) == read
