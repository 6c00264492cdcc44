"""Advance a tenant one step at a time: look when in doubt, make or undo one thing, store the outcome.

`claim_turn` leases what is due; `advance` works for one tenant until it has to wait. Both run under any scheduler.
A result is stored only under the fence of its lease, together with what to do next.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.domain.model import CLEARS_ITSELF, Block, Blocked, Step, Tenant, Verb, Work
from gateway.domain.recipe import Holdings, next_doubt_at_ms, next_work
from gateway.domain.retry import asked_pause_ms
from gateway.domain.rules import Rules
from gateway.errors import LeaseLost, ProviderError, Refused, StorageUnavailable, TryLater
from gateway.flow.reconsider import block, consider, reconsider, unblock
from gateway.flow.reread import reread_subscriptions
from gateway.steps import STEPS
from gateway.steps.context import Context, Halt, MindChanged, Outcome, StepParts, Stopping
from gateway.store import holdings, journal, leases, providers, tenants
from gateway.store.database import Transaction

log = logging.getLogger("gateway.advance")

UNEXPECTED_PAUSE_MS = 60_000
# A whole life needs some ten steps; many more without a single pause is going round in a circle.
MOST_STEPS = 60


@dataclass(frozen=True, slots=True)
class Claim:
    """A tenant under our lease, what it holds, and the one thing to do for it. work None: read its billing again."""

    tenant: Tenant
    held: Holdings
    work: Work | None


def claim_turn(tx: Transaction, rules: Rules, now_ms: int, owner: str, limit: int) -> list[Claim]:
    """Lease what is due and decide its next step; tenants with nothing to do are given back at once."""
    due = leases.claim_due(tx, now_ms, rules.lease_ms, owner, limit)
    claims = (next_claim(tx, tenant, rules, now_ms, "the sweep") for tenant in due)
    return [claim for claim in claims if claim is not None]


def claim_tenant(tx: Transaction, rules: Rules, now_ms: int, owner: str, tenant_id: int) -> Claim | None:
    """The same for one tenant, if it is due. Raises TenantBusy while somebody is changing it."""
    tenant = leases.claim_if_due(tx, tenant_id, now_ms, rules.lease_ms, owner)
    return next_claim(tx, tenant, rules, now_ms, "its job") if tenant is not None else None


def advance(parts: StepParts, claim: Claim) -> None:
    """Work for one tenant until it has to wait. Never raises for anything a provider or the database does."""
    current = claim
    for _ in range(MOST_STEPS):
        following = one_step(parts, current)
        if following is None:
            return
        current = following
    # A provider that never says the same twice must not keep us asking without a pause.
    log.warning("attempt.circles", extra={"fields": names(current)})
    leased = current.tenant
    parts.commit(lambda tx: leases.let_go(tx, leased.id, leased.fence, parts.clock.now_ms() + UNEXPECTED_PAUSE_MS))


def one_step(parts: StepParts, claim: Claim) -> Claim | None:
    """One step and its outcome; the next claim, or None when the tenant was let go or lost."""
    work = claim.work or Work(Verb.LOOK, next(iter(STEPS)))
    ctx = Context(parts, claim.tenant, claim.held, work)
    try:
        outcome = reread_subscriptions(ctx) if claim.work is None else STEPS[work.step][work.verb](ctx)
    except MindChanged:
        outcome = Outcome("changed_meanwhile")
    except LeaseLost as lost:
        log.warning("attempt.lost", extra={"fields": {**names(claim), "reason": str(lost)}})
        return None
    except Stopping:
        outcome = Outcome("stopping", wait_until_ms=ctx.now_ms())
    except ProviderError as error:
        outcome = from_error(ctx, error)
    except StorageUnavailable as error:
        return give_up_for_now(claim, error)
    except Exception:
        # One tenant's surprise must not stop the others; it is tried again after a pause, and people are told.
        log.exception("attempt.surprised", extra={"fields": names(claim)})
        outcome = Outcome("surprised", wait_until_ms=ctx.now_ms() + UNEXPECTED_PAUSE_MS)
    try:
        following = parts.commit(lambda tx: conclude(tx, parts, claim, outcome))
    except LeaseLost as lost:
        log.warning("attempt.lost", extra={"fields": {**names(claim), "reason": str(lost)}})
        return None
    except StorageUnavailable as error:
        return give_up_for_now(claim, error)
    log.info("attempt.finished", extra={"fields": {**names(claim), **told(outcome)}})
    return following


def conclude(tx: Transaction, parts: StepParts, claim: Claim, outcome: Outcome) -> Claim | None:
    """Store an outcome under its fence, and decide what is next, in one transaction."""
    now_ms = parts.clock.now_ms()
    rules = parts.rules
    tenant = leases.check(tx, claim.tenant.id, claim.tenant.fence)
    outcome.store(tx, now_ms)
    note_outcome(tx, claim, outcome, now_ms)
    if outcome.error is not None:
        heed_provider(tx, outcome.error, parts, now_ms)
    if outcome.halt is not None or outcome.wait_until_ms is not None:
        return pause(tx, parts, claim, outcome, now_ms)
    if tenant.tries and not is_look(claim):
        tenants.set_tries(tx, tenant.id, 0)
    if claim.work is not None:
        providers.went_well(tx, provider_of(parts, claim.work))
    if tenant.block is not None and has_settled(tenant.block, claim.work):
        unblock(tx, tenant, f"{outcome.name}: it went on", now_ms)
    following = next_claim(tx, tenant, rules, now_ms, outcome.name)
    if following is not None and parts.is_stopping():
        return let_go(tx, following.tenant, now_ms, now_ms)
    return following


def pause(tx: Transaction, parts: StepParts, claim: Claim, outcome: Outcome, now_ms: int) -> Claim | None:
    """The step has to wait, or cannot go on; but what changed meanwhile makes the tenant due at once."""
    tenant = reconsider(tx, claim.tenant.id, parts.rules, now_ms, outcome.name)
    if tenant.version != claim.tenant.version:
        return let_go(tx, tenant, now_ms, now_ms)
    if outcome.halt is not None:
        halt(tx, tenant, claim, outcome.halt, now_ms)
        return let_go(tx, tenant, outcome.halt.recheck_at_ms, now_ms)
    tenants.set_tries(tx, tenant.id, tenant.tries + 1)
    return let_go(tx, tenant, outcome.wait_until_ms, now_ms)


def next_claim(tx: Transaction, tenant: Tenant, rules: Rules, now_ms: int, cause: str) -> Claim | None:
    """What to do next for a tenant under our lease; with nothing to do it is given back."""
    found = consider(tx, tenant.id, rules, now_ms, cause)
    tenant, held = found.tenant, found.held
    if found.needs_reread:
        return Claim(tenant, held, None)
    work = next_work(tenant.wanted, held, found.target, now_ms, tenant.extent)
    if work is None:
        if tenant.block is not None and tenant.block.code is not Blocked.AMBIGUOUS:
            unblock(tx, tenant, "nothing is left to do", now_ms)
        return let_go(tx, tenant, next_doubt_at_ms(held), now_ms)
    if is_held_back(tenant, work):
        return let_go(tx, tenant, None, now_ms)
    return Claim(tenant, held, work)


def is_held_back(tenant: Tenant, work: Work) -> bool:
    """Whether the tenant's block forbids this work: until a person, an option or another wish clears it."""
    if tenant.block is None or tenant.block.code in CLEARS_ITSELF:
        return False
    if tenant.block.wanted is not tenant.wanted:
        return False
    return work.verb is not Verb.LOOK or tenant.block.code is Blocked.AMBIGUOUS


