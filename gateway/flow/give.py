"""A spare number becomes a tenant's, in one transaction: at no moment is it nobody's, or two tenants'.

What is left to do at the providers is its new name; the tenant's own steps see to that (`steps/spare_number.py`).
"""

from __future__ import annotations

from gateway.domain import keys
from gateway.domain.model import (
    Extent,
    Held,
    Hold,
    Holding,
    Intent,
    IntentStatus,
    Step,
    Tenant,
    Wanted,
    unknown_import,
)
from gateway.errors import InHand, OperatorError, WrongUse
from gateway.flow.operate import Operator, check_undecided, note, start_anew_if_released
from gateway.flow.reconsider import reconsider, unblock
from gateway.steps.context import StepParts
from gateway.steps.spare_number import hand_over
from gateway.store import attempts, holdings, intents, leases, ledger, subscriptions, tenants
from gateway.store.database import Transaction


def give(
    tx: Transaction, parts: StepParts, number: str, tenant_key: str, operator: Operator, extent: Extent = Extent.FULL
) -> Tenant:
    """Let a spare number be this tenant's, made if need be. Raises InHand, OperatorError; then nothing was changed.

    Given already, it says so by giving the tenant again.
    """
    now_ms = parts.clock.now_ms()
    known = tenants.by_key_or_free(tx, tenant_key)
    tenant = known or tenants.create(tx, tenant_key, now_ms, extent=extent)
    owner_id = intents.owner_of(tx, number)
    if owner_id == tenant.id:
        return tenant
    if owner_id is None or not keys.is_spare(tenants.get(tx, owner_id).tenant_key):
        raise OperatorError(f"{number} is no spare number of ours. Nothing was changed.")
    # Ours alone until the commit, the elder first, as everybody locks them.
    locked = {each: tenants.lock(tx, each) for each in sorted((tenant.id, owner_id))}
    tenant, spare = locked[tenant.id], locked[owner_id]
    for each in (tenant, spare):
        if each.lease_until_ms is not None and each.lease_until_ms > now_ms:
            raise InHand(f"{each.tenant_key} is being worked for just now. Try again in a moment.")
    intent = check_spare(tx, spare, number)
    check_taker(tx, tenant)
    tenant = tenants.raise_extent(tx, tenant, extent, now_ms)
    start_anew_if_released(tx, tenant, now_ms)
    tenant = tenants.get(tx, tenant.id)
    move(tx, parts, spare, tenant, intent, now_ms)
    subscriptions.ensure_manual(tx, tenant.id, tenant.tenant_key, now_ms)
    note(tx, tenant, "give", operator, now_ms, number=number, sid=intent.sid)
    unblock(tx, tenant, f"a spare number was given to it by {operator.name}", now_ms)
    reconsider(tx, spare.id, parts.rules, now_ms, "given to a tenant")
    tenants.change_mind(tx, tenant.id, now_ms)
    return reconsider(tx, tenant.id, parts.rules, now_ms, "a spare number was given to it")


def check_spare(tx: Transaction, spare: Tenant, number: str) -> Intent:
    """The spare number's intent; raises OperatorError unless it is held beyond doubt."""
    held = holdings.of_tenant(tx, spare.id)[Step.BUY_NUMBER]
    intent = intents.open_of(tx, spare)
    if spare.wanted is not Wanted.ACTIVE or held.detail.get("is_releasing"):
        raise OperatorError(f"{number} is being given back, so it can be nobody's. Nothing was changed.")
    if held.held is not Held.YES or intent is None or intent.status is not IntentStatus.OWNED:
        raise OperatorError(f"Whether {number} was bought is not clear yet. Nothing was changed. Try again later.")
    return intent


def check_taker(tx: Transaction, tenant: Tenant) -> None:
    if keys.is_spare(tenant.tenant_key):
        raise WrongUse("A spare number cannot be given to another. Nothing was changed.")
    if tenant.hold is Hold.RELEASE:
        raise OperatorError(
            f"{tenant.tenant_key} is to be released, so the number would be given away. Nothing was changed. "
            f"First: python -m gateway tenants resume {tenant.tenant_key} --reason …"
        )
    check_undecided(tx, tenant)


def move(tx: Transaction, parts: StepParts, spare: Tenant, tenant: Tenant, intent: Intent, now_ms: int) -> None:
    """End the one and begin the other: number and entry change hands in the tables."""
    sid, number = intent.sid or "", intent.number
    entry = holdings.of_tenant(tx, spare.id)[Step.IMPORT_NUMBER]
    unclear_end_ms = attempts.last_unclear_end_at_ms(tx, spare, ["buy"])
    hand_over(tx, parts, spare, intent, tenant.tenant_key, now_ms)
    intents.drop_chosen(tx, tenant.id, now_ms)
    tag = keys.tag(parts.rules.env, tenant.tenant_key, tenant.generation)
    taken = intents.choose(
        tx, tenant, number, tag, is_exact=True, country=intent.country, number_type=intent.number_type, now_ms=now_ms,
        address_sid=intent.address_sid, bundle_sid=intent.bundle_sid,
    )  # fmt: skip
    intents.mark_owned(tx, taken, sid)
    former = {"number": number, "former_tag": intent.tag}
    detail = {**former, "tag": tag}
    if unclear_end_ms is not None:
        detail["former_until_ms"] = unclear_end_ms + parts.rules.settle_ms  # type: ignore[assignment]
    holdings.put(tx, tenant.id, Holding(Step.BUY_NUMBER, Held.MAYBE, sid, detail), now_ms)
    ledger.write(tx, tenant, "number", "gained", "given", parts.telephony.provider, sid, number, now_ms)
    imported = Holding(Step.IMPORT_NUMBER, Held.MAYBE, entry.ref, former)
    holdings.put(tx, tenant.id, imported if entry.held is not Held.NO else unknown_import(number), now_ms)
    if entry.ref is not None:
        ledger.write(tx, tenant, "entry", "gained", "given", parts.assistants.provider, entry.ref, number, now_ms)
    leases.wake(tx, tenant.id, now_ms)
