"""What the pretend services answer is what the vendors' own documents describe.

The documents are not part of this project; VENDOR_SPECS_DIR names the folder that has them. Twilio's answers break
Twilio's schemas in three known ways, which are let through: coordinates and prices are text, URIs are relative.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft4Validator  # type: ignore[import-untyped]

from gateway.integrations.vapi.simulator_rules import complaints_about
from gateway.simulator import defaults
from gateway.simulator.world import World
from tests.simulator.pretend import ACCOUNT, NUMBER, NUMBERS, Caller

SPECS = os.environ.get("VENDOR_SPECS_DIR", "")
pytestmark = pytest.mark.skipif(
    not os.path.isdir(SPECS), reason="comparison with the vendors' documents: VENDOR_SPECS_DIR is not set"
)
TEXT_ALTHOUGH_NUMBER = {"latitude", "longitude", "base_price", "current_price"}


@cache
def document(name: str) -> dict[str, Any]:
    return dict(json.loads((Path(SPECS) / name).read_text(encoding="utf-8")))


def relaxed(schema: Any, name: str = "") -> Any:
    """An OpenAPI 3.0 schema as JSON Schema: `nullable` spelt out, `format` left out, known breaches allowed."""
    if isinstance(schema, list):
        return [relaxed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {
        key: relaxed(value, key) for key, value in schema.items() if key not in ("format", "nullable", "example")
    }
    if name in TEXT_ALTHOUGH_NUMBER and result.get("type") == "number":
        result["type"] = ["number", "string"]
    if schema.get("nullable"):
        return {"anyOf": [result, {"type": "null"}]}
    return result


@cache
def components(name: str) -> Any:
    return relaxed(document(name)["components"])


def schema_of(name: str, method: str, path: str, status: int) -> dict[str, Any]:
    answers = document(name)["paths"][path][method.lower()]["responses"]
    content = answers[str(status)].get("content") or {"application/json": {"schema": {}}}
    return dict(next(iter(content.values()))["schema"])


def check(name: str, method: str, path: str, status: int, body: Any) -> None:
    schema = {**relaxed(schema_of(name, method, path, status)), "components": components(name)}
    problems = [f"{'/'.join(map(str, e.path))}: {e.message}" for e in Draft4Validator(schema).iter_errors(body)]
    assert not problems, problems


def fields(name: str, schema: dict[str, Any]) -> set[str]:
    """The property names of a schema, through its reference."""
    while "$ref" in schema:
        schema = document(name)["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return set(schema.get("properties", {}))


TWILIO = "twilio_phone_numbers.openapi.json"
ROOT = "/2010-04-01/Accounts/{AccountSid}"
ADDRESS = {
    "CustomerName": "Acme",
    "Street": "1 Main",
    "City": "Cape Town",
    "Region": "WC",
    "PostalCode": "8001",
    "IsoCountry": "ZA",
}


def twilio_answers(call: Caller) -> Iterator[tuple[str, str, Any]]:
    """(method, path of the document, answer) of every call that the pretend Twilio knows."""
    call.world("POST", "/bundles", {"iso_country": "GB"})
    for kind in ("Local", "Mobile", "TollFree", "National"):
        country = {"Mobile": "GB", "National": "ZA"}.get(kind, "US")
        path = f"{ACCOUNT}/AvailablePhoneNumbers/{country}/{kind}.json"
        yield "GET", f"{ROOT}/AvailablePhoneNumbers/{{CountryCode}}/{kind}.json", call.twilio("GET", path)
    countries = f"{ACCOUNT}/AvailablePhoneNumbers"
    yield "GET", f"{ROOT}/AvailablePhoneNumbers.json", call.twilio("GET", f"{countries}.json")
    yield "GET", f"{ROOT}/AvailablePhoneNumbers/{{CountryCode}}.json", call.twilio("GET", f"{countries}/GB.json")
    bought = call.buy()
    sid = bought.json()["sid"]
    yield "POST", f"{ROOT}/IncomingPhoneNumbers.json", bought
    call.buy("+14155550124")
    yield "GET", f"{ROOT}/IncomingPhoneNumbers.json", call.twilio("GET", f"{NUMBERS}.json", PageSize="1")
    one = f"{ROOT}/IncomingPhoneNumbers/{{Sid}}.json"
    yield "GET", one, call.twilio("GET", f"{NUMBERS}/{sid}.json")
    yield "POST", one, call.twilio("POST", f"{NUMBERS}/{sid}.json", VoiceUrl="https://example.com")
    yield "DELETE", one, call.twilio("DELETE", f"{NUMBERS}/{sid}.json")
    address = call.twilio("POST", f"{ACCOUNT}/Addresses.json", **ADDRESS)
    yield "POST", f"{ROOT}/Addresses.json", address
    yield "GET", f"{ROOT}/Addresses.json", call.twilio("GET", f"{ACCOUNT}/Addresses.json")
    path = f"{ACCOUNT}/Addresses/{address.json()['sid']}.json"
    yield "GET", f"{ROOT}/Addresses/{{Sid}}.json", call.twilio("GET", path)
    yield "POST", f"{ROOT}/Addresses/{{Sid}}.json", call.twilio("POST", path, Street="2 Main")
    number = call.twilio("GET", f"{ACCOUNT}/AvailablePhoneNumbers/ZA/Local.json", PageSize="1").json()
    call.buy(number["available_phone_numbers"][0]["phone_number"], AddressSid=address.json()["sid"])
    users = f"{ROOT}/Addresses/{{AddressSid}}/DependentPhoneNumbers.json"
    yield "GET", users, call.twilio("GET", path.replace(".json", "/DependentPhoneNumbers.json"))
    unused = call.twilio("POST", f"{ACCOUNT}/Addresses.json", **ADDRESS).json()["sid"]
    path = f"{ACCOUNT}/Addresses/{unused}.json"
    yield "DELETE", f"{ROOT}/Addresses/{{Sid}}.json", call.twilio("DELETE", path)
    yield "GET", "/2010-04-01/Accounts/{Sid}.json", call.twilio("GET", f"{ACCOUNT}.json")
    yield "GET", f"{ROOT}/Balance.json", call.twilio("GET", f"{ACCOUNT}/Balance.json")
    yield "GET", "/v1/PhoneNumbers/Countries", call.twilio("GET", "/v1/PhoneNumbers/Countries")
    prices = call.twilio("GET", "/v1/PhoneNumbers/Countries/US")
    yield "GET", "/v1/PhoneNumbers/Countries/{IsoCountry}", prices
    bundles = call.twilio("GET", "/v2/RegulatoryCompliance/Bundles")
    yield "GET", "/v2/RegulatoryCompliance/Bundles", bundles
    path = f"/v2/RegulatoryCompliance/Bundles/{bundles.json()['results'][0]['sid']}"
    yield "GET", "/v2/RegulatoryCompliance/Bundles/{Sid}", call.twilio("GET", path)
    path = "/v2/RegulatoryCompliance/Regulations"
    regulations = call.twilio("GET", path, PageSize="3")
    yield "GET", path, regulations
    yield "GET", path, call.twilio("GET", regulations.json()["meta"]["next_page_url"].partition(".com")[2])
    sid = regulations.json()["results"][0]["sid"]
    yield "GET", f"{path}/{{Sid}}", call.twilio("GET", f"{path}/{sid}")


def test_every_answer_of_the_pretend_twilio_is_as_described(call: Caller) -> None:
    for method, path, answer in twilio_answers(call):
        body = answer.json() if answer.content else None
        if answer.status_code != 204:
            check(TWILIO, method, path, answer.status_code, body)


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("api.v2010.account", lambda call: call.twilio("GET", f"{ACCOUNT}.json").json()),
        ("api.v2010.account.incoming_phone_number", lambda call: call.buy().json()),
        ("api.v2010.account.address", lambda call: call.twilio("POST", f"{ACCOUNT}/Addresses.json", **ADDRESS).json()),
        (
            "api.v2010.account.available_phone_number_country.available_phone_number_local",
            lambda call: call.twilio("GET", f"{ACCOUNT}/AvailablePhoneNumbers/US/Local.json").json()[
                "available_phone_numbers"
            ][0],
        ),
        (
            "numbers.v2.regulatory_compliance.regulation",
            lambda call: call.twilio("GET", "/v2/RegulatoryCompliance/Regulations").json()["results"][0],
        ),
        (
            "numbers.v2.regulatory_compliance.bundle",
            lambda call: call.twilio("GET", "/v2/RegulatoryCompliance/Bundles").json()["results"][0],
        ),
        (
            "pricing.v1.phone_number.phone_number_country-instance",
            lambda call: call.twilio("GET", "/v1/PhoneNumbers/Countries/US").json(),
        ),
    ],
    ids=["account", "number", "address", "offer", "regulation", "bundle", "prices"],
)
def test_the_pretend_twilio_has_every_field_of_the_document_and_no_other(
    call: Caller, name: str, read: Callable[[Caller], dict[str, Any]]
) -> None:
    assert set(read(call)) == set(document(TWILIO)["components"]["schemas"][name]["properties"])


def test_what_a_list_answers_around_its_items_is_as_described(call: Caller) -> None:
    call.buy()

    envelope = call.twilio("GET", f"{NUMBERS}.json").json()
    described = fields(TWILIO, schema_of(TWILIO, "GET", f"{ROOT}/IncomingPhoneNumbers.json", 200))

    assert set(envelope) == described


def test_every_parameter_of_a_purchase_is_understood(call: Caller) -> None:
    body = document(TWILIO)["paths"][f"{ROOT}/IncomingPhoneNumbers.json"]["post"]["requestBody"]["content"]
    described = next(iter(body.values()))["schema"]["properties"]
    values = {name: "true" if schema.get("type") == "boolean" else "POST" for name, schema in described.items()}
    values |= {"PhoneNumber": NUMBER, "FriendlyName": "POST"}
    values.pop("AreaCode")

    bought = call.twilio("POST", f"{NUMBERS}.json", **values).json()

    kept = {name for name, value in bought.items() if value in ("POST", True)}
    snake = {"".join(f"_{c.lower()}" if c.isupper() else c for c in name).strip("_") for name in values}
    assert snake - {"phone_number"} <= kept


VAPI = "vapi_phone_numbers.openapi.json"
EVERYTHING: dict[str, Any] = {
    "assistantId": defaults.ASSISTANT_ID,
    "server": {"url": "https://app.example.com/vapi/acme", "timeoutSeconds": 20},
    "hooks": [{"on": "call.ringing", "do": [{"type": "say", "exact": "We are closed."}]}],
    "fallbackDestination": {"type": "number", "number": "+14155550199"},
    "smsEnabled": False,
}


def test_every_answer_of_the_pretend_vapi_is_as_described(world: World, call: Caller) -> None:
    call.buy()
    call.buy("+14155550124")
    plain = call.bring("+14155550124").json()
    full = call.bring(**EVERYTHING)
    one = f"/phone-number/{full.json()['id']}"

    check(VAPI, "POST", "/phone-number", 201, full.json())
    check(VAPI, "GET", "/phone-number", 200, call.vapi("GET", "/phone-number").json())
    check(VAPI, "GET", "/v2/phone-number", 200, call.vapi("GET", "/v2/phone-number", limit="1").json())
    check(VAPI, "GET", "/phone-number/{id}", 200, call.vapi("GET", one).json())
    patched = call.vapi("PATCH", one, {"assistantId": None, "hooks": []}).json()
    check(VAPI, "PATCH", "/phone-number/{id}", 200, patched)
    check(VAPI, "DELETE", "/phone-number/{id}", 200, call.vapi("DELETE", one).json())
    described = fields(VAPI, {"$ref": "#/components/schemas/TwilioPhoneNumber"})
    assert set(full.json()) <= described
    assert set(plain) <= described


def test_the_pretend_vapi_takes_every_field_that_is_described(call: Caller) -> None:
    for name in ("CreateTwilioPhoneNumberDTO", "UpdateTwilioPhoneNumberDTO"):
        described = document(VAPI)["components"]["schemas"][name]["properties"]
        kinds: dict[str, Any] = {"boolean": True, "array": [], "object": {}, "string": "x"}
        body = {field: kinds.get(schema.get("type"), {}) for field, schema in described.items()}

        assert complaints_about(body) == []


STRIPE = "stripe_fixtures.json"
# Optional, so the fixtures leave it out; stripe-python 16.1.0 has it (InvoiceLineItem.Pricing).
ALSO_KNOWN = {".lines.data[].pricing.price_details"}


@pytest.mark.parametrize(
    ("name", "resource"),
    [
        ("checkout.completed", "checkout.session"),
        ("subscription.created", "subscription"),
        ("invoice.paid", "invoice"),
        ("customer.created", "customer"),
    ],
)
def test_the_pretend_stripes_new_shape_has_only_fields_that_stripe_has(call: Caller, name: str, resource: str) -> None:
    body = call.world("POST", "/stripe/deliveries", {"name": name, "tenant": name})["body"]
    event = json.loads(body)
    known = document(STRIPE)["resources"]

    assert set(event) == set(known["event"])
    assert set(stranger(event["data"]["object"], known[resource])) <= ALSO_KNOWN


def stranger(ours: Any, theirs: Any, path: str = "") -> list[str]:
    """Paths of ours that theirs has not; what is null or empty there tells nothing about its inside."""
    if isinstance(ours, dict) and isinstance(theirs, dict) and theirs and not path.endswith("metadata"):
        found = [f"{path}.{name}" for name in ours if name not in theirs]
        for name in ours.keys() & theirs.keys():
            found += stranger(ours[name], theirs[name], f"{path}.{name}")
        return found
    if isinstance(ours, list) and isinstance(theirs, list) and theirs:
        return [one for item in ours for one in stranger(item, theirs[0], f"{path}[]")]
    return []
