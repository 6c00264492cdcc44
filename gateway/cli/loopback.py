"""Talking to what runs on this machine: the gateway, and the pretend world's control calls."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import click

from gateway.settings import Settings

ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104


class Unreachable(click.ClickException):
    """Nobody answers there; a command that needs it ends with status 1."""


def gateway_url(settings: Settings) -> str:
    """Where the gateway of these settings listens, as seen from this machine."""
    host = settings.web.host
    return f"http://{ANY_ADDRESS.get(host, f'[{host}]' if ':' in host else host)}:{settings.web.port}"


def request(
    method: str,
    url: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_seconds: float = 10.0,
) -> tuple[int, Any]:
    """(status, decoded JSON or None). Raises Unreachable."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=timeout_seconds)
    try:
        connection.request(method, parts.path or "/", body, dict(headers or {}))
        answer = connection.getresponse()
        text = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(f"Nobody answers at {parts.scheme}://{parts.netloc}.") from error
    finally:
        connection.close()
    try:
        return answer.status, json.loads(text)
    except ValueError:
        return answer.status, None


def ask_world(url: str, path: str, given: Mapping[str, Any] | None = None) -> Any:
    """A control call of the pretend world; POST when something is given. Raises ClickException with its complaint."""
    body = None if given is None else json.dumps(given).encode()
    headers = {} if body is None else {"Content-Type": "application/json"}
    status, answer = request("GET" if body is None else "POST", f"{url}/_world{path}", body, headers)
    if status >= 400:
        said = answer.get("error") if isinstance(answer, dict) else None
        raise click.ClickException(f"The pretend world refused: {said or status}")
    return answer


def deliver(url: str, delivery: Mapping[str, Any]) -> tuple[int, Any]:
    """Send a signed event as the billing system would; gives the gateway's answer."""
    return request("POST", url, delivery["body"].encode(), delivery["headers"])
