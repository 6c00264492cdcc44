"""What a number costs a month, and whether that is within what the operator set for its kind."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation

from gateway.domain.model import Blocked
from gateway.domain.rules import Ceiling
from gateway.errors import Refused
from gateway.ports import Deadline, PriceList
from gateway.steps.context import Context, Halt, Halted, Outcome, StepParts
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


def require_price(ctx: Context, country: str, number_type: str) -> None:
    """Raises Halted when this kind of number costs more than its ceiling, or when nobody says what it costs.

    Asks nobody where no ceiling is set for the kind.
    """
    ceiling = ctx.rules.price_ceilings.get(number_type)
    if ceiling is None:
        return
    fault = fault_of(ctx, country, number_type, ceiling)
    if fault is None:
        return
    key = ctx.tenant.tenant_key
    message = (
        f"{key} waits: {fault}, and PRICE_CEILING allows {ceiling} for {number_type}. Nothing was bought. Raise it in "
        f"PRICE_CEILING, restart, then: {ctx.retry_command}; or ask for another kind: "
        f'python -m gateway tenants set {key} number_type=… --reason "…"'
    )
    raise Halted(Outcome("price_ceiling", {"why": fault}, halt=Halt(Blocked.PRICE_CEILING, message)))


def fault_of(ctx: Context, country: str, number_type: str, ceiling: Ceiling) -> str | None:
    """Why this kind is not bought, as a clause; None when it is within its ceiling. An unknown price is not within."""
    what = f"a {country} {number_type.replace('_', ' ')} number"

    def ask(call: Callable[[Deadline], PriceList | None]) -> PriceList | None:
        return ctx.ask(ctx.telephony.provider, call)

    try:
        listed = price_list(ctx.parts, country, ask)
    except Refused:
        # A key that may not read prices: a ceiling that cannot be checked is not passed.
        listed = None
    found = next((each for each in listed.prices if each.number_type == number_type), None) if listed else None
    amount = as_amount(found.current_price) if found else None
    if listed is None or found is None or amount is None:
        return f"Twilio does not say what {what} costs"
    said = f"{what} costs {found.current_price} {listed.currency} a month"
    if listed.currency.upper() != ceiling.currency:
        return f"{said}, which is another currency"
    return said if amount > ceiling.amount else None


def as_amount(text: str) -> Decimal | None:
    """A price as it came; None when it is no plain number."""
    try:
        amount = Decimal(text.strip())
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and amount >= 0 else None
