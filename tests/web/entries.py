"""Both ways in, driven directly: no sockets, no server. What is sent is what a server would hand over."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

from gateway.web import WebParts, create_app
from gateway.web.front import create_front

Headers = dict[str, str]
NEVER = object()
GONE = object()


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Headers
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return str(self.json["error"]["code"])


@dataclass(frozen=True)
class Request:
    """chunks: the body as it arrives; None is one of Content-Length 0. `NEVER` and `GONE` may stand at its end."""

    method: str = "POST"
    path: str = "/webhooks/stripe"
    headers: Headers = field(default_factory=dict)
    chunks: tuple[Any, ...] = ()
    query: bytes = b""


def request(
    path: str = "/webhooks/stripe",
    body: bytes = b"",
    headers: Headers | None = None,
    method: str = "POST",
    query: bytes = b"",
) -> Request:
    """An ordinary request: its body in one piece, its length announced."""
    return Request(method, path, {"content-length": str(len(body)), **(headers or {})}, (body,), query)


class FlaskEntry:
    name = "flask"

    def __init__(self, parts: WebParts) -> None:
        self._app = create_app(parts).wsgi_app

    def send(self, asked: Request) -> Reply:
        environ = {
            "REQUEST_METHOD": asked.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(asked.path).decode("latin-1"),
            "QUERY_STRING": asked.query.decode("latin-1"),
            "REMOTE_ADDR": "127.0.0.1",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "8000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(b"".join(chunk for chunk in asked.chunks if isinstance(chunk, bytes))),
            "wsgi.input_terminated": "content-length" not in asked.headers,
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in asked.headers.items():
            key = name.upper().replace("-", "_")
            environ[key if key in ("CONTENT_LENGTH", "CONTENT_TYPE") else f"HTTP_{key}"] = value
        started: list[Any] = []

        def start_response(
            status: str, headers: list[tuple[str, str]], exc_info: Any = None
        ) -> Callable[[bytes], Any]:
            started[:] = [int(status.split(" ")[0]), {name.lower(): value for name, value in headers}]
            return lambda data: None

        body: Iterable[bytes] = self._app(environ, start_response)
        return Reply(started[0], started[1], b"".join(body))

    def close(self) -> None:
        pass


class FrontEntry:
    name = "front"

    def __init__(self, parts: WebParts, **options: Any) -> None:
        self.app = create_front(parts, create_app(parts), **options)
        self._runner = asyncio.Runner()

    def send(self, asked: Request) -> Reply:
        reply = self._runner.run(exchange(self.app, asked))
        assert reply is not None
        return reply

    def send_all(self, asked: Iterable[Request]) -> list[Reply | None]:
        """All at once, on one event loop."""

        async def together() -> list[Reply | None]:
            return list(await asyncio.gather(*(exchange(self.app, each) for each in asked)))

        return self._runner.run(together())

    def close(self) -> None:
        self._runner.close()


async def nothing() -> None:
    pass


async def exchange(app: Any, asked: Request, before_each: Callable[[], Awaitable[None]] = nothing) -> Reply | None:
    """One request through an ASGI application; None when it was not answered. `before_each`: of its pieces."""
    sent: list[dict[str, Any]] = []
    messages = arriving(asked.chunks)

    async def receive() -> dict[str, Any]:
        await before_each()
        message: dict[str, Any] = next(messages)
        if message is NEVER:
            await asyncio.Event().wait()
        return message

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": asked.method,
        "path": unquote_to_bytes(asked.path).decode("utf-8", "replace"),
        "raw_path": asked.path.encode(),
        "query_string": asked.query,
        "root_path": "",
        "scheme": "http",
        "server": ("127.0.0.1", "8000"),
        "client": ("127.0.0.1", "50000"),
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in asked.headers.items()],
    }
    await app(scope, receive, send)
    if not sent:
        return None
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Reply(sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:]))


def arriving(chunks: tuple[Any, ...]) -> Iterator[Any]:
    """The messages of a body; after its last piece the connection says that it is gone, as servers do."""
    for n, chunk in enumerate(chunks or (b"",)):
        if chunk is GONE:
            break
        if chunk is NEVER:
            yield NEVER
        yield {"type": "http.request", "body": chunk, "more_body": n + 1 < len(chunks)}
    while True:
        yield {"type": "http.disconnect"}
