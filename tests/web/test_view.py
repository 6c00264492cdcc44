"""The Flask view: what it takes from a WSGI server, and how it hands an answer back."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from typing import Any

import pytest
from flask import url_for

from gateway.store import inbox
from gateway.store.database import Database
from gateway.web import WebParts, create_app
from gateway.web.errors import Answer
from gateway.web.view import WsgiHeaders, read_body
from tests import databases
from tests.integrations.senders import STRIPE
from tests.web.entries import FlaskEntry, Reply, request

ENVIRON = {
    "CONTENT_TYPE": "application/json",
    "CONTENT_LENGTH": "2",
    "HTTP_STRIPE_SIGNATURE": "t=1",
    "REQUEST_METHOD": "POST",
    "wsgi.url_scheme": "http",
}
SECONDS = 10


class Pieces(io.RawIOBase):
    """A body that arrives in pieces, and may break off."""

    def __init__(self, *pieces: bytes | OSError) -> None:
        self._pieces = list(pieces)

    def read(self, size: int = -1, /) -> bytes:
        piece = self._pieces.pop(0) if self._pieces else b""
        if isinstance(piece, OSError):
            raise piece
        return piece


def test_headers_are_found_by_their_names_in_lower_case() -> None:
    headers = WsgiHeaders(ENVIRON)

    assert headers["stripe-signature"] == "t=1"
    assert headers.get("content-type") == "application/json"
    assert headers.get("user-agent", "nobody") == "nobody"
    assert "content-length" in headers
    assert "request-method" not in headers
    with pytest.raises(KeyError):
        headers["wsgi.url-scheme"]


def test_headers_can_be_listed_and_counted() -> None:
    headers = WsgiHeaders(ENVIRON)

    assert set(headers) == {"content-type", "content-length", "stripe-signature"}
    assert len(headers) == 3


def test_a_body_is_put_together_from_its_pieces() -> None:
    assert read_body({"CONTENT_LENGTH": "6", "wsgi.input": Pieces(b"ab", b"c", b"def")}) == b"abcdef"


@pytest.mark.parametrize(
    "environ",
    [
        {"CONTENT_LENGTH": "6", "wsgi.input": Pieces(b"abc")},
        {"CONTENT_LENGTH": "6", "wsgi.input": Pieces(b"abc", OSError("the sender is gone"))},
        {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True, "wsgi.input": Pieces(b"abc", OSError())},
    ],
    ids=["ends early", "breaks off", "breaks off in a chunk"],
)
def test_a_body_that_is_not_whole_is_refused(environ: dict[str, Any]) -> None:
    refused = read_body(environ)

    assert isinstance(refused, Answer)
    assert refused.code == "body_incomplete"


def test_a_chunked_body_that_the_server_does_not_end_is_never_waited_for() -> None:
    assert read_body({"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input": Pieces(b"endless")}) == b""


def test_a_server_gets_the_whole_answer_at_once(parts: WebParts) -> None:
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/healthz", "SERVER_NAME": "x", "SERVER_PORT": "1"}

    body = create_app(parts).wsgi_app({**environ, "wsgi.url_scheme": "http"}, lambda *_: None)  # type: ignore[arg-type]

    # A list is sent in one go by granian, anything else piece by piece.
    assert isinstance(body, list)
    assert len(body) == 1


@pytest.mark.parametrize("host", ["example.com", "", "ex ample", "ä.example", "a" * 300 + ".example", "[::1", "x:y:z"])
def test_it_does_not_matter_how_the_host_was_called(parts: WebParts, host: str) -> None:
    body = STRIPE.body()

    reply = FlaskEntry(parts).send(request("/webhooks/stripe", body, {**STRIPE.headers(body), "host": host}))

    assert reply.status == 200


def test_a_page_can_name_its_own_address(parts: WebParts) -> None:
    app = create_app(parts)
    app.add_url_rule("/self", "self", lambda: f"{url_for('self')} {url_for('self', _external=True)}")

    for host in ("one.example", "two.example:8443"):
        answer = app.test_client().get("/self", base_url=f"https://{host}/gateway")
        assert answer.text == f"/gateway/self https://{host}/gateway/self"


def test_under_an_address_of_somebody_elses_only_the_rest_counts(parts: WebParts) -> None:
    started: list[str] = []
    environ = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "/gateway", "PATH_INFO": "/healthz", "wsgi.url_scheme": "http"}

    create_app(parts).wsgi_app(environ, lambda status, *_: started.append(status))  # type: ignore[arg-type]

    assert started == ["200 OK"]


def test_threads_that_wait_together_each_get_the_answer_to_their_own_delivery(
    parts: WebParts, database: Database
) -> None:
    entry = FlaskEntry(parts)
    replies: dict[str, Reply] = {}

    def send(event_id: str, sign: Callable[..., Any]) -> None:
        body = STRIPE.body(event_id)
        replies[event_id] = entry.send(request("/webhooks/stripe", body, sign(body)))

    def forge(body: bytes) -> dict[str, str]:
        return STRIPE.headers(body + b" ")

    senders = [(f"evt_{n}", STRIPE.headers if n % 3 else forge) for n in range(48)]
    threads = [threading.Thread(target=send, args=sender) for sender in senders]
    with database.transaction() as tx:
        if databases.is_postgres():
            tx.do("LOCK TABLE inbox IN EXCLUSIVE MODE")
        for thread in threads:
            thread.start()
        assert all(reply.status == 401 for reply in replies.values())
    for thread in threads:
        thread.join(SECONDS)

    assert {name: replies[name].status for name, _ in senders} == {
        name: 401 if sign is forge else 200 for name, sign in senders
    }
    with database.read() as tx:
        stored = {row.event_id for row in inbox.list_events(tx, limit=100)}
    assert stored == {name for name, sign in senders if sign is not forge}
