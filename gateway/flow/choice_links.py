"""Signed links to the choice page: who has one may choose for that tenant, until it ends.

The newest SECRET_KEY signs, every one verifies. A link names a tenant and its generation, so that one of an earlier
order opens nothing. itsdangerous (Flask's own) signs with HMAC-SHA-256.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from itsdangerous import BadData, URLSafeSerializer

SALT = "ringfence.choose"
LONGEST = 400
HOUR_MS = 3_600_000
DEFAULT_HOURS = 72.0


@dataclass(frozen=True, slots=True)
class Link:
    tenant_key: str
    generation: int
    expires_at_ms: int


class LinkExpired(Exception):
    """The link is ours, and its time is over."""


def make_link(
    secret_keys: Sequence[str], public_url: str, tenant_key: str, generation: int, expires_at_ms: int
) -> str:
    """The whole address. secret_keys: newest first, at least one.   public_url: what outsiders call us."""
    token = signer(secret_keys).dumps([tenant_key, generation, expires_at_ms // 1000])
    return f"{public_url.rstrip('/')}/choose/{token.decode() if isinstance(token, bytes) else token}"


def read_link(secret_keys: Sequence[str], token: str, now_ms: int) -> Link | None:
    """What a link says; None when it is not ours. Raises LinkExpired."""
    if not secret_keys or len(token) > LONGEST:
        return None
    try:
        said: Any = signer(secret_keys).loads(token)
        tenant_key, generation, expires_at_s = said
    except (BadData, ValueError, TypeError):
        return None
    if now_ms >= expires_at_s * 1000:
        raise LinkExpired
    return Link(tenant_key, generation, expires_at_s * 1000)


def signer(secret_keys: Sequence[str]) -> URLSafeSerializer:
    # It wants the oldest first.
    oldest_first = [str(key) for key in reversed(secret_keys)]
    return URLSafeSerializer(
        oldest_first, salt=SALT, signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256}
    )
