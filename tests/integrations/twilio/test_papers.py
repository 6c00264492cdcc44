"""Twilio's paperwork is asked for exactly as meant, and only answers about what was asked are believed."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import responses

from gateway.errors import Refused, TryLater, Unclear
from gateway.integrations.twilio.papers import TwilioPapers
from gateway.ports import Bundle, PostalAddress, RegisteredAddress, Regulation
from tests.integrations.providers import ACCOUNT_SID, AUTH_TOKEN, TWILIO, StillClock, http_core, within

CLOCK = StillClock()
DEADLINE = within(CLOCK)
NUMBERS = "https://numbers.twilio.com"
ADDRESSES_URL = f"{TWILIO}/2010-04-01/Accounts/{ACCOUNT_SID}/Addresses.json"
AD, BU, RN = "AD" + "a" * 32, "BU" + "b" * 32, "RN" + "c" * 32
BUNDLE_URL = f"{NUMBERS}/v2/RegulatoryCompliance/Bundles/{BU}"
BUNDLES_URL = f"{NUMBERS}/v2/RegulatoryCompliance/Bundles"
REGULATIONS_URL = f"{NUMBERS}/v2/RegulatoryCompliance/Regulations"
TAG = "rfa:0123456789abcdef"
ADDRESS = PostalAddress("Acme", "1 Long St", "Cape Town", "WC", "8001", "ZA")


@pytest.fixture
def papers() -> TwilioPapers:
    return TwilioPapers(
        http_core(CLOCK),
        base_url=TWILIO,
        numbers_base_url=NUMBERS,
        account_sid=ACCOUNT_SID,
        username=ACCOUNT_SID,
        password=AUTH_TOKEN,
    )


def record(**fields: Any) -> dict[str, Any]:
    return {
        "sid": AD, "customer_name": "Acme", "street": "1 Long St", "city": "Cape Town", "region": "WC",
        "postal_code": "8001", "iso_country": "ZA", "friendly_name": TAG, "validated": False, **fields,
    }  # fmt: skip


def results(*found: dict[str, Any], after: str | None = None) -> dict[str, Any]:
    return {"results": list(found), "meta": {"key": "results", "next_page_url": after}}


def bundle(**fields: Any) -> dict[str, Any]:
    return {"sid": BU, "status": "twilio-approved", "regulation_sid": RN, "valid_until": None, **fields}


def regulation(**fields: Any) -> dict[str, Any]:
    return {"sid": RN, "iso_country": "ZA", "number_type": "toll-free", "requirements": None, **fields}


def sent(index: int = 0) -> dict[str, str]:
    request = responses.calls[index].request
    body = request.body
    text = body.decode() if isinstance(body, bytes) else urlsplit(request.url or "").query
    return dict(parse_qsl(text, keep_blank_values=True))


@responses.activate
def test_an_address_is_registered_as_it_was_given_and_never_corrected_silently(papers: TwilioPapers) -> None:
    responses.post(ADDRESSES_URL, status=201, json=record())

    made = papers.register_address(ADDRESS, TAG, DEADLINE)

    assert made == RegisteredAddress(AD, ADDRESS, TAG, False)
    assert sent() == {
        "CustomerName": "Acme",
        "Street": "1 Long St",
        "City": "Cape Town",
        "Region": "WC",
        "PostalCode": "8001",
        "IsoCountry": "ZA",
        "FriendlyName": TAG,
        "AutoCorrectAddress": "false",
    }


@pytest.mark.parametrize("code", [21628, 21629])
@responses.activate
def test_an_address_that_twilio_does_not_take_is_refused_without_its_words(papers: TwilioPapers, code: int) -> None:
    message = "Did you mean 1 Longer Street"
    responses.post(ADDRESSES_URL, status=400, json={"code": code, "message": message, "status": 400})

    with pytest.raises(Refused) as caught:
        papers.register_address(ADDRESS, TAG, DEADLINE)

    assert (caught.value.kind, caught.value.code) == ("address_invalid", code)
    assert "Longer" not in str(caught.value)
    assert ("suggests" in str(caught.value)) == (code == 21629)


@pytest.mark.parametrize(
    "answer", [record(friendly_name="other"), record(iso_country="US"), record(sid="AD1"), {}], ids=str
)
@responses.activate
def test_an_answer_about_something_else_leaves_it_open_whether_it_was_registered(
    papers: TwilioPapers, answer: dict[str, Any]
) -> None:
    responses.post(ADDRESSES_URL, status=201, json=answer)

    with pytest.raises(Unclear):
        papers.register_address(ADDRESS, TAG, DEADLINE)


@responses.activate
def test_addresses_are_listed_over_all_pages_and_filters_are_compared_again(papers: TwilioPapers) -> None:
    other = record(sid="AD" + "d" * 32, friendly_name="rfa:0123456789abcdef0")
    path = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Addresses.json?Page=1"
    responses.get(ADDRESSES_URL, json={"addresses": [other], "next_page_uri": path})
    responses.get(TWILIO + path, json={"addresses": [record()], "next_page_uri": None})

    found = papers.list_addresses(DEADLINE, country="ZA", tag=TAG)

    assert [each.sid for each in found] == [AD]
    assert sent() == {"FriendlyName": TAG, "IsoCountry": "ZA", "PageSize": "200"}


@responses.activate
def test_one_page_that_fails_is_no_list(papers: TwilioPapers) -> None:
    path = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Addresses.json?Page=1"
    responses.get(ADDRESSES_URL, json={"addresses": [record()], "next_page_uri": path})
    responses.get(TWILIO + path, status=503)

    with pytest.raises(TryLater):
        papers.list_addresses(DEADLINE)


@responses.activate
def test_an_address_is_read_by_its_sid_or_there_is_none(papers: TwilioPapers) -> None:
    url = ADDRESSES_URL.replace(".json", f"/{AD}.json")
    responses.get(url, json=record(validated=True))
    responses.get(url, status=404, json={"code": 20404, "message": "", "status": 404})

    found, gone = papers.fetch_address(AD, DEADLINE), papers.fetch_address(AD, DEADLINE)

    assert found is not None
    assert found.is_validated
    assert gone is None


@pytest.mark.parametrize("sid", ["", "AD1", "PN" + "a" * 32, f"{AD}/../x"])
def test_what_is_no_sid_is_never_sent(papers: TwilioPapers, sid: str) -> None:
    for read in (papers.fetch_address, papers.fetch_bundle):
        with pytest.raises(Refused):
            read(sid, DEADLINE)


@responses.activate
def test_a_bundle_is_for_the_kind_of_number_that_its_regulation_is_about(papers: TwilioPapers) -> None:
    responses.get(BUNDLE_URL, json=bundle(valid_until="2026-11-22T09:56:09Z"))
    responses.get(f"{REGULATIONS_URL}/{RN}", json=regulation())

    found = papers.fetch_bundle(BU, DEADLINE)
    again = papers.fetch_bundle(BU, DEADLINE)

    assert found == again == Bundle(BU, "ZA", "toll_free", "twilio-approved", True, 1_795_341_369_000)
    assert len(responses.calls) == 3, "what a regulation is about is asked once"


@pytest.mark.parametrize(
    "status", ["draft", "pending-review", "in-review", "twilio-rejected", "provisionally-approved"]
)
@responses.activate
def test_only_one_status_is_approved(papers: TwilioPapers, status: str) -> None:
    responses.get(BUNDLE_URL, json=bundle(status=status, regulation_sid=None))

    found = papers.fetch_bundle(BU, DEADLINE)

    assert found is not None
    assert (found.status, found.is_approved, found.country, found.number_type) == (status, False, "", "")


@responses.activate
def test_a_bundle_that_is_not_there_is_none(papers: TwilioPapers) -> None:
    responses.get(BUNDLE_URL, status=404, json={"code": 20404, "message": "", "status": 404})

    assert papers.fetch_bundle(BU, DEADLINE) is None


@responses.activate
def test_bundles_are_listed_over_all_pages_by_kind_of_number(papers: TwilioPapers) -> None:
    second = f"{BUNDLES_URL}?Page=1"
    responses.get(BUNDLES_URL, json=results(bundle(), after=second))
    responses.get(second, json=results(bundle(sid="BU" + "e" * 32, status="draft")))

    found = papers.list_bundles("ZA", "toll_free", DEADLINE)

    assert [(each.status, each.number_type) for each in found] == [
        ("twilio-approved", "toll_free"),
        ("draft", "toll_free"),
    ]
    assert sent() == {"IsoCountry": "ZA", "NumberType": "toll-free", "PageSize": "200"}


@responses.activate
def test_a_next_page_at_another_host_is_never_followed(papers: TwilioPapers) -> None:
    responses.get(BUNDLES_URL, json=results(bundle(), after="https://example.com/v2?Page=1"))

    with pytest.raises(TryLater):
        papers.list_bundles("ZA", "local", DEADLINE)


@responses.activate
def test_a_regulation_names_what_has_to_be_shown(papers: TwilioPapers) -> None:
    wanted = {
        "end_user": [{"name": "Business", "fields": ["business_name"]}],
        "supporting_document": [
            [{"name": "Address", "accepted_documents": [{"name": "Address Validation"}, {"name": "Utility Bill"}]}]
        ],
    }
    responses.get(REGULATIONS_URL, json=results(regulation(number_type="local", requirements=wanted)))

    assert papers.regulation("ZA", "local", DEADLINE) == Regulation(
        "ZA", "local", True, ("Business", "Address (Address Validation or Utility Bill)")
    )
    assert sent()["EndUserType"] == "business"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([], Regulation("ZA", "local", False)),
        ([regulation(number_type="local")], None),
        ([regulation(number_type="mobile")], Regulation("ZA", "local", False)),
        (
            [regulation(number_type="local", requirements={"end_user": [], "supporting_document": []})],
            Regulation("ZA", "local", False),
        ),
    ],
    ids=["no regulation", "it does not say", "of another kind", "nothing is wanted"],
)
@responses.activate
def test_where_nothing_is_wanted_no_bundle_is_needed(
    papers: TwilioPapers, found: list[dict[str, Any]], expected: Regulation | None
) -> None:
    responses.get(REGULATIONS_URL, json=results(*found))

    assert papers.regulation("ZA", "local", DEADLINE) == expected
