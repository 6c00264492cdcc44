"""`/healthz` and `/readyz`, through both ways in."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.web import Readiness, WebParts
from gateway.web.errors import SECURITY_HEADERS
from tests.web.entries import FlaskEntry, FrontEntry, request

Entry = FlaskEntry | FrontEntry


def entry_with(entry: Entry, parts: WebParts, readiness: Readiness) -> Entry:
    return type(entry)(replace(parts, readiness=lambda: readiness))


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_healthy_process_says_so(entry: Entry, path: str) -> None:
    reply = entry.send(request(path, method="GET"))

    assert reply.status == 200
    assert reply.json["status"] in ("ok", "ready")
    assert {name for name, _ in SECURITY_HEADERS} <= set(reply.headers)


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_head_is_get_without_its_body(entry: Entry, path: str) -> None:
    reply = entry.send(request(path, method="HEAD"))

    assert reply.status == 200
    assert reply.body == b""


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "FOO"])
def test_nothing_else_may_be_asked_of_it(entry: Entry, method: str, path: str) -> None:
    reply = entry.send(request(path, method=method))

    assert (reply.status, reply.code) == (405, "method_not_allowed")
    assert reply.headers["allow"] == "GET, HEAD"


def test_what_is_degraded_is_said_and_the_gateway_stays_ready(entry: Entry, parts: WebParts) -> None:
    degraded = entry_with(entry, parts, Readiness(degraded={"worker": "No turn for 40 s."}))

    reply = degraded.send(request("/readyz", method="GET"))
    degraded.close()

    assert reply.status == 200
    assert reply.json == {"status": "degraded", "degraded": {"worker": "No turn for 40 s."}}


def test_a_gateway_that_cannot_store_is_not_ready_and_is_alive(entry: Entry, parts: WebParts) -> None:
    unready = entry_with(entry, parts, Readiness("The disk is full."))

    ready = unready.send(request("/readyz", method="GET"))
    live = unready.send(request("/healthz", method="GET"))
    unready.close()

    assert (ready.status, ready.json["status"], ready.json["reason"]) == (503, "unavailable", "The disk is full.")
    assert int(ready.headers["retry-after"]) >= 1
    assert live.status == 200
