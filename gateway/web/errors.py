"""Every error this gateway answers with over HTTP: its code, its status, and one sentence for people.

Answers say nothing of how this gateway is built or where it runs.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from gateway.errors import RequestRefused, StorageUnavailable

# Listed in docs/errors.md; a test compares the two.
ERRORS: dict[str, tuple[int, str]] = {
    "bad_request": (400, "The request cannot be understood."),
    "body_incomplete": (400, "The body ended before its announced length; nothing was stored."),
    "body_unreadable": (400, "The signature is right, but the body is not what this source sends."),
    "signature_missing": (401, "A header that belongs to this source's signature is not there."),
    "signature_invalid": (401, "The signature does not match the body and any secret of this source."),
    "timestamp_out_of_tolerance": (
        401,
        "The signature is right, but it was made more than 300 s before or after our time.",
    ),
    "idempotency_key_missing": (400, "This order needs the header Idempotency-Key: 1 to 200 visible characters."),
    "token_missing": (401, "The header Authorization: Bearer … is not there."),
    "token_invalid": (401, "This is no token that is known here."),
    "role_insufficient": (403, "This token's role may not do that."),
    "api_off": (404, "The API is off: no API_TOKENS are set."),
    "not_found": (404, "There is nothing at this address."),
    "source_unknown": (404, "No source of this name is configured here."),
    "method_not_allowed": (405, "This address does not take this method; the header Allow names those it takes."),
    "body_too_slow": (408, "The body did not arrive within 10 s."),
    "conflict": (409, "This cannot be done as things stand."),
    "body_too_large": (413, "The body is larger than 1 MiB."),
    "content_type_unsupported": (415, "The body must be JSON, sent as application/json, not compressed."),
    "invalid": (422, "Something in the request makes no sense; `field` names it."),
    "too_many_attempts": (429, "Too many wrong tokens came from this address; try again after Retry-After."),
    "internal_error": (500, "Something went wrong here; the log has this request_id."),
    "provider_refused": (502, "The provider refused; nothing happened there."),
    "provider_unavailable": (503, "The provider gave no clear answer; ask again after Retry-After."),
    "storage_unavailable": (503, "The event could not be stored just now; send it again after Retry-After."),
    "overloaded": (503, "More comes in than can be handled at once; send it again after Retry-After."),
}

Headers = tuple[tuple[str, str], ...]

SECURITY_HEADERS: Headers = (
    ("cache-control", "no-store"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `body` is JSON; security headers are added on the way out."""

    status: int
    body: bytes
    headers: Headers = ()
    code: str | None = None
    request_id: str | None = None


def error_answer(code: str, message: str | None = None, headers: Headers = (), field: str | None = None) -> Answer:
    """One of `ERRORS` as an answer, with an id to find it in the log by. field: which one of the request is wrong."""
    status, sentence = ERRORS[code]
    request_id = os.urandom(8).hex()
    fault = {"code": code, "message": message or sentence, "request_id": request_id}
    body = {"error": fault if field is None else {**fault, "field": field}}
    return Answer(status, msgspec.json.encode(body), headers, code, request_id)


def refusal(error: RequestRefused) -> Answer:
    """A 4xx of ours. Its message is ours too, and repeats nothing that was sent."""
    return error_answer(error.code if error.code in ERRORS else "bad_request", error.message)


def not_stored(error: StorageUnavailable | None) -> Answer:
    """503: the sender's own retry brings it back. Why it was not stored is the log's business."""
    return error_answer("storage_unavailable", headers=retry_after(error.retry_after_seconds if error else 5))


def overloaded(retry_after_seconds: int) -> Answer:
    return error_answer("overloaded", headers=retry_after(retry_after_seconds))


def retry_after(seconds: int) -> Headers:
    return (("retry-after", str(seconds)),)


def method_not_allowed(allowed: Sequence[str]) -> Answer:
    return error_answer("method_not_allowed", headers=(("allow", ", ".join(allowed)),))
