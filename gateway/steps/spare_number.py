"""A number that was spare stock becomes a tenant's: in the tables first, then by its name at the provider.

In one transaction the spare number ends and the tenant's intent owns the number. From then on its purchase step is in
doubt until the number bears the tenant's tag, so whoever works for the tenant, after whatever crash, renames it first.
"""

from __future__ import annotations

from gateway.domain import keys
from gateway.domain.model import Blocked, Held, Holding, Intent, IntentStatus, Step, Tenant
from gateway.errors import Refused, TryLater
from gateway.ports import OwnedNumber
from gateway.steps.context import Context, Halt, Outcome, StepParts
from gateway.store import attempts, holdings, intents, journal, ledger, subscriptions, tenants
from gateway.store.database import Transaction

RENAME = "rename"
THINGS = {Step.BUY_NUMBER: "number", Step.IMPORT_NUMBER: "entry"}


def hand_over(tx: Transaction, parts: StepParts, spare: Tenant, intent: Intent, to: str, now_ms: int) -> None:
    """The spare number is somebody else's now: nothing of it is left here, and its generation is over.

    Nobody may be working for it: the caller has seen to that in this transaction.
    """
    held = holdings.of_tenant(tx, spare.id)
    for step, thing in THINGS.items():
        ref = held[step].ref
        if ref is not None and ledger.is_held(tx, thing, ref):
            ledger.write(tx, spare, thing, "lost", "given", provider_of(parts, step), ref, intent.number, now_ms)
    for step in Step:
        holdings.put(tx, spare.id, Holding(step, Held.NO), now_ms)
    intents.end(tx, intent, IntentStatus.GIVEN, f"given to {to}", now_ms)
    subscriptions.end_manual(tx, spare.id, spare.tenant_key, now_ms)
    journal.write(tx, spare.id, now_ms, "note", "given", {"number": intent.number, "tenant": to})
    tenants.change_mind(tx, spare.id, now_ms)


def provider_of(parts: StepParts, step: Step) -> str:
    """Where the thing of this step is."""
    return parts.telephony.provider if step is Step.BUY_NUMBER else parts.assistants.provider


def former_tag(ctx: Context) -> str | None:
    """What the tenant's number was called as spare stock."""
    tag: str | None = ctx.held[Step.BUY_NUMBER].detail.get("former_tag")
    return tag


def rename(ctx: Context, intent: Intent, sid: str) -> Outcome:
    """Give the number its tenant's tag. Safe to repeat: until it is seen under that tag it stays in doubt."""
    detail = dict(ctx.held[Step.BUY_NUMBER].detail)

    def before(tx: Transaction, now_ms: int) -> None:
        ctx.put(tx, Holding(Step.BUY_NUMBER, Held.MAYBE, sid, detail), now_ms)

    effect = ctx.effect(
        ctx.telephony.provider, RENAME, intent.number, lambda deadline: ctx.telephony.rename(sid, ctx.tag, deadline),
        before,
    )  # fmt: skip
    error = effect.error
    told = "renamed"
    if error is not None:
        told = attempts.NOT_PROCESSED if isinstance(error, TryLater) else attempts.UNCLEAR
        told = "refused" if isinstance(error, Refused) else told

    def store(tx: Transaction, now_ms: int) -> None:
        effect.finish(tx, told, now_ms)
        if error is None:
            ctx.put(tx, renamed(intent, sid, detail, now_ms), now_ms)

    outcome = {"number": intent.number, "attempt": effect.attempt.id}
    if error is None:
        return Outcome(told, outcome, store, duration_ms=effect.duration_ms)
    return Outcome(
        told,
        {**outcome, "why": str(error)},
        store,
        None if isinstance(error, Refused) else ctx.now_ms() + ctx.pause_ms(ctx.tenant.tries),
        refused_halt(ctx, intent, error) if isinstance(error, Refused) else None,
        error,
        effect.duration_ms,
    )


def renamed(intent: Intent, sid: str, detail: dict[str, object], now_ms: int) -> Holding:
    """Held. A purchase of the spare number that may still land would name it back: then it is looked at once more."""
    until_ms = detail.get("former_until_ms")
    is_safe = not isinstance(until_ms, int) or until_ms <= now_ms
    kept = {"number": intent.number, "tag": intent.tag}
    if is_safe:
        return Holding(Step.BUY_NUMBER, Held.YES, sid, kept)
    assert isinstance(until_ms, int)
    return Holding(Step.BUY_NUMBER, Held.YES, sid, {**detail, **kept}, until_ms)


def refused_halt(ctx: Context, intent: Intent, error: Refused) -> Halt:
    if error.kind == "credentials":
        return Halt(Blocked.PROVIDER_CREDENTIALS, f"{error} It goes on by itself once they are put right.")
    message = (
        f"{intent.number} is {ctx.tenant.tenant_key}'s, but Twilio does not take its new name: {error}. "
        f"Put it right at Twilio, then: {ctx.retry_command}"
    )
    return Halt(Blocked.PROVIDER_REFUSED, message)


def is_given(ctx: Context, there: OwnedNumber) -> bool:
    """Whether a spare number bears the tag of one of our tenants: an old backup does not know that it was given."""
    if not keys.is_spare(ctx.tenant.tenant_key):
        return False
    read = keys.read_tag(ctx.rules.env, there.tag)
    return read is not None and read[0] != keys.digest(ctx.tenant.tenant_key)


def given(ctx: Context, there: OwnedNumber) -> Outcome:
    """Let the number go in our tables; at the provider it is its tenant's already."""

    def store(tx: Transaction, now_ms: int) -> None:
        intent = intents.open_of(tx, ctx.tenant)
        if intent is not None:
            hand_over(tx, ctx.parts, ctx.tenant, intent, there.tag, now_ms)

    return Outcome("given", {"number": there.number, "why": f"it bears {there.tag}"}, store)
