"""Query and body of a request, as the route's types want them; everything else is refused, naming the field."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from werkzeug.datastructures import MultiDict

from gateway.web import errors, view
from gateway.web.api.answers import invalid
from gateway.web.api.routes import Route
from gateway.web.errors import Answer
from gateway.web.webhooks import is_plain_json

T = TypeVar("T", bound=Struct)

PLACE = re.compile(r" - at `\$\.?([A-Za-z0-9_.\[\]]*)`$")
UNKNOWN = re.compile(r"unknown field `(.{0,100})`", re.DOTALL)
MISSING = re.compile(r"missing required field `(\w+)`")
CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
SAID = {"type": "number_type", "near": "near_number"}


class Unreadable(Exception):
    """answer: why."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.code)
        self.answer = answer


def read_query(route: Route, query: MultiDict[str, str]) -> Struct:
    """Raises Unreadable."""
    said = dict(query.items())
    for name in said:
        if len(query.getlist(name)) > 1:
            raise Unreadable(invalid("This was said twice.", shown(name)))
    if not all(text.strip() for text in said.values()):
        name = next(name for name, text in said.items() if not text.strip())
        raise Unreadable(invalid("This is empty: leave it out, or give it a value.", shown(name)))
    try:
        return checked(msgspec.convert(said, route.query, strict=False))
    except msgspec.ValidationError as error:
        raise Unreadable(why(error)) from error


def read_body(route: Route, environ: dict[str, Any]) -> Struct | None:
    """Raises Unreadable."""
    if route.body is None:
        return None
    body = view.read_body(environ)
    if isinstance(body, Answer):
        raise Unreadable(body)
    if not body and route.is_body_optional:
        return route.body()
    if not is_plain_json(view.WsgiHeaders(environ)):
        raise Unreadable(errors.error_answer("content_type_unsupported"))
    try:
        return checked(msgspec.json.decode(body, type=route.body))
    except msgspec.ValidationError as error:
        raise Unreadable(why(error)) from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Unreadable(errors.error_answer("bad_request", "The body is not readable JSON.")) from error


def checked(read: T, place: str = "") -> T:
    """Raises Unreadable where a text holds what no database and no header should be given."""
    for name in read.__struct_fields__:
        value = getattr(read, name)
        if isinstance(value, Struct):
            checked(value, f"{place}{name}.")
        elif isinstance(value, str) and CONTROL.search(value):
            raise Unreadable(invalid("This holds a control character.", f"{place}{name}"))
    return read


def why(error: msgspec.ValidationError) -> Answer:
    """What msgspec says, with the field's name; it repeats no values, and an unknown name is cut short."""
    text = str(error)
    found = PLACE.search(text)
    place = found.group(1) if found else ""
    unknown, missing = UNKNOWN.search(text), MISSING.search(text)
    if unknown is not None:
        return invalid("There is no such field here.", ".".join(filter(None, (place, shown(unknown.group(1))))))
    if missing is not None:
        return invalid("This is missing.", ".".join(filter(None, (place, missing.group(1)))))
    return invalid(PLACE.sub("", text)[:200] + ".", place or None)


def shown(name: str) -> str:
    return CONTROL.sub("?", name)[:40]
