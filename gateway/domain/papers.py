"""What a kind of number wants to be shown before it is bought, and whether what there is will do. Pure.

An address is where the customer is; a bundle is what a regulator was shown and approved. Neither is ever made up.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence

from gateway.domain.model import Options

# Numbers that are sold without papers (Twilio docs, "Phone Numbers"; changelogs of 2019-09 and 2020-02).
WITHOUT_PAPERS = ("US", "CA")
NO_ADDRESS = "none"
# How much each kind of requirement asks, the least first (Twilio OpenAPI twilio_api_v2010.json, 2026-04-14).
DEMANDS = (NO_ADDRESS, "any", "local", "foreign")
LINES = ("company_name", "street", "city", "region", "postal_code")
ADDRESS_TAG_PREFIX = "rfa:"


def address_tag(lines: Sequence[str], country: str) -> str:
    """The name of an address at the provider: `rfa:` and 16 hex digits over what it says, however it is spaced.

    lines: as in LINES. The same for everybody who gives the same address, so that it is registered once; nothing of
    the address can be read from it.
    """
    said = "\x1f".join(normal(text) for text in (*lines, country))
    return f"{ADDRESS_TAG_PREFIX}{hashlib.sha256(said.encode()).hexdigest()[:16]}"


def normal(text: str) -> str:
    """One spelling for what differs only in case, spaces or how letters are composed."""
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text)).strip().casefold()


def missing_lines(address: Mapping[str, str]) -> list[str]:
    """Which lines of an address were not given."""
    return [name for name in LINES if not address.get(name, "").strip()]


def satisfies(requirement: str, address_country: str, number_country: str) -> bool:
    """Whether an address in one country will do for a number of another. An unknown requirement wants it at home."""
    if requirement in (NO_ADDRESS, "any"):
        return True
    if requirement == "foreign":
        return address_country != number_country
    return address_country == number_country


def demand(requirement: str) -> int:
    """The more an address requirement asks, the greater."""
    return DEMANDS.index(requirement) if requirement in DEMANDS else len(DEMANDS)


def where(requirement: str, country: str) -> str:
    """Where the address must be, for people."""
    return {"any": "anywhere", "foreign": f"outside {country}"}.get(requirement, f"in {country}")


def sold_without_papers(wish: Options, default_country: str) -> bool:
    """Whether the wished-for kind is one of those that nobody has to show anything for."""
    return (wish.country or default_country) in WITHOUT_PAPERS


def bundle_fault(
    *,
    status: str,
    is_approved: bool,
    kind: tuple[str, str],
    wanted_kind: tuple[str, str],
    valid_until_ms: int | None,
    now_ms: int,
) -> str | None:
    """Why this bundle does not buy this kind of number, as the end of a sentence; None when it does.

    kind: (country, number type) it was made for; empty where nobody says.
    """
    if kind[0] and kind != wanted_kind:
        return f"is for {kind[0]} {kind[1]} numbers, and this one is {wanted_kind[0]} {wanted_kind[1]}"
    if valid_until_ms is not None and valid_until_ms <= now_ms:
        return "is no longer valid: its approval has run out"
    if is_approved:
        return None
    return STATUS_WORDS.get(status, f"is not approved: Twilio calls it {status[:40]!r}")


STATUS_WORDS = {
    "draft": "is a draft that nobody has handed in yet",
    "pending-review": "waits to be looked at",
    "in-review": "is being looked at",
    "twilio-rejected": "was rejected",
    "provisionally-approved": "is approved provisionally only, which buys nothing yet",
}
