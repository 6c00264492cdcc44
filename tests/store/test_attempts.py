"""Attempts: what may have happened, what may still happen, and what is settled."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.domain.model import Step, Tenant
from gateway.store import attempts
from gateway.store.attempts import Attempt
from gateway.store.database import Transaction
from tests.store.conftest import NOW_MS

NUMBER, OTHER = "+14155550100", "+14155550101"
BUY, IMPORT, RELEASE, REMOVE = "buy", "import", "release", "remove"
TIMEOUT_MS = 15_000


def begin(
    tx: Transaction, tenant: Tenant, operation: str = BUY, number: str | None = NUMBER, at_ms: int = NOW_MS
) -> Attempt:
    return attempts.begin(tx, tenant, Step.BUY_NUMBER, operation, number, at_ms, at_ms + TIMEOUT_MS)


def ended(tx: Transaction, tenant: Tenant, *outcomes: str, at_ms: int = NOW_MS, operation: str = BUY) -> Attempt:
    attempt = begin(tx, tenant, operation, at_ms=at_ms)
    for outcome in outcomes:
        attempts.finish(tx, attempt.id, outcome, at_ms, 5)
    return attempt


def next_generation(tenant: Tenant) -> Tenant:
    return replace(tenant, generation=tenant.generation + 1)


def test_an_attempt_is_written_down_under_the_fence_of_its_lease(tx: Transaction, acme: Tenant) -> None:
    attempt = begin(tx, replace(acme, fence=7, generation=3))

    (row,) = attempts.of_tenant(tx, acme.id)
    assert attempt == Attempt(row["id"], BUY, NUMBER, NOW_MS, NOW_MS + TIMEOUT_MS)
    assert (row["fence"], row["generation"], row["step"], row["outcome"]) == (7, 3, Step.BUY_NUMBER, None)


# --- open, unclear, settled ------------------------------------------------------------------------------------------

OPEN_AFTER = {
    "no outcome: the process died": ((), True),
    "unclear": (("unclear",), True),
    "unclear twice": (("unclear", "unclear"), True),
    "bought": (("bought",), False),
    "not processed": (("not_processed",), False),
    "refused": (("refused",), False),
    "not available": (("unavailable",), False),
    "unclear, then proved absent": (("unclear", "proved_absent"), False),
    "unclear, then proved done": (("unclear", "proved_done"), False),
    "no outcome, then proved absent": (("proved_absent",), False),
}


@pytest.mark.parametrize(("outcomes", "is_open"), OPEN_AFTER.values(), ids=OPEN_AFTER)
def test_an_attempt_is_open_while_nothing_but_unclear_is_known_of_it(
    tx: Transaction, acme: Tenant, outcomes: tuple[str, ...], is_open: bool
) -> None:
    attempt = ended(tx, acme, *outcomes)

    expected = [attempt] if is_open else []
    assert attempts.open_for_number(tx, NUMBER, BUY) == expected
    assert attempts.open_for_tenant(tx, acme, BUY) == expected


def test_open_attempts_on_a_number_are_those_of_any_tenant_generation_and_worker(
    tx: Transaction, acme: Tenant, beta: Tenant
) -> None:
    first = begin(tx, acme)
    second = begin(tx, replace(next_generation(acme), fence=99))
    third = begin(tx, beta)
    begin(tx, acme, IMPORT)
    begin(tx, acme, number=OTHER)

    assert attempts.open_for_number(tx, NUMBER, BUY) == [first, second, third]
    assert attempts.open_for_number(tx, NUMBER, BUY, besides=second.id) == [first, third]


def test_open_attempts_of_a_tenant_are_those_of_this_generation_and_operation(
    tx: Transaction, acme: Tenant, beta: Tenant
) -> None:
    first = begin(tx, acme)
    second = begin(tx, replace(acme, fence=99), number=OTHER)
    begin(tx, next_generation(acme))
    begin(tx, beta)
    begin(tx, acme, IMPORT)

    assert attempts.open_for_tenant(tx, acme, BUY) == [first, second]
    assert attempts.open_for_tenant(tx, acme, BUY, besides=first.id) == [second]


def test_what_a_look_proved_is_written_beside_what_was_known_before(tx: Transaction, acme: Tenant) -> None:
    died = begin(tx, acme)
    unclear = ended(tx, acme, "unclear")

    attempts.settle(tx, [died, unclear], attempts.PROVED_ABSENT, NOW_MS + 900)

    assert attempts.open_for_number(tx, NUMBER, BUY) == []
    outcomes = tx.all("SELECT attempt_id, outcome, duration_ms FROM attempt_outcomes ORDER BY id")
    assert outcomes == [
        {"attempt_id": unclear.id, "outcome": "unclear", "duration_ms": 5},
        {"attempt_id": died.id, "outcome": "proved_absent", "duration_ms": 900},
        {"attempt_id": unclear.id, "outcome": "proved_absent", "duration_ms": 900},
    ]


def test_an_attempt_is_never_said_to_have_taken_less_than_no_time(tx: Transaction, acme: Tenant) -> None:
    attempts.settle(tx, [begin(tx, acme)], attempts.PROVED_DONE, NOW_MS - 60_000)

    assert tx.all("SELECT duration_ms FROM attempt_outcomes") == [{"duration_ms": 0}]


# --- when something may still land -----------------------------------------------------------------------------------


def test_without_attempts_nothing_can_land(tx: Transaction, acme: Tenant) -> None:
    assert attempts.last_end_at_ms(tx, acme, [BUY, RELEASE]) == 0
    assert attempts.last_began_at_ms(tx, acme.id) == 0
    assert attempts.last_unclear_end_at_ms(tx, acme, [BUY]) is None


@pytest.mark.parametrize(
    "outcomes", [(), ("unclear",), ("bought",), ("refused",), ("proved_absent",)], ids=lambda each: "+".join(each)
)
def test_a_request_may_land_until_its_deadline_whatever_became_of_it(
    tx: Transaction, acme: Tenant, outcomes: tuple[str, ...]
) -> None:
    ended(tx, acme, "bought", at_ms=NOW_MS - 500)
    ended(tx, acme, *outcomes, at_ms=NOW_MS)

    assert attempts.last_end_at_ms(tx, acme, [RELEASE, BUY]) == NOW_MS + TIMEOUT_MS


def test_a_request_that_was_not_processed_can_not_land(tx: Transaction, acme: Tenant) -> None:
    ended(tx, acme, "released", operation=RELEASE, at_ms=NOW_MS - 500)
    ended(tx, acme, "not_processed", operation=RELEASE, at_ms=NOW_MS)

    assert attempts.last_end_at_ms(tx, acme, [RELEASE]) == NOW_MS - 500 + TIMEOUT_MS


def test_only_the_asked_operations_of_this_generation_count(tx: Transaction, acme: Tenant, beta: Tenant) -> None:
    ended(tx, acme, operation=RELEASE, at_ms=NOW_MS - 500)
    ended(tx, acme, operation=IMPORT)
    ended(tx, next_generation(acme), operation=RELEASE)
    ended(tx, beta, operation=RELEASE)

    assert attempts.last_end_at_ms(tx, acme, [RELEASE, BUY]) == NOW_MS - 500 + TIMEOUT_MS


@pytest.mark.parametrize(
    ("outcomes", "counts"),
    [
        (("unclear",), True),
        (("unclear", "proved_done"), True),
        (("proved_done",), True),
        (("unclear", "proved_absent"), True),
        (("imported",), False),
        (("not_processed",), False),
        (("refused",), False),
    ],
    ids=lambda each: "+".join(each) if isinstance(each, tuple) else "",
)
def test_what_once_was_unclear_is_looked_at_once_more_when_it_can_no_longer_land(
    tx: Transaction, acme: Tenant, outcomes: tuple[str, ...], counts: bool
) -> None:
    ended(tx, acme, *outcomes, operation=IMPORT)
    ended(tx, next_generation(acme), "unclear", operation=IMPORT, at_ms=NOW_MS + 900)
    ended(tx, acme, "unclear", operation=REMOVE, at_ms=NOW_MS + 900)

    assert attempts.last_unclear_end_at_ms(tx, acme, [BUY, IMPORT]) == (NOW_MS + TIMEOUT_MS if counts else None)


def test_the_newest_beginning_counts_over_all_generations_and_operations(
    tx: Transaction, acme: Tenant, beta: Tenant
) -> None:
    begin(tx, acme, at_ms=NOW_MS - 5)
    begin(tx, next_generation(acme), RELEASE, at_ms=NOW_MS)
    begin(tx, beta, at_ms=NOW_MS + 100)

    assert attempts.last_began_at_ms(tx, acme.id) == NOW_MS


# --- counting --------------------------------------------------------------------------------------------------------


def test_posts_of_a_round_are_counted_from_its_first_on(tx: Transaction, acme: Tenant, beta: Tenant) -> None:
    begin(tx, acme, at_ms=NOW_MS - 1)
    begin(tx, acme, at_ms=NOW_MS)
    ended(tx, acme, "not_processed", at_ms=NOW_MS + 1)
    begin(tx, acme, number=OTHER)
    begin(tx, acme, IMPORT)
    begin(tx, next_generation(acme))
    begin(tx, beta)

    assert attempts.count_since(tx, acme, BUY, NUMBER, NOW_MS) == 2


@pytest.mark.parametrize(
    ("outcomes", "was_processed"),
    [
        ((), True),
        (("unclear",), True),
        (("released",), True),
        (("already_gone",), True),
        (("not_processed",), False),
        (("refused",), False),
    ],
    ids=lambda each: "+".join(each) if isinstance(each, tuple) else "",
)
def test_a_delete_counts_as_processed_unless_it_clearly_was_not(
    tx: Transaction, acme: Tenant, outcomes: tuple[str, ...], was_processed: bool
) -> None:
    ended(tx, acme, *outcomes, operation=RELEASE)
    ended(tx, acme, "not_processed", operation=RELEASE)

    assert attempts.was_processed(tx, acme, RELEASE) is was_processed
    assert attempts.was_processed(tx, acme, BUY) is False
    assert attempts.was_processed(tx, next_generation(acme), RELEASE) is False


def test_the_release_brake_counts_other_tenants_once_each(tx: Transaction, acme: Tenant, beta: Tenant) -> None:
    for operation in (REMOVE, RELEASE, RELEASE):
        begin(tx, beta, operation)
        begin(tx, acme, operation)
    begin(tx, beta, BUY)

    assert attempts.count_tenants_since(tx, (RELEASE, REMOVE), NOW_MS - 1, acme.id) == 1
    assert attempts.count_tenants_since(tx, (RELEASE, REMOVE), NOW_MS - 1, 0) == 2
    assert attempts.count_tenants_since(tx, (RELEASE, REMOVE), NOW_MS, acme.id) == 0


def test_a_release_that_has_begun_is_known_for_its_own_generation(tx: Transaction, acme: Tenant) -> None:
    assert attempts.has_begun(tx, acme, (RELEASE, REMOVE)) is False
    ended(tx, acme, "not_processed", operation=REMOVE)

    assert attempts.has_begun(tx, acme, (RELEASE, REMOVE)) is True
    assert attempts.has_begun(tx, acme, (BUY, IMPORT)) is False
    assert attempts.has_begun(tx, next_generation(acme), (RELEASE, REMOVE)) is False


# --- for people ------------------------------------------------------------------------------------------------------


def test_people_see_the_newest_attempts_oldest_first_each_with_its_last_outcome(
    tx: Transaction, acme: Tenant, beta: Tenant
) -> None:
    begin(tx, beta)
    ended(tx, acme, "bought")
    second = ended(tx, acme, "unclear")
    attempts.finish(tx, second.id, "proved_done", NOW_MS + 9, 9, code="21422", detail="why")
    third = begin(tx, acme)

    shown = attempts.of_tenant(tx, acme.id, limit=2)

    assert [(row["id"], row["outcome"], row["code"], row["detail"], row["ended_at_ms"]) for row in shown] == [
        (second.id, "proved_done", "21422", "why", NOW_MS + 9),
        (third.id, None, None, None, None),
    ]
