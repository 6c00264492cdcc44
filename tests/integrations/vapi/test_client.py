"""The Vapi client says exactly what is meant, reads back what Vapi has, and repeats none of our secrets."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import responses

from gateway.errors import ProviderError, Refused, TryLater, Unclear
from gateway.integrations.vapi.client import VapiClient
from gateway.integrations.vapi.imports import twilio_import
from gateway.ports import OTHER_HOOK, OTHER_TARGET, Answering, Entry
from tests.integrations.providers import (
    ACCOUNT_SID,
    AUTH_TOKEN,
    NUMBER,
    TAG,
    VAPI,
    VAPI_KEY,
    StillClock,
    http_core,
    said_of,
    vapi_client,
    within,
)

CLOCK = StillClock()
DEADLINE = within(CLOCK)
ID = "5e8f7d7a-2f1c-4a3b-9c0d-1e2f3a4b5c6d"
ASSISTANT = "0b8e1d0a-7c3c-4a55-8f6e-2d3c4b5a6978"
SENTENCE = "This number is not available at the moment."
IMPORT_URL = f"{VAPI}/phone-number"
ENTRY_URL = f"{VAPI}/phone-number/{ID}"
LIST_URL = f"{VAPI}/v2/phone-number"
ASSISTANT_URL = f"{VAPI}/assistant/{ASSISTANT}"
OUR_HOOK = {"on": "call.ringing", "do": [{"type": "say", "exact": SENTENCE}]}


@pytest.fixture
def client() -> VapiClient:
    return vapi_client(http_core(CLOCK))


def record(**fields: Any) -> dict[str, Any]:
    return {
        "id": ID, "orgId": "org", "provider": "twilio", "number": NUMBER, "twilioAccountSid": ACCOUNT_SID,
        "twilioAuthToken": AUTH_TOKEN, "name": TAG, "createdAt": "2026-11-22T09:56:09.123Z", "status": "active",
        "updatedAt": "2026-11-22T09:56:09.123Z", **fields,
    }  # fmt: skip


def page(*records: dict[str, Any], number: int = 1, total: int | None = None, more: bool = False) -> dict[str, Any]:
    metadata = {
        "itemsPerPage": 100,
        "totalItems": len(records) if total is None else total,
        "currentPage": number,
        "hasNextPage": more,
    }
    return {"results": list(records), "metadata": metadata}


def fault(status: int, message: str | list[str] = "Something", error: str = "Bad Request") -> dict[str, Any]:
    return {"message": message, "error": error, "statusCode": status}


def query(index: int = 0) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(responses.calls[index].request.url or "").query))


def sent_json(index: int = 0) -> Any:
    return json.loads(responses.calls[index].request.body or b"")


@responses.activate
def test_an_import_describes_the_number_and_leaves_its_messages_alone(client: VapiClient) -> None:
    responses.post(IMPORT_URL, status=201, json=record())

    entry = client.import_number(NUMBER, TAG, DEADLINE)

    assert entry == Entry(ID, NUMBER, TAG, ACCOUNT_SID, Answering(None), 1_795_341_369_123)
    assert sent_json() == {
        "provider": "twilio", "number": NUMBER, "twilioAccountSid": ACCOUNT_SID, "twilioAuthToken": AUTH_TOKEN,
        "name": TAG, "smsEnabled": False,
    }  # fmt: skip
    assert responses.calls[0].request.headers["Authorization"] == f"Bearer {VAPI_KEY}"


def test_an_api_key_is_given_to_vapi_instead_of_the_token() -> None:
    described = twilio_import(ACCOUNT_SID, api_key="SK1", api_secret="s")(NUMBER, TAG)

    assert described["twilioApiKey"] == "SK1"
    assert described["twilioApiSecret"] == "s"
    assert "twilioAuthToken" not in described


@pytest.mark.parametrize("given", [{}, {"api_key": "SK1"}, {"api_secret": "s"}, {"auth_token": ""}], ids=str)
def test_an_import_without_credentials_cannot_be_described(given: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="auth token"):
        twilio_import(ACCOUNT_SID, **given)


IDENTICAL = f"Existing Phone Number {ID} Has Identical `twilioAccountSid` {ACCOUNT_SID} and `number` {NUMBER}"
IMPORT_ANSWERS: dict[str, tuple[int, Any, tuple[str, object]]] = {
    "it exists here": (400, fault(400, IDENTICAL), ("Refused", "exists")),
    "it exists in another organisation": (
        400, fault(400, f"Phone number {NUMBER} already in use by another org."), ("Refused", "exists"),
    ),
    "it exists, in a list": (400, fault(400, [IDENTICAL]), ("Refused", "exists")),
    "409": (409, fault(409, "Conflict", "Conflict"), ("Refused", "exists")),
    "409 by a proxy": (409, "<html>", ("Unclear", None)),
    "not seen at Twilio": (400, fault(400, "Number Not Found on Twilio"), ("Refused", "not_found_at_telephony")),
    "another 400": (400, fault(400, ["property serverUrl should not exist"]), ("Refused", "other")),
    "400 by a proxy": (400, "<html>", ("Unclear", None)),
    "401": (401, fault(401), ("Refused", "credentials")),
    "403": (403, fault(403), ("Refused", "credentials")),
    "404": (404, fault(404, "Cannot POST /phone-number"), ("Refused", "other")),
    "402 without credit": (402, fault(402), ("Refused", "other")),
    "408": (408, fault(408), ("Unclear", None)),
    "429": (429, fault(429), ("TryLater", None)),
    "500": (500, fault(500), ("Unclear", None)),
    "500 that sounds like a refusal": (500, fault(500, IDENTICAL), ("Unclear", None)),
    "200": (200, record(), ("Unclear", None)),
    "201 with nothing": (201, None, ("Unclear", None)),
    "201 with HTML": (201, "<html>", ("Unclear", None)),
    "201 about another number": (201, record(number="+14155550124"), ("Unclear", None)),
    "201 about another name": (201, record(name="rf:test:fedcba9876543210:1"), ("Unclear", None)),
    "201 about another account": (201, record(twilioAccountSid="AC" + "2" * 32), ("Unclear", None)),
    "201 without an id": (201, {"number": NUMBER}, ("Unclear", None)),
    "201 with an id that is a path": (201, record(id="../assistant"), ("Unclear", None)),
}  # fmt: skip


@pytest.mark.parametrize(("status", "body", "expected"), IMPORT_ANSWERS.values(), ids=IMPORT_ANSWERS)
@responses.activate
def test_what_the_answer_to_an_import_means(
    status: int, body: Any, expected: tuple[str, object], client: VapiClient
) -> None:
    responses.post(IMPORT_URL, status=status, json=body)

    with pytest.raises(ProviderError) as caught:
        client.import_number(NUMBER, TAG, DEADLINE)

    assert said_of(caught.value) == expected
    assert (caught.value.provider, caught.value.operation) == ("vapi", "import_number")
    assert len(responses.calls) == 1


@responses.activate
def test_a_refusal_names_the_fields_it_is_about_and_quotes_nothing_else(client: VapiClient) -> None:
    message = [f"twilioAuthToken {AUTH_TOKEN} is not valid", "assistantId must be a UUID"]
    responses.post(IMPORT_URL, status=400, json=fault(400, message))

    with pytest.raises(Refused) as caught:
        client.import_number(NUMBER, TAG, DEADLINE)

    assert str(caught.value) == (
        "Vapi, import_number: Vapi refuses this; it names assistantId, twilioAuthToken (HTTP 400)"
    )


ANSWERINGS: dict[str, tuple[Answering, dict[str, Any]]] = {
    "an assistant": (
        Answering(ASSISTANT),
        {"provider": "twilio", "assistantId": ASSISTANT, "hooks": []},
    ),
    "an assistant and a server": (
        Answering(ASSISTANT, "https://app.example.com/vapi/acme"),
        {
            "provider": "twilio", "assistantId": ASSISTANT, "hooks": [],
            "server": {"url": "https://app.example.com/vapi/acme"},
        },
    ),
    "a sentence": (
        Answering(ASSISTANT, None, SENTENCE),
        {"provider": "twilio", "assistantId": ASSISTANT, "hooks": [OUR_HOOK]},
    ),
    "nothing": (Answering(None), {"provider": "twilio", "hooks": []}),
}  # fmt: skip


@pytest.mark.parametrize(("answering", "body"), ANSWERINGS.values(), ids=ANSWERINGS)
@responses.activate
def test_assigning_sets_every_value_absolutely_and_reads_it_back(
    answering: Answering, body: dict[str, Any], client: VapiClient
) -> None:
    responses.patch(ENTRY_URL, json=record(**{key: value for key, value in body.items() if value is not None}))

    entry = client.assign(ID, answering, DEADLINE)

    assert sent_json() == body
    assert entry.answering == answering


@responses.activate
def test_what_vapi_did_not_take_over_is_seen_in_what_is_read_back(client: VapiClient) -> None:
    responses.patch(ENTRY_URL, json=record(assistantId="another"))

    assert client.assign(ID, Answering(ASSISTANT), DEADLINE).answering == Answering("another")


@responses.activate
def test_an_assignment_answered_about_another_entry_is_unclear(client: VapiClient) -> None:
    responses.patch(ENTRY_URL, json=record(id="another"))

    with pytest.raises(Unclear):
        client.assign(ID, Answering(ASSISTANT), DEADLINE)


ASSIGN_ANSWERS: dict[str, tuple[int, Any, tuple[str, object]]] = {
    "no such entry": (404, fault(404, "Phone number not found", "Not Found"), ("Refused", "other")),
    "no such assistant": (400, fault(400, f"Couldn't Find Assistant: {ASSISTANT}"), ("Refused", "other")),
    "409": (409, fault(409), ("Unclear", None)),
    "500": (500, fault(500), ("Unclear", None)),
    "201": (201, record(), ("Unclear", None)),
}


@pytest.mark.parametrize(("status", "body", "expected"), ASSIGN_ANSWERS.values(), ids=ASSIGN_ANSWERS)
@responses.activate
def test_what_the_answer_to_an_assignment_means(
    status: int, body: Any, expected: tuple[str, object], client: VapiClient
) -> None:
    responses.patch(ENTRY_URL, status=status, json=body)

    with pytest.raises(ProviderError) as caught:
        client.assign(ID, Answering(ASSISTANT), DEADLINE)

    assert said_of(caught.value) == expected


HOOKS: dict[str, tuple[Any, str | None]] = {
    "absent": (..., None),
    "null": (None, None),
    "none": ([], None),
    "ours": ([OUR_HOOK], SENTENCE),
    "ours with an empty filter": ([{**OUR_HOOK, "filters": [], "name": None}], SENTENCE),
    "ours with a filter": ([{**OUR_HOOK, "filters": [{"type": "startsWith"}]}], OTHER_HOOK),
    "ours twice": ([OUR_HOOK, OUR_HOOK], OTHER_HOOK),
    "two sentences": ([{"on": "call.ringing", "do": OUR_HOOK["do"] * 2}], OTHER_HOOK),  # type: ignore[operator]
    "at the end of a call": ([{**OUR_HOOK, "on": "call.ending"}], OTHER_HOOK),
    "a transfer": ([{"on": "call.ringing", "do": [{"type": "transfer"}]}], OTHER_HOOK),
    "an empty sentence": ([{"on": "call.ringing", "do": [{"type": "say", "exact": ""}]}], OTHER_HOOK),
    "a prompt": ([{"on": "call.ringing", "do": [{"type": "say", "prompt": "x"}]}], OTHER_HOOK),
    "not a list": ({"on": "call.ringing"}, OTHER_HOOK),
    "not hooks": (["x"], OTHER_HOOK),
}


@pytest.mark.parametrize(("hooks", "says"), HOOKS.values(), ids=HOOKS)
@responses.activate
def test_a_hook_that_is_not_exactly_ours_is_never_taken_for_one(
    hooks: Any, says: str | None, client: VapiClient
) -> None:
    responses.get(ENTRY_URL, json=record(**({} if hooks is ... else {"hooks": hooks})))

    entry = client.get(ID, DEADLINE)

    assert entry is not None
    assert entry.answering.says == says


@pytest.mark.parametrize("field", ["squadId", "workflowId"])
@responses.activate
def test_a_squad_or_workflow_is_not_our_assistant(field: str, client: VapiClient) -> None:
    responses.get(ENTRY_URL, json=record(assistantId=ASSISTANT, **{field: "x"}))

    entry = client.get(ID, DEADLINE)

    assert entry is not None
    assert entry.answering.assistant_id == OTHER_TARGET


@pytest.mark.parametrize("server", [None, {}, {"url": ""}, {"url": None, "timeoutSeconds": 20}], ids=str)
@responses.activate
def test_a_server_without_an_address_is_none(server: Any, client: VapiClient) -> None:
    responses.get(ENTRY_URL, json=record(server=server, createdAt="some day"))

    entry = client.get(ID, DEADLINE)

    assert entry is not None
    assert entry.answering.server_url is None
    assert entry.created_at_ms == 0


@responses.activate
def test_find_compares_number_and_account_exactly(client: VapiClient) -> None:
    records = [
        record(id="ours"),
        record(id="longer", number=NUMBER + "4"),
        record(id="other-account", twilioAccountSid="AC" + "2" * 32),
        record(id="named", number="+14155559999", name=NUMBER),
        {"id": "sip", "provider": "vapi", "sipUri": "sip:x@sip.vapi.ai"},
        record(id="again"),
    ]
    responses.get(LIST_URL, json=page(*records))

    assert [entry.id for entry in client.find(NUMBER, DEADLINE)] == ["ours", "again"]
    assert query()["search"] == NUMBER
    assert "search=%2B14155550123" in (responses.calls[0].request.url or "")


@responses.activate
def test_all_pages_are_read_oldest_first(client: VapiClient) -> None:
    responses.get(LIST_URL, json=page(record(id="a"), total=2, more=True))
    responses.get(LIST_URL, json=page(record(id="b"), number=2, total=2))

    assert [entry.id for entry in client.list_all(DEADLINE)] == ["a", "b"]
    assert (query(0)["page"], query(1)["page"]) == ("1", "2")
    assert (query(0)["sortBy"], query(0)["sortOrder"]) == ("createdAt", "ASC")


@responses.activate
def test_without_a_word_on_further_pages_the_total_decides(client: VapiClient) -> None:
    first, second = page(record(id="a"), total=2), page(record(id="b"), number=2, total=2)
    del first["metadata"]["hasNextPage"], second["metadata"]["hasNextPage"]
    responses.get(LIST_URL, json=first)
    responses.get(LIST_URL, json=second)

    assert [entry.id for entry in client.list_all(DEADLINE)] == ["a", "b"]


FIRST = page(record(id="a"), total=3, more=True)
BAD_PAGES: dict[str, tuple[int, Any]] = {
    "fails": (500, fault(500)),
    "is HTML": (200, "<html>"),
    "is a bare list": (200, [record(id="b")]),
    "has an entry without an id": (200, page({"number": NUMBER}, number=2, total=3)),
    "is the first one again": (200, FIRST),
    "shows that the list shrank": (200, page(record(id="b"), number=2, total=2)),
    "is empty and promises more": (200, page(number=2, total=3, more=True)),
}


@pytest.mark.parametrize(("status", "body"), BAD_PAGES.values(), ids=BAD_PAGES)
@responses.activate
def test_a_list_whose_second_page_cannot_be_believed_is_no_list(status: int, body: Any, client: VapiClient) -> None:
    responses.get(LIST_URL, json=FIRST)
    responses.get(LIST_URL, status=status, json=body)

    with pytest.raises(TryLater):
        client.list_all(DEADLINE)


GONE: dict[str, tuple[int, Any, object]] = {
    "Vapi's own 404": (404, fault(404, "Phone number not found", "Not Found"), "gone"),
    "a page of a proxy": (404, "<html>", "doubt"),
    "another service's 404": (404, {"detail": "Not Found"}, "doubt"),
    "no such route, so a wrong base URL": (404, fault(404, f"Cannot GET /phone-number/{ID}"), "refused"),
}


@pytest.mark.parametrize(("status", "body", "means"), GONE.values(), ids=GONE)
@responses.activate
def test_only_vapi_itself_says_that_an_entry_is_gone(status: int, body: Any, means: str, client: VapiClient) -> None:
    responses.get(ENTRY_URL, status=status, json=body)
    responses.delete(ENTRY_URL, status=status, json=body)

    if means == "gone":
        assert client.get(ID, DEADLINE) is None
        assert client.remove(ID, DEADLINE) is False
        return
    with pytest.raises(TryLater if means == "doubt" else Refused):
        client.get(ID, DEADLINE)
    with pytest.raises(Unclear if means == "doubt" else Refused):
        client.remove(ID, DEADLINE)


REMOVALS: dict[str, tuple[int, Any, object]] = {
    "removed": (200, record(), True),
    "another entry": (200, record(id="another"), ("Unclear", None)),
    "HTML": (200, "<html>", ("Unclear", None)),
    "nothing": (200, None, ("Unclear", None)),
    "502": (502, None, ("Unclear", None)),
    "409": (409, fault(409), ("Unclear", None)),
    "429": (429, None, ("TryLater", None)),
    "401": (401, None, ("Refused", "credentials")),
}


@pytest.mark.parametrize(("status", "body", "expected"), REMOVALS.values(), ids=REMOVALS)
@responses.activate
def test_what_the_answer_to_a_removal_means(status: int, body: Any, expected: object, client: VapiClient) -> None:
    responses.delete(ENTRY_URL, status=status, json=body)

    if expected is True:
        assert client.remove(ID, DEADLINE)
    else:
        with pytest.raises(ProviderError) as caught:
            client.remove(ID, DEADLINE)
        assert said_of(caught.value) == expected


ASSISTANTS: dict[str, tuple[int, Any, object]] = {
    "it exists": (200, {"id": ASSISTANT, "name": "Front desk"}, True),
    "another one": (200, {"id": "another"}, False),
    "it does not": (404, fault(404, "Assistant not found", "Not Found"), False),
    "not an id of Vapi's": (400, fault(400, "id must be a UUID"), False),
    "a page of a proxy": (404, "<html>", ("TryLater", None)),
    "503": (503, None, ("TryLater", None)),
    "401": (401, fault(401), ("Refused", "credentials")),
}


@pytest.mark.parametrize(("status", "body", "expected"), ASSISTANTS.values(), ids=ASSISTANTS)
@responses.activate
def test_whether_an_assistant_exists(status: int, body: Any, expected: object, client: VapiClient) -> None:
    responses.get(ASSISTANT_URL, status=status, json=body)

    if isinstance(expected, bool):
        assert client.assistant_exists(ASSISTANT, DEADLINE) is expected
    else:
        with pytest.raises(ProviderError) as caught:
            client.assistant_exists(ASSISTANT, DEADLINE)
        assert said_of(caught.value) == expected


@pytest.mark.parametrize("name", ["", "..", "../phone-number", "a/b", "a?b", "a b", "é", "a" * 65, "a\n"])
@responses.activate
def test_what_cannot_be_an_id_is_never_put_into_a_path(name: str, client: VapiClient) -> None:
    assert client.assistant_exists(name, DEADLINE) is False
    for call in (client.get, client.remove):
        with pytest.raises(Refused):
            call(name, DEADLINE)
    with pytest.raises(Refused):
        client.assign(name, Answering(None), DEADLINE)

    assert len(responses.calls) == 0


@pytest.mark.parametrize(("status", "fine"), [(200, True), (401, False), (500, False)])
@responses.activate
def test_an_account_is_well_if_it_can_be_read(status: int, fine: bool, client: VapiClient) -> None:
    responses.get(LIST_URL, status=status, json=page())

    if fine:
        client.check_account(DEADLINE)
    else:
        with pytest.raises(ProviderError):
            client.check_account(DEADLINE)


VOICE_URLS: dict[str, tuple[str | None, bool]] = {
    "Vapi's": ("https://api.vapi.ai/twilio/inbound_call", True),
    "Vapi's elsewhere": ("https://phone.eu.vapi.ai/x", True),
    "none": (None, False),
    "empty": ("", False),
    "without TLS": ("http://api.vapi.ai/twilio/inbound_call", False),
    "somebody else's": ("https://demo.twilio.com/welcome/voice/", False),
    "a name that ends alike": ("https://evilvapi.ai/x", False),
    "a name that begins alike": ("https://api.vapi.ai.example.com/x", False),
    "in the path": ("https://example.com/api.vapi.ai", False),
    "not an address": ("https://[", False),
}


@pytest.mark.parametrize(("url", "expected"), VOICE_URLS.values(), ids=VOICE_URLS)
def test_whether_a_number_sends_its_calls_to_vapi(url: str | None, expected: bool, client: VapiClient) -> None:
    assert client.answers_at(url) is expected


def test_where_vapi_is_configured_its_calls_may_go_too() -> None:
    client = vapi_client(http_core(CLOCK), "http://127.0.0.1:8123")

    assert client.answers_at("http://127.0.0.1:8123/twilio/inbound_call")
    assert not client.answers_at("http://127.0.0.1:8124/twilio/inbound_call")
