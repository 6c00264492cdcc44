"""Who may use the API: `name:role:sha256-hex`, comma separated. Tokens themselves are with their owners only."""

from __future__ import annotations

import re

from gateway.settings.text import Reader, Secret, one_of
from gateway.settings.types import ROLES, ApiToken

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
DIGEST = re.compile(r"[0-9a-fA-F]{64}")
EXPECTED = "expected name:role:sha256-hex, as `token NAME` prints it"


def read_api_tokens(reader: Reader) -> tuple[ApiToken, ...]:
    """All of them; every fault is noted, none of them repeats a digest."""
    found: list[ApiToken] = []
    for position, entry in enumerate(reader.secrets("API_TOKENS"), 1):
        name, role, digest = [*entry.split(":"), "", ""][:3]
        if entry.count(":") != 2 or not NAME.fullmatch(name) or not DIGEST.fullmatch(digest):
            reader.fault("API_TOKENS", f"has an entry that cannot be read (the {position}. one): {EXPECTED}.")
        elif role not in ROLES:
            reader.fault("API_TOKENS", f"gives {name} no role that there is: expected {one_of(ROLES)}.")
        elif any(name == other.name for other in found):
            reader.fault("API_TOKENS", f"names {name} twice: expected one token a name.")
        else:
            found.append(ApiToken(name, role, Secret(digest.lower())))
    return tuple(found)
