"""What an operator may do to a tenant: written down with who and why, then decided like everything else.

Each runs in the open transaction it is given, ends in `reconsider` and makes the tenant due; the worker does the rest.
Only `adopt` asks a provider, and so takes the tenant's lease first.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.domain import keys, options
from gateway.domain.model import (
    Blocked,
    Decision,
    Extent,
    Held,
    Hold,
    Holding,
    IntentStatus,
    State,
    Step,
    Tenant,
    unknown_import,
)
from gateway.domain.rules import Rules
from gateway.errors import InHand, OperatorError, OptionsInvalid, Refused, TryLater, WrongUse
from gateway.flow.reconsider import options_changed, reconsider, unblock
from gateway.ports import OwnedNumber
from gateway.steps.context import StepParts, in_flight
from gateway.steps.take_over_number import Along, Order, holding_with
from gateway.store import holdings, intents, journal, leases, ledger, subscriptions, tenants
from gateway.store.database import IntegrityError, Transaction

MOST_COMMITS = 3


@dataclass(frozen=True, slots=True)
class Operator:
    """Who does it, and why: both go into the timeline."""

    name: str
    reason: str


def find(tx: Transaction, tenant_key: str) -> Tenant:
    """The tenant of this key or alias, ours until the commit; raises OperatorError."""
    tenant = tenants.by_key(tx, tenant_key)
    if tenant is None:
        raise OperatorError(f"There is no tenant {tenant_key}. See: python -m gateway tenants list")
    return tenants.lock(tx, tenant.id)


def find_or_create(tx: Transaction, tenant_key: str, now_ms: int, extent: Extent = Extent.FULL) -> Tenant:
    """The tenant of this key or alias, ours until the commit, made if need be; it gets at least this extent."""
    known = tenants.by_key_or_free(tx, tenant_key)
    if known is None:
        return tenants.create(tx, tenant_key, now_ms, extent=extent)
    return tenants.raise_extent(tx, tenants.lock(tx, known.id), extent, now_ms)


def add(
    tx: Transaction, tenant_key: str, wishes: dict[str, str], rules: Rules, operator: Operator, now_ms: int
) -> Tenant:
    """A tenant made by hand, with an active record of its own. Safe to repeat: then only the options are set."""
    if not keys.is_legal(tenant_key):
        raise WrongUse(f"{tenant_key!r} is no legal key: 1 to 64 of A-Z a-z 0-9 . _ -, first a letter or digit.")
    check_options(wishes, rules)
    tenant = find_or_create(tx, tenant_key, now_ms)
    subscriptions.ensure_manual(tx, tenant.id, tenant.tenant_key, now_ms)
    note(tx, tenant, "add", operator, now_ms, options=sorted(wishes))
    for name, value in wishes.items():
        subscriptions.set_option(tx, tenant.id, "operator", name, value, now_ms)
    options_changed(tx, tenant.id, now_ms)
    return reconsider(tx, tenant.id, rules, now_ms, "added by an operator")


def set_options(
    tx: Transaction, tenant_key: str, wishes: dict[str, str], rules: Rules, operator: Operator, now_ms: int
) -> Tenant:
    """The operator's word on options: it beats every other. An empty value takes the word back."""
    check_options({name: value for name, value in wishes.items() if value.strip()}, rules)
    tenant = find(tx, tenant_key)
    for name, value in wishes.items():
        subscriptions.set_option(tx, tenant.id, "operator", name, value, now_ms)
    note(tx, tenant, "set", operator, now_ms, options=wishes)
    options_changed(tx, tenant.id, now_ms)
    return reconsider(tx, tenant.id, rules, now_ms, "options set by an operator")


def check_options(wishes: dict[str, str], rules: Rules) -> None:
    unknown = sorted(set(wishes) - set(options.NAMES))
    if unknown:
        raise WrongUse(f"Unknown option {', '.join(unknown)}. There are: {', '.join(options.NAMES)}.")
    try:
        options.parse(wishes, rules)
    except OptionsInvalid as error:
        raise WrongUse(f"Nothing was changed: {error}") from error


def hold(tx: Transaction, tenant_key: str, wish: Hold | None, rules: Rules, operator: Operator, now_ms: int) -> Tenant:
    """Suspend or release whatever the subscriptions say, or, with None, let them count again."""
    tenant = find(tx, tenant_key)
    if wish is None and tenant.hold is None:
        raise OperatorError(f"{tenant.tenant_key} is not held by an operator. It is {tenant.state}: {tenant.reason}")
    tenants.set_hold(tx, tenant.id, wish, now_ms)
    note(tx, tenant, wish or "resume", operator, now_ms)
    reconsider(tx, tenant.id, rules, now_ms, f"{wish or 'resume'} by an operator")
    leases.wake(tx, tenant.id, now_ms)
    return tenants.get(tx, tenant.id)


