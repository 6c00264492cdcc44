"""Numbers that somebody may choose from: for sale, not committed to any tenant, with what they cost a month."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gateway import display
from gateway.errors import ProviderError
from gateway.ports import Deadline, NumberWish, PriceList
from gateway.steps.context import StepParts, in_flight
from gateway.steps.prices import price_list
from gateway.store import intents


@dataclass(frozen=True, slots=True)
class Offer:
    """One number for sale. display: as people write it.   price: a month of it, text, None where nobody says."""

    number: str
    display: str
    locality: str | None
    region: str | None
    country: str
    number_type: str
    capabilities: Mapping[str, bool] = field(default_factory=dict)
    address_requirements: str = "none"
    price: str | None = None
    currency: str | None = None


def offers(parts: StepParts, wish: NumberWish, limit: int) -> list[Offer]:
    """At most `limit` numbers that fit the wish, in the provider's order. No hold is placed on any.

    Left out are numbers that an intent is committed to, and those refused lately. Raises a ProviderError when the
    search fails; a price that cannot be had is None.
    """
    with in_flight(parts, parts.telephony.provider) as deadline:
        found = parts.telephony.search(wish, limit, deadline())
    if not found:
        return []
    since_ms = parts.clock.now_ms() - parts.rules.watch_ms
    with parts.database.read() as tx:
        passed_over = intents.passed_over(tx, [each.number for each in found], since_ms)
    price, currency = price_of(parts, wish)
    return [
        Offer(
            number=each.number,
            display=display.phone_number(each.number),
            locality=each.locality,
            region=each.region,
            country=each.country,
            number_type=each.number_type,
            capabilities=each.capabilities,
            address_requirements=each.address_requirements,
            price=price,
            currency=currency,
        )
        for each in found
        if each.number not in passed_over
    ]


def price_of(parts: StepParts, wish: NumberWish) -> tuple[str | None, str | None]:
    """(price a month, currency) of this kind; what cannot be had is not worth failing for."""

    def ask(call: Callable[[Deadline], PriceList | None]) -> PriceList | None:
        with in_flight(parts, parts.telephony.provider) as deadline:
            return call(deadline())

    try:
        listed = price_list(parts, wish.country, ask)
    except ProviderError:
        return None, None
    prices = {price.number_type: price.current_price for price in listed.prices} if listed else {}
    price = prices.get(wish.number_type)
    return (price, listed.currency) if listed and price is not None else (None, None)
