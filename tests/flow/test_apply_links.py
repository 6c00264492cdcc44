"""Whose an event is: by its own key, by its subscription, by its customer, or nobody's yet."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.domain.model import Payment, StatusNews
from tests.flow.applying import DAY, MINUTE, NOW, SECOND, Desk, event_of


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.close()


# --- whose event it is -----------------------------------------------------------------------------------------------


def test_an_event_that_names_a_tenant_makes_it_and_its_record(desk: Desk) -> None:
    applied = desk.say(tenant_key="acme", customer_id="cus_1", status="active")

    row, (owner, record) = desk.row(), desk.link()
    assert [(event.status, event.tenant_key) for event in applied.events] == [("applied", "acme")]
    assert applied.tenant_ids == (desk.id_of("acme"),)
    assert (row.status, row.reason, row.tenant_id) == ("applied", None, desk.id_of("acme"))
    assert (row.subscription_id, row.customer_id) == ("sub_1", "cus_1")
    assert (owner, record.linked_by, record.statuses) == ("acme", "name", (StatusNews(NOW, "active", NOW),))
    assert desk.calls == [("reconsider", desk.id_of("acme"))]


def test_an_applied_event_is_a_line_in_its_tenants_journal(desk: Desk) -> None:
    desk.say(tenant_key="acme", status="active", options={"area_code": "415"})

    (line,) = desk.journal("acme")
    assert (line["kind"], line["name"], line["inbox_id"]) == ("event", "customer.subscription.updated", desk.row().id)
    assert line["detail"]["status"] == "active"
    assert "415" not in str(line["detail"])


def test_an_event_of_a_kind_that_says_nothing_to_us_is_ignored(desk: Desk) -> None:
    applied = desk.say(type="unknown", tenant_key="acme")

    assert (desk.row().status, applied.tenant_ids, desk.tenant_keys()) == ("ignored", (), [])


def test_a_status_nobody_knows_is_flagged_and_changes_nothing(desk: Desk) -> None:
    desk.say(tenant_key="acme", status="active")

    applied = desk.say(status="frozen")

    assert (desk.row().status, desk.statuses()) == ("applied", ["active"])
    assert (
        applied.events[0].reason == desk.row().reason == "Its status 'frozen' is not known here and changes nothing."
    )


def test_the_link_of_a_subscription_serves_its_later_events(desk: Desk) -> None:
    desk.say(tenant_key="acme", status="active")

    desk.say(status="past_due")

    assert desk.row().status == "applied"
    assert sorted(desk.statuses()) == ["active", "past_due"]


def test_an_event_nobody_can_place_waits_and_is_applied_in_the_call_that_names_its_subscription(desk: Desk) -> None:
    desk.say(payment=Payment.PAID)
    waiting = desk.row()

    applied = desk.say(tenant_key="acme", status="active")

    assert (waiting.status, waiting.subscription_id, waiting.try_at_ms) == ("waiting", "sub_1", None)
    assert [event.status for event in applied.events] == ["applied", "applied"]
    assert desk.link()[1].paid is not None


def test_waiting_events_of_a_customer_are_applied_in_the_call_that_names_the_customer(desk: Desk) -> None:
    desk.say(subscription_id="sub_2", customer_id="cus_1", status="active")

    desk.say(tenant_key="acme", customer_id="cus_1", status="active")

    assert (desk.row("evt_1").status, desk.owner("sub_2")) == ("applied", "acme")


def test_what_is_woken_waits_on_where_the_new_link_does_not_help(desk: Desk) -> None:
    desk.say(subscription_id="sub_2", customer_id="cus_2", status="active")

    desk.say(tenant_key="acme", customer_id="cus_1", status="active")

    assert desk.row("evt_1").status == "waiting"


def test_ids_of_one_source_mean_nothing_at_another(desk: Desk) -> None:
    desk.say(tenant_key="acme", customer_id="cus_1", status="active")

    desk.say(source="standard", customer_id="cus_1", status="canceled")

    assert desk.row(source="standard").status == "waiting"
    assert desk.statuses() == ["active"]


# --- customers, the last resort --------------------------------------------------------------------------------------


def test_a_customers_link_serves_a_subscription_that_nobody_named(desk: Desk) -> None:
    desk.say(tenant_key="acme", customer_id="cus_1", status="active")

    desk.say(subscription_id="sub_2", customer_id="cus_1", status="past_due")

    owner, record = desk.link("sub_2")
    assert (owner, record.linked_by) == ("acme", "customer")


def test_a_later_event_that_names_the_tenant_takes_the_subscription_there(desk: Desk) -> None:
    desk.say(tenant_key="acme", customer_id="cus_1", status="active")
    desk.say(subscription_id="sub_2", customer_id="cus_1", status="trialing")
    desk.calls.clear()

    applied = desk.say(subscription_id="sub_2", customer_id="cus_1", tenant_key="beta", status="active")

    owner, record = desk.link("sub_2")
    assert (owner, record.linked_by) == ("beta", "name")
    assert {each.status for each in record.statuses} == {"active", "trialing"}
    assert set(applied.tenant_ids) == {desk.id_of("acme"), desk.id_of("beta")}
    assert {("reconsider", desk.id_of("acme")), ("reconsider", desk.id_of("beta"))} <= set(desk.calls)
    assert [line["name"] for line in desk.journal("acme")][-1] == "subscription_moved"


def test_options_of_a_subscription_known_by_its_customer_alone_are_believed_once_it_is_named(desk: Desk) -> None:
    desk.say(tenant_key="acme", customer_id="cus_1", status="active", options={"assistant_id": "asst_acme"})
    desk.say(subscription_id="sub_2", customer_id="cus_1", status="active", options={"assistant_id": "asst_beta"})
    before = desk.options("acme")

    desk.say(subscription_id="sub_2", tenant_key="beta", payment=Payment.PAID)

    assert before == desk.options("acme") == {"assistant_id": "asst_acme"}
    assert desk.options("beta") == {"assistant_id": "asst_beta"}


def test_options_of_a_subscription_first_known_by_its_customer_count_once_it_is_named_for_the_same_tenant(
    desk: Desk,
) -> None:
    desk.say(tenant_key="acme", customer_id="cus_1", status="active")
    desk.say(subscription_id="sub_2", customer_id="cus_1", status="active", options={"area_code": "415"})

    desk.say(subscription_id="sub_2", tenant_key="acme", payment=Payment.PAID)

    assert desk.options("acme") == {"area_code": "415"}


def test_options_of_a_subscription_count_once_it_is_named_however_much_was_told_since(desk: Desk) -> None:
    """Of its own earlier events all are applied again, and of nobody else's."""
    desk.say(tenant_key="acme", customer_id="cus_1", status="active")
    desk.say(subscription_id="sub_2", customer_id="cus_1", status="active", options={"area_code": "415"})
    others = [desk.news(subscription_id="sub_3", customer_id="cus_1", payment=Payment.PAID) for _ in range(520)]
    desk.receive(*map(event_of, others))
    desk.apply(limit=1_000)

    desk.say(subscription_id="sub_2", tenant_key="acme", payment=Payment.PAID)

    assert desk.options("acme") == {"area_code": "415"}


