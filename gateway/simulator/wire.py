"""What goes in and out of the world: a request, a reply, and how the reply travels.

WSGI cannot drop a connection or send half a body, so a reply carries a `Wire` beside it. A server or adapter that can
do such things puts the key `gateway.wire` into the environ and reads the world's wish from it afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

WIRE_KEY = "gateway.wire"

REASONS = {
    200: "OK",
    201: "Created",
    204: "No Content",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    422: "Unprocessable Entity",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


@dataclass(frozen=True, slots=True)
class Wire:
    """How a reply travels; all false is the ordinary way. Seconds are real ones.

    drop: the connection closes without an answer, after `wait_seconds`.   reset: by TCP reset.
    trickle_seconds: the body takes this long.   truncate: half the body, then the connection closes.
    """

    drop: bool = False
    reset: bool = False
    wait_seconds: float = 0.0
    trickle_seconds: float = 0.0
    truncate: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    query: str
    body: bytes
    authorization: str

    def params(self) -> dict[str, str]:
        """The query of a GET or DELETE, the form of a POST."""
        text = self.body.decode("utf-8", "replace") if self.method == "POST" else self.query
        return dict(parse_qsl(text, keep_blank_values=True)) if text else {}

    def queried(self) -> dict[str, str]:
        return dict(parse_qsl(self.query, keep_blank_values=True)) if self.query else {}


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    wire: Wire | None = None


DROPPED = Reply(500, wire=Wire(drop=True))


def json_reply(status: int, answer: Any, headers: Mapping[str, str] | None = None) -> Reply:
    body = b"" if answer is None else json.dumps(answer, separators=(",", ":"), ensure_ascii=False).encode()
    return Reply(status, body, headers=tuple((headers or {}).items()))
