"""The front alone: bodies that do not come, bodies that are too many, and what it hands to Flask."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from flask import request as flask_request

from gateway.store import inbox
from gateway.store.database import Database
from gateway.store.sqlite import SqliteDatabase
from gateway.web import WebParts, create_app
from gateway.web.bodies import Room
from gateway.web.front import create_front
from tests import databases
from tests.integrations.senders import STRIPE
from tests.web.entries import GONE, NEVER, FrontEntry, Reply, Request, exchange, request

MIB = 1024 * 1024
SOON = 0.05


@pytest.fixture
def hasty(parts: WebParts) -> Iterator[FrontEntry]:
    """A front that waits for bodies only a moment."""
    entry = FrontEntry(parts, body_seconds=SOON)
    yield entry
    entry.close()


def signed(event_id: str = "evt_1", chunks: tuple[Any, ...] | None = None, **headers: str) -> Request:
    body = STRIPE.body(event_id)
    return Request("POST", "/webhooks/stripe", {**STRIPE.headers(body), **headers}, chunks or (body,))


def announced(length: int) -> dict[str, str]:
    return {**STRIPE.headers(b""), "content-length": str(length)}


def count(database: Database) -> int:
    with database.read() as tx:
        return len(inbox.list_events(tx, limit=10_000))


# --- bodies that do not come -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/webhooks/stripe", "/readyz", "/nowhere"])
def test_a_body_that_does_not_come_is_a_408(hasty: FrontEntry, path: str) -> None:
    reply = hasty.send(Request("POST", path, announced(100), (b"x", NEVER)))

    assert (reply.status, reply.code) == (408, "body_too_slow")


def test_the_time_is_for_the_whole_body_and_not_for_each_piece(parts: WebParts) -> None:
    async def trickle() -> Reply | None:
        return await exchange(app, Request("POST", "/webhooks/stripe", announced(1000), (b"x",) * 1000), pause)

    async def pause() -> None:
        await asyncio.sleep(SOON / 10)

    app = create_front(parts, create_app(parts), body_seconds=SOON)

    reply = asyncio.run(trickle())

    assert reply is not None
    assert reply.status == 408


@pytest.mark.parametrize("length", [None, 5000], ids=["chunked", "announced"])
def test_a_body_cut_off_by_its_sender_is_refused_and_not_stored(
    front: FrontEntry, database: SqliteDatabase, length: int | None
) -> None:
    # What came is whole and signed: only its end is missing, so more of it may have been meant.
    cut = signed(chunks=(STRIPE.body(), GONE), **({} if length is None else {"content-length": str(length)}))

    reply = front.send(cut)

    assert (reply.status, reply.code) == (400, "body_incomplete")
    assert count(database) == 0


def test_three_hundred_bodies_that_do_not_come_hold_up_no_signed_delivery(
    hasty: FrontEntry, database: SqliteDatabase
) -> None:
    never = [Request("POST", "/webhooks/stripe", announced(100), (b"x", NEVER)) for _ in range(300)]
    good = [signed(f"evt_{n}") for n in range(20)]

    replies = hasty.send_all([*never, *good])

    statuses = [reply.status for reply in replies if reply is not None]
    assert statuses == [408] * 300 + [200] * 20
    assert count(database) == 20


# --- bodies that are too many ----------------------------------------------------------------------------------------


def test_large_bodies_that_never_end_leave_room_for_small_ones(hasty: FrontEntry) -> None:
    stuck = [Request("POST", "/webhooks/stripe", announced(MIB), (b"x" * (MIB - 1), NEVER)) for _ in range(60)]

    replies = hasty.send_all([*stuck, signed()])

    statuses = [reply.status for reply in replies if reply is not None]
    assert statuses[-1] == 200
    assert statuses.count(408) == 48
    assert statuses.count(503) == 12
    refused = next(reply for reply in replies if reply is not None and reply.status == 503)
    assert refused.code == "overloaded"
    assert int(refused.headers["retry-after"]) >= 1


def test_a_body_in_thousands_of_tiny_pieces_is_refused(front: FrontEntry) -> None:
    reply = front.send(Request("POST", "/webhooks/stripe", STRIPE.headers(b""), (b"x",) * 10_000))

    assert (reply.status, reply.code) == (400, "bad_request")


def test_room_is_given_back_however_a_request_ends(hasty: FrontEntry) -> None:
    large = b"x" * MIB
    kinds = [
        request("/webhooks/stripe", large, STRIPE.headers(b"")),
        request("/nowhere", large),
        Request("POST", "/webhooks/stripe", STRIPE.headers(b""), (large, large)),
        Request("POST", "/webhooks/stripe", STRIPE.headers(b""), (large, GONE)),
        Request("POST", "/webhooks/stripe", announced(MIB), (large[:-1], NEVER)),
        Request("POST", "/webhooks/stripe", announced(MIB), (large[:-1],)),
    ]

    rounds = [hasty.send_all(kinds * 8) for _ in range(8)]

    for replies in rounds:
        assert [reply and reply.status for reply in replies] == [401, 404, 413, 400, 408, 400] * 8


def test_while_too_much_waits_bodies_are_not_even_read(
    front: FrontEntry, parts: WebParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts.intake, "_max_rows", 0)

    reply = front.send(Request("POST", "/webhooks/stripe", announced(MIB), (NEVER,)))

    assert (reply.status, reply.code) == (503, "overloaded")


@pytest.mark.parametrize(
    ("held", "more", "fits"),
    [(0, 16, True), (0, 1024, True), (0, 1025, True), (1024, 3072, True), (1024, 3073, False), (0, 4097, False)],
)
def test_room_is_for_the_beginnings_of_bodies_and_for_the_rest_apart(held: int, more: int, fits: bool) -> None:
    room = Room(total_bytes=4096)
    room.SMALL_BYTES = 1024

    assert room.take(held, more) is fits


def test_room_that_was_given_back_can_be_taken_again() -> None:
    room = Room(total_bytes=4096)
    room.SMALL_BYTES = 1024

    for _ in range(5):
        assert room.take(0, 1000)
        assert room.take(1000, 3000)
        assert not room.take(0, 1024)
        room.give_back(4000)


# --- answers ---------------------------------------------------------------------------------------------------------


def test_deliveries_that_wait_together_are_answered_together(front: FrontEntry, database: SqliteDatabase) -> None:
    replies = front.send_all([signed(f"evt_{n}") for n in range(200)])

    assert [reply.status for reply in replies if reply is not None] == [200] * 200
    assert count(database) == 200


def test_no_delivery_is_answered_while_its_commit_has_not_come(parts: WebParts, database: Database) -> None:
    app = create_front(parts, create_app(parts))

    async def watch() -> tuple[bool, Reply | None]:
        with holding_the_disk(database):
            task = asyncio.ensure_future(exchange(app, signed()))
            await asyncio.sleep(SOON)
            was_answered = task.done()
        return was_answered, await task

    was_answered, reply = asyncio.run(watch())

    assert not was_answered
    assert reply is not None
    assert reply.status == 200


class holding_the_disk:
    """Another writer, in the middle of its transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._held, self._end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._hold)

    def _hold(self) -> None:
        with self._database.transaction() as tx:
            if databases.is_postgres():
                tx.do("LOCK TABLE inbox IN EXCLUSIVE MODE")
            self._held.set()
            self._end.wait(10)

    def __enter__(self) -> None:
        self._thread.start()
        self._held.wait(10)

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()


