"""For those who patch `requests` themselves: a response with a status and data, and a session that answers by address.

    session = MockRequestsSession()
    session.on("POST", r"/phone-number$", MockHTTPResponse(201, {"id": "…"}))
    monkeypatch.setattr(requests, "Session", lambda: session)

Answers of one address are given in turn, the last one again and again. What was asked is in `calls`.
"""

from __future__ import annotations

import json as json_module
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests


class MockHTTPResponse:
    """What of `requests.Response` clients use. data: JSON, text, bytes, or None for an empty body."""

    def __init__(self, status_code: int = 200, data: Any = None, headers: Mapping[str, str] | None = None) -> None:
        self.status_code = status_code
        self.headers = dict(headers or {})
        self.url = ""
        self.reason = ""
        if data is None:
            self.content = b""
        elif isinstance(data, bytes):
            self.content = data
        else:
            self.content = (data if isinstance(data, str) else json_module.dumps(data)).encode()

    @property
    def ok(self) -> bool:
        return self.status_code < 400

    @property
    def text(self) -> str:
        return self.content.decode()

    def json(self, **_: Any) -> Any:
        """Raises `requests.JSONDecodeError` where the body is none."""
        try:
            return json_module.loads(self.content)
        except ValueError as error:
            raise requests.JSONDecodeError(str(error), self.text, 0) from error

    def raise_for_status(self) -> None:
        if not self.ok:
            raise requests.HTTPError(f"{self.status_code} for {self.url}", response=self)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Call:
    """One request: what was asked, and everything that came with it (`params`, `data`, `json`, `headers`, …)."""

    method: str
    url: str
    given: Mapping[str, Any]


@dataclass(slots=True)
class _Rule:
    method: str
    pattern: re.Pattern[str]
    answers: list[MockHTTPResponse | Exception] = field(default_factory=list)


class MockRequestsSession:
    """What of `requests.Session` clients use: GET, POST, PATCH, DELETE. Nothing leaves this process."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.headers: dict[str, str] = {}
        self.auth: Any = None
        self._rules: list[_Rule] = []

    def on(self, method: str, pattern: str, *answers: MockHTTPResponse | Exception) -> MockRequestsSession:
        """Answer `method` at addresses in which `pattern` is found. An exception is raised instead of answered."""
        if not answers:
            raise ValueError("Say what to answer.")
        self._rules.append(_Rule(method.upper(), re.compile(pattern), list(answers)))
        return self

    def request(self, method: str, url: str, **given: Any) -> MockHTTPResponse:
        """Raises `requests.ConnectionError` for an address that nothing was said of."""
        self.calls.append(Call(method.upper(), url, given))
        for rule in self._rules:
            if rule.method == method.upper() and rule.pattern.search(url):
                told = rule.answers.pop(0) if len(rule.answers) > 1 else rule.answers[0]
                if isinstance(told, Exception):
                    raise told
                told.url = url
                return told
        raise requests.ConnectionError(f"No answer was prepared for {method.upper()} {url}.")

    def get(self, url: str, **given: Any) -> MockHTTPResponse:
        return self.request("GET", url, **given)

    def post(self, url: str, **given: Any) -> MockHTTPResponse:
        return self.request("POST", url, **given)

    def patch(self, url: str, **given: Any) -> MockHTTPResponse:
        return self.request("PATCH", url, **given)

    def delete(self, url: str, **given: Any) -> MockHTTPResponse:
        return self.request("DELETE", url, **given)

    def mount(self, prefix: str, adapter: Any) -> None:
        """Nothing is sent, so no transport is needed."""

    def close(self) -> None:
        """Nothing is held."""

    def __enter__(self) -> MockRequestsSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
