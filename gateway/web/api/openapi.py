"""The description of the API in OpenAPI 3.1, made from the table of routes and from the types of its bodies."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from gateway.web.api import schema
from gateway.web.api.routes import Route
from gateway.web.errors import ERRORS

REF = "#/components/schemas/{name}"
ARGUMENT = re.compile(r"<(\w+)>")
VERSION = "1"


def document(routes: Iterable[Route]) -> dict[str, Any]:
    routes = tuple(routes)
    types = {schema.Error}
    for route in routes:
        types.update(each for each in (route.query, route.body, *route.answers.values()) if is_struct(each))
    _, schemas = msgspec.json.schema_components(sorted(types, key=lambda each: each.__name__), ref_template=REF)
    # Queries are spelt out as parameters.
    for route in routes:
        schemas = {name: each for name, each in schemas.items() if name != route.query.__name__}
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(ARGUMENT.sub(r"{\1}", route.path), {})[route.method.lower()] = operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Ringfence", "version": VERSION},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": schemas,
        },
    }


def is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Struct)


def operation(route: Route) -> dict[str, Any]:
    described: dict[str, Any] = {
        "summary": route.summary,
        "description": f"Needs the role {route.role}.",
        "operationId": re.sub(r"\W+", "_", f"{route.method.lower()}{route.path}").strip("_"),
        "parameters": parameters(route),
        "responses": responses(route),
    }
    if route.body is not None:
        described["requestBody"] = {
            "required": not route.is_body_optional,
            "content": {"application/json": {"schema": {"$ref": REF.format(name=route.body.__name__)}}},
        }
    return described


def parameters(route: Route) -> list[dict[str, Any]]:
    path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in ARGUMENT.findall(route.path)
    ]
    of_query = msgspec.json.schema_components([route.query], ref_template=REF)[1][route.query.__name__]
    query = [
        {"name": name, "in": "query", "required": name in of_query.get("required", ()), "schema": kind}
        for name, kind in of_query["properties"].items()
    ]
    headers = [
        {"name": name, "in": "header", "required": False, "description": text, "schema": {"type": "string"}}
        for name, text in route.headers.items()
    ]
    return [*path, *query, *headers]


def responses(route: Route) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status, kind in route.answers.items():
        body = {"$ref": REF.format(name=kind.__name__)} if is_struct(kind) else {"type": "object"}
        found[str(status)] = {"description": "Done." if status < 202 else "Not decided yet.", **in_json(body)}
    for status in sorted({ERRORS[code][0] for code in route.all_errors}):
        codes = sorted(code for code in route.all_errors if ERRORS[code][0] == status)
        found[str(status)] = {"description": ", ".join(codes), **in_json({"$ref": REF.format(name="Error")})}
    return found


def in_json(body: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": body}}}
