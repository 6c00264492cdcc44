"""One answer for the `responses` library, and what to do where that is not installed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from gateway.errors import GatewayError

if TYPE_CHECKING:
    import responses


class KitIncomplete(GatewayError):
    """A package that this part of the test kit stands on is not installed."""


def answer(method: str, url: str, body: Any, status: int) -> responses.Response:
    """url: a pattern that the whole address begins with, without its query; body: JSON, or None for an empty one."""
    try:
        import responses
    except ImportError as error:
        raise KitIncomplete(
            "These answers plug into the package `responses`, which is not installed: pip install responses"
        ) from error
    pattern = re.compile(url + r"(\?.*)?\Z")
    if body is None:
        return responses.Response(method, pattern, body=b"", status=status)
    return responses.Response(method, pattern, json=body, status=status)
