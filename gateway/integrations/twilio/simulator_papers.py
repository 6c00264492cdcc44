"""The pretend Twilio's paperwork: regulatory bundles, regulations and prices, and what a purchase has to show.

Shapes from Twilio's OpenAPI `twilio_numbers_v2.json` and `twilio_pricing_v1.json` (2026-04-14); what is missing for a
purchase is answered with 21631, 21615 or 21649 of the error dictionary. A bundle is made by a person, and looked at by
people: it changes its status by a script over the world's time, or when it is told to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from gateway.integrations.twilio.simulator_addresses import PretendAddresses
from gateway.integrations.twilio.simulator_answers import (
    Answer,
    Record,
    Stock,
    Tables,
    fault,
    results_page,
)

_PRICING = "/v1/PhoneNumbers/Countries"
_BUNDLES = "/v2/RegulatoryCompliance/Bundles"
_REGULATIONS = "/v2/RegulatoryCompliance/Regulations"
_PRICING_HOST, _NUMBERS_HOST = "https://pricing.twilio.com", "https://numbers.twilio.com"
_WHO = ("individual", "business")
STATUSES = (*("draft", "pending-review", "in-review", "twilio-rejected", "twilio-approved", "provisionally-approved"),)
# Our stock's own words for a type -> as the newer APIs write it.
_NAMED = {"tollfree": "toll-free"}


class PretendPapers:
    """Bundles of the account, and what a number costs and wants. Called under the world's lock."""

    def __init__(
        self,
        tables: Tables,
        account_sid: str,
        stock: Stock,
        addresses: PretendAddresses,
        new_hex: Callable[[], str],
        record: Callable[..., None],
    ) -> None:
        self._bundles = tables["bundles"]
        self._sid = account_sid
        self._stock = stock
        self._addresses = addresses
        self._new_hex = new_hex
        self._record = record

    def operation(self, method: str, path: str) -> str | None:
        if path.startswith(_PRICING):
            return "twilio.price"
        if path.startswith(_BUNDLES):
            return "twilio.bundle"
        return "twilio.regulation" if path.startswith(_REGULATIONS) else None

    def answer(self, method: str, path: str, params: Mapping[str, str], now_ms: int) -> Answer:
        if method != "GET":
            return fault(404, 20404, f"The requested resource {path} was not found")
        if path.startswith(_PRICING):
            return self._price(path, params)
        if path.startswith(_BUNDLES):
            return self._bundle(path, params, now_ms)
        return self._regulation(path, params)

    def missing(self, offer: Any, params: Mapping[str, str], now_ms: int) -> Answer | None:
        """The refusal of a purchase whose papers are not in order; None when they are."""
        if offer.address_requirements != "none":
            address = self._addresses.find(params.get("AddressSid", ""))
            if address is None:
                return fault(400, 21631, "Phone Number Requires an Address but the 'AddressSid' parameter was empty.")
            is_home = address["iso_country"] == offer.country
            if offer.address_requirements == "local" and not is_home:
                return fault(400, 21615, "Phone Number Requires a Local Address.")
            if offer.address_requirements == "foreign" and is_home:
                return fault(400, 21631, "Phone Number Requires a Foreign Address.")
        if offer.needs_bundle:
            bundle = self._bundles.get(params.get("BundleSid", ""))
            if bundle is None:
                return fault(400, 21649, "Bundle required and not provided.")
            kind = (bundle["iso_country"], bundle["number_type"])
            if status_of(bundle, now_ms) != "twilio-approved" or kind != (offer.country, _named(offer.number_type)):
                return fault(400, 21649, "Bundle is not approved for this number.")
        return None

    def put_bundle(self, fields: Mapping[str, Any], now_ms: int) -> Record:
        """A bundle as a person would have made it in the console; approved unless `status` says otherwise.

        then: [[seconds, status], …], what becomes of it and when.   valid_until: ISO 8601; rejected from then on.
        """
        sid = str(fields.get("sid") or f"BU{self._new_hex()}")
        bundle = {
            "sid": sid,
            "iso_country": fields.get("iso_country", "GB"),
            "number_type": _named(str(fields.get("number_type", "local")).replace("_", "-")),
            "end_user_type": fields.get("end_user_type", "business"),
            "friendly_name": fields.get("friendly_name", "Pretend bundle"),
            "status": _status(fields.get("status", "twilio-approved")),
            "then": [[now_ms + round(float(s) * 1000), _status(status)] for s, status in fields.get("then", [])],
            "valid_until": fields.get("valid_until"),
            "created_ms": now_ms,
            "updated_ms": now_ms,
        }
        _until_ms(bundle)
        self._bundles[sid] = bundle
        return bundle

    def add_bundle(self, fields: Record, now_ms: int) -> Record:
        """The same while the world is running; the log says so."""
        bundle = self.put_bundle(fields, now_ms)
        self._record("bundle_added", sid=bundle["sid"], status=bundle["status"])
        return bundle

    def change_bundle(self, sid: str, fields: Record, now_ms: int) -> Record | None:
        """What a reviewer decides: `status`, `valid_until`; what was to become of it by itself no longer counts."""
        bundle = self._bundles.get(sid)
        if bundle is None:
            return None
        changed = {**bundle, "status": status_of(bundle, now_ms), "then": [], "updated_ms": now_ms}
        if "status" in fields:
            changed["status"] = _status(fields["status"])
        if "valid_until" in fields:
            changed["valid_until"] = fields["valid_until"]
        _until_ms(changed)
        self._bundles[sid] = changed
        self._record("bundle_changed", sid=sid, status=changed["status"])
        return changed

    def remove_bundle(self, sid: str) -> bool:
        if sid not in self._bundles:
            return False
        del self._bundles[sid]
        self._record("bundle_removed", sid=sid)
        return True

    def _price(self, path: str, params: Mapping[str, str]) -> Answer:
        countries = self._stock.countries
        if path == _PRICING:
            listed = [
                {"country": name, "iso_country": code, "url": f"{_PRICING_HOST}{_PRICING}/{code}"}
                for code, name in sorted(countries.items(), key=lambda item: str(item[1]))
            ]
            return results_page("countries", path, params, listed, _PRICING_HOST)
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
            "url": f"{_PRICING_HOST}{path}",
        }

    def _bundle(self, path: str, params: Mapping[str, str], now_ms: int) -> Answer:
        if path != _BUNDLES:
            bundle = self._bundles.get(path[len(_BUNDLES) + 1 :])
            if bundle is None:
                return fault(404, 20404, f"The requested resource {path} was not found")
            return 200, self._bundle_shown(bundle, now_ms)
        names = {"FriendlyName": "friendly_name", "EndUserType": "end_user_type"}
        names |= {"IsoCountry": "iso_country", "NumberType": "number_type"}
        wanted = {field: params[name] for name, field in names.items() if params.get(name)}
        found = [b for b in self._bundles.values() if all(b[f] == v for f, v in wanted.items())]
        if params.get("Status"):
            found = [bundle for bundle in found if status_of(bundle, now_ms) == params["Status"]]
        shown = [self._bundle_shown(bundle, now_ms) for bundle in found]
        return results_page("results", path, params, shown, _NUMBERS_HOST)

    def _bundle_shown(self, bundle: Record, now_ms: int) -> Record:
        url = f"{_NUMBERS_HOST}{_BUNDLES}/{bundle['sid']}"
        changes = [at_ms for at_ms, _ in bundle["then"] if at_ms <= now_ms]
        return {
            "sid": bundle["sid"],
            "account_sid": self._sid,
            "regulation_sid": _regulation_sid(bundle["iso_country"], bundle["number_type"], bundle["end_user_type"]),
            "friendly_name": bundle["friendly_name"],
            "status": status_of(bundle, now_ms),
            "valid_until": bundle["valid_until"],
            "email": "papers@example.com",
            "status_callback": None,
            "date_created": _iso(bundle["created_ms"]),
            "date_updated": _iso(max([bundle["updated_ms"], *changes])),
            "url": url,
            "links": {
                "evaluations": f"{url}/Evaluations",
                "item_assignments": f"{url}/ItemAssignments",
                "bundle_copies": f"{url}/Copies",
            },
        }

    def _regulation(self, path: str, params: Mapping[str, str]) -> Answer:
        every = self._regulations()
        if path != _REGULATIONS:
            one = next((each for each in every if each["sid"] == path[len(_REGULATIONS) + 1 :]), None)
            return (200, one) if one else fault(404, 20404, f"The requested resource {path} was not found")
        asked = {"IsoCountry": "iso_country", "NumberType": "number_type", "EndUserType": "end_user_type"}
        wanted = {field: params[name] for name, field in asked.items() if params.get(name)}
        found = [each for each in every if all(each[field] == value for field, value in wanted.items())]
        return results_page("results", path, params, found, _NUMBERS_HOST)

    def _regulations(self) -> list[Record]:
        """One for each kind of number that needs a bundle, and each kind of customer."""
        found: list[Record] = []
        for code, name in self._stock.countries.items():
            for kind in self._stock.number_types(code):
                papers = self._stock.papers(code, kind)
                for who in _WHO if papers.bundle else ():
                    sid = _regulation_sid(code, _named(kind), who)
                    found.append(
                        {
                            "sid": sid,
                            "friendly_name": f"{name}: {_named(kind).title()} - {who.title()}",
                            "iso_country": code,
                            "number_type": _named(kind),
                            "end_user_type": who,
                            "requirements": _requirements(who, papers.address),
                            "url": f"{_NUMBERS_HOST}{_REGULATIONS}/{sid}",
                        }
                    )
        return found


