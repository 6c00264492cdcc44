"""The Twilio client says exactly what is meant, and believes only answers about what was asked."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import responses

from gateway.errors import ProviderError, Refused, TryLater, Unclear
from gateway.integrations.twilio.client import TwilioClient
from gateway.ports import AvailableNumber, NumberWish, OwnedNumber, Price, PriceList
from tests.integrations.providers import (
    ACCOUNT_SID,
    AUTH_TOKEN,
    NUMBER,
    NUMBERS_URL,
    PN,
    TAG,
    TWILIO,
    StillClock,
    http_core,
    said_of,
    twilio_client,
    within,
)

CLOCK = StillClock()
DEADLINE = within(CLOCK)
LIST_URL = f"{NUMBERS_URL}.json"
ITEM_URL = f"{NUMBERS_URL}/{PN}.json"
SEARCH_URL = f"{TWILIO}/2010-04-01/Accounts/{ACCOUNT_SID}/AvailablePhoneNumbers/US/Local.json"
ACCOUNT_URL = f"{TWILIO}/2010-04-01/Accounts/{ACCOUNT_SID}.json"
PRICES_URL = "https://pricing.twilio.com/v1/PhoneNumbers/Countries/US"


@pytest.fixture
def client() -> TwilioClient:
    return twilio_client(http_core(CLOCK))


def record(**fields: Any) -> dict[str, Any]:
    return {
        "sid": PN, "account_sid": ACCOUNT_SID, "phone_number": NUMBER, "friendly_name": TAG, "voice_url": "",
        "beta": False, "capabilities": {"voice": True}, "status": "in-use", **fields,
    }  # fmt: skip


def page(*records: dict[str, Any], next_page_uri: str | None = None) -> dict[str, Any]:
    return {"incoming_phone_numbers": list(records), "page": 0, "page_size": 50, "next_page_uri": next_page_uri}


def offer(**fields: Any) -> dict[str, Any]:
    return {
        "phone_number": NUMBER, "iso_country": "US", "locality": "San Francisco", "region": "CA", "beta": False,
        "address_requirements": "none", "capabilities": {"voice": True, "SMS": True, "mms": False}, **fields,
    }  # fmt: skip


def fault(code: int, status: int = 400) -> dict[str, Any]:
    return {"code": code, "message": f"{AUTH_TOKEN} {NUMBER}", "more_info": "", "status": status}


def query(index: int = 0) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(responses.calls[index].request.url or "").query, keep_blank_values=True)


def form(index: int = 0) -> list[tuple[str, str]]:
    body = responses.calls[index].request.body
    assert isinstance(body, bytes)
    return parse_qsl(body.decode("ascii"), keep_blank_values=True)


# What an error of a purchase means: HTTP status, code, kind of refusal.
REFUSALS = [
    (400, 21421, "unavailable"),
    (400, 21422, "unavailable"),
    (400, 21613, "address"),
    (400, 21615, "address"),
    (400, 21631, "address"),
    (400, 21628, "address_invalid"),
    (400, 21629, "address_invalid"),
    (400, 21649, "bundle"),
    (400, 21650, "bundle"),
    (400, 21651, "bundle"),
    (401, 20003, "credentials"),
    (403, 20003, "credentials"),
    (400, 20003, "credentials"),
    (403, 20403, "credentials"),
    (403, 20005, "credentials"),
    (400, 20005, "credentials"),
    (400, 10001, "credentials"),
    (400, 21472, "credentials"),
    (400, 20006, "credentials"),
    (400, 20010, "credentials"),
    (400, 22300, "credentials"),
    (401, 99999, "credentials"),
    (400, 10002, "other"),
    (400, 21404, "other"),
    (400, 20008, "other"),
    (400, 21452, "other"),
    (404, 20404, "other"),
    (422, 20422, "other"),
    (400, 99999, "other"),
]


@pytest.mark.parametrize(("status", "code", "kind"), REFUSALS, ids=[f"{s}-{c}" for s, c, _ in REFUSALS])
@responses.activate
def test_a_refused_purchase_says_what_a_person_must_change(
    status: int, code: int, kind: str, client: TwilioClient
) -> None:
    responses.post(LIST_URL, status=status, json=fault(code, status))

    with pytest.raises(Refused) as caught:
        client.buy(NUMBER, TAG, DEADLINE)

    error = caught.value
    assert (error.kind, error.status, error.code) == (kind, status, code)
    assert (error.provider, error.operation) == ("twilio", "buy")
    assert AUTH_TOKEN not in str(error)


UNDECIDED = [(500, 20500), (503, 20503), (409, 20409), (500, 21422), (302, 21422)]


@pytest.mark.parametrize(("status", "code"), UNDECIDED, ids=[f"{s}-{c}" for s, c in UNDECIDED])
@responses.activate
def test_no_code_makes_an_undecided_status_a_refusal(status: int, code: int, client: TwilioClient) -> None:
    responses.post(LIST_URL, status=status, json=fault(code, status))

    with pytest.raises(Unclear) as caught:
        client.buy(NUMBER, TAG, DEADLINE)

    assert caught.value.status == status


@responses.activate
def test_a_purchase_names_the_number_and_the_tag_and_sets_no_voice_url(client: TwilioClient) -> None:
    responses.post(LIST_URL, status=201, json=record())

    bought = client.buy(NUMBER, TAG, DEADLINE, address_sid="AD1", bundle_sid="BU1")

    assert bought == OwnedNumber(PN, NUMBER, TAG, None)
    expected = [("PhoneNumber", NUMBER), ("FriendlyName", TAG), ("AddressSid", "AD1"), ("BundleSid", "BU1")]
    assert form() == expected
    request = responses.calls[0].request
    token = base64.b64encode(f"{ACCOUNT_SID}:{AUTH_TOKEN}".encode()).decode()
    assert request.headers["Authorization"] == f"Basic {token}"
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"


UNBELIEVABLE: dict[str, Any] = {
    "another number": record(phone_number="+14155550124"),
    "another name": record(friendly_name="rf:test:fedcba9876543210:1"),
    "no name": record(friendly_name=None),
    "no SID": {key: value for key, value in record().items() if key != "sid"},
    "a SID of something else": record(sid="AP" + "a" * 32),
    "a SID too short": record(sid="PN" + "a" * 31),
    "a SID in capitals": record(sid="PN" + "A" * 32),
    "a SID with a line after it": record(sid=PN + "\n"),
    "a list": [record()],
    "nothing": {},
    "null": None,
    "the form of a list": page(record()),
}


@pytest.mark.parametrize("body", UNBELIEVABLE.values(), ids=UNBELIEVABLE)
@responses.activate
def test_a_201_about_anything_else_leaves_the_purchase_unclear(body: Any, client: TwilioClient) -> None:
    responses.post(LIST_URL, status=201, json=body)

    with pytest.raises(Unclear):
        client.buy(NUMBER, TAG, DEADLINE)


@pytest.mark.parametrize("number", ["", "4155550123", "+1415555*", "+0123456789", "+1 415 555 0123", NUMBER + "\n"])
@responses.activate
def test_what_is_not_one_whole_number_is_never_bought(number: str, client: TwilioClient) -> None:
    with pytest.raises(Refused):
        client.buy(number, TAG, DEADLINE)

    assert len(responses.calls) == 0


@responses.activate
def test_a_number_is_looked_up_with_its_plus_escaped_and_compared_again(client: TwilioClient) -> None:
    longer = record(sid="PN" + "b" * 32, phone_number=NUMBER + "4")
    responses.get(LIST_URL, json=page(longer, record(friendly_name="Front desk", voice_url="https://api.vapi.ai/x")))

    found = client.find_by_number(NUMBER, DEADLINE)

    assert found == OwnedNumber(PN, NUMBER, "Front desk", "https://api.vapi.ai/x")
    assert "PhoneNumber=%2B14155550123" in (responses.calls[0].request.url or "")


@responses.activate
def test_a_number_that_only_resembles_is_not_found(client: TwilioClient) -> None:
    responses.get(LIST_URL, json=page(record(phone_number=NUMBER + "4")))

    assert client.find_by_number(NUMBER, DEADLINE) is None


@responses.activate
def test_a_tag_is_compared_exactly(client: TwilioClient) -> None:
    tags = [TAG, TAG + "0", TAG.upper(), "", None, TAG]
    records = [record(sid=f"PN{index:032x}", friendly_name=tag) for index, tag in enumerate(tags)]
    responses.get(LIST_URL, json=page(*records))

    found = client.find_by_tag(TAG, DEADLINE)

    assert [number.sid for number in found] == [f"PN{0:032x}", f"PN{5:032x}"]
    assert ("FriendlyName", TAG) in query()


NEXT = f"/2010-04-01/Accounts/{ACCOUNT_SID}/IncomingPhoneNumbers.json?PageSize=500&Page=1&PageToken=PA1"


@pytest.mark.parametrize("uri", [NEXT, TWILIO + NEXT], ids=["a path", "an address"])
@responses.activate
def test_all_pages_of_a_list_are_read(uri: str, client: TwilioClient) -> None:
    responses.get(LIST_URL, json=page(record(), next_page_uri=uri))
    responses.get(LIST_URL, json=page(record(sid="PN" + "b" * 32, phone_number="+14155550124")))

    found = client.list_all(DEADLINE)

    assert [number.number for number in found] == [NUMBER, "+14155550124"]
    assert query(1) == [("PageSize", "500"), ("Page", "1"), ("PageToken", "PA1")]


ELSEWHERE = [
    "https://evil.example/2010-04-01/x.json",
    "http://api.twilio.com/2010-04-01/x.json",
    "https://api.twilio.com.evil.example/x.json",
    "https://api.twilio.com@evil.example/x.json",
    "https://api.twilio.com:444/x.json",
    "//evil.example/x.json",
    "x.json",
    "/x y.json",
    "/x\r\ny.json",
    "/ü.json",
]


@pytest.mark.parametrize("uri", ELSEWHERE)
@responses.activate
def test_a_next_page_elsewhere_is_not_followed_and_the_list_fails_as_a_whole(uri: str, client: TwilioClient) -> None:
    responses.get(LIST_URL, json=page(record(), next_page_uri=uri))

    with pytest.raises(TryLater):
        client.list_all(DEADLINE)

    assert len(responses.calls) == 1


@responses.activate
def test_a_list_that_goes_in_circles_ends(client: TwilioClient) -> None:
    responses.get(LIST_URL, json=page(record(), next_page_uri=NEXT))

    with pytest.raises(TryLater):
        client.list_all(DEADLINE)

    assert len(responses.calls) == 2


FAILED_PAGES = [(500, {}), (429, {}), (200, {"incoming_phone_numbers": [{}]}), (404, fault(20404, 404))]


@pytest.mark.parametrize(("status", "body"), FAILED_PAGES)
@responses.activate
def test_a_list_whose_second_page_fails_is_no_list(status: int, body: Any, client: TwilioClient) -> None:
    responses.get(LIST_URL, json=page(record(), next_page_uri=NEXT))
    responses.get(LIST_URL, status=status, json=body)

    with pytest.raises(ProviderError):
        client.list_all(DEADLINE)


GONE: dict[str, tuple[int, Any, object]] = {
    "Twilio's own 404": (404, fault(20404, 404), None),
    "a page of a proxy": (404, "<html>", ("TryLater", None)),
    "a 404 about something else": (404, fault(20003, 404), ("Refused", "credentials")),
    "410": (410, {}, ("TryLater", None)),
}


@pytest.mark.parametrize(("status", "body", "expected"), GONE.values(), ids=GONE)
@responses.activate
def test_only_twilio_itself_says_that_a_number_is_gone(
    status: int, body: Any, expected: object, client: TwilioClient
) -> None:
    responses.get(ITEM_URL, status=status, json=body)

    if expected is None:
        assert client.fetch(PN, DEADLINE) is None
    else:
        with pytest.raises(ProviderError) as caught:
            client.fetch(PN, DEADLINE)
        assert said_of(caught.value) == expected


RELEASES: dict[str, tuple[int, Any, object]] = {
    "released": (204, None, True),
    "already gone": (404, fault(20404, 404), False),
    "a page of a proxy": (404, "<html>", ("Unclear", None)),
    "a 200, which is not what Twilio answers": (200, {}, ("Unclear", None)),
    "502": (502, {}, ("Unclear", None)),
    "429": (429, {}, ("TryLater", None)),
    "being ported out": (400, fault(22350), ("Refused", "other")),
    "401": (401, fault(20003, 401), ("Refused", "credentials")),
}


@pytest.mark.parametrize(("status", "body", "expected"), RELEASES.values(), ids=RELEASES)
@responses.activate
def test_what_the_answer_to_a_release_means(status: int, body: Any, expected: object, client: TwilioClient) -> None:
    if body is None:
        responses.delete(ITEM_URL, status=status)
    else:
        responses.delete(ITEM_URL, status=status, json=body)

    if isinstance(expected, bool):
        assert client.release(PN, DEADLINE) is expected
    else:
        with pytest.raises(ProviderError) as caught:
            client.release(PN, DEADLINE)
        assert said_of(caught.value) == expected


@pytest.mark.parametrize("sid", ["", "PN1", "../Calls", PN + "/x", "AC" + "a" * 32, PN + "\n"])
@responses.activate
def test_only_the_sid_of_a_number_is_ever_put_into_a_path(sid: str, client: TwilioClient) -> None:
    for call in (client.fetch, client.release):
        with pytest.raises(Refused):
            call(sid, DEADLINE)
    with pytest.raises(Refused):
        client.rename(sid, TAG, DEADLINE)

    assert len(responses.calls) == 0


@responses.activate
def test_a_fetch_that_answers_about_another_number_is_not_believed(client: TwilioClient) -> None:
    responses.get(ITEM_URL, json=record(sid="PN" + "b" * 32))

    with pytest.raises(TryLater):
        client.fetch(PN, DEADLINE)


@responses.activate
def test_a_rename_sets_the_name_and_nothing_else(client: TwilioClient) -> None:
    responses.post(ITEM_URL, json=record())

    assert client.rename(PN, TAG, DEADLINE).tag == TAG
    assert form() == [("FriendlyName", TAG)]


@responses.activate
def test_a_rename_that_did_not_take_is_unclear(client: TwilioClient) -> None:
    responses.post(ITEM_URL, json=record(friendly_name="something else"))

    with pytest.raises(Unclear):
        client.rename(PN, TAG, DEADLINE)


@responses.activate
def test_a_search_asks_for_numbers_that_can_be_called_and_need_no_papers(client: TwilioClient) -> None:
    responses.get(SEARCH_URL, json={"available_phone_numbers": [offer()]})

    found = client.search(NumberWish("US", area_code="415", contains="555", locality="San José"), 20, DEADLINE)

    assert found == [
        AvailableNumber(
            NUMBER, "San Francisco", "CA", "US", "local", "none", {"voice": True, "sms": True, "mms": False}
        )
    ]
    assert query() == [
        ("PageSize", "20"), ("VoiceEnabled", "true"), ("Beta", "false"), ("ExcludeAllAddressRequired", "true"),
        ("AreaCode", "415"), ("Contains", "555"), ("InLocality", "San José"),
    ]  # fmt: skip


@responses.activate
def test_a_search_near_a_number_or_in_a_region_says_so(client: TwilioClient) -> None:
    responses.get(SEARCH_URL, json={"available_phone_numbers": []})

    client.search(NumberWish("US", region="CA", near_number="+14155550100"), 20, DEADLINE)

    assert query()[4:] == [("InRegion", "CA"), ("NearNumber", "+14155550100")]


@responses.activate
def test_a_question_about_a_place_leaves_nothing_out(client: TwilioClient) -> None:
    silent = offer(capabilities={}, beta=True, address_requirements="local")
    responses.get(SEARCH_URL, json={"available_phone_numbers": [silent]})

    found = client.search(NumberWish("US", area_code="415", is_only_asking=True), 1, DEADLINE)

    assert [each.region for each in found] == ["CA"]
    assert query() == [("PageSize", "1"), ("AreaCode", "415")]


@responses.activate
def test_with_an_address_on_file_numbers_that_need_one_are_searched_too(client: TwilioClient) -> None:
    responses.get(SEARCH_URL, json={"available_phone_numbers": [offer(address_requirements="any")]})

    found = client.search(NumberWish("US", has_address=True), 5, DEADLINE)

    assert [number.address_requirements for number in found] == ["any"]
    assert "ExcludeAllAddressRequired" not in dict(query())


UNWANTED = {
    "needs an address": offer(address_requirements="any"),
    "in another country": offer(iso_country="CA"),
    "in another area": offer(phone_number="+14165550123"),
    "cannot be called": offer(capabilities={"voice": False, "sms": True}),
    "says nothing of voice": offer(capabilities={}),
    "voice is null": offer(capabilities={"voice": None}),
    "still in beta": offer(beta=True),
    "no number": offer(phone_number="12345"),
}


@pytest.mark.parametrize("unwanted", UNWANTED.values(), ids=UNWANTED)
@responses.activate
def test_an_offer_that_was_not_asked_for_is_left_out(unwanted: dict[str, Any], client: TwilioClient) -> None:
    responses.get(SEARCH_URL, json={"available_phone_numbers": [unwanted, offer()]})

    found = client.search(NumberWish("US", area_code="415"), 20, DEADLINE)

    assert [number.number for number in found] == [NUMBER]


@responses.activate
def test_a_search_gives_no_more_than_asked_for(client: TwilioClient) -> None:
    offers = [offer(phone_number=f"+1415555{index:04}") for index in range(9)]
    responses.get(SEARCH_URL, json={"available_phone_numbers": offers})

    assert len(client.search(NumberWish("US"), 3, DEADLINE)) == 3


NOTHING_FOUND = [(200, {"available_phone_numbers": []}), (400, fault(21452)), (404, fault(20404, 404))]


@pytest.mark.parametrize(("status", "body"), NOTHING_FOUND, ids=["empty", "none in this area", "no such type here"])
@responses.activate
def test_a_search_without_a_find_is_empty(status: int, body: Any, client: TwilioClient) -> None:
    responses.get(SEARCH_URL, status=status, json=body)

    assert client.search(NumberWish("US"), 20, DEADLINE) == []


SEARCH_FAILURES = [
    (400, fault(21451), ("Refused", "other")),
    (401, fault(20003, 401), ("Refused", "credentials")),
    (404, "<html>", ("TryLater", None)),
    (200, {}, ("TryLater", None)),
]


@pytest.mark.parametrize(("status", "body", "expected"), SEARCH_FAILURES)
@responses.activate
def test_a_search_that_fails_is_not_an_empty_one(
    status: int, body: Any, expected: object, client: TwilioClient
) -> None:
    responses.get(SEARCH_URL, status=status, json=body)

    with pytest.raises(ProviderError) as caught:
        client.search(NumberWish("US"), 20, DEADLINE)

    assert said_of(caught.value) == expected


@pytest.mark.parametrize(
    "wish", [NumberWish("us"), NumberWish("USA"), NumberWish("U/"), NumberWish("US", "../Calls")], ids=str
)
@responses.activate
def test_a_search_for_what_cannot_exist_is_refused_before_it_is_sent(wish: NumberWish, client: TwilioClient) -> None:
    with pytest.raises(Refused):
        client.search(wish, 20, DEADLINE)

    assert len(responses.calls) == 0


ACCOUNTS = [
    (200, {"status": "active", "auth_token": AUTH_TOKEN}, None),
    (200, {"status": "suspended"}, ("Refused", "credentials")),
    (200, {"status": "closed"}, ("Refused", "credentials")),
    (401, fault(20003, 401), ("Refused", "credentials")),
    (200, {}, ("TryLater", None)),
    (500, {}, ("TryLater", None)),
]


@pytest.mark.parametrize(("status", "body", "expected"), ACCOUNTS)
@responses.activate
def test_an_account_is_well_only_if_it_is_active(
    status: int, body: Any, expected: object, client: TwilioClient
) -> None:
    responses.get(ACCOUNT_URL, status=status, json=body)

    if expected is None:
        client.check_account(DEADLINE)
    else:
        with pytest.raises(ProviderError) as caught:
            client.check_account(DEADLINE)
        assert said_of(caught.value) == expected


@responses.activate
def test_an_api_key_is_probed_by_what_it_may_do() -> None:
    client = twilio_client(http_core(CLOCK), username="SK" + "1" * 32)
    responses.get(LIST_URL, json=page())

    client.check_account(DEADLINE)

    assert query() == [("PageSize", "1")]


PRICES = {
    "as text": ('{"number_type": "local", "base_price": "1.15", "current_price": "1.15"}', ("1.15", "USD")),
    "as a number": ('{"number_type": "local", "current_price": 1.10}', ("1.10", "USD")),
    "none": ('{"number_type": "local", "current_price": null}', None),
    "of another type": ('{"number_type": "toll free", "current_price": "2.00"}', None),
}


@pytest.mark.parametrize(("price", "expected"), PRICES.values(), ids=PRICES)
@responses.activate
def test_a_price_is_given_as_it_was_written(
    price: str, expected: tuple[str, str] | None, client: TwilioClient
) -> None:
    responses.get(PRICES_URL, body=f'{{"phone_number_prices": [{price}], "price_unit": "USD", "country": "US"}}')

    assert client.monthly_price("US", "local", DEADLINE) == expected


@responses.activate
def test_toll_free_numbers_have_their_price_under_another_name(client: TwilioClient) -> None:
    prices = [{"number_type": "toll free", "current_price": "2.00"}]
    responses.get(PRICES_URL, json={"phone_number_prices": prices, "price_unit": "USD"})

    assert client.monthly_price("US", "toll_free", DEADLINE) == ("2.00", "USD")


@responses.activate
def test_a_country_without_prices_has_none(client: TwilioClient) -> None:
    responses.get(PRICES_URL, status=404, json=fault(20404, 404))

    assert client.monthly_price("US", "local", DEADLINE) is None
    assert client.monthly_price("../..", "local", DEADLINE) is None


@responses.activate
def test_a_price_list_has_every_kind_in_our_words_and_the_text_as_it_came(client: TwilioClient) -> None:
    prices = [
        {"number_type": "local", "base_price": "1.15", "current_price": "1.00"},
        {"number_type": "toll free", "base_price": None, "current_price": "2.150"},
        {"number_type": "mobile", "base_price": "1.00", "current_price": None},
    ]
    answer = {"phone_number_prices": prices, "price_unit": "usd", "country": "United States", "iso_country": "US"}
    responses.get(PRICES_URL, json=answer)

    assert client.price_list("US", DEADLINE) == PriceList(
        "US", "United States", "usd", (Price("local", "1.15", "1.00"), Price("toll_free", "2.150", "2.150"))
    )


@responses.activate
def test_where_nothing_is_sold_there_is_no_price_list(client: TwilioClient) -> None:
    responses.get(PRICES_URL, status=404, json=fault(20404, 404))

    assert client.price_list("US", DEADLINE) is None
    assert client.price_list("us/..", DEADLINE) is None
