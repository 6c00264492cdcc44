"""Whose word counts for an option, and which words make sense."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain import options
from gateway.domain.model import Options
from gateway.domain.options import OptionRow
from gateway.errors import OptionsInvalid


@dataclass(frozen=True)
class House:
    """Defaults of a house that sells American numbers."""

    default_country: str = "US"
    default_number_type: str = "local"
    default_assistant_id: str | None = "asst_default"


HOUSE = House()


def parse(**words: str) -> Options:
    return options.parse(words, HOUSE)


# --- whose word counts -----------------------------------------------------------------------------------------------

STRONGEST_FIRST = ["operator", "session", "subscription", "customer"]


@pytest.mark.parametrize(("one", "other"), list(itertools.permutations(STRONGEST_FIRST, 2)))
def test_the_stronger_level_counts_however_old_its_word(one: str, other: str) -> None:
    rows = [OptionRow(one, "area_code", one, 1), OptionRow(other, "area_code", other, 2)]

    merged = options.merge(rows)

    assert merged == {"area_code": min(one, other, key=STRONGEST_FIRST.index)}


@pytest.mark.parametrize("level", STRONGEST_FIRST)
def test_within_a_level_the_newest_word_counts(level: str) -> None:
    rows = [OptionRow(level, "country", "US", 1), OptionRow(level, "country", "GB", 2)]

    assert options.merge(rows) == options.merge(rows[::-1]) == {"country": "GB"}


def test_an_empty_word_takes_back_what_its_level_said() -> None:
    rows = [OptionRow("operator", "area_code", " ", 9), OptionRow("session", "area_code", "415", 1)]

    assert options.merge(rows) == {"area_code": "415"}


def test_names_and_levels_we_do_not_know_are_left_out() -> None:
    rows = [OptionRow("session", "colour", "red", 1), OptionRow("stranger", "country", "GB", 1)]

    assert options.merge(rows) == {}


@settings(deadline=None)
@given(
    rows=st.lists(
        st.builds(
            OptionRow,
            st.sampled_from(STRONGEST_FIRST),
            st.sampled_from(["country", "area_code"]),
            st.sampled_from(["", "a", "b"]),
            st.integers(0, 3),
        )
    ),
    luck=st.randoms(use_true_random=False),
)
def test_the_order_of_words_does_not_matter(rows: list[OptionRow], luck: object) -> None:
    shuffled = sorted(rows, key=lambda row: luck.random())  # type: ignore[attr-defined]

    assert options.merge(rows) == options.merge(shuffled)


# --- which words make sense ------------------------------------------------------------------------------------------

GOOD = {
    "nothing said": ({}, {"country": "US", "number_type": "local", "assistant_id": "asst_default"}),
    "a country": ({"country": "gb"}, {"country": "GB"}),
    "the UK": ({"country": "UK"}, {"country": "GB"}),
    "the country's name": ({"country": "United States"}, {"country": "US"}),
    "an area code": ({"area_code": "415"}, {"area_code": "415"}),
    "an area code in brackets": ({"area_code": " (415) "}, {"area_code": "415"}),
    "an area code of Canada": ({"area_code": "416", "country": "CA"}, {"area_code": "416", "country": "CA"}),
    "digits to contain": ({"contains": "55512"}, {"contains": "55512"}),
    "letters and wildcards": ({"contains": "PIZZA*"}, {"contains": "PIZZA*"}),
    "two real ones among wildcards": ({"contains": "**4*2"}, {"contains": "**4*2"}),
    "a place": ({"locality": " São Paulo "}, {"locality": "São Paulo"}),
    "toll-free": ({"number_type": "Toll-Free"}, {"number_type": "toll_free"}),
    "TollFree": ({"number_type": "TollFree"}, {"number_type": "toll_free"}),
    "mobile": ({"number_type": "mobile"}, {"number_type": "mobile"}),
    "a number as people write it": ({"phone_number": "+1 (415) 555-0123"}, {"phone_number": "+14155550123"}),
    "a place copied with a wide blank": ({"locality": "New\u00a0York"}, {"locality": "New York"}),
    "to choose": ({"choose": "Yes"}, {"choose": True}),
    "not to choose": ({"choose": "no"}, {"choose": False}),
    "blank means nothing": ({"choose": "  ", "country": ""}, {"choose": False, "country": "US"}),
    "an assistant": ({"assistant_id": "0f3a-77_X"}, {"assistant_id": "0f3a-77_X"}),
    "an address": (
        {"company_name": "Müller & Söhne", "street": "1 Main St", "city": "Kalispell", "region": "MT"},
        {"address": {"company_name": "Müller & Söhne", "street": "1 Main St", "city": "Kalispell", "region": "MT"}},
    ),
    "things we do not know": ({"colour": "red" * 1000, "plan": "\x00"}, {}),
}


@pytest.mark.parametrize(("words", "expected"), GOOD.values(), ids=list(GOOD))
def test_words_that_make_sense_are_read(words: dict[str, str], expected: dict[str, object]) -> None:
    read = parse(**words)

    assert {name: getattr(read, name) for name in expected} == expected


BAD = {
    "a number near nothing": ({"near_number": "415"}, "near_number"),
    "a region on two lines": ({"number_region": "CA\nNV"}, "number_region"),
    "an address in no country": ({"address_country": "nowhere"}, "address_country"),
    "another SID for an address": ({"address_sid": "BU" + "0" * 32}, "address_sid"),
    "a SID that is too short": ({"bundle_sid": "BU0"}, "bundle_sid"),
    "a country of three letters": ({"country": "USX"}, "country"),
    "a country that becomes two letters": ({"country": "ß"}, "country"),
    "a country of digits": ({"country": "49"}, "country"),
    "an area code of two digits": ({"area_code": "41"}, "area_code"),
    "an area code of four digits": ({"area_code": "4155"}, "area_code"),
    "an area code beginning with 1": ({"area_code": "155"}, "area_code"),
    "an area code in other digits": ({"area_code": "٤١٥"}, "area_code"),
    "an area code outside America": ({"area_code": "415", "country": "GB"}, "area_code"),
    "a list to contain": ({"contains": "4155,5512"}, "contains"),
    "one character": ({"contains": "4"}, "contains"),
    "one real character": ({"contains": "4***"}, "contains"),
    "seventeen characters": ({"contains": "1" * 17}, "contains"),
    "other digits to contain": ({"contains": "٤١"}, "contains"),
    "a number without plus": ({"phone_number": "4155550123"}, "phone_number"),
    "a number too short": ({"phone_number": "+12345"}, "phone_number"),
    "a number too long": ({"phone_number": "+1234567890123456"}, "phone_number"),
    "a number beginning with 0": ({"phone_number": "+04155550123"}, "phone_number"),
    "a number with letters": ({"phone_number": "+1415CALLNOW"}, "phone_number"),
    "a kind of number nobody sells": ({"number_type": "satellite"}, "number_type"),
    "a maybe": ({"choose": "maybe"}, "choose"),
    "an assistant with a slash": ({"assistant_id": "../assistant"}, "assistant_id"),
    "an assistant of 65 characters": ({"assistant_id": "a" * 65}, "assistant_id"),
    "a place of two lines": ({"locality": "New\nYork"}, "locality"),
    "a place with a hidden mark": ({"locality": "New\u202eYork"}, "locality"),
    "a place of 101 characters": ({"locality": "y" * 101}, "locality"),
    "a street with a tab": ({"street": "1\tMain"}, "street"),
    "a postal code of 101 characters": ({"postal_code": "1" * 101}, "postal_code"),
    "a word before so many blanks that what follows was cut": ({"country": "US" + " " * 499}, "country"),
    "anything of 501 characters": ({"country": "U" * 501}, "country"),
}


@pytest.mark.parametrize(("words", "key"), BAD.values(), ids=list(BAD))
def test_words_that_make_no_sense_are_refused_by_name(words: dict[str, str], key: str) -> None:
    with pytest.raises(OptionsInvalid) as refusal:
        parse(**words)

    assert refusal.value.key == key
    assert str(refusal.value).startswith(key)


def test_every_option_has_a_word_that_is_refused() -> None:
    refused = {key for _, key in BAD.values()}

    assert refused >= set(options.NAMES) - {"company_name", "city", "region"}


def test_a_number_that_makes_no_sense_is_not_repeated_in_the_message() -> None:
    with pytest.raises(OptionsInvalid) as refusal:
        parse(phone_number="+1212867530x")

    assert "1286753" not in str(refusal.value)


def test_a_message_stays_short_whatever_was_written() -> None:
    with pytest.raises(OptionsInvalid) as refusal:
        parse(number_type="\U00010000" * 100)

    assert len(str(refusal.value)) < 150


@settings(deadline=None, max_examples=500)
@given(
    words=st.dictionaries(
        st.sampled_from([*options.NAMES, "colour"]),
        st.text(max_size=600)
        | st.from_regex(r"[+0-9A-Za-z *%$().-]{0,20}", fullmatch=True)
        | st.sampled_from(["US", "415"]),
    ),
    country=st.sampled_from(["US", "GB"]),
)
def test_no_text_makes_anything_but_options_or_a_refusal(words: dict[str, str], country: str) -> None:
    refusal: OptionsInvalid | None = None
    read = Options()

    try:
        read = options.parse(words, House(default_country=country))
    except OptionsInvalid as error:
        refusal = error

    if refusal is not None:
        assert refusal.key in options.NAMES
        assert str(refusal).isprintable()
        assert len(str(refusal)) < 200
    texts = [read.country, read.number_type, read.area_code, read.contains, read.locality, read.phone_number]
    for text in (*texts, read.assistant_id, *read.address.values()):
        assert text is None or (text.isprintable() and 0 < len(text) <= 100)
