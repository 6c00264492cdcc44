"""The pretend Twilio's addresses: put on file, looked at where Twilio looks, listed by pages.

Shapes from Twilio's OpenAPI `twilio_api_v2010.json` (2026-04-14). Which countries' addresses are looked at is as in
Twilio's help centre (address validation, 2026-04); how is made up, and simple enough to be foreseen: a postal code of
the country's form, no post office box, and words written out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from gateway.integrations.twilio.simulator_answers import (
    ROOT,
    Answer,
    Record,
    Tables,
    fault,
    page_of,
    page_size,
    public_number,
    rfc2822,
)

_FIELDS = {
    "CustomerName": "customer_name",
    "Street": "street",
    "City": "city",
    "Region": "region",
    "PostalCode": "postal_code",
    "IsoCountry": "iso_country",
    "FriendlyName": "friendly_name",
    "StreetSecondary": "street_secondary",
}
_NEEDED = ("CustomerName", "Street", "City", "Region", "PostalCode", "IsoCountry")
_FILTERS = ("CustomerName", "FriendlyName", "IsoCountry")
# Countries whose addresses are really looked at, and what their postal codes look like.
POSTAL_CODES = {
    "AT": r"\d{4}",
    "AU": r"\d{4}",
    "BR": r"\d{5}-?\d{3}",
    "DE": r"\d{5}",
    "ES": r"\d{5}",
    "FR": r"\d{5}",
    "GB": r"[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}",
    "IE": r"[A-Z]\d[\dW] ?[A-Z\d]{4}",
    "IT": r"\d{5}",
    "LU": r"(L-)?\d{4}",
    "MX": r"\d{5}",
    "NL": r"\d{4} ?[A-Z]{2}",
    "PL": r"\d{2}-\d{3}",
}
_SHORT = {r"\bStr\.": "Strasse", r"\bSt\.?$": "Street", r"\bRd\.?$": "Road", r"\bAve\.?$": "Avenue"}
_BOX = re.compile(r"\b(p\.? ?o\.? ?box|postfach|apartado|boîte postale)\b", re.IGNORECASE)


class PretendAddresses:
    """The account's addresses. Called under the world's lock."""

    def __init__(
        self,
        tables: Tables,
        account_sid: str,
        new_hex: Callable[[], str],
        record: Callable[..., None],
        numbers: Callable[[], Iterable[Record]],
    ) -> None:
        self._addresses = tables["addresses"]
        self._sid = account_sid
        self._new_hex = new_hex
        self._record = record
        self._numbers = numbers

    def operation(self, method: str, parts: list[str]) -> str:
        """parts: of the path, behind `Addresses`."""
        return "twilio.register" if method == "POST" and not parts else "twilio.address"

    def find(self, sid: str) -> Record | None:
        return self._addresses.get(sid)

    def remove(self, sid: str) -> bool:
        """As somebody would in the console, whatever uses it."""
        if sid not in self._addresses:
            return False
        del self._addresses[sid]
        self._record("address_removed", sid=sid)
        return True

    def change(self, sid: str, fields: Record) -> Record | None:
        """As somebody would in the console, without any look at it; None when there is none."""
        if sid not in self._addresses:
            return None
        known = {name: value for name, value in fields.items() if name in _FIELDS.values()}
        self._addresses[sid] = {**self._addresses[sid], **known}
        return self._addresses[sid]

    def answer(
        self, method: str, path: str, rest: list[str], params: Mapping[str, str], now_ms: int, lag_ms: int = 0
    ) -> Answer:
        match method, rest:
            case "POST", []:
                return self._add(params, now_ms, lag_ms)
            case "GET", []:
                return self._list(path, params, now_ms)
            case "GET", [sid] if sid in self._addresses:
                return 200, self._shown(self._addresses[sid])
            case "GET", [sid, "DependentPhoneNumbers"] if sid in self._addresses:
                return self._dependents(path, sid, params)
            case "POST", [sid] if sid in self._addresses:
                return self._update(sid, params, now_ms)
            case "DELETE", [sid] if sid in self._addresses:
                if any(number["address_sid"] == sid for number in self._numbers()):
                    return fault(400, 21630, "The address backs a phone number and cannot be removed")
                self.remove(sid)
                return 204, None
        return fault(404, 20404, f"The requested resource {path} was not found")

    def _add(self, params: Mapping[str, str], now_ms: int, lag_ms: int) -> Answer:
        for name in _NEEDED:
            if not params.get(name):
                return fault(400, 21628, f"The address is not valid: {name} is missing")
        address: Record = {field: params.get(name) or None for name, field in _FIELDS.items()}
        looked_at = self._look(address, params)
        if not isinstance(looked_at, dict):
            return looked_at
        sid = f"AD{self._new_hex()}"
        looked_at["friendly_name"] = looked_at["friendly_name"] or ""
        emergency = params.get("EmergencyEnabled", "").lower() == "true"
        looked_at["order"] = 1 + max((a["order"] for a in self._addresses.values()), default=0)
        looked_at.update(sid=sid, account_sid=self._sid, emergency_enabled=emergency)
        looked_at.update(created_ms=now_ms, updated_ms=now_ms, listed_from_ms=now_ms + lag_ms, verified=False)
        self._addresses[sid] = looked_at
        self._record("address_added", sid=sid, country=looked_at["iso_country"], tag=looked_at["friendly_name"])
        return 201, self._shown(looked_at)

    def _update(self, sid: str, params: Mapping[str, str], now_ms: int) -> Answer:
        changed = dict(self._addresses[sid])
        changed.update((field, params[name]) for name, field in _FIELDS.items() if params.get(name))
        looked_at = self._look(changed, params)
        if not isinstance(looked_at, dict):
            return looked_at
        looked_at["updated_ms"] = now_ms
        self._addresses[sid] = looked_at
        self._record("address_changed", sid=sid)
        return 200, self._shown(looked_at)

    def _look(self, address: Record, params: Mapping[str, str]) -> Record | Answer:
        """The address as it goes on file, or why it does not."""
        if not re.fullmatch(r"[A-Z]{2}", str(address["iso_country"])):
            return fault(400, 21628, "The address is not valid: IsoCountry")
        form = POSTAL_CODES.get(address["iso_country"])
        if form is None:
            return {**address, "validated": False}
        if not re.fullmatch(form, str(address["postal_code"]).upper()) or _BOX.search(str(address["street"])):
            return fault(400, 21628, "The address could not be validated")
        street = str(address["street"])
        for short, long in _SHORT.items():
            street = re.sub(short, long, street)
        suggestion = {"street": street, "city": _capital(str(address["city"]))}
        if any(address[name] != value for name, value in suggestion.items()):
            if params.get("AutoCorrectAddress", "true").lower() == "false":
                said = f"{suggestion['street']}, {address['postal_code']} {suggestion['city']}"
                return fault(400, 21629, f"The address could not be validated. Did you mean: {said}?")
            address = {**address, **suggestion}
        return {**address, "validated": True}

    def _list(self, path: str, params: Mapping[str, str], now_ms: int) -> Answer:
        size = page_size(params)
        if size is None:
            return fault(400, 20007, "Page size too large")
        wanted = {_FIELDS[name]: params[name] for name in _FILTERS if params.get(name)}
        found = [
            address
            for address in self._addresses.values()
            if address["listed_from_ms"] <= now_ms and all(address[name] == value for name, value in wanted.items())
        ]
        if params.get("EmergencyEnabled"):
            is_enabled = params["EmergencyEnabled"].lower() == "true"
            found = [address for address in found if address["emergency_enabled"] == is_enabled]
        found.sort(key=lambda address: int(address["order"]), reverse=True)
        return 200, page_of("addresses", path, params, size, found, self._shown)

    def _dependents(self, path: str, sid: str, params: Mapping[str, str]) -> Answer:
        size = page_size(params)
        if size is None:
            return fault(400, 20007, "Page size too large")
        found = [number for number in self._numbers() if number["address_sid"] == sid]
        found.sort(key=lambda number: int(number["order"]), reverse=True)
        return 200, page_of("dependent_phone_numbers", path, params, size, found, _dependent)

    def _shown(self, address: Record) -> Record:
        inner = ("created_ms", "updated_ms", "listed_from_ms", "order")
        shown = {name: value for name, value in address.items() if name not in inner}
        shown["date_created"] = rfc2822(address["created_ms"])
        shown["date_updated"] = rfc2822(address["updated_ms"])
        shown["uri"] = f"{ROOT}{self._sid}/Addresses/{address['sid']}.json"
        return shown


_DEPENDENT = (
    *("sid", "account_sid", "friendly_name", "phone_number", "voice_url", "voice_method", "voice_fallback_method"),
    *("voice_fallback_url", "voice_caller_id_lookup", "date_created", "date_updated", "sms_fallback_method"),
    *("sms_fallback_url", "sms_method", "sms_url", "address_requirements", "capabilities", "status_callback"),
    *("status_callback_method", "api_version", "sms_application_sid", "voice_application_sid", "trunk_sid"),
    *("emergency_status", "emergency_address_sid", "uri"),
)


def _dependent(number: Record) -> Record:
    shown = public_number(number)
    return {name: shown[name] for name in _DEPENDENT}


def _capital(city: str) -> str:
    return city[:1].upper() + city[1:]
