"""Who gets in: nobody by default."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from gateway.web import create_app
from gateway.web.api import openapi
from gateway.web.api.table import ROUTES
from tests.stories.sandbox import Sandbox
from tests.web.api.asking import DOCUMENT, SECRETS, Api, parts_of
from tests.web.entries import request

LOWER = {"operator": ["viewer"], "admin": ["viewer", "operator"], "viewer": []}


def fields_of(record: logging.LogRecord) -> Any:
    return record.__dict__["fields"]


def filled(path: str) -> str:
    return path.replace("<number>", "+14155550100").replace("<key>", "acme").replace("<country>", "US")


def test_every_route_below_api_refuses_those_without_a_token(sandbox: Sandbox) -> None:
    app = create_app(parts_of(sandbox))
    rules = [rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/api/")]
    api = Api(sandbox)

    assert len(rules) == len(ROUTES)
    for rule in rules:
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            reply = api(method, filled(rule.rule), role=None)
            assert (reply.status, reply.code) == (401, "token_missing"), rule
            assert reply.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(("name", "role"), [(route.name, role) for route in ROUTES for role in LOWER[route.role]])
def test_a_role_that_is_too_low_is_refused(api: Api, name: str, role: str) -> None:
    method, _, path = name.partition(" ")

    reply = api(method, filled(path), role=role)

    assert (reply.status, reply.code) == (403, "role_insufficient")


def test_the_description_has_just_the_routes_that_there_are(sandbox: Sandbox, api: Api) -> None:
    app = create_app(parts_of(sandbox))
    real = {
        (openapi.ARGUMENT.sub(r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/api/")
    }

    reply = api("GET", "/openapi.json", role="viewer")

    assert reply.json == DOCUMENT
    assert {(path, method) for path, methods in reply.json["paths"].items() for method in methods} == real


@pytest.mark.parametrize(
    "header",
    [
        "Bearer wrong",
        "Bearer",
        "Bearer ",
        f"Basic {SECRETS['admin']}",
        SECRETS["admin"],
        f"Bearer {SECRETS['admin']}x",
        f"Bearer {SECRETS['admin']}, Bearer x",
        "Bearer " + "x" * 5000,
        "Bearer \xff\xfe",
    ],
)
def test_a_wrong_token_is_refused_and_not_logged(api: Api, header: str, caplog: pytest.LogCaptureFixture) -> None:
    reply = api("GET", "/numbers", role=None, headers={"authorization": header})

    assert (reply.status, reply.code) == (401, "token_invalid")
    (record,) = [record for record in caplog.records if record.getMessage() == "api.token_refused"]
    assert (
        header.removeprefix("Bearer ").strip() not in str(fields_of(record))
        or not header.removeprefix("Bearer").strip()
    )


def test_guesses_are_slowed_and_a_right_token_still_gets_in(
    sandbox: Sandbox, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = {"authorization": "Bearer wrong"}

    replies = [api("GET", "/openapi.json", role=None, headers=wrong) for _ in range(12)]

    assert [reply.status for reply in replies] == [401] * 10 + [429] * 2
    assert replies[-1].headers["retry-after"] == "60"
    assert len([record for record in caplog.records if record.getMessage() == "api.token_refused"]) == 10
    assert api("GET", "/openapi.json", role="viewer").status == 200
    sandbox.clock.at_ms += 61_000
    assert api("GET", "/openapi.json", role=None, headers=wrong).status == 401


def test_without_tokens_a_sandbox_answers_this_machine(sandbox: Sandbox) -> None:
    assert Api(sandbox, tokens=())("GET", "/tenants/nobody", role=None).code == "not_found"


@pytest.mark.parametrize(
    "header",
    [
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-forwarded-anything",
        "forwarded",
        "x-real-ip",
        "via",
    ],
)
def test_without_tokens_a_request_through_a_proxy_is_refused(sandbox: Sandbox, header: str) -> None:
    reply = Api(sandbox, tokens=())("GET", "/tenants/nobody", role=None, headers={header: "1"})

    assert (reply.status, reply.code) == (401, "token_missing")


def test_without_tokens_a_page_of_another_host_is_refused(sandbox: Sandbox) -> None:
    reply = Api(sandbox, tokens=())("GET", "/tenants/nobody", role=None, headers={"host": "evil.example:8000"})

    assert reply.code == "token_missing"


def test_in_live_mode_without_tokens_the_api_is_off(sandbox: Sandbox) -> None:
    api = Api(sandbox, tokens=(), is_live=True)

    for route in ROUTES:
        reply = api(route.method, filled(route.path), role="admin")
        assert (reply.status, reply.code) == (404, "api_off")


def test_in_live_mode_this_machine_needs_a_token_too(sandbox: Sandbox) -> None:
    assert Api(sandbox, is_live=True)("GET", "/tenants/nobody", role=None).code == "token_missing"


def test_a_method_that_is_not_there_names_those_that_are(api: Api) -> None:
    reply = api.entry.send(request("/api/v1/numbers", method="PUT"))

    assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD, POST")


def test_what_was_done_is_logged_with_who_did_it(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "gateway.web")

    api("POST", "/tenants/nobody/address", {}, role="operator")
    api("POST", "/numbers", {"phone_number": "nonsense"}, role="operator")

    (record,) = [record for record in caplog.records if record.getMessage() == "api.answered"]
    assert fields_of(record) == {
        "actor": "api:operator-ci",
        "route": "POST /api/v1/numbers",
        "status": 422,
        "code": "invalid",
    }
