"""The inbox: each event once and for good, whatever comes together, again, or changed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.domain.model import Event
from gateway.errors import StorageUnavailable
from gateway.store import conflicts, inbox, rejections
from gateway.store.database import Database, Transaction
from gateway.store.inbox import Incoming, Receipt
from gateway.store.rejections import RING_SLOTS, Rejection
from tests import databases
from tests.store.engines import sqlite_only

NOW_MS = 1_795_341_400_000


def event(event_id: str = "evt_1", says: str = "a", source: str = "stripe") -> Event:
    return Event(source, event_id, "invoice.paid", NOW_MS - 5, says, f'{{"{says}"}}'.encode(), {"user-agent": "é/1"})


def incoming(*events: Event, at_ms: int = NOW_MS) -> Incoming:
    return Incoming(events, at_ms)


def put(database: Database, *batch: Incoming) -> list[Receipt | StorageUnavailable]:
    with database.transaction() as tx:
        return inbox.put(tx, batch)


def stored(database: Database) -> list[inbox.InboxRow]:
    with database.read() as tx:
        return list(reversed(inbox.list_events(tx, limit=100_000)))


def fill_conflicts(database: Database, rows: int) -> None:
    with database.transaction() as tx:
        tx.do(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :rows) "
            "INSERT INTO inbox_conflicts (source, event_id, received_at_ms, says_hash, headers) "
            "SELECT 'other', 'evt_' || i, 1, 'x', '{}' FROM n",
            rows=rows,
        )


# --- putting ---------------------------------------------------------------------------------------------------------


def test_an_event_is_stored_whole(database: Database) -> None:
    assert put(database, incoming(event())) == [Receipt(accepted=1)]

    (row,) = stored(database)
    assert row.event == event()
    assert (row.status, row.received_at_ms, row.tries, row.repeats) == ("new", NOW_MS, 0, 0)
    assert (row.tenant_id, row.subscription_id, row.customer_id, row.try_at_ms, row.reason) == (None,) * 5


def test_a_repeated_event_is_counted_and_not_stored_again(database: Database) -> None:
    put(database, incoming(event()))

    for _ in range(3):
        assert put(database, incoming(event())) == [Receipt(duplicates=1)]

    (row,) = stored(database)
    assert (row.repeats, row.received_at_ms) == (3, NOW_MS)


def test_repeats_within_one_batch_are_one_event(database: Database) -> None:
    results = put(database, *[incoming(event())] * 5)

    # Equal values, different deliveries: exactly one of them is the first.
    assert sorted(results, key=repr) == sorted([Receipt(accepted=1), *[Receipt(duplicates=1)] * 4], key=repr)
    assert [row.repeats for row in stored(database)] == [4]


def test_the_same_id_of_another_source_is_another_event(database: Database) -> None:
    assert put(database, incoming(event()), incoming(event(source="standard"))) == [Receipt(accepted=1)] * 2

    assert len(stored(database)) == 2


def test_one_delivery_may_bring_many_events(database: Database) -> None:
    put(database, incoming(event("b")))

    (receipt,) = put(database, incoming(event("a"), event("b"), event("c"), event("b", "changed")))

    assert receipt == Receipt(accepted=2, duplicates=1, conflicts=1)
    assert [row.event_id for row in stored(database)] == ["b", "a", "c"]


def test_a_batch_larger_than_one_statement_is_stored_in_order(database: Database) -> None:
    batch = [incoming(event(f"evt_{n}")) for n in range(1300)]

    assert put(database, *batch) == [Receipt(accepted=1)] * 1300
    assert put(database, *batch) == [Receipt(duplicates=1)] * 1300
    assert [row.event_id for row in stored(database)] == [f"evt_{n}" for n in range(1300)]


@pytest.mark.parametrize("known", [0, 511, 512, 1299])
def test_one_known_event_makes_no_other_of_its_batch_a_duplicate(database: Database, known: int) -> None:
    batch = [incoming(event(f"evt_{n}")) for n in range(1300)]
    put(database, batch[known])

    receipts = put(database, *batch)

    assert receipts.pop(known) == Receipt(duplicates=1)
    assert receipts == [Receipt(accepted=1)] * 1299
    assert len(stored(database)) == 1300


def test_an_empty_batch_and_an_empty_delivery_store_nothing(database: Database) -> None:
    assert put(database) == []
    assert put(database, incoming()) == [Receipt()]
    assert stored(database) == []


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "in two"])
def test_a_known_id_that_says_something_else_is_kept_beside_and_never_applied(
    database: Database, together: bool
) -> None:
    first, second = incoming(event()), incoming(event(says="b"), at_ms=NOW_MS + 1)

    results = put(database, first, second) if together else put(database, first) + put(database, second)

    assert results == [Receipt(accepted=1), Receipt(conflicts=1)]
    (row,) = stored(database)
    assert (row.says_hash, row.body, row.repeats) == ("a", b'{"a"}', 0)
    with database.read() as tx:
        (conflict,) = conflicts.list_unread(tx)
        assert inbox.backlog(tx).unread_conflicts == 1
    assert (conflict["event_id"], conflict["says_hash"], conflict["received_at_ms"]) == ("evt_1", "b", NOW_MS + 1)


def test_the_same_conflict_is_kept_once(database: Database) -> None:
    put(database, incoming(event()))

    for _ in range(3):
        assert put(database, incoming(event(says="b"))) == [Receipt(conflicts=1)]

    with database.read() as tx:
        assert conflicts.count_unread(tx) == 1


def test_with_ten_thousand_unread_conflicts_a_new_one_is_not_taken_and_its_neighbours_are(
    database: Database,
) -> None:
    put(database, incoming(event()), incoming(event(says="b")))
    fill_conflicts(database, conflicts.MAX_UNREAD - 2)

    last, over, known, neighbour = put(
        database,
        incoming(event(says="c")),
        incoming(event(says="d")),
        incoming(event(says="b")),
        incoming(event("e2")),
    )

    assert (last, known, neighbour) == (Receipt(conflicts=1), Receipt(conflicts=1), Receipt(accepted=1))
    assert isinstance(over, StorageUnavailable)


def test_reading_conflicts_makes_room_for_more(database: Database) -> None:
    put(database, incoming(event()))
    fill_conflicts(database, conflicts.MAX_UNREAD)
    assert isinstance(put(database, incoming(event(says="b")))[0], StorageUnavailable)

    with database.transaction() as tx:
        assert conflicts.mark_read(tx, up_to_id=1) == 1

    assert put(database, incoming(event(says="b"))) == [Receipt(conflicts=1)]


def test_a_transaction_that_fails_stores_nothing_and_the_same_batch_can_come_again(database: Database) -> None:
    def fail(tx: Transaction) -> None:
        inbox.put(tx, [incoming(event())])
        raise RuntimeError

    with pytest.raises(RuntimeError), database.transaction() as tx:
        fail(tx)

    assert put(database, incoming(event())) == [Receipt(accepted=1)]


deliveries = st.lists(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("123"), st.sampled_from("xyz")), max_size=3), max_size=6
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(batches=st.lists(deliveries, max_size=4))
def test_whatever_comes_the_first_word_of_each_id_is_stored_and_every_event_is_answered(
    batches: list[list[list[tuple[str, str, str]]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    database = databases.open_database(tmp_path_factory.mktemp("inbox"))
    first: dict[tuple[str, str], str] = {}
    repeats: dict[tuple[str, str], int] = {}
    contradictions: set[tuple[str, str, str]] = set()

    for batch in batches:
        results = put(database, *(incoming(*(event(i, says, source) for source, i, says in each)) for each in batch))

        for each, result in zip(batch, results, strict=True):
            told = [0, 0, 0]
            for source, event_id, says in each:
                key = (source, event_id)
                if key not in first:
                    first[key], repeats[key] = says, 0
                    told[0] += 1
                elif first[key] == says:
                    repeats[key] += 1
                    told[1] += 1
                else:
                    contradictions.add((*key, says))
                    told[2] += 1
            assert result == Receipt(*told)

    rows = stored(database)
    assert {(row.source, row.event_id): row.says_hash for row in rows} == first
    assert {(row.source, row.event_id): row.repeats for row in rows} == repeats
    with database.read() as tx:
        kept = {(row["source"], row["event_id"], row["says_hash"]) for row in conflicts.list_unread(tx, 1000)}
    assert kept == contradictions
    database.close()


# --- reading ---------------------------------------------------------------------------------------------------------


def test_new_rows_are_taken_in_the_order_they_were_stored(database: Database) -> None:
    put(database, *(incoming(event(f"evt_{n}")) for n in (3, 1, 2)))

    with database.transaction() as tx:
        taken = inbox.take_new(tx, 2)
        for row in taken:
            inbox.mark(tx, row.id, "applied", tenant_id=None)
        rest = inbox.take_new(tx, 10)

    assert [row.event_id for row in taken + rest] == ["evt_3", "evt_1", "evt_2"]


def test_a_mark_says_what_became_of_a_row_and_keeps_what_is_known_of_it(database: Database) -> None:
    put(database, incoming(event()))

    with database.transaction() as tx:
        (row,) = inbox.take_new(tx, 1)
        inbox.mark(tx, row.id, "waiting", "no link", subscription_id="sub_1", customer_id="cus_1", try_at_ms=7)
        inbox.mark(tx, row.id, "applied", tenant_id=None)
        marked = inbox.get(tx, row.id)

    assert marked == replace(
        row, status="applied", reason=None, subscription_id="sub_1", customer_id="cus_1", try_at_ms=None, tries=2
    )


def test_rows_that_wait_for_a_time_are_due_when_it_comes_the_longest_due_first(database: Database) -> None:
    put(database, *(incoming(event(f"evt_{n}")) for n in range(4)))
    with database.transaction() as tx:
        for row, at_ms in zip(inbox.take_new(tx, 9), (30, 10, None, 99), strict=True):
            inbox.mark(tx, row.id, "time_invalid" if at_ms == 10 else "waiting", try_at_ms=at_ms)

    with database.read() as tx:
        assert inbox.next_due_at_ms(tx) == 10
        assert inbox.due(tx, 9, 10) == []
        assert [row.event_id for row in inbox.due(tx, 30, 10)] == ["evt_1", "evt_0"]
        assert [row.event_id for row in inbox.due(tx, 30, 1)] == ["evt_1"]


@pytest.mark.parametrize(
    ("wanted", "woken"),
    [
        ({"subscription_id": "sub_1"}, ["evt_0", "evt_1"]),
        ({"customer_id": "cus_1"}, ["evt_1", "evt_2"]),
        ({"subscription_id": "sub_1", "customer_id": "cus_1"}, ["evt_0", "evt_1", "evt_2"]),
        ({}, []),
    ],
    ids=["by subscription", "by customer", "by either", "by nothing"],
)
def test_a_new_link_wakes_what_waited_for_it(database: Database, wanted: dict[str, str], woken: list[str]) -> None:
    put(database, *(incoming(event(f"evt_{n}")) for n in range(5)), incoming(event("evt_9", source="standard")))
    known = [
        ("sub_1", None),
        ("sub_1", "cus_1"),
        (None, "cus_1"),
        ("sub_2", "cus_2"),
        (None, None),
        ("sub_1", "cus_1"),
    ]
    with database.transaction() as tx:
        for row, (subscription_id, customer_id) in zip(inbox.take_new(tx, 9), known, strict=True):
            inbox.mark(
                tx, row.id, "waiting", subscription_id=subscription_id, customer_id=customer_id, try_at_ms=NOW_MS
            )

    with database.transaction() as tx:
        count = inbox.wake_waiting(tx, "stripe", **wanted)
        rows = inbox.take_new(tx, 9)

    assert ([row.event_id for row in rows], count) == (woken, len(woken))
    assert all(row.try_at_ms is None for row in rows)


@pytest.mark.parametrize("status", ["applied", "ignored", "link_conflict", "tenant_key_invalid", "wrong_mode"])
def test_a_link_wakes_only_what_waits(database: Database, status: str) -> None:
    put(database, incoming(event()))
    with database.transaction() as tx:
        inbox.mark(tx, inbox.take_new(tx, 1)[0].id, status, subscription_id="sub_1")

        assert inbox.wake_waiting(tx, "stripe", subscription_id="sub_1") == 0


def test_a_replayed_row_is_new_again_unless_its_body_has_expired(database: Database) -> None:
    put(database, incoming(event()))
    with database.transaction() as tx:
        (row,) = inbox.take_new(tx, 1)
        inbox.mark(tx, row.id, "applied")

        assert inbox.replay(tx, row.id)
        assert [again.id for again in inbox.take_new(tx, 1)] == [row.id]

        inbox.mark(tx, row.id, "applied")
        inbox.expire_bodies(tx, NOW_MS + 1, 10)
        assert not inbox.replay(tx, row.id)
        assert not inbox.replay(tx, 12345)


def test_what_was_applied_of_one_subscription_of_one_tenant_is_replayed_and_nothing_else(database: Database) -> None:
    put(database, incoming(*(event(f"evt_{number}") for number in range(6)), event("evt_6", source="standard")))
    with database.transaction() as tx:
        rows = inbox.take_new(tx, 10)
        whose = [(1, "sub_1"), (1, "sub_1"), (2, "sub_1"), (1, "sub_2"), (1, "sub_1"), (1, None), (1, "sub_1")]
        for row, (tenant_id, subscription_id) in zip(rows, whose, strict=True):
            status = "ignored" if row.event_id == "evt_4" else "applied"
            inbox.mark(tx, row.id, status, tenant_id=tenant_id, subscription_id=subscription_id)

        assert inbox.replay_applied(tx, "stripe", "sub_1", 1) == 2
        assert [row.event_id for row in inbox.take_new(tx, 10)] == ["evt_0", "evt_1"]


def test_bodies_expire_only_when_applied_or_ignored_and_their_ids_stay(database: Database) -> None:
    statuses = ["applied", "ignored", "waiting", "new", "link_conflict", "applied"]
    put(database, *(incoming(event(f"evt_{n}"), at_ms=n) for n in range(6)))
    with database.transaction() as tx:
        for row, status in zip(inbox.take_new(tx, 9), statuses, strict=True):
            inbox.mark(tx, row.id, status)

        assert inbox.expire_bodies(tx, 5, 1) == 1
        assert inbox.expire_bodies(tx, 5, 9) == 1
        assert inbox.expire_bodies(tx, 5, 9) == 0

    assert [row.body is None for row in stored(database)] == [True, True, False, False, False, False]
    assert put(database, incoming(event("evt_0"))) == [Receipt(duplicates=1)]


def test_events_are_listed_newest_first_page_by_page_and_followed_oldest_first(database: Database) -> None:
    put(database, *(incoming(event(f"evt_{n}")) for n in range(5)), incoming(event("evt_5", source="standard")))
    with database.read() as tx:
        first = inbox.list_events(tx, limit=2)
        second = inbox.list_events(tx, limit=2, before_id=first[-1].id)
        followed = inbox.list_events(tx, after_id=second[0].id)
        stripes = inbox.list_events(tx, source="stripe", status="new", limit=9)
        found = inbox.get_by_event_id(tx, "standard", "evt_5")

    assert [row.event_id for row in first + second] == ["evt_5", "evt_4", "evt_3", "evt_2"]
    assert [row.event_id for row in followed] == ["evt_4", "evt_5"]
    assert len(stripes) == 5
    assert found == first[0]


def test_the_backlog_counts_what_is_not_done_yet(database: Database) -> None:
    put(database, *(incoming(event(f"evt_{n}"), at_ms=NOW_MS + n) for n in range(4)))
    with database.transaction() as tx:
        rows = inbox.take_new(tx, 9)
        inbox.mark(tx, rows[0].id, "applied")
        inbox.mark(tx, rows[1].id, "waiting")

        assert inbox.backlog(tx) == inbox.Backlog(
            new=2, oldest_received_at_ms=NOW_MS + 2, waiting=1, unread_conflicts=0
        )


def test_trying_out_whether_an_event_can_be_stored_leaves_nothing_behind(database: Database) -> None:
    for _ in range(3):
        with database.transaction() as tx:
            inbox.probe(tx, NOW_MS)

    assert stored(database) == []


@sqlite_only
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id FROM inbox WHERE status = 'new' ORDER BY id LIMIT 9",
        "SELECT id FROM inbox WHERE try_at_ms IS NOT NULL AND try_at_ms <= 5 ORDER BY try_at_ms, id LIMIT 9",
        "SELECT id FROM inbox WHERE status = 'waiting' AND source = 'a' AND subscription_id = 'b'",
        "SELECT id FROM inbox WHERE status = 'waiting' AND source = 'a' AND customer_id = 'b'",
        "UPDATE inbox SET tries = 0 WHERE body IS NOT NULL AND tenant_id = 1 AND source = 'a' AND status = 'applied'",
        "SELECT says_hash FROM inbox WHERE (source, event_id) IN (VALUES ('a', 'b'), ('a', 'c'))",
    ],
    ids=["new", "due", "by subscription", "by customer", "of a tenant", "known hashes"],
)
def test_no_question_asked_often_reads_the_whole_table(database: Database, sql: str) -> None:
    with database.read() as tx:
        plan = [row["detail"] for row in tx.all(f"EXPLAIN QUERY PLAN {sql}")]

    assert not [line for line in plan if line.startswith("SCAN inbox") and "INDEX" not in line], plan


# --- rejections ------------------------------------------------------------------------------------------------------


def test_rejections_are_a_ring_of_fixed_size_a_source(database: Database) -> None:
    for start in range(0, 1000, 90):
        with database.transaction() as tx:
            noted = [Rejection(n, "signature_invalid", -n, 10) for n in range(start, start + 90)]
            rejections.write(tx, "stripe", noted)
            rejections.write(tx, "standard", noted[:1])

    with database.read() as tx:
        held = rejections.of_source(tx, "stripe")
        count = tx.one("SELECT count(*) AS n FROM rejections")
    assert [rejection.at_ms for rejection in held] == list(range(1079, 1079 - RING_SLOTS, -1))
    assert count == {"n": RING_SLOTS + 12}


def test_more_rejections_at_once_than_the_ring_holds_leave_the_newest(database: Database) -> None:
    with database.transaction() as tx:
        rejections.write(tx, "stripe", [Rejection(n, "signature_missing", None, 0) for n in range(500)])

        assert {rejection.at_ms for rejection in rejections.of_source(tx, "stripe")} == set(range(300, 500))
