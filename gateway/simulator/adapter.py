"""The world inside `requests`, without a socket: `session.mount("http://world", WorldAdapter(world))`.

Faults look as they do over the wire: a dropped connection is `requests.ConnectionError`, a hang or an answer slower
than the timeout `requests.ReadTimeout`, half a body `ChunkedEncodingError` or `ConnectionError` while reading it.
No time passes: what would be slow either fails at once or answers at once.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import timedelta
from http.client import RemoteDisconnected
from typing import Any
from urllib.parse import unquote, urlsplit

from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter
from requests.exceptions import ConnectionError, ReadTimeout
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers
from urllib3.exceptions import ProtocolError, ReadTimeoutError
from urllib3.response import HTTPResponse

from gateway.simulator.wire import WIRE_KEY, Wire
from gateway.simulator.world import World


class WorldAdapter(BaseAdapter):
    """Sends prepared requests straight into a world."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> Response:
        environ = _environ(request)
        started: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            started.extend((status, headers))

        body = b"".join(self.world.wsgi(environ, start_response))
        status, headers = started
        wire: Wire = environ[WIRE_KEY] or Wire()
        patience = _read_timeout(timeout)
        if wire.wait_seconds > patience or (wire.drop and wire.wait_seconds and patience == float("inf")):
            raise ReadTimeout(ReadTimeoutError(None, request.url or "", "Read timed out."), request=request)  # type: ignore[arg-type]
        if wire.drop:
            cause: Exception = RemoteDisconnected("Remote end closed connection without response")
            if wire.reset:
                cause = ConnectionResetError(104, "Connection reset by peer")
            raise ConnectionError(ProtocolError("Connection aborted.", cause), request=request)
        sent = body[: len(body) // 2] if wire.truncate else body
        slow = wire.trickle_seconds > patience
        raw = HTTPResponse(
            body=_Trickle(sent) if slow else io.BytesIO(sent),
            headers=headers,
            status=int(status[:3]),
            reason=status[4:],
            preload_content=False,
            request_method=request.method,
            enforce_content_length=True,
        )
        return self._respond(request, raw, stream)

    def _respond(self, request: PreparedRequest, raw: HTTPResponse, stream: bool) -> Response:
        response = Response()
        response.status_code = raw.status
        response.headers = CaseInsensitiveDict(raw.headers)
        response.encoding = get_encoding_from_headers(response.headers)
        response.raw = raw
        response.reason = raw.reason or ""
        response.url = request.url or ""
        response.request = request
        response.elapsed = timedelta(0)
        return response

    def close(self) -> None:
        """Nothing to close; the world goes on."""


class _Trickle(io.RawIOBase):
    """A body that would take longer than anybody waits: one byte, then the timeout."""

    def __init__(self, body: bytes) -> None:
        self._body = body[:1]

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        if self._body:
            first, self._body = self._body, b""
            return first
        raise TimeoutError("timed out")


def _environ(request: PreparedRequest) -> dict[str, Any]:
    where = urlsplit(request.url or "")
    body = request.body or b""
    if isinstance(body, str):
        body = body.encode()
    elif not isinstance(body, bytes):
        body = body.read() if hasattr(body, "read") else b"".join(body)
    path = where.path or "/"
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "PATH_INFO": unquote(path) if "%" in path else path,
        "QUERY_STRING": where.query,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        WIRE_KEY: None,
    }
    for name, value in request.headers.items():
        text = value.decode("latin-1") if isinstance(value, bytes) else value
        environ[f"HTTP_{name.upper().replace('-', '_')}"] = text
    return environ


def _read_timeout(timeout: Any) -> float:
    """Seconds of patience for the next bytes; infinite without a timeout."""
    if isinstance(timeout, tuple):
        timeout = timeout[1]
    if timeout is None:
        return float("inf")
    return float(getattr(timeout, "read_timeout", timeout))
