"""The numbers the pretend Twilio has for sale: made from the seed, looked up rather than stored.

Each area has tens of thousands; 907 (Alaska) has none and 808 (Hawaii) three, so that running out can be tried.
The first hundred of each North American area are 555-0100 to 555-0199, which belong to nobody.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from gateway.simulator.geography import (
    AREA_CODES,
    COUNTRIES,
    PAPERS,
    PAPERS_OF_KIND,
    PRICES,
    RANGES,
    TOLL_FREE_CODES,
    Papers,
    Place,
)

EMPTY_AREA = "907"
SCARCE_AREA = "808"
_KEYPAD = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "22233344455566677778889999")
# A search that matches next to nothing gives up here: some 50 ms, so that the world stays responsive.
_EXAMINE_AT_MOST = 60_000


@dataclass(frozen=True, slots=True)
class Offer:
    """One number for sale."""

    number: str
    country: str
    number_type: str
    place: Place
    address_requirements: str
    needs_bundle: bool
    beta: bool
    voice: bool
    sms: bool
    mms: bool

    @property
    def friendly_name(self) -> str:
        """As Twilio writes it: `(415) 555-0123` in North America, the number itself elsewhere."""
        if self.number.startswith("+1"):
            return f"({self.number[2:5]}) {self.number[5:8]}-{self.number[8:]}"
        return self.number


class _Block:
    """A range of numbers: `number(index)` for 0 <= index < size, and whether a number is one of them."""

    __slots__ = ("base", "country", "digits", "exchanges", "number_type", "place", "prefix", "size", "step")

    def __init__(
        self, country: str, number_type: str, prefix: str, digits: int, place: Place, seed: str, size: int
    ) -> None:
        self.country, self.number_type, self.place = country, number_type, place
        self.prefix, self.digits, self.size = prefix, digits, size
        spread = int.from_bytes(hashlib.md5(f"{seed}{prefix}".encode(), usedforsecurity=False).digest()[:4], "big")
        self.exchanges = ["555"] + [str(200 + (spread + 97 * i) % 355) for i in range(3)]
        self.base: int = 3 * 10 ** (digits - 1)
        self.step = 7919

    def number(self, index: int) -> str:
        if self.prefix.startswith("+1"):
            if index < 100:
                return f"{self.prefix}555{100 + index:04d}"
            rest = index - 100
            return f"{self.prefix}{self.exchanges[1 + rest // 10_000]}{rest % 10_000 * self.step % 10_000:04d}"
        return f"{self.prefix}{self.base + index * self.step % self.size}"

    def has(self, number: str) -> bool:
        rest = number[len(self.prefix) :]
        if len(rest) != self.digits or not rest.isdigit() or self.size == 0:
            return False
        if self.size < 100:
            return any(self.number(index) == number for index in range(self.size))
        if self.prefix.startswith("+1"):
            return rest[:5] == "55501" or rest[:3] in self.exchanges[1:]
        return self.base <= int(rest) < self.base + self.size


class Stock:
    """What is for sale, in every country the world knows."""

    countries: Mapping[str, str] = COUNTRIES

    def __init__(self, seed: str, prices: Mapping[str, tuple[str, dict[str, str]]] | None = None) -> None:
        """prices: (currency, number type -> monthly price as text) by country, over the usual ones."""
        self._seed = seed
        self.prices = {**PRICES, **(prices or {})}
        blocks: list[_Block] = []
        for code, (country, place) in AREA_CODES.items():
            size = {EMPTY_AREA: 0, SCARCE_AREA: 3}.get(code, 30_100)
            blocks.append(_Block(country, "local", f"+1{code}", 7, place, seed, size))
        nowhere = Place(None, None, None, None, None, None)
        blocks.extend(_Block("US", "tollfree", f"+1{code}", 7, nowhere, seed, 30_100) for code in TOLL_FREE_CODES)
        for country, number_type, prefix, digits, place in RANGES:
            blocks.append(_Block(country, number_type, prefix, digits, place, seed, 2 * 10 ** (digits - 1)))
        self._by_prefix = {block.prefix: block for block in blocks}
        self._by_kind: dict[tuple[str, str], list[_Block]] = {}
        for block in blocks:
            self._by_kind.setdefault((block.country, block.number_type), []).append(block)
        # Canada sells the same toll free codes.
        self._by_kind["CA", "tollfree"] = self._by_kind["US", "tollfree"]

    def number_types(self, country: str) -> list[str]:
        """The types sold in `country`: some of local, mobile, tollfree, national."""
        return [kind for where, kind in self._by_kind if where == country]

    def papers(self, country: str, number_type: str) -> Papers:
        """What has to be shown for this kind of number."""
        return PAPERS_OF_KIND.get((country, number_type), PAPERS[country])

    def knows_area(self, code: str) -> bool:
        return code in AREA_CODES

    def find(self, number: str) -> Offer | None:
        """The offer for exactly this number, sold or not; None when it is not Twilio's to sell."""
        for length in range(4, 9):
            block = self._by_prefix.get(number[:length])
            if block is not None and block.has(number):
                return self._offer(block, number)
        return None

    def is_number(self, number: str) -> bool:
        """Whether this can be a telephone number at all."""
        if not re.fullmatch(r"\+[1-9]\d{6,14}", number):
            return False
        if number.startswith("+1"):
            return len(number) == 12 and (number[2:5] in AREA_CODES or number[2:5] in TOLL_FREE_CODES)
        return True

    def search(
        self,
        country: str,
        number_type: str,
        params: Mapping[str, str],
        limit: int,
        turn: int,
        is_free: Callable[[str], bool],
    ) -> list[Offer]:
        """Up to `limit` offers that match Twilio's search parameters, starting somewhere that depends on `turn`."""
        blocks = self._by_kind.get((country, number_type), [])
        if params.get("AreaCode") and country in ("US", "CA"):
            area = self._by_prefix.get(f"+1{params['AreaCode']}")
            blocks = [area] if area in blocks else []
        near = self._place_of(params["NearNumber"]) if params.get("NearNumber") else None
        blocks = [block for block in blocks if block.size and self._fits(block, country, params, near)]
        pattern = contains(params["Contains"]) if params.get("Contains") else None
        matches = _filter(params)
        found: list[Offer] = []
        for number, block in self._walk(blocks, turn):
            if (pattern is not None and not pattern.search(number)) or not is_free(number):
                continue
            offer = self._offer(block, number, country)
            if matches(offer):
                found.append(offer)
                if len(found) >= limit:
                    break
        return found

    def _walk(self, blocks: list[_Block], turn: int) -> Iterator[tuple[str, _Block]]:
        # Twilio shows a different choice each time, so clients that search at once seldom pick the same number.
        digest = hashlib.md5(f"{self._seed}/{turn}".encode(), usedforsecurity=False).digest()
        start = int.from_bytes(digest[:4], "big")
        starts = [(block, start % block.size) for block in blocks]
        longest = max((block.size for block in blocks), default=0)
        examined = 0
        for step in range(longest):
            for place in range(len(starts)):
                block, first = starts[(place + start) % len(starts)]
                if step < block.size:
                    yield block.number((first + step) % block.size), block
                    examined += 1
            if examined > _EXAMINE_AT_MOST:
                return

    def _fits(self, block: _Block, country: str, params: Mapping[str, str], near: _Block | None) -> bool:
        place = block.place
        wanted = (
            ("InRegion", place.region),
            ("InLocality", place.locality),
            ("InRateCenter", place.locality),
            ("InPostalCode", place.postal_code),
            ("InLata", place.lata),
        )
        for name, refused in _REFUSED_ADDRESSES.items():
            if params.get(name, "").lower() == "true" and self.papers(country, block.number_type).address in refused:
                return False
        if params.get("FaxEnabled", "").lower() == "true":
            return False
        for name, value in wanted:
            if params.get(name) and params[name].casefold() != (value or "").casefold():
                return False
        whole = params.get("Contains", "").lstrip("+")
        if block.prefix.startswith("+1") and re.match(r"[2-9]\d\d.{7}", whole) and block.prefix != f"+1{whole[:3]}":
            # Ten places that begin with an area code: no other area can match, and looking there would find nothing.
            return False
        miles = float(params.get("Distance") or 25)
        if params.get("NearNumber") and (near is None or not (near is block or _miles(near.place, place) <= miles)):
            return False
        if params.get("NearLatLong"):
            latitude, longitude = (float(part) for part in params["NearLatLong"].split(","))
            return _miles(Place(None, None, None, latitude, longitude, None), place) <= miles
        return True

    def _place_of(self, number: str) -> _Block | None:
        """Where a number belongs, whether or not it is for sale."""
        lengths = (length for length in range(8, 3, -1) if number[:length] in self._by_prefix)
        return next((self._by_prefix[number[:length]] for length in lengths), None)

    def _offer(self, block: _Block, number: str, country: str | None = None) -> Offer:
        papers = self.papers(country or block.country, block.number_type)
        mixed = int(number[1:]) * 2654435761 >> 7 & 0xFFFF
        plenty = block.size >= 100
        american = number.startswith("+1")
        sms = mixed % 5 != 0 and block.number_type != "national"
        return Offer(
            number=number,
            country=country or block.country,
            number_type=block.number_type,
            place=block.place,
            address_requirements=papers.address,
            needs_bundle=papers.bundle,
            beta=plenty and mixed % 53 == 0,
            voice=not plenty or mixed % 97 != 0,
            sms=sms,
            mms=sms and american,
        )


