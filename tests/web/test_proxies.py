"""Who asks us: what our own proxies say is believed, what anybody could have written is not."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest
from flask import request
from hypothesis import given
from hypothesis import strategies as st

from gateway.web import WebParts, create_app
from gateway.web.proxies import client_of
from tests.integrations.senders import STRIPE
from tests.web.entries import FlaskEntry, FrontEntry
from tests.web.test_webhooks import deliver

PEER = "10.0.0.9"
addresses = st.ip_addresses().map(str)


@pytest.mark.parametrize(
    ("forwarded_for", "trusted_proxies", "client"),
    [
        (None, 0, PEER),
        (None, 2, PEER),
        ("192.0.2.1", 0, PEER),
        ("192.0.2.1", 1, "192.0.2.1"),
        ("192.0.2.1,2001:db8::1", 1, "2001:db8::1"),
        ("203.0.113.7, 192.0.2.1 , 198.51.100.4", 2, "192.0.2.1"),
        ("192.0.2.1", 2, PEER),
        ("", 1, PEER),
        ("192.0.2.1, ", 1, "unknown"),
        ("nonsense\n", 1, "unknown"),
        ("192.0.2.1, " + "9" * 5000, 1, "unknown"),
    ],
)
def test_as_many_entries_are_believed_as_there_are_proxies_of_ours(
    forwarded_for: str | None, trusted_proxies: int, client: str
) -> None:
    assert client_of(PEER, forwarded_for, trusted_proxies) == client
    assert client_of(client, forwarded_for, trusted_proxies) == client


def test_who_comes_by_no_network_is_nobody() -> None:
    assert client_of("", None, 0) == client_of("/run/gateway.sock", "x", 3) == "unknown"


@given(st.text(max_size=60), addresses, st.lists(addresses, max_size=3))
def test_nothing_a_client_writes_makes_it_somebody_else(written: str, client: str, others: list[str]) -> None:
    # Each proxy of ours adds who asked it; the last one opened the connection to us.
    seen = [client, *others]

    assert client_of(PEER, ",".join([written, *seen]), len(seen)) == client


@pytest.fixture(params=["front", "flask"])
def make(request: pytest.FixtureRequest) -> Any:
    return FrontEntry if request.param == "front" else FlaskEntry


@pytest.mark.parametrize(("trusted_proxies", "client"), [(0, "127.0.0.1"), (1, "192.0.2.1"), (3, "127.0.0.1")])
def test_a_refused_webhook_is_logged_with_the_address_it_came_from(
    make: Any, parts: WebParts, caplog: pytest.LogCaptureFixture, trusted_proxies: int, client: str
) -> None:
    caplog.set_level(logging.DEBUG)
    entry = make(replace(parts, trusted_proxies=trusted_proxies))

    entry.send(deliver(STRIPE, stripe_signature="t=1,v1=00", x_forwarded_for="203.0.113.66, 192.0.2.1"))
    parts.rejections.flush()
    entry.close()

    fields = {record.message: vars(record)["fields"] for record in caplog.records if "refused" in record.message}
    assert fields["webhook.refused"]["client"] == client
    assert fields["webhooks.refused"]["clients"] == [client]


SPOOFED = {
    "X-Forwarded-For": "127.0.0.1",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Port": "666",
    "X-Forwarded-Prefix": "/evil",
    "Forwarded": "for=127.0.0.1;host=evil.example;proto=https",
}


@pytest.mark.parametrize(
    ("trusted_proxies", "public_url", "seen"),
    [
        (0, None, f"{PEER} http://gateway.example/"),
        (1, None, "127.0.0.1 https://gateway.example/"),
        (0, "https://signup.example.com:8443", f"{PEER} https://signup.example.com:8443/"),
        (1, "https://signup.example.com", "127.0.0.1 https://signup.example.com/"),
    ],
)
def test_pages_know_their_client_and_their_own_address_from_whom_we_trust(
    parts: WebParts, trusted_proxies: int, public_url: str | None, seen: str
) -> None:
    app = create_app(replace(parts, trusted_proxies=trusted_proxies, public_url=public_url))
    app.add_url_rule("/seen", view_func=lambda: f"{request.remote_addr} {request.url_root}")

    answer = app.test_client().get(
        "/seen", headers=SPOOFED, base_url="http://gateway.example", environ_overrides={"REMOTE_ADDR": PEER}
    )

    assert answer.text == seen
