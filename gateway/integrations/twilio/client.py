"""Twilio's numbers: search, find, buy, release. The port `Telephony` in Twilio's dialect.

Paths, fields and answers: Twilio OpenAPI `twilio_api_v2010.json` and `twilio_pricing_v1.json`, 2026-04-14. Twilio
ignores parameters that it does not know, and treats number filters as patterns, so every answer is compared again
here. What repeats, waits or proves is decided by others: each method is one attempt (lists: one per page).
"""

from __future__ import annotations

import base64
import re
from typing import Annotated
from urllib.parse import quote

import msgspec

from gateway.errors import Refused
from gateway.integrations.answers import Operation, doubt, refusal
from gateway.integrations.http import Api, Http, Params, encoded
from gateway.integrations.twilio.complaints import NO_NUMBER_IN_AREA_CODE, NOT_FOUND, read_complaint
from gateway.integrations.twilio.pages import next_page, origin_of, read_pages
from gateway.ports import AvailableNumber, Deadline, NumberWish, OwnedNumber, Price, PriceList

E164 = re.compile(r"\+[1-9][0-9]{6,14}")
SID = re.compile(r"PN[0-9a-f]{32}")
COUNTRY = re.compile(r"[A-Z]{2}")
# Number type -> its path segment, its name in prices (Twilio OpenAPI, 2026-04-14).
TYPES = {
    "local": ("Local", "local"),
    "mobile": ("Mobile", "mobile"),
    "toll_free": ("TollFree", "toll free"),
    "national": ("National", "national"),
    "voip": ("Voip", "voip"),
}
FILTERS = (
    ("AreaCode", "area_code"),
    ("Contains", "contains"),
    ("InLocality", "locality"),
    ("InRegion", "region"),
    ("NearNumber", "near_number"),
)


class _Number(msgspec.Struct):
    sid: Annotated[str, msgspec.Meta(pattern=r"^PN[0-9a-f]{32}\Z")]
    phone_number: str
    friendly_name: str | None = None
    voice_url: str | None = None

    def owned(self) -> OwnedNumber:
        return OwnedNumber(self.sid, self.phone_number, self.friendly_name or "", self.voice_url or None)


class _Page(msgspec.Struct):
    incoming_phone_numbers: list[_Number]
    next_page_uri: str | None = None


class _Offer(msgspec.Struct):
    phone_number: str
    iso_country: str
    address_requirements: str = "none"
    beta: bool = False
    locality: str | None = None
    region: str | None = None
    capabilities: dict[str, bool | None] = {}


class _Offers(msgspec.Struct):
    available_phone_numbers: list[_Offer]


class _Account(msgspec.Struct):
    status: str


class _Price(msgspec.Struct):
    # A string in practice, a number in Twilio's own schema: kept as it was written.
    number_type: str
    base_price: msgspec.Raw = msgspec.Raw(b"null")
    current_price: msgspec.Raw = msgspec.Raw(b"null")

    def price(self) -> Price | None:
        """None where no price is said."""
        current, base = _text_of(self.current_price), _text_of(self.base_price)
        if current is None:
            return None
        names = {named: ours for ours, (_, named) in TYPES.items()}
        number_type = names.get(self.number_type, self.number_type.replace(" ", "_"))
        return Price(number_type, current if base is None else base, current)


class _Prices(msgspec.Struct):
    phone_number_prices: list[_Price]
    price_unit: str
    country: str = ""


