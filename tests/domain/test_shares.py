from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.shares import shares

wishes = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 100))
totals = st.integers(0, 200)
turns = st.integers(0, 10_000)


def test_who_is_alone_gets_what_there_is() -> None:
    assert shares(64, {"a": 64}, turn=7) == {"a": 64}


def test_two_who_want_all_get_half_each() -> None:
    assert shares(64, {"a": 64, "b": 64}, turn=0) == {"a": 32, "b": 32}


def test_what_one_does_not_want_the_others_have() -> None:
    assert shares(64, {"a": 64, "b": 1, "c": 0}, turn=0) == {"a": 63, "b": 1, "c": 0}


def test_with_fewer_than_there_are_wishes_everybody_has_a_turn() -> None:
    had = [name for turn in range(3) for name, share in shares(1, {"a": 5, "b": 5, "c": 5}, turn).items() if share]

    assert sorted(had) == ["a", "b", "c"]


@given(totals, wishes, turns)
def test_never_more_than_there_is_or_than_is_wanted_and_nothing_is_left_over(
    total: int, wanted: dict[str, int], turn: int
) -> None:
    given = shares(total, wanted, turn)

    assert all(0 <= given[name] <= wish for name, wish in wanted.items())
    assert sum(given.values()) == min(total, sum(wanted.values()))


@given(totals, wishes, turns)
def test_whoever_gets_less_than_they_want_has_as_much_as_anybody(
    total: int, wanted: dict[str, int], turn: int
) -> None:
    given = shares(total, wanted, turn)

    most = max(given.values(), default=0)
    assert all(given[name] >= most - 1 for name, wish in wanted.items() if given[name] < wish)
