"""The test kit: answers that our own clients and the vendors' packages take for real, and worlds to try things in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import requests
import responses
from requests.adapters import HTTPAdapter

from gateway.domain.model import State
from gateway.errors import Refused
from gateway.integrations.http import Http
from gateway.integrations.twilio.client import TwilioClient
from gateway.integrations.twilio.papers import TwilioPapers
from gateway.integrations.vapi.client import VapiClient
from gateway.integrations.vapi.imports import twilio_import
from gateway.ports import Answering, Deadline, NumberWish, PostalAddress
from gateway.simulator import defaults
from gateway.simulator.adapter import WorldAdapter
from gateway.simulator.server import Server
from gateway.simulator.world import World
from gateway.testing import (
    ADDRESSES_LIST,
    ADDRESSES_ZA,
    AVAILABLE_NUMBERS_GB,
    AVAILABLE_NUMBERS_US,
    AVAILABLE_NUMBERS_ZA,
    TWILIO_NUMBERS_LIST,
    MockHTTPResponse,
    MockRequestsSession,
    TwilioResponses,
    VapiResponses,
    generate_address,
    generate_available_numbers,
    generate_twilio_number,
)
from gateway.testing.samples import ACCOUNT_SID
from gateway.testing.sandbox import Installation, ManualClock
from tests.simulator import test_vendor_documents as documents

pytest_plugins = ["gateway.testing.plugin"]

CLOCK = ManualClock()
UNTIL = Deadline(CLOCK.monotonic() + 15, CLOCK.now_ms() + 15_000)
NUMBER = "+14155550100"


@pytest.fixture
def twilio() -> TwilioClient:
    """Our own client, over the adapter that `responses` stands in for."""
    return TwilioClient(
        Http(CLOCK, HTTPAdapter),
        base_url="https://api.twilio.com",
        pricing_base_url="https://pricing.twilio.com",
        account_sid=ACCOUNT_SID,
        username=ACCOUNT_SID,
        password="token",
    )


@pytest.fixture
def papers() -> TwilioPapers:
    return TwilioPapers(
        Http(CLOCK, HTTPAdapter),
        base_url="https://api.twilio.com",
        numbers_base_url="https://numbers.twilio.com",
        account_sid=ACCOUNT_SID,
        username=ACCOUNT_SID,
        password="token",
    )


@pytest.fixture
def vapi() -> VapiClient:
    return VapiClient(
        Http(CLOCK, HTTPAdapter),
        base_url="https://api.vapi.ai",
        api_key="key",
        account_sid=ACCOUNT_SID,
        describe=twilio_import(ACCOUNT_SID, auth_token="token"),
    )


# --- answers ---------------------------------------------------------------------------------------------------------


@responses.activate
@pytest.mark.parametrize(
    ("country", "numbers"),
    [("US", AVAILABLE_NUMBERS_US), ("GB", AVAILABLE_NUMBERS_GB), ("ZA", AVAILABLE_NUMBERS_ZA)],
    ids=["US", "GB", "ZA"],
)
def test_our_client_finds_the_numbers_of_the_ready_lists(
    twilio: TwilioClient, country: str, numbers: list[dict[str, Any]]
) -> None:
    responses.add(TwilioResponses.available_numbers(numbers, country))

    found = twilio.search(NumberWish(country, has_address=True), 20, UNTIL)

    assert [each.number for each in found] == [each["phone_number"] for each in numbers]


@responses.activate
def test_our_client_buys_lists_and_prices_by_these_answers(twilio: TwilioClient) -> None:
    responses.add(TwilioResponses.purchase_success(NUMBER, "rf:test:0123456789abcdef:1"))
    responses.add(TwilioResponses.list_numbers(TWILIO_NUMBERS_LIST))
    responses.add(TwilioResponses.pricing_info("US"))

    bought = twilio.buy(NUMBER, "rf:test:0123456789abcdef:1", UNTIL)

    assert bought.number == NUMBER
    assert len(twilio.list_all(UNTIL)) == len(TWILIO_NUMBERS_LIST)
    assert twilio.monthly_price("US", "local", UNTIL) == ("1.15", "USD")


@responses.activate
@pytest.mark.parametrize(
    ("code", "kind"), [(21422, "unavailable"), (21631, "address"), (21649, "bundle"), (20003, "credentials")]
)
def test_our_client_takes_a_refused_purchase_for_what_it_is(twilio: TwilioClient, code: int, kind: str) -> None:
    responses.add(TwilioResponses.purchase_error(code, status=401 if kind == "credentials" else 400))

    with pytest.raises(Refused) as refused:
        twilio.buy(NUMBER, "rf:test:0123456789abcdef:1", UNTIL)

    assert refused.value.kind == kind


@responses.activate
def test_our_client_registers_and_lists_addresses_by_these_answers(papers: TwilioPapers) -> None:
    fields = {"customer_name": "Sunny Garage", "street": "1 Long Street", "city": "Cape Town"}
    fields |= {"region": "Western Cape", "postal_code": "8001"}
    responses.add(TwilioResponses.register_address_success(country="ZA", **fields, friendly_name="tag"))
    responses.add(TwilioResponses.list_addresses(ADDRESSES_LIST))

    made = papers.register_address(PostalAddress(**fields, country="ZA"), "tag", UNTIL)

    assert made.address.country == "ZA"
    assert len(papers.list_addresses(UNTIL)) == len(ADDRESSES_LIST)


@responses.activate
def test_our_client_takes_a_refused_address_for_what_it_is(papers: TwilioPapers) -> None:
    responses.add(TwilioResponses.register_address_error())

    with pytest.raises(Refused) as refused:
        papers.register_address(PostalAddress("a", "b", "c", "d", "e", "GB"), "tag", UNTIL)

    assert refused.value.kind == "address_invalid"


@responses.activate
def test_our_client_imports_and_assigns_by_these_answers(vapi: VapiClient) -> None:
    responses.add(VapiResponses.import_success(NUMBER, name="tag"))
    entry = vapi.import_number(NUMBER, "tag", UNTIL)
    responses.add(VapiResponses.assign_success(NUMBER, entry.id, name="tag", assistantId="assistant-1"))

    changed = vapi.assign(entry.id, Answering("assistant-1"), UNTIL)

    assert (entry.number, changed.answering.assistant_id) == (NUMBER, "assistant-1")


@responses.activate
def test_our_client_takes_a_refused_import_and_assignment_for_what_they_are(vapi: VapiClient) -> None:
    responses.add(VapiResponses.import_error())
    responses.add(VapiResponses.assign_error())

    with pytest.raises(Refused) as refused:
        vapi.import_number(NUMBER, "tag", UNTIL)
    with pytest.raises(Refused):
        vapi.assign("00000000-0000-4000-8000-000000000001", Answering("nobody"), UNTIL)

    assert refused.value.kind == "not_found_at_telephony"


@responses.activate
def test_an_address_with_a_query_is_matched_and_another_path_is_not() -> None:
    responses.add(TwilioResponses.list_numbers())
    base = f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT_SID}"

    assert requests.get(f"{base}/IncomingPhoneNumbers.json?PageSize=5", timeout=1).json()["page"] == 0
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{base}/IncomingPhoneNumbers.json/more", timeout=1)


# --- mocks -----------------------------------------------------------------------------------------------------------


def test_a_mocked_session_answers_in_turn_by_method_and_address_and_remembers_what_was_asked() -> None:
    session = MockRequestsSession()
    session.on("GET", r"/numbers$", MockHTTPResponse(503), MockHTTPResponse(200, {"numbers": []}))
    session.on("DELETE", r"/numbers/\d+$", MockHTTPResponse(204))

    with session:
        statuses = [session.get("https://x/numbers", params={"a": 1}).status_code for _ in range(3)]
        gone = session.delete("https://x/numbers/7")

    assert statuses == [503, 200, 200]
    assert (gone.ok, gone.text) == (True, "")
    assert [call.method for call in session.calls] == ["GET", "GET", "GET", "DELETE"]
    assert session.calls[0].given == {"params": {"a": 1}}


@pytest.mark.parametrize("method", ["get", "post", "patch", "delete"])
def test_a_mocked_session_raises_what_it_was_told_to_and_knows_no_other_address(method: str) -> None:
    session = MockRequestsSession().on(method, r"/slow$", requests.ReadTimeout("too slow"))

    with pytest.raises(requests.ReadTimeout):
        getattr(session, method)("https://x/slow")
    with pytest.raises(requests.ConnectionError, match="No answer was prepared"):
        getattr(session, method)("https://x/other")


def test_a_mocked_response_behaves_as_one_of_requests() -> None:
    with pytest.raises(requests.HTTPError):
        MockHTTPResponse(404, {"code": 20404}).raise_for_status()
    with pytest.raises(requests.JSONDecodeError):
        MockHTTPResponse(200, "<html>").json()
    assert MockHTTPResponse(200, b"raw").content == b"raw"


# --- generators ------------------------------------------------------------------------------------------------------


def test_generated_things_are_the_same_every_time_and_different_from_each_other() -> None:
    numbers = [each["phone_number"] for each in generate_available_numbers(100, "US", "212")]

    assert numbers == [each["phone_number"] for each in generate_available_numbers(100, "US", "212")]
    assert len(set(numbers)) == 100
    assert all(number.startswith("+121255501") for number in numbers)
    assert generate_twilio_number(NUMBER)["sid"] == generate_twilio_number(NUMBER)["sid"]
    assert generate_address("ZA", index=1)["sid"] != ADDRESSES_ZA[0]["sid"]


@pytest.mark.parametrize("make", [lambda: generate_available_numbers(101), lambda: generate_address("FR")])
def test_what_cannot_be_generated_is_said(make: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match="numbers"):
        make()


# --- worlds ----------------------------------------------------------------------------------------------------------


def test_the_pretend_world_can_be_asked_inside_requests(
    pretend_world: World, pretend_adapter: Callable[[], WorldAdapter]
) -> None:
    session = requests.Session()
    session.mount("http://world", pretend_adapter())
    login = (defaults.ACCOUNT_SID, defaults.AUTH_TOKEN)

    answer = session.get(
        f"http://world/2010-04-01/Accounts/{defaults.ACCOUNT_SID}/IncomingPhoneNumbers.json", auth=login
    )

    assert answer.json()["incoming_phone_numbers"] == []
    assert sum(pretend_world.calls().values()) == 1


@pytest.mark.sockets
def test_the_pretend_world_can_be_asked_over_a_port(pretend_server: Server) -> None:
    answer = requests.get(
        f"{pretend_server.url}/phone-number", headers={"Authorization": f"Bearer {defaults.VAPI_KEY}"}, timeout=10
    )

    assert answer.json() == []


def test_a_whole_gateway_makes_a_number_of_a_signup(ringfence: Installation) -> None:
    ringfence.deliver("checkout.completed", "acme")
    ringfence.settle(60)

    assert ringfence.tenant("acme").state is State.ACTIVE
    assert [bought["number"] for bought in ringfence.purchases()] == [ringfence.export("acme")["phone_number"]]


# --- what it needs ---------------------------------------------------------------------------------------------------

WITHOUT = """
import sys
class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("responses", "pytest"):
            raise ImportError(name)