def let_go(tx: Transaction, tenant: Tenant, at_ms: int | None, now_ms: int) -> Claim | None:
    """Give the tenant back, due again at `at_ms`, when its wish changes by itself, or when something else is due."""
    tenant = tenants.get(tx, tenant.id)
    # A doubt that is due already is what the tenant waits for: counting it would make the pause no pause at all.
    times = [at_ms, tenant.changes_at_ms, next_doubt_at_ms(holdings.of_tenant(tx, tenant.id), after_ms=now_ms)]
    if tenant.block is not None and tenant.block.code is Blocked.AMBIGUOUS:
        times = [tenant.changes_at_ms]
    due = [max(time, now_ms + 1) if time != at_ms else time for time in times if time is not None]
    leases.let_go(tx, tenant.id, tenant.fence, min(due, default=None))
    return None


def halt(tx: Transaction, tenant: Tenant, claim: Claim, why: Halt, now_ms: int) -> None:
    step = claim.work.step if claim.work else None
    block(tx, tenant, Block(why.code, why.message, step, tenant.wanted, now_ms), now_ms)


def is_look(claim: Claim) -> bool:
    """A look proves nothing about the next call: one that says yes and one that says no would go round for ever."""
    return claim.work is not None and claim.work.verb is Verb.LOOK


