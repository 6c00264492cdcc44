"""Numbers over the API: looked for, bought once however often one asks, and given back."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from gateway.domain.model import State
from gateway.store import journal
from tests.stories.sandbox import Crash, Sandbox
from tests.web.api.asking import Api
from tests.web.entries import Reply

WISH = {"country": "US", "area_code": "415"}


def by_wish(api: Api, key: str = "order-1", wish: dict[str, Any] = WISH) -> Reply:
    return api("POST", "/numbers", wish, role="operator", headers={"idempotency-key": key})


def story(sandbox: Sandbox, key: str) -> str:
    tenant = sandbox.tenant(key)
    return str(sandbox.query(lambda tx: [dict(row) for row in journal.of_tenant(tx, tenant.id)]))


# --- looking ---------------------------------------------------------------------------------------------------------


def test_numbers_for_sale_come_with_what_they_cost(api: Api) -> None:
    reply = api("GET", "/numbers/available", role="viewer", query="country=US&area_code=415&limit=3")

    assert reply.status == 200
    assert len(reply.json["numbers"]) == 3
    first = reply.json["numbers"][0]
    assert first["phone_number"].startswith("+1415")
    assert (first["country"], first["type"], first["currency"]) == ("US", "local", "USD")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=" + "9" * 400, "limit"),
        ("limit=1e3", "limit"),
        ("limit=", "limit"),
        ("limit=1&limit=2", "limit"),
        ("type=satellite", "type"),
        ("country=Atlantis", "country"),
        ("area_code=41", "area_code"),
        ("contains=%00", "contains"),
        ("locality=a%0d%0ab", "locality"),
        ("near=here", "near"),
        ("colour=red", "colour"),
        ("contains=" + "1" * 600, "contains"),
    ],
)
def test_a_query_that_makes_no_sense_is_refused_by_name(api: Api, query: str, field: str) -> None:
    reply = api("GET", "/numbers/available", role="viewer", query=query)

    assert (reply.status, reply.code, reply.json["error"]["field"]) == (422, "invalid", field)


def test_while_twilio_is_busy_the_answer_says_when_to_come_again(sandbox: Sandbox, api: Api) -> None:
    sandbox.fault("twilio.search", "rate_limit", times=1, retry_after=7)

    reply = api("GET", "/numbers/available", role="viewer")

    assert (reply.status, reply.code) == (503, "provider_unavailable")
    assert reply.headers["retry-after"] == "7"


# --- spare, exactly --------------------------------------------------------------------------------------------------


def test_a_spare_number_is_bought_once_however_often_one_asks(sandbox: Sandbox, api: Api) -> None:
    number = sandbox.for_sale()

    first, second = (api("POST", "/numbers", {"phone_number": number}, role="operator") for _ in range(2))

    assert (first.status, second.status) == (201, 200)
    assert first.json["twilio_sid"] == second.json["twilio_sid"] == sandbox.numbers()[0]["sid"]
    assert len(sandbox.purchases()) == 1
    assert first.json["tenant_key"] is None
    look = api("GET", first.headers["location"], role="viewer")
    assert (look.status, look.json["phone_number"]) == (200, number)
    assert "api:operator-ci" in story(sandbox, f"spare:{number}")


def test_a_number_that_is_a_tenants_is_not_bought_as_spare(sandbox: Sandbox, api: Api) -> None:
    bought = api("POST", "/numbers", {"tenant_key": "acme", **WISH}, role="operator")

    reply = api("POST", "/numbers", {"phone_number": bought.json["phone_number"]}, role="operator")

    assert (reply.status, reply.code) == (409, "conflict")


def test_an_unclear_purchase_is_202_and_asked_again_it_is_the_same_number(sandbox: Sandbox, api: Api) -> None:
    number = sandbox.for_sale()
    sandbox.fault("twilio.buy", "late_effect", seconds=30)

    first = api("POST", "/numbers", {"phone_number": number}, role="operator")
    sandbox.wait(seconds=700)
    second = api("POST", "/numbers", {"phone_number": number}, role="operator")

    assert first.status in (201, 202)
    assert second.status in (200, 201)
    assert second.json["phone_number"] == number
    assert len(sandbox.purchases()) == 1


# --- spare, by wish --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers", [{}, {"idempotency-key": ""}, {"idempotency-key": "a b"}, {"idempotency-key": "k" * 201}]
)
def test_a_wish_needs_a_key(sandbox: Sandbox, api: Api, headers: dict[str, str]) -> None:
    reply = api("POST", "/numbers", WISH, role="operator", headers=headers)

    assert (reply.status, reply.code) == (400, "idempotency_key_missing")
    assert not sandbox.purchases()


def test_the_same_key_gives_the_same_number(sandbox: Sandbox, api: Api) -> None:
    first, second, other = by_wish(api), by_wish(api), by_wish(api, "order-2")

    assert (first.status, second.status, other.status) == (201, 200, 201)
    assert first.json["phone_number"] == second.json["phone_number"] != other.json["phone_number"]
    assert len(sandbox.purchases()) == 2


def test_another_body_under_the_same_key_is_refused(sandbox: Sandbox, api: Api) -> None:
    by_wish(api)

    reply = by_wish(api, wish={"country": "US", "area_code": "206"})

    assert (reply.status, reply.code) == (409, "conflict")
    assert len(sandbox.purchases()) == 1


def test_a_key_whose_number_was_given_back_buys_no_other(sandbox: Sandbox, api: Api) -> None:
    number = by_wish(api).json["phone_number"]
    api("DELETE", f"/numbers/{number}", role="admin")
    sandbox.settle()
    assert (sandbox.tenant(f"spare:{number}").state, sandbox.numbers()) == (State.RELEASED, [])

    again = by_wish(api)

    sandbox.wait(seconds=900)
    sandbox.settle()
    assert (again.status, again.json["phone_number"]) == (200, number)
    assert not sandbox.numbers()
    assert len(sandbox.purchases()) == 1


@pytest.mark.parametrize("before", [True, False])
def test_after_a_crash_at_the_purchase_the_key_means_the_same_number(sandbox: Sandbox, before: bool) -> None:
    sandbox.crash_at("twilio.buy", before=before)
    with pytest.raises(Crash):
        by_wish(Api(sandbox))
    sandbox.world.crash_plan = None
    sandbox.restart()
    sandbox.clock.at_ms += 61_000

    first = by_wish(Api(sandbox))
    sandbox.wait(seconds=900)
    sandbox.settle()
    again = by_wish(Api(sandbox))

    assert first.status in (201, 202)
    assert again.status in (200, 201)
    assert [each["phone_number"] for each in sandbox.numbers()] == [again.json["phone_number"]]
    assert len(sandbox.purchases()) == 1


def test_after_a_lost_answer_the_key_gives_the_number(sandbox: Sandbox) -> None:
    lost = by_wish(Api(sandbox))
    sandbox.restart()

    assert by_wish(Api(sandbox)).json["phone_number"] == lost.json["phone_number"]
    assert len(sandbox.purchases()) == 1


def test_a_request_while_another_works_on_its_key_leaves_it_alone(sandbox: Sandbox, api: Api) -> None:
    seconds: list[Reply] = []
    sandbox.meanwhile("twilio.search", lambda: seconds.append(by_wish(Api(sandbox))))

    first = by_wish(api)

    assert (first.status, [reply.status for reply in seconds]) == (201, [202])
    assert by_wish(api).json["phone_number"] == first.json["phone_number"]
    assert len(sandbox.purchases()) == 1


def test_two_requests_at_once_with_one_key_get_one_number(sandbox: Sandbox) -> None:
    replies: list[Reply] = []
    start = threading.Barrier(2)

    def ask() -> None:
        api = Api(sandbox)
        start.wait(10)
        replies.append(by_wish(api))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(replies) == 2
    assert {reply.status for reply in replies} <= {200, 201, 202}
    sandbox.clock.at_ms += 120_000
    number = by_wish(Api(sandbox)).json["phone_number"]
    assert {reply.json["phone_number"] for reply in replies} <= {number, None}
    assert len(sandbox.purchases()) == 1


# --- for a tenant ----------------------------------------------------------------------------------------------------


def test_a_tenant_gets_a_number_and_keeps_it(sandbox: Sandbox, api: Api) -> None:
    first, second = (api("POST", "/numbers", {"tenant_key": "acme", **WISH}, role="operator") for _ in range(2))

    assert (first.status, second.status) == (201, 200)
    assert first.json["tenant_key"] == "acme"
    assert second.json["phone_number"] == first.json["phone_number"]
    assert sandbox.tenant("acme").state is State.ACTIVE
    assert len(sandbox.purchases()) == 1
    shown = api("GET", "/tenants/acme", role="viewer").json
    assert {**shown, "message": None} == {**sandbox.export("acme"), "message": None}
    (held,) = api("GET", "/numbers", role="viewer").json["numbers"]
    assert (held["whose"], held["tenant_key"]) == ("tenant", "acme")


def test_a_blocked_tenant_is_202_with_why_and_where_to_look(sandbox: Sandbox, api: Api) -> None:
    reply = api("POST", "/numbers", {"tenant_key": "acme", "assistant_id": "no-such-assistant"}, role="operator")

    assert (reply.status, reply.json["blocked"]) == (202, "needs_assistant")
    look = api("GET", reply.json["look_at"], role="viewer")
    assert (look.json["blocked"], look.json["message"]) == ("needs_assistant", reply.json["message"])
    assert not sandbox.purchases()


def test_a_refused_login_at_twilio_is_said_and_nothing_is_bought(sandbox: Sandbox, api: Api) -> None:
    sandbox.fault("twilio.search", "unauthorized", times=1)

    reply = api("GET", "/numbers/available", role="viewer")

    assert (reply.status, reply.code) == (502, "provider_refused")


# --- giving back -----------------------------------------------------------------------------------------------------


def test_a_number_is_given_back_with_the_reason(sandbox: Sandbox, api: Api) -> None:
    number = sandbox.for_sale()
    api("POST", "/numbers", {"phone_number": number}, role="operator")

    reply = api("DELETE", f"/numbers/{number}", {"reason": "too many"}, role="admin")

    assert reply.status == 200
    assert reply.json["outcome"] in ("done", "given_back")
    assert not sandbox.numbers()
    assert "too many" in story(sandbox, f"spare:{number}")


@pytest.mark.parametrize(
    ("number", "status"), [("+14155559999", 404), ("x", 422), ("PN" + "0" * 32, 404), ("%00", 422)]
)
def test_what_is_no_number_of_ours_is_not_given_back(api: Api, number: str, status: int) -> None:
    assert api("DELETE", f"/numbers/{number}", role="admin", query="reason=a").status == status


# --- hostile bodies --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 415, "content_type_unsupported"),
        (b"{", 400, "bad_request"),
        (b"[" * 100_000, 422, "invalid"),
        (b'{"phone_number":' + b"[" * 100_000, 422, "invalid"),
        (b'{"other":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 422, "invalid"),
        (b'"text"', 422, "invalid"),
        (b"null", 422, "invalid"),
        (b'{"phone_number": ' + b"9" * 5000 + b"}", 422, "invalid"),
        (b'{"phone_number": 14155550100}', 422, "invalid"),
        (b'{"phone_number": "+1415\\u0000550100"}', 422, "invalid"),
        (b'{"phone_number": "+14155550100", "reason": "a\\u0000b"}', 422, "invalid"),
        (b'{"tenant_key": "a\\r\\nSet-Cookie: x"}', 422, "invalid"),
        (b'{"tenant_key": "\\ud800"}', 400, "bad_request"),
        (b'{"tenant_key": "\xff"}', 400, "bad_request"),
        (b'{"tenant_key": ""}', 422, "invalid"),
        (b'{"tenant_key": "acme", "colour": "red"}', 422, "invalid"),
        (b'{"tenant_key": "acme", "country": "Atlantis"}', 422, "invalid"),
        (b'{"tenant_key": "spare:+14155550100"}', 422, "invalid"),
        (b'{"address": {"street": "x"}}', 422, "invalid"),
        (b"{" + b" " * 1_048_576 + b"}", 413, "body_too_large"),
    ],
)
def test_a_hostile_body_is_refused_and_buys_nothing(
    sandbox: Sandbox, api: Api, body: bytes, status: int, code: str
) -> None:
    reply = api("POST", "/numbers", body, role="operator", headers={"idempotency-key": "k"})

    assert (reply.status, reply.code) == (status, code)
    assert not sandbox.purchases()


def test_a_body_that_is_not_said_to_be_json_is_refused(api: Api) -> None:
    reply = api("POST", "/numbers", b"{}", role="operator", headers={"content-type": "text/plain"})

    assert (reply.status, reply.code) == (415, "content_type_unsupported")


def test_the_server_itself_answers_the_same(sandbox: Sandbox) -> None:
    api = Api(sandbox, "front")
    try:
        assert by_wish(api).status == 201
        assert by_wish(api).status == 200
        assert api("GET", "/numbers", role=None).status == 401
    finally:
        api.entry.close()
