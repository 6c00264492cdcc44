"""The full reconcile after a backup was put back: numbers find their tenants, then purchases and releases go on.

It changes nothing at a provider. A tenant whose number bears a later generation is raised to it, and its own step
looks at that number under its lease and takes it over: whatever is wanted of the tenant by now.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace

from gateway.domain import keys
from gateway.domain.drift import SeenNumber
from gateway.domain.model import (
    Block,
    Blocked,
    Decision,
    Held,
    Holding,
    Intent,
    IntentStatus,
    State,
    Step,
    Tenant,
)
from gateway.domain.strays import Claim, Namesake, find, unreferenced
from gateway.flow.reconsider import block, reconsider, unblock
from gateway.steps.after_restore import why
from gateway.steps.context import StepParts
from gateway.steps.release_number import AT_ASSISTANTS, AT_TELEPHONY
from gateway.store import aftermath, attempts, holdings, intents, journal, leases, ledger, subscriptions, tenants
from gateway.store.database import Transaction

log = logging.getLogger("gateway.reconcile")


def sentence(tx: Transaction, settle_ms: int) -> str | None:
    """Why nothing is bought or given back now, for people; None where that is not so."""
    restored_at_ms = aftermath.restored_at_ms(tx)
    return None if restored_at_ms is None else why(restored_at_ms + settle_ms)


def is_due(parts: StepParts) -> bool:
    """Whether a reconcile that starts now turns purchases and releases on again."""
    with parts.database.read() as tx:
        restored_at_ms = aftermath.restored_at_ms(tx)
    return restored_at_ms is not None and parts.clock.now_ms() >= restored_at_ms + parts.rules.settle_ms


def settle(
    parts: StepParts, everybody: Callable[[Transaction], list[Tenant]], numbers: Sequence[SeenNumber], began_ms: int
) -> bool:
    """Have tenants take over the numbers that are theirs, then turn purchases and releases on again.

    everybody: reads all tenants.   numbers: the whole account.   began_ms: when this reconcile started.
    False when that was too early after a restore: what is under way may land behind its back, and numbers that seem
    gone or nobody's are explained by the one that may settle it.
    """
    with parts.database.read() as tx:
        marked_at_ms = aftermath.restored_at_ms(tx)
        if marked_at_ms is None and not aftermath.has_strays(tx):
            return True
        if marked_at_ms is not None and began_ms < marked_at_ms + parts.rules.settle_ms:
            return False
        left = unreferenced(numbers, holdings.tenants_by_ref(tx, Step.BUY_NUMBER), parts.rules.env)
        known = [namesake(tx, tenant) for tenant in meant(tx, everybody, left)]
    found = find(known, left, {number.tag for number in numbers}, parts.rules.env)
    undone = [claim for claim in found.claims if not is_taken_over(parts, claim)]
    # Whoever was busy just now is held back by its tag until the next time.
    strays = {**found.strays, **{claim.tag: claim.numbers[0].number for claim in undone}}

    def finish(tx: Transaction) -> bool:
        aftermath.put_strays(tx, strays)
        return marked_at_ms is not None and aftermath.finish(tx, marked_at_ms, parts.clock.now_ms())

    if parts.commit(finish):
        log.warning("restore.settled", extra={"fields": {"taken_over": len(found.claims) - len(undone)}})
    return True


def meant(
    tx: Transaction, everybody: Callable[[Transaction], list[Tenant]], left: Collection[str]
) -> Iterator[Tenant]:
    """Those whose key, or a name they may have had, is in a tag that is left."""
    if not left:
        return
    former = aftermath.subscription_ids(tx)
    for tenant in everybody(tx):
        if any(keys.digest(key) in left for key in (tenant.tenant_key, *former.get(tenant.id, ()))):
            yield tenant


def namesake(tx: Transaction, tenant: Tenant) -> Namesake:
    held = holdings.of_tenant(tx, tenant.id)[Step.BUY_NUMBER]
    records = subscriptions.records_of(tx, tenant.id)
    return Namesake(
        tenant.id,
        tenant.tenant_key,
        tenant.generation,
        former_keys=tuple(each.subscription_id for each in records if each.issued),
        is_free=held.held is Held.NO and is_uncommitted(intents.open_of(tx, tenant)),
        last_gained=aftermath.last_gained(tx, tenant.id),
    )


def is_uncommitted(intent: Intent | None) -> bool:
    """Whether no number can have been bought by it."""
    return intent is None or intent.status is IntentStatus.CHOSEN


def is_taken_over(parts: StepParts, claim: Claim) -> bool:
    return parts.commit(lambda tx: take_over(tx, parts, claim))


def take_over(tx: Transaction, parts: StepParts, claim: Claim) -> bool:
    """Raise a tenant to the number that is its own; False while somebody works for it, or it changed meanwhile."""
    now_ms = parts.clock.now_ms()
    tenant = leases.claim_one(tx, claim.tenant_id, now_ms, parts.rules.lease_ms, "reconcile")
    if tenant is None:
        return False
    try:
        return is_still_so(tx, tenant, claim) and raise_to(tx, parts, tenant, claim, now_ms)
    finally:
        leases.let_go(tx, tenant.id, tenant.fence, now_ms)


def is_still_so(tx: Transaction, tenant: Tenant, claim: Claim) -> bool:
    if claim.tenant_key == tenant.tenant_key and claim.generation > tenant.generation:
        return True
    now = namesake(tx, tenant)
    return now.is_free and claim.generation > now.last_gained


def raise_to(tx: Transaction, parts: StepParts, tenant: Tenant, claim: Claim, now_ms: int) -> bool:
    """Close what the tenant believed to have, and put the number that is there in doubt: its step looks and adopts."""
    if any(intents.other_owner(tx, number.number, tenant.id) for number in claim.numbers):
        return False
    is_former = claim.tenant_key != tenant.tenant_key
    if is_former and not aftermath.take_former_name(tx, tenant, claim.tenant_key, now_ms):
        say_former_name(tx, parts, tenant, claim, now_ms)
        return False
    if claim.generation != tenant.generation:
        end_generation(tx, tenant, parts.telephony.provider, now_ms)
        tenant = begin_generation(tx, tenant, claim, now_ms)
    else:
        intents.drop_chosen(tx, tenant.id, now_ms)
    if len(claim.numbers) == 1:
        commit_to(tx, parts, tenant, claim, claim.numbers[0], now_ms)
    says = f"{', '.join(each.number for each in claim.numbers)} was found under {claim.tag} after a restore"
    unblock(tx, tenant, says, now_ms)
    journal.write(tx, tenant.id, now_ms, "reconcile", "number_found", {"message": says})
    tenants.set_tries(tx, tenant.id, 0)
    tenants.change_mind(tx, tenant.id, now_ms)
    reconsider(tx, tenant.id, parts.rules, now_ms, "a restore")
    return True


def end_generation(tx: Transaction, tenant: Tenant, provider: str, now_ms: int) -> None:
    """A later generation exists, so this one was released, and that was proved, after the backup."""
    for operation in (*AT_TELEPHONY, *AT_ASSISTANTS):
        attempts.settle(tx, attempts.open_for_tenant(tx, tenant, operation), "release_proved", now_ms)
    intent = intents.open_of(tx, tenant)
    if intent is not None:
        intents.end(tx, intent, IntentStatus.RELEASED, "a later generation exists", now_ms)
    if intent is not None and intent.status is IntentStatus.OWNED:
        ledger.write(tx, tenant, "number", "lost", "missing", provider, intent.sid or "", intent.number, now_ms)
    for step in Step:
        holdings.put(tx, tenant.id, Holding(step, Held.NO), now_ms)


def begin_generation(tx: Transaction, tenant: Tenant, claim: Claim, now_ms: int) -> Tenant:
    state = State.NEW if tenant.state is State.RELEASED else tenant.state
    decision = Decision(tenant.wanted, tenant.reason, tenant.changes_at_ms)
    tenants.save_decision(tx, tenant, decision, state, claim.generation, now_ms)
    reason = "its number bears this generation; the backup did not know of it"
    journal.write(tx, tenant.id, now_ms, "generation", str(claim.generation), {"reason": reason})
    return replace(tenant, generation=claim.generation, state=state)


def commit_to(
    tx: Transaction, parts: StepParts, tenant: Tenant, claim: Claim, number: SeenNumber, now_ms: int
) -> None:
    """As if this number had been sent, and nobody knew what became of it. A look that finds it proves that it was."""
    kind = intents.kind_of(tx, number.number) or (parts.rules.default_country, parts.rules.default_number_type)
    intent = intents.choose(
        tx, tenant, number.number, claim.tag, is_exact=False, country=kind[0], number_type=kind[1], now_ms=now_ms
    )
    # Should it be gone after all, nobody may buy it again: the next candidate.
    intents.start_second_round(tx, intent)
    intents.mark_unknown(tx, intent)
    detail = {"number": number.number, "tag": claim.tag}
    holdings.put(tx, tenant.id, Holding(Step.BUY_NUMBER, Held.MAYBE, None, detail), now_ms)


def say_former_name(tx: Transaction, parts: StepParts, tenant: Tenant, claim: Claim, now_ms: int) -> None:
    own_tag = keys.tag(parts.rules.env, tenant.tenant_key, tenant.generation)
    message = (
        f"{claim.numbers[0].number} is in the Twilio account under the name {claim.tag}: {tenant.tenant_key} bought "
        f"it when it was still called {claim.tenant_key}. Nothing more was bought. Set its friendly name and the name "
        f'of its Vapi entry to {own_tag}, then: python -m gateway tenants retry {tenant.tenant_key} --reason "…"'
    )
    block(tx, tenant, Block(Blocked.AMBIGUOUS, message, Step.BUY_NUMBER, tenant.wanted, now_ms), now_ms)
