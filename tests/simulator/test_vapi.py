"""The pretend Vapi behaves as its document says, and as public client code has seen it refuse."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest

from gateway.simulator import defaults
from gateway.simulator.world import World
from tests.simulator.pretend import NUMBER, NUMBERS, TAG, Caller, StillClock

SAY = {"on": "call.ringing", "do": [{"type": "say", "exact": "We are closed."}]}


@pytest.fixture
def owned(call: Caller) -> str:
    """A bought number's SID."""
    return str(call.buy().json()["sid"])


@pytest.fixture
def entry(call: Caller, owned: str) -> dict[str, Any]:
    return dict(call.bring().json())


def refusal(response: Any) -> tuple[int, Any]:
    error = response.json()
    assert set(error) == {"message", "error", "statusCode"}
    assert error["statusCode"] == response.status_code
    return response.status_code, error["message"]


def test_an_import_answers_the_entry_and_repeats_the_secret(call: Caller, owned: str) -> None:
    answer = call.bring(assistantId=defaults.ASSISTANT_ID)

    assert answer.status_code == 201
    made = answer.json()
    assert str(uuid.UUID(made["id"])) == made["id"]
    assert (made["number"], made["name"], made["provider"]) == (NUMBER, TAG, "twilio")
    assert made["twilioAuthToken"] == defaults.AUTH_TOKEN
    assert made["smsEnabled"] is True
    assert re.fullmatch(r"2026-11-22T09:56:09\.\d{3}Z", made["createdAt"])


def test_an_import_points_the_number_at_vapi(call: Caller, owned: str) -> None:
    call.bring()

    number = call.twilio("GET", f"{NUMBERS}/{owned}.json").json()
    assert number["voice_url"] == "https://api.vapi.ai/twilio/inbound_call"
    assert number["status_callback"] == "https://api.vapi.ai/twilio/status"
    assert number["sms_url"].startswith("https://api.vapi.ai/")


def test_an_import_without_sms_leaves_the_messaging_url(call: Caller, owned: str) -> None:
    call.bring(smsEnabled=False)

    assert call.twilio("GET", f"{NUMBERS}/{owned}.json").json()["sms_url"] == ""


@pytest.mark.parametrize(
    "fields",
    [
        {"number": "+14155550199"},
        {"twilioAuthToken": "wrong"},
        {"twilioAccountSid": "AC" + "0" * 32},
        {"twilioAuthToken": None, "twilioApiKey": defaults.API_KEY, "twilioApiSecret": "wrong"},
    ],
    ids=["not owned", "wrong token", "wrong account", "wrong key"],
)
def test_a_number_that_the_credentials_do_not_own_is_not_found_on_twilio(
    call: Caller, owned: str, fields: dict[str, Any]
) -> None:
    status, message = refusal(call.bring(**fields))

    assert status == 400
    assert message.startswith("Number Not Found on Twilio")


def test_an_api_key_imports_as_well_as_the_token(call: Caller, owned: str) -> None:
    keys = {"twilioApiKey": defaults.API_KEY, "twilioApiSecret": defaults.API_SECRET}

    assert call.bring(twilioAuthToken=None, **keys).status_code == 201


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("refuse", (400, r"Existing Phone Number {id} Has Identical `twilioAccountSid` AC\w+ and `number` \+1\d+")),
        ("conflict", (409, r"Existing Phone Number {id} Has Identical .*")),
        ("other_org", (400, r"Phone number \+1\d+ already in use by another org\.")),
    ],
)
def test_a_second_import_is_refused_in_the_ways_that_were_seen(
    world: World, call: Caller, entry: dict[str, Any], policy: str, expected: tuple[int, str]
) -> None:
    world.set_policies({"import_twice": policy})

    status, message = refusal(call.bring())

    assert status == expected[0]
    assert re.fullmatch(expected[1].replace("{id}", entry["id"]), message)
    assert len(world.state()["entries"]) == 1


