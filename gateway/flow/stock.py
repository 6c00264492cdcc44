"""Numbers by hand: buy one for a tenant or as spare stock, and give one back.

All of it goes through the tables and the same steps as a signup's number: one committed number, the caps, the brake,
the ledger, leases and attempts. A spare number is a row of `tenants` of its own, `spare:+E164`, that gets a number and
no more. So asking again, after whatever happened, goes on with the same number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from gateway.domain import keys, options
from gateway.domain.model import Block, Blocked, Extent, Hold, State, Step, Tenant
from gateway.domain.rules import Rules
from gateway.errors import InHand, OperatorError, OptionsInvalid, WrongUse
from gateway.flow import numbering, operate
from gateway.flow.at_once import Ended, Patience, Standing, Worked, standing_of, work_at_once
from gateway.flow.give import give
from gateway.flow.operate import Operator
from gateway.flow.reconsider import NEEDS_PAPERS, options_changed, reconsider, unblock
from gateway.ports import NumberWish
from gateway.steps.context import StepParts, in_flight
from gateway.store import attempts, holdings, intents, leases, subscriptions, tenants
from gateway.store.database import Transaction

T = TypeVar("T")
Words = Mapping[str, str]

MOST_PICKS = 3
MOST_OFFERS = 30
MOST_UNFINISHED = 1000
BUSY_PAUSE_SECONDS = 0.1
ABOUT_NUMBERS = (
    *("country", "area_code", "contains", "locality", "number_type", "phone_number"),
    *("number_region", "near_number"),
)
# Options that a purchase by hand finds out by itself.
FOUND_OUT = {"phone_number", "country", "number_type"}
NOTHING = "Nothing was bought."
ADVICE = {
    Blocked.NEEDS_ADDRESS: "Register the customer's address and name it as address_sid.",
    Blocked.NEEDS_BUNDLE: "Name an approved bundle of this kind as bundle_sid.",
}


@dataclass(frozen=True, slots=True)
class Buying:
    """What came of a purchase by hand. key: whose number it is, or would be; a spare number's own key.

    is_taken: somebody else has exactly this number, so another one may be tried.
    """

    ended: Ended
    key: str
    number: str | None
    sid: str | None
    says: str
    is_taken: bool = False


# --- for a tenant ----------------------------------------------------------------------------------------------------


def buy_for(
    parts: StepParts,
    tenant_key: str,
    words: Words,
    operator: Operator,
    patience: Patience,
    extent: Extent = Extent.FULL,
) -> Worked:
    """Have this tenant get a number as `words` (options) say, and all else that its extent asks for.

    A number in `words` that is spare stock is given to it, not bought. A tenant that has a number keeps that one.
    Asked again it goes on with the same number or, where none can be had, tries anew. Raises WrongUse, OperatorError.
    """
    if not keys.is_legal(tenant_key):
        raise WrongUse(f"{tenant_key!r} is no legal key: 1 to 64 of A-Z a-z 0-9 . _ -, first a letter or digit.")
    said = checked(words, parts.rules)
    number = said.get("phone_number")

    def begin(tx: Transaction) -> Tenant:
        if number is not None:
            refuse_second(tx, tenant_key, number)
            if is_spare_stock(tx, number):
                give(tx, parts, number, tenant_key, operator, extent)
        return want(tx, parts, tenant_key, said, operator, extent)

    tenant = when_free(parts, patience, lambda: parts.commit(begin))
    return work_at_once(parts, tenant.id, operator.name, patience)


def refuse_second(tx: Transaction, tenant_key: str, number: str) -> None:
    """Raise OperatorError when the tenant has another number, or another tenant has this one."""
    tenant = tenants.by_key(tx, tenant_key)
    if tenant is not None:
        standing = standing_of(tx, tenant.id)
        if not standing.has_sent_nothing and standing.number != number:
            raise OperatorError(
                f"{tenant_key} has {standing.number} already, or its purchase is undecided. {NOTHING} "
                f"Release it first: python -m gateway tenants release {tenant_key} --yes --reason …"
            )
    owner_id = intents.owner_of(tx, number)
    owner = tenants.get(tx, owner_id) if owner_id is not None else None
    if owner is not None and not keys.is_spare(owner.tenant_key) and (tenant is None or owner.id != tenant.id):
        raise OperatorError(f"{number} is {owner.tenant_key}'s, or being bought for it. {NOTHING}")


def is_spare_stock(tx: Transaction, number: str) -> bool:
    owner_id = intents.owner_of(tx, number)
    return owner_id is not None and keys.is_spare(tenants.get(tx, owner_id).tenant_key)


# --- spare stock -----------------------------------------------------------------------------------------------------


def buy_spare(parts: StepParts, number: str, words: Words, operator: Operator, patience: Patience) -> Buying:
    """Buy exactly this number as spare stock. Held already, by whomever of ours, it is not bought again.

    words: further options, such as `address_sid`. What cannot be had is given up at once: nothing waits for it.
    Raises WrongUse, OperatorError.
    """
    exact = checked({"phone_number": number}, parts.rules).get("phone_number")
    if exact is None:
        raise WrongUse(f"No number was said. {NOTHING}")
    said = checked({**numbering.kind_of(exact), **words, "phone_number": exact}, parts.rules)
    key = keys.spare_key(exact)

    def begin(tx: Transaction) -> Tenant:
        owner_id = intents.owner_of(tx, exact)
        owner = tenants.get(tx, owner_id) if owner_id is not None else None
        if owner is not None and (owner.tenant_key != key or standing_of(tx, owner.id).has(Step.BUY_NUMBER)):
            return owner
        return want(tx, parts, key, said, operator, Extent.NUMBER)

    tenant = parts.commit(begin)
    if tenant.tenant_key != key:
        return held_by(parts, tenant, exact)
    worked = work_at_once(parts, tenant.id, operator.name, patience, lambda standing: standing.has(Step.BUY_NUMBER))
    return concluded(parts, worked, exact)


def buy_some(parts: StepParts, words: Words, operator: Operator, patience: Patience) -> Buying:
    """Buy a number that fits `words` as spare stock; first goes on with a purchase of this kind that is not finished.

    A number that somebody else has meanwhile makes way for the next one. Raises WrongUse, OperatorError, and a
    ProviderError when the search itself fails.
    """
    said = checked(words, parts.rules)
    with parts.database.read() as tx:
        unfinished = unfinished_of(tx, said, parts.clock.now_ms())
    if unfinished is not None:
        return buy_spare(parts, unfinished, said, operator, patience)
    tried: Buying | None = None
    for number in for_sale(parts, said)[:MOST_PICKS]:
        tried = buy_spare(parts, number, said, operator, patience)
        if not tried.is_taken:
            return tried
    return tried or Buying(Ended.BLOCKED, "", None, None, f"Twilio has no number that fits. {NOTHING}")


def for_sale(parts: StepParts, said: Words) -> list[str]:
    """Numbers that fit and that nobody of ours is committed to, in random order."""
    wish = options.parse(said, parts.rules)
    country = wish.country or parts.rules.default_country
    kind = wish.number_type or parts.rules.default_number_type
    shown = wish.address_sid or parts.rules.papers_for(country, kind).address_sid
    asked = NumberWish(
        country,
        kind,
        wish.area_code,
        wish.contains,
        wish.locality,
        has_address=shown is not None,
        region=wish.number_region,
        near_number=wish.near_number,
    )
    with in_flight(parts, parts.telephony.provider) as deadline:
        found = [each.number for each in parts.telephony.search(asked, MOST_OFFERS, deadline())]
    with parts.database.read() as tx:
        since_ms = parts.clock.now_ms() - parts.rules.watch_ms
        passed_over = intents.passed_over(tx, found, since_ms) if found else set()
    free = [number for number in found if number not in passed_over]
    parts.random.shuffle(free)
    return free


def unfinished_of(tx: Transaction, said: Words, now_ms: int) -> str | None:
    """The number of a purchase with the same wish that nobody has in hand and that may have been sent."""
    for tenant in tenants.list_page(tx, state=State.PROVISIONING, is_spare=True, limit=MOST_UNFINISHED):
        if is_in_hand(tenant, now_ms):
            continue
        stored = options.merge(subscriptions.options_of(tx, tenant.id))
        is_same = all(stored.get(name) == value for name, value in said.items())
        if is_same and set(stored) - set(said) <= FOUND_OUT:
            return stored.get("phone_number")
    return None


def held_by(parts: StepParts, tenant: Tenant, number: str) -> Buying:
    """The number is one of our tenants' already."""
    with parts.database.read() as tx:
        standing = standing_of(tx, tenant.id)
    key = tenant.tenant_key
    if standing.has(Step.BUY_NUMBER):
        return Buying(Ended.DONE, key, number, standing.sid, f"{number} is {key}'s already. {NOTHING}")
    return Buying(Ended.UNDECIDED, key, number, None, f"{number} is being bought for {key} just now.")


