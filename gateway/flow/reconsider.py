"""What is wanted of a tenant now, and where that puts it: asked after every change and at every turn.

Not a verb of its own: `apply`, `advance` and the operator's actions all end here, in their own transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.domain import keys, options
from gateway.domain.decide import decide
from gateway.domain.model import (
    CLEARED_BY_OPTIONS,
    Block,
    Blocked,
    Decision,
    Extent,
    Held,
    State,
    Step,
    Tenant,
    Wanted,
)
from gateway.domain.recipe import Holdings, holds_anything, is_complete, target_of
from gateway.domain.rules import Rules, answering_for
from gateway.errors import OptionsInvalid
from gateway.store import intents, journal, leases, outbox, situation, subscriptions, tenants
from gateway.store.database import Transaction

NEEDS_PAPERS = (Blocked.NEEDS_ADDRESS, Blocked.NEEDS_BUNDLE)


@dataclass(frozen=True, slots=True)
class Considered:
    """A tenant as it is now, with what else was read to decide that, so that nobody reads it again.

    needs_reread: whether a subscription must be asked about before the wish can be trusted.
    target: what `assign_assistant` should have set for this wish.
    """

    tenant: Tenant
    held: Holdings
    needs_reread: bool
    target: str | None


def reconsider(tx: Transaction, tenant_id: int, rules: Rules, now_ms: int, cause: str) -> Tenant:
    """Decide anew what is wanted and store the move, if any; gives the tenant as it is now.

    A change of mind raises the version, so that a step under way stops before its next effect. Safe to repeat.
    """
    return consider(tx, tenant_id, rules, now_ms, cause).tenant


def consider(tx: Transaction, tenant_id: int, rules: Rules, now_ms: int, cause: str) -> Considered:
    """The same, with what it was decided from."""
    found = situation.of_tenant(tx, tenant_id)
    tenant, held, links, told = found.tenant, found.held, found.links, found.told
    if tenant.extent is not Extent.FULL and any(link.record.source != subscriptions.MANUAL for link in links):
        # Somebody pays for it now.
        tenants.set_extent(tx, tenant_id, Extent.FULL, now_ms)
        leases.wake(tx, tenant_id, now_ms)
        tenant = replace(tenant, extent=Extent.FULL)
    needs_reread = any(link.reread_at_ms is not None for link in links)
    verdict = decide(
        tenant.state,
        [link.record for link in links],
        hold=tenant.hold,
        holdings=held,
        is_complete=lambda wanted: is_complete(wanted, held, target_from(told, tenant, wanted, rules), tenant.extent),
        was_released=lambda: intents.was_released(tx, tenant),
        now_ms=now_ms,
        grace_ms=rules.grace_ms,
        release_after_ms=rules.release_after_ms,
    )
    decision, state = verdict.decision, verdict.state
    if decision.wanted is not Wanted.ACTIVE and held[Step.BUY_NUMBER].held is Held.NO:
        intents.drop_chosen(tx, tenant_id, now_ms)
    generation = tenant.generation
    if not holds_anything(held) and is_wanted_again(tx, tenant, decision):
        generation += 1
        note_generation(tx, tenant, generation, now_ms)
    if decision.wanted is not tenant.wanted:
        journal.write(
            tx,
            tenant_id,
            now_ms,
            "wanted",
            decision.wanted,
            {"before": tenant.wanted, "reason": decision.reason, "until_ms": decision.changes_at_ms, "cause": cause},
        )
        tenants.change_mind(tx, tenant_id, now_ms)
        unblock_changed_mind(tx, tenant, decision.wanted, now_ms)
    elif decision.changes_at_ms != tenant.changes_at_ms or needs_reread:
        leases.wake(tx, tenant_id, now_ms)
    if state is not tenant.state and tenant.state is State.RELEASED and generation == tenant.generation:
        intents.give_new_candidates(tx, tenant)
    if has_changed(tenant, decision, state, generation):
        tenants.save_decision(tx, tenant, decision, state, generation, now_ms)
    if state is not tenant.state:
        announce_move(tx, tenant, state, decision.reason, now_ms)
    target = target_from(told, tenant, decision.wanted, rules)
    if needs_reread or has_changed(tenant, decision, state, generation):
        tenant = tenants.get(tx, tenant_id)
    return Considered(tenant, held, needs_reread, target)


def target_for(tx: Transaction, tenant: Tenant, wanted: Wanted, rules: Rules) -> str | None:
    """What `assign_assistant` should have set; None while the tenant's assistant option makes no sense."""
    return target_from(subscriptions.options_of(tx, tenant.id), tenant, wanted, rules)


