"""Read a webhook's body once, strictly: what is accepted here can be stored, read again and shown anywhere.

Senders are verified before this, so it guards against accidents of theirs and against bodies that only some parsers
or databases can hold, not against strangers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from gateway.errors import BodyUnreadable

MAX_DEPTH = 100
MAX_ID_CHARACTERS = 255
MAX_SECONDS = 2**53 // 1000

# What a signup may say about its number and its customer; everything else in metadata is the sender's own business.
SIGNUP_KEYS = frozenset(
    {
        *("country", "area_code", "contains", "locality", "number_type", "phone_number", "choose", "assistant_id"),
        *("company_name", "street", "city", "region", "postal_code"),
        *("number_region", "near_number", "address_country", "address_sid", "bundle_sid"),
    }
)
TENANT_KEY = "tenant_id"

KEPT_HEADERS = ("content-type", "user-agent")

_decode = msgspec.json.Decoder().decode
# MessagePack has no integers beyond 64 bits, and is the cheapest way to find one anywhere in a body.
_measure = msgspec.msgpack.Encoder().encode
_canonical = msgspec.json.Encoder(order="sorted").encode


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object that is the whole body; of doubled keys the last one counts.

    Raises BodyUnreadable for anything else, and for what not every store and reader can hold: invalid UTF-8, NUL,
    lone surrogates, numbers beyond 64 bits, more than 100 levels.
    """
    try:
        value = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BodyUnreadable("body_unreadable", "The body is not JSON in UTF-8.") from error
    if not isinstance(value, dict):
        raise BodyUnreadable("body_unreadable", "The body is not a JSON object.")
    if b"\\u0000" in body and _holds_nul(value):
        raise BodyUnreadable("body_unreadable", "The body holds a NUL character.")
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and _depth_exceeds(value, MAX_DEPTH):
        raise BodyUnreadable("body_unreadable", f"The body is nested more than {MAX_DEPTH} levels deep.")
    try:
        _measure(value)
    except OverflowError as error:
        raise BodyUnreadable("body_unreadable", "The body holds a number beyond 64 bits.") from error
    return value


def says_hash(*said: Any) -> str:
    """A hash over what an event says: equal for equal JSON values, however they were written."""
    return hashlib.sha256(_canonical(said)).hexdigest()


def event_id(value: Any) -> str:
    """The sender's id of an event: 1 to 255 visible ASCII characters."""
    text = required_text(value, "id")
    if len(text) > MAX_ID_CHARACTERS or not text.isascii() or not text.isprintable():
        raise BodyUnreadable("body_unreadable", "The event's id is not 1 to 255 visible ASCII characters.")
    return text


def event_type(value: Any) -> str:
    text = required_text(value, "type")
    if len(text) > MAX_ID_CHARACTERS:
        raise BodyUnreadable("body_unreadable", f"`type` is longer than {MAX_ID_CHARACTERS} characters.")
    return text


def required_text(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise BodyUnreadable("body_unreadable", f"The body has no text under `{name}`.")
    return value


def required_object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BodyUnreadable("body_unreadable", f"The body has no object under `{name}`.")
    return value


def milliseconds(seconds: Any, name: str) -> int:
    """Epoch seconds, as a whole number, in milliseconds."""
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not 0 <= seconds <= MAX_SECONDS:
        raise BodyUnreadable("body_unreadable", f"`{name}` is not a time in whole seconds.")
    return seconds * 1000


def moment(text: Any, name: str) -> int:
    """A time as RFC 3339 text, in epoch milliseconds; without a zone it is UTC."""
    if isinstance(text, str):
        try:
            at = msgspec.convert(text, datetime)
            at_ms = int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
        except (msgspec.ValidationError, ValueError, OverflowError):
            at_ms = -1
        if at_ms >= 0:
            return at_ms
    raise BodyUnreadable("body_unreadable", f"`{name}` is not a time such as 2026-11-22T09:56:09Z.")


def object_at(value: Any, *path: str) -> dict[str, Any]:
    """The object at the end of a path of keys; empty where the path ends early."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def text_of(value: Any) -> str | None:
    """Text, or a whole number as text; None for anything else and for nothing."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None


def signup_options(metadata: Mapping[str, Any]) -> dict[str, str]:
    """What metadata says about the number wanted, unchecked."""
    return {key: text for key in metadata if key in SIGNUP_KEYS and (text := text_of(metadata[key])) is not None}


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """What of a delivery's headers is stored beside its body; never a credential or a signature."""
    return {name: headers[name] for name in KEPT_HEADERS if name in headers}


def _holds_nul(value: Any) -> bool:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            if "\0" in item:
                return True
        elif isinstance(item, dict):
            waiting += item.keys()
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
    return False


def _depth_exceeds(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [
            child
            for item in level
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True
