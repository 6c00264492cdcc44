"""What the pretend Twilio has for sale: plausible, deterministic, plenty, and honest about what it has not."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.simulator.geography import AREA_CODES, PAPERS, PRICES, RANGES
from gateway.simulator.stock import Stock, contains

STOCK = Stock("tests")
KINDS = [
    *(("US", "local"), ("US", "tollfree"), ("CA", "local"), ("CA", "tollfree")),
    *sorted({(country, kind) for country, kind, *_ in RANGES}),
]


def numbers(country: str = "US", kind: str = "local", limit: int = 20, turn: int = 1, **params: Any) -> list[str]:
    return [offer.number for offer in STOCK.search(country, kind, params, limit, turn, lambda number: True)]


@pytest.mark.parametrize(("country", "kind"), KINDS)
def test_every_country_sells_real_looking_numbers_of_its_kinds(country: str, kind: str) -> None:
    found = numbers(country, kind, limit=50)

    assert len(set(found)) == 50
    for number in found:
        parsed = phonenumbers.parse(number, None)
        assert phonenumbers.is_possible_number(parsed)
        assert len(number) <= 16


@pytest.mark.parametrize(("country", "kind"), KINDS)
def test_every_number_found_can_be_looked_up_again(country: str, kind: str) -> None:
    for number in numbers(country, kind, limit=200):
        offer = STOCK.find(number)

        assert offer is not None
        assert offer.number == number
        assert offer.number_type == kind


def test_the_same_seed_has_the_same_stock_and_another_seed_another() -> None:
    again = Stock("tests").search("US", "local", {"AreaCode": "415"}, 20, 1, lambda number: True)
    other = Stock("other").search("US", "local", {"AreaCode": "415"}, 20, 1, lambda number: True)

    assert [offer.number for offer in again] == numbers(AreaCode="415")
    assert [offer.number for offer in other] != numbers(AreaCode="415")


def test_each_search_shows_another_choice_so_that_clients_seldom_collide() -> None:
    shown = [set(numbers(AreaCode="415", turn=turn)) for turn in range(20)]

    assert sum(bool(one & two) for one, two in pairwise(shown)) <= 2


def test_an_area_has_tens_of_thousands_of_numbers() -> None:
    assert len(set(numbers(AreaCode="415", limit=20_000))) == 20_000


def test_area_codes_are_the_real_ones_and_know_their_region() -> None:
    assert len([code for code, (country, _) in AREA_CODES.items() if country == "US"]) > 330
    assert all(re.fullmatch(r"[2-9]\d\d", code) for code in AREA_CODES)
    assert AREA_CODES["415"][1].locality == "San Francisco"
    assert AREA_CODES["406"][1].region == "MT"
    assert AREA_CODES["416"][0] == "CA"


def test_907_is_sold_out_and_808_nearly() -> None:
    assert numbers(AreaCode="907") == []
    assert sorted(numbers(AreaCode="808")) == ["+18085550100", "+18085550101", "+18085550102"]
    assert STOCK.find("+19075550123") is None


@pytest.mark.parametrize(
    ("params", "claim"),
    [
        ({"AreaCode": "212"}, r"\+1212"),
        ({"InRegion": "MT"}, r"\+1406"),
        ({"InRegion": "mt"}, r"\+1406"),
        ({"InLocality": "San Francisco"}, r"\+1415"),
        ({"InRateCenter": "SAN FRANCISCO"}, r"\+1415"),
        ({"InPostalCode": "94103"}, r"\+1415"),
        ({"InLata": "722"}, r"\+1415"),
        ({"NearNumber": "+14155550100"}, r"\+1415"),
        ({"NearLatLong": "37.8,-122.4", "Distance": "10"}, r"\+1415"),
        ({"Contains": "CALL"}, r"2255"),
        ({"Contains": "+1212"}, r"^\+1212"),
        ({"Contains": "77$"}, r"77$"),
        ({"Contains": "415***1234"}, r"415\d{3}1234"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_each_filter_leaves_only_what_it_asks_for(params: dict[str, str], claim: str) -> None:
    found = numbers("US", "local", 20, 1, **params)

    assert found
    assert all(re.search(claim, number) for number in found)


@pytest.mark.parametrize(
    ("name", "attribute"), [("VoiceEnabled", "voice"), ("SmsEnabled", "sms"), ("MmsEnabled", "mms")]
)
@pytest.mark.parametrize("wanted", [True, False])
def test_capabilities_can_be_asked_for(name: str, attribute: str, wanted: bool) -> None:
    found = STOCK.search("US", "local", {name: str(wanted).lower()}, 20, 1, lambda number: True)

    assert found
    assert {getattr(offer, attribute) for offer in found} == {wanted}


def test_beta_numbers_come_unless_they_are_refused() -> None:
    usual = STOCK.search("US", "local", {}, 500, 1, lambda number: True)
    without = STOCK.search("US", "local", {"Beta": "false"}, 500, 1, lambda number: True)

    assert any(offer.beta for offer in usual)
    assert not any(offer.beta for offer in without)


def test_excluding_address_requirements_leaves_nothing_where_all_need_one() -> None:
    assert numbers("ZA", ExcludeAllAddressRequired="true") == []
    assert numbers("DE", ExcludeLocalAddressRequired="true") == []
    assert numbers("ZA", ExcludeLocalAddressRequired="true")


def test_every_country_has_papers_and_prices_for_what_it_sells() -> None:
    spelt = {"tollfree": "toll free"}
    for country, kind in KINDS:
        assert spelt.get(kind, kind) in PRICES[country][1]
        assert country in PAPERS


def test_prices_can_be_replaced() -> None:
    assert Stock("tests", {"US": ("USD", {"local": "9.99"})}).prices["US"] == ("USD", {"local": "9.99"})


@pytest.mark.parametrize("text", ["", "4", "12345678901234567", "**", "%1", "4 5", "41-5"])
def test_a_pattern_that_twilio_refuses_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        contains(text)


@given(st.text(alphabet="0123456789ABCXYZ*%+$", min_size=2, max_size=16))
@settings(max_examples=200, deadline=None)
def test_any_pattern_is_either_refused_or_a_pattern(text: str) -> None:
    try:
        pattern = contains(text)
    except ValueError:
        return
    assert isinstance(pattern.search("+14155550123"), re.Match | None)


@pytest.mark.parametrize(
    ("number", "is_number", "is_sold"),
    [
        ("+14155550123", True, True),
        ("+14155559999", True, False),
        ("+19075550123", True, False),
        ("+11235550123", False, False),
        ("+1415555012", False, False),
        ("4155550123", False, False),
        ("+442071838750", True, False),
        ("hello", False, False),
    ],
)
def test_numbers_that_cannot_be_and_numbers_that_are_not_for_sale_are_told_apart(
    number: str, is_number: bool, is_sold: bool
) -> None:
    assert STOCK.is_number(number) is is_number
    assert (STOCK.find(number) is not None) is is_sold
