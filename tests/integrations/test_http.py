"""What an answer means, the same for every provider: nothing happened, it was refused, or nobody can tell."""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Callable
from urllib.parse import parse_qsl, quote

import pytest
import requests
import responses
import urllib3
from hypothesis import given
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from gateway.errors import ProviderError, Refused, TryLater, Unclear
from gateway.integrations.answers import LONGEST_RETRY_AFTER_SECONDS, retry_after_seconds
from gateway.integrations.http import Api, Http
from gateway.integrations.transport import DeadlineAdapter, NotSent, TimeLimit
from tests.integrations.providers import (
    AUTH_TOKEN,
    NOW_MS,
    NUMBER,
    NUMBERS_URL,
    PN,
    STRIPE,
    STRIPE_KEY,
    TAG,
    VAPI,
    VAPI_KEY,
    StillClock,
    everything_said,
    http_core,
    said_of,
    stripe_client,
    twilio_client,
    vapi_client,
    within,
)

WRITE_URL = f"{NUMBERS_URL}.json"
READ_URL = f"{NUMBERS_URL}/{PN}.json"
HTML = "<html><body>Bad gateway</body></html>"

# status, body -> what a write means, what a read means. Bodies are what a proxy or a broken server says.
STATUSES: dict[str, tuple[int, str, tuple[str, object], tuple[str, object]]] = {
    "100 Continue alone": (100, "", ("Unclear", None), ("TryLater", None)),
    "200 for a 201": (200, f'{{"sid": "{PN}", "phone_number": "{NUMBER}"}}', ("Unclear", None), ("OwnedNumber", None)),
    "202 accepted": (202, "{}", ("Unclear", None), ("TryLater", None)),
    "204 nothing": (204, "", ("Unclear", None), ("TryLater", None)),
    "301 moved": (301, "", ("Unclear", None), ("TryLater", None)),
    "302 elsewhere": (302, "", ("Unclear", None), ("TryLater", None)),
    "304 not modified": (304, "", ("Unclear", None), ("TryLater", None)),
    "307 elsewhere": (307, "", ("Unclear", None), ("TryLater", None)),
    "400 by a proxy": (400, HTML, ("Unclear", None), ("TryLater", None)),
    "400 with nothing": (400, "", ("Unclear", None), ("TryLater", None)),
    "400 cut off": (400, '{"code": 21422, "mess', ("Unclear", None), ("TryLater", None)),
    "400 about another status": (400, '{"code": 1, "status": 500}', ("Unclear", None), ("TryLater", None)),
    "401": (401, "", ("Refused", "credentials"), ("Refused", "credentials")),
    "403": (403, HTML, ("Refused", "credentials"), ("Refused", "credentials")),
    "404 by a proxy": (404, HTML, ("Unclear", None), ("TryLater", None)),
    "407 by a proxy": (407, HTML, ("Unclear", None), ("TryLater", None)),
    "408": (408, "{}", ("Unclear", None), ("TryLater", None)),
    "409": (409, '{"code": 20409}', ("Unclear", None), ("TryLater", None)),
    "413 by a proxy": (413, HTML, ("Unclear", None), ("TryLater", None)),
    "425": (425, '{"code": 1}', ("Unclear", None), ("TryLater", None)),
    "422 in the vendor's words": (422, '{"code": 20422}', ("Refused", "other"), ("Refused", "other")),
    "429 by a proxy": (429, HTML, ("TryLater", None), ("TryLater", None)),
    "500": (500, '{"code": 20500}', ("Unclear", None), ("TryLater", None)),
    "502": (502, HTML, ("Unclear", None), ("TryLater", None)),
    "503": (503, '{"code": 20503}', ("Unclear", None), ("TryLater", None)),
    "504": (504, "", ("Unclear", None), ("TryLater", None)),
    "599": (599, "", ("Unclear", None), ("TryLater", None)),
}


def outcome(call: Callable[[], object]) -> tuple[str, object]:
    try:
        return type(call()).__name__, None
    except ProviderError as exc:
        return said_of(exc)


@pytest.mark.parametrize(("status", "body", "write", "_read"), STATUSES.values(), ids=STATUSES)
@responses.activate
def test_what_an_answer_means_for_a_write(
    status: int, body: str, write: tuple[str, object], _read: tuple[str, object]
) -> None:
    clock = StillClock()
    client = twilio_client(http_core(clock))
    responses.post(WRITE_URL, status=status, body=body)

    assert outcome(lambda: client.buy(NUMBER, TAG, within(clock))) == write
    assert len(responses.calls) == 1