def target_from(told: Sequence[options.OptionRow], tenant: Tenant, wanted: Wanted, rules: Rules) -> str | None:
    """The same, from every word on its options."""
    rules = rules.for_tenant(tenant.tenant_key)
    merged = options.merge(told)
    chosen = {name: value for name, value in merged.items() if name == "assistant_id"}
    try:
        parsed = options.parse(chosen, rules)
    except OptionsInvalid:
        if wanted is not Wanted.SUSPENDED:
            return None
        parsed = options.parse({}, rules)
    return target_of(answering_for(tenant.tenant_key, parsed, wanted, rules))


def options_changed(tx: Transaction, tenant_id: int, now_ms: int) -> None:
    """An option is another one now: three new candidates, and what only waited for that goes on."""
    tenant = tenants.get(tx, tenant_id)
    intents.give_new_candidates(tx, tenant)
    if tenant.block and tenant.block.code in NEEDS_PAPERS:
        # The number itself cannot be had as things are; with it kept, no other country would ever be searched.
        intents.drop_chosen(tx, tenant_id, now_ms)
    if tenant.block and tenant.block.code in CLEARED_BY_OPTIONS:
        unblock(tx, tenant, "an option changed", now_ms)
    tenants.change_mind(tx, tenant_id, now_ms)


def block(tx: Transaction, tenant: Tenant, new: Block, now_ms: int) -> None:
    """Note why the tenant does not go on; the same reason again is not told twice."""
    if tenant.block and (tenant.block.code, tenant.block.message) == (new.code, new.message):
        tenants.set_block(tx, tenant.id, replace(new, at_ms=tenant.block.at_ms))
        return
    tenants.set_block(tx, tenant.id, new)
    journal.write(tx, tenant.id, now_ms, "blocked", new.code, {"message": new.message, "step": new.step})
    tell(tx, tenant, "tenant.blocked", {"blocked": new.code, "message": new.message}, now_ms)


def unblock(tx: Transaction, tenant: Tenant, why: str, now_ms: int) -> None:
    """The tenant may go on."""
    if tenant.block is None:
        return
    tenants.set_block(tx, tenant.id, None)
    journal.write(tx, tenant.id, now_ms, "unblocked", tenant.block.code, {"why": why})


def is_wanted_again(tx: Transaction, tenant: Tenant, decision: Decision) -> bool:
    """Whether a proved release has ended this generation, also one that was proved while it was wanted again already.

    Released without a proof, since nothing was held, is no end: a number may be there that an old backup forgot.
    """
    return decision.wanted is Wanted.ACTIVE and intents.was_released(tx, tenant)


def note_generation(tx: Transaction, tenant: Tenant, generation: int, now_ms: int) -> None:
    """A return after a proved release starts anew: same key, new purchase, new tag, another choice."""
    subscriptions.forget_level(tx, tenant.id, "choice")
    journal.write(tx, tenant.id, now_ms, "generation", str(generation), {"reason": "wanted again after its release"})


def unblock_changed_mind(tx: Transaction, tenant: Tenant, wanted: Wanted, now_ms: int) -> None:
    """Another wish acts through any block, but what is ambiguous is proved first."""
    if tenant.block and tenant.block.wanted is not wanted and tenant.block.code is not Blocked.AMBIGUOUS:
        unblock(tx, tenant, f"{wanted} is wanted now", now_ms)


def has_changed(tenant: Tenant, decision: Decision, state: State, generation: int) -> bool:
    before = (tenant.wanted, tenant.reason, tenant.changes_at_ms, tenant.state, tenant.generation)
    return before != (decision.wanted, decision.reason, decision.changes_at_ms, state, generation)


def announce_move(tx: Transaction, tenant: Tenant, state: State, reason: str, now_ms: int) -> None:
    journal.write(tx, tenant.id, now_ms, "state", state, {"before": tenant.state, "reason": reason})
    tell(tx, tenant, f"tenant.{state}", {"state": state, "before": tenant.state, "reason": reason}, now_ms)


def tell(tx: Transaction, tenant: Tenant, message_type: str, body: Mapping[str, object], now_ms: int) -> None:
    """Queue a message for other systems; its id counts this tenant's messages, so that it is the same at a repeat.

    Spare stock is no news to them.
    """
    if keys.is_spare(tenant.tenant_key):
        return
    count = outbox.count_of_tenant(tx, tenant.id)
    outbox.put(
        tx,
        f"msg_{tenant.id}_{count + 1}",
        tenant.id,
        message_type,
        {"tenant_key": tenant.tenant_key, "at_ms": now_ms, **body},
        now_ms,
    )
