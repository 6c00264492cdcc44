"""Events change their tenants' records once, wait their time, and never hold each other up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.domain.model import Payment, StatusNews
from gateway.errors import StorageUnavailable
from gateway.flow import aside
from gateway.store import inbox, subscriptions
from gateway.store.database import Transaction
from tests.flow.applying import DAY, HOUR, MINUTE, NOW, SECOND, Desk, event_of


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.close()


# --- time and mode ---------------------------------------------------------------------------------------------------


def test_an_event_dated_more_than_a_day_ahead_waits_until_it_is_not(desk: Desk) -> None:
    desk.say(tenant_key="acme", status="active", occurred_at_ms=NOW + DAY + HOUR)
    early = desk.row()
    desk.now_ms += HOUR

    desk.apply()

    assert (early.status, early.try_at_ms) == ("time_invalid", NOW + HOUR)
    assert desk.row().status == "applied"


def test_an_event_dated_exactly_a_day_ahead_is_applied(desk: Desk) -> None:
    desk.say(tenant_key="acme", status="active", occurred_at_ms=NOW + DAY)

    assert desk.row().status == "applied"


@pytest.mark.parametrize(
    ("ours", "theirs", "status"),
    [
        (True, False, "wrong_mode"),
        (False, True, "wrong_mode"),
        (True, True, "applied"),
        (False, False, "applied"),
        (None, True, "applied"),
        (None, False, "applied"),
        (True, None, "applied"),
    ],
)
def test_events_of_the_other_mode_are_kept_and_never_applied(
    desk: Desk, ours: bool | None, theirs: bool | None, status: str
) -> None:
    desk.set(livemode=ours)

    desk.say(tenant_key="acme", status="active", livemode=theirs)
    desk.now_ms += 30 * DAY
    desk.apply()

    assert desk.row().status == status


def test_waiting_times_count_from_when_an_event_was_stored_and_not_from_when_it_was_applied(desk: Desk) -> None:
    desk.receive(event_of(desk.news(tenant_key="acme", status="past_due")))
    desk.now_ms += DAY

    desk.apply()

    assert desk.link()[1].statuses == (StatusNews(NOW, "past_due", NOW),)


# --- options ---------------------------------------------------------------------------------------------------------


def test_options_that_count_are_announced_before_the_tenant_is_reconsidered(desk: Desk) -> None:
    desk.say(tenant_key="acme", status="active", options={"area_code": "415", "colour": "red"})

    acme = desk.id_of("acme")
    assert desk.options("acme") == {"area_code": "415"}
    assert desk.calls == [("options_changed", acme), ("reconsider", acme)]


def test_a_word_that_does_not_count_is_not_announced(desk: Desk) -> None:
    desk.say(tenant_key="acme", options={"area_code": "415"}, options_level="session", payment=Payment.PAID)
    desk.calls.clear()

    desk.say(tenant_key="acme", options={"area_code": "212"}, status="active")

    assert desk.options("acme") == {"area_code": "415"}
    assert desk.calls == [("reconsider", desk.id_of("acme"))]


def test_an_invoices_copy_of_the_options_is_as_old_as_the_copy(desk: Desk) -> None:
    desk.say(tenant_key="acme", status="active", options={"assistant_id": "new"})

    desk.say(
        tenant_key="acme", payment=Payment.PAID, occurred_at_ms=NOW + HOUR,
        options={"assistant_id": "old"}, options_at_ms=NOW - HOUR,
    )  # fmt: skip

    assert desk.options("acme") == {"assistant_id": "new"}


def test_an_event_cannot_speak_as_an_operator(desk: Desk) -> None:
    desk.say(tenant_key="acme", status="active", options={"area_code": "415"}, options_level="operator")

    with desk.database.read() as tx:
        assert [row.level for row in subscriptions.options_of(tx, desk.id_of("acme"))] == ["subscription"]


# --- asking the billing system ---------------------------------------------------------------------------------------


def test_where_the_billing_system_can_be_asked_its_word_is_awaited(desk: Desk) -> None:
    desk.set(rereads_subscriptions=frozenset({"stripe"}))

    desk.say(tenant_key="acme", status="active", payment=Payment.PAID, options={"area_code": "415"})

    with desk.database.read() as tx:
        (link,) = subscriptions.rereads_of(tx, desk.id_of("acme"))
    assert link.reread_at_ms == NOW
    assert (link.record.statuses, link.record.paid) == ((), None)
    assert desk.options("acme") == {"area_code": "415"}
    assert desk.calls[-1] == ("reconsider", desk.id_of("acme"))


def test_every_word_on_a_subscription_is_a_new_question(desk: Desk) -> None:
    desk.set(rereads_subscriptions=frozenset({"stripe"}))
    desk.say(tenant_key="acme", customer_id="cus_1", status="active")
    desk.say(subscription_id="sub_2", customer_id="cus_1", status="active")
    with desk.database.read() as tx:
        asked = subscriptions.rereads_of(tx, desk.id_of("acme"))[1]

    desk.say(subscription_id="sub_2", tenant_key="beta")

    with desk.database.read() as tx:
        (link,) = subscriptions.rereads_of(tx, desk.id_of("beta"))
    assert (asked.record.linked_by, link.record.linked_by) == ("customer", "name")
    assert link.reread_at_ms != asked.reread_at_ms


def test_other_sources_are_believed_as_before(desk: Desk) -> None:
    desk.set(rereads_subscriptions=frozenset({"stripe"}))

    desk.say(source="standard", tenant_key="acme", status="active")

    assert desk.statuses(source="standard") == ["active"]


# --- events that fail ------------------------------------------------------------------------------------------------


def test_an_event_that_cannot_be_read_holds_up_nobody(desk: Desk) -> None:
    poison = desk.news(type="poison", tenant_key="acme")
    good = desk.news(tenant_key="beta", subscription_id="sub_2", status="active")

    applied = desk.tell(poison, good)

    assert [event.status for event in applied.events] == ["waiting", "applied"]
    assert desk.tenant_keys() == ["beta"]


def test_an_event_that_fails_half_way_leaves_nothing_behind(desk: Desk) -> None:
    desk.fails_for = {"acme"}

    desk.say(tenant_key="acme", customer_id="cus_1", status="active", options={"area_code": "415"})

    assert desk.tenant_keys() == []
    assert (desk.row().status, desk.row().try_at_ms) == ("waiting", NOW + 5 * SECOND)
    with desk.database.read() as tx:
        assert subscriptions.find(tx, "stripe", "sub_1") is None


def test_an_event_that_fails_is_tried_again_with_growing_pauses_and_then_parked(desk: Desk) -> None:
    desk.fails_for = {"acme"}
    desk.say(tenant_key="acme", status="active")
    pauses = []
    while (try_at_ms := desk.row().try_at_ms) is not None:
        pauses.append(try_at_ms - desk.now_ms)
        desk.now_ms = try_at_ms
        desk.apply()

    row = desk.row()
    assert (row.status, row.tries) == ("failed", 8)
    assert len(pauses) == 7
    assert pauses == sorted(set(pauses))
    assert row.body is not None


def test_nothing_is_tried_before_its_pause_is_over(desk: Desk) -> None:
    desk.fails_for = {"acme"}
    desk.say(tenant_key="acme", status="active")
    desk.now_ms += 5 * SECOND - 1

    assert desk.apply().events == ()


def test_an_event_that_failed_is_applied_as_soon_as_it_can_be(desk: Desk) -> None:
    desk.fails_for = {"acme"}
    desk.say(tenant_key="acme", status="active")
    desk.fails_for = set()
    desk.now_ms += 5 * SECOND

    desk.apply()

    row = desk.row()
    assert (row.status, row.reason, row.tries) == ("applied", None, 0)


def test_a_parked_event_that_is_replayed_has_all_its_tries_again(desk: Desk) -> None:
    desk.fails_for = {"acme"}
    desk.say(tenant_key="acme", status="active")
    while (try_at_ms := desk.row().try_at_ms) is not None:
        desk.now_ms = try_at_ms
        desk.apply()
    with desk.database.transaction() as tx:
        inbox.replay(tx, desk.row().id)

    desk.apply()

    assert (desk.row().status, desk.row().tries) == ("waiting", 1)


def test_what_went_wrong_is_said_without_quoting_anybody(desk: Desk) -> None:
    desk.say(type="poison")

    reason = desk.row().reason or ""
    assert "ValueError in interpret" in reason
    assert "whsec" not in reason
    assert "+1415" not in reason


def test_a_database_that_cannot_go_on_stops_everything_and_undoes_it(desk: Desk) -> None:
    def full(tx: Transaction, tenant_id: int, now_ms: int, cause: str) -> None:
        raise StorageUnavailable("The database cannot store anything now: the disk is full.")

    desk.set(reconsider=full)

    with pytest.raises(StorageUnavailable):
        desk.say(tenant_key="acme", status="active")

    assert (desk.row().status, desk.row().tries, desk.tenant_keys()) == ("new", 0, [])


def test_an_error_of_the_engine_inside_is_not_taken_for_the_events_own(desk: Desk) -> None:
    def broken(tx: Transaction, tenant_id: int, now_ms: int, cause: str) -> None:
        tx.do("UPDATE a_table_that_is_gone SET x = 1")

    desk.set(reconsider=broken)

    with pytest.raises(Exception, match="a_table_that_is_gone"):
        desk.say(tenant_key="acme", status="active")

    assert desk.row().status == "new"


def test_events_of_a_source_that_is_no_longer_set_up_wait_for_it(desk: Desk) -> None:
    sources = desk.parts.sources
    desk.set(sources={})
    desk.say(tenant_key="acme", status="active")
    waiting = desk.row()
    desk.set(sources=sources)
    desk.now_ms += 10 * MINUTE

    desk.apply()

    assert (waiting.status, waiting.try_at_ms) == ("waiting", NOW + 10 * MINUTE)
    assert desk.row().status == "applied"


# --- batches ---------------------------------------------------------------------------------------------------------


def test_a_call_applies_at_most_as_many_as_it_may(desk: Desk) -> None:
    desk.receive(*(event_of(desk.news(tenant_key=f"t{i}", subscription_id=f"sub_{i}")) for i in range(7)))

    counts = [len(desk.apply(limit=3).events) for _ in range(4)]

    assert counts == [3, 3, 1, 0]


def test_events_are_applied_in_the_order_in_which_they_were_stored(desk: Desk) -> None:
    desk.receive(*(event_of(desk.news(tenant_key=f"t{i}", subscription_id=f"sub_{i}")) for i in range(5)))

    assert [event.tenant_key for event in desk.apply().events] == ["t0", "t1", "t2", "t3", "t4"]


def test_many_that_wait_for_nothing_do_not_hold_up_news(desk: Desk) -> None:
    sources = desk.parts.sources
    desk.set(sources={})
    desk.tell(*(desk.news(tenant_key="acme", event_id=f"old_{i}") for i in range(40)))
    desk.now_ms += 10 * MINUTE
    desk.set(sources={"stripe": sources["stripe"]})
    desk.receive(event_of(desk.news(tenant_key="beta", subscription_id="sub_2", status="active")))

    applied = desk.apply(limit=8)

    assert "beta" in [event.tenant_key for event in applied.events]


def test_the_same_event_twice_is_once(desk: Desk) -> None:
    event = event_of(desk.news(tenant_key="acme", status="active"))
    desk.receive(event)
    desk.apply()

    desk.receive(event)
    applied = desk.apply()

    assert applied.events == ()
    assert (desk.row().repeats, len(desk.journal("acme"))) == (1, 1)


def test_an_event_that_is_replayed_changes_nothing(desk: Desk) -> None:
    desk.say(tenant_key="acme", status="active", options={"area_code": "415"})
    before = desk.link()
    desk.now_ms += HOUR
    with desk.database.transaction() as tx:
        inbox.replay(tx, desk.row().id)

    desk.apply()

    assert (desk.link(), desk.options("acme")) == (before, {"area_code": "415"})


def test_every_way_to_wait_keeps_the_body(desk: Desk) -> None:
    desk.set(livemode=True)
    desk.say(status="active")
    desk.say(tenant_key="-", status="active")
    desk.say(tenant_key="acme", subscription_id="sub_2", occurred_at_ms=NOW + 9 * DAY)
    desk.say(tenant_key="acme", livemode=False)
    desk.say(tenant_key="acme", status="active", subscription_id="sub_3")
    desk.say(tenant_key="beta", status="active", subscription_id="sub_3")

    with desk.database.transaction() as tx:
        inbox.expire_bodies(tx, NOW + DAY, 100)

    kept = {row.status for row in desk.rows() if row.body is not None}
    assert kept == {"waiting", "tenant_key_invalid", "time_invalid", "wrong_mode", "link_conflict"}


def test_pauses_are_one_fewer_than_tries() -> None:
    assert len(aside.PAUSES_SECONDS) == aside.MAX_TRIES - 1 == 7
