"""From a delivery to its answer: what the front and the Flask view share.

Neither decides anything: they bring the bytes and carry the answer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import lru_cache

import msgspec

from gateway.domain.model import Delivery
from gateway.errors import RequestRefused, SignatureInvalid, StorageUnavailable
from gateway.flow.receive import OVERLOADED_RETRY_SECONDS, Done, read_verified
from gateway.logs import log_event
from gateway.store.inbox import Incoming, Receipt
from gateway.store.rejections import Rejection
from gateway.web import errors
from gateway.web.errors import Answer
from gateway.web.parts import WebParts
from gateway.web.proxies import client_of

Submit = Callable[[Incoming, Done], None]

MAX_BODY_BYTES = 1024 * 1024
PREFIX = "/webhooks/"


def admit(parts: WebParts, source: str, headers: Mapping[str, str]) -> Answer | None:
    """Refuse before the body is read what can be refused by then; None lets it in."""
    if source not in parts.sources:
        return errors.error_answer("source_unknown")
    if not is_plain_json(headers):
        return errors.error_answer("content_type_unsupported")
    if parts.intake.is_full:
        return errors.overloaded(OVERLOADED_RETRY_SECONDS)
    return None


def take(
    parts: WebParts, delivery: Delivery, done: Callable[[Answer], None], submit: Submit | None = None
) -> Answer | None:
    """Verify a delivery and have it stored: gives its answer at once, or None and calls `done` with it later.

    submit: how it gets to the intake; None, at once.
    `done` is called in another thread, once the event is on disk or could not be stored.
    delivery.source: the name of a source that `admit` let in.   Safe to repeat: an event is stored once.
    """
    try:
        incoming = read_verified(parts.sources[delivery.source], delivery, delivery.received_at_ms)
        (submit or parts.intake.submit)(incoming, lambda result: done(_answer(parts, delivery.source, result)))
    except RequestRefused as error:
        return _refuse(parts, delivery, error)
    except StorageUnavailable as error:
        return errors.overloaded(error.retry_after_seconds)
    return None


def is_plain_json(headers: Mapping[str, str]) -> bool:
    """Whether the body says that it is JSON as it stands: nothing here ever unpacks one."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
    return is_json and headers.get("content-encoding", "identity").strip().lower() in ("", "identity")


def _refuse(parts: WebParts, delivery: Delivery, error: RequestRefused) -> Answer:
    answer = errors.refusal(error)
    skew_ms = error.skew_ms if isinstance(error, SignatureInvalid) else None
    size = len(delivery.body)
    rejection = Rejection(delivery.received_at_ms, error.code, skew_ms, size)
    client = client_of(delivery.peer, delivery.headers.get("x-forwarded-for"), parts.trusted_proxies)
    parts.rejections.note(delivery.source, rejection, client)
    # Anybody can cause this line, as often as they like: it is for those who look for one request.
    if parts.log.isEnabledFor(logging.DEBUG):
        log_event(
            parts.log,
            "webhook.refused",
            logging.DEBUG,
            source=delivery.source,
            client=client,
            code=error.code,
            skew_ms=skew_ms,
            body_bytes=size,
            request_id=answer.request_id,
        )
    return answer


def _answer(parts: WebParts, source: str, result: Receipt | Exception) -> Answer:
    if isinstance(result, Receipt):
        if result.conflicts:
            log_event(parts.log, "webhook.conflict", logging.WARNING, source=source, events=result.conflicts)
        return stored(result)
    is_expected = isinstance(result, StorageUnavailable)
    answer = errors.not_stored(result if isinstance(result, StorageUnavailable) else None)
    parts.log.error(
        "webhook.not_stored",
        extra={"fields": {"source": source, "reason": str(result), "request_id": answer.request_id}},
        exc_info=None if is_expected else result,
    )
    return answer


@lru_cache(maxsize=256)
def stored(receipt: Receipt) -> Answer:
    """200: it is on disk, now or before. An event that contradicts a stored one is no news to its sender either."""
    events = receipt.accepted + receipt.duplicates + receipt.conflicts
    status = "accepted" if receipt.accepted or not events else "duplicate"
    return Answer(200, msgspec.json.encode({"status": status, "events": events}))
