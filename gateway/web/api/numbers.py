"""Numbers: what is for sale, what is held, buying and giving back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

import msgspec

from gateway.domain import keys, options
from gateway.domain.model import Extent, State, Step
from gateway.domain.options import as_free_text, as_phone_number
from gateway.domain.rules import Rules
from gateway.errors import InHand, OperatorError, OptionsInvalid, WrongUse
from gateway.flow import account, offers, once, stock
from gateway.flow.at_once import Ended, Worked, standing_of
from gateway.ports import NumberWish
from gateway.store import intents, tenants
from gateway.web import errors
from gateway.web.api import schema
from gateway.web.api.answers import answer, invalid
from gateway.web.api.routes import Call
from gateway.web.errors import Answer

REQUEST_KEY = re.compile(r"[\x21-\x7e]{1,200}")
NUMBER = re.compile(r"\+[1-9][0-9]{6,14}|PN[0-9a-fA-F]{32}")
ADDRESS_NAMES = {"customer_name": "company_name"}
LOOK = "/api/v1/tenants/"


def available(call: Call) -> Answer:
    """Numbers for sale that nobody of ours is committed to."""
    asked: schema.SearchQuery = call.query
    wish = wish_of(said_in(asked), call.steps.rules)
    return answer(schema.Offers(numbers=[shown(each) for each in offers.offers(call.steps, wish, asked.limit)]))


def said_in(asked: schema.SearchQuery) -> dict[str, str]:
    words = {
        **{name: getattr(asked, name) for name in ("country", "area_code", "contains", "locality", "region")},
        "number_type": asked.type,
        "near_number": asked.near,
    }
    return {name: text for name, text in words.items() if text is not None}


def wish_of(said: Mapping[str, str], rules: Rules) -> NumberWish:
    """Raises OptionsInvalid, naming the word."""
    own = {
        name: said[name] for name in ("country", "number_type", "area_code", "contains", "locality") if name in said
    }
    read = options.parse(own, rules)
    return NumberWish(
        country=read.country or rules.default_country,
        number_type=read.number_type or rules.default_number_type,
        area_code=read.area_code,
        contains=read.contains,
        locality=read.locality,
        has_address=True,
        region=as_free_text("region", said["region"]) if "region" in said else None,
        near_number=as_phone_number("near", said["near_number"]) if "near_number" in said else None,
    )


def shown(offer: offers.Offer) -> schema.Offer:
    return schema.Offer(
        phone_number=offer.number,
        display=offer.display,
        locality=offer.locality,
        region=offer.region,
        country=offer.country,
        type=offer.number_type,
        capabilities=dict(offer.capabilities),
        address_requirements=offer.address_requirements,
        price=offer.price,
        currency=offer.currency,
    )


def held(call: Call) -> Answer:
    """Every number of the account, and those of our tables that it does not show."""
    return answer(
        schema.Numbers(
            numbers=[
                schema.Number(
                    phone_number=each.number,
                    twilio_sid=each.sid,
                    friendly_name=each.friendly_name,
                    whose=each.whose.value,
                    tenant_key=each.tenant_key,
                    state=each.state,
                    vapi_id=each.vapi_id,
                    in_account=each.is_there,
                )
                for each in account.numbers(call.steps)
            ]
        )
    )


# --- buying ----------------------------------------------------------------------------------------------------------


def buy(call: Call) -> Answer:
    """For a tenant, spare by its number, or spare by wish; asked again, each goes on with the same number."""
    order: schema.Order = call.body
    words = words_of(order)
    if order.tenant_key is not None:
        return buy_for(call, order.tenant_key, words, order.reason)
    if order.assistant_id is not None:
        return invalid("A spare number has no assistant: name the tenant_key too.", "assistant_id")
    if order.phone_number is not None:
        return buy_exactly(call, order.phone_number, words, order.reason)
    return buy_by_wish(call, order, words)


def words_of(order: schema.Order | schema.Setup) -> dict[str, str]:
    """The order's words as options."""
    names = ("phone_number", "country", "area_code", "contains", "locality", "assistant_id")
    words = {name: getattr(order, name, None) for name in names}
    words["number_type"] = getattr(order, "type", None)
    if order.address is not None:
        words.update(address_words(order.address))
    return {name: text.strip() for name, text in words.items() if text and text.strip()}


def address_words(address: schema.PostalAddressIn) -> dict[str, str]:
    """A customer's address as options."""
    said = msgspec.structs.asdict(address)
    return {ADDRESS_NAMES.get(name, name): text for name, text in said.items() if text.strip()}


def buy_for(call: Call, key: str, words: dict[str, str], reason: str | None) -> Answer:
    if not keys.is_legal(key):
        return invalid("No legal key: 1 to 64 of A-Z a-z 0-9 . _ -, first a letter or digit.", "tenant_key")
    had = has_number(call, key)
    try:
        worked = stock.buy_for(call.steps, key, words, call.operator(reason), call.patience(), Extent.FULL)
    except InHand as error:
        return waiting(key, None, None, str(error))
    return told(worked, had)


