"""Twilio's paperwork: addresses, regulatory bundles, regulations. The port `PaperOffice` in Twilio's dialect.

Paths, fields and answers: Twilio OpenAPI `twilio_api_v2010.json` (addresses) and `twilio_numbers_v2.json` (the rest),
2026-04-14. A bundle does not say which kind of number it is for; the regulation it was made for does.
"""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import quote

import msgspec

from gateway.integrations.answers import Operation, doubt, refusal
from gateway.integrations.http import Api, Http, Params, encoded
from gateway.integrations.twilio.complaints import read_complaint
from gateway.integrations.twilio.pages import next_page, origin_of, read_pages
from gateway.ports import Bundle, Deadline, PostalAddress, RegisteredAddress, Regulation

ADDRESS_SID = re.compile(r"AD[0-9a-fA-F]{32}")
BUNDLE_SID = re.compile(r"BU[0-9a-fA-F]{32}")
REGULATION_SID = re.compile(r"RN[0-9a-fA-F]{32}")
COUNTRY = re.compile(r"[A-Z]{2}")
APPROVED = "twilio-approved"
# In these newer APIs toll free has a hyphen.
NAMED = {"local": "local", "mobile": "mobile", "toll_free": "toll-free", "national": "national"}
NUMBERS = "https://numbers.twilio.com"
MOST_REQUIREMENTS = 20
MOST_CHARACTERS = 80


class _Address(msgspec.Struct):
    sid: Annotated[str, msgspec.Meta(pattern=r"^AD[0-9a-fA-F]{32}\Z")]
    iso_country: str
    customer_name: str | None = None
    street: str | None = None
    city: str | None = None
    region: str | None = None
    postal_code: str | None = None
    friendly_name: str | None = None
    validated: bool | None = None

    def registered(self) -> RegisteredAddress:
        address = PostalAddress(
            customer_name=self.customer_name or "",
            street=self.street or "",
            city=self.city or "",
            region=self.region or "",
            postal_code=self.postal_code or "",
            country=self.iso_country,
        )
        return RegisteredAddress(self.sid, address, self.friendly_name or "", bool(self.validated))


class _Addresses(msgspec.Struct):
    addresses: list[_Address]
    next_page_uri: str | None = None


class _Meta(msgspec.Struct):
    next_page_url: str | None = None


class _Bundle(msgspec.Struct):
    sid: Annotated[str, msgspec.Meta(pattern=r"^BU[0-9a-fA-F]{32}\Z")]
    status: str
    regulation_sid: str | None = None
    valid_until: datetime | None = None

    def told(self, country: str, number_type: str) -> Bundle:
        until = self.valid_until
        if until is not None and until.tzinfo is None:
            until = until.replace(tzinfo=UTC)
        until_ms = None if until is None else round(until.timestamp() * 1000)
        return Bundle(self.sid, country, number_type, self.status, self.status == APPROVED, until_ms)


class _Bundles(msgspec.Struct):
    results: list[_Bundle]
    meta: _Meta


class _Named(msgspec.Struct):
    name: str = ""


class _Wanted(msgspec.Struct):
    """One thing that a regulation wants: an end user, or a document of one of several kinds."""

    name: str = ""
    accepted_documents: list[_Named] = []

    def shown(self) -> str:
        kinds = [_plain(kind.name) for kind in self.accepted_documents[:4]]
        named = [kind for kind in kinds if kind and kind != _plain(self.name)]
        return f"{_plain(self.name)} ({' or '.join(named)})" if named else _plain(self.name)


class _Requirements(msgspec.Struct):
    end_user: list[_Wanted] = []
    supporting_document: list[list[_Wanted]] = []


class _Regulation(msgspec.Struct):
    iso_country: str | None = None
    number_type: str | None = None
    requirements: _Requirements | None = None


class _Regulations(msgspec.Struct):
    results: list[_Regulation]
    meta: _Meta


