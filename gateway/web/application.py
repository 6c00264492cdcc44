"""Flask, less the work that no page of ours has any use for: all of it together takes longer than storing an event."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Any

from flask import Flask, Request, Response
from werkzeug.datastructures import Headers
from werkzeug.exceptions import NotFound
from werkzeug.routing import MapAdapter

from gateway.web import errors
from gateway.web.errors import Answer

JSON = "application/json"
WHOLE_HEADERS = (("content-type", JSON), *errors.SECURITY_HEADERS)
STATUS_LINES = {status.value: f"{status.value} {status.phrase.upper()}" for status in HTTPStatus}


class Address(MapAdapter):
    """One address, and which page it is: there are few, and each is asked for over and over."""

    _page: Any = None

    def match(self, *args: Any, **given: Any) -> Any:
        if args or given != {"return_rule": True}:
            return super().match(*args, **given)
        if self._page is None:
            self._page = super().match(return_rule=True)
        return self._page


class Application(Flask):
    """Its addresses are the same whatever host was asked, and none of its views is `async`."""

    def __init__(self, name: str) -> None:
        super().__init__(name, static_folder=None)
        self._address = lru_cache(maxsize=32)(partial(Address, self.url_map))

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        if request is None:
            return None
        # Werkzeug takes `//healthz` for `/healthz`; proxies that guard one by its address do not.
        if request.environ["PATH_INFO"].startswith("//"):
            raise NotFound
        host = request.environ.get("HTTP_HOST", "")
        return self._address(host, request.root_path, "", request.scheme, request.path, request.method)

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func


class WholeResponse(Response):
    """An answer of ours: everything about it is known, so there is nothing for werkzeug to work out once more."""

    def __init__(self, answer: Answer) -> None:
        # What Flask touches between here and the server, and no more: werkzeug's own way takes as long as the view.
        self.headers = Headers()
        self._status = STATUS_LINES.get(answer.status, str(answer.status))
        self._status_code = answer.status
        self._on_close = []
        self.response = [answer.body]
        self._answer = answer

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        body = self._answer.body
        start_response(self._status, [*WHOLE_HEADERS, *self._answer.headers, ("content-length", str(len(body)))])
        # A list: granian sends that at once, and anything else piece by piece.
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