def has_number(call: Call, key: str) -> bool:
    with call.steps.database.read() as tx:
        tenant = tenants.by_key(tx, key)
        return tenant is not None and standing_of(tx, tenant.id).has(Step.BUY_NUMBER)


def told(worked: Worked, is_repeated: bool) -> Answer:
    """201 it has its number and all else, 200 it had it, 202 it waits or is undecided."""
    standing = worked.standing
    tenant = standing.tenant
    is_done = worked.ended is Ended.DONE and tenant.state is State.ACTIVE
    purchase = schema.Purchase(
        outcome=worked.ended.value,
        phone_number=standing.number,
        twilio_sid=standing.sid,
        tenant_key=tenant.tenant_key,
        blocked=tenant.block.code.value if tenant.block else None,
        message=worked.why or f"{tenant.tenant_key} is {tenant.state}.",
        look_at=place_of(tenant.tenant_key),
    )
    return with_place(purchase, (200 if is_repeated else 201) if is_done else 202)


def buy_exactly(call: Call, number: str, words: dict[str, str], reason: str | None) -> Answer:
    try:
        exact = as_phone_number("phone_number", number)
    except OptionsInvalid as error:
        return invalid(str(error), "phone_number")
    with call.steps.database.read() as tx:
        owner_id = intents.owner_of(tx, exact)
        had = owner_id is not None and standing_of(tx, owner_id).has(Step.BUY_NUMBER)
    bought = stock.buy_spare(call.steps, exact, words, call.operator(reason), call.patience())
    return told_spare(bought, had)


def buy_by_wish(call: Call, order: schema.Order, words: dict[str, str]) -> Answer:
    key = call.headers.get("idempotency-key")
    if key is None or not REQUEST_KEY.fullmatch(key):
        return errors.error_answer("idempotency_key_missing")
    request = once.Request(call.actor, key, once.hash_of(msgspec.json.encode(order)))
    try:
        answered = once.buy_once(call.steps, request, words, call.operator(order.reason), call.patience())
    except InHand as error:
        return waiting(None, None, None, str(error))
    return told_spare(answered.buying, answered.is_repeated)


def told_spare(bought: stock.Buying, is_repeated: bool) -> Answer:
    """201, 200 when it was held before, 202 undecided, 409 when it was clearly not bought."""
    is_spare = keys.is_spare(bought.key)
    if bought.ended is Ended.BLOCKED or (bought.ended is Ended.DONE and not is_spare):
        return errors.error_answer("conflict", bought.says)
    if bought.ended is Ended.UNDECIDED:
        return waiting(bought.key, bought.number, bought.sid, bought.says)
    purchase = schema.Purchase(
        outcome=bought.ended.value,
        phone_number=bought.number,
        twilio_sid=bought.sid,
        tenant_key=None,
        blocked=None,
        message=bought.says,
        look_at=place_of(bought.key),
    )
    return with_place(purchase, 200 if is_repeated else 201)


def waiting(key: str | None, number: str | None, sid: str | None, message: str) -> Answer:
    purchase = schema.Purchase(
        outcome=Ended.UNDECIDED.value,
        phone_number=number,
        twilio_sid=sid,
        tenant_key=None if key is None or keys.is_spare(key) else key,
        blocked=None,
        message=message,
        look_at=place_of(key) if key else None,
    )
    return with_place(purchase, 202)


def place_of(key: str) -> str:
    return LOOK + quote(key, safe="")


def with_place(purchase: schema.Purchase, status: int) -> Answer:
    headers = (("location", purchase.look_at),) if purchase.look_at else ()
    return answer(purchase, status, headers)


# --- giving back -----------------------------------------------------------------------------------------------------


def release(call: Call) -> Answer:
    """Give a number of ours back for good: 200 once the provider has answered so, else 202."""
    which = call.args["number"]
    if not NUMBER.fullmatch(which):
        raise WrongUse("This is neither a number such as +14155550123 nor a SID of one (PN…). Nothing was given back.")
    reason = call.query.reason or call.body.reason
    try:
        worked = stock.release(call.steps, which, call.operator(reason), call.patience())
    except InHand:
        raise
    except OperatorError as error:
        return errors.error_answer("not_found" if is_unknown(call, which) else "conflict", str(error))
    tenant = worked.standing.tenant
    is_proved = tenant.state is State.RELEASED
    is_gone = worked.ended is Ended.DONE or stock.is_given_back(call.steps, worked.standing)
    says = f"{which} is given back, and that is proved." if is_proved else worked.why
    if is_gone and not is_proved:
        says = f"{which} is given back. It is called released once both providers show that it is gone."
    done = schema.Release(
        outcome="done" if is_proved else "given_back" if is_gone else worked.ended.value,
        tenant_key=tenant.tenant_key,
        state=tenant.state.value,
        message=says,
        look_at=place_of(tenant.tenant_key),
    )
    return answer(done, 200 if is_gone else 202, (("location", done.look_at),))


def is_unknown(call: Call, which: str) -> bool:
    with call.steps.database.read() as tx:
        try:
            stock.owner_of(tx, which)
        except OperatorError:
            return True
    return False
