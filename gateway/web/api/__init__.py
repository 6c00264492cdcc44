"""The JSON API at `/api/v1`: every route is behind `access.admit`, and answers in JSON whatever happens."""

from __future__ import annotations

import logging
from collections.abc import Callable

from flask import Flask, Response, request

from gateway.errors import OperatorError, OptionsInvalid, ProviderError
from gateway.logs import log_event
from gateway.steps.context import Stopping
from gateway.web import errors, view
from gateway.web.api.access import Caller, Guesses, admit
from gateway.web.api.answers import RETRY_SECONDS, invalid, of_operator, of_provider
from gateway.web.api.reading import Unreadable, read_body, read_query
from gateway.web.api.routes import Call, Route
from gateway.web.api.table import ROUTES
from gateway.web.application import WholeResponse
from gateway.web.errors import Answer
from gateway.web.parts import WebParts

# As they are called in a query or a body.
FIELDS = {"number_type": "type", "near_number": "near", "company_name": "customer_name"}


def add_routes(app: Flask, parts: Callable[[], WebParts]) -> None:
    guesses = Guesses()
    for route in ROUTES:

        def answered(route: Route = route, **args: str) -> Response:
            return WholeResponse(answer_to(parts(), guesses, route, args))

        app.add_url_rule(route.path, route.name, answered, methods=[route.method])


def answer_to(parts: WebParts, guesses: Guesses, route: Route, args: dict[str, str]) -> Answer:
    """One request: who it is, whether they may, what they say, and what comes of it."""
    if parts.api is None:
        return errors.error_answer("api_off")
    caller = admit(parts, guesses, parts.api.tokens, parts.api.is_live, request.environ)
    if isinstance(caller, Answer):
        return caller
    if not caller.may(route.role):
        return errors.error_answer("role_insufficient", f"This needs a token of the role {route.role}.")
    try:
        query = read_query(route, request.args)
        body = read_body(route, request.environ)
    except Unreadable as refused:
        return refused.answer
    headers = view.WsgiHeaders(request.environ)
    # Anybody may write any host into a request, so that in live mode only the setting counts.
    public_url = parts.public_url or (None if parts.api.is_live else request.host_url)
    call = Call(parts.api, caller.name, args, query, body, headers, public_url)
    answer = carried_out(route, call)
    note(parts, caller, route, answer)
    return answer


def carried_out(route: Route, call: Call) -> Answer:
    try:
        return route.view(call)
    except OptionsInvalid as error:
        return invalid(str(error), FIELDS.get(error.key, error.key))
    except OperatorError as error:
        return of_operator(error)
    except ProviderError as error:
        return of_provider(error)
    except Stopping:
        # Nothing was sent that is not written down; whoever comes next goes on with it.
        return errors.overloaded(RETRY_SECONDS)


def note(parts: WebParts, caller: Caller, route: Route, answer: Answer) -> None:
    """One line for what changes something; a number or a key in the path is the story's business."""
    level = logging.DEBUG if route.method == "GET" else logging.INFO
    log_event(
        parts.log, "api.answered", level, actor=caller.name, route=route.name, status=answer.status, code=answer.code
    )
