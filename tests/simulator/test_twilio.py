"""The pretend Twilio behaves as its documents say: searching, buying, listing, changing, releasing, refusing."""

from __future__ import annotations

import re

import pytest

from gateway.simulator import defaults
from gateway.simulator.world import World
from tests.simulator.pretend import ACCOUNT, NUMBER, NUMBERS, SEARCH, TAG, Caller, StillClock, code

# Fields of the answers, from Twilio's OpenAPI document twilio_api_v2010.json (2026-04-14).
NUMBER_FIELDS = {
    "account_sid",
    "address_sid",
    "address_requirements",
    "api_version",
    "beta",
    "capabilities",
    "date_created",
    "date_updated",
    "friendly_name",
    "identity_sid",
    "phone_number",
    "origin",
    "sid",
    "sms_application_sid",
    "sms_fallback_method",
    "sms_fallback_url",
    "sms_method",
    "sms_url",
    "status_callback",
    "status_callback_method",
    "trunk_sid",
    "uri",
    "voice_receive_mode",
    "voice_application_sid",
    "voice_caller_id_lookup",
    "voice_fallback_method",
    "voice_fallback_url",
    "voice_method",
    "voice_url",
    "emergency_status",
    "emergency_address_sid",
    "emergency_address_status",
    "bundle_sid",
    "status",
    "type",
}
OFFER_FIELDS = {
    "friendly_name",
    "phone_number",
    "lata",
    "locality",
    "rate_center",
    "latitude",
    "longitude",
    "region",
    "postal_code",
    "iso_country",
    "address_requirements",
    "beta",
    "capabilities",
}


def test_a_search_answers_offers_and_no_paging(call: Caller) -> None:
    answer = call.twilio("GET", SEARCH, AreaCode="415", VoiceEnabled="true", PageSize="5").json()

    assert set(answer) == {"available_phone_numbers", "uri"}
    assert len(answer["available_phone_numbers"]) == 5
    for offer in answer["available_phone_numbers"]:
        assert set(offer) == OFFER_FIELDS
        assert offer["phone_number"].startswith("+1415")
        assert offer["iso_country"] == "US"
        assert offer["capabilities"]["voice"] is True
        assert re.fullmatch(r"\(415\) \d{3}-\d{4}", offer["friendly_name"])


def test_a_search_without_a_hit_is_an_empty_list(call: Caller) -> None:
    answer = call.twilio("GET", SEARCH, AreaCode="907")

    assert answer.status_code == 200
    assert answer.json()["available_phone_numbers"] == []


def test_a_search_ignores_parameters_it_does_not_know(call: Caller) -> None:
    answer = call.twilio("GET", SEARCH, Areacode="907", PageSize="3")

    assert len(answer.json()["available_phone_numbers"]) == 3


def test_a_search_never_shows_what_is_owned_or_taken(world: World, call: Caller) -> None:
    call.buy("+18085550100")
    world.change(lambda now_ms: world.twilio.take("+18085550101"))

    found = call.twilio("GET", SEARCH, AreaCode="808").json()["available_phone_numbers"]

    assert [offer["phone_number"] for offer in found] == ["+18085550102"]


def test_countries_tell_which_types_they_have(call: Caller) -> None:
    countries = call.twilio("GET", f"{ACCOUNT}/AvailablePhoneNumbers.json").json()["countries"]
    britain = call.twilio("GET", f"{ACCOUNT}/AvailablePhoneNumbers/GB.json").json()

    assert {"US", "CA", "GB", "ZA", "DE"} <= {country["country_code"] for country in countries}
    assert set(britain["subresource_uris"]) == {"local", "mobile", "toll_free"}
    assert call.twilio("GET", britain["subresource_uris"]["toll_free"]).status_code == 200


@pytest.mark.parametrize(
    ("path", "params", "expected"),
    [
        (f"{ACCOUNT}/AvailablePhoneNumbers/XX/Local.json", {}, (404, 20404)),
        (f"{ACCOUNT}/AvailablePhoneNumbers/US/Mobile.json", {}, (404, 20404)),
        (f"{ACCOUNT}/availablephonenumbers/US/Local.json", {}, (404, 20404)),
        (SEARCH.removesuffix(".json"), {}, (404, 20404)),
        (SEARCH, {"PageSize": "1001"}, (400, 20007)),
        (SEARCH, {"Contains": "4"}, (400, 20422)),
    ],
    ids=["country", "type", "case", "no .json", "page size", "pattern"],
)
def test_searches_that_twilio_refuses(
    call: Caller, path: str, params: dict[str, str], expected: tuple[int, int]
) -> None:
    assert code(call.twilio("GET", path, **params)) == expected


