"""A webhook under any WSGI server: its headers and its body out of the environ, its answer once it is on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from werkzeug.sansio.utils import get_content_length

from gateway.domain.model import Delivery
from gateway.web import errors, webhooks
from gateway.web.errors import Answer
from gateway.web.parts import WebParts

READ_BYTES = 64 * 1024

Environ = Mapping[str, Any]


def answer(parts: WebParts, source: str, environ: Environ) -> Answer:
    """The answer to a webhook; waits until it is on disk."""
    headers = WsgiHeaders(environ)
    refused = webhooks.admit(parts, source, headers)
    if refused is not None:
        return refused
    body = read_body(environ)
    if isinstance(body, Answer):
        return body
    answers: list[Answer] = []
    delivery = Delivery(source, headers, body, parts.clock.now_ms(), environ.get("REMOTE_ADDR", ""))
    at_once = webhooks.take(parts, delivery, answers.append, parts.intake.submit_and_wait)
    return answers[0] if at_once is None else at_once


class WsgiHeaders(Mapping[str, str]):
    """Headers by lower-case name, as a source reads them: looked up when asked for, because most never are."""

    __slots__ = ("_environ",)

    def __init__(self, environ: Environ) -> None:
        self._environ = environ

    def __getitem__(self, name: str) -> str:
        value: str = self._environ[_variable(name)]
        return value

    def get(self, name: str, default: Any = None) -> Any:
        return self._environ.get(_variable(name), default)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and _variable(name) in self._environ

    def __iter__(self) -> Iterator[str]:
        for variable in self._environ:
            name = variable.removeprefix("HTTP_")
            if name != variable or name in UNMARKED:
                yield name.replace("_", "-").lower()

    def __len__(self) -> int:
        return sum(1 for _ in self)


UNMARKED = ("CONTENT_TYPE", "CONTENT_LENGTH")


@lru_cache(maxsize=64)
def _variable(name: str) -> str:
    """What CGI calls a header. Only our own code asks, for few names."""
    variable = name.replace("-", "_").upper()
    return variable if variable in UNMARKED else f"HTTP_{variable}"


def read_body(environ: Environ) -> bytes | Answer:
    """The whole body, or why there is none. Flask's own reading cuts a long chunked body off without a word."""
    announced = get_content_length(environ.get("CONTENT_LENGTH"), environ.get("HTTP_TRANSFER_ENCODING"))
    if announced is None and not environ.get("wsgi.input_terminated"):
        return b""
    most = webhooks.MAX_BODY_BYTES + 1 if announced is None else announced
    if announced is not None and announced > webhooks.MAX_BODY_BYTES:
        return errors.error_answer("body_too_large")
    pieces: list[bytes] = []
    size = 0
    read = environ["wsgi.input"].read
    try:
        while size < most and (piece := read(min(most - size, READ_BYTES))):
            pieces.append(piece)
            size += len(piece)
    except OSError:
        return errors.error_answer("body_incomplete")
    if size > webhooks.MAX_BODY_BYTES:
        return errors.error_answer("body_too_large")
    if announced is not None and size != announced:
        return errors.error_answer("body_incomplete")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
