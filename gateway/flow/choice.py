"""The customer's own choice of a number: held for that tenant at once, bought by the ordinary protocol.

A click commits to exactly that number in one transaction. So of two customers who choose the same number at the same
moment the database lets one have it, and the other is asked again; nothing is bought for either until then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.domain import keys, options
from gateway.domain.model import Blocked, Held, IntentStatus, Step, Tenant, Wanted
from gateway.domain.recipe import Holdings
from gateway.domain.rules import Rules
from gateway.errors import ChoiceRefused
from gateway.flow.reconsider import options_changed, reconsider
from gateway.store import holdings, intents, journal, leases, subscriptions, tenants
from gateway.store.database import IntegrityError, Transaction

LEVEL = "choice"


@dataclass(frozen=True, slots=True)
class Choice:
    """number: E.164, as it was offered.   address: the customer's own words, by option name; may be empty."""

    number: str
    country: str
    number_type: str
    address: Mapping[str, str] = field(default_factory=dict)

    @property
    def words(self) -> dict[str, str]:
        """What it says, as options."""
        about = {"phone_number": self.number, "country": self.country, "number_type": self.number_type}
        return {**about, **self.address}


def choose_for(tx: Transaction, tenant_id: int, generation: int, choice: Choice, rules: Rules, now_ms: int) -> Tenant:
    """Hold this number for the tenant of this generation, in place of one chosen before. Safe to repeat.

    Raises ChoiceRefused. The options must make sense (`options.parse`): who asks the customer has checked them.
    """
    tenant = tenants.lock(tx, tenant_id)
    refuse_unchoosable(tx, tenant, generation)
    intent = intents.open_of(tx, tenant)
    is_repeated = intent is not None and intent.number == choice.number
    if is_undecided_or_held(holdings.of_tenant(tx, tenant.id), intent.status if intent else None):
        if is_repeated:
            return tenant
        raise ChoiceRefused("decided", "A number is on its way already, so this one was not taken.")
    if has_operators_word(tx, tenant):
        raise ChoiceRefused("decided", "A number was chosen for you already.")
    store_words(tx, tenant, choice, now_ms)
    options_changed(tx, tenant.id, now_ms)
    hold(tx, tenant, choice, rules, now_ms)
    reconsidered = reconsider(tx, tenant.id, rules, now_ms, "the customer chose a number")
    leases.wake(tx, tenant.id, now_ms)
    return reconsidered


def refuse_unchoosable(tx: Transaction, tenant: Tenant, generation: int) -> None:
    if tenant.generation != generation:
        raise ChoiceRefused("superseded", "This link is of an earlier order.")
    if tenant.wanted is not Wanted.ACTIVE:
        raise ChoiceRefused("not_wanted", "No number is waiting to be chosen.")


def is_undecided_or_held(held: Holdings, status: IntentStatus | None) -> bool:
    """Whether a number was sent for, may have been bought, or is held: then no other one may be chosen."""
    return held[Step.BUY_NUMBER].held is not Held.NO or status not in (None, IntentStatus.CHOSEN)


def has_operators_word(tx: Transaction, tenant: Tenant) -> bool:
    """Whether an operator said which number it shall be."""
    told = subscriptions.options_of(tx, tenant.id)
    return bool(options.merge(row for row in told if row.level == "operator").get("phone_number"))


def store_words(tx: Transaction, tenant: Tenant, choice: Choice, now_ms: int) -> None:
    """The newest choice replaces all of the one before, at whatever time that was."""
    subscriptions.forget_level(tx, tenant.id, LEVEL)
    for name, value in choice.words.items():
        subscriptions.set_option(tx, tenant.id, LEVEL, name, value, now_ms)


def hold(tx: Transaction, tenant: Tenant, choice: Choice, rules: Rules, now_ms: int) -> None:
    """Commit to the number; raises ChoiceRefused when somebody else is committed to it."""
    intents.drop_chosen(tx, tenant.id, now_ms)
    tag = keys.tag(rules.env, tenant.tenant_key, tenant.generation)
    try:
        intents.choose(
            tx, tenant, choice.number, tag, is_exact=True, country=choice.country, number_type=choice.number_type,
            now_ms=now_ms,
        )  # fmt: skip
    except IntegrityError as error:
        raise ChoiceRefused("gone", "Somebody else was quicker: this number is not free any more.") from error
    detail = {"number": choice.number, "step": Step.BUY_NUMBER}
    journal.write(tx, tenant.id, now_ms, "note", "number.chosen_by_customer", detail)


# --- what the customer may do now ------------------------------------------------------------------------------------

# A block after which another number may be chosen.
CHOOSE_AGAIN = frozenset({Blocked.AWAITING_CHOICE, Blocked.NUMBER_TAKEN, Blocked.NO_NUMBERS})


@dataclass(frozen=True, slots=True)
class Choosing:
    """Where a tenant stands, as its customer may see it. number: chosen, on its way, or held.

    may_choose: a click would be heard.   is_asked: it has to choose before anything happens.
    """

    tenant: Tenant
    number: str | None
    may_choose: bool
    is_asked: bool
    has: frozenset[Step]
    words: Mapping[str, str]


def choosing_of(tx: Transaction, tenant: Tenant) -> Choosing:
    held = holdings.of_tenant(tx, tenant.id)
    intent = intents.open_of(tx, tenant)
    is_settled = is_undecided_or_held(held, intent.status if intent else None)
    words = options.merge(subscriptions.options_of(tx, tenant.id))
    block = tenant.block.code if tenant.block else None
    may_choose = tenant.wanted is Wanted.ACTIVE and not is_settled and not has_operators_word(tx, tenant)
    return Choosing(
        tenant=tenant,
        number=intent.number if intent else held[Step.BUY_NUMBER].detail.get("number"),
        may_choose=may_choose,
        is_asked=may_choose and (block in CHOOSE_AGAIN or intent is None),
        has=frozenset(step for step, holding in held.items() if holding.held is Held.YES),
        words=words,
    )
