"""NUMBER_FALLBACK and PRICE_CEILING: where else to look for a number, and what it may cost."""

from __future__ import annotations

import re

from gateway.settings.compliance import NUMBER_TYPES
from gateway.settings.text import Reader, one_of, quoted

FALLBACKS = ("region", "any")
CEILING = re.compile(r"(?P<kind>[a-z_]+)\s*=\s*(?P<amount>[0-9]{1,9}(\.[0-9]{1,4})?)\s+(?P<currency>[A-Za-z]{3})")


def read_fallback(reader: Reader) -> tuple[str, ...]:
    """`region,any`: in this order; nothing: only what was asked for."""
    name = "NUMBER_FALLBACK"
    words = [word.strip().lower() for word in reader.text(name).split(",")] if reader.is_set(name) else []
    if any(word not in FALLBACKS for word in words) or len(set(words)) != len(words) or words[:-1].count("any"):
        reader.fault(
            name,
            f"is {quoted(reader.text(name))}: expected {one_of(FALLBACKS)}, or region,any. Nothing comes after any.",
        )
        return ()
    return tuple(words)


def read_ceilings(reader: Reader) -> dict[str, tuple[str, str]]:
    """`local=2.00 USD,toll_free=3.00 USD`: (amount, currency) by number type."""
    name = "PRICE_CEILING"
    found: dict[str, tuple[str, str]] = {}
    for part in reader.text(name).split(",") if reader.is_set(name) else ():
        match = CEILING.fullmatch(part.strip())
        if match is None or match["kind"] not in NUMBER_TYPES or match["kind"] in found:
            reader.fault(
                name,
                f"has {quoted(part.strip())}: expected such as local=2.00 USD, with commas between, each of "
                f"{one_of(NUMBER_TYPES)} once.",
            )
            continue
        found[match["kind"]] = (match["amount"], match["currency"].upper())
    return found
