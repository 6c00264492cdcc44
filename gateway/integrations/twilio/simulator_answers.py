"""The shapes of the pretend Twilio's answers: numbers, offers, pages, errors.

From Twilio's OpenAPI `twilio_api_v2010.json` (2026-04-14); relative URIs, coordinates and prices as text, and dates by
RFC 2822 are the real ones' own way, whatever the schema says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Protocol
from urllib.parse import urlencode

Record = dict[str, Any]
Answer = tuple[int, Any]

ROOT = "/2010-04-01/Accounts/"

# Request parameter -> field of the number, for create and update alike.
FIELDS = {
    "FriendlyName": "friendly_name",
    "AddressSid": "address_sid",
    "BundleSid": "bundle_sid",
    "IdentitySid": "identity_sid",
    "ApiVersion": "api_version",
    "VoiceUrl": "voice_url",
    "VoiceMethod": "voice_method",
    "VoiceFallbackUrl": "voice_fallback_url",
    "VoiceFallbackMethod": "voice_fallback_method",
    "VoiceApplicationSid": "voice_application_sid",
    "VoiceReceiveMode": "voice_receive_mode",
    "SmsUrl": "sms_url",
    "SmsMethod": "sms_method",
    "SmsFallbackUrl": "sms_fallback_url",
    "SmsFallbackMethod": "sms_fallback_method",
    "SmsApplicationSid": "sms_application_sid",
    "StatusCallback": "status_callback",
    "StatusCallbackMethod": "status_callback_method",
    "TrunkSid": "trunk_sid",
    "EmergencyStatus": "emergency_status",
    "EmergencyAddressSid": "emergency_address_sid",
}


class Index(Protocol):
    """Records of a table by a value of theirs."""

    def exact(self, value: str, /) -> list[Record]: ...
    def starting(self, prefix: str, /) -> list[Record]: ...


class Tables(Protocol):
    """Where the world keeps what it knows; a record is assigned anew, never changed in place."""

    def __getitem__(self, name: str, /) -> MutableMapping[str, Record]: ...
    def index(self, name: str, key_of: Callable[[Record], str], /) -> Index: ...


class Offer(Protocol):
    """What the world has for sale; see `Stock`."""

    @property
    def number(self) -> str: ...
    @property
    def country(self) -> str: ...
    @property
    def number_type(self) -> str: ...
    @property
    def friendly_name(self) -> str: ...
    @property
    def place(self) -> Any: ...
    @property
    def address_requirements(self) -> str: ...
    @property
    def needs_bundle(self) -> bool: ...
    @property
    def beta(self) -> bool: ...
    @property
    def voice(self) -> bool: ...
    @property
    def sms(self) -> bool: ...
    @property
    def mms(self) -> bool: ...


class Stock(Protocol):
    """Where offers come from."""

    @property
    def countries(self) -> Mapping[str, str]: ...
    @property
    def prices(self) -> Mapping[str, tuple[str, dict[str, str]]]: ...
    def number_types(self, country: str) -> list[str]: ...
    def papers(self, country: str, number_type: str) -> Any: ...
    def knows_area(self, code: str) -> bool: ...
    def find(self, number: str) -> Any: ...
    def is_number(self, number: str) -> bool: ...
    def search(
        self,
        country: str,
        number_type: str,
        params: Mapping[str, str],
        limit: int,
        turn: int,
        is_free: Callable[[str], bool],
    ) -> list[Any]: ...


def fault(status: int, code: int, message: str) -> Answer:
    """An error in the form of the v2010 API."""
    more = f"https://www.twilio.com/docs/errors/{code}"
    return status, {"code": code, "message": message, "more_info": more, "status": status}


def rfc2822(at_ms: int) -> str:
    return format_datetime(datetime.fromtimestamp(at_ms // 1000, UTC))


def new_number(
    sid: str, account_sid: str, number: str, kind: str, offer: Offer | None, now_ms: int, order: int
) -> Record:
    """A number as it is right after the purchase, with the world's own fields beside Twilio's."""
    record: Record = dict.fromkeys(FIELDS.values())
    record.update((name, "POST") for name in record if name.endswith("_method"))
    record.update((name, "") for name in record if name.endswith(("_url", "_callback")))
    record.update(
        sid=sid,
        account_sid=account_sid,
        phone_number=number,
        friendly_name=offer.friendly_name if offer else number,
        type=kind,
        address_requirements=offer.address_requirements if offer else "none",
        beta=offer.beta if offer else False,
        capabilities={
            "voice": offer.voice if offer else True,
            "sms": offer.sms if offer else True,
            "mms": offer.mms if offer else True,
            "fax": False,
        },
        voice_caller_id_lookup=False,
        voice_receive_mode="voice",
        emergency_status="Inactive",
        emergency_address_status="unregistered",
        api_version="2010-04-01",
        origin="twilio",
        status="in-use",
        created_ms=now_ms,
        updated_ms=now_ms,
        listed_from_ms=now_ms,
        order=order,
    )
    return record


def public_number(record: Record) -> Record:
    """A number as Twilio shows it."""
    inner = ("created_ms", "updated_ms", "listed_from_ms", "listed_until_ms", "released_at_ms", "order")
    shown = {name: value for name, value in record.items() if name not in inner}
    shown["date_created"] = rfc2822(record["created_ms"])
    shown["date_updated"] = rfc2822(record["updated_ms"])
    shown["uri"] = f"{ROOT}{record['account_sid']}/IncomingPhoneNumbers/{record['sid']}.json"
    return shown


def offered_number(offer: Offer) -> Record:
    place = offer.place
    return {
        "friendly_name": offer.friendly_name,
        "phone_number": offer.number,
        "lata": place.lata,
        "rate_center": place.locality.upper() if place.locality else None,
        "locality": place.locality,
        "region": place.region,
        "postal_code": place.postal_code,
        "latitude": None if place.latitude is None else f"{place.latitude:.6f}",
        "longitude": None if place.longitude is None else f"{place.longitude:.6f}",
        "iso_country": offer.country,
        "address_requirements": offer.address_requirements,
        "beta": offer.beta,
        "capabilities": {"mms": offer.mms, "sms": offer.sms, "voice": offer.voice},
    }


def page_size(params: Mapping[str, str]) -> int | None:
    size = params.get("PageSize", "50")
    if not size.isdigit() or int(size) > 1000:
        return None
    return max(1, int(size))


def partial_number(text: str) -> re.Pattern[str]:
    """Twilio's number filter: any part of a number, `*` for one digit."""
    return re.compile("".join(r"\d" if letter == "*" else re.escape(letter) for letter in text))