def test_a_bought_number_is_ours_under_its_tag(world: World, call: Caller) -> None:
    answer = call.buy()

    assert answer.status_code == 201
    bought = answer.json()
    assert set(bought) == NUMBER_FIELDS
    assert re.fullmatch(r"PN[0-9a-f]{32}", bought["sid"])
    assert (bought["phone_number"], bought["friendly_name"]) == (NUMBER, TAG)
    assert bought["date_created"] == "Sun, 22 Nov 2026 09:56:09 +0000"
    assert bought["voice_url"] == ""
    assert [entry["number"] for entry in world.purchases()] == [NUMBER]


def test_without_a_name_a_number_is_called_by_its_digits(call: Caller) -> None:
    answer = call.twilio("POST", f"{NUMBERS}.json", PhoneNumber=NUMBER)

    assert answer.json()["friendly_name"] == "(415) 555-0123"


def test_what_is_said_at_the_purchase_is_kept(call: Caller) -> None:
    sid = call.buy(VoiceUrl="https://example.com/voice", VoiceMethod="GET", VoiceCallerIdLookup="true").json()["sid"]

    fetched = call.twilio("GET", f"{NUMBERS}/{sid}.json").json()
    assert fetched["voice_url"] == "https://example.com/voice"
    assert fetched["voice_method"] == "GET"
    assert fetched["voice_caller_id_lookup"] is True


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"PhoneNumber": "+15005550000"}, (400, 21422)),
        ({"PhoneNumber": "+15005550001"}, (400, 21421)),
        ({"PhoneNumber": "+14155559999"}, (400, 21422)),
        ({"PhoneNumber": "4155550123"}, (400, 21421)),
        ({}, (400, 21421)),
        ({"AreaCode": "907"}, (400, 21452)),
        ({"AreaCode": "555"}, (400, 21451)),
        ({"PhoneNumber": NUMBER, "FriendlyName": "x" * 65}, (400, 20422)),
    ],
    ids=["magic taken", "magic invalid", "not in stock", "no plus", "nothing", "sold out", "no area", "long name"],
)
def test_purchases_that_twilio_refuses(
    world: World, call: Caller, params: dict[str, str], expected: tuple[int, int]
) -> None:
    assert code(call.twilio("POST", f"{NUMBERS}.json", **params)) == expected
    assert world.purchases() == []


def test_buying_by_area_code_chooses_a_new_number_each_time(call: Caller) -> None:
    numbers = {call.twilio("POST", f"{NUMBERS}.json", AreaCode="415").json()["phone_number"] for _ in range(5)}

    assert len(numbers) == 5
    assert all(number.startswith("+1415") for number in numbers)


@pytest.mark.parametrize(
    ("kind", "number", "expected"),
    [("TollFree", NUMBER, 21458), ("Mobile", NUMBER, 21457), ("Local", "+18005550123", 21457)],
)
def test_a_number_of_another_type_is_refused(call: Caller, kind: str, number: str, expected: int) -> None:
    assert code(call.twilio("POST", f"{NUMBERS}/{kind}.json", PhoneNumber=number)) == (400, expected)


@pytest.mark.parametrize(("kind", "number"), [("Local", NUMBER), ("TollFree", "+18005550123")])
def test_a_number_of_the_right_type_is_sold(call: Caller, kind: str, number: str) -> None:
    assert call.twilio("POST", f"{NUMBERS}/{kind}.json", PhoneNumber=number).status_code == 201
    assert [n["phone_number"] for n in call.twilio("GET", f"{NUMBERS}/{kind}.json").json()["incoming_phone_numbers"]]


def test_buying_an_owned_number_is_refused_and_changes_nothing(world: World, call: Caller) -> None:
    call.buy()

    again = call.buy(tag="rf:test:another:1")

    assert code(again) == (400, 21422)
    assert [number["friendly_name"] for number in call.listed()] == [TAG]
    assert len(world.purchases()) == 1


def test_buying_an_owned_number_may_also_act_as_an_update(world: World, call: Caller) -> None:
    world.set_policies({"buy_owned": "update"})
    sid = call.buy().json()["sid"]

    again = call.buy(tag="rf:test:another:1")

    assert again.status_code == 201
    assert again.json()["sid"] == sid
    assert [number["friendly_name"] for number in call.listed()] == ["rf:test:another:1"]
    assert len(world.purchases()) == 1
    assert world.log()[-1]["was"] == TAG


