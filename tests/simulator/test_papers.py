"""Addresses, bundles and prices at the pretend Twilio, and what is refused without them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gateway.simulator.world import World
from tests.simulator.pretend import ACCOUNT, Caller, StillClock, code

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


# --- addresses that are looked at ------------------------------------------------------------------------------------

GOOD = {
    "AT": "1010", "AU": "2000", "BR": "01310-100", "DE": "10115", "ES": "28001", "FR": "75001", "GB": "SW1A 1AA",
    "IE": "D02 AF30", "IT": "00184", "LU": "L-1009", "MX": "06600", "NL": "1012 AB", "PL": "00-001",
}  # fmt: skip


@pytest.mark.parametrize("country", GOOD)
def test_an_address_of_a_country_that_is_looked_at_must_be_a_real_one(call: Caller, country: str) -> None:
    address = ADDRESS | {"IsoCountry": country, "PostalCode": GOOD[country]}

    made = call.twilio("POST", ADDRESSES, **address)

    assert made.status_code == 201
    assert made.json()["validated"] is True
    assert code(call.twilio("POST", ADDRESSES, **(address | {"PostalCode": "nowhere"}))) == (400, 21628)
    assert code(call.twilio("POST", ADDRESSES, **(address | {"Street": "PO Box 12"}))) == (400, 21628)


def test_an_address_anywhere_else_is_taken_as_it_is(call: Caller) -> None:
    made = call.twilio("POST", ADDRESSES, **(ADDRESS | {"PostalCode": "nowhere", "Street": "PO Box 12"})).json()

    assert (made["validated"], made["street"]) == (False, "PO Box 12")


def test_another_spelling_is_suggested_or_silently_taken_as_the_caller_says(call: Caller) -> None:
    short = ADDRESS | {"IsoCountry": "GB", "PostalCode": "SW1A 1AA", "Street": "10 Downing St", "City": "london"}

    suggested = call.twilio("POST", ADDRESSES, **short, AutoCorrectAddress="false")
    corrected = call.twilio("POST", ADDRESSES, **short)

    assert code(suggested) == (400, 21629)
    assert "10 Downing Street, SW1A 1AA London" in suggested.json()["message"]
    assert (corrected.json()["street"], corrected.json()["city"]) == ("10 Downing Street", "London")


def test_an_address_can_be_changed_and_says_which_numbers_use_it(call: Caller) -> None:
    sid = call.twilio("POST", ADDRESSES, **ADDRESS).json()["sid"]
    number = search(call, "ZA")
    call.buy(number, AddressSid=sid)

    changed = call.twilio("POST", f"{ACCOUNT}/Addresses/{sid}.json", Street="2 Main Street")
    users = call.twilio("GET", f"{ACCOUNT}/Addresses/{sid}/DependentPhoneNumbers.json").json()

    assert (changed.status_code, changed.json()["street"]) == (200, "2 Main Street")
    assert [one["phone_number"] for one in users["dependent_phone_numbers"]] == [number]


def test_somebody_at_the_console_changes_and_removes_an_address(call: Caller) -> None:
    sid = call.twilio("POST", ADDRESSES, **ADDRESS).json()["sid"]
    path = f"{ACCOUNT}/Addresses/{sid}.json"

    call.world("POST", f"/addresses/{sid}", {"city": "Durban"})
    assert call.twilio("GET", path).json()["city"] == "Durban"
    call.world("DELETE", f"/addresses/{sid}")

    assert code(call.twilio("GET", path)) == (404, 20404)


def test_a_list_may_be_late_with_an_address(call: Caller, world: World, clock: StillClock) -> None:
    world.add_fault({"operation": "twilio.register", "kind": "list_lag", "seconds": 30})
    call.twilio("POST", ADDRESSES, **ADDRESS)

    early = call.twilio("GET", ADDRESSES).json()["addresses"]
    clock.advance(30)

    assert (len(early), len(call.twilio("GET", ADDRESSES).json()["addresses"])) == (0, 1)


# --- bundles over time -----------------------------------------------------------------------------------------------


def status(call: Caller, sid: str) -> str:
    return str(call.twilio("GET", f"{BUNDLES}/{sid}").json()["status"])


def test_a_bundle_is_looked_at_and_decided_over_time(call: Caller, clock: StillClock) -> None:
    script = {"status": "draft", "then": [[10, "pending-review"], [20, "in-review"], [30, "twilio-approved"]]}
    sid = call.world("POST", "/bundles", {"iso_country": "GB", **script})["sid"]

    seen = [status(call, sid)]
    for _ in range(3):
        clock.advance(10)
        seen.append(status(call, sid))

    assert seen == ["draft", "pending-review", "in-review", "twilio-approved"]
    assert call.twilio("GET", BUNDLES, Status="twilio-approved").json()["results"][0]["sid"] == sid


def test_a_reviewer_decides_and_what_was_to_come_no_longer_counts(call: Caller, clock: StillClock) -> None:
    sid = call.world("POST", "/bundles", {"status": "in-review", "then": [[60, "twilio-approved"]]})["sid"]

    call.world("POST", f"/bundles/{sid}", {"status": "twilio-rejected"})
    clock.advance(120)

    assert status(call, sid) == "twilio-rejected"


def test_an_approval_runs_out(call: Caller, clock: StillClock) -> None:
    sid = call.world("POST", "/bundles", {"valid_until": "2026-11-22T09:57:09Z"})["sid"]

    before = status(call, sid)
    clock.advance(60)

    assert (before, status(call, sid)) == ("twilio-approved", "twilio-rejected")


def test_a_bundle_is_gone_when_somebody_removes_it(call: Caller) -> None:
    sid = call.world("POST", "/bundles", {})["sid"]

    call.world("DELETE", f"/bundles/{sid}")

    assert code(call.twilio("GET", f"{BUNDLES}/{sid}")) == (404, 20404)


@pytest.mark.parametrize("fields", [{"status": "fine"}, {"then": [[1, "fine"]]}, {"valid_until": "soon"}])
def test_a_bundle_that_makes_no_sense_is_not_made(call: Caller, fields: dict[str, object]) -> None:
    assert "error" in call.world("POST", "/bundles", fields)


def test_the_world_begins_with_a_south_african_bundle_that_takes_a_day(call: Caller, clock: StillClock) -> None:
    found = call.twilio("GET", BUNDLES, IsoCountry="ZA", NumberType="national").json()["results"]
    clock.advance(86_400)

    assert [one["status"] for one in found] == ["pending-review"]
    assert status(call, found[0]["sid"]) == "twilio-approved"


# --- what each kind wants --------------------------------------------------------------------------------------------


def test_a_south_african_national_number_needs_a_bundle_of_its_own_kind(call: Caller) -> None:
    number = search(call, "ZA", "National")
    address = call.twilio("POST", ADDRESSES, **ADDRESS).json()["sid"]
    sids = {
        kind: call.world("POST", "/bundles", {"iso_country": "ZA", "number_type": kind})["sid"]
        for kind in ("local", "national")
    }

    assert code(call.buy(number, AddressSid=address)) == (400, 21649)
    assert code(call.buy(number, AddressSid=address, BundleSid=sids["local"])) == (400, 21649)
    assert call.buy(number, AddressSid=address, BundleSid=sids["national"]).status_code == 201


def test_national_numbers_may_be_found_among_local_ones_and_want_national_papers(call: Caller) -> None:
    call.world("POST", "/policies", {"national_among_local": True})
    path = f"{ACCOUNT}/AvailablePhoneNumbers/ZA/Local.json"
    found = [one["phone_number"] for one in call.twilio("GET", path).json()["available_phone_numbers"]]
    odd = next(number for number in found if number.startswith("+2787"))
    address = call.twilio("POST", ADDRESSES, **ADDRESS).json()["sid"]

    assert any(number.startswith("+2711") for number in found)
    assert code(call.buy(odd, AddressSid=address)) == (400, 21649)


def test_an_address_at_home_is_not_one_abroad(call: Caller) -> None:
    number = search(call, "IL")
    sids = {
        country: call.twilio("POST", ADDRESSES, **(ADDRESS | {"IsoCountry": country})).json()["sid"]
        for country in ("IL", "ZA")
    }

    assert code(call.buy(number, AddressSid=sids["IL"])) == (400, 21631)
    assert call.buy(number, AddressSid=sids["ZA"]).status_code == 201


def test_only_kinds_that_need_a_bundle_have_a_regulation_and_it_says_what_is_wanted(call: Caller) -> None:
    path = "/v2/RegulatoryCompliance/Regulations"
    national = call.twilio("GET", path, IsoCountry="ZA", NumberType="national", EndUserType="business").json()
    toll_free = call.twilio("GET", path, IsoCountry="GB", NumberType="toll-free", EndUserType="business").json()

    wanted = national["results"][0]["requirements"]
    assert [one["name"] for one in wanted["end_user"]] == ["Business"]
    assert [one["name"] for group in wanted["supporting_document"] for one in group] == ["Address"]
    assert toll_free["results"][0]["requirements"]["supporting_document"] == []
    assert call.twilio("GET", path, IsoCountry="US").json()["results"] == []
    sid = national["results"][0]["sid"]
    assert call.twilio("GET", f"{path}/{sid}").json() == national["results"][0]
    assert code(call.twilio("GET", f"{path}/RN{'0' * 32}")) == (404, 20404)


def test_nothing_is_for_sale_where_everything_is_sold_out(call: Caller) -> None:
    call.world("POST", "/sold_out", {"prefix": "+1305"})
    path = f"{ACCOUNT}/AvailablePhoneNumbers/US/Local.json"

    assert call.twilio("GET", path, AreaCode="305").json()["available_phone_numbers"] == []
    near = call.twilio("GET", path, NearNumber="+13055550100").json()["available_phone_numbers"]
    assert {one["phone_number"][:5] for one in near} == {"+1786"}
    assert {one["region"] for one in near} == {"FL"}


# --- pages -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "key", "params"),
    [
        (BUNDLES, "results", {}),
        ("/v2/RegulatoryCompliance/Regulations", "results", {"EndUserType": "business"}),
        ("/v1/PhoneNumbers/Countries", "countries", {}),
    ],
    ids=["bundles", "regulations", "countries"],
)
def test_lists_of_the_newer_apis_come_in_pages_that_name_the_next_one(
    call: Caller, path: str, key: str, params: dict[str, str]
) -> None:
    for _ in range(4):
        call.world("POST", "/bundles", {})
    whole = call.twilio("GET", path, **params, PageSize="1000").json()[key]

    pages = [call.twilio("GET", path, **params, PageSize="2").json()]
    while pages[-1]["meta"]["next_page_url"]:
        pages.append(call.twilio("GET", pages[-1]["meta"]["next_page_url"].partition(".com")[2]).json())
    back = call.twilio("GET", pages[-1]["meta"]["previous_page_url"].partition(".com")[2]).json()

    assert [one for page in pages for one in page[key]] == whole
    assert [page["meta"]["page"] for page in pages] == list(range(len(pages)))
    assert back[key] == pages[-2][key]
    assert code(call.twilio("GET", path, PageSize="1001")) == (400, 20007)
