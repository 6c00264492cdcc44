"""Give the number back: compare it first, send the DELETE, and call it released only once that is proved.

Proof is a look at both providers that starts the settle time after the last POST or DELETE of this generation to
each: a request in flight may land late, and a number called released must not cost money.
"""

from __future__ import annotations

from gateway.domain import keys
from gateway.domain.model import Blocked, Held, Holding, Intent, IntentStatus, Step
from gateway.domain.retry import asked_pause_ms
from gateway.domain.rules import DAY_MS, HOUR_MS
from gateway.errors import Refused, TryLater
from gateway.ports import Entry, OwnedNumber
from gateway.steps.after_restore import hold_back
from gateway.steps.context import BRAKES, Context, Effect, Halt, Halted, Outcome, no
from gateway.store import attempts, holdings, intents, journal, ledger
from gateway.store.database import Transaction

RELEASE = "release"
REMOVE = "remove"
# An entry taken away to put an import right, not to give the number back: the brake does not count it.
TIDY = "tidy"
AT_TELEPHONY = ["buy", RELEASE]
AT_ASSISTANTS = ["import", REMOVE, TIDY]


def undo(ctx: Context) -> Outcome:
    """Release the number we own, if it still is what we believe it to be."""
    intent = ctx.read_one(lambda tx: intents.open_of(tx, ctx.tenant))
    holding = ctx.held[Step.BUY_NUMBER]
    if intent is None or holding.ref is None:
        return without_record(ctx, holding)
    try:
        return delete(ctx, intent, holding.ref)
    except Halted as halted:
        return halted.outcome


def without_record(ctx: Context, holding: Holding) -> Outcome:
    """Held, and no intent says how: nothing is called released on a guess."""
    message = (
        f"{ctx.tenant.tenant_key} holds {holding.detail.get('number')} ({holding.ref}), and the record of its "
        "purchase is missing. Nothing was released. Release it at Twilio, then: " + ctx.retry_command
    )
    return Outcome("ambiguous", {"why": message}, halt=Halt(Blocked.AMBIGUOUS, message))


def delete(ctx: Context, intent: Intent, sid: str) -> Outcome:
    """Compare number and tag at Twilio, commit the intention, send one DELETE."""
    there = ctx.ask(ctx.telephony.provider, lambda deadline: ctx.telephony.fetch(sid, deadline))
    if there is None:
        return Outcome("already_gone", {"number": intent.number}, lambda tx, now_ms: put_releasing(ctx, tx, now_ms))
    if (there.number, there.tag) != (intent.number, intent.tag):
        return not_as_believed(ctx, intent, there)

    def before(tx: Transaction, now_ms: int) -> None:
        hold_back(ctx, tx, now_ms)
        check_release_brake(ctx, tx, now_ms)
        put_releasing(ctx, tx, now_ms)

    effect = ctx.effect(
        ctx.telephony.provider, RELEASE, intent.number, lambda deadline: ctx.telephony.release(sid, deadline), before
    )
    return deleted(ctx, intent, sid, effect)


def deleted(ctx: Context, intent: Intent, sid: str, effect: Effect[bool]) -> Outcome:
    """What the answer to a DELETE says."""
    error = effect.error
    detail = {"number": intent.number, "attempt": effect.attempt.id}
    if error is None:
        name = "released" if effect.value else "already_gone"

        def store_deleted(tx: Transaction, now_ms: int) -> None:
            effect.finish(tx, name, now_ms)

        return Outcome(name, detail, store_deleted, duration_ms=effect.duration_ms)
    had_no_effect = isinstance(error, TryLater | Refused)
    told = attempts.NOT_PROCESSED if isinstance(error, TryLater) else "refused" if had_no_effect else attempts.UNCLEAR

    def store(tx: Transaction, now_ms: int) -> None:
        effect.finish(tx, told, now_ms)
        if had_no_effect and not attempts.was_processed(tx, ctx.tenant, RELEASE):
            ctx.put(tx, held_again(intent, sid), now_ms)

    outcome = Outcome(
        told, {**detail, "why": str(error)}, store, error=error, duration_ms=effect.duration_ms,
        wait_until_ms=ctx.now_ms() + pause_after(ctx, error),
    )  # fmt: skip
    if isinstance(error, Refused):
        return Outcome(told, outcome.detail, store, halt=refused_halt(ctx, intent, error), error=error,
                       duration_ms=effect.duration_ms)  # fmt: skip
    return outcome


