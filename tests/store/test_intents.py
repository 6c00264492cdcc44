"""Intents: the database itself makes a second purchase impossible, and the caps count each number once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.domain.model import Intent, IntentStatus, Tenant
from gateway.store import intents, tenants
from gateway.store.database import Database, IntegrityError, Transaction
from tests.store.conftest import NOW_MS

NUMBER, OTHER = "+14155550100", "+14155550101"
OPEN = (IntentStatus.CHOSEN, IntentStatus.SENT, IntentStatus.UNKNOWN, IntentStatus.OWNED)
ENDED = (IntentStatus.REFUSED, IntentStatus.DROPPED, IntentStatus.RELEASED)
HOUR_MS = 3_600_000


def choose(tx: Transaction, tenant: Tenant, number: str = NUMBER, at_ms: int = NOW_MS) -> Intent:
    return intents.choose(
        tx, tenant, number, f"rf:{tenant.tenant_key}", is_exact=False, country="US", number_type="local", now_ms=at_ms
    )


def bring_to(tx: Transaction, intent: Intent, status: IntentStatus, at_ms: int = NOW_MS) -> Intent:
    if status is IntentStatus.SENT:
        intents.mark_sent(tx, intent, at_ms)
    elif status is IntentStatus.UNKNOWN:
        intents.mark_unknown(tx, intent)
    elif status is IntentStatus.OWNED:
        intents.mark_owned(tx, intent, "PN1")
    elif status in ENDED:
        intents.end(tx, intent, status, "because", at_ms)
    return now(tx, intent)


def now(tx: Transaction, intent: Intent) -> Intent:
    (row,) = (row for row in intents.of_tenant(tx, intent.tenant_id) if row["id"] == intent.id)
    return intents.from_row(row)


def next_generation(tenant: Tenant) -> Tenant:
    return replace(tenant, generation=tenant.generation + 1)


# --- the two rules ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", OPEN)
def test_a_generation_with_an_open_intent_can_have_no_second_number(
    tx: Transaction, acme: Tenant, status: IntentStatus
) -> None:
    bring_to(tx, choose(tx, acme), status)

    with pytest.raises(IntegrityError), tx.savepoint():
        choose(tx, acme, OTHER)


@pytest.mark.parametrize("status", OPEN)
def test_a_number_with_an_open_intent_can_be_nobody_elses(
    tx: Transaction, acme: Tenant, beta: Tenant, status: IntentStatus
) -> None:
    bring_to(tx, choose(tx, acme), status)

    with pytest.raises(IntegrityError), tx.savepoint():
        choose(tx, beta)


@pytest.mark.parametrize("status", OPEN)
def test_a_number_with_an_open_intent_cannot_be_the_next_generations(
    tx: Transaction, acme: Tenant, status: IntentStatus
) -> None:
    bring_to(tx, choose(tx, acme), status)

    with pytest.raises(IntegrityError), tx.savepoint():
        choose(tx, next_generation(acme))


@pytest.mark.parametrize("status", ENDED)
def test_an_intent_that_ended_excludes_nobody(
    tx: Transaction, acme: Tenant, beta: Tenant, status: IntentStatus
) -> None:
    bring_to(tx, choose(tx, acme), status)

    choose(tx, beta)
    choose(tx, acme, OTHER)

    assert [row["number"] for row in intents.of_tenant(tx, acme.id)] == [NUMBER, OTHER]


def test_generations_of_one_tenant_each_have_their_own(tx: Transaction, acme: Tenant) -> None:
    bring_to(tx, choose(tx, acme), IntentStatus.OWNED)

    second = choose(tx, next_generation(acme), OTHER)

    assert intents.open_of(tx, next_generation(acme)) == second


def test_a_number_that_cannot_be_chosen_leaves_the_transaction_as_it_was(
    tx: Transaction, acme: Tenant, beta: Tenant
) -> None:
    choose(tx, acme)
    with pytest.raises(IntegrityError), tx.savepoint():
        choose(tx, beta)

    third = choose(tx, beta, OTHER)

    assert intents.open_of(tx, beta) == third


def test_eight_workers_that_choose_one_number_at_once_get_it_once(
    database: Database, made: Callable[..., Tenant], another: Callable[[], Database]
) -> None:
    people = [made(f"tenant-{count}") for count in range(8)]
    workers = [another() for _ in people]
    start = threading.Barrier(8)
    got: list[str] = []
    refused: list[str] = []

    def work(worker: Database, tenant: Tenant) -> None:
        start.wait(10)
        try:
            with worker.transaction() as tx:
                choose(tx, tenant)
        except IntegrityError:
            refused.append(tenant.tenant_key)
        else:
            got.append(tenant.tenant_key)

    threads = [threading.Thread(target=work, args=pair) for pair in zip(workers, people, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert (len(got), len(refused)) == (1, 7)


actions = st.sampled_from([NUMBER, OTHER, *OPEN[1:], *ENDED])
steps = st.lists(st.tuples(st.sampled_from(["acme", "beta"]), st.integers(1, 2), actions), max_size=12)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=steps)
def test_whatever_is_tried_no_number_and_no_generation_is_ever_committed_twice(
    database: Database, story: list[tuple[str, int, str]]
) -> None:
    with database.transaction() as tx:
        tx.do("DELETE FROM intents")
        for key, generation, action in story:
            tenant = tenants.by_key(tx, key) or tenants.create(tx, key, NOW_MS)
            tenant = replace(tenant, generation=generation)
            known = intents.open_of(tx, tenant)
            if action in (NUMBER, OTHER):
                try:
                    with tx.savepoint():
                        choose(tx, tenant, action)
                except IntegrityError:
                    pass
            elif known is not None:
                bring_to(tx, known, IntentStatus(action))
        rows = tx.all("SELECT number, tenant_id, generation, status FROM intents")

    still_open = [row for row in rows if row["status"] in OPEN]
    assert len({row["number"] for row in still_open}) == len(still_open)
    assert len({(row["tenant_id"], row["generation"]) for row in still_open}) == len(still_open)


# --- the protocol's marks --------------------------------------------------------------------------------------------


def test_a_chosen_intent_says_what_was_chosen(tx: Transaction, acme: Tenant) -> None:
    chosen = intents.choose(
        tx, acme, NUMBER, "rf:x", is_exact=True, country="CA", number_type="toll_free", now_ms=NOW_MS
    )

    assert chosen == Intent(
        id=chosen.id, tenant_id=acme.id, generation=1, number=NUMBER, tag="rf:x", status=IntentStatus.CHOSEN,
        is_exact=True, round=1, looks=0, first_sent_at_ms=None, round_sent_at_ms=None, taken_at_ms=None, sid=None,
        country="CA", number_type="toll_free",
    )  # fmt: skip
    assert intents.open_of(tx, acme) == chosen
    assert intents.kind_of(tx, NUMBER) == ("CA", "toll_free")


def test_nothing_is_known_of_a_number_that_was_never_chosen(tx: Transaction, acme: Tenant) -> None:
    assert intents.open_of(tx, acme) is None
    assert intents.kind_of(tx, NUMBER) is None


def test_sending_again_keeps_the_first_moment_and_forgets_the_looks(tx: Transaction, acme: Tenant) -> None:
    intent = bring_to(tx, choose(tx, acme), IntentStatus.SENT, NOW_MS + 1)
    intents.count_look(tx, intent)
    intents.mark_unknown(tx, intent, taken_at_ms=NOW_MS + 2)

    intents.mark_sent(tx, intent, NOW_MS + 3)

    sent = now(tx, intent)
    assert sent.status is IntentStatus.SENT
    assert (sent.first_sent_at_ms, sent.round_sent_at_ms) == (NOW_MS + 1, NOW_MS + 1)
    assert (sent.looks, sent.taken_at_ms) == (0, None)


def test_a_number_that_was_not_processed_starts_again_as_a_first_one(tx: Transaction, acme: Tenant) -> None:
    intent = bring_to(tx, choose(tx, acme), IntentStatus.SENT, NOW_MS + 1)

    intents.mark_not_processed(tx, intent)
    again = now(tx, intent)
    intents.mark_sent(tx, intent, NOW_MS + 9)

    assert (again.status, again.round_sent_at_ms, again.round) == (IntentStatus.CHOSEN, None, 1)
    assert now(tx, intent).round_sent_at_ms == NOW_MS + 9
    assert now(tx, intent).first_sent_at_ms == NOW_MS + 1


def test_a_second_round_starts_anew_and_is_the_second(tx: Transaction, acme: Tenant) -> None:
    intent = bring_to(tx, choose(tx, acme), IntentStatus.SENT, NOW_MS + 1)
    intents.count_look(tx, intent)

    intents.start_second_round(tx, intent)

    again = now(tx, intent)
    assert (again.status, again.round, again.looks) == (IntentStatus.CHOSEN, 2, 0)
    assert (again.first_sent_at_ms, again.round_sent_at_ms) == (NOW_MS + 1, None)


def test_a_look_that_settled_nothing_is_counted_and_leaves_it_unknown(tx: Transaction, acme: Tenant) -> None:
    intent = bring_to(tx, choose(tx, acme), IntentStatus.SENT)

    for _ in range(2):
        intents.count_look(tx, intent)

    assert (now(tx, intent).status, now(tx, intent).looks) == (IntentStatus.UNKNOWN, 2)


def test_a_clean_no_is_remembered_with_its_moment(tx: Transaction, acme: Tenant) -> None:
    intent = choose(tx, acme)

    intents.mark_unknown(tx, intent, taken_at_ms=NOW_MS + 4)

    assert (now(tx, intent).status, now(tx, intent).taken_at_ms) == (IntentStatus.UNKNOWN, NOW_MS + 4)


def test_an_owned_number_has_its_sid(tx: Transaction, acme: Tenant) -> None:
    intent = choose(tx, acme)

    intents.mark_owned(tx, intent, "PN7")

    assert (now(tx, intent).status, now(tx, intent).sid) == (IntentStatus.OWNED, "PN7")


@pytest.mark.parametrize("status", [*OPEN, *ENDED])
def test_only_a_number_that_can_not_have_been_bought_is_simply_dropped(
    tx: Transaction, acme: Tenant, status: IntentStatus
) -> None:
    intent = bring_to(tx, choose(tx, acme), status)

    intents.drop_chosen(tx, acme.id, NOW_MS)

    assert now(tx, intent).status is (IntentStatus.DROPPED if status is IntentStatus.CHOSEN else status)


# --- caps ------------------------------------------------------------------------------------------------------------


def test_the_caps_count_each_number_once_however_often_it_is_sent(tx: Transaction, acme: Tenant) -> None:
    intent = choose(tx, acme)
    intents.mark_sent(tx, intent, NOW_MS)
    intents.mark_sent(tx, intent, NOW_MS + 1)
    intents.mark_not_processed(tx, intent)
    intents.mark_sent(tx, intent, NOW_MS + 2)
    intents.start_second_round(tx, intent)
    intents.mark_sent(tx, intent, NOW_MS + 3)

    assert intents.first_sends_since(tx, NOW_MS - HOUR_MS) == [NOW_MS]


def test_the_caps_count_over_all_tenants_newest_first_and_forget_what_is_older(
    tx: Transaction, acme: Tenant, beta: Tenant
) -> None:
    intents.mark_sent(tx, choose(tx, acme), NOW_MS - HOUR_MS)
    bring_to(tx, bring_to(tx, choose(tx, beta, OTHER), IntentStatus.SENT, NOW_MS - 5), IntentStatus.REFUSED)
    intents.mark_sent(tx, choose(tx, next_generation(beta), "+14155550102"), NOW_MS)
    choose(tx, next_generation(acme), "+14155550103")

    assert intents.first_sends_since(tx, NOW_MS - HOUR_MS) == [NOW_MS, NOW_MS - 5]


# --- candidates and the watch list -----------------------------------------------------------------------------------


def test_refused_candidates_of_this_generation_are_counted(tx: Transaction, acme: Tenant, beta: Tenant) -> None:
    bring_to(tx, choose(tx, acme), IntentStatus.REFUSED)
    bring_to(tx, choose(tx, acme, OTHER), IntentStatus.DROPPED)
    bring_to(tx, choose(tx, beta), IntentStatus.REFUSED)
    choose(tx, acme, OTHER)

    assert intents.candidates_used(tx, acme) == 1
    assert intents.candidates_used(tx, next_generation(acme)) == 0


def test_new_candidates_forget_those_of_before_and_only_this_tenants(
    tx: Transaction, acme: Tenant, beta: Tenant
) -> None:
    for tenant in (acme, beta):
        bring_to(tx, choose(tx, tenant), IntentStatus.REFUSED)

    intents.give_new_candidates(tx, acme)
    used = intents.candidates_used(tx, acme), intents.candidates_used(tx, beta)
    bring_to(tx, choose(tx, acme, OTHER), IntentStatus.REFUSED)

    assert used == (0, 1)
    assert intents.candidates_used(tx, acme) == 1


@pytest.mark.parametrize(
    ("status", "ended_at_ms", "is_passed_over"),
    [
        *((status, None, True) for status in OPEN),
        (IntentStatus.REFUSED, NOW_MS - HOUR_MS + 1, True),
        (IntentStatus.REFUSED, NOW_MS - HOUR_MS, False),
        (IntentStatus.DROPPED, NOW_MS, False),
        (IntentStatus.RELEASED, NOW_MS, False),
    ],
)
def test_a_number_is_passed_over_while_it_is_committed_or_was_refused_lately(
    tx: Transaction, acme: Tenant, status: IntentStatus, ended_at_ms: int | None, is_passed_over: bool
) -> None:
    bring_to(tx, choose(tx, acme), status, ended_at_ms or NOW_MS)

    passed_over = intents.passed_over(tx, [OTHER, NUMBER], NOW_MS - HOUR_MS)

    assert passed_over == ({NUMBER} if is_passed_over else set())


def test_refused_numbers_are_on_watch_and_no_others(tx: Transaction, acme: Tenant, beta: Tenant) -> None:
    watched = bring_to(tx, choose(tx, acme), IntentStatus.REFUSED, NOW_MS)
    bring_to(tx, choose(tx, acme, OTHER), IntentStatus.REFUSED, NOW_MS - HOUR_MS)
    bring_to(tx, choose(tx, beta, OTHER), IntentStatus.DROPPED, NOW_MS)

    assert intents.refused_since(tx, NOW_MS - HOUR_MS) == [watched]


def test_a_release_is_known_for_its_own_generation_only(tx: Transaction, acme: Tenant) -> None:
    bring_to(tx, choose(tx, acme), IntentStatus.RELEASED)

    assert intents.was_released(tx, acme)
    assert not intents.was_released(tx, next_generation(acme))


@pytest.mark.parametrize("status", [*OPEN, *ENDED])
def test_another_tenant_that_is_committed_to_a_number_is_named(
    tx: Transaction, acme: Tenant, beta: Tenant, status: IntentStatus
) -> None:
    bring_to(tx, choose(tx, acme), status)

    assert intents.other_owner(tx, NUMBER, beta.id) == (acme.id if status in OPEN else None)
    assert intents.other_owner(tx, NUMBER, acme.id) is None
