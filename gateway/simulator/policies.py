"""What the vendors do not document, as choices: each can be tried both ways."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

POLICIES: dict[str, Any] = {
    "buy_owned": "refuse",
    "import_twice": "refuse",
    "delete_clears_voice_url": False,
    "latency_ms": 0,
    "national_among_local": False,
}
_CHOICES: dict[str, Container[Any]] = {
    "buy_owned": ("refuse", "update"),
    "import_twice": ("refuse", "conflict", "other_org", "allow"),
    "delete_clears_voice_url": (True, False),
    "latency_ms": range(60_001),
    "national_among_local": (True, False),
}


def check_policies(given: Mapping[str, Any]) -> None:
    """Raises ValueError for a policy or value that does not exist."""
    for name, value in given.items():
        if name not in _CHOICES or value not in _CHOICES[name]:
            raise ValueError(f"{name} must be in {_CHOICES.get(name, tuple(_CHOICES))}")
