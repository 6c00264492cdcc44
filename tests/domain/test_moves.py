"""Every state with every wish, written out: where it stands with work left, and with none."""

from __future__ import annotations

import itertools

import pytest

from gateway.domain import moves
from gateway.domain.model import State, Wanted

# state: wanted active, suspended, released, nothing; each "while work is left / once there is none".
TABLE = """
new          | provisioning/active       | suspending/suspended | releasing/released | new/new
provisioning | provisioning/active       | suspending/suspended | releasing/released | provisioning/new
active       | resuming/active           | suspending/suspended | releasing/released | active/new
suspending   | resuming/active           | suspending/suspended | releasing/released | suspending/new
suspended    | resuming/active           | suspending/suspended | releasing/released | suspended/new
resuming     | resuming/active           | suspending/suspended | releasing/released | resuming/new
releasing    | resuming/active           | suspending/suspended | releasing/released | releasing/new
released     | provisioning/provisioning | released/released    | releasing/released | released/new
"""
COLUMNS = (Wanted.ACTIVE, Wanted.SUSPENDED, Wanted.RELEASED, Wanted.NOTHING)


def expectations() -> dict[tuple[str, str, bool], str]:
    cells = {}
    for line in TABLE.strip().splitlines():
        state, *pairs = (part.strip() for part in line.split("|"))
        for wanted, pair in zip(COLUMNS, pairs, strict=True):
            meanwhile, in_the_end = pair.split("/")
            cells[state, str(wanted), False] = meanwhile
            cells[state, str(wanted), True] = in_the_end
    return cells


EXPECTED = expectations()
EVERY_PAIR = list(itertools.product(State, Wanted, (False, True)))


@pytest.mark.parametrize(
    ("state", "wanted", "is_complete"),
    EVERY_PAIR,
    ids=[f"{state}, wanted {wanted}, {'done' if done else 'work left'}" for state, wanted, done in EVERY_PAIR],
)
def test_a_state_and_a_wish_lead_where_the_table_says(state: State, wanted: Wanted, is_complete: bool) -> None:
    expected = EXPECTED[state, wanted, is_complete]

    assert moves.next_state(state, wanted, is_complete) == expected


def test_the_table_names_no_pair_that_does_not_exist() -> None:
    assert set(EXPECTED) == {(str(state), str(wanted), done) for state, wanted, done in EVERY_PAIR}


@pytest.mark.parametrize(("state", "wanted"), list(itertools.product(State, Wanted)))
def test_every_pair_is_explained_in_a_sentence(state: State, wanted: Wanted) -> None:
    sentence = moves.why(state, wanted)

    assert sentence[0].isupper()
    assert sentence.endswith(".")


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize(
    ("wanted", "goal"),
    [(Wanted.ACTIVE, State.ACTIVE), (Wanted.SUSPENDED, State.SUSPENDED), (Wanted.RELEASED, State.RELEASED)],
)
def test_from_anywhere_work_and_its_end_lead_to_what_is_wanted(state: State, wanted: Wanted, goal: State) -> None:
    working = moves.next_state(state, wanted, is_complete=False)

    reached = moves.next_state(working, wanted, is_complete=True)

    assert reached is (State.RELEASED if state is State.RELEASED and wanted is Wanted.SUSPENDED else goal)


@pytest.mark.parametrize(("state", "wanted", "is_complete"), EVERY_PAIR)
def test_a_resting_state_is_only_reached_when_nothing_is_left_to_do(
    state: State, wanted: Wanted, is_complete: bool
) -> None:
    resting = {State.ACTIVE, State.SUSPENDED, State.RELEASED}

    after = moves.next_state(state, wanted, is_complete)

    assert is_complete or after is state or after not in resting


@pytest.mark.parametrize(("state", "wanted", "is_complete"), EVERY_PAIR)
def test_who_gave_a_number_back_is_never_new_again(state: State, wanted: Wanted, is_complete: bool) -> None:
    before = moves.next_state(state, wanted, is_complete)

    after = moves.next_state(state, wanted, is_complete, was_released=True)

    assert after is (State.RELEASED if before is State.NEW else before)