def test_only_the_events_of_the_subscription_that_is_named_are_applied_again(desk: Desk) -> None:
    desk.say(tenant_key="acme", customer_id="cus_1", status="active")
    desk.say(subscription_id="sub_2", customer_id="cus_1", status="active")
    desk.say(subscription_id="sub_3", customer_id="cus_1", status="active")

    desk.say(subscription_id="sub_2", tenant_key="beta", payment=Payment.PAID)

    told = [line["detail"]["event_id"] for line in desk.journal("acme") if line["kind"] == "event"]
    assert told == ["evt_1", "evt_2", "evt_3"]
    assert [line["detail"]["event_id"] for line in desk.journal("beta") if line["kind"] == "event"] == [
        "evt_4",
        "evt_2",
    ]


def test_what_a_customer_says_of_options_is_believed_of_its_tenant(desk: Desk) -> None:
    desk.say(tenant_key="acme", customer_id="cus_1", status="active")

    desk.say(subscription_id=None, customer_id="cus_1", options={"area_code": "415"}, options_level="customer")

    assert desk.options("acme") == {"area_code": "415"}


def test_a_customer_of_two_tenants_identifies_neither(desk: Desk) -> None:
    desk.say(tenant_key="acme", customer_id="cus_1", status="active")
    desk.say(tenant_key="beta", customer_id="cus_1", subscription_id="sub_2", status="active")

    desk.say(subscription_id="sub_3", customer_id="cus_1", status="active")

    row = desk.row()
    assert row.status == "waiting"
    assert "shared" in (row.reason or "")


def test_a_subscription_known_by_its_customer_alone_has_no_link_once_the_customer_is_shared(desk: Desk) -> None:
    desk.say(tenant_key="acme", customer_id="cus_1", status="active")
    desk.say(subscription_id="sub_3", customer_id="cus_1", status="active")
    desk.say(tenant_key="beta", customer_id="cus_1", subscription_id="sub_2", status="active")

    desk.say(subscription_id="sub_3", customer_id="cus_1", status="canceled")

    assert desk.row().status == "waiting"
    assert desk.statuses("sub_3") == ["active"]


