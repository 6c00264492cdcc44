"""Searching, buying and listing numbers, as answers."""

from __future__ import annotations

from gateway import display
from gateway.domain import options
from gateway.flow import account, stock
from gateway.flow.account import Whose
from gateway.flow.at_once import Ended
from gateway.ports import AvailableNumber, NumberWish
from gateway.provisioning.countries import country_of
from gateway.provisioning.desk import Answer, Desk
from gateway.steps.context import in_flight
from gateway.store import intents

MOST_AT_ONCE = 1000


def search(
    desk: Desk, country_code: str, area_code: str | None, contains: str | None, number_type: str, limit: int
) -> list[AvailableNumber]:
    """Numbers for sale, also those that need an address. Raises OptionsInvalid or a ProviderError."""
    words = desk.words(
        country=country_of(country_code), area_code=area_code, contains=contains, number_type=number_type
    )
    wish = options.parse(words, desk.steps.rules)
    asked = NumberWish(
        wish.country or "", wish.number_type or "local", wish.area_code, wish.contains, has_address=True
    )
    steps = desk.steps
    with in_flight(steps, steps.telephony.provider) as deadline:
        return steps.telephony.search(asked, max(1, min(int(limit), MOST_AT_ONCE)), deadline())


def as_offer(found: AvailableNumber) -> Answer:
    return {
        "number": found.number,
        "locality": found.locality,
        "region": found.region,
        "country": found.country,
        "type": found.number_type,
        "capabilities": dict(found.capabilities),
        "address_requirements": found.address_requirements,
    }


def as_choice(found: AvailableNumber) -> Answer:
    """A number as a client is shown it."""
    return {
        "number": found.number,
        "display": display.phone_number(found.number),
        "locality": found.locality,
        "capabilities": {name: bool(found.capabilities.get(name)) for name in ("voice", "sms")},
    }


def not_ours(desk: Desk, found: list[AvailableNumber]) -> list[AvailableNumber]:
    """Without those that somebody of ours is committed to, or that could not be had lately."""
    since_ms = desk.steps.clock.now_ms() - desk.steps.rules.watch_ms
    with desk.steps.database.read() as tx:
        numbers = [each.number for each in found]
        passed_over = intents.passed_over(tx, numbers, since_ms) if numbers else set()
    return [each for each in found if each.number not in passed_over]


def buy(desk: Desk, number: str, address_sid: str | None) -> Answer:
    """Buy exactly this number as spare stock; held already, it is not bought again. Raises OperatorError."""
    words = {"address_sid": address_sid} if address_sid else {}
    bought = stock.buy_spare(desk.steps, str(number), words, desk.operator("bought by a script"), desk.patience)
    if bought.ended is Ended.DONE:
        return {"success": True, "sid": bought.sid, "phone_number": bought.number}
    if bought.ended is Ended.UNDECIDED:
        return desk.refuse("buy_twilio_number", bought.says, phone_number=bought.number)
    return desk.refuse("buy_twilio_number", bought.says)


def owned(desk: Desk) -> list[Answer]:
    """Every number of the account. Raises a ProviderError."""
    return [
        {
            "sid": each.sid,
            "number": each.number,
            "friendly_name": each.friendly_name,
            "client_id": each.tenant_key,
            "whose": "client" if each.whose is Whose.TENANT else each.whose.value,
            "vapi_id": each.vapi_id,
        }
        for each in account.numbers(desk.steps)
        if each.is_there
    ]
