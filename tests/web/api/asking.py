"""Asks the API of a sandbox's gateway, and holds every answer against the API's own description."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from dataclasses import replace
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from gateway.flow.receive import Rejections
from gateway.web import Readiness, WebParts
from gateway.web.api import openapi
from gateway.web.api.table import ROUTES
from gateway.web.parts import ApiParts
from tests.stories.sandbox import Sandbox
from tests.web.entries import FlaskEntry, FrontEntry, Reply, request

SECRETS = {role: f"rf_{role}-secret-0123456789" for role in ("viewer", "operator", "admin")}
TOKENS = ",".join(f"{role}-ci:{role}:{hashlib.sha256(text.encode()).hexdigest()}" for role, text in SECRETS.items())
DOCUMENT = openapi.document(ROUTES)
PATTERNS = {
    path: re.compile("/".join("[^/]+" if part.startswith("{") else re.escape(part) for part in path.split("/")))
    for path in DOCUMENT["paths"]
}


def parts_of(sandbox: Sandbox) -> WebParts:
    def pause(seconds: float) -> None:
        sandbox.clock.at_ms += int(seconds * 1000)

    gateway = sandbox.gateway
    api = ApiParts(gateway.steps, gateway.settings.web.api_tokens, gateway.settings.is_live, pause)
    return WebParts(
        sources=gateway.sources,
        intake=gateway.intake,
        rejections=Rejections(gateway.database, schedule=lambda seconds, call: None),
        readiness=Readiness,
        clock=sandbox.clock,
        log=logging.getLogger("gateway.web"),
        api=api,
    )


class Api:
    """entry: `flask` or `front`.   changes: of ApiParts."""

    def __init__(self, sandbox: Sandbox, entry: str = "flask", **changes: Any) -> None:
        parts = parts_of(sandbox)
        assert parts.api is not None
        parts = replace(parts, api=replace(parts.api, **changes))
        self.entry = FrontEntry(parts) if entry == "front" else FlaskEntry(parts)

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        role: str | None = "admin",
        headers: dict[str, str] | None = None,
        query: str = "",
    ) -> Reply:
        """body: JSON, or bytes as they are.   role: whose token is shown; None shows none."""
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        sent = {"content-type": "application/json"} if raw else {}
        if role is not None:
            sent["authorization"] = f"Bearer {SECRETS[role]}"
        full = path if path.startswith("/api") else f"/api/v1{path}"
        reply = self.entry.send(request(full, raw, {**sent, **(headers or {})}, method, query.encode()))
        check(method, full, reply)
        for secret in SECRETS.values():
            assert secret.encode() not in reply.body
        return reply


def check(method: str, path: str, reply: Reply) -> None:
    """The answer is one that the description has, for a route that it has."""
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-content-type-options"] == "nosniff"
    # A literal path comes before one with arguments.
    templates = sorted((name for name, pattern in PATTERNS.items() if pattern.fullmatch(path)), key=lambda n: "{" in n)
    if not templates or method.lower() not in DOCUMENT["paths"][templates[0]]:
        return
    answers = DOCUMENT["paths"][templates[0]][method.lower()]["responses"]
    assert str(reply.status) in answers, (
        f"{method} {path} answered {reply.status}, which is not described: {reply.body!r}"
    )
    described = answers[str(reply.status)]
    schema = {**described["content"]["application/json"]["schema"], "components": DOCUMENT["components"]}
    Draft202012Validator(schema).validate(reply.json)
    if reply.status >= 400:
        assert reply.code in described["description"].split(", ")