# --- links are written once ------------------------------------------------------------------------------------------


def test_an_event_that_contradicts_a_subscriptions_link_is_kept_and_shown_and_not_applied(desk: Desk) -> None:
    desk.say(tenant_key="acme", status="active")
    desk.calls.clear()

    applied = desk.say(tenant_key="beta", status="canceled")

    row = desk.row()
    assert (row.status, row.tenant_id) == ("link_conflict", desk.id_of("acme"))
    assert (desk.owner(), desk.statuses(), desk.tenant_keys()) == ("acme", ["active"], ["acme"])
    assert (applied.tenant_ids, desk.calls) == ((), [])
    assert desk.journal("acme")[-1]["detail"]["not_applied"] == "link_conflict"


@pytest.mark.parametrize("key", ["-acme", "a b", "x" * 65, "äcme"], ids=ascii)
def test_a_key_that_is_not_legal_leaves_the_event_waiting(desk: Desk, key: str) -> None:
    desk.say(tenant_key=key, status="active")

    row = desk.row()
    assert (row.status, row.try_at_ms) == ("tenant_key_invalid", None)
    assert desk.tenant_keys() == []


def test_an_empty_key_is_no_key(desk: Desk) -> None:
    desk.say(tenant_key="acme", status="active")

    desk.say(tenant_key="", status="past_due")

    assert desk.row().status == "applied"


def test_a_tenant_may_have_several_subscriptions(desk: Desk) -> None:
    desk.say(tenant_key="acme", status="canceled")

    desk.say(tenant_key="acme", subscription_id="sub_2", status="active")

    assert (desk.owner("sub_1"), desk.owner("sub_2")) == ("acme", "acme")


# --- a checkout that nobody named ------------------------------------------------------------------------------------


def checkout(desk: Desk, **said: object) -> None:
    desk.say(type="checkout.session.completed", makes_tenant=True, payment=Payment.PAID, **said)


def test_a_checkout_without_a_key_waits_a_minute_for_its_subscription_to_be_named(desk: Desk) -> None:
    checkout(desk)
    waiting = desk.row()
    desk.now_ms += 59 * SECOND
    desk.apply()

    desk.say(tenant_key="acme", status="active")

    assert (waiting.status, waiting.try_at_ms) == ("waiting", NOW + MINUTE)
    assert (desk.row("evt_1").status, desk.tenant_keys(), desk.owner()) == ("applied", ["acme"], "acme")


def test_a_checkout_that_nobody_named_for_a_minute_makes_a_tenant_named_after_its_subscription(desk: Desk) -> None:
    checkout(desk, customer_id="cus_1")
    desk.say(status="active")
    desk.now_ms += MINUTE

    applied = desk.apply()

    assert [event.status for event in applied.events] == ["applied", "applied"]
    assert (desk.tenant_keys(), desk.owner()) == (["sub_1"], "sub_1")
    assert desk.statuses() == ["active"]


def test_the_minute_counts_from_when_the_checkout_was_stored(desk: Desk) -> None:
    desk.receive(event_of(desk.news(makes_tenant=True, payment=Payment.PAID)), received_at_ms=NOW - 2 * MINUTE)

    desk.apply()

    assert desk.tenant_keys() == ["sub_1"]


def test_a_later_key_is_the_alias_of_a_tenant_that_named_itself(desk: Desk) -> None:
    checkout(desk)
    desk.now_ms += MINUTE
    desk.apply()

    desk.say(tenant_key="acme", status="active")
    named = desk.row()
    desk.say(tenant_key="acme", subscription_id="sub_2", status="active")

    assert named.status == "applied"
    assert (desk.tenant_keys(), desk.owner("sub_1"), desk.owner("sub_2")) == (["sub_1"], "sub_1", "sub_1")
    assert desk.id_of("acme") == desk.id_of("sub_1")


def test_a_second_other_key_is_a_conflict_even_for_a_tenant_that_named_itself(desk: Desk) -> None:
    checkout(desk)
    desk.now_ms += MINUTE
    desk.apply()
    desk.say(tenant_key="acme", status="active")

    desk.say(tenant_key="beta", status="canceled")

    assert (desk.row().status, desk.statuses()) == ("link_conflict", ["active"])


def test_the_key_of_another_tenant_is_no_alias(desk: Desk) -> None:
    desk.say(tenant_key="acme", subscription_id="sub_9", status="active")
    checkout(desk)
    desk.now_ms += MINUTE
    desk.apply()

    desk.say(tenant_key="acme", status="canceled")

    assert desk.row().status == "link_conflict"