def uri_of(path: str, params: Mapping[str, str]) -> str:
    return f"{path}?{urlencode(params)}" if params else path


def page_of(
    name: str,
    path: str,
    params: Mapping[str, str],
    size: int,
    records: list[Record],
    show: Callable[[Record], Record],
) -> Record:
    """One page of a v2010 list: `records` newest first, each with its `order`."""
    page = int(params.get("Page") or 0)
    token = params.get("PageToken", "")
    # The token names the last record seen, so that new numbers do not shift the pages behind it.
    rest = [r for r in records if r["order"] < int(token[2:])] if token.startswith("PA") else records[page * size :]
    shown, more = rest[:size], len(rest) > size
    filters = {k: v for k, v in params.items() if k not in ("Page", "PageToken", "PageSize")}

    def link(number: int, **extra: str) -> str:
        return uri_of(path, {**filters, "PageSize": str(size), "Page": str(number), **extra})

    return {
        name: [show(record) for record in shown],
        "page": page,
        "page_size": size,
        "start": page * size,
        "end": page * size + max(0, len(shown) - 1),
        "uri": link(page, **({"PageToken": token} if token else {})),
        "first_page_uri": link(0),
        "previous_page_uri": link(page - 1) if page else None,
        "next_page_uri": link(page + 1, PageToken=f"PA{shown[-1]['order']}") if more else None,
    }


def results_page(key: str, path: str, params: Mapping[str, str], items: list[Record], host: str) -> Answer:
    """One page of a list of the newer APIs, whose links are whole addresses."""
    size = page_size(params)
    if size is None:
        return fault(400, 20007, "Page size too large")
    page = int(params.get("Page") or 0)
    # The token names the first record of the page; a page by its number alone is counted.
    token = params.get("PageToken", "")
    start = int(token[2:]) if token.startswith("PT") and token[2:].isdigit() else page * size
    filters = {k: v for k, v in params.items() if k not in ("Page", "PageToken", "PageSize")}

    def link(number: int, **extra: str) -> str:
        return host + uri_of(path, {**filters, "PageSize": str(size), "Page": str(number), **extra})

    meta = {
        "page": page,
        "page_size": size,
        "first_page_url": link(0),
        "previous_page_url": link(page - 1, PageToken=f"PT{max(0, start - size)}") if page else None,
        "url": link(page, **({"PageToken": token} if token else {})),
        "next_page_url": link(page + 1, PageToken=f"PT{start + size}") if len(items) > start + size else None,
        "key": key,
    }
    return 200, {key: items[start : start + size], "meta": meta}