def look(ctx: Context) -> Outcome:
    """After a DELETE: prove that nothing is left, or delete again what still is there."""
    intent = ctx.read_one(lambda tx: intents.open_of(tx, ctx.tenant))
    if intent is None:
        return Outcome("nothing_left", store=lambda tx, now_ms: forget_all(ctx, tx, now_ms))
    looked_at_ms = ctx.now_ms()
    try:
        left = left_at_telephony(ctx, intent)
        if left is not None:
            return delete_again(ctx, intent, left, looked_at_ms)
        entry = left_at_assistants(ctx, intent)
        if entry is not None:
            return remove_again(ctx, intent, entry, looked_at_ms)
    except Halted as halted:
        return halted.outcome
    proof_at_ms = ctx.read(lambda tx: proof_from_ms(ctx, tx))
    if looked_at_ms < proof_at_ms:
        return Outcome("not_proved_yet", {"until_ms": proof_at_ms}, wait_until_ms=proof_at_ms)
    return Outcome("release_proved", {"number": intent.number}, lambda tx, now_ms: gone(ctx, tx, intent, now_ms))


def left_at_telephony(ctx: Context, intent: Intent) -> OwnedNumber | None:
    """What Twilio still has of this generation: by number, and by tag."""
    there = ctx.ask(ctx.telephony.provider, lambda deadline: ctx.telephony.find_by_number(intent.number, deadline))
    if there is not None and there.tag == intent.tag:
        return there
    if there is not None and not keys.is_tag(there.tag):
        raise Halted(not_as_believed(ctx, intent, there))
    tagged = ctx.ask(ctx.telephony.provider, lambda deadline: ctx.telephony.find_by_tag(intent.tag, deadline))
    return tagged[0] if tagged else None


def left_at_assistants(ctx: Context, intent: Intent) -> Entry | None:
    """An entry that is left at Vapi for the number; another tenant's later one does not count."""
    entries = ctx.ask(ctx.assistants.provider, lambda deadline: ctx.assistants.find(intent.number, deadline))
    ours = [entry for entry in entries if entry.tag == intent.tag or not keys.is_tag(entry.tag)]
    return ours[0] if ours else None


def delete_again(ctx: Context, intent: Intent, left: OwnedNumber, looked_at_ms: int) -> Outcome:
    """Still there: the list may lag, or a late POST bought it once more. A DELETE is safe to repeat."""
    since_ms = ctx.read_one(lambda tx: attempts.last_began_at_ms(tx, ctx.tenant.id))
    wait_ms = since_ms + ctx.pause_ms(min(ctx.tenant.tries + 1, 5)) - looked_at_ms
    if wait_ms > 0:
        return Outcome("still_there", {"number": left.number}, wait_until_ms=looked_at_ms + wait_ms)

    def before(tx: Transaction, now_ms: int) -> None:
        hold_back(ctx, tx, now_ms)
        put_releasing(ctx, tx, now_ms)

    effect = ctx.effect(
        ctx.telephony.provider,
        RELEASE,
        left.number,
        lambda deadline: ctx.telephony.release(left.sid, deadline),
        before,
    )
    return deleted(ctx, intent, left.sid, effect)


def remove_again(ctx: Context, intent: Intent, entry: Entry, looked_at_ms: int) -> Outcome:
    """An entry landed late, or was never removed."""
    effect = ctx.effect(
        ctx.assistants.provider,
        REMOVE,
        intent.number,
        lambda deadline: ctx.assistants.remove(entry.id, deadline),
        lambda tx, now_ms: hold_back(ctx, tx, now_ms),
    )
    told = "removed" if effect.error is None else attempts.UNCLEAR
    if isinstance(effect.error, TryLater | Refused):
        told = attempts.NOT_PROCESSED
    return Outcome(
        told,
        {"entry": entry.id, "attempt": effect.attempt.id},
        lambda tx, now_ms: effect.finish(tx, told, now_ms),
        wait_until_ms=looked_at_ms + ctx.pause_ms(ctx.tenant.tries + 1),
        error=effect.error,
        duration_ms=effect.duration_ms,
    )