def concluded(parts: StepParts, worked: Worked, number: str) -> Buying:
    """What a purchase of spare stock came to; one that was clearly not made leaves nothing to wait for."""
    standing, key = worked.standing, worked.standing.tenant.tenant_key
    if standing.has(Step.BUY_NUMBER):
        return Buying(Ended.DONE, key, number, standing.sid, f"{number} is held as spare stock.")
    is_over = parts.commit(lambda tx: give_up(tx, parts, standing.tenant.id)) if standing.has_sent_nothing else False
    if not is_over:
        return Buying(Ended.UNDECIDED, key, number, None, worked.why)
    block = standing.tenant.block
    with parts.database.read() as tx:
        reason = intents.last_reason(tx, standing.tenant.id)
    return Buying(Ended.BLOCKED, key, number, None, plainly(block, number, key, reason), is_taken(block))


def is_taken(block: Block | None) -> bool:
    return block is not None and block.code is Blocked.NUMBER_TAKEN


def plainly(block: Block | None, number: str, key: str, reason: str | None) -> str:
    """Why a number was not bought, without advice for a tenant that waits: nothing does."""
    if block is None:
        return f"{number} was not bought: Twilio did not answer, and nothing was sent. Try again in a moment."
    if is_taken(block):
        return f"{number} cannot be bought: {reason or 'another tenant of ours has it'}. {NOTHING}"
    said = block.message.partition(NOTHING)[0].replace(key, number).strip()
    return " ".join(part for part in (said, NOTHING, ADVICE.get(block.code)) if part)


