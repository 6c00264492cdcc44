"""Standard Webhooks (specification 1.0.0, read 2026): how a system of your own says what its subscriptions do.

What its bodies must look like is ours to say: docs/webhooks.md.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from gateway.domain.model import Delivery, Event, News
from gateway.errors import BodyUnreadable, SettingsError
from gateway.integrations import payload, signing

PREFIX = "whsec_"
SUBSCRIPTION_TYPES = "subscription."
STATUSES = frozenset({"trialing", "active", "past_due", "unpaid", "paused", "canceled"})


class StandardSource:
    """secrets: base64, with or without `whsec_`; more than one while they are rolled."""

    def __init__(self, secrets: Sequence[str], name: str = "standard") -> None:
        self.name = name
        self._keys = [signing.keyed(_key(secret)) for secret in secrets]
        if not self._keys:
            raise SettingsError(["STANDARD_WEBHOOKS_SECRET is empty, and an empty secret verifies anybody."])

    def verify(self, delivery: Delivery, now_ms: int) -> None:
        """Every `v1` of webhook-signature over `id.timestamp.body`; other versions are passed over."""
        headers = delivery.headers
        for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
            if not headers.get(name):
                raise signing.missing(name)
        message_id, sent_at, signatures = (
            headers["webhook-id"],
            headers["webhook-timestamp"],
            headers["webhook-signature"],
        )
        seconds = signing.unix_seconds(sent_at)
        if seconds is None:
            raise signing.malformed("webhook-timestamp")
        if len(signatures) > signing.MAX_HEADER_CHARACTERS or not message_id.isascii():
            raise signing.malformed("webhook-signature")
        candidates = [item[3:] for item in signatures.split(" ") if item.startswith("v1,")]
        if not candidates or len(candidates) > signing.MAX_CANDIDATES:
            raise signing.malformed("webhook-signature", seconds * 1000 - now_ms)
        signed = b"%s.%s.%s" % (message_id.encode("ascii"), sent_at.encode("ascii"), delivery.body)
        signing.check(self._keys, signed, candidates, base64.b64encode, seconds, now_ms)

    def read(self, delivery: Delivery) -> tuple[Event, ...]:
        body = payload.read_object(delivery.body)
        kind = payload.event_type(body.get("type"))
        data = payload.required_object(body.get("data"), "data")
        timestamp = body.get("timestamp")
        return (
            Event(
                source=self.name,
                event_id=payload.event_id(delivery.headers.get("webhook-id")),
                type=kind,
                occurred_at_ms=payload.moment(timestamp, "timestamp"),
                says_hash=payload.says_hash(kind, timestamp, data),
                body=delivery.body,
                headers=payload.kept_headers(delivery.headers),
            ),
        )

    def interpret(self, event: Event) -> News | None:
        """None for types other than `subscription.` and a status we know.

        Raises BodyUnreadable when type and `data.status` contradict each other.
        """
        status = event.type.removeprefix(SUBSCRIPTION_TYPES)
        if status == event.type or status not in STATUSES:
            return None
        data = payload.object_at(payload.read_object(event.body), "data")
        if data.get("status") not in (None, status):
            raise BodyUnreadable("body_unreadable", f"`type` says {status} and `data.status` says something else.")
        metadata = payload.object_at(data, "metadata")
        tenant_key = payload.text_of(metadata.get(payload.TENANT_KEY))
        issued_id = payload.text_of(data.get("id"))
        return News(
            source=event.source,
            event_id=event.event_id,
            type=event.type,
            occurred_at_ms=event.occurred_at_ms,
            subscription_id=issued_id or tenant_key,
            subscription_issued=issued_id is not None,
            customer_id=payload.text_of(data.get("customer_id")),
            tenant_key=tenant_key,
            status=status,
            options=payload.signup_options(metadata),
        )


def _key(secret: str) -> bytes:
    try:
        text = secret.strip().removeprefix(PREFIX)
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise SettingsError(["STANDARD_WEBHOOKS_SECRET is no such secret: expected whsec_ and base64 of its bytes."])
    return key
