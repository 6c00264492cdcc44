"""What a number costs a month, and whether that is within what the operator set for its kind."""

from __future__ import annotations

from collections.abc import Callable

from gateway.ports import Deadline, PriceList
from gateway.steps.context import StepParts
from gateway.steps.remembered import KEEP_MS

Ask = Callable[[Callable[[Deadline], PriceList | None]], PriceList | None]


def price_list(parts: StepParts, country: str, ask: Ask) -> PriceList | None:
    """The prices of a country, asked at most four times an hour; None when nothing is sold there.

    ask: makes the call. Raises what the provider raises.
    """
    now_ms = parts.clock.now_ms()
    kept = parts.prices.get(country, now_ms)
    if kept is not None:
        return kept.value
    listed = ask(lambda deadline: parts.telephony.price_list(country, deadline))
    return parts.prices.put(country, listed, now_ms + KEEP_MS)