def give_up(tx: Transaction, parts: StepParts, tenant_id: int) -> bool:
    """Forget a spare number that can not have been bought; False while somebody works for it, or it was sent."""
    now_ms = parts.clock.now_ms()
    tenant = tenants.lock(tx, tenant_id)
    if is_in_hand(tenant, now_ms) or not standing_of(tx, tenant_id).has_sent_nothing:
        return False
    intents.drop_chosen(tx, tenant_id, now_ms)
    subscriptions.end_manual(tx, tenant_id, tenant.tenant_key, now_ms)
    unblock(tx, tenant, "the purchase was given up", now_ms)
    tenants.change_mind(tx, tenant_id, now_ms)
    reconsider(tx, tenant_id, parts.rules, now_ms, "the purchase was given up")
    return True


# --- giving back -----------------------------------------------------------------------------------------------------


def release(parts: StepParts, which: str, operator: Operator, patience: Patience) -> Worked:
    """Give a number of ours back for good, by its E.164 form or its SID; of a tenant, its hold says so from then on.

    `undecided` with `is_given_back`: the DELETE was answered, and what is left is the proof. Safe to repeat.
    Raises OperatorError for a number that is not in our tables.
    """

    def begin(tx: Transaction) -> Tenant:
        now_ms = parts.clock.now_ms()
        tenant = tenants.lock(tx, owner_of(tx, which))
        if tenant.hold is not Hold.RELEASE:
            return operate.hold(tx, tenant.tenant_key, Hold.RELEASE, parts.rules, operator, now_ms)
        unblock_by_hand(tx, tenant, operator, now_ms)
        leases.wake(tx, tenant.id, now_ms)
        return tenant

    tenant = parts.commit(begin)
    return work_at_once(
        parts, tenant.id, operator.name, patience, lambda standing: standing.tenant.state is State.RELEASED
    )


def owner_of(tx: Transaction, which: str) -> int:
    owner_id = intents.owner_of(tx, which) or holdings.tenants_by_ref(tx, Step.BUY_NUMBER).get(which)
    if owner_id is None:
        raise OperatorError(
            f"{which} is no number that we hold, so nothing was given back. See: python -m gateway numbers list"
        )
    return owner_id


