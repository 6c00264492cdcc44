"""The answer as nearly every one is, read without what `http.client` and `requests` prepare for all others.

That preparation is two thirds of what a call costs us. What is not plain is left to the standard library, untouched.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from dataclasses import dataclass

import requests
from requests.structures import CaseInsensitiveDict

LARGEST_ANSWER_BYTES = 4 * 1024 * 1024
# Names are tokens, values printable, no line goes on in the next (RFC 9112, 4 and 5).
PLAIN_HEAD = re.compile(rb"HTTP/1\.1 [0-9]{3}(?: [^\r\n\0]*)?(?:\r\n[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\r\n\0]*)*")
LENGTH = re.compile("[0-9]{1,7}")


class WholeResponse(requests.Response):
    """An answer that has arrived; without what `requests` prepares for cookies, redirects and streams."""

    def __init__(self, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        self.status_code = status
        self.headers = CaseInsensitiveDict(headers)
        self.history = []
        self.encoding = None
        self.raw = io.BytesIO()
        self._content = body
        self._content_consumed = True


@dataclass(frozen=True, slots=True)
class PlainHead:
    """The head of a plain answer. bytes: its own length.   closes: the connection ends behind its body."""

    status: int
    headers: list[tuple[str, str]]
    bytes: int
    body_bytes: int
    closes: bool


def plain_head(received: bytes) -> PlainHead | None:
    """The head of an answer as nearly every one is: whole, HTTP/1.1, and its body's length said once.

    None for everything else, of which nothing was taken: the standard library reads that.
    """
    end = received.find(b"\r\n\r\n")
    if end < 0 or not PLAIN_HEAD.fullmatch(received, 0, end):
        return None
    first, *lines = received[:end].decode("latin-1").split("\r\n")
    headers = [(name, value.strip(" \t")) for name, _, value in (line.partition(":") for line in lines)]
    lengths, closes = [], False
    for name, value in headers:
        lower = name.lower()
        if lower == "content-length":
            lengths.append(value)
        elif lower == "transfer-encoding":
            return None
        elif lower == "connection":
            closes = value.lower() != "keep-alive"
    status = int(first[9:12])
    if len(lengths) != 1 or not LENGTH.fullmatch(lengths[0]) or status < 200 or status in (204, 304):
        return None
    length = int(lengths[0])
    return PlainHead(status, headers, end + 4, length, closes) if length <= LARGEST_ANSWER_BYTES else None