def has_settled(block: Block, work: Work | None) -> bool:
    """Whether what was done is what the block was about; a look at something else settles nothing."""
    return work is not None and (work.verb is not Verb.LOOK or block.step in (None, work.step))


def provider_of(parts: StepParts, work: Work) -> str:
    """Whose calls a step that went well has made."""
    return parts.telephony.provider if work.step is Step.BUY_NUMBER else parts.assistants.provider


def heed_provider(tx: Transaction, error: ProviderError, parts: StepParts, now_ms: int) -> None:
    """Let all workers honour a 429, and hold back from a provider that refuses our credentials."""
    if isinstance(error, TryLater) and error.rate_limited:
        state = providers.states(tx).get(error.provider)
        pauses = state.pauses if state else 0
        pause_ms = asked_pause_ms(error.retry_after_seconds, min(pauses, 5), parts.random.random())
        providers.pause(tx, error.provider, now_ms + pause_ms, now_ms)
    if isinstance(error, Refused) and error.kind == "credentials":
        is_new = providers.refuse(tx, error.provider, str(error), now_ms + parts.rules.probe_ms, now_ms)
        if is_new:
            log.error("provider.refuses", extra={"fields": {"provider": error.provider, "reason": str(error)}})


def from_error(ctx: Context, error: ProviderError) -> Outcome:
    """What a provider's error means where the step itself had no better answer: nothing was sent, or only asked."""
    detail = {"why": str(error), "provider": error.provider, "operation": error.operation}
    if isinstance(error, Refused):
        key = ctx.tenant.tenant_key
        if error.kind == "credentials":
            message = f"{key} waits: {error} It goes on by itself once that is put right."
            return Outcome("refused", detail, halt=Halt(Blocked.PROVIDER_CREDENTIALS, message), error=error)
        message = f"{key} waits: {error} Put it right, then: {ctx.retry_command}"
        return Outcome("refused", detail, halt=Halt(Blocked.PROVIDER_REFUSED, message), error=error)
    retry_after = error.retry_after_seconds if isinstance(error, TryLater) else None
    pause_ms = asked_pause_ms(retry_after, ctx.tenant.tries, ctx.parts.random.random())
    return Outcome("try_later", detail, wait_until_ms=ctx.now_ms() + pause_ms, error=error)


def note_outcome(tx: Transaction, claim: Claim, outcome: Outcome, now_ms: int) -> None:
    name = f"{claim.work.step}.{outcome.name}" if claim.work else f"billing.{outcome.name}"
    detail: dict[str, Any] = {"verb": claim.work.verb if claim.work else "look", **outcome.detail}
    if outcome.duration_ms is not None:
        detail["duration_ms"] = outcome.duration_ms
    if outcome.wait_until_ms is not None:
        detail["next_ms"] = outcome.wait_until_ms
    journal.write(tx, claim.tenant.id, now_ms, "outcome", name, detail)


def give_up_for_now(claim: Claim, error: StorageUnavailable) -> Claim | None:
    """Nothing can be stored: the lease runs out by itself, and the next worker looks before it does anything."""
    log.error("attempt.not_stored", extra={"fields": {**names(claim), "reason": str(error)}})
    return None


def names(claim: Claim) -> Mapping[str, Any]:
    step = claim.work.step if claim.work else "billing"
    return {"tenant": claim.tenant.tenant_key, "step": step, "verb": claim.work.verb if claim.work else "look"}


def told(outcome: Outcome) -> Mapping[str, Any]:
    fields: dict[str, Any] = {"outcome": outcome.name}
    if outcome.detail.get("attempt") is not None:
        fields["attempt"] = outcome.detail["attempt"]
    if outcome.duration_ms is not None:
        fields["duration_ms"] = outcome.duration_ms
    if outcome.error is not None:
        fields["provider"] = outcome.error.provider
        fields["status"] = outcome.error.status
    if outcome.halt is not None:
        fields["blocked"] = outcome.halt.code
    return fields