def is_given_back(parts: StepParts, standing: Standing) -> bool:
    """Whether the provider has answered that the number is gone; what is left then is the proof."""
    if not standing.held[Step.BUY_NUMBER].detail.get("is_releasing"):
        return False
    with parts.database.read() as tx:
        rows = [row for row in attempts.of_tenant(tx, standing.tenant.id) if row["operation"] == "release"]
    return bool(rows) and rows[-1]["outcome"] in ("released", "already_gone")


# --- what all of them share ------------------------------------------------------------------------------------------


def want(tx: Transaction, parts: StepParts, key: str, said: Words, operator: Operator, extent: Extent) -> Tenant:
    """The tenant by hand, active, with these words and no others on its number; what blocked it is tried again."""
    now_ms = parts.clock.now_ms()
    tenant = operate.find_or_create(tx, key, now_ms, extent)
    if tenant.hold is Hold.RELEASE:
        lift_release(tx, tenant, now_ms)
    if any(name in said for name in ABOUT_NUMBERS):
        for name in ABOUT_NUMBERS:
            subscriptions.set_option(tx, tenant.id, "operator", name, said.get(name, ""), now_ms)
    for name, value in said.items():
        subscriptions.set_option(tx, tenant.id, "operator", name, value, now_ms)
    subscriptions.ensure_manual(tx, tenant.id, tenant.tenant_key, now_ms)
    intent = intents.open_of(tx, tenant)
    needs_papers = tenant.block is not None and tenant.block.code in NEEDS_PAPERS
    if intent is not None and (needs_papers or said.get("phone_number", intent.number) != intent.number):
        intents.drop_chosen(tx, tenant.id, now_ms)
    operate.note(tx, tenant, "buy", operator, now_ms, options=sorted(said))
    unblock_by_hand(tx, tenant, operator, now_ms)
    options_changed(tx, tenant.id, now_ms)
    return reconsider(tx, tenant.id, parts.rules, now_ms, "a number is bought by hand")


def lift_release(tx: Transaction, tenant: Tenant, now_ms: int) -> None:
    """A spare number that was given back, and that is proved, may be bought again; raises OperatorError else."""
    key = tenant.tenant_key
    if keys.is_spare(key) and tenant.state is State.RELEASED:
        tenants.set_hold(tx, tenant.id, None, now_ms)
        return
    advice = "Wait until that is proved." if keys.is_spare(key) else f"First: python -m gateway tenants resume {key}"
    raise OperatorError(f"{key} is to be released, or its number is being given back. {NOTHING} {advice}")


def unblock_by_hand(tx: Transaction, tenant: Tenant, operator: Operator, now_ms: int) -> None:
    """Whatever stopped it is tried once more; a brake is another matter."""
    if tenant.block is not None and tenant.block.code is not Blocked.RELEASE_BRAKE:
        unblock(tx, tenant, f"tried again by {operator.name}", now_ms)
        tenants.set_tries(tx, tenant.id, 0)


def checked(words: Words, rules: Rules) -> dict[str, str]:
    """Options as they are stored: those that were said, a number in E.164 form. Raises WrongUse."""
    said = {name: value.strip() for name, value in words.items() if value and value.strip()}
    operate.check_options(said, rules)
    try:
        number = options.parse(said, rules).phone_number
    except OptionsInvalid as error:
        raise WrongUse(f"{error} {NOTHING}") from error
    return {**said, "phone_number": number} if number else said


def is_in_hand(tenant: Tenant, now_ms: int) -> bool:
    """Whether somebody works for it just now."""
    return tenant.lease_until_ms is not None and tenant.lease_until_ms > now_ms


def when_free(parts: StepParts, patience: Patience, job: Callable[[], T]) -> T:
    """Do it as soon as nobody works for those it is about. Raises InHand at the end of the patience."""
    end_ms = parts.clock.now_ms() + patience.limit_ms
    while True:
        try:
            return job()
        except InHand:
            if parts.clock.now_ms() >= end_ms:
                raise
        patience.pause(BUSY_PAUSE_SECONDS)
