"""A route of the API: who may use it, what it takes and gives. All that is said of it in one place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from gateway.flow.at_once import Patience
from gateway.flow.operate import Operator
from gateway.steps.context import StepParts
from gateway.web.api.schema import NoQuery
from gateway.web.errors import Answer
from gateway.web.parts import ApiParts

# How long a request waits for a clear answer; after that it is told where to look.
WAIT_SECONDS = 20.0
ALWAYS = ("token_missing", "token_invalid", "role_insufficient", "api_off", "too_many_attempts", "invalid")
ALWAYS_TOO = ("bad_request", "internal_error", "storage_unavailable", "overloaded")


@dataclass(frozen=True, slots=True)
class Call:
    """One request that was let in. args: from its path.   query, body: as the route says, already read.

    public_url: what outsiders call us, None where nobody said and it must not be guessed.
    """

    api: ApiParts
    actor: str
    args: Mapping[str, str]
    query: Any
    body: Any
    headers: Mapping[str, str]
    public_url: str | None

    @property
    def steps(self) -> StepParts:
        return self.api.steps

    def operator(self, reason: str | None) -> Operator:
        return Operator(self.actor, reason or "by the API")

    def patience(self) -> Patience:
        return Patience(round(WAIT_SECONDS * 1000), self.api.pause)


@dataclass(frozen=True, slots=True)
class Route:
    """answers: by status, besides errors.   errors: codes beside those that any route has.   path: as Flask has it."""

    method: str
    path: str
    role: str
    summary: str
    view: Callable[[Call], Answer]
    answers: Mapping[int, Any]
    query: type[Struct] = NoQuery
    body: type[Struct] | None = None
    is_body_optional: bool = False
    errors: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def all_errors(self) -> tuple[str, ...]:
        of_body = () if self.body is None else ("body_incomplete", "body_too_large", "content_type_unsupported")
        return (*ALWAYS, *ALWAYS_TOO, *of_body, *self.errors)