def test_a_second_import_may_also_make_a_second_entry(world: World, call: Caller, entry: dict[str, Any]) -> None:
    world.set_policies({"import_twice": "allow"})

    assert call.bring().status_code == 201
    assert len(world.state()["entries"]) == 2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"serverUrl": "https://example.com"}, "property serverUrl should not exist"),
        ({"server": {"secret": "x"}}, "server.property secret should not exist"),
        ({"name": "x" * 41}, "name must be shorter than or equal to 40 characters"),
        ({"provider": None}, "provider must be one of the following values: byo-phone-number, twilio, .*"),
        ({"number": None}, "number must be a string"),
        ({"hooks": [{"on": "call.ended"}]}, "hooks.0.on must be one of .*"),
        ({"hooks": "none"}, "hooks must be a list"),
    ],
    ids=["unknown", "in server", "long name", "no provider", "no number", "hook", "hooks"],
)
def test_a_body_that_the_service_would_not_take_is_refused(
    world: World, call: Caller, owned: str, fields: dict[str, Any], message: str
) -> None:
    status, messages = refusal(call.bring(**fields))

    assert status == 400
    assert any(re.fullmatch(message, one) for one in messages)
    assert world.state()["entries"] == []


def test_an_assistant_that_does_not_exist_is_refused(call: Caller, entry: dict[str, Any]) -> None:
    nobody = str(uuid.uuid4())

    assert refusal(call.vapi("PATCH", f"/phone-number/{entry['id']}", {"assistantId": nobody}))[0] == 400


@pytest.mark.parametrize("provider", [{"provider": "twilio"}, {}], ids=["with provider", "without"])
def test_a_patch_assigns_an_assistant_and_keeps_the_rest(
    call: Caller, entry: dict[str, Any], provider: dict[str, str]
) -> None:
    path = f"/phone-number/{entry['id']}"

    changed = call.vapi("PATCH", path, {**provider, "assistantId": defaults.ASSISTANT_ID})

    assert changed.status_code == 200
    assert changed.json() == {**entry, "assistantId": defaults.ASSISTANT_ID}
    assert call.vapi("GET", path).json() == changed.json()


def test_hooks_are_replaced_as_a_whole(call: Caller, entry: dict[str, Any]) -> None:
    path = f"/phone-number/{entry['id']}"

    assert call.vapi("PATCH", path, {"hooks": [SAY]}).json()["hooks"] == [SAY]
    assert call.vapi("PATCH", path, {"hooks": []}).json()["hooks"] == []


def test_null_takes_the_assistant_away(call: Caller, entry: dict[str, Any]) -> None:
    path = f"/phone-number/{entry['id']}"
    call.vapi("PATCH", path, {"assistantId": defaults.ASSISTANT_ID})

    assert "assistantId" not in call.vapi("PATCH", path, {"provider": "twilio", "assistantId": None}).json()


def test_an_unknown_field_in_a_patch_is_refused(call: Caller, entry: dict[str, Any]) -> None:
    answer = call.vapi("PATCH", f"/phone-number/{entry['id']}", {"assistant": "x"})

    assert refusal(answer) == (400, ["property assistant should not exist"])


def test_a_deletion_answers_the_entry_and_leaves_twilios_url(call: Caller, owned: str, entry: dict[str, Any]) -> None:
    path = f"/phone-number/{entry['id']}"

    assert call.vapi("DELETE", path).json() == entry
    assert refusal(call.vapi("GET", path))[0] == 404
    assert refusal(call.vapi("DELETE", path))[0] == 404
    assert call.twilio("GET", f"{NUMBERS}/{owned}.json").json()["voice_url"] != ""


def test_a_deletion_may_also_clear_twilios_url(world: World, call: Caller, owned: str, entry: dict[str, Any]) -> None:
    world.set_policies({"delete_clears_voice_url": True})

    call.vapi("DELETE", f"/phone-number/{entry['id']}")

    assert call.twilio("GET", f"{NUMBERS}/{owned}.json").json()["voice_url"] == ""


