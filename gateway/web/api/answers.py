"""Answers in JSON, and what the errors of the core are over HTTP."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.errors import OperatorError, OptionsInvalid, ProviderError, Refused, TryLater, Unclear, WrongUse
from gateway.web import errors
from gateway.web.errors import Answer, Headers

RETRY_SECONDS = 5
MOST_RETRY_SECONDS = 3600


def answer(body: Any, status: int = 200, headers: Headers = ()) -> Answer:
    return Answer(status, msgspec.json.encode(body), headers)


def invalid(message: str, field: str | None = None) -> Answer:
    return errors.error_answer("invalid", message, field=field)


def of_operator(error: OperatorError) -> Answer:
    """What somebody asked for makes no sense (422), or cannot be done as things stand (409)."""
    if isinstance(error, WrongUse):
        cause = error.__cause__
        return invalid(str(error), cause.key if isinstance(cause, OptionsInvalid) else None)
    return errors.error_answer("conflict", str(error))


def of_provider(error: ProviderError) -> Answer:
    """A provider's failure outside of a purchase: nothing was bought."""
    if isinstance(error, Refused) and error.kind == "address_invalid":
        return invalid(str(error), "street")
    if isinstance(error, Refused):
        return errors.error_answer("provider_refused", str(error))
    seconds = error.retry_after_seconds if isinstance(error, TryLater) else None
    wait = min(MOST_RETRY_SECONDS, max(1, round(seconds))) if seconds is not None else RETRY_SECONDS
    message = f"{error} What was sent may have been carried out." if isinstance(error, Unclear) else str(error)
    return errors.error_answer("provider_unavailable", message, errors.retry_after(wait))
