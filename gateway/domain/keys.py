"""Which tenant keys are legal, and the tag that marks a tenant's number at every provider."""

from __future__ import annotations

import hashlib
import re

MAX_TAG_CHARACTERS = 40  # Vapi's `name` holds 40, Twilio's FriendlyName 64 (Vapi OpenAPI, 2026-08-20).
TAG_PREFIX = "rf:"
SPARE_PREFIX = "spare:"

TAG = re.compile(r"rf:(?P<env>[^:]+):(?P<digest>[0-9a-f]{16}):(?P<generation>[1-9][0-9]{0,8})")
LEGAL_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def is_legal(tenant_key: str) -> bool:
    """Whether this text may be a tenant's key: 1 to 64 of `A-Z a-z 0-9 . _ -`, first a letter or digit."""
    return LEGAL_KEY.fullmatch(tenant_key) is not None


def spare_key(number: str) -> str:
    """The key under which a number is kept that is no tenant's: never legal, so it can be no signup's."""
    return f"{SPARE_PREFIX}{number}"


def is_spare(tenant_key: str) -> bool:
    """Whether this is a number kept as spare stock."""
    return tenant_key.startswith(SPARE_PREFIX)


def tag(env: str, tenant_key: str, generation: int) -> str:
    """The name a number bears at the providers: `rf:<env>:<16 hex of sha256(key)>:<generation>`, ≤ 40 characters.

    Hashed, so that nothing about a customer reaches a provider. `tenant_key` is the tenant's own key, never an alias.
    Raises ValueError when it would not fit, which takes an env of 16 characters and a thousand generations.
    """
    text = f"{TAG_PREFIX}{env}:{digest(tenant_key)}:{generation}"
    if generation < 1 or len(text) > MAX_TAG_CHARACTERS:
        raise ValueError(f"no tag fits generation {generation} of environment {env}")
    return text


def digest(tenant_key: str) -> str:
    """What of a key is in its tags."""
    return hashlib.sha256(tenant_key.encode()).hexdigest()[:16]


def read_tag(env: str, text: str) -> tuple[str, int] | None:
    """(digest of the key, generation) of a tag of this environment; None for any other name."""
    match = TAG.fullmatch(text)
    return (match["digest"], int(match["generation"])) if match and match["env"] == env else None


def is_tag(text: str) -> bool:
    """Whether this name was given by a gateway, ours or another installation's."""
    return text.startswith(TAG_PREFIX)
