from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.retry import LONGEST_ASKED_MS, LONGEST_PAUSE_MS, asked_pause_ms, pause_ms

spreads = st.floats(0, 1)


@given(st.integers(0, 10_000), spreads)
def test_a_pause_is_never_nothing_and_never_longer_than_the_longest(tries: int, spread: float) -> None:
    assert 0 < pause_ms(tries, spread) <= LONGEST_PAUSE_MS


def test_pauses_double_until_the_longest() -> None:
    assert [pause_ms(tries, 0.0) for tries in range(8)] == [1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000]


def test_the_spread_takes_off_up_to_a_quarter() -> None:
    assert pause_ms(0, 1.0) == 750


@given(st.floats(0, 1e9), st.integers(0, 50), spreads)
def test_what_a_provider_asks_for_is_honoured_within_reason(asked: float, tries: int, spread: float) -> None:
    pause = asked_pause_ms(asked, tries, spread)

    assert pause >= min(LONGEST_ASKED_MS, int(asked * 1000))
    assert pause <= LONGEST_ASKED_MS


def test_a_provider_that_does_not_say_gets_our_own_pause() -> None:
    assert asked_pause_ms(None, 2, 0.0) == pause_ms(2, 0.0)