@pytest.mark.parametrize(("status", "body", "_write", "read"), STATUSES.values(), ids=STATUSES)
@responses.activate
def test_what_an_answer_means_for_a_read(
    status: int, body: str, _write: tuple[str, object], read: tuple[str, object]
) -> None:
    clock = StillClock()
    client = twilio_client(http_core(clock))
    responses.get(READ_URL, status=status, body=body)

    assert outcome(lambda: client.fetch(PN, within(clock))) == read
    assert len(responses.calls) == 1


refused_connection = requests.exceptions.ConnectionError(
    urllib3.exceptions.MaxRetryError(
        None,  # type: ignore[arg-type]
        f"/secret?token={AUTH_TOKEN}",
        urllib3.exceptions.NewConnectionError(None, "refused"),  # type: ignore[arg-type]
    )
)
FAILURES: dict[str, tuple[Exception, str, str]] = {
    "nothing was sent": (NotSent("connect_refused"), "TryLater", "connect_refused"),
    "connecting took too long": (requests.exceptions.ConnectTimeout(), "TryLater", "connect_timeout"),
    "nobody listens": (refused_connection, "TryLater", "connect_failed"),
    "the answer took too long": (requests.exceptions.ReadTimeout(), "Unclear", "timeout"),
    "the connection was cut": (requests.exceptions.ConnectionError(), "Unclear", "closed"),
    "the body was cut": (requests.exceptions.ChunkedEncodingError(), "Unclear", "closed"),
    "TLS broke in the middle": (requests.exceptions.SSLError(), "Unclear", "closed"),
    "the transport has a bug": (RuntimeError(f"{AUTH_TOKEN} {NUMBER}"), "Unclear", "failed"),
}


@pytest.mark.parametrize(("failure", "means", "code"), FAILURES.values(), ids=FAILURES)
@responses.activate
def test_what_no_answer_means_for_a_write(failure: Exception, means: str, code: str) -> None:
    clock = StillClock()
    client = twilio_client(http_core(clock))
    responses.post(WRITE_URL, body=failure)

    with pytest.raises(ProviderError) as caught:
        client.buy(NUMBER, TAG, within(clock))

    assert (type(caught.value).__name__, caught.value.code) == (means, code)
    assert (caught.value.provider, caught.value.operation, caught.value.status) == ("twilio", "buy", None)
    assert len(responses.calls) == 1


@pytest.mark.parametrize(("failure", "_means", "code"), FAILURES.values(), ids=FAILURES)
@responses.activate
def test_a_read_without_an_answer_changed_nothing(failure: Exception, _means: str, code: str) -> None:
    clock = StillClock()
    client = twilio_client(http_core(clock))
    responses.get(READ_URL, body=failure)

    with pytest.raises(TryLater) as caught:
        client.fetch(PN, within(clock))

    assert caught.value.code == code


@pytest.mark.parametrize("failure", [failure for failure, *_ in FAILURES.values()], ids=FAILURES)
@responses.activate
def test_an_error_carries_no_foreign_exception_and_no_secret(failure: Exception) -> None:
    clock = StillClock()
    client = twilio_client(http_core(clock))
    responses.post(WRITE_URL, body=failure)

    with pytest.raises(ProviderError) as caught:
        client.buy(NUMBER, TAG, within(clock))

    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert AUTH_TOKEN not in everything_said(caught.value)
    assert NUMBER not in everything_said(caught.value)


@pytest.mark.parametrize(
    ("late_by_monotonic", "late_by_wall"), [(True, False), (False, True)], ids=["monotonic clock", "wall clock"]
)
@responses.activate
def test_past_the_deadline_nothing_is_sent(late_by_monotonic: bool, late_by_wall: bool) -> None:
    clock = StillClock()
    client = twilio_client(http_core(clock))
    deadline = within(clock, 15)
    clock.seconds += 15 if late_by_monotonic else 0
    clock.at_ms += 15_000 if late_by_wall else 0

    with pytest.raises(TryLater) as caught:
        client.buy(NUMBER, TAG, deadline)

    assert caught.value.code == "deadline_passed"
    assert len(responses.calls) == 0


RETRY_AFTERS: dict[str, tuple[str | None, float | None]] = {
    "none": (None, None),
    "empty": ("", None),
    "seconds": ("7", 7.0),
    "decimals": ("0.5", 0.5),
    "spaces": (" 7 ", 7.0),
    "negative": ("-7", 0.0),
    "a year": ("31536000", LONGEST_RETRY_AFTER_SECONDS),
    "infinity": ("inf", LONGEST_RETRY_AFTER_SECONDS),
    "not a number": ("nan", None),
    "a date": ("Sun, 22 Nov 2026 09:56:39 GMT", 30.0),
    "a date in the past": ("Sun, 22 Nov 2026 09:00:00 GMT", 0.0),
    "words": ("soon", None),
    "a date that does not exist": ("Sun, 99 Nov 2026 09:00:00 GMT", None),
}


