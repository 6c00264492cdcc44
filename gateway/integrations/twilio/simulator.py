"""A pretend Twilio: numbers for sale and numbers of one account, with the answers and errors of the real one.

Shapes follow Twilio's OpenAPI `twilio_api_v2010.json` (2026-04-14), errors its error dictionary. It knows nothing of
`client.py` beside it, so that the two cannot share a mistake. Answers are shaped in `simulator_answers.py`; addresses
are in `simulator_addresses.py`, bundles, regulations and prices in `simulator_papers.py`. What Twilio does not
document (a second purchase of an owned number) is a policy, so that both answers can be tried.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gateway.integrations.twilio.simulator_addresses import PretendAddresses
from gateway.integrations.twilio.simulator_answers import (
    FIELDS,
    ROOT,
    Answer,
    Offer,
    Record,
    Stock,
    Tables,
    fault,
    new_number,
    offered_number,
    page_of,
    page_size,
    partial_number,
    public_number,
    rfc2822,
    uri_of,
)
from gateway.integrations.twilio.simulator_papers import PretendPapers

_TYPES = {
    "Local": "local",
    "Mobile": "mobile",
    "TollFree": "tollfree",
    "National": "national",
    "Voip": "voip",
    "SharedCost": "shared cost",
    "MachineToMachine": "machine to machine",
}


class PretendTwilio:
    """One account, its numbers, and what can be bought. Not thread-safe: the world calls it under its lock."""

    def __init__(
        self,
        *,
        tables: Tables,
        stock: Stock,
        account_sid: str,
        auth_token: str,
        api_keys: Mapping[str, str],
        policies: Mapping[str, Any],
        new_hex: Callable[[], str],
        record: Callable[..., None],
    ) -> None:
        self._numbers = tables["numbers"]
        self._released = tables["released"]
        self._taken = tables["taken"]
        self._sold_out = tables["sold_out"]
        self._account = tables["account"]
        self._stock = stock
        self._sid = account_sid
        self._token = auth_token
        self._keys = dict(api_keys)
        self._policies = policies
        self._new_hex = new_hex
        self._record = record
        self._searches = 0
        self._named = tables.index("numbers", lambda number: str(number["friendly_name"]))
        self._numbered = tables.index("numbers", lambda number: str(number["phone_number"]))
        self._still_listed = tables.index("released", lambda number: "yes" if "listed_until_ms" in number else "no")
        everything = (*self._numbers.values(), *self._released.values())
        self._order = max((record["order"] for record in everything), default=0)
        self._by_number = {record["phone_number"]: sid for sid, record in self._numbers.items()}
        self.addresses = PretendAddresses(tables, account_sid, new_hex, record, self.numbers)
        self.papers = PretendPapers(tables, account_sid, stock, self.addresses, new_hex, record)
        if "account" not in self._account:
            self._account["account"] = {"status": "active", "type": "Full", "since_ms": 0}

    # What a request is, before anything happens: fault scripts and holds go by this name.

    def operation(self, method: str, path: str) -> str | None:
        """`twilio.buy`, `twilio.search`, …; None when the path is none of Twilio's."""
        if not path.startswith(ROOT):
            return self.papers.operation(method, path)
        parts = path[len(ROOT) :].removesuffix(".json").split("/")
        if len(parts) == 1:
            return "twilio.account"
        if parts[1] == "AvailablePhoneNumbers":
            return "twilio.search"
        if parts[1] == "Addresses":
            return self.addresses.operation(method, parts[2:])
        if parts[1] != "IncomingPhoneNumbers":
            return "twilio.account"
        if len(parts) == 2 or parts[2] in _TYPES:
            return "twilio.buy" if method == "POST" else "twilio.list"
        return {"POST": "twilio.update", "DELETE": "twilio.release"}.get(method, "twilio.fetch")

    def answer(
        self, method: str, path: str, params: Mapping[str, str], authorization: str, now_ms: int, lag_ms: int = 0
    ) -> Answer:
        """Status and body of one request. lag_ms: for how long lists do not show what this request did."""
        by_key = self._user(authorization)
        if by_key is None:
            return fault(401, 20003, "Authenticate")
        if not path.startswith(ROOT):
            return self.papers.answer(method, path, params, now_ms)
        if self._account["account"]["status"] != "active":
            return fault(403, 20403, f"Account {self._sid} is suspended")
        if not path.endswith(".json"):
            return self._not_found(path)
        parts = path[len(ROOT) : -5].split("/")
        if parts[0] != self._sid:
            return self._not_found(path)
        match method, parts[1:]:
            case "GET", []:
                # Keys other than the main one cannot open /Accounts (Twilio docs, "API keys overview").
                return fault(401, 20003, "Authenticate") if by_key else (200, self._account_answer())
            case "GET", ["Balance"]:
                return 200, {"account_sid": self._sid, "balance": "100.00", "currency": "USD"}
            case "GET", ["AvailablePhoneNumbers", *rest]:
                return self._available(path, rest, params)
            case "POST", ["IncomingPhoneNumbers", *kind] if not kind or kind[0] in _TYPES:
                return self._buy(_TYPES[kind[0]] if kind else None, params, now_ms, lag_ms)
            case "GET", ["IncomingPhoneNumbers", *kind] if not kind or kind[0] in _TYPES:
                return self._list(path, _TYPES[kind[0]] if kind else None, params, now_ms)
            case _, ["IncomingPhoneNumbers", sid]:
                return self._one(method, path, sid, params, now_ms, lag_ms)
            case _, ["Addresses", *rest]:
                return self.addresses.answer(method, path, rest, params, now_ms, lag_ms)
        return self._not_found(path)

    # For the rest of the world.

    def numbers(self) -> Iterable[Record]:
        return self._numbers.values()

    def is_free(self, number: str) -> bool:
        is_nobodys = number not in self._by_number and number not in self._taken
        return is_nobodys and not (self._sold_out and number.startswith(tuple(self._sold_out)))

    def sell_out(self, prefix: str) -> None:
        """Nobody can buy a number that begins so any more."""
        self._sold_out[prefix] = {}

    def take(self, number: str) -> None:
        """Somebody else buys this number first, unless it is ours already."""
        if self.is_free(number):
            self._taken[number] = {}

    def put(self, number: str, fields: Record, now_ms: int) -> Record:
        """Place a number in the account without a purchase: somebody else's, or one from before."""
        offer = self._stock.find(number)
        kind = offer.number_type if offer else "local"
        record = self._new(number, kind, offer, now_ms)
        record.update(fields)
        self._keep(record)
        return record

    def remove(self, sid: str, now_ms: int) -> bool:
        """The number leaves the account, as when somebody releases it in Twilio's console."""
        record = self._numbers.get(sid)
        if record is None:
            return False
        del self._numbers[sid]
        del self._by_number[record["phone_number"]]
        self._released[sid] = {**record, "released_at_ms": now_ms}
        # A released number rests before anybody can buy it again.
        self._taken[record["phone_number"]] = {"released": True}
        return True

    def route(self, number: str, account_sid: str, secrets: tuple[str, ...], urls: Record) -> bool:
        """Point a number at somebody else's URLs with the account's credentials; False when they do not own it."""
        token, key, secret = secrets
        sid = self._by_number.get(number)
        opens = token == self._token or (key in self._keys and self._keys[key] == secret)
        if account_sid != self._sid or sid is None or not opens:
            return False
        self._numbers[sid] = {**self._numbers[sid], **urls}
        return True

    # The answers.

    def _user(self, authorization: str) -> bool | None:
        """Whether the caller is an API key; None when nobody we know."""
        kind, _, encoded = authorization.partition(" ")
        try:
            user, _, password = base64.b64decode(encoded).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        if kind.lower() != "basic":
            return None
        if (user, password) == (self._sid, self._token):
            return False
        return True if user in self._keys and self._keys[user] == password else None

    def _not_found(self, path: str) -> Answer:
        return fault(404, 20404, f"The requested resource {path} was not found")

    def _account_answer(self) -> Record:
        account, uri = self._account["account"], f"{ROOT}{self._sid}"
        names = ("available_phone_numbers", "incoming_phone_numbers", "addresses", "balance", "calls", "keys")
        pages = {name: f"{uri}/{name.title().replace('_', '')}.json" for name in names}
        return {
            "auth_token": self._token,
            "date_created": rfc2822(account["since_ms"]),
            "date_updated": rfc2822(account["since_ms"]),
            "friendly_name": "Pretend account",
            "owner_account_sid": self._sid,
            "sid": self._sid,
            "status": account["status"],
            "subresource_uris": pages,
            "type": account["type"],
            "uri": f"{uri}.json",
        }

    def _available(self, path: str, rest: list[str], params: Mapping[str, str]) -> Answer:
        if not rest:
            countries = [self._country(code) for code in self._stock.countries]
            return 200, {"countries": countries, "uri": path}
        if rest[0] not in self._stock.countries:
            return self._not_found(path)
        if len(rest) == 1:
            return 200, self._country(rest[0])
        kind = _TYPES.get(rest[1])
        if kind is None or kind not in self._stock.number_types(rest[0]):
            return self._not_found(path)
        limit = page_size(params)
        if limit is None:
            return fault(400, 20007, "Page size too large")
        self._searches += 1
        try:
            offers = self._stock.search(rest[0], kind, params, limit, self._searches, self.is_free)
            if kind == "local" and self._policies["national_among_local"]:
                # Reported of South Africa: 087 numbers are found as local ones, and bought with national papers only.
                odd = self._stock.search(rest[0], "national", params, limit // 2, self._searches, self.is_free)
                offers = [*odd, *offers][:limit]
        except ValueError:
            return fault(400, 20422, "Invalid parameter in the search")
        return 200, {
            "available_phone_numbers": [offered_number(offer) for offer in offers],
            "uri": uri_of(path, params),
        }

    def _country(self, code: str) -> Record:
        uri = f"{ROOT}{self._sid}/AvailablePhoneNumbers/{code}"
        names = {kind: name for name, kind in _TYPES.items()}
        kinds = {
            re.sub(r"(?<!^)([A-Z])", r"_\1", names[kind]).lower(): f"{uri}/{names[kind]}.json"
            for kind in self._stock.number_types(code)
        }
        return {
            "beta": False,
            "country": self._stock.countries[code],
            "country_code": code,
            "subresource_uris": kinds,
            "uri": f"{uri}.json",
        }

    def _buy(self, kind: str | None, params: Mapping[str, str], now_ms: int, lag_ms: int) -> Answer:
        number = params.get("PhoneNumber", "")
        if len(params.get("FriendlyName", "")) > 64:
            return fault(400, 20422, "FriendlyName must be at most 64 characters")
        if not number and params.get("AreaCode"):
            chosen = self._by_area(params["AreaCode"])
            if not isinstance(chosen, str):
                return chosen
            number = chosen
        # The magic numbers of Twilio's test credentials ("Test Credentials" page).
        if number == "+15005550000":
            return fault(400, 21422, f"{number} is not available.")
        if not self._stock.is_number(number):
            return fault(400, 21421, f"{number} is not a valid number")
        if number in self._by_number:
            return self._buy_again(number, params, now_ms)
        offer = self._stock.find(number)
        if offer is None or not self.is_free(number):
            return fault(400, 21422, f"{number} is not available.")
        if kind is not None and offer.number_type != kind:
            return fault(400, 21458 if kind == "tollfree" else 21457, f"{number} is not a {kind} number")
        refused = self.papers.missing(offer, params, now_ms)
        if refused is not None:
            return refused
        record = self._new(number, offer.number_type, offer, now_ms)
        record["listed_from_ms"] = now_ms + lag_ms
        self._set(record, params)
        self._keep(record)
        self._record("bought", number=number, sid=record["sid"], tag=record["friendly_name"], country=offer.country)
        return 201, public_number(record)

    def _buy_again(self, number: str, params: Mapping[str, str], now_ms: int) -> Answer:
        if self._policies["buy_owned"] != "update":
            return fault(400, 21422, f"{number} is not available.")
        record = dict(self._numbers[self._by_number[number]])
        was = record["friendly_name"]
        self._set(record, params)
        record["updated_ms"] = now_ms
        self._keep(record)
        self._record("bought_again", number=number, sid=record["sid"], tag=record["friendly_name"], was=was)
        return 201, public_number(record)

    def _by_area(self, code: str) -> str | Answer:
        if not self._stock.knows_area(code):
            return fault(400, 21451, f"{code} is not a valid area code")
        self._searches += 1
        for country in ("US", "CA"):
            offers = self._stock.search(country, "local", {"AreaCode": code}, 1, self._searches, self.is_free)
            if offers:
                return str(offers[0].number)
        return fault(400, 21452, f"No phone numbers found in area code {code}")

    def _list(self, path: str, kind: str | None, params: Mapping[str, str], now_ms: int) -> Answer:
        size = page_size(params)
        if size is None:
            return fault(400, 20007, "Page size too large")
        records = [r for r in self._perhaps(params) if r["listed_from_ms"] <= now_ms]
        records += [r for r in self._still_listed.exact("yes") if r["listed_until_ms"] > now_ms]
        if params.get("FriendlyName"):
            records = [r for r in records if r["friendly_name"] == params["FriendlyName"]]
        if params.get("PhoneNumber"):
            pattern = partial_number(params["PhoneNumber"])
            records = [r for r in records if pattern.search(r["phone_number"])]
        if kind is not None:
            records = [r for r in records if r["type"] == kind]
        if params.get("Beta", "").lower() == "false":
            records = [r for r in records if not r["beta"]]
        if params.get("Origin"):
            records = [r for r in records if r["origin"] == params["Origin"]]
        records.sort(key=lambda r: r["order"], reverse=True)
        return 200, page_of("incoming_phone_numbers", path, params, size, records, public_number)

    def _perhaps(self, params: Mapping[str, str]) -> Iterable[Record]:
        """All numbers that can match, and few others: tens of thousands must not make a look slow."""
        if params.get("FriendlyName"):
            return self._named.exact(params["FriendlyName"])
        number = params.get("PhoneNumber", "")
        if number.startswith("+") and number[1:].isdigit():
            return self._numbered.starting(number)
        return self._numbers.values()

    def _one(self, method: str, path: str, sid: str, params: Mapping[str, str], now_ms: int, lag_ms: int) -> Answer:
        record = self._numbers.get(sid)
        if record is None:
            return self._not_found(path)
        if method == "GET":
            return 200, public_number(record)
        if method == "DELETE":
            if record["emergency_status"] == "Active":
                return fault(400, 21631, "The emergency address must be removed first")
            self.remove(sid, now_ms)
            if lag_ms:
                self._released[sid] = {**self._released[sid], "listed_until_ms": now_ms + lag_ms}
            self._record("released", number=record["phone_number"], sid=sid, tag=record["friendly_name"])
            return 204, None
        if method != "POST":
            return fault(405, 20004, "Method not allowed")
        if len(params.get("FriendlyName", "")) > 64:
            return fault(400, 20422, "FriendlyName must be at most 64 characters")
        changed = dict(record)
        self._set(changed, params)
        changed["updated_ms"] = now_ms
        self._keep(changed)
        self._record("updated", number=record["phone_number"], sid=sid, tag=changed["friendly_name"])
        return 200, public_number(changed)

    def _new(self, number: str, kind: str, offer: Offer | None, now_ms: int) -> Record:
        self._order += 1
        return new_number(f"PN{self._new_hex()}", self._sid, number, kind, offer, now_ms, self._order)

    def _set(self, record: Record, params: Mapping[str, str]) -> None:
        for name, field in FIELDS.items():
            if name in params:
                value: str | None = params[name]
                record[field] = None if value == "" and field.endswith("_sid") else value
        if "VoiceCallerIdLookup" in params:
            record["voice_caller_id_lookup"] = params["VoiceCallerIdLookup"].lower() == "true"

    def _keep(self, record: Record) -> None:
        self._numbers[record["sid"]] = record
        self._by_number[record["phone_number"]] = record["sid"]
