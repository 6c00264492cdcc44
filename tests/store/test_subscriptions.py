"""What is stored of subscriptions, links and options comes back as it was, and only by the rules."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.domain.model import Money, StatusNews, Subscription
from gateway.domain.options import OptionRow, merge
from gateway.domain.subscriptions import Standing, standing
from gateway.store import subscriptions, tenants
from gateway.store.migrate import migrate
from gateway.store.sqlite import SqliteDatabase, SqliteTransaction

NOW = 1_800_000_000_000
FULL = Subscription(
    source="stripe",
    subscription_id="sub_1",
    issued=True,
    linked_by="name",
    statuses=(StatusNews(1, "past_due", 2), StatusNews(3, "active", 4)),
    paid=Money(5, 6),
    failed=Money(7, 8),
    checkout_unpaid=True,
    ends_at_ms=9,
    ends_said_at_ms=10,
)


@pytest.fixture
def tx(tmp_path: Path) -> Iterator[SqliteTransaction]:
    database = SqliteDatabase(tmp_path / "gateway.db")
    migrate(database)
    with database.transaction() as opened:
        yield opened
    database.close()


@pytest.fixture
def acme(tx: SqliteTransaction) -> int:
    return tenants.create(tx, "acme", NOW).id


@pytest.fixture
def beta(tx: SqliteTransaction) -> int:
    return tenants.create(tx, "beta", NOW).id


# --- records ---------------------------------------------------------------------------------------------------------


def test_a_record_comes_back_as_it_was_stored(tx: SqliteTransaction, acme: int) -> None:
    subscriptions.save(tx, acme, FULL, NOW)

    link = subscriptions.find(tx, "stripe", "sub_1")

    assert link == subscriptions.Link(acme, FULL, None)
    assert subscriptions.records_of(tx, acme) == [FULL]


def test_the_same_id_at_two_sources_is_two_subscriptions(tx: SqliteTransaction, acme: int, beta: int) -> None:
    subscriptions.save(tx, acme, FULL, NOW)
    subscriptions.save(tx, beta, Subscription("paddle", "sub_1", True, "name"), NOW)

    assert [record.source for record in subscriptions.records_of(tx, acme)] == ["stripe"]
    assert [record.source for record in subscriptions.records_of(tx, beta)] == ["paddle"]


def test_a_record_saved_for_another_tenant_is_moved_there(tx: SqliteTransaction, acme: int, beta: int) -> None:
    subscriptions.save(tx, acme, FULL, NOW)

    subscriptions.save(tx, beta, FULL, NOW)

    assert subscriptions.records_of(tx, acme) == []
    assert subscriptions.records_of(tx, beta) == [FULL]


def test_an_unknown_subscription_has_no_link(tx: SqliteTransaction) -> None:
    assert subscriptions.find(tx, "stripe", "sub_1") is None


def test_a_tenant_made_by_hand_has_an_active_record_of_its_own(tx: SqliteTransaction, acme: int) -> None:
    first = subscriptions.ensure_manual(tx, acme, "acme", NOW)

    again = subscriptions.ensure_manual(tx, acme, "acme", NOW + 5)

    assert subscriptions.records_of(tx, acme) == [first]
    assert again == first
    assert (first.source, first.subscription_id, first.issued) == ("manual", "acme", False)
    assert standing(first, NOW, 0) is Standing.ACTIVE


def test_the_record_of_a_tenant_made_by_hand_ends_and_begins_again_within_a_moment(
    tx: SqliteTransaction, acme: int
) -> None:
    subscriptions.ensure_manual(tx, acme, "acme", NOW)

    subscriptions.end_manual(tx, acme, "acme", NOW)
    (ended,) = subscriptions.records_of(tx, acme)
    begun = subscriptions.ensure_manual(tx, acme, "acme", NOW)

    assert standing(ended, NOW, 0) is Standing.ENDED
    assert standing(begun, NOW, 0) is Standing.ACTIVE


# --- asking the billing system again ---------------------------------------------------------------------------------


def test_a_record_is_asked_about_until_an_answer_to_the_newest_question(tx: SqliteTransaction, acme: int) -> None:
    subscriptions.save(tx, acme, FULL, NOW)
    subscriptions.ask_again(tx, "stripe", "sub_1", NOW)
    asked = subscriptions.rereads_of(tx, acme)[0].reread_at_ms
    assert asked is not None
    subscriptions.ask_again(tx, "stripe", "sub_1", NOW)

    assert not subscriptions.store_reread(tx, Subscription("stripe", "sub_1", True, "customer"), asked, NOW)

    assert subscriptions.records_of(tx, acme) == [FULL]
    newest = subscriptions.rereads_of(tx, acme)[0].reread_at_ms
    assert newest is not None
    assert newest > asked
    assert subscriptions.store_reread(tx, FULL, newest, NOW)
    assert subscriptions.rereads_of(tx, acme) == []


def test_storing_news_keeps_the_question_open(tx: SqliteTransaction, acme: int) -> None:
    subscriptions.save(tx, acme, FULL, NOW)
    subscriptions.ask_again(tx, "stripe", "sub_1", NOW)

    subscriptions.save(tx, acme, FULL, NOW + 1)

    assert len(subscriptions.rereads_of(tx, acme)) == 1


# --- customers -------------------------------------------------------------------------------------------------------


def test_a_customer_may_be_linked_to_two_tenants(tx: SqliteTransaction, acme: int, beta: int) -> None:
    assert subscriptions.link_customer(tx, "stripe", "cus_1", acme)
    assert not subscriptions.link_customer(tx, "stripe", "cus_1", acme)
    assert subscriptions.link_customer(tx, "stripe", "cus_1", beta)

    assert subscriptions.tenants_of_customer(tx, "stripe", "cus_1") == [acme, beta]
    assert subscriptions.tenants_of_customer(tx, "paddle", "cus_1") == []
    assert subscriptions.customers_of(tx, acme) == [("stripe", "cus_1")]


# --- options ---------------------------------------------------------------------------------------------------------


def test_an_option_changes_when_a_newer_word_says_something_else(tx: SqliteTransaction, acme: int) -> None:
    assert subscriptions.set_option(tx, acme, "session", "area_code", "415", 10)
    assert not subscriptions.set_option(tx, acme, "session", "area_code", "415", 20)
    assert not subscriptions.set_option(tx, acme, "session", "area_code", "406", 15)
    assert subscriptions.set_option(tx, acme, "session", "area_code", "406", 30)

    assert subscriptions.options_of(tx, acme) == [OptionRow("session", "area_code", "406", 30)]


def test_an_operators_last_word_holds_even_when_the_clock_went_back(tx: SqliteTransaction, acme: int) -> None:
    subscriptions.set_option(tx, acme, "operator", "area_code", "415", 30)

    assert subscriptions.set_option(tx, acme, "operator", "area_code", "212", 20)

    assert merge(subscriptions.options_of(tx, acme)) == {"area_code": "212"}


def test_a_text_beyond_any_limit_is_cut_and_stays_too_long(tx: SqliteTransaction, acme: int) -> None:
    subscriptions.set_option(tx, acme, "session", "locality", "y" * 100_000, 1)

    assert len(subscriptions.options_of(tx, acme)[0].value) == 501


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    words=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), min_size=1, max_size=6),
    luck=st.randoms(use_true_random=False),
)
def test_events_may_say_options_in_any_order(
    tx: SqliteTransaction, words: list[tuple[str, int]], luck: object
) -> None:
    orders = [words, sorted(words, key=lambda word: luck.random())]  # type: ignore[attr-defined]
    stored = []

    for order in orders:
        tenant = tenants.create(tx, f"t{tx.one('SELECT count(*) AS n FROM tenants')}", NOW)
        for value, at_ms in order:
            subscriptions.set_option(tx, tenant.id, "session", "country", value, at_ms)
        stored.append(subscriptions.options_of(tx, tenant.id))

    assert stored[0] == stored[1]
