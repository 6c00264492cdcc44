"""`POST /webhooks/<source>`: one suite for both ways in, for everything that a sender or a stranger may send."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from gateway.errors import StorageUnavailable
from gateway.store import inbox, rejections
from gateway.store.sqlite import SqliteDatabase
from gateway.web import WebParts
from gateway.web.errors import ERRORS, SECURITY_HEADERS
from tests.integrations.senders import NOW_MS, SENDERS, STANDARD, STRIPE, Sender
from tests.web.conftest import FixedClock
from tests.web.entries import FlaskEntry, FrontEntry, Reply, Request, request

Entry = FlaskEntry | FrontEntry
MIB = 1024 * 1024

any_sender = pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.name)

# Nothing of how this is built or where it runs may be in an answer.
LEAK = re.compile(
    rb"/(work|tmp|usr|home|var)/|Traceback|SELECT|INSERT|sqlite|\.py|File \"|flask|werkzeug|granian", re.I
)


def deliver(sender: Sender, body: bytes | None = None, event_id: str = "evt_1", **changed: str) -> Request:
    raw = sender.body(event_id) if body is None else body
    headers = {**sender.headers(raw, event_id), **{name.replace("_", "-"): value for name, value in changed.items()}}
    return request(f"/webhooks/{sender.name}", raw, headers)


def stored(database: SqliteDatabase) -> list[inbox.InboxRow]:
    with database.read() as tx:
        return inbox.list_events(tx, limit=1000)


def assert_refused(reply: Reply, status: int, code: str) -> None:
    assert (reply.status, reply.code) == (status, code)
    assert set(reply.json["error"]) == {"code", "message", "request_id"}
    assert reply.headers["content-type"] == "application/json"
    assert_ours(reply)


def assert_ours(reply: Reply) -> None:
    assert not LEAK.search(reply.body), reply.body
    for name, _ in SECURITY_HEADERS:
        assert name in reply.headers
    assert int(reply.headers["content-length"]) == len(reply.body)


# --- taken -----------------------------------------------------------------------------------------------------------


@any_sender
def test_a_genuine_event_is_accepted_once_and_then_a_duplicate(
    entry: Entry, database: SqliteDatabase, sender: Sender
) -> None:
    first, second = entry.send(deliver(sender)), entry.send(deliver(sender))

    assert (first.status, first.json) == (200, {"status": "accepted", "events": 1})
    assert (second.status, second.json) == (200, {"status": "duplicate", "events": 1})
    assert_ours(first)
    (row,) = stored(database)
    assert (row.source, row.event_id, row.body, row.repeats) == (sender.name, "evt_1", sender.body(), 1)


def test_what_is_answered_with_200_can_be_read_by_another_connection_at_once(
    entry: Entry, database: SqliteDatabase
) -> None:
    for n in range(20):
        entry.send(deliver(STRIPE, event_id=f"evt_{n}"))

        assert len(stored(database)) == n + 1


@pytest.mark.parametrize("kind", ["radar.early_fraud_warning.created", "something.new", "v2.money.sent"])
def test_types_that_we_do_not_know_are_taken_too(entry: Entry, database: SqliteDatabase, kind: str) -> None:
    body = json.dumps(STRIPE.event("evt_1") | {"type": kind}).encode()

    assert entry.send(deliver(STRIPE, body)).status == 200

    assert [row.type for row in stored(database)] == [kind]


def test_the_same_id_with_another_meaning_is_answered_as_a_duplicate_and_not_applied(
    entry: Entry, database: SqliteDatabase
) -> None:
    changed = json.dumps(STRIPE.event("evt_1") | {"created": NOW_MS // 1000 - 1}).encode()
    entry.send(deliver(STRIPE))

    reply = entry.send(deliver(STRIPE, changed))

    assert (reply.status, reply.json["status"]) == (200, "duplicate")
    (row,) = stored(database)
    assert row.body == STRIPE.body()


def test_the_same_delivery_a_thousand_times_is_one_event(entry: Entry, database: SqliteDatabase) -> None:
    asked = deliver(STRIPE)

    statuses = [entry.send(asked).json["status"] for _ in range(1000)]

    assert statuses == ["accepted", *["duplicate"] * 999]
    assert [row.repeats for row in stored(database)] == [999]


@pytest.mark.parametrize(
    "kind",
    ["application/json", "application/json;charset=utf-8", "Application/JSON ; x=y", "application/cloudevents+json"],
)
def test_json_by_any_of_its_names_is_taken(entry: Entry, kind: str) -> None:
    assert entry.send(deliver(STRIPE, content_type=kind)).status == 200


def test_a_body_of_exactly_one_mebibyte_is_taken(entry: Entry, database: SqliteDatabase) -> None:
    value = STRIPE.event("evt_1") | {"padding": ""}
    value["padding"] = "x" * (MIB - len(json.dumps(value).encode()))
    body = json.dumps(value).encode()
    assert len(body) == MIB

    assert entry.send(deliver(STRIPE, body)).status == 200

    assert [row.body for row in stored(database)] == [body]


def test_a_chunked_body_is_taken(entry: Entry, database: SqliteDatabase) -> None:
    body = STRIPE.body()
    headers = {**STRIPE.headers(body), "transfer-encoding": "chunked"}
    pieces = tuple(body[at : at + 50] for at in range(0, len(body), 50))

    assert entry.send(Request("POST", "/webhooks/stripe", headers, pieces)).status == 200

    assert [row.body for row in stored(database)] == [body]


# --- refused by signature --------------------------------------------------------------------------------------------


@any_sender
def test_without_a_signature_nothing_is_taken(entry: Entry, database: SqliteDatabase, sender: Sender) -> None:
    reply = entry.send(deliver(sender, None, "evt_1", **{sender.signature_header.replace("-", "_"): ""}))

    assert_refused(reply, 401, "signature_missing")
    assert stored(database) == []


@any_sender
def test_a_forged_body_is_refused(entry: Entry, database: SqliteDatabase, sender: Sender) -> None:
    headers = sender.headers(sender.body())

    reply = entry.send(request(f"/webhooks/{sender.name}", sender.body().replace(b"acme", b"evil"), headers))

    assert_refused(reply, 401, "signature_invalid")
    assert stored(database) == []


@pytest.mark.parametrize("seconds", [-301, 301, 86_400 * 365])
def test_a_replay_from_outside_five_minutes_is_refused(
    entry: Entry, clock: FixedClock, database: SqliteDatabase, seconds: int
) -> None:
    asked = deliver(STRIPE)
    clock.at_ms += seconds * 1000

    assert_refused(entry.send(asked), 401, "timestamp_out_of_tolerance")
    assert stored(database) == []


def test_a_replay_within_five_minutes_is_a_duplicate(entry: Entry, clock: FixedClock) -> None:
    asked = deliver(STRIPE)
    entry.send(asked)
    clock.at_ms += 299_000

    assert entry.send(asked).json["status"] == "duplicate"


@any_sender
def test_another_sources_signature_is_refused(entry: Entry, sender: Sender) -> None:
    other = STANDARD if sender is STRIPE else STRIPE
    body = sender.body()

    reply = entry.send(request(f"/webhooks/{sender.name}", body, other.headers(body)))

    assert_refused(reply, 401, "signature_missing")


@pytest.mark.parametrize(
    "header",
    ["t=1", "é" * 40, "t=1,v1=" + "é" * 64, "," * 10_240, "t=" + "9" * 5000 + ",v1=00", "t=1e400,v1=00", "\t"],
    ids=["no v1", "non-ASCII", "non-ASCII hex", "commas", "huge time", "1e400", "blank"],
)
def test_a_signature_header_of_nonsense_is_a_401_of_ours(entry: Entry, header: str) -> None:
    assert_refused(entry.send(deliver(STRIPE, stripe_signature=header)), 401, "signature_invalid")


def test_a_repeated_signature_header_is_one_with_a_comma(front: FrontEntry, parts: WebParts) -> None:
    body = STRIPE.body()
    good = STRIPE.headers(body)["stripe-signature"]
    doubled = request("/webhooks/stripe", body, {**STRIPE.headers(body), "stripe-signature": f"{good},{good}"})

    # Two times in one header: which one was signed would be ours to guess.
    assert_refused(front.send(doubled), 401, "signature_invalid")
    assert_refused(FlaskEntry(parts).send(doubled), 401, "signature_invalid")


# --- refused by its body ---------------------------------------------------------------------------------------------

HOSTILE_BODIES = {
    "empty": b"",
    "not JSON": b"a=1&b=2",
    "an array": b"[1]",
    "text": b'"evt_1"',
    "two values": b"{}{}",
    "no envelope": b"{}",
    "byte order mark": b"\xef\xbb\xbf" + STRIPE.body(),
    "invalid UTF-8": STRIPE.body().replace(b"Zo\xc3\xab", b"Zo\xeb"),
    "a NUL": STRIPE.body().replace(b"Zo\xc3\xab", rb"\u0000"),
    "a lone surrogate": STRIPE.body().replace(b"Zo\xc3\xab", rb"\ud83d"),
    "a number beyond 64 bits": STRIPE.body().replace(b'"active"', b"9" * 30),
    "NaN": STRIPE.body().replace(b'"active"', b"NaN"),
    "100 000 levels": STRIPE.body().replace(b'"active"', b"[" * 100_000 + b"]" * 100_000),
    "a gzip stream": bytes.fromhex("1f8b0800000000000003abae050043bfa6a302000000"),
}


@pytest.mark.parametrize("body", HOSTILE_BODIES.values(), ids=HOSTILE_BODIES.keys())
def test_a_signed_body_that_cannot_be_read_is_a_400_and_not_stored(
    entry: Entry, database: SqliteDatabase, body: bytes
) -> None:
    assert_refused(entry.send(deliver(STRIPE, body)), 400, "body_unreadable")
    assert stored(database) == []


@pytest.mark.parametrize("body", HOSTILE_BODIES.values(), ids=HOSTILE_BODIES.keys())
def test_an_unsigned_body_is_a_401_whatever_it_holds(entry: Entry, body: bytes) -> None:
    assert_refused(entry.send(deliver(STRIPE, body, stripe_signature="t=1,v1=00")), 401, "signature_invalid")


def test_a_neighbour_of_unreadable_bodies_is_stored(entry: Entry, database: SqliteDatabase) -> None:
    for n, body in enumerate(HOSTILE_BODIES.values()):
        entry.send(deliver(STRIPE, body))
        assert entry.send(deliver(STRIPE, event_id=f"evt_{n}")).status == 200

    assert len(stored(database)) == len(HOSTILE_BODIES)


@pytest.mark.parametrize(
    "kind",
    ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "text/json", "application/jsonx"],
)
def test_what_does_not_say_that_it_is_json_is_a_415(entry: Entry, kind: str) -> None:
    assert_refused(entry.send(deliver(STRIPE, content_type=kind)), 415, "content_type_unsupported")


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip", "x"])
def test_compressed_bodies_are_never_unpacked(entry: Entry, encoding: str) -> None:
    assert_refused(entry.send(deliver(STRIPE, content_encoding=encoding)), 415, "content_type_unsupported")


@pytest.mark.parametrize("length", [MIB + 1, 10 * 1024**3, 10**30])
def test_a_body_announced_as_too_large_is_refused_unread(entry: Entry, length: int) -> None:
    headers = {**STRIPE.headers(b""), "content-length": str(length)}

    assert_refused(entry.send(Request("POST", "/webhooks/stripe", headers, (b"x",))), 413, "body_too_large")


def test_a_chunked_body_without_end_is_refused_when_it_passes_the_limit(entry: Entry) -> None:
    headers = {**STRIPE.headers(b""), "transfer-encoding": "chunked"}
    asked = Request("POST", "/webhooks/stripe", headers, (b"x" * 65_536,) * 20)

    assert_refused(entry.send(asked), 413, "body_too_large")


def test_a_body_that_ends_early_is_not_stored(entry: Entry, database: SqliteDatabase) -> None:
    body = STRIPE.body()
    headers = {**STRIPE.headers(body), "content-length": str(len(body) + 5)}

    reply = entry.send(Request("POST", "/webhooks/stripe", headers, (body,)))

    assert_refused(reply, 400, "body_incomplete")
    assert stored(database) == []


# --- refused by its address or method --------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "FOO"])
@pytest.mark.parametrize("path", ["/webhooks/stripe", "/webhooks/unknown"])
def test_other_methods_are_a_405_that_names_the_right_one(entry: Entry, method: str, path: str) -> None:
    reply = entry.send(request(path, method=method))

    assert (reply.status, reply.headers["allow"]) == (405, "POST")
    if method != "HEAD":
        assert_refused(reply, 405, "method_not_allowed")


@pytest.mark.parametrize(
    "source", ["unknown", "Stripe", "stripe%00", "%00", "stripe ", "..", "%2e%2e", "a" * 5000, "%ff"]
)
def test_a_source_that_is_not_configured_is_a_404(entry: Entry, source: str) -> None:
    asked = request(f"/webhooks/{source}", STRIPE.body(), STRIPE.headers(STRIPE.body()))

    assert_refused(entry.send(asked), 404, "source_unknown")


@pytest.mark.parametrize(
    "path",
    [
        *("/", "//", "/webhooks", "/webhooks/", "//webhooks/stripe", "/webhooks//stripe", "/webhooks/stripe/"),
        *("/webhooks/stripe/extra", "/webhooks%2fstripe", "/webhooks/..%2fhealthz", "/webhooks/x/../stripe"),
        *("/%00", "/..%2f..%2fetc%2fpasswd", "/static/x", "/.env", "/console", "/a" * 1000, "/%f0%9f%98%80", "/%ff"),
        *("/healthz/", "//healthz", "/Healthz", "/healthz%00", "/webhooks/stripe%2f"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_address_that_is_not_ours_is_a_404_and_never_leads_elsewhere(entry: Entry, method: str, path: str) -> None:
    asked = request(path, STRIPE.body(), STRIPE.headers(STRIPE.body()), method=method)

    reply = entry.send(asked)

    if path == "/webhooks%2fstripe":
        # A server that decodes the path shows us no difference; one that does not must not find a way in either.
        assert reply.status in (200, 404, 405)
    else:
        assert_refused(reply, 404, "not_found")


@pytest.mark.parametrize("query", [b"a=1", b"x=%00%ff", b"a" * 8000])
def test_a_query_changes_nothing(entry: Entry, query: bytes) -> None:
    body = STRIPE.body()

    reply = entry.send(request("/webhooks/stripe", body, STRIPE.headers(body), query=query))

    assert reply.status == 200


# --- what is left of those who were refused --------------------------------------------------------------------------


def test_a_flood_of_forgeries_leaves_a_ring_of_fixed_size(
    entry: Entry, database: SqliteDatabase, parts: WebParts
) -> None:
    for _ in range(1000):
        entry.send(deliver(STRIPE, stripe_signature="t=1,v1=00"))
    entry.send(request("/webhooks/unknown", b"{}", {"content-type": "application/json"}))

    parts.rejections.flush()

    with database.read() as tx:
        held = rejections.of_source(tx, "stripe")
        assert tx.one("SELECT count(*) AS n FROM rejections") == {"n": 200}
    assert {(each.code, each.skew_ms, each.body_bytes) for each in held} == {
        ("signature_invalid", 1000 - NOW_MS, len(STRIPE.body()))
    }
    assert stored(database) == []


def test_an_unreadable_body_of_a_verified_sender_is_noted_too(
    entry: Entry, database: SqliteDatabase, parts: WebParts
) -> None:
    entry.send(deliver(STRIPE, b"[]"))

    parts.rejections.flush()

    with database.read() as tx:
        (held,) = rejections.of_source(tx, "stripe")
    assert held == rejections.Rejection(NOW_MS, "body_unreadable", None, 2)


def test_every_refusal_has_an_id_of_its_own(entry: Entry) -> None:
    ids = {entry.send(deliver(STRIPE, b"[]")).json["error"]["request_id"] for _ in range(10)}

    assert len(ids) == 10


def test_every_code_has_a_status_and_a_sentence() -> None:
    for code, (status, sentence) in ERRORS.items():
        assert re.fullmatch(r"[a-z_]+", code)
        assert 400 <= status < 600
        assert sentence.endswith(".")


def test_no_secret_and_no_body_is_logged(entry: Entry, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")

    entry.send(deliver(STRIPE))
    entry.send(deliver(STRIPE, stripe_signature="t=1,v1=00"))
    entry.send(deliver(STRIPE, b"[]"))

    lines = "\n".join(str(vars(record)) for record in caplog.records)
    assert STRIPE.secret not in lines
    assert "Zoë" not in lines


# --- faults of ours --------------------------------------------------------------------------------------------------


def test_a_fault_of_ours_is_a_500_that_says_nothing_but_its_id(
    entry: Entry, parts: WebParts, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        name = "stripe"

        def verify(self, *_: Any) -> None:
            raise RuntimeError("secret detail in /srv/app/gateway")

    parts.sources["stripe"] = Broken()  # type: ignore[index]

    reply = entry.send(deliver(STRIPE))

    assert_refused(reply, 500, "internal_error")
    (record,) = [record for record in caplog.records if record.message == "request.failed"]
    assert vars(record)["fields"]["request_id"] == reply.json["error"]["request_id"]


def test_a_delivery_is_told_to_come_again_while_nobody_can_say_what_time_it_is(
    entry: Entry, clock: FixedClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A sandbox's clock is in the database."""
    clock.trouble = StorageUnavailable("The database cannot be reached.", 7)

    reply = entry.send(deliver(STRIPE))

    assert_refused(reply, 503, "storage_unavailable")
    assert reply.headers["retry-after"] == "7"
    assert "request.failed" not in caplog.text


def test_when_too_much_waits_the_next_one_is_told_to_come_again(
    entry: Entry, parts: WebParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts.intake, "_max_rows", 0)

    reply = entry.send(deliver(STRIPE))

    assert_refused(reply, 503, "overloaded")
    assert int(reply.headers["retry-after"]) >= 1
