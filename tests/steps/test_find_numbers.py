"""Where else to look for a number: only where the provider says it is the same region."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ports import AvailableNumber, NumberWish
from gateway.steps.find_numbers import NARROWING, common_region, widened


def number(region: str | None) -> AvailableNumber:
    return AvailableNumber("+14155550123", "Somewhere", region, "US", "local", "none")


@pytest.mark.parametrize(
    ("regions", "expected"),
    [([], None), (["CA"], "CA"), (["CA", "CA"], "CA"), (["CA", "NV"], None), (["CA", None], None), ([None], None)],
    ids=str,
)
def test_a_region_is_known_only_when_all_numbers_are_of_it(regions: list[str | None], expected: str | None) -> None:
    assert common_region([number(region) for region in regions]) == expected


TEXT = st.none() | st.sampled_from(["415", "CA", "+14155550123"])


@given(st.fixed_dictionaries(dict.fromkeys(NARROWING, TEXT)), st.booleans(), st.none() | st.just("NV"))
def test_looking_further_keeps_the_kind_and_what_can_be_shown_and_nothing_else(
    narrow: dict[str, str | None], has_address: bool, region: str | None
) -> None:
    asked = NumberWish("US", "toll_free", has_address=has_address, **narrow)  # type: ignore[arg-type]

    assert widened(asked, region) == NumberWish("US", "toll_free", has_address=has_address, region=region)