def test_the_list_finds_by_exact_name_and_by_part_of_a_number(call: Caller) -> None:
    call.buy(NUMBER, "rf:test:a:1")
    call.buy("+14155550124", "rf:test:a:10")

    assert [n["phone_number"] for n in call.listed(FriendlyName="rf:test:a:1")] == [NUMBER]
    assert [n["phone_number"] for n in call.listed(PhoneNumber="+14155550124")] == ["+14155550124"]
    assert len(call.listed(PhoneNumber="555012")) == 2
    assert len(call.listed(PhoneNumber="+1415555012*")) == 2
    assert call.listed(PhoneNumber="+14155550125") == []


def test_the_list_comes_newest_first_in_pages_that_new_numbers_do_not_shift(call: Caller) -> None:
    for last in range(5):
        call.buy(f"+1415555010{last}")

    first = call.twilio("GET", f"{NUMBERS}.json", PageSize="2").json()
    call.buy("+14155550109")
    second = call.twilio("GET", first["next_page_uri"]).json()
    third = call.twilio("GET", second["next_page_uri"]).json()

    shown = [n["phone_number"][-1] for page in (first, second, third) for n in page["incoming_phone_numbers"]]
    assert shown == ["4", "3", "2", "1", "0"]
    assert third["next_page_uri"] is None
    assert [page["page"] for page in (first, second, third)] == [0, 1, 2]
    assert (second["start"], second["end"], second["page_size"]) == (2, 3, 2)
    assert first["next_page_uri"].startswith(f"{NUMBERS}.json?")


def test_a_page_larger_than_allowed_is_refused(call: Caller) -> None:
    assert code(call.twilio("GET", f"{NUMBERS}.json", PageSize="1001")) == (400, 20007)


def test_an_update_changes_only_what_it_names(world: World, clock: StillClock, call: Caller) -> None:
    sid = call.buy(VoiceUrl="https://example.com/voice").json()["sid"]
    clock.advance(60)

    changed = call.twilio("POST", f"{NUMBERS}/{sid}.json", FriendlyName="rf:test:b:1").json()

    assert changed["friendly_name"] == "rf:test:b:1"
    assert changed["voice_url"] == "https://example.com/voice"
    assert changed["date_updated"] == "Sun, 22 Nov 2026 09:57:09 +0000"
    assert changed["date_created"] == "Sun, 22 Nov 2026 09:56:09 +0000"


def test_a_released_number_is_gone_at_once_and_cannot_be_bought_again(world: World, call: Caller) -> None:
    sid = call.buy().json()["sid"]

    released = call.twilio("DELETE", f"{NUMBERS}/{sid}.json")

    assert (released.status_code, released.content) == (204, b"")
    assert call.listed() == []
    assert code(call.twilio("GET", f"{NUMBERS}/{sid}.json")) == (404, 20404)
    assert code(call.twilio("DELETE", f"{NUMBERS}/{sid}.json")) == (404, 20404)
    assert code(call.buy()) == (400, 21422)
    assert [entry["what"] for entry in world.log()] == ["bought", "released"]


@pytest.mark.parametrize(
    "auth",
    [
        None,
        (defaults.ACCOUNT_SID, "wrong"),
        ("AC" + "0" * 32, defaults.AUTH_TOKEN),
        (defaults.API_KEY, defaults.AUTH_TOKEN),
        ("SK" + "0" * 32, defaults.API_SECRET),
    ],
    ids=["nobody", "wrong token", "wrong account", "wrong secret", "unknown key"],
)
def test_wrong_credentials_are_20003(world: World, call: Caller, auth: tuple[str, str] | None) -> None:
    call.twilio_auth = auth

    assert code(call.buy()) == (401, 20003)
    assert world.purchases() == []


def test_an_api_key_opens_numbers_but_not_the_account(call: Caller) -> None:
    call.twilio_auth = (defaults.API_KEY, defaults.API_SECRET)

    assert call.buy().status_code == 201
    assert code(call.twilio("GET", f"{ACCOUNT}.json")) == (401, 20003)


def test_the_account_answers_with_its_token_as_the_real_one_does(call: Caller) -> None:
    account = call.twilio("GET", f"{ACCOUNT}.json").json()

    assert (account["status"], account["type"]) == ("active", "Full")
    assert account["auth_token"] == defaults.AUTH_TOKEN


def test_a_suspended_account_refuses_everything(world: World, call: Caller) -> None:
    world.set_account("suspended")

    assert code(call.buy()) == (403, 20403)
    assert code(call.twilio("GET", f"{NUMBERS}.json")) == (403, 20403)


def test_another_account_is_not_found(call: Caller) -> None:
    other = f"/2010-04-01/Accounts/AC{'0' * 32}/IncomingPhoneNumbers.json"

    assert code(call.twilio("GET", other)) == (404, 20404)