class TwilioClient:
    """One Twilio account. `username` is the account's SID with its auth token, or an API key with its secret."""

    provider = "twilio"

    def __init__(
        self, http: Http, *, base_url: str, pricing_base_url: str, account_sid: str, username: str, password: str
    ) -> None:
        token = base64.b64encode(f"{username}:{password}".encode()).decode()
        headers = {"Authorization": f"Basic {token}"}

        def api(url: str) -> Api:
            return Api(http, provider=self.provider, base_url=url, headers=headers, complaint=read_complaint)

        self._api = api(base_url)
        self._prices = api(pricing_base_url)
        self._origins = (origin_of(base_url),)
        self._account = f"/2010-04-01/Accounts/{quote(account_sid, safe='')}"
        self._numbers = f"{self._account}/IncomingPhoneNumbers"
        self._may_read_account = not username.startswith("SK")

    def check_account(self, deadline: Deadline) -> None:
        """Raise unless the credentials open an active account.

        A Standard API key may not read the account itself (Twilio docs, "API keys overview", 2026-04-14), so a key
        asks for one number instead; a suspended account refuses that too.
        """
        if not self._may_read_account:
            self._api.read("check_account", f"{self._numbers}.json?PageSize=1", deadline, _Page)
            return
        account = self._api.read("check_account", f"{self._account}.json", deadline, _Account)
        if account.status != "active":
            operation = Operation(self.provider, "check_account", writes=False)
            raise refusal(operation, "the Twilio account is suspended or closed", "credentials")

    def search(self, wish: NumberWish, limit: int, deadline: Deadline) -> list[AvailableNumber]:
        """Numbers for sale that can be called and that need no address we do not have; `[]` when there are none."""
        operation = Operation(self.provider, "search", writes=False)
        if wish.number_type not in TYPES or not COUNTRY.fullmatch(wish.country):
            raise refusal(operation, "the country or the number type is not one that Twilio sells")
        params = [("PageSize", str(limit))]
        if not wish.is_only_asking:
            params += [("VoiceEnabled", "true"), ("Beta", "false")]
            if not wish.has_address:
                params.append(("ExcludeAllAddressRequired", "true"))
        params += [(name, value) for name, field in FILTERS if (value := getattr(wish, field))]
        path = f"{self._account}/AvailablePhoneNumbers/{wish.country}/{TYPES[wish.number_type][0]}.json"
        try:
            offers = self._api.read("search", f"{path}?{encoded(params)}", deadline, _Offers)
        except Refused as exc:
            if exc.code in (NO_NUMBER_IN_AREA_CODE, NOT_FOUND):
                return []
            raise
        fitting = [offer for offer in offers.available_phone_numbers if _fits(offer, wish)]
        return [_available(offer, wish.number_type) for offer in fitting[:limit]]

    def find_by_tag(self, tag: str, deadline: Deadline) -> list[OwnedNumber]:
        """Every number of the account whose friendly name is exactly `tag`."""
        found = self._list("find_by_tag", [("FriendlyName", tag), ("PageSize", "50")], deadline)
        return [number for number in found if number.tag == tag]

    def find_by_number(self, number: str, deadline: Deadline) -> OwnedNumber | None:
        """The account's own number that is exactly `number`."""
        found = self._list("find_by_number", [("PhoneNumber", number), ("PageSize", "50")], deadline)
        return next((owned for owned in found if owned.number == number), None)

    def list_all(self, deadline: Deadline) -> list[OwnedNumber]:
        """Every number of the account; a page that fails raises, never a partial list."""
        return self._list("list_all", [("PageSize", "500")], deadline)

    def fetch(self, sid: str, deadline: Deadline) -> OwnedNumber | None:
        """One number by its SID; None when Twilio says that it is gone."""
        operation = Operation(self.provider, "fetch", writes=False)
        record = self._api.read_or_none("fetch", self._path(operation, sid), deadline, _Number)
        if record is None:
            return None
        if record.sid != sid:
            raise doubt(operation, "Twilio answered about another number")
        return record.owned()

    def buy(
        self, number: str, tag: str, deadline: Deadline, address_sid: str | None = None, bundle_sid: str | None = None
    ) -> OwnedNumber:
        """Buy exactly `number`, tagged; one attempt, never repeated here.

        No VoiceUrl: a repeated POST of an owned number may act as an update and take away the one the assistants'
        platform has set. Anything but a 201 with a SID, this number and this tag is Unclear: a proxy on the way may
        have asked twice, and only a look can tell.
        """
        operation = Operation(self.provider, "buy", writes=True)
        if not E164.fullmatch(number):
            raise refusal(operation, "this is not a phone number in international form; nothing was sent")
        form = [("PhoneNumber", number), ("FriendlyName", tag)]
        form += [(name, sid) for name, sid in (("AddressSid", address_sid), ("BundleSid", bundle_sid)) if sid]
        record = self._api.write("buy", "POST", f"{self._numbers}.json", deadline, _Number, status=201, form=form)
        if record.phone_number != number or record.friendly_name != tag:
            raise doubt(operation, "Twilio answered about another number or another name", 201)
        return record.owned()

    def release(self, sid: str, deadline: Deadline) -> bool:
        """Give a number back, for good. True: released now; False: Twilio says that it was already gone."""
        operation = Operation(self.provider, "release", writes=True)
        return self._api.delete("release", self._path(operation, sid), deadline, status=204) is not None

    def rename(self, sid: str, tag: str, deadline: Deadline) -> OwnedNumber:
        """Set the friendly name. Safe to repeat."""
        operation = Operation(self.provider, "rename", writes=True)
        form = [("FriendlyName", tag)]
        path = self._path(operation, sid)
        record = self._api.write("rename", "POST", path, deadline, _Number, status=200, form=form)
        if record.sid != sid or record.friendly_name != tag:
            raise doubt(operation, "Twilio answered about another number or another name", 200)
        return record.owned()

    def monthly_price(self, country: str, number_type: str, deadline: Deadline) -> tuple[str, str] | None:
        """(price as received, currency); None when Twilio lists no price for this country and type."""
        listed = self._read_prices("monthly_price", country, deadline)
        for price in listed.prices if listed else ():
            if listed and price.number_type == number_type:
                return price.current_price, listed.currency
        return None

    def price_list(self, country: str, deadline: Deadline) -> PriceList | None:
        """What each kind of number costs there a month; None when Twilio sells nothing there."""
        return self._read_prices("price_list", country, deadline)

    def _read_prices(self, name: str, country: str, deadline: Deadline) -> PriceList | None:
        if not COUNTRY.fullmatch(country):
            return None
        found = self._prices.read_or_none(name, f"/v1/PhoneNumbers/Countries/{country}", deadline, _Prices)
        if found is None:
            return None
        prices = [each.price() for each in found.phone_number_prices]
        told = tuple(price for price in prices if price is not None)
        return PriceList(country, found.country or country, found.price_unit, told)

    def _list(self, name: str, params: Params, deadline: Deadline) -> list[OwnedNumber]:
        operation = Operation(self.provider, name, writes=False)
        found: dict[str, OwnedNumber] = {}

        def read(target: str) -> str | None:
            page = self._api.read(name, target, deadline, _Page)
            found.update((record.sid, record.owned()) for record in page.incoming_phone_numbers)
            return next_page(operation, page.next_page_uri, self._origins)

        read_pages(operation, f"{self._numbers}.json?{encoded(params)}", read)
        return list(found.values())

    def _path(self, operation: Operation, sid: str) -> str:
        if not SID.fullmatch(sid):
            raise refusal(operation, "this is not the SID of a phone number; nothing was sent")
        return f"{self._numbers}/{sid}.json"


def _text_of(raw: msgspec.Raw) -> str | None:
    text = bytes(raw).decode().strip('"')
    return None if text in ("null", "") else text


def _fits(offer: _Offer, wish: NumberWish) -> bool:
    if wish.is_only_asking:
        return E164.fullmatch(offer.phone_number) is not None and offer.iso_country == wish.country
    return (
        E164.fullmatch(offer.phone_number) is not None
        and offer.iso_country == wish.country
        and bool(offer.capabilities.get("voice"))
        and not offer.beta
        and (wish.has_address or offer.address_requirements == "none")
        and (not wish.area_code or offer.phone_number.startswith(f"+1{wish.area_code}"))
    )


def _available(offer: _Offer, number_type: str) -> AvailableNumber:
    return AvailableNumber(
        number=offer.phone_number,
        locality=offer.locality,
        region=offer.region,
        country=offer.iso_country,
        number_type=number_type,
        address_requirements=offer.address_requirements,
        capabilities={name.lower(): bool(has) for name, has in offer.capabilities.items()},
    )
