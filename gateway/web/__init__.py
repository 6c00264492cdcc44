"""The Flask application: health and webhooks, under any WSGI server and in Flask's test client.

`serve` puts `front.py` before it, which answers webhooks itself; both say the same.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, request
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, RequestEntityTooLarge
from werkzeug.routing import RequestRedirect

from gateway.domain.model import Delivery
from gateway.errors import StorageUnavailable
from gateway.web import errors, health, webhooks
from gateway.web.errors import Answer
from gateway.web.parts import Readiness, WebParts

__all__ = ["Readiness", "WebParts", "create_app"]

log = logging.getLogger("gateway.web")

READ_BYTES = 64 * 1024
JSON = "application/json"
WHOLE_HEADERS = (("content-type", JSON), *errors.SECURITY_HEADERS)
STATUS_LINES = {status.value: f"{status.value} {status.phrase.upper()}" for status in HTTPStatus}

CODES = {
    400: "bad_request",
    404: "not_found",
    408: "body_too_slow",
    413: "body_too_large",
    415: "content_type_unsupported",
}


def create_app(parts: WebParts | None = None) -> Flask:
    """The application. Starts nothing: no thread, no connection, no scheduler.

    parts: None takes the settings of this process, and opens the database with the first request.
    Raises SettingsError.
    """
    if parts is None:
        from gateway.web.process import parts_when_asked

        return _create_app(parts_when_asked())
    return _create_app(lambda: parts)


def _create_app(parts: Callable[[], WebParts]) -> Flask:
    app = Flask("gateway", static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=webhooks.MAX_BODY_BYTES, PROVIDE_AUTOMATIC_OPTIONS=False)
    # A doubled slash is another address, not one to be sent to the right one.
    app.url_map.merge_slashes = False
    _add_routes(app, parts)
    _add_error_handlers(app)
    app.before_request(_refuse_doubled_slashes)
    app.after_request(_add_security_headers)
    return app


def _refuse_doubled_slashes() -> None:
    """Flask would take `//healthz` for `/healthz`; proxies that guard one by its address do not."""
    if request.environ["PATH_INFO"].startswith("//"):
        raise NotFound


def _add_routes(app: Flask, parts: Callable[[], WebParts]) -> None:
    @app.post("/webhooks/<source>")
    def take_webhook(source: str) -> Response:
        return _response(_take(parts(), source))

    @app.get("/healthz")
    def is_live() -> Response:
        return _response(health.LIVE)

    @app.get("/readyz")
    def is_ready() -> Response:
        return _response(health.ready(parts().readiness()))


def _take(parts: WebParts, source: str) -> Answer:
    headers = _headers_of(request.environ)
    refused = webhooks.admit(parts, source, headers)
    if refused is not None:
        return refused
    body = _read_body()
    if isinstance(body, Answer):
        return body
    # A bare lock: an Event is built of three, and many threads wait here.
    is_done = threading.Lock()
    is_done.acquire()
    answers: list[Answer] = []

    def done(answer: Answer) -> None:
        answers.append(answer)
        is_done.release()

    delivery = Delivery(source, headers, body, parts.clock.now_ms())
    answer = webhooks.take(parts, delivery, done)
    if answer is None:
        is_done.acquire()
        answer = answers[0]
    return answer


def _headers_of(environ: Mapping[str, Any]) -> dict[str, str]:
    """Headers by lower-case name, as a source reads them."""
    headers = {
        name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")
    }
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            headers[name.replace("_", "-").lower()] = environ[name]
    return headers


def _read_body() -> bytes | Answer:
    """The whole body, or why there is none. Flask's own reading cuts a long chunked body off without a word."""
    announced = request.content_length
    if announced is None and not request.environ.get("wsgi.input_terminated"):
        return b""
    most = webhooks.MAX_BODY_BYTES + 1 if announced is None else announced
    body = bytearray()
    try:
        while len(body) < most <= webhooks.MAX_BODY_BYTES + 1:
            piece = request.environ["wsgi.input"].read(min(most - len(body), READ_BYTES))
            if not piece:
                break
            body += piece
    except OSError:
        return errors.error_answer("body_incomplete")
    if max(len(body), announced or 0) > webhooks.MAX_BODY_BYTES:
        return errors.error_answer("body_too_large")
    if announced is not None and len(body) != announced:
        return errors.error_answer("body_incomplete")
    return bytes(body)


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
        start_response(self.status, [*WHOLE_HEADERS, *self._answer.headers, ("content-length", str(len(body)))])
        return () if environ["REQUEST_METHOD"] == "HEAD" else (body,)


def _response(answer: Answer) -> Response:
    return WholeResponse(answer)


def _add_error_handlers(app: Flask) -> None:
    @app.errorhandler(HTTPException)
    def refuse(error: HTTPException) -> Response | HTTPException:
        if isinstance(error, RequestRedirect) or error.response is not None:
            return error
        if isinstance(error, MethodNotAllowed):
            return _response(errors.method_not_allowed(sorted(error.valid_methods or ())))
        status = 413 if isinstance(error, RequestEntityTooLarge) else error.code or 500
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return fail(error)
        return _response(errors.error_answer(CODES.get(status, "bad_request")))

    @app.errorhandler(StorageUnavailable)
    def come_again(error: StorageUnavailable) -> Response:
        # The parts are made for the first request, and could not be.
        log.error("web.storage_unavailable", extra={"fields": {"reason": str(error)}})
        return _response(errors.not_stored(error))

    @app.errorhandler(Exception)
    def fail(error: Exception) -> Response:
        answer = errors.error_answer("internal_error")
        log.error("request.failed", extra={"fields": {"request_id": answer.request_id}}, exc_info=error)
        return _response(answer)


def _add_security_headers(response: Response) -> Response:
    if isinstance(response, WholeResponse):
        return response
    for name, value in errors.SECURITY_HEADERS:
        response.headers.setdefault(name, value)
    return response