def test_a_sender_that_leaves_while_its_event_is_stored_harms_nobody(parts: WebParts, database: Database) -> None:
    app = create_front(parts, create_app(parts))

    async def leave() -> Reply | None:
        with holding_the_disk(database):
            task = asyncio.ensure_future(exchange(app, signed("evt_1")))
            await asyncio.sleep(SOON)
            task.cancel()
        return await exchange(app, signed("evt_2"))

    reply = asyncio.run(leave())

    assert reply is not None
    assert reply.status == 200
    assert count(database) == 2


# --- what it hands to Flask ------------------------------------------------------------------------------------------


def mirror() -> Flask:
    app = Flask("mirror")

    @app.route("/mirror", methods=["GET", "POST"])
    def show() -> dict[str, Any]:
        return {
            "headers": dict(flask_request.headers),
            "body": flask_request.get_data(as_text=True),
            "query": flask_request.query_string.decode(),
            "length": flask_request.content_length,
        }

    @app.get("/fails")
    def fail() -> str:
        raise RuntimeError("detail")

    return app


@pytest.fixture
def beside(parts: WebParts) -> Iterator[Callable[[Request], Reply]]:
    """The front with another application behind it."""
    app = create_front(parts, mirror())
    with asyncio.Runner() as runner:

        def send(asked: Request) -> Reply:
            reply = runner.run(exchange(app, asked))
            assert reply is not None
            return reply

        yield send


def test_flask_gets_whole_bodies_and_their_length(beside: Callable[[Request], Reply]) -> None:
    chunked = Request("POST", "/mirror", {"transfer-encoding": "chunked"}, (b"one ", b"two ", b"three"), b"a=1")

    seen = beside(chunked).json

    assert (seen["body"], seen["length"], seen["query"]) == ("one two three", 13, "a=1")
    assert "Transfer-Encoding" not in seen["headers"]


def test_a_header_that_would_pass_for_another_never_reaches_flask(beside: Callable[[Request], Reply]) -> None:
    asked = request("/mirror", headers={"x_forwarded_for": "10.0.0.1", "x-real": "yes"}, method="GET")

    seen = beside(asked).json["headers"]

    assert "X-Real" in seen
    assert "X-Forwarded-For" not in seen


def test_a_query_that_is_not_ascii_is_a_400(beside: Callable[[Request], Reply]) -> None:
    reply = beside(request("/mirror", method="GET", query="q=é".encode()))

    assert (reply.status, reply.code) == (400, "bad_request")


@pytest.mark.parametrize("chunks", [(b"x" * (MIB + 1),), (b"x" * MIB, b"x")], ids=["one piece", "two"])
def test_other_addresses_have_the_same_limit(beside: Callable[[Request], Reply], chunks: tuple[bytes, ...]) -> None:
    assert beside(Request("POST", "/mirror", {}, chunks)).status == 413


def test_an_application_that_fails_is_a_500_of_ours(parts: WebParts) -> None:
    app = create_app(parts)
    app.wsgi_app = explode  # type: ignore[method-assign]
    entry_app = create_front(parts, app)

    reply = asyncio.run(exchange(entry_app, request("/readyz", method="GET")))

    assert reply is not None
    assert (reply.status, reply.code) == (500, "internal_error")


def explode(environ: Any, start_response: Any) -> Any:
    raise RuntimeError("detail")


def test_a_length_that_is_no_number_is_a_400(front: FrontEntry) -> None:
    reply = front.send(Request("POST", "/webhooks/stripe", {**STRIPE.headers(b""), "content-length": "1e3"}, (b"x",)))

    assert (reply.status, reply.code) == (400, "bad_request")
