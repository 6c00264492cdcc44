"""What a signup says about its number: whose word counts, and whether it makes sense.

Words are stored as they came and read here, whenever they are needed: a value that makes no sense blocks its tenant
with a sentence, it never loses the event that said it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, TypeVar

from gateway.domain.model import Options
from gateway.errors import OptionsInvalid

# Whose word counts, first the strongest. `choice`: what the customer picked on the choice page.
LEVELS = ("operator", "choice", "session", "subscription", "customer")
ADDRESS_NAMES = ("company_name", "street", "city", "region", "postal_code")
NAMES = (
    *("country", "area_code", "contains", "locality", "number_type", "phone_number", "choose", "assistant_id"),
    *ADDRESS_NAMES,
)
MAX_CHARACTERS = 500  # Stripe's own limit of a metadata value (Stripe docs, "Metadata", 2026).
MAX_FREE_TEXT = 100
MAX_SHOWN = 40

NUMBER_TYPES = ("local", "mobile", "toll_free", "national")
# Area codes can be searched in these two only (Twilio OpenAPI twilio_api_v2010.json, 2026-04-14).
AREA_CODE_COUNTRIES = ("US", "CA")
WELL_KNOWN = {
    "US": ("USA", "U.S.", "U.S.A.", "UNITED STATES", "UNITED STATES OF AMERICA"),
    "CA": ("CAN", "CANADA"),
    "GB": ("UK", "U.K.", "GBR", "UNITED KINGDOM", "GREAT BRITAIN", "ENGLAND"),
    "AU": ("AUS", "AUSTRALIA"),
    "DE": ("GERMANY",),
    "FR": ("FRANCE",),
    "IE": ("IRELAND",),
    "NL": ("NETHERLANDS",),
}
COUNTRY_NAMES = {name: code for code, names in WELL_KNOWN.items() for name in names}
YES = frozenset({"yes", "y", "true", "1", "on"})
NO = frozenset({"no", "n", "false", "0", "off"})

AREA_CODE = re.compile(r"[2-9][0-9]{2}")
# 2 to 16 characters; wildcards need two real ones beside them (Twilio OpenAPI, as above).
CONTAINS = re.compile(r"[0-9A-Za-z*%+$]{2,16}")
E164 = re.compile(r"\+[1-9][0-9]{6,14}")
PHONE_PUNCTUATION = re.compile(r"[ ().\-/\u00a0\u2010-\u2013]")
ASSISTANT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class OptionRow:
    """One word on one option. level: one of LEVELS."""

    level: str
    name: str
    value: str
    occurred_at_ms: int


class Defaults(Protocol):
    """What holds where a signup says nothing; `rules.Rules` is one."""

    @property
    def default_country(self) -> str: ...

    @property
    def default_number_type(self) -> str: ...

    @property
    def default_assistant_id(self) -> str | None: ...


def merge(rows: Iterable[OptionRow]) -> dict[str, str]:
    """The word that counts for each option: of the strongest level, within it the newest.

    An empty word takes back what its level said, so the next level counts. Words of one level and time: the greatest.
    Names and levels we do not know are left out.
    """
    newest: dict[tuple[str, str], OptionRow] = {}
    for row in rows:
        known = newest.get((row.level, row.name))
        if known is None or (row.occurred_at_ms, row.value) > (known.occurred_at_ms, known.value):
            newest[row.level, row.name] = row
    merged: dict[str, str] = {}
    for name in NAMES:
        for level in LEVELS:
            word = newest.get((level, name))
            if word is not None and word.value.strip():
                merged[name] = word.value
                break
    return merged


def parse(merged: Mapping[str, str], defaults: Defaults) -> Options:
    """Checked options, the defaults filled in; names we do not know are ignored.

    Raises OptionsInvalid, which names the key, for a value that makes no sense; nothing else for any text.
    """
    read = Words(merged)
    country = read("country", as_country) or defaults.default_country
    area_code = read("area_code", as_area_code)
    if area_code and country not in AREA_CODE_COUNTRIES:
        raise OptionsInvalid(
            "area_code",
            f"area_code works in {' and '.join(AREA_CODE_COUNTRIES)} only, and the country is {country}. "
            "Leave it out, or say locality or contains instead.",
        )
    address = {name: text for name in ADDRESS_NAMES if (text := read(name, as_free_text))}
    return Options(
        country=country,
        number_type=read("number_type", as_number_type) or defaults.default_number_type,
        area_code=area_code,
        contains=read("contains", as_contains),
        locality=read("locality", as_free_text),
        phone_number=read("phone_number", as_phone_number),
        choose=read("choose", as_choice) or False,
        assistant_id=read("assistant_id", as_assistant_id) or defaults.default_assistant_id,
        address=MappingProxyType(address),
    )


class Words:
    """Reads one option at a time; None where nothing, or only blanks, was said."""

    def __init__(self, merged: Mapping[str, str]) -> None:
        self._merged = merged

    def __call__(self, name: str, read: Callable[[str, str], Value]) -> Value | None:
        text = self._merged.get(name, "")
        if len(text) > MAX_CHARACTERS:
            raise OptionsInvalid(name, f"{name} has {len(text)} characters; at most {MAX_CHARACTERS} are read.")
        text = text.strip()
        return read(name, text) if text else None


def as_country(name: str, text: str) -> str:
    upper = text.upper() if text.isascii() else ""
    code = COUNTRY_NAMES.get(upper, upper)
    if not re.fullmatch(r"[A-Z]{2}", code):
        raise wrong(name, text, "two letters such as US or GB")
    return code


def as_area_code(name: str, text: str) -> str:
    code = text.strip("() ")
    if not AREA_CODE.fullmatch(code):
        raise wrong(name, text, "three digits such as 415, the first from 2 to 9")
    return code


def as_contains(name: str, text: str) -> str:
    if not CONTAINS.fullmatch(text) or sum(each.isalnum() for each in text) < 2:
        raise wrong(name, text, "2 to 16 digits, letters or * % + $, at least two of them digits or letters")
    return text


def as_phone_number(name: str, text: str) -> str:
    number = PHONE_PUNCTUATION.sub("", text)
    if not E164.fullmatch(number):
        # Not shown: a telephone number, however badly written, stays out of messages.
        raise OptionsInvalid(name, f"{name} is not a full number: expected + and 7 to 15 digits such as +14155550123.")
    return number


def as_number_type(name: str, text: str) -> str:
    word = re.sub(r"[ -]", "_", text.lower()) if text.isascii() else ""
    word = "toll_free" if word == "tollfree" else word
    if word not in NUMBER_TYPES:
        raise wrong(name, text, f"one of {', '.join(NUMBER_TYPES)}")
    return word


def as_choice(name: str, text: str) -> bool:
    if text.lower() in YES:
        return True
    if text.lower() in NO:
        return False
    raise wrong(name, text, "yes or no")


def as_assistant_id(name: str, text: str) -> str:
    if not ASSISTANT_ID.fullmatch(text):
        raise wrong(name, text, "at most 64 letters, digits, - or _")
    return text


def as_free_text(name: str, text: str) -> str:
    if len(text) > MAX_FREE_TEXT:
        raise wrong(name, text, f"at most {MAX_FREE_TEXT} characters")
    # Blanks of other widths come with copied text and mean a blank.
    text = "".join(" " if unicodedata.category(each) == "Zs" else each for each in text)
    if not text.isprintable():
        raise wrong(name, text, "printable characters on one line")
    return text


def wrong(name: str, text: str, expected: str) -> OptionsInvalid:
    shown = ascii(text)
    shown = shown if len(shown) <= MAX_SHOWN else shown[:MAX_SHOWN] + "…"
    return OptionsInvalid(name, f"{name} is {shown}: expected {expected}.")
