"""Addresses on file, for whoever asks by hand: a command, the API, a script. What a signup's number needs is shown
by its own step (`steps/papers.py`); both write the same rows, so that an address is registered once.
"""

from __future__ import annotations

from gateway.domain.papers import address_tag
from gateway.errors import Refused, TryLater, Unclear
from gateway.ports import PostalAddress, RegisteredAddress
from gateway.steps.context import StepParts, in_flight
from gateway.steps.papers import lines_of, said_by
from gateway.store import addresses as store
from gateway.store.database import Transaction


def addresses(parts: StepParts, country: str | None = None) -> list[RegisteredAddress]:
    """Every address on file at the account, newest first; of one country where that is said."""
    with in_flight(parts, parts.papers.provider) as deadline:
        return parts.papers.list_addresses(deadline(), country=country)


def register_address(parts: StepParts, address: PostalAddress) -> RegisteredAddress:
    """The address on file: found under its tag, or registered now. The same address twice is registered once.

    Safe to repeat, also after a crash. Raises Refused (`address_invalid`: it is not a real address, or spelt in
    another way), TryLater (nothing was registered, or somebody is at it), Unclear (it may have been: ask again).
    """
    tag = address_tag(lines_of(address), address.country)
    found = find(parts, tag)
    if found is not None:
        return keep(parts, tag, found)
    try:
        return keep(parts, tag, register_now(parts, address, tag))
    except Unclear as unclear:
        found = find(parts, tag)
        if found is None:
            raise Unclear(
                f"{unclear} The address may have been registered. Ask again in a while: it is looked for first.",
                provider=unclear.provider,
                operation=unclear.operation,
            ) from unclear
        return keep(parts, tag, found)


def find(parts: StepParts, tag: str) -> RegisteredAddress | None:
    """The oldest address under this tag."""
    with in_flight(parts, parts.papers.provider) as deadline:
        return next(reversed(parts.papers.list_addresses(deadline(), tag=tag)), None)


def keep(parts: StepParts, tag: str, found: RegisteredAddress) -> RegisteredAddress:
    now_ms = parts.clock.now_ms()
    country = found.address.country
    parts.commit(lambda tx: store.put(tx, tag, country, found.sid, said_by(found), now_ms))
    return found


def register_now(parts: StepParts, address: PostalAddress, tag: str) -> RegisteredAddress:
    """One call, with its row committed before it."""
    with in_flight(parts, parts.papers.provider) as make_deadline:
        deadline = make_deadline()
        now_ms = parts.clock.now_ms()
        open_until_ms = deadline.at_ms + parts.rules.settle_ms

        def begin(tx: Transaction) -> bool:
            return store.begin(tx, tag, address.country, open_until_ms, now_ms)

        if not parts.commit(begin):
            raise TryLater(
                "This address is being registered already, or a registration of it has no clear answer yet. "
                "Nothing was sent; ask again in a while.",
                provider=parts.papers.provider,
                operation="register_address",
            )
        try:
            return parts.papers.register_address(address, tag, deadline)
        except (Refused, TryLater) as error:
            why = str(error) if isinstance(error, Refused) and error.kind == "address_invalid" else None
            parts.commit(lambda tx: store.end_without(tx, tag, refused=why, now_ms=now_ms))
            raise