def retry(tx: Transaction, tenant_key: str, rules: Rules, operator: Operator, now_ms: int) -> Tenant:
    """Try again now. What is ambiguous is only looked at again."""
    tenant = find(tx, tenant_key)
    if tenant.block is not None and tenant.block.code is Blocked.RELEASE_BRAKE:
        lift_brake(tx, tenant, operator, now_ms)
    else:
        note(tx, tenant, "retry", operator, now_ms)
    intents.give_new_candidates(tx, tenant)
    unblock(tx, tenant, f"retried by {operator.name}", now_ms)
    tenants.set_tries(tx, tenant.id, 0)
    tenants.change_mind(tx, tenant.id, now_ms)
    return reconsider(tx, tenant.id, rules, now_ms, "retried by an operator")


def retry_blocked(tx: Transaction, code: str, rules: Rules, operator: Operator, now_ms: int) -> list[Tenant]:
    """Try again every tenant that is blocked for one reason."""
    if code not in set(Blocked):
        raise WrongUse(f"Unknown reason {code}. There are: {', '.join(Blocked)}.")
    blocked = tenants.list_page(tx, blocked=code, limit=1_000_000)
    return [retry(tx, tenant.tenant_key, rules, operator, now_ms) for tenant in blocked]


def lift_brake(tx: Transaction, tenant: Tenant, operator: Operator, now_ms: int) -> None:
    journal.write(
        tx, tenant.id, now_ms, "operator", journal.BRAKE_LIFTED, {"reason": operator.reason}, actor=operator.name
    )


def redo(tx: Transaction, tenant_key: str, rules: Rules, operator: Operator, now_ms: int) -> Tenant:
    """Look at everything the tenant holds again, and do what today's recipe wants."""
    tenant = find(tx, tenant_key)
    for step in Step:
        holdings.doubt(tx, tenant.id, step, now_ms, now_ms)
    note(tx, tenant, "redo", operator, now_ms)
    tenants.change_mind(tx, tenant.id, now_ms)
    return reconsider(tx, tenant.id, rules, now_ms, "redone by an operator")


def adopt(parts: StepParts, tenant_key: str, sid: str, operator: Operator, extent: Extent = Extent.FULL) -> Tenant:
    """Take over a number of the Twilio account for a tenant: checked, tagged, never bought.

    Refused while another number of the tenant's is held, sent or unknown, when the number bears another gateway's
    tag, or when another tenant has it; then nothing is changed. Cut off after it has committed, it is finished by the
    tenant's own step or by another `adopt` (`steps/take_over_number.py`). Raises OperatorError, or a ProviderError
    when Twilio cannot be asked.
    """
    there = fetch(parts, sid)
    if there is None:
        raise OperatorError(f"There is no number {sid} in the Twilio account. Nothing was changed.")
    if not keys.is_legal(tenant_key) and tenant_key != keys.spare_key(there.number):
        raise WrongUse(f"{tenant_key!r} is no legal key.")
    tenant = commit_alone(parts, tenant_key, there, operator, extent)
    try:
        named = tagged(parts, tenant, there)
        return parts.commit(lambda tx: take_over(tx, parts, tenant, named, operator))
    finally:
        parts.commit(lambda tx: leases.let_go(tx, tenant.id, tenant.fence, parts.clock.now_ms()))


def commit_alone(
    parts: StepParts,
    tenant_key: str,
    there: OwnedNumber,
    operator: Operator,
    extent: Extent = Extent.FULL,
    along: Along | None = None,
) -> Tenant:
    """`commit_to_adopting`, and whoever takes the number between its look and its word is named by the next look."""
    for _ in range(MOST_COMMITS):
        try:
            return parts.commit(lambda tx: commit_to_adopting(tx, parts, tenant_key, there, operator, extent, along))
        except IntegrityError:
            continue
    raise InHand(
        f"{there.number} is being given to another tenant just now. Nothing was changed. Try again in a moment."
    )


def tagged(parts: StepParts, tenant: Tenant, there: OwnedNumber) -> OwnedNumber:
    """The number under the tenant's tag. What clearly did not happen leaves no order behind."""
    tag = keys.tag(parts.rules.env, tenant.tenant_key, tenant.generation)
    if there.tag == tag:
        return there
    try:
        return rename(parts, there.sid, tag)
    except (TryLater, Refused):
        parts.commit(lambda tx: take_back(tx, parts, tenant))
        raise


def take_back(tx: Transaction, parts: StepParts, tenant: Tenant) -> None:
    leases.check(tx, tenant.id, tenant.fence)
    now_ms = parts.clock.now_ms()
    intents.drop_chosen(tx, tenant.id, now_ms)
    holdings.put(tx, tenant.id, Holding(Step.BUY_NUMBER, Held.NO), now_ms)


