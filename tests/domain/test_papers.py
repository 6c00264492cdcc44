"""What has to be shown, and whether what there is will do: tables, and any text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.papers import (
    DEMANDS,
    LINES,
    STATUS_WORDS,
    address_tag,
    bundle_fault,
    demand,
    missing_lines,
    satisfies,
    where,
)
from gateway.simulator.geography import COUNTRIES

NOW_MS = 1_795_000_000_000
ADDRESS = ("Acme", "1 Long Street", "Cape Town", "WC", "8001")
KIND = ("ZA", "national")

SATISFIES = {
    ("none", "US", "ZA"): True,
    ("any", "US", "ZA"): True,
    ("any", "ZA", "ZA"): True,
    ("local", "ZA", "ZA"): True,
    ("local", "US", "ZA"): False,
    ("foreign", "US", "ZA"): True,
    ("foreign", "ZA", "ZA"): False,
    ("something new", "ZA", "ZA"): True,
    ("something new", "US", "ZA"): False,
}


@pytest.mark.parametrize(("asked", "does"), SATISFIES.items(), ids=lambda value: str(value))
def test_an_address_does_where_it_is_wanted(asked: tuple[str, str, str], does: bool) -> None:
    assert satisfies(*asked) is does


def test_every_pair_of_a_requirement_and_a_place_is_told() -> None:
    told = {(requirement, address == number) for requirement, address, number in SATISFIES}

    assert told >= {(requirement, same) for requirement in DEMANDS[2:] for same in (True, False)}


@given(st.sampled_from(sorted(COUNTRIES)), st.sampled_from(sorted(COUNTRIES)))
def test_at_home_and_abroad_exclude_each_other(address: str, number: str) -> None:
    assert satisfies("local", address, number) != satisfies("foreign", address, number)


def test_an_unknown_requirement_asks_the_most_and_nothing_asks_least() -> None:
    assert sorted(["local", "something new", "any", "none", "foreign"], key=demand) == [
        "none",
        "any",
        "local",
        "foreign",
        "something new",
    ]
    assert where("something new", "ZA") == "in ZA"


@given(st.lists(st.text(max_size=20), min_size=5, max_size=5), st.text(max_size=2))
def test_a_tag_is_short_plain_and_the_same_for_the_same_address(lines: list[str], country: str) -> None:
    tag = address_tag(lines, country)

    assert re.fullmatch(r"rfa:[0-9a-f]{16}", tag)
    assert address_tag([f"  {line} " for line in lines], country) == tag
    assert address_tag([line.casefold() for line in lines], country.casefold()) == tag


@given(
    st.lists(st.text(alphabet="abc ", max_size=6), min_size=5, max_size=5),
    st.lists(st.text(alphabet="abc ", max_size=6), min_size=5, max_size=5),
)
def test_two_addresses_share_a_tag_only_when_they_say_the_same(one: list[str], other: list[str]) -> None:
    same = [" ".join(line.split()) for line in one] == [" ".join(line.split()) for line in other]

    assert (address_tag(one, "ZA") == address_tag(other, "ZA")) is same


@pytest.mark.parametrize("changed", range(5), ids=LINES)
def test_every_line_counts(changed: int) -> None:
    lines = [line + ("x" if place == changed else "") for place, line in enumerate(ADDRESS)]

    assert address_tag(lines, "ZA") != address_tag(ADDRESS, "ZA")
    assert address_tag(ADDRESS, "ZA") != address_tag(ADDRESS, "US")


@pytest.mark.parametrize("name", LINES)
def test_a_line_that_is_missing_or_blank_is_named(name: str) -> None:
    whole = dict(zip(LINES, ADDRESS, strict=True))

    assert missing_lines(whole) == []
    assert missing_lines({**whole, name: "  "}) == [name]


def fault(status: str = "twilio-approved", kind: tuple[str, str] = KIND, until_ms: int | None = None) -> str | None:
    is_approved = status == "twilio-approved"
    return bundle_fault(
        status=status, is_approved=is_approved, kind=kind, wanted_kind=KIND, valid_until_ms=until_ms, now_ms=NOW_MS
    )


def test_an_approved_bundle_of_the_kind_has_no_fault() -> None:
    assert fault() is None
    assert fault(until_ms=NOW_MS + 1) is None
    assert fault(kind=("", "")) is None, "where nobody says what it is for, the provider decides"


@pytest.mark.parametrize("status", [*STATUS_WORDS, "a word of tomorrow"])
def test_every_other_status_is_a_fault_in_words(status: str) -> None:
    words = fault(status)

    assert words is not None
    assert words == STATUS_WORDS.get(status, "is not approved: Twilio calls it 'a word of tomorrow'")


def test_the_wrong_kind_is_said_before_a_status_and_an_end_before_an_approval() -> None:
    assert "is for GB local numbers" in str(fault("draft", ("GB", "local")))
    assert "no longer valid" in str(fault(until_ms=NOW_MS))