def proof_from_ms(ctx: Context, tx: Transaction) -> int:
    """From when on a look that finds nothing at both providers proves the release."""
    last_ms = attempts.last_end_at_ms(tx, ctx.tenant, [*AT_TELEPHONY, *AT_ASSISTANTS])
    return last_ms + ctx.rules.settle_ms


def gone(ctx: Context, tx: Transaction, intent: Intent, now_ms: int) -> None:
    for operation in (*AT_TELEPHONY, *AT_ASSISTANTS):
        open_ones = attempts.open_for_tenant(tx, ctx.tenant, operation)
        attempts.settle(tx, open_ones, "release_proved", now_ms)
    intents.end(tx, intent, IntentStatus.RELEASED, "release proved at both providers", now_ms)
    ledger.write(
        tx, ctx.tenant, "number", "lost", "released", ctx.telephony.provider, intent.sid or "", intent.number, now_ms
    )
    forget_all(ctx, tx, now_ms)


def forget_all(ctx: Context, tx: Transaction, now_ms: int) -> None:
    for step in (Step.BUY_NUMBER, Step.IMPORT_NUMBER, Step.ASSIGN_ASSISTANT):
        ctx.put(tx, no(step), now_ms)


def put_releasing(ctx: Context, tx: Transaction, now_ms: int) -> None:
    holding = ctx.held[Step.BUY_NUMBER]
    detail = {**holding.detail, "is_releasing": True}
    ctx.put(tx, Holding(Step.BUY_NUMBER, Held.MAYBE, holding.ref, detail), now_ms)


def held_again(intent: Intent, sid: str) -> Holding:
    return Holding(Step.BUY_NUMBER, Held.YES, sid, {"number": intent.number, "tag": intent.tag})


def check_release_brake(ctx: Context, tx: Transaction, now_ms: int) -> None:
    """Many releases at once are more often a mistake than a wish. Counts tenants; raises Halted."""
    operations = (RELEASE, REMOVE)
    if journal.brake_was_lifted(tx, ctx.tenant.id, now_ms - DAY_MS) or attempts.has_begun(tx, ctx.tenant, operations):
        return
    tx.lock(BRAKES)
    in_hour = attempts.count_tenants_since(tx, operations, now_ms - HOUR_MS, ctx.tenant.id)
    in_day = attempts.count_tenants_since(tx, operations, now_ms - DAY_MS, ctx.tenant.id)
    held = holdings.count_numbers_held_since(tx, operations, now_ms - DAY_MS)
    of_day = max(ctx.rules.fewest_for_release_share, int(held * ctx.rules.max_release_share))
    if in_hour < ctx.rules.max_releases_per_hour and in_day < of_day:
        return
    message = (
        f"{ctx.tenant.tenant_key} keeps its number for now: {in_hour} tenants were released within an hour and "
        f"{in_day} within a day, which is more than MAX_RELEASES_PER_HOUR ({ctx.rules.max_releases_per_hour}) or "
        f"MAX_RELEASE_SHARE (here {of_day} a day) allow. Nothing was released. If these releases are meant: "
        "python -m gateway tenants retry --blocked release_brake --yes"
    )
    raise Halted(Outcome("release_brake", halt=Halt(Blocked.RELEASE_BRAKE, message)))


def not_as_believed(ctx: Context, intent: Intent, there: OwnedNumber) -> Outcome:
    message = (
        f"{ctx.tenant.tenant_key} should give back {intent.number}, but at Twilio it is {there.number} under the name "
        f"{there.tag!r}. Nothing was released. Put it right at Twilio, then: "
        f"{ctx.retry_command}"
    )
    return Outcome("ambiguous", {"why": message}, halt=Halt(Blocked.AMBIGUOUS, message))


def refused_halt(ctx: Context, intent: Intent, error: Refused) -> Halt:
    if error.kind == "credentials":
        return Halt(Blocked.PROVIDER_CREDENTIALS, f"{error} It goes on by itself once they are put right.")
    message = (
        f"{ctx.tenant.tenant_key} could not give back {intent.number}: {error}. It still costs money. "
        f"Put it right at Twilio, then: {ctx.retry_command}"
    )
    return Halt(Blocked.PROVIDER_REFUSED, message)


def pause_after(ctx: Context, error: Exception | None) -> int:
    if isinstance(error, TryLater):
        return asked_pause_ms(error.retry_after_seconds, ctx.tenant.tries, ctx.parts.random.random())
    return ctx.pause_ms(ctx.tenant.tries)
