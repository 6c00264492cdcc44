"""What signed webhooks have in common: HMAC over the raw bytes, compared in constant time, and a time window."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence

from gateway.errors import SignatureInvalid

TOLERANCE_SECONDS = 300
# No sender we know comes near either; what is longer is an attempt to keep us busy.
MAX_HEADER_CHARACTERS = 4096
MAX_CANDIDATES = 32


def missing(header: str) -> SignatureInvalid:
    return SignatureInvalid("signature_missing", f"The request bears no signature: the header {header} is not there.")


def malformed(header: str, skew_ms: int | None = None) -> SignatureInvalid:
    return SignatureInvalid("signature_invalid", f"The header {header} is not in this source's form.", skew_ms)


def unix_seconds(text: str) -> int | None:
    """Plain ASCII digits as whole seconds; None for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else None


def keyed(key: bytes) -> hmac.HMAC:
    """An HMAC-SHA256 that knows its key and nothing else.

    A copy of it is ready sooner than a new one, and does not give up the GIL over a body of ordinary size.
    """
    return hmac.new(key, digestmod="sha256")


def check(
    keys: Sequence[hmac.HMAC],
    signed: bytes,
    candidates: Sequence[str],
    encode: Callable[[bytes], bytes],
    sent_at_seconds: int,
    now_ms: int,
) -> None:
    """Raise SignatureInvalid unless one candidate is the HMAC-SHA256 of `signed` by one of the keys, and is recent.

    Every candidate is compared with every key, so that the time it takes says nothing about which one was near.
    """
    skew_ms = sent_at_seconds * 1000 - now_ms
    given = [candidate.encode("latin-1", "replace") for candidate in candidates]
    is_genuine = False
    for key in keys:
        mac = key.copy()
        mac.update(signed)
        expected = encode(mac.digest())
        for candidate in given:
            is_genuine |= hmac.compare_digest(expected, candidate)
    if not is_genuine:
        raise SignatureInvalid(
            "signature_invalid",
            "The signature does not match the body and any secret of this source. "
            "Compare the secret here with the sender's; a proxy that changes bodies breaks it, too.",
            skew_ms,
        )
    if abs(skew_ms) > TOLERANCE_SECONDS * 1000:
        raise SignatureInvalid(
            "timestamp_out_of_tolerance",
            f"The signature is genuine, but its time is more than {TOLERANCE_SECONDS} s away from ours.",
            skew_ms,
        )