def status_of(bundle: Record, now_ms: int) -> str:
    """What Twilio says of it at this moment."""
    status = str(bundle["status"])
    for at_ms, later in bundle["then"]:
        if at_ms <= now_ms:
            status = str(later)
    until_ms = _until_ms(bundle)
    return "twilio-rejected" if until_ms is not None and until_ms <= now_ms else status


def _requirements(who: str, address: str) -> Record:
    kinds = f"{_NUMBERS_HOST}/v2/RegulatoryCompliance/DocumentTypes"
    fields = ["first_name", "last_name"] if who == "individual" else ["business_name", "business_registration_number"]
    detailed = [
        {"machine_name": one, "friendly_name": one.replace("_", " ").title(), "description": ""} for one in fields
    ]
    end_user = {
        "name": who.title(),
        "type": who,
        "requirement_name": f"{who}_info",
        "url": f"{_NUMBERS_HOST}{_REGULATIONS}/{who}",
        "fields": fields,
        "detailed_fields": detailed,
    }
    validated = {
        "name": "Address Validation",
        "type": "address",
        "url": f"{kinds}/address",
        "fields": ["address_sids"],
        "detailed_fields": [
            {"machine_name": "address_sids", "friendly_name": "Address sid(s)", "description": f"Address of the {who}"}
        ],
    }
    document = {
        "name": "Address",
        "type": "document",
        "requirement_name": "proof_of_address",
        "description": "The physical location of the individual or business.",
        "accepted_documents": [validated],
    }
    return {"end_user": [end_user], "supporting_document": [[document]] if address != "none" else []}


def _regulation_sid(country: str, kind: str, who: str) -> str:
    return f"RN{f'{country}{kind}{who}'.encode().hex()[:32]:0<32}"


def _named(kind: str) -> str:
    return _NAMED.get(kind, kind)


def _status(status: Any) -> str:
    if status not in STATUSES:
        raise ValueError(f"status must be in {STATUSES}")
    return str(status)


def _until_ms(bundle: Record) -> int | None:
    text = bundle["valid_until"]
    if text is None:
        return None
    until = datetime.fromisoformat(str(text))
    return round((until if until.tzinfo else until.replace(tzinfo=UTC)).timestamp() * 1000)


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