@pytest.mark.parametrize(("header", "seconds"), RETRY_AFTERS.values(), ids=RETRY_AFTERS)
@responses.activate
def test_a_429_says_how_long_to_wait(header: str | None, seconds: float | None) -> None:
    clock = StillClock()
    client = twilio_client(http_core(clock))
    headers = {} if header is None else {"Retry-After": header}
    responses.post(WRITE_URL, status=429, json={"code": 20429, "status": 429}, headers=headers)

    with pytest.raises(TryLater) as caught:
        client.buy(NUMBER, TAG, within(clock))

    assert caught.value.rate_limited
    assert caught.value.retry_after_seconds == seconds
    assert caught.value.code == 20429


@given(st.text())
def test_no_retry_after_whatever_it_says_breaks_anything(header: str) -> None:
    seconds = retry_after_seconds(header, NOW_MS)

    assert seconds is None or 0 <= seconds <= LONGEST_RETRY_AFTER_SECONDS


@responses.activate
def test_a_read_that_is_not_served_now_says_when_to_come_back() -> None:
    clock = StillClock()
    responses.get(READ_URL, status=503, headers={"Retry-After": "20"})

    with pytest.raises(TryLater) as caught:
        twilio_client(http_core(clock)).fetch(PN, within(clock))

    assert (caught.value.retry_after_seconds, caught.value.rate_limited) == (20.0, False)


@responses.activate
def test_a_redirect_is_not_followed_not_even_with_a_location() -> None:
    clock = StillClock()
    responses.post(WRITE_URL, status=307, headers={"Location": "https://elsewhere.example/"})
    elsewhere = responses.post("https://elsewhere.example/", status=201, json={"sid": PN, "phone_number": NUMBER})

    with pytest.raises(Unclear) as caught:
        twilio_client(http_core(clock)).buy(NUMBER, TAG, within(clock))

    assert caught.value.status == 307
    assert elsewhere.call_count == 0


@responses.activate
def test_an_answer_too_large_is_not_believed_from_any_transport() -> None:
    clock = StillClock()
    responses.post(WRITE_URL, status=201, body=b" " * (4 * 1024 * 1024 + 1))

    with pytest.raises(Unclear) as caught:
        twilio_client(http_core(clock)).buy(NUMBER, TAG, within(clock))

    assert caught.value.code == "answer_too_large"


def _prepared(url: str = "http://127.0.0.1:9/x", **headers: str) -> requests.PreparedRequest:
    request = requests.PreparedRequest()
    request.method, request.url, request.headers = "POST", url, CaseInsensitiveDict(headers)
    return request


MALFORMED: dict[str, requests.PreparedRequest] = {
    "a line in a header": _prepared(Authorization="Bearer a\r\nX-Injected: 1"),
    "a line feed in a header": _prepared(Authorization="Bearer a\nX-Injected: 1"),
    "a carriage return in a header": _prepared(Authorization="Bearer a\rb"),
    "a NUL in a header": _prepared(Authorization="Bearer a\0b"),
    "a letter that is not ASCII": _prepared(Authorization="Bearer ü"),
    "a space in the path": _prepared("http://127.0.0.1:9/a b"),
    "a password in the address": _prepared("http://user:secret@127.0.0.1:9/"),
    "a port that is none": _prepared("http://127.0.0.1:99999/"),
}


@pytest.mark.parametrize("request_", MALFORMED.values(), ids=MALFORMED)
def test_a_request_that_could_say_something_else_is_not_sent(request_: requests.PreparedRequest) -> None:
    clock = StillClock()

    with pytest.raises(NotSent) as caught:
        DeadlineAdapter().send(request_, timeout=TimeLimit.until(within(clock), clock))

    assert caught.value.reason == "request_malformed"


def test_a_request_without_a_deadline_is_not_sent() -> None:
    with pytest.raises(NotSent):
        DeadlineAdapter().send(_prepared(), timeout=15)


NAUGHTY = ["a\r\nX-Injected: 1", "a&FriendlyName=b", "a=b", "a\0b", "ü\u2028", "a%0d%0ab", "+"]