def _miles(one: Place, other: Place) -> float:
    if one.latitude is None or one.longitude is None or other.latitude is None or other.longitude is None:
        return math.inf
    north = (other.latitude - one.latitude) * 69.0
    east = (other.longitude - one.longitude) * 69.0 * math.cos(math.radians(one.latitude))
    return math.hypot(north, east)


def _filter(params: Mapping[str, str]) -> Callable[[Offer], bool]:
    claims = {name: params[name].lower() == "true" for name in _CLAIMS if params.get(name)}
    return lambda offer: all(_CLAIMS[name](offer, wanted) for name, wanted in claims.items())


_CLAIMS: dict[str, Callable[[Offer, bool], bool]] = {
    "VoiceEnabled": lambda offer, wanted: offer.voice == wanted,
    "SmsEnabled": lambda offer, wanted: offer.sms == wanted,
    "MmsEnabled": lambda offer, wanted: offer.mms == wanted,
    "Beta": lambda offer, wanted: wanted or not offer.beta,
}
# Refused address requirements, by parameter; a whole country has the same.
_REFUSED_ADDRESSES = {
    "ExcludeAllAddressRequired": ("any", "local", "foreign"),
    "ExcludeLocalAddressRequired": ("local",),
    "ExcludeForeignAddressRequired": ("foreign",),
}


def contains(text: str) -> re.Pattern[str]:
    """Twilio's `Contains` as a pattern over E.164: letters are keypad digits, `*` one digit, `%` any, `$` the end.

    Raises ValueError outside 2 to 16 characters, or with wildcards but fewer than two real ones.
    """
    real = sum(letter.isalnum() for letter in text)
    if not 2 <= len(text) <= 16 or real < 2 or not all(c.isalnum() or c in "*%+$" for c in text):
        raise ValueError(text)
    parts = {"*": r"\d", "%": r"\d*", "+": r"^\+", "$": "$"}
    return re.compile("".join(parts.get(c, c) for c in text.upper().translate(_KEYPAD)))