def test_an_id_that_is_none_is_refused(call: Caller) -> None:
    assert refusal(call.vapi("GET", "/phone-number/1"))[0] == 400


def fill(world: World, clock: StillClock, count: int) -> None:
    for index in range(count):
        name = f"{index:04d}"
        fields = {"number": f"+1415555{name}", "twilioAccountSid": defaults.ACCOUNT_SID, "name": f"Line {name}"}
        world.place_entry(fields)
        clock.advance(1)


def test_the_plain_list_is_an_array_of_a_hundred_newest(world: World, clock: StillClock, call: Caller) -> None:
    fill(world, clock, 150)

    listed = call.vapi("GET", "/phone-number").json()
    older = call.vapi("GET", "/phone-number", createdAtLt=listed[-1]["createdAt"]).json()

    assert [len(listed), len(older)] == [100, 50]
    assert listed[0]["number"] == "+14155550149"
    assert older[-1]["number"] == "+14155550000"
    assert len(call.vapi("GET", "/phone-number", limit="1000").json()) == 150
    assert refusal(call.vapi("GET", "/phone-number", limit="1001"))[0] == 400


def test_dates_bound_the_list_on_both_sides(world: World, clock: StillClock, call: Caller) -> None:
    fill(world, clock, 5)
    middle = call.vapi("GET", "/phone-number").json()[2]["createdAt"]

    counts = [
        len(call.vapi("GET", "/phone-number", **{f"createdAt{how}": middle}).json())
        for how in ("Gt", "Ge", "Lt", "Le")
    ]
    assert counts == [2, 3, 2, 3]
    assert refusal(call.vapi("GET", "/phone-number", createdAtGt="yesterday"))[0] == 400


def test_the_search_is_partial_ignores_case_and_comes_in_pages(world: World, clock: StillClock, call: Caller) -> None:
    fill(world, clock, 25)

    by_name = call.vapi("GET", "/v2/phone-number", search="LINE 0007").json()
    by_number = call.vapi("GET", "/v2/phone-number", search="+1415555001", limit="4", page="2").json()

    assert [one["number"] for one in by_name["results"]] == ["+14155550007"]
    assert by_number["metadata"] == {
        "itemsPerPage": 4,
        "totalItems": 10,
        "currentPage": 2,
        "totalPages": 3,
        "hasNextPage": True,
        "sortOrder": "DESC",
    }
    assert [one["number"][-1] for one in by_number["results"]] == ["5", "4", "3", "2"]
    assert refusal(call.vapi("GET", "/v2/phone-number", page="0"))[0] == 400
    assert refusal(call.vapi("GET", "/v2/phone-number", search="x" * 101))[0] == 400


def test_assistants_are_made_listed_and_read(call: Caller) -> None:
    made = call.vapi("POST", "/assistant", {"name": "Night desk", "firstMessage": "Hello"})

    assert made.status_code == 201
    assistant = made.json()
    assert assistant["firstMessage"] == "Hello"
    assert call.vapi("GET", f"/assistant/{assistant['id']}").json() == assistant
    assert {one["id"] for one in call.vapi("GET", "/assistant").json()} == {assistant["id"], defaults.ASSISTANT_ID}
    assert refusal(call.vapi("GET", f"/assistant/{uuid.uuid4()}"))[0] == 404


@pytest.mark.parametrize("key", ["", "wrong"])
def test_a_wrong_key_is_401(call: Caller, key: str) -> None:
    call.vapi_key = key

    assert refusal(call.vapi("GET", "/phone-number"))[0] == 401
    assert refusal(call.bring())[0] == 401


def test_a_body_that_is_no_object_is_refused(call: Caller) -> None:
    assert refusal(call.vapi("POST", "/phone-number", ["x"]))[0] == 400
