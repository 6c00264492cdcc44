"""The Flask application: health and webhooks, under any WSGI server and in Flask's test client.

`serve` puts `front.py` before it, which answers webhooks itself; both say the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from http import HTTPStatus

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestEntityTooLarge
from werkzeug.routing import RequestRedirect

from gateway.errors import GatewayError, StorageUnavailable
from gateway.web import api, choose, errors, health, view, webhooks
from gateway.web.application import Application, WholeResponse
from gateway.web.choose.brand import PLAIN, Brand
from gateway.web.parts import Readiness, WebParts
from gateway.web.proxies import as_seen_from_outside

__all__ = ["Readiness", "WebParts", "create_app"]

log = logging.getLogger("gateway.web")

CODES = {
    400: "bad_request",
    404: "not_found",
    408: "body_too_slow",
    413: "body_too_large",
    415: "content_type_unsupported",
}


PAGES = "/choose/"
NOTHING_HERE = "Please open the link exactly as you were sent it, or ask for a new one."
PAGE_TEXTS = {404: NOTHING_HERE, 405: NOTHING_HERE, 413: "That was too much text."}
IN_A_MOMENT = "Something went wrong on our side. Nothing is lost. Please try again in a moment."


def create_app(parts: WebParts | None = None) -> Flask:
    """The application. Starts nothing: no thread, no connection, no scheduler.

    parts: None takes the settings of this process, and opens the database with the first request.
    Raises SettingsError.
    """
    if parts is None:
        from gateway.web.process import parts_when_asked

        settings, asked_parts = parts_when_asked()
        return _create_app(asked_parts, settings.trusted_proxies, settings.public_url)
    return _create_app(lambda: parts, parts.trusted_proxies, parts.public_url)


def _create_app(parts: Callable[[], WebParts], trusted_proxies: int, public_url: str | None) -> Flask:
    app = Application("gateway")
    outside = as_seen_from_outside(app.wsgi_app, trusted_proxies, public_url)
    app.wsgi_app = outside  # type: ignore[method-assign, assignment]
    app.config.update(MAX_CONTENT_LENGTH=webhooks.MAX_BODY_BYTES, PROVIDE_AUTOMATIC_OPTIONS=False)
    # A doubled slash is another address, not one to be sent to the right one.
    app.url_map.merge_slashes = False
    _add_routes(app, parts)
    api.add_routes(app, parts)
    app.register_blueprint(choose.blueprint(lambda: parts().desk, lambda: parts().brand))
    _add_error_handlers(app, parts)
    app.after_request(_add_security_headers)
    return app


def _add_routes(app: Flask, parts: Callable[[], WebParts]) -> None:
    @app.post("/webhooks/<source>")
    def take_webhook(source: str) -> Response:
        return WholeResponse(view.answer(parts(), source, request.environ))

    @app.get("/healthz")
    def is_live() -> Response:
        return WholeResponse(health.LIVE)

    @app.get("/readyz")
    def is_ready() -> Response:
        return WholeResponse(health.ready(parts().readiness()))


def _add_error_handlers(app: Flask, parts: Callable[[], WebParts]) -> None:
    def told(answer: errors.Answer) -> Response:
        """JSON for programs, a page for people."""
        if not request.path.startswith(PAGES):
            return WholeResponse(answer)
        text = PAGE_TEXTS.get(answer.status, IN_A_MOMENT)
        page = choose.sorry(_brand_of(parts), "That did not work", text, answer.status)
        page.headers.extend(answer.headers)
        return page

    @app.errorhandler(HTTPException)
    def refuse(error: HTTPException) -> Response | HTTPException:
        if isinstance(error, RequestRedirect) or error.response is not None:
            return error
        if isinstance(error, MethodNotAllowed):
            return told(errors.method_not_allowed(sorted(error.valid_methods or ())))
        status = 413 if isinstance(error, RequestEntityTooLarge) else error.code or 500
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return fail(error)
        return told(errors.error_answer(CODES.get(status, "bad_request")))

    @app.errorhandler(StorageUnavailable)
    def come_again(error: StorageUnavailable) -> Response:
        # The parts are made for the first request, and could not be.
        log.error("web.storage_unavailable", extra={"fields": {"reason": str(error)}})
        return told(errors.not_stored(error))

    @app.errorhandler(Exception)
    def fail(error: Exception) -> Response:
        answer = errors.error_answer("internal_error")
        log.error("request.failed", extra={"fields": {"request_id": answer.request_id}}, exc_info=error)
        return told(answer)


def _brand_of(parts: Callable[[], WebParts]) -> Brand:
    """Also while nothing can be opened."""
    try:
        return parts().brand
    except GatewayError:
        return PLAIN


def _add_security_headers(response: Response) -> Response:
    if isinstance(response, WholeResponse):
        return response
    for name, value in errors.SECURITY_HEADERS:
        response.headers.setdefault(name, value)
    return response
