"""Which answers are read the short way, and that all others are left to the standard library untouched."""

from __future__ import annotations

import http.client
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.integrations.plain_answer import LARGEST_ANSWER_BYTES, plain_head


class Sock:
    def __init__(self, received: bytes) -> None:
        self._received = received

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._received)


def test_a_plain_answer_is_read_with_its_status_its_headers_and_its_length() -> None:
    received = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After:  7 \r\ncontent-length: 5\r\n\r\nhello"

    head = plain_head(received)

    assert head is not None
    assert (head.status, head.headers) == (429, [("Retry-After", "7"), ("content-length", "5")])
    assert (head.bytes, head.body_bytes, head.closes) == (len(received) - 5, 5, False)


@pytest.mark.parametrize(
    ("value", "closes"), [(b"keep-alive", False), (b"close", True), (b"Close", True), (b"upgrade, close", True)]
)
def test_a_connection_header_other_than_keep_alive_ends_the_connection(value: bytes, closes: bool) -> None:
    head = plain_head(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: " + value + b"\r\n\r\n")

    assert head is not None
    assert head.closes is closes


@pytest.mark.parametrize(
    "received",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: \xb2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n folded: 1\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\nX: 1\r\n\r\n{}",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}",
        b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"nonsense\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (LARGEST_ANSWER_BYTES + 1),
    ],
)
def test_everything_else_is_left_to_the_standard_library(received: bytes) -> None:
    assert plain_head(received) is None


TOKEN = st.text("abcXYZ-_", min_size=1, max_size=8)
VALUE = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12)


@given(
    status=st.integers(200, 599), headers=st.lists(st.tuples(TOKEN, VALUE), max_size=6), body=st.binary(max_size=40)
)
def test_what_is_read_the_short_way_the_standard_library_reads_alike(
    status: int, headers: list[tuple[str, str]], body: bytes
) -> None:
    lines = [
        f"HTTP/1.1 {status} Fine",
        *(f"{name}: {value}" for name, value in headers),
        f"Content-Length: {len(body)}",
    ]
    received = "\r\n".join([*lines, "", ""]).encode() + body

    head = plain_head(received)

    if head is not None:
        answer = http.client.HTTPResponse(Sock(received))  # type: ignore[arg-type]
        answer.begin()
        assert (answer.status, answer.read()) == (head.status, received[head.bytes :][: head.body_bytes])
        assert [(name.lower(), value) for name, value in answer.getheaders()] == [
            (name.lower(), value) for name, value in head.headers
        ]