def test_a_tenant_named_by_an_event_takes_no_alias(desk: Desk) -> None:
    desk.say(tenant_key="acme", status="active")

    desk.say(tenant_key="acme2", status="active")

    assert desk.row().status == "link_conflict"


def test_a_checkout_whose_customer_is_known_belongs_to_the_customers_tenant(desk: Desk) -> None:
    desk.say(tenant_key="acme", customer_id="cus_1", status="active")

    checkout(desk, subscription_id="sub_2", customer_id="cus_1")

    assert (desk.row().status, desk.owner("sub_2")) == ("applied", "acme")


def test_a_checkout_without_a_subscription_makes_no_tenant_by_itself(desk: Desk) -> None:
    checkout(desk, subscription_id=None)
    desk.now_ms += DAY

    desk.apply()

    assert (desk.row().status, desk.tenant_keys()) == ("waiting", [])


def test_only_a_checkout_makes_a_tenant_by_itself(desk: Desk) -> None:
    desk.say(status="active", payment=Payment.PAID)
    desk.now_ms += DAY

    desk.apply()

    assert (desk.row().status, desk.tenant_keys()) == ("waiting", [])


def test_a_subscription_id_that_is_another_tenants_key_makes_no_tenant(desk: Desk) -> None:
    desk.say(tenant_key="sub_1", subscription_id="sub_7", status="active")
    checkout(desk)
    desk.now_ms += MINUTE

    desk.apply()

    assert (desk.row().status, desk.tenant_keys()) == ("link_conflict", ["sub_1"])


def test_a_named_checkout_without_a_subscription_keeps_its_options_and_its_customer(desk: Desk) -> None:
    desk.say(
        subscription_id=None, tenant_key="acme", customer_id="cus_1",
        payment=Payment.UNPAID, options={"area_code": "415"}, options_level="session",
    )  # fmt: skip

    desk.say(customer_id="cus_1", status="active")

    assert desk.options("acme") == {"area_code": "415"}
    assert desk.owner("sub_1") == "acme"


# --- senders without ids for subscriptions ---------------------------------------------------------------------------


def test_without_an_id_the_tenants_key_stands_for_the_subscription(desk: Desk) -> None:
    for status in ("active", "canceled"):
        desk.now_ms += SECOND
        desk.say(
            source="standard", subscription_id="acme", subscription_issued=False, tenant_key="acme", status=status
        )

    owner, record = desk.link("acme", "standard")
    assert (owner, record.issued) == ("acme", False)
    assert desk.statuses("acme", "standard") == ["active", "canceled"]


def test_an_alias_stands_for_the_same_subscription_as_the_tenants_key(desk: Desk) -> None:
    checkout(desk)
    desk.now_ms += MINUTE
    desk.apply()
    desk.say(tenant_key="acme", status="active")

    desk.say(source="standard", subscription_id="acme", subscription_issued=False, tenant_key="acme", status="active")

    assert desk.owner("sub_1", "standard") == "sub_1"


def test_an_id_that_is_another_tenants_key_is_a_conflict_and_changes_neither(desk: Desk) -> None:
    desk.say(source="standard", subscription_id="acme", tenant_key="beta", status="active")

    desk.say(source="standard", subscription_id="acme", subscription_issued=False, tenant_key="acme", status="active")

    assert desk.row(source="standard").status == "link_conflict"
    assert (desk.owner("acme", "standard"), desk.tenant_keys()) == ("beta", ["beta"])


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=str)
def test_in_whatever_order_a_signup_comes_it_ends_the_same(desk: Desk, order: tuple[int, ...]) -> None:
    session = {"customer_id": "cus_1", "payment": Payment.PAID, "makes_tenant": True, "options_level": "session"}
    life = [
        desk.news(tenant_key="acme", options={"area_code": "415"}, **session),
        desk.news(customer_id="cus_1", status="active", options={"area_code": "212", "country": "US"}),
        desk.news(customer_id="cus_1", payment=Payment.PAID),
        desk.news(customer_id="cus_1", status="incomplete", occurred_at_ms=NOW - SECOND),
    ]

    for place in order:
        desk.tell(replace(life[place]))

    owner, record = desk.link()
    assert {row.status for row in desk.rows()} == {"applied"}
    assert (owner, record.linked_by, record.issued) == ("acme", "name", True)
    assert [each.status for each in record.statuses] == ["incomplete", "active"]
    assert desk.options("acme") == {"area_code": "415", "country": "US"}
