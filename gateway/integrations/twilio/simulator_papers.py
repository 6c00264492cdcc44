"""The pretend Twilio's paperwork: addresses, regulatory bundles, regulations and prices.

Shapes from Twilio's OpenAPI `twilio_api_v2010.json`, `twilio_numbers_v2.json` and `twilio_pricing_v1.json`
(2026-04-14); what is missing for a purchase is answered with 21631, 21615 or 21649 of the error dictionary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from gateway.integrations.twilio.simulator_answers import (
    ROOT,
    Answer,
    Record,
    Stock,
    Tables,
    fault,
    page_of,
    page_size,
    rfc2822,
)

_PRICING = "/v1/PhoneNumbers/Countries"
_BUNDLES = "/v2/RegulatoryCompliance/Bundles"
_REGULATIONS = "/v2/RegulatoryCompliance/Regulations"
_ADDRESS_FIELDS = {
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


class PretendPapers:
    """Addresses and bundles of the account, and what a number costs. Called under the world's lock."""

    def __init__(
        self,
        tables: Tables,
        account_sid: str,
        stock: Stock,
        new_hex: Callable[[], str],
        record: Callable[..., None],
        numbers: Callable[[], Iterable[Record]],
    ) -> None:
        self._addresses = tables["addresses"]
        self._bundles = tables["bundles"]
        self._sid = account_sid
        self._stock = stock
        self._new_hex = new_hex
        self._record = record
        self._numbers = numbers

    def operation(self, method: str, path: str) -> str | None:
        if path.startswith(_PRICING):
            return "twilio.price"
        if path.startswith((_BUNDLES, _REGULATIONS)):
            return "twilio.bundle"
        return None

    def answer(self, method: str, path: str, params: Mapping[str, str], now_ms: int) -> Answer:
        if path.startswith(ROOT):
            return self._address(method, path, path[len(ROOT) : -5].split("/")[2:], params, now_ms)
        if method == "GET" and path.startswith(_PRICING):
            return self._price(path, params)
        if method == "GET" and path.startswith(_BUNDLES):
            return self._bundle(path, params)
        if method == "GET" and path == _REGULATIONS:
            return 200, _results("results", path, params, self._regulations(params), "https://numbers.twilio.com")
        return fault(404, 20404, f"The requested resource {path} was not found")

    def missing(self, offer: Any, params: Mapping[str, str]) -> Answer | None:
        """The refusal of a purchase whose papers are not in order; None when they are."""
        if offer.address_requirements != "none":
            address = self._addresses.get(params.get("AddressSid", ""))
            if address is None:
                return fault(400, 21631, "Phone Number Requires an Address but the 'AddressSid' parameter was empty.")
            if offer.address_requirements == "local" and address["iso_country"] != offer.country:
                return fault(400, 21615, "Phone Number Requires a Local Address.")
        if offer.needs_bundle:
            bundle = self._bundles.get(params.get("BundleSid", ""))
            if bundle is None:
                return fault(400, 21649, "Bundle required and not provided.")
            fits = bundle["iso_country"] == offer.country and bundle["number_type"] == offer.number_type
            if bundle["status"] != "twilio-approved" or not fits:
                return fault(400, 21649, "Bundle is not approved for this number.")
        return None

    def add_bundle(self, fields: Record, now_ms: int) -> Record:
        """A bundle as a person would have made it in the console; approved unless `status` says otherwise."""
        sid = str(fields.get("sid") or f"BU{self._new_hex()}")
        bundle = {
            "sid": sid,
            "iso_country": fields.get("iso_country", "GB"),
            "number_type": fields.get("number_type", "local"),
            "end_user_type": fields.get("end_user_type", "business"),
            "friendly_name": fields.get("friendly_name", "Pretend bundle"),
            "status": fields.get("status", "twilio-approved"),
            "valid_until": fields.get("valid_until"),
            "created_ms": now_ms,
        }
        self._bundles[sid] = bundle
        return bundle

    def _address(self, method: str, path: str, rest: list[str], params: Mapping[str, str], now_ms: int) -> Answer:
        match method, rest:
            case "POST", []:
                return self._add_address(params, now_ms)
            case "GET", []:
                wanted = {f: params[p] for p, f in _ADDRESS_FIELDS.items() if params.get(p)}
                found = [a for a in self._addresses.values() if all(a[f] == v for f, v in wanted.items())]
                size = page_size(params)
                if size is None:
                    return fault(400, 20007, "Page size too large")
                return 200, page_of("addresses", path, params, size, found[::-1], self._shown)
            case "GET", [sid] if sid in self._addresses:
                return 200, self._shown(self._addresses[sid])
            case "DELETE", [sid] if sid in self._addresses:
                if any(number["address_sid"] == sid for number in self._numbers()):
                    return fault(400, 21630, "The address backs a phone number and cannot be removed")
                del self._addresses[sid]
                self._record("address_removed", sid=sid)
                return 204, None
        return fault(404, 20404, f"The requested resource {path} was not found")

    def _add_address(self, params: Mapping[str, str], now_ms: int) -> Answer:
        for name in _NEEDED:
            if not params.get(name):
                return fault(400, 21628, f"The address is not valid: {name} is missing")
        sid = f"AD{self._new_hex()}"
        address: Record = {field: params.get(name) or None for name, field in _ADDRESS_FIELDS.items()}
        address["friendly_name"] = address["friendly_name"] or ""
        emergency = params.get("EmergencyEnabled", "").lower() == "true"
        address["order"] = 1 + max((a["order"] for a in self._addresses.values()), default=0)
        address.update(sid=sid, account_sid=self._sid, emergency_enabled=emergency, created_ms=now_ms)
        address.update(validated=address["iso_country"] in ("GB", "DE", "FR", "AU"), verified=False)
        self._addresses[sid] = address
        self._record("address_added", sid=sid, country=address["iso_country"])
        return 201, self._shown(address)

    def _shown(self, address: Record) -> Record:
        shown = {name: value for name, value in address.items() if name not in ("created_ms", "order")}
        created = rfc2822(address["created_ms"])
        shown.update(date_created=created, date_updated=created)
        shown["uri"] = f"{ROOT}{self._sid}/Addresses/{address['sid']}.json"
        return shown

    def _price(self, path: str, params: Mapping[str, str]) -> Answer:
        host = "https://pricing.twilio.com"
        countries = self._stock.countries
        if path == _PRICING:
            listed = [
                {"country": name, "iso_country": code, "url": f"{host}{_PRICING}/{code}"}
                for code, name in sorted(countries.items(), key=lambda item: str(item[1]))
            ]
            return 200, _results("countries", path, params, listed, host)
        code = path[len(_PRICING) + 1 :]
        if code not in countries:
            return fault(404, 20404, f"The requested resource {path} was not found")
        unit, prices = self._stock.prices[code]
        listed = [{"number_type": kind, "base_price": price, "current_price": price} for kind, price in prices.items()]
        return 200, {
            "country": countries[code],
            "iso_country": code,
            "phone_number_prices": listed,
            "price_unit": unit,
            "url": f"{host}{path}",
        }

    def _bundle(self, path: str, params: Mapping[str, str]) -> Answer:
        host = "https://numbers.twilio.com"
        if path == _BUNDLES:
            names = {"Status": "status", "FriendlyName": "friendly_name", "EndUserType": "end_user_type"}
            names |= {"IsoCountry": "iso_country", "NumberType": "number_type"}
            wanted = {field: params[name] for name, field in names.items() if params.get(name)}
            found = [b for b in self._bundles.values() if all(b[f] == v for f, v in wanted.items())]
            return 200, _results("results", path, params, [self._bundle_shown(b) for b in found], host)
        bundle = self._bundles.get(path[len(_BUNDLES) + 1 :])
        if bundle is None:
            return fault(404, 20404, f"The requested resource {path} was not found")
        return 200, self._bundle_shown(bundle)

    def _bundle_shown(self, bundle: Record) -> Record:
        created = datetime.fromtimestamp(bundle["created_ms"] // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        url = f"https://numbers.twilio.com{_BUNDLES}/{bundle['sid']}"
        return {
            "sid": bundle["sid"],
            "account_sid": self._sid,
            "regulation_sid": _regulation_sid(bundle["iso_country"], bundle["number_type"], bundle["end_user_type"]),
            "friendly_name": bundle["friendly_name"],
            "status": bundle["status"],
            "valid_until": bundle["valid_until"],
            "email": "papers@example.com",
            "status_callback": None,
            "date_created": created,
            "date_updated": created,
            "url": url,
            "links": {
                "evaluations": f"{url}/Evaluations",
                "item_assignments": f"{url}/ItemAssignments",
                "bundle_copies": f"{url}/Copies",
            },
        }

    def _regulations(self, params: Mapping[str, str]) -> list[Record]:
        found: list[Record] = []
        for code, name in self._stock.countries.items():
            for kind in self._stock.number_types(code):
                for who in ("individual", "business"):
                    asked = {"IsoCountry": code, "NumberType": kind, "EndUserType": who}
                    if all(params.get(key, value) == value for key, value in asked.items()):
                        sid = _regulation_sid(code, kind, who)
                        found.append(
                            {
                                "sid": sid,
                                "friendly_name": f"{name}: {kind.title()} - {who.title()}",
                                "iso_country": code,
                                "number_type": kind,
                                "end_user_type": who,
                                "requirements": {"end_user": [], "supporting_document": []},
                                "url": f"https://numbers.twilio.com{_REGULATIONS}/{sid}",
                            }
                        )
        return found


def _regulation_sid(country: str, kind: str, who: str) -> str:
    return f"RN{f'{country}{kind}{who}'.encode().hex()[:32]:0<32}"


def _results(key: str, path: str, params: Mapping[str, str], items: list[Record], host: str) -> Record:
    url = f"{host}{path}?{urlencode({**params, 'PageSize': '50', 'Page': '0'})}"
    meta = {"page": 0, "page_size": 50, "first_page_url": url, "previous_page_url": None, "url": url}
    return {key: items, "meta": {**meta, "next_page_url": None, "key": key}}