sys.meta_path.insert(0, Nothing())
import gateway.wiring, gateway.provisioner, gateway.testing
from gateway.testing import TwilioResponses
from gateway.testing.answers import KitIncomplete
for use in (lambda: TwilioResponses.list_numbers(), lambda: __import__("gateway.testing.plugin")):
    try:
        use()
    except KitIncomplete as error:
        print(error)
"""


def test_the_gateway_needs_neither_pytest_nor_responses_and_the_kit_says_what_to_install() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "pip install responses" in done.stdout
    assert "pip install pytest" in done.stdout


# --- the vendors' documents ------------------------------------------------------------------------------------------

DOCUMENTED = [
    (TwilioResponses.available_numbers(AVAILABLE_NUMBERS_GB), "AvailablePhoneNumbers/{CountryCode}/Local.json"),
    (TwilioResponses.purchase_success(NUMBER), "IncomingPhoneNumbers.json"),
    (TwilioResponses.list_numbers(TWILIO_NUMBERS_LIST), "IncomingPhoneNumbers.json"),
    (TwilioResponses.register_address_success(), "Addresses.json"),
    (TwilioResponses.list_addresses(ADDRESSES_LIST), "Addresses.json"),
    (VapiResponses.import_success(NUMBER), "/phone-number"),
    (VapiResponses.assign_success(NUMBER), "/phone-number/{id}"),
]


@pytest.mark.skipif(not os.path.isdir(documents.SPECS), reason="VENDOR_SPECS_DIR is not set")
@pytest.mark.parametrize(("made", "path"), DOCUMENTED, ids=[f"{made.method} {path}" for made, path in DOCUMENTED])
def test_every_answer_is_what_the_vendors_document_describes(made: responses.Response, path: str) -> None:
    name = "vapi_phone_numbers.openapi.json"
    if not path.startswith("/"):
        name, path = "twilio_phone_numbers.openapi.json", f"/2010-04-01/Accounts/{{AccountSid}}/{path}"

    documents.check(name, made.method or "", path, made.status, json.loads(str(made.body)))
