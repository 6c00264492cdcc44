"""Whole lives as Stripe tells them: really signed, in any order, with repeats, in batches of any size."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.domain.model import Delivery, News, Payment
from gateway.domain.options import merge
from gateway.domain.subscriptions import Standing, standing
from gateway.integrations.stripe.simulator import Life, deliver
from gateway.integrations.stripe.source import StripeSource
from gateway.store import inbox, subscriptions, tenants
from gateway.store.inbox import Incoming
from tests.flow.applying import DAY, MINUTE, NOW, SECOND, Desk, event_of

SECRET = "whsec_test_of_whole_lives"
GRACE = 7 * DAY

# What happens to one customer: days after the first, what, and what is special about it.
STORY: list[tuple[float, str, dict[str, str]]] = [
    (0, "checkout.completed", {}),
    (0, "subscription.created", {"status": "incomplete"}),
    (0, "subscription.active", {}),
    (0.1, "invoice.paid", {}),
    (5, "subscription.updated", {"metadata.assistant_id": "asst_2"}),
    (30, "invoice.payment_failed", {}),
    (30.1, "subscription.past_due", {}),
    (33, "invoice.payment_failed", {}),
    (34, "invoice.paid", {}),
    (34, "subscription.active", {}),
    (50, "subscription.cancel_at_period_end", {}),
    (60, "subscription.deleted", {}),
    (60, "subscription.updated", {}),
    (70, "checkout.completed", {}),
    (70.1, "subscription.created", {}),
    (70.1, "invoice.paid", {}),
    (80, "customer.created", {}),
    (90, "subscription.updated", {"metadata.assistant_id": "asst_3"}),
]
BEGIN = NOW - 100 * DAY


def deliveries_of(life: Life) -> list[Delivery]:
    """One delivery for each event of the story, oldest first."""
    found = []
    for days, name, changes in STORY:
        event = life.event(name, BEGIN + int(days * DAY), changes)
        sent = deliver(event, [SECRET], NOW // 1000)
        found.append(Delivery("stripe", {name.lower(): text for name, text in sent.headers.items()}, sent.body, NOW))
    return found


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path, {"stripe": StripeSource([SECRET])})
    yield made
    made.close()


def take_in(desk: Desk, told: list[Delivery], luck: random.Random) -> None:
    """Everything told, verified and stored in batches of any size, and applied now and then."""
    source = StripeSource([SECRET])
    while told:
        size = luck.randint(1, 60)
        batch, told = told[:size], told[size:]
        for delivery in batch:
            source.verify(delivery, NOW)
        with desk.database.transaction() as tx:
            inbox.put(tx, [Incoming(source.read(delivery), NOW) for delivery in batch])
        if luck.random() < 0.7:
            desk.apply(limit=luck.choice([1, 7, 200]))


def settle(desk: Desk) -> None:
    """Apply until nothing is left, now and once the minute for unnamed checkouts is over."""
    for _ in range(2):
        while desk.apply().events:
            pass
        desk.now_ms += MINUTE


@pytest.mark.parametrize(
    "carry",
    [("session", "subscription"), ("session",), ("subscription",), ("reference",), ()],
    ids=["named everywhere", "named by the session", "named by the subscription", "named by reference", "unnamed"],
)
@pytest.mark.parametrize("shape", ["old", "new"])
def test_a_thousand_deliveries_of_one_life_in_any_order_end_in_the_right_records(
    desk: Desk, carry: tuple[str, ...], shape: str
) -> None:
    luck = random.Random(f"{carry}{shape}")
    life = Life("acme", shape=shape, carry=carry, metadata={"assistant_id": "asst_1"})
    each_once = deliveries_of(life)
    told = [*each_once, *luck.choices(each_once, k=1000 - len(each_once))]
    luck.shuffle(told)

    take_in(desk, told, luck)
    settle(desk)

    (key,) = desk.tenant_keys()
    first, second = Life("acme", round=1).subscription_id, Life("acme", round=2).subscription_id
    assert key == "acme" if carry else key in (first, second)
    assert {row.status for row in desk.rows()} == {"applied", "ignored"}
    assert sum(row.repeats for row in desk.rows()) == 1000 - len(each_once)
    assert standing(desk.link(first)[1], NOW, GRACE) is Standing.ENDED
    assert standing(desk.link(second)[1], NOW, GRACE) is Standing.ACTIVE
    assert (desk.owner(first), desk.owner(second)) == (key, key)


def test_in_any_order_the_records_and_the_options_are_the_same_as_in_the_right_order(tmp_path: Path) -> None:
    outcomes = []
    for seed in range(6):
        luck = random.Random(seed)
        folder = tmp_path / str(seed)
        folder.mkdir()
        desk = Desk(folder, {"stripe": StripeSource([SECRET])})
        told = deliveries_of(Life("acme", carry=("session",), metadata={"assistant_id": "asst_1"}))
        if seed:
            told += luck.choices(told, k=40)
            luck.shuffle(told)
        take_in(desk, told, luck)
        settle(desk)
        with desk.database.read() as tx:
            acme = desk.id_of("acme")
            outcomes.append((subscriptions.records_of(tx, acme), merge(subscriptions.options_of(tx, acme))))
        desk.close()

    assert all(outcome == outcomes[0] for outcome in outcomes)


# --- two tenants, one customer between them, and events that name nobody ---------------------------------------------


def told_of_two(desk: Desk) -> list[News]:
    """Two tenants with a subscription each, named once each, and their unnamed news."""
    told = []
    for place, key in enumerate(("acme", "beta")):
        subscription = f"sub_{key}"
        common = {"subscription_id": subscription, "customer_id": f"cus_{key}"}
        told += [
            desk.news(**common, tenant_key=key, payment=Payment.PAID, options={"area_code": f"41{place}"}),
            desk.news(**common, status="incomplete", occurred_at_ms=NOW - 9 * SECOND),
            desk.news(**common, status="active", occurred_at_ms=NOW - 8 * SECOND, options={"country": "US"}),
            desk.news(**common, status="past_due", occurred_at_ms=NOW - 7 * SECOND),
            desk.news(**common, payment=Payment.FAILED, occurred_at_ms=NOW - 6 * SECOND),
            desk.news(subscription_id=subscription, status="active", occurred_at_ms=NOW - 5 * SECOND),
        ]
    shared = {"subscription_id": "sub_third", "customer_id": "cus_beta"}
    told += [
        desk.news(**shared, status="active", options={"assistant_id": "asst_third"}),
        desk.news(**shared, tenant_key="acme", status="active", occurred_at_ms=NOW - SECOND),
        desk.news(**shared, status="canceled"),
    ]
    return told


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(luck=st.randoms(use_true_random=False))
def test_links_records_and_options_do_not_depend_on_the_order_of_events(
    tmp_path_factory: pytest.TempPathFactory, luck: random.Random
) -> None:
    desk = Desk(tmp_path_factory.mktemp("order"))
    told = told_of_two(desk)
    told += luck.choices(told, k=5)
    luck.shuffle(told)

    while told:
        size = luck.randint(1, len(told))
        desk.tell(*(replace(each) for each in told[:size]))
        told = told[size:]
    settle(desk)

    assert {row.status for row in desk.rows()} == {"applied"}
    assert (desk.owner("sub_acme"), desk.owner("sub_beta"), desk.owner("sub_third")) == ("acme", "beta", "acme")
    for key, place in (("acme", 0), ("beta", 1)):
        record = desk.link(f"sub_{key}")[1]
        assert [each.status for each in record.statuses] == ["incomplete", "active", "past_due", "active"]
        assert (record.linked_by, standing(record, NOW, GRACE)) == ("name", Standing.ACTIVE)
        extra = {"assistant_id": "asst_third"} if key == "acme" else {}
        assert desk.options(key) == {"area_code": f"41{place}", "country": "US", **extra}
    with desk.database.read() as tx:
        shared = subscriptions.tenants_of_customer(tx, "stripe", "cus_beta")
        assert {tenants.get(tx, each).tenant_key for each in shared} == {"acme", "beta"}
    desk.close()


def test_the_pretend_stripe_signs_what_the_test_delivers() -> None:
    first = deliveries_of(Life("acme"))[0]

    news = StripeSource([SECRET]).interpret(StripeSource([SECRET]).read(first)[0])

    assert news is not None
    assert (news.tenant_key, news.makes_tenant, news.payment) == ("acme", True, Payment.PAID)
    assert event_of(news).event_id == news.event_id
