"""The calls of scripts, over answers of the test kit: what each gives back, and what it asked Twilio and Vapi for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import responses
from requests.adapters import HTTPAdapter

from gateway.domain import keys
from gateway.errors import GatewayError
from gateway.provisioner import (
    COUNTRY_CODES,
    ClientPhoneOnboarding,
    TwilioVAPIProvisioner,
    format_phone_display,
    provision_tenant_phone,
)
from gateway.provisioning.opening import Outside
from gateway.testing import (
    ADDRESSES_LIST,
    ADDRESSES_ZA,
    AVAILABLE_NUMBERS_US,
    AVAILABLE_NUMBERS_ZA,
    TWILIO_NUMBERS_LIST,
    TwilioResponses,
    VapiResponses,
    generate_available_numbers,
)
from gateway.testing.samples import ACCOUNT_SID
from gateway.testing.sandbox import EnoughSlots, ManualClock
from tests import databases

NUMBER = str(AVAILABLE_NUMBERS_US[0]["phone_number"])
ADDRESS = ("Sunny Garage", "1 Long Street", "Cape Town", "Western Cape", "8001", "ZA")


@pytest.fixture
def http() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def open_one(place: Path, clock: ManualClock) -> Iterator[Callable[..., TwilioVAPIProvisioner]]:
    made: list[TwilioVAPIProvisioner] = []

    def pause(seconds: float) -> None:
        clock.at_ms += max(1, int(seconds * 1000))

    def open_it(sid: str = ACCOUNT_SID, token: str = "token", key: str = "key", **given: Any) -> TwilioVAPIProvisioner:
        outside = Outside(clock, HTTPAdapter, EnoughSlots(), pause, 1)
        url = databases.database_url(place)
        made.append(TwilioVAPIProvisioner(sid, token, key, database_url=url, outside=outside, **given))
        return made[-1]

    yield open_it
    for each in made:
        each.close()


@pytest.fixture
def provisioner(open_one: Callable[..., TwilioVAPIProvisioner]) -> TwilioVAPIProvisioner:
    return open_one()


def asked(http: responses.RequestsMock, index: int = -1) -> dict[str, str]:
    """The query of a request."""
    query = parse_qs(urlsplit(str(http.calls[index].request.url)).query)
    return {name: values[0] for name, values in query.items()}


def form_of(request: Any) -> dict[str, list[str]]:
    return parse_qs(request.body.decode() if isinstance(request.body, bytes) else request.body)


def spare_tag(number: str) -> str:
    return keys.tag("scripts", keys.spare_key(number), 1)


# --- initialization --------------------------------------------------------------------------------------------------


def test_it_begins_without_asking_anybody(
    http: responses.RequestsMock, open_one: Callable[..., TwilioVAPIProvisioner]
) -> None:
    provisioner = open_one()

    assert provisioner.last_error is None
    assert len(http.calls) == 0


@pytest.mark.parametrize("missing", ["sid", "token", "key"])
def test_each_credential_is_needed(open_one: Callable[..., TwilioVAPIProvisioner], missing: str) -> None:
    with pytest.raises(GatewayError):
        open_one(**{missing: ""})


def test_its_own_environment_is_part_of_its_tags(open_one: Callable[..., TwilioVAPIProvisioner]) -> None:
    assert open_one(environment="notebook").environment == "notebook"


# --- search ----------------------------------------------------------------------------------------------------------


def test_a_search_gives_each_number_with_all_that_is_known(
    http: responses.RequestsMock, provisioner: TwilioVAPIProvisioner
) -> None:
    http.add(TwilioResponses.available_numbers(AVAILABLE_NUMBERS_US, "US", "Local"))

    found = provisioner.search_available_numbers("US")

    assert [each["number"] for each in found] == [each["phone_number"] for each in AVAILABLE_NUMBERS_US]
    assert set(found[0]) == {
        "number", "locality", "region", "country", "type", "capabilities", "address_requirements",
    }  # fmt: skip


def test_a_search_asks_for_area_code_digits_and_no_more_than_the_limit(
    http: responses.RequestsMock, provisioner: TwilioVAPIProvisioner
) -> None:
    http.add(TwilioResponses.available_numbers(generate_available_numbers(9, "US", "212")))

    found = provisioner.search_available_numbers("US", area_code="212", contains="555", limit=3)

    assert len(found) == 3
    assert (asked(http)["AreaCode"], asked(http)["Contains"]) == ("212", "555")


@pytest.mark.parametrize(("number_type", "path"), [("mobile", "Mobile"), ("toll_free", "TollFree")])
def test_a_search_asks_for_the_kind_of_number(
    http: responses.RequestsMock, provisioner: TwilioVAPIProvisioner, number_type: str, path: str
) -> None:
    http.add(TwilioResponses.available_numbers([]))

    assert provisioner.search_available_numbers("GB", number_type=number_type) == []
    assert f"/GB/{path}.json" in str(http.calls[0].request.url)
    assert provisioner.last_error is None


@pytest.mark.parametrize("body", [requests.ConnectTimeout("no way"), requests.ReadTimeout("slow"), OSError("gone")])
def test_a_search_that_gets_no_answer_is_empty_and_says_why(
    http: responses.RequestsMock, provisioner: TwilioVAPIProvisioner, body: Exception
) -> None:
    made = TwilioResponses.available_numbers([])
    http.add(responses.Response("GET", made.url, body=body))

    assert provisioner.search_available_numbers("US") == []
    assert "Twilio" in str(provisioner.last_error)


# --- buy -------------------------------------------------------------------------------------------------------------


def test_a_purchase_asks_for_exactly_that_number_under_its_tag(
    http: responses.RequestsMock, provisioner: TwilioVAPIProvisioner
) -> None:
    http.add(TwilioResponses.list_numbers())
    http.add(TwilioResponses.purchase_success(NUMBER, spare_tag(NUMBER)))

    answer = provisioner.buy_twilio_number(NUMBER)

    assert answer["success"] is True
    assert answer["phone_number"] == NUMBER
    assert answer["sid"].startswith("PN")
    form = parse_qs(
        str(http.calls[-1].request.body, "ascii") if isinstance(http.calls[-1].request.body, bytes) else ""
    )
    assert (form["PhoneNumber"], form["FriendlyName"]) == ([NUMBER], [spare_tag(NUMBER)])


def test_a_purchase_that_is_refused_says_so_and_buys_no_other(
    http: responses.RequestsMock, provisioner: TwilioVAPIProvisioner
) -> None:
    http.add(TwilioResponses.list_numbers())
    http.add(TwilioResponses.purchase_error(21422))

    answer = provisioner.buy_twilio_number(NUMBER)

    assert answer["success"] is False
    assert NUMBER in answer["error"]
    assert len([call for call in http.calls if call.request.method == "POST"]) == 1


def test_a_purchase_with_an_address_shows_it(http: responses.RequestsMock, provisioner: TwilioVAPIProvisioner) -> None:
    number, address_sid = str(AVAILABLE_NUMBERS_ZA[0]["phone_number"]), str(ADDRESSES_ZA[0]["sid"])
    http.add(TwilioResponses.available_numbers(AVAILABLE_NUMBERS_ZA, "ZA"))
    http.add(TwilioResponses.list_numbers())
    http.add(responses.Response("GET", re.compile(rf".*/Addresses/{address_sid}.json"), json=ADDRESSES_ZA[0]))
    http.add(responses.Response("GET", re.compile(r".*/Regulations.*"), json={"results": [], "meta": {}}))
    http.add(TwilioResponses.purchase_success(number, spare_tag(number)))

    answer = provisioner.buy_twilio_number_with_address(number, address_sid)

    assert answer["success"] is True, (answer, [call.request.url for call in http.calls])
    assert form_of(http.calls[-1].request)["AddressSid"] == [address_sid]


# --- list ------------------------------------------------------------------------------------------------------------


def test_every_page_of_the_account_is_listed(http: responses.RequestsMock, provisioner: TwilioVAPIProvisioner) -> None:
    following = f"/2010-04-01/Accounts/{ACCOUNT_SID}/IncomingPhoneNumbers.json?Page=1"
    http.add(TwilioResponses.list_numbers(TWILIO_NUMBERS_LIST[:4], next_page_uri=following))
    http.add(TwilioResponses.list_numbers(TWILIO_NUMBERS_LIST[4:]))
    http.add(responses.Response("GET", r"https://api.vapi.ai/phone-number", json=[]))

    found = provisioner.list_twilio_numbers()

    assert sorted(each["number"] for each in found) == sorted(each["phone_number"] for each in TWILIO_NUMBERS_LIST)
    assert {"sid", "number", "friendly_name"} <= set(found[0])


def test_a_list_without_an_answer_is_empty_and_says_why(
    http: responses.RequestsMock, provisioner: TwilioVAPIProvisioner
) -> None:
    http.add(responses.Response("GET", TwilioResponses.list_numbers().url, status=500))

    assert provisioner.list_twilio_numbers() == []
    assert provisioner.last_error


# --- addresses -------------------------------------------------------------------------------------------------------


def test_an_address_is_registered_as_it_was_given(
    http: responses.RequestsMock, provisioner: TwilioVAPIProvisioner
) -> None:
    http.add(TwilioResponses.list_addresses())
    fields = dict(zip(("customer_name", "street", "city", "region", "postal_code"), ADDRESS[:5], strict=True))

    def register(request: Any) -> tuple[int, dict[str, str], str]:
        tag = form_of(request)["FriendlyName"][0]
        made = TwilioResponses.register_address_success(country="ZA", friendly_name=tag, **fields)
        return 201, {}, str(made.body)

    http.add_callback("POST", TwilioResponses.list_addresses().url, callback=register)

    answer = provisioner.register_address(*ADDRESS)

    assert answer["success"] is True
    assert answer["address_sid"].startswith("AD")


def test_a_refused_address_says_what_is_wrong(
    http: responses.RequestsMock, provisioner: TwilioVAPIProvisioner
) -> None:
    http.add(TwilioResponses.list_addresses())
    http.add(TwilioResponses.register_address_error(21628))

    answer = provisioner.register_address(*ADDRESS)

    assert answer["success"] is False
    assert "address" in answer["error"].lower()


def test_addresses_are_listed_in_words_of_ours(
    http: responses.RequestsMock, provisioner: TwilioVAPIProvisioner
) -> None:
    http.add(TwilioResponses.list_addresses(ADDRESSES_LIST))

    found = provisioner.list_addresses()

    assert [each["country"] for each in found] == [each["iso_country"] for each in ADDRESSES_LIST]
    assert set(found[0]) == {
        "sid", "customer_name", "street", "city", "region", "postal_code", "country", "validated",
    }  # fmt: skip


def test_the_address_of_a_country_is_its_sid_or_nothing(
    http: responses.RequestsMock, provisioner: TwilioVAPIProvisioner
) -> None:
    http.add(TwilioResponses.list_addresses(ADDRESSES_ZA))

    assert provisioner.get_address_for_country("ZA") == ADDRESSES_ZA[0]["sid"]
    assert provisioner.get_address_for_country("GB") is None


# --- prices and shown numbers ----------------------------------------------------------------------------------------


def test_prices_are_given_as_they_came(http: responses.RequestsMock, provisioner: TwilioVAPIProvisioner) -> None:
    http.add(TwilioResponses.pricing_info("US"))

    answer = provisioner.get_pricing("US")

    assert (answer["country"], answer["currency"]) == ("US", "USD")
    assert answer["prices"][0] == {"type": "local", "base_price": "1.15", "current_price": "1.15"}


def test_prices_without_an_answer_are_an_error(
    http: responses.RequestsMock, provisioner: TwilioVAPIProvisioner
) -> None:
    http.add(responses.Response("GET", TwilioResponses.pricing_info("US").url, status=503))

    assert set(provisioner.get_pricing("US")) == {"error"}


def test_numbers_for_a_client_are_shown_as_people_write_them(
    http: responses.RequestsMock, provisioner: TwilioVAPIProvisioner
) -> None:
    http.add(TwilioResponses.available_numbers(AVAILABLE_NUMBERS_US))

    found = ClientPhoneOnboarding(provisioner).get_number_options("US")

    assert found[0]["number"] == NUMBER
    assert found[0]["display"] == "+1 (415) 555-0100"
    assert found[0]["capabilities"] == {"voice": True, "sms": True}


def test_numbers_for_a_client_are_none_when_the_search_fails(
    http: responses.RequestsMock, provisioner: TwilioVAPIProvisioner
) -> None:
    http.add(responses.Response("GET", TwilioResponses.available_numbers([]).url, status=429))

    assert provisioner.get_available_numbers_for_client("US") == []


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("+15551234567", "+1 (555) 123-4567"),
        ("+27123456789", "+27 12 345 6789"),
        ("+442079460018", "+44 20 7946 0018"),
    ],
)
def test_a_number_is_displayed_as_its_country_writes_it(number: str, shown: str) -> None:
    assert format_phone_display(number) == shown


@pytest.mark.parametrize(("name", "code"), [("UK", "GB"), ("US", "US"), ("ZA", "ZA")])
def test_everyday_names_of_countries_are_known(name: str, code: str) -> None:
    assert COUNTRY_CODES[name] == code


def test_missing_credentials_are_an_answer(place: Path) -> None:
    answer = provision_tenant_phone("acme", "assistant")

    assert answer["success"] is False
    assert "Missing credentials" in answer["error"]
    assert "VAPI_API_KEY" in answer["error"]


# --- Vapi ------------------------------------------------------------------------------------------------------------


def test_an_assignment_at_an_entry_that_is_not_there_is_an_answer(
    http: responses.RequestsMock, provisioner: TwilioVAPIProvisioner
) -> None:
    entry_id = json.loads(str(VapiResponses.import_success(NUMBER).body))["id"]
    http.add(responses.Response("GET", f"https://api.vapi.ai/phone-number/{entry_id}", status=404, json={
        "message": "Not Found", "error": "Not Found", "statusCode": 404,
    }))  # fmt: skip
    http.add(responses.Response("GET", "https://api.vapi.ai/assistant/assistant-1", json={"id": "assistant-1"}))

    answer = provisioner.assign_vapi_assistant(entry_id, "assistant-1")

    assert answer["success"] is False
    assert entry_id in answer["error"]