class TwilioPapers:
    """The papers of one Twilio account. `username` is the account's SID with its auth token, or an API key."""

    provider = "twilio"

    def __init__(
        self, http: Http, *, base_url: str, numbers_base_url: str, account_sid: str, username: str, password: str
    ) -> None:
        token = base64.b64encode(f"{username}:{password}".encode()).decode()
        headers = {"Authorization": f"Basic {token}"}

        def api(url: str) -> Api:
            return Api(http, provider=self.provider, base_url=url, headers=headers, complaint=read_complaint)

        self._api = api(base_url)
        self._papers = api(numbers_base_url)
        self._origins = (origin_of(base_url),)
        self._paper_origins = (origin_of(numbers_base_url), NUMBERS)
        self._addresses = f"/2010-04-01/Accounts/{quote(account_sid, safe='')}/Addresses"
        # What a regulation is about never changes: regulation SID -> (country, number type).
        self._kinds: dict[str, tuple[str, str]] = {}

    def list_addresses(
        self, deadline: Deadline, *, country: str | None = None, tag: str | None = None
    ) -> list[RegisteredAddress]:
        """Every address on file, newest first; filters are compared again here."""
        operation = Operation(self.provider, "list_addresses", writes=False)
        given: Params = [(name, value) for name, value in (("FriendlyName", tag), ("IsoCountry", country)) if value]
        found: dict[str, RegisteredAddress] = {}

        def read(target: str) -> str | None:
            page = self._api.read("list_addresses", target, deadline, _Addresses)
            found.update((record.sid, record.registered()) for record in page.addresses)
            return next_page(operation, page.next_page_uri, self._origins)

        read_pages(operation, f"{self._addresses}.json?{encoded([*given, ('PageSize', '200')])}", read)
        return [each for each in found.values() if tag in (None, each.tag) and country in (None, each.address.country)]

    def fetch_address(self, sid: str, deadline: Deadline) -> RegisteredAddress | None:
        """One address by its SID; None when Twilio says that there is none."""
        operation = Operation(self.provider, "fetch_address", writes=False)
        if not ADDRESS_SID.fullmatch(sid):
            raise refusal(operation, "this is not the SID of an address; nothing was sent")
        record = self._api.read_or_none("fetch_address", f"{self._addresses}/{sid}.json", deadline, _Address)
        if record is not None and record.sid != sid:
            raise doubt(operation, "Twilio answered about another address")
        return record.registered() if record is not None else None

    def register_address(self, address: PostalAddress, tag: str, deadline: Deadline) -> RegisteredAddress:
        """Put an address on file exactly as given; one attempt.

        AutoCorrectAddress is off: Twilio may refuse (21628) or suggest another spelling (21629), never change it.
        """
        operation = Operation(self.provider, "register_address", writes=True)
        form = [
            ("CustomerName", address.customer_name),
            ("Street", address.street),
            ("City", address.city),
            ("Region", address.region),
            ("PostalCode", address.postal_code),
            ("IsoCountry", address.country),
            ("FriendlyName", tag),
            ("AutoCorrectAddress", "false"),
        ]
        path = f"{self._addresses}.json"
        record = self._api.write("register_address", "POST", path, deadline, _Address, status=201, form=form)
        if record.friendly_name != tag or record.iso_country != address.country:
            raise doubt(operation, "Twilio answered about another address", 201)
        return record.registered()

    def fetch_bundle(self, sid: str, deadline: Deadline) -> Bundle | None:
        """One bundle as it is now, None when Twilio says that there is none.

        Its country and number type are empty where Twilio does not say for which regulation it was made.
        """
        operation = Operation(self.provider, "fetch_bundle", writes=False)
        if not BUNDLE_SID.fullmatch(sid):
            raise refusal(operation, "this is not the SID of a bundle; nothing was sent")
        path = f"/v2/RegulatoryCompliance/Bundles/{sid}"
        record = self._papers.read_or_none("fetch_bundle", path, deadline, _Bundle)
        if record is None:
            return None
        if record.sid != sid:
            raise doubt(operation, "Twilio answered about another bundle")
        return record.told(*self._kind_of(record.regulation_sid, deadline))

    def list_bundles(self, country: str, number_type: str, deadline: Deadline) -> list[Bundle]:
        """Every bundle for this kind of number, whatever its status."""
        operation = Operation(self.provider, "list_bundles", writes=False)
        query = self._kind(operation, country, number_type)
        found: dict[str, Bundle] = {}

        def read(target: str) -> str | None:
            page = self._papers.read("list_bundles", target, deadline, _Bundles)
            found.update((record.sid, record.told(country, number_type)) for record in page.results)
            return next_page(operation, page.meta.next_page_url, self._paper_origins)

        read_pages(operation, f"/v2/RegulatoryCompliance/Bundles?{encoded(query)}", read)
        return list(found.values())

    def regulation(self, country: str, number_type: str, deadline: Deadline) -> Regulation | None:
        """What this kind of number wants of a business; None when Twilio does not say what it wants.

        Where Twilio has no regulation for this kind, nothing has to be shown.
        """
        operation = Operation(self.provider, "regulation", writes=False)
        query = [*self._kind(operation, country, number_type), ("EndUserType", "business")]
        found: list[_Regulation] = []

        def read(target: str) -> str | None:
            page = self._papers.read("regulation", target, deadline, _Regulations)
            found.extend(page.results)
            return next_page(operation, page.meta.next_page_url, self._paper_origins)

        read_pages(operation, f"/v2/RegulatoryCompliance/Regulations?{encoded(query)}", read)
        fitting = [each for each in found if (each.iso_country, _ours(each.number_type)) == (country, number_type)]
        told = [each.requirements for each in fitting if each.requirements is not None]
        if fitting and not told:
            return None
        wanted = [each.shown() for requirements in told for each in _all_of(requirements)]
        names = tuple(dict.fromkeys(name for name in wanted if name))[:MOST_REQUIREMENTS]
        return Regulation(country, number_type, needs_bundle=bool(wanted), requirements=names)

    def _kind(self, operation: Operation, country: str, number_type: str) -> list[tuple[str, str]]:
        if not COUNTRY.fullmatch(country) or number_type not in NAMED:
            raise refusal(operation, "the country or the number type is not one that Twilio has papers for")
        return [("IsoCountry", country), ("NumberType", NAMED[number_type]), ("PageSize", "200")]

    def _kind_of(self, regulation_sid: str | None, deadline: Deadline) -> tuple[str, str]:
        if regulation_sid is None or not REGULATION_SID.fullmatch(regulation_sid):
            return "", ""
        known = self._kinds.get(regulation_sid)
        if known is not None:
            return known
        path = f"/v2/RegulatoryCompliance/Regulations/{regulation_sid}"
        record = self._papers.read_or_none("fetch_bundle", path, deadline, _Regulation)
        if record is None or not record.iso_country:
            return "", ""
        kind = self._kinds[regulation_sid] = (record.iso_country, _ours(record.number_type))
        return kind


def _ours(number_type: str | None) -> str:
    """A number type as we write it."""
    word = re.sub(r"[ -]", "_", (number_type or "").lower())
    return "toll_free" if word == "tollfree" else word


def _all_of(requirements: _Requirements) -> list[_Wanted]:
    return [*requirements.end_user, *(each for group in requirements.supporting_document for each in group)]


def _plain(name: str) -> str:
    """A name of theirs that may stand in a sentence of ours: short, on one line."""
    return "".join(letter for letter in name if letter.isprintable())[:MOST_CHARACTERS].strip()