@pytest.mark.parametrize("tag", NAUGHTY)
@responses.activate
def test_no_value_adds_a_field_or_a_line(tag: str) -> None:
    clock = StillClock()
    client = twilio_client(http_core(clock))
    bought = {"sid": PN, "phone_number": NUMBER, "friendly_name": tag}
    responses.post(WRITE_URL, status=201, json=bought)

    assert client.buy(NUMBER, tag, within(clock)).tag == tag

    body = responses.calls[0].request.body
    assert isinstance(body, bytes)
    assert parse_qsl(body.decode("ascii"), strict_parsing=True) == [("PhoneNumber", NUMBER), ("FriendlyName", tag)]
    assert not set(b"\r\n\0 ") & set(body)


@responses.activate
def test_text_that_cannot_be_sent_is_refused_before_anything_is_sent() -> None:
    clock = StillClock()
    core = http_core(clock)

    with pytest.raises(Refused):
        twilio_client(core).buy(NUMBER, "half a pair \ud800", within(clock))
    with pytest.raises(Refused):
        vapi_client(core).import_number(NUMBER, "half a pair \ud800", within(clock))

    assert len(responses.calls) == 0


@pytest.mark.parametrize(
    "url", ["http://api.twilio.com", "ftp://127.0.0.1", "api.twilio.com", "http://127.0.0.1.example.com"]
)
def test_credentials_go_to_https_or_to_this_machine_only(url: str) -> None:
    core = Http(StillClock())

    with pytest.raises(ValueError, match="https"):
        Api(core, provider="twilio", base_url=url, headers={}, complaint=lambda _operation, _answer: None)


ECHOES: dict[str, Callable[[str], str]] = {
    "as it is": lambda secret: secret,
    "URL-encoded": lambda secret: quote(f"{secret}/+ "),
    "in base64": lambda secret: base64.b64encode(f"user:{secret}".encode()).decode(),
}


@pytest.mark.parametrize("status", [200, 201, 400, 401, 404, 409, 429, 500])
@pytest.mark.parametrize("names_field", [True, False], ids=["naming a field", "naming none"])
@pytest.mark.parametrize("spell", ECHOES.values(), ids=ECHOES)
@responses.activate
def test_a_secret_that_a_provider_echoes_reaches_no_log_and_no_error(
    spell: Callable[[str], str], names_field: bool, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    clock = StillClock()
    core = http_core(clock)
    twilio, vapi, stripe = twilio_client(core), vapi_client(core), stripe_client(core)
    echoes = [spell(secret) for secret in (AUTH_TOKEN, VAPI_KEY, STRIPE_KEY)]
    echo = " ".join(echoes)
    body = {
        "id": 7, "sid": echo, "twilioAuthToken": echo, "error": echo,
        "message": [f"assistantId {echo}" if names_field else echo],
        "statusCode": status, "code": 21422, "more_info": echo, "detail": echo,
    }  # fmt: skip
    for method in ("GET", "POST", "PATCH", "DELETE"):
        responses.add(method, re.compile(".*"), status=status, json=body, headers={"X-Echo": echo})
    deadline = within(clock)
    calls: list[Callable[[], object]] = [
        lambda: twilio.buy(NUMBER, TAG, deadline),
        lambda: twilio.find_by_number(NUMBER, deadline),
        lambda: vapi.import_number(NUMBER, TAG, deadline),
        lambda: vapi.find(NUMBER, deadline),
        lambda: vapi.remove("e1", deadline),
        lambda: stripe.read_subscription("sub_1", deadline),
    ]
    said = ""
    for call in calls:
        try:
            said += repr(call())
        except ProviderError as exc:
            said += everything_said(exc)
    said += caplog.text + repr([vars(record) for record in caplog.records])

    assert "provider.called" in said
    for secret in (AUTH_TOKEN, VAPI_KEY, STRIPE_KEY, NUMBER, NUMBER[1:], quote(NUMBER), *echoes):
        assert secret not in said


@responses.activate
def test_a_call_leaves_one_line_at_debug_with_no_address_in_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    clock = StillClock()
    responses.get(f"{VAPI}/v2/phone-number", json={"results": [], "metadata": {"currentPage": 1, "totalItems": 0}})

    vapi_client(http_core(clock)).find(NUMBER, within(clock))

    (record,) = caplog.records
    assert record.getMessage() == "provider.called"
    assert vars(record)["fields"] == {"provider": "vapi", "operation": "find", "outcome": 200, "duration_ms": 0}


def test_the_loggers_of_urllib3_say_nothing_of_calls() -> None:
    assert not logging.getLogger("urllib3.connectionpool").isEnabledFor(logging.INFO)


@responses.activate
def test_an_answer_shows_its_size_but_not_its_body_when_printed(caplog: pytest.LogCaptureFixture) -> None:
    from gateway.integrations.answers import Answer

    assert repr(Answer(200, None, AUTH_TOKEN.encode())) == "Answer(status=200, bytes=32)"
    assert STRIPE not in caplog.text
