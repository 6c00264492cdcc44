"""What is done next: every combination of wish and holdings, written out."""

from __future__ import annotations

import itertools

import pytest

from gateway.domain.model import Answering, Extent, Held, Holding, Step, Verb, Wanted, Work
from gateway.domain.recipe import (
    ORDER,
    holds_anything,
    is_complete,
    next_doubt_at_ms,
    next_work,
    target_of,
)

NO, MAYBE, YES = Held.NO, Held.MAYBE, Held.YES
BUY, IMPORT, ASSIGN = ORDER
NOW_MS = 1_000_000
TARGET = "assistant:a|server:"


def holding(*held: Held, target: str = TARGET, doubt: Step | None = None) -> dict[Step, Holding]:
    return {
        step: Holding(
            step,
            state,
            ref=target if step is ASSIGN and state is YES else None,
            doubt_at_ms=NOW_MS if step is doubt else None,
        )
        for step, state in zip(ORDER, held, strict=True)
    }


# (bought, imported, assigned) -> what is next when active, suspended, released is wanted.
TABLE: dict[tuple[Held, ...], tuple[str | None, ...]] = {
    (NO, NO, NO): ("make buy_number", None, None),
    (YES, NO, NO): ("make import_number", None, "undo buy_number"),
    (YES, YES, NO): ("make assign_assistant", "make assign_assistant", "undo import_number"),
    (YES, YES, YES): (None, None, "undo import_number"),
    (NO, YES, NO): ("make buy_number", "make assign_assistant", "undo import_number"),
    (NO, YES, YES): ("make buy_number", None, "undo import_number"),
    (NO, NO, YES): ("make buy_number", None, None),
    (YES, NO, YES): ("make import_number", None, "undo buy_number"),
}


def test_every_combination_without_doubt_is_in_the_table() -> None:
    assert set(TABLE) == set(itertools.product((NO, YES), repeat=3))


@pytest.mark.parametrize("held", TABLE, ids=lambda held: "-".join(held))
def test_what_is_missing_is_made_in_order_and_what_is_too_much_undone_in_reverse(held: tuple[Held, ...]) -> None:
    wishes = (Wanted.ACTIVE, Wanted.SUSPENDED, Wanted.RELEASED)

    found = [next_work(wanted, holding(*held), TARGET, NOW_MS) for wanted in wishes]

    assert tuple(f"{work.verb} {work.step}" if work else None for work in found) == TABLE[held]


@pytest.mark.parametrize("wanted", Wanted)
@pytest.mark.parametrize(
    "held", [held for held in itertools.product(Held, repeat=3) if MAYBE in held], ids=lambda held: "-".join(held)
)
def test_doubt_is_settled_before_anything_else_whatever_is_wanted(wanted: Wanted, held: tuple[Held, ...]) -> None:
    first = ORDER[held.index(MAYBE)]

    assert next_work(wanted, holding(*held), TARGET, NOW_MS) == Work(Verb.LOOK, first)
    assert not is_complete(wanted, holding(*held), TARGET)
    assert holds_anything(holding(*held))


@pytest.mark.parametrize(
    ("held", "number", "entry"),
    [
        ((NO, NO, NO), "make buy_number", "make buy_number"),
        ((YES, NO, NO), None, "make import_number"),
        ((YES, YES, NO), None, "make assign_assistant"),
        ((YES, YES, YES), None, None),
    ],
    ids=str,
)
def test_made_by_hand_a_tenant_may_get_less(held: tuple[Held, ...], number: str | None, entry: str | None) -> None:
    found = [
        next_work(Wanted.ACTIVE, holding(*held), TARGET, NOW_MS, extent) for extent in (Extent.NUMBER, Extent.ENTRY)
    ]

    assert [f"{work.verb} {work.step}" if work else None for work in found] == [number, entry]
    assert is_complete(Wanted.ACTIVE, holding(*held), TARGET, Extent.NUMBER) is (number is None)
    assert is_complete(Wanted.ACTIVE, holding(*held), TARGET, Extent.ENTRY) is (entry is None)


@pytest.mark.parametrize("extent", Extent)
def test_whatever_its_extent_all_that_is_held_is_given_back_and_silenced(extent: Extent) -> None:
    held = holding(YES, YES, YES)

    assert next_work(Wanted.RELEASED, held, TARGET, NOW_MS, extent) == Work(Verb.UNDO, IMPORT)
    assert next_work(Wanted.SUSPENDED, held, "says:x", NOW_MS, extent) == Work(Verb.MAKE, ASSIGN)
    assert next_work(Wanted.ACTIVE, held, "says:x", NOW_MS, extent) == Work(Verb.MAKE, ASSIGN)


def test_nothing_is_done_while_nothing_is_wanted() -> None:
    assert next_work(Wanted.NOTHING, holding(YES, YES, YES), TARGET, NOW_MS) is None


@pytest.mark.parametrize("held", list(itertools.product((NO, YES), repeat=3)), ids=lambda held: "-".join(held))
def test_for_nothing_only_holding_nothing_is_complete(held: tuple[Held, ...]) -> None:
    assert is_complete(Wanted.NOTHING, holding(*held), TARGET) is (YES not in held)


def test_another_target_is_set_anew_and_is_not_complete_until_then() -> None:
    held = holding(YES, YES, YES, target="assistant:old|server:")

    assert next_work(Wanted.ACTIVE, held, TARGET, NOW_MS) == Work(Verb.MAKE, ASSIGN)
    assert not is_complete(Wanted.ACTIVE, held, TARGET)


def test_a_due_look_at_a_held_thing_comes_first_but_leaves_the_tenant_complete() -> None:
    held = holding(YES, YES, YES, doubt=IMPORT)

    assert next_work(Wanted.ACTIVE, held, TARGET, NOW_MS) == Work(Verb.LOOK, IMPORT)
    assert next_work(Wanted.ACTIVE, held, TARGET, NOW_MS - 1) is None
    assert is_complete(Wanted.ACTIVE, held, TARGET)
    assert next_doubt_at_ms(held) == NOW_MS


def test_suspended_compares_the_sentence_and_active_the_assistant() -> None:
    silent = Answering("a", None, "Not in service.")

    assert target_of(silent) == target_of(Answering("b", "https://x.example", "Not in service."))
    assert target_of(silent) != target_of(Answering("a", None, "Another sentence."))
    assert target_of(Answering("a")) != target_of(Answering("b"))
    assert target_of(Answering("a")) != target_of(Answering("a", "https://x.example"))