def commit_to_adopting(
    tx: Transaction,
    parts: StepParts,
    tenant_key: str,
    there: OwnedNumber,
    operator: Operator,
    extent: Extent = Extent.FULL,
    along: Along | None = None,
) -> Tenant:
    """The tenant under our lease, made if need be. From here on nobody else can choose this number, nor it another."""
    now_ms = parts.clock.now_ms()
    tenant = find_or_create(tx, tenant_key, now_ms, extent)
    if tenant.hold is Hold.RELEASE:
        raise OperatorError(
            f"{tenant_key} is to be released, so an adopted number would be given away. Nothing was changed. "
            f"First: python -m gateway tenants resume {tenant_key} --reason …"
        )
    start_anew_if_released(tx, tenant, now_ms)
    leased = leases.claim_one(tx, tenant.id, now_ms, parts.rules.lease_ms, f"adopt by {operator.name}")
    if leased is None:
        raise InHand(f"{tenant_key} is being worked for just now. Try again in a moment.")
    check_undecided(tx, leased)
    tag = keys.tag(parts.rules.env, leased.tenant_key, leased.generation)
    if keys.is_tag(there.tag) and there.tag != tag:
        raise OperatorError(
            f"{there.number} bears the tag {there.tag} of another tenant, generation or installation. "
            "Nothing was changed."
        )
    if intents.other_owner(tx, there.number, leased.id) is not None:
        raise OperatorError(f"{there.number} is another tenant's. Nothing was changed.")
    intents.drop_chosen(tx, leased.id, now_ms)
    rules = parts.rules
    intent = intents.choose(
        tx, leased, there.number, tag, is_exact=True, country=rules.default_country,
        number_type=rules.default_number_type, now_ms=now_ms,
    )  # fmt: skip
    order = Order(intent.id, there.sid, there.tag, leased.version, along)
    holdings.put(tx, leased.id, holding_with(order), now_ms)
    note(tx, leased, "adopting", operator, now_ms, number=there.number, sid=there.sid, name=there.tag)
    return leased


def check_undecided(tx: Transaction, tenant: Tenant) -> None:
    """Raise OperatorError when the tenant holds a number, or may hold one."""
    held = holdings.of_tenant(tx, tenant.id)[Step.BUY_NUMBER]
    intent = intents.open_of(tx, tenant)
    if held.held is Held.NO and (intent is None or intent.status is IntentStatus.CHOSEN):
        return
    number = intent.number if intent else held.detail.get("number")
    raise OperatorError(
        f"{tenant.tenant_key} already has {number}, or its purchase is undecided. Nothing was changed. "
        f"Release it first: python -m gateway tenants release {tenant.tenant_key} --yes --reason …"
    )


def start_anew_if_released(tx: Transaction, tenant: Tenant, now_ms: int) -> None:
    """A number adopted after a proved release belongs to the next generation, and bears its tag."""
    decision = Decision(tenant.wanted, tenant.reason, tenant.changes_at_ms)
    if not intents.was_released(tx, tenant):
        if tenant.state is State.RELEASED:
            # Nothing was held and so nothing proved: a number that bears this generation's tag is still its own.
            tenants.save_decision(tx, tenant, decision, State.NEW, tenant.generation, now_ms)
        return
    tenants.save_decision(tx, tenant, decision, State.NEW, tenant.generation + 1, now_ms)
    journal.write(tx, tenant.id, now_ms, "generation", str(tenant.generation + 1), {"reason": "a number is adopted"})


def fetch(parts: StepParts, sid: str) -> OwnedNumber | None:
    with in_flight(parts, parts.telephony.provider) as deadline:
        return parts.telephony.fetch(sid, deadline())


def rename(parts: StepParts, sid: str, tag: str) -> OwnedNumber:
    with in_flight(parts, parts.telephony.provider) as deadline:
        return parts.telephony.rename(sid, tag, deadline())


def take_over(tx: Transaction, parts: StepParts, tenant: Tenant, there: OwnedNumber, operator: Operator) -> Tenant:
    leases.check(tx, tenant.id, tenant.fence)
    now_ms = parts.clock.now_ms()
    intent = intents.open_of(tx, tenant)
    if intent is None:
        raise OperatorError(f"An option of {tenant.tenant_key} changed meanwhile. Adopt {there.number} once more.")
    intents.mark_owned(tx, intent, there.sid)
    detail = {"number": there.number, "tag": intent.tag}
    holdings.put(tx, tenant.id, Holding(Step.BUY_NUMBER, Held.YES, there.sid, detail), now_ms)
    ledger.write(tx, tenant, "number", "gained", "adopted", parts.telephony.provider, there.sid, there.number, now_ms)
    holdings.put(tx, tenant.id, unknown_import(there.number), now_ms)
    subscriptions.ensure_manual(tx, tenant.id, tenant.tenant_key, now_ms)
    note(tx, tenant, "adopt", operator, now_ms, number=there.number, sid=there.sid)
    unblock(tx, tenant, f"a number was adopted by {operator.name}", now_ms)
    return reconsider(tx, tenant.id, parts.rules, now_ms, "adopted by an operator")


def note(tx: Transaction, tenant: Tenant, action: str, operator: Operator, now_ms: int, **detail: object) -> None:
    journal.write(
        tx, tenant.id, now_ms, "operator", action, {"reason": operator.reason, **detail}, actor=operator.name
    )
