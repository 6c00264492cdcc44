"""Addresses, bundles and prices at the pretend Twilio, and what is refused without them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gateway.simulator.world import World
from tests.simulator.pretend import ACCOUNT, Caller, code

ADDRESSES = f"{ACCOUNT}/Addresses.json"
BUNDLES = "/v2/RegulatoryCompliance/Bundles"
ADDRESS = {
    "CustomerName": "Acme",
    "Street": "1 Main Street",
    "City": "Cape Town",
    "Region": "Western Cape",
    "PostalCode": "8001",
    "IsoCountry": "ZA",
    "FriendlyName": "rf:test:a:1",
}
ADDRESS_FIELDS = {
    "account_sid",
    "city",
    "customer_name",
    "date_created",
    "date_updated",
    "friendly_name",
    "iso_country",
    "postal_code",
    "region",
    "sid",
    "street",
    "uri",
    "emergency_enabled",
    "validated",
    "verified",
    "street_secondary",
}


def search(call: Caller, country: str, kind: str = "Local") -> str:
    path = f"{ACCOUNT}/AvailablePhoneNumbers/{country}/{kind}.json"
    return str(call.twilio("GET", path, PageSize="1").json()["available_phone_numbers"][0]["phone_number"])


def test_an_address_is_made_found_and_read(call: Caller) -> None:
    made = call.twilio("POST", ADDRESSES, **ADDRESS)

    assert made.status_code == 201
    address = made.json()
    assert set(address) == ADDRESS_FIELDS
    assert call.twilio("GET", f"{ACCOUNT}/Addresses/{address['sid']}.json").json() == address
    assert call.twilio("GET", ADDRESSES, FriendlyName="rf:test:a:1").json()["addresses"] == [address]
    assert call.twilio("GET", ADDRESSES, FriendlyName="rf:test:b:1").json()["addresses"] == []


def test_an_address_that_lacks_a_line_is_refused(call: Caller) -> None:
    incomplete = {name: value for name, value in ADDRESS.items() if name != "City"}

    assert code(call.twilio("POST", ADDRESSES, **incomplete)) == (400, 21628)


def test_an_address_that_a_number_uses_cannot_be_removed(call: Caller) -> None:
    sid = call.twilio("POST", ADDRESSES, **ADDRESS).json()["sid"]
    call.buy(search(call, "ZA"), AddressSid=sid)

    assert code(call.twilio("DELETE", f"{ACCOUNT}/Addresses/{sid}.json")) == (400, 21630)


def test_addresses_come_newest_first_in_pages(call: Caller) -> None:
    for city in ("A", "B", "C"):
        call.twilio("POST", ADDRESSES, **(ADDRESS | {"City": city}))

    first = call.twilio("GET", ADDRESSES, PageSize="2").json()
    second = call.twilio("GET", first["next_page_uri"]).json()

    assert [a["city"] for page in (first, second) for a in page["addresses"]] == ["C", "B", "A"]
    assert second["next_page_uri"] is None


def test_a_south_african_number_needs_an_address_anywhere(world: World, call: Caller) -> None:
    number = search(call, "ZA")
    address = call.twilio("POST", ADDRESSES, **(ADDRESS | {"IsoCountry": "US"})).json()["sid"]

    assert code(call.buy(number)) == (400, 21631)
    assert code(call.buy(number, AddressSid="AD" + "0" * 32)) == (400, 21631)
    assert call.buy(number, AddressSid=address).status_code == 201
    assert len(world.purchases()) == 1


def test_a_german_number_needs_a_german_address_and_a_bundle(world: World, call: Caller) -> None:
    number = search(call, "DE")
    abroad = call.twilio("POST", ADDRESSES, **ADDRESS).json()["sid"]
    at_home = call.twilio("POST", ADDRESSES, **(ADDRESS | {"IsoCountry": "DE", "PostalCode": "10115"})).json()["sid"]
    bundle = call.world("POST", "/bundles", {"iso_country": "DE", "number_type": "local"})["sid"]

    assert code(call.buy(number)) == (400, 21631)
    assert code(call.buy(number, AddressSid=abroad)) == (400, 21615)
    assert code(call.buy(number, AddressSid=at_home)) == (400, 21649)
    assert call.buy(number, AddressSid=at_home, BundleSid=bundle).status_code == 201


@pytest.mark.parametrize(
    "bundle",
    [
        {"iso_country": "DE", "number_type": "local"},
        {"iso_country": "GB", "number_type": "mobile"},
        {"iso_country": "GB", "number_type": "local", "status": "in-review"},
    ],
    ids=["country", "type", "not approved"],
)
def test_a_bundle_that_does_not_fit_is_refused(call: Caller, bundle: dict[str, str]) -> None:
    sid = call.world("POST", "/bundles", bundle)["sid"]
    address = call.twilio("POST", ADDRESSES, **ADDRESS).json()["sid"]

    assert code(call.buy(search(call, "GB"), AddressSid=address, BundleSid=sid)) == (400, 21649)


def test_bundles_are_listed_and_read(call: Caller) -> None:
    sid = call.world("POST", "/bundles", {"iso_country": "GB", "number_type": "mobile"})["sid"]

    found = call.twilio("GET", BUNDLES, IsoCountry="GB", Status="twilio-approved").json()
    assert [bundle["sid"] for bundle in found["results"]] == [sid]
    assert found["meta"]["key"] == "results"
    assert call.twilio("GET", f"{BUNDLES}/{sid}").json()["status"] == "twilio-approved"
    assert call.twilio("GET", BUNDLES, IsoCountry="FR").json()["results"] == []
    assert code(call.twilio("GET", f"{BUNDLES}/BU{'0' * 32}")) == (404, 20404)


def test_regulations_are_told_by_country_type_and_kind_of_customer(call: Caller) -> None:
    path = "/v2/RegulatoryCompliance/Regulations"
    found = call.twilio("GET", path, IsoCountry="GB", NumberType="local", EndUserType="business").json()["results"]

    assert [(one["iso_country"], one["number_type"], one["end_user_type"]) for one in found] == [
        ("GB", "local", "business")
    ]


def test_prices_are_text_and_their_types_have_spaces(call: Caller) -> None:
    answer = call.twilio("GET", "/v1/PhoneNumbers/Countries/US").json()

    prices = {price["number_type"]: price["current_price"] for price in answer["phone_number_prices"]}
    assert answer["price_unit"] == "USD"
    assert set(prices) == {"local", "toll free"}
    assert all(isinstance(price, str) and Decimal(price) > 0 for price in prices.values())
    assert code(call.twilio("GET", "/v1/PhoneNumbers/Countries/XX")) == (404, 20404)
    countries = call.twilio("GET", "/v1/PhoneNumbers/Countries").json()
    assert {"country": "United States", "iso_country": "US", "url": answer["url"]} in countries["countries"]


def test_papers_need_credentials_too(call: Caller) -> None:
    call.twilio_auth = None

    for path in (BUNDLES, "/v1/PhoneNumbers/Countries/US", ADDRESSES):
        assert code(call.twilio("GET", path)) == (401, 20003)
