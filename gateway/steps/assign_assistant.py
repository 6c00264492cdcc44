"""Set what the number does with a call: the tenant's assistant answers, or, suspended, a sentence is spoken.

Absolute values, so a repeat is harmless. A PATCH in doubt may still land after a later one, so the entry is looked at
once more when it no longer can.
"""

from __future__ import annotations

from dataclasses import replace

from gateway.domain import keys, options
from gateway.domain.model import Answering, Blocked, Extent, Held, Holding, Options, Step, Wanted
from gateway.domain.recipe import target_of
from gateway.domain.retry import asked_pause_ms
from gateway.domain.rules import answering_for
from gateway.errors import OptionsInvalid, Refused, TryLater
from gateway.ports import Entry
from gateway.steps.choose_number import needs_assistant
from gateway.steps.context import Context, Effect, Halt, Halted, Outcome, no
from gateway.store import attempts, holdings, subscriptions
from gateway.store.database import Transaction

ASSIGN = "assign"
GONE = 404
MOST_IN_VAIN = 6
IN_VAIN_WINDOW_MS = 600_000


def make(ctx: Context) -> Outcome:
    """Set assistant, server and sentence, unless they are set already."""
    try:
        entry = require_entry(ctx)
        answering = wanted_answering(ctx, entry)
        if is_set(entry.answering, answering):
            return Outcome("already_set", {"entry": entry.id}, lambda tx, now_ms: keep(ctx, tx, entry, now_ms))
        if answering.says is not None:
            answering = without_missing_assistant(ctx, answering)
        return send(ctx, entry, answering)
    except Halted as halted:
        return halted.outcome


def look(ctx: Context) -> Outcome:
    """What the entry really does with a call now; anything else than wanted is set anew by `make`."""
    try:
        entry = require_entry(ctx)
    except Halted as halted:
        return halted.outcome

    def store(tx: Transaction, now_ms: int) -> None:
        attempts.settle(tx, attempts.open_for_tenant(tx, ctx.tenant, ASSIGN), attempts.PROVED_DONE, now_ms)
        keep(ctx, tx, entry, now_ms)

    return Outcome("looked", {"entry": entry.id, "set": describe(entry.answering)}, store)


def send(ctx: Context, entry: Entry, answering: Answering) -> Outcome:
    def before(tx: Transaction, now_ms: int) -> None:
        held = Holding(Step.ASSIGN_ASSISTANT, Held.MAYBE, None, {"entry": entry.id})
        ctx.put(tx, held, now_ms)

    effect = ctx.effect(
        ctx.assistants.provider,
        ASSIGN,
        entry.number,
        lambda deadline: ctx.assistants.assign(entry.id, answering, deadline),
        before,
    )
    set_now = effect.value
    if set_now is not None and is_set(set_now.answering, answering):

        def store_set(tx: Transaction, now_ms: int) -> None:
            effect.finish(tx, "assigned", now_ms)
            keep(ctx, tx, set_now, now_ms)

        detail = {"entry": entry.id, "attempt": effect.attempt.id, "set": describe(answering)}
        name = "silenced" if answering.says is not None else "assigned"
        return Outcome(name, detail, store_set, duration_ms=effect.duration_ms)
    return not_set(ctx, effect, answering)


def not_set(ctx: Context, effect: Effect[Entry], answering: Answering) -> Outcome:
    error = effect.error
    had_no_effect = isinstance(error, TryLater | Refused)
    told = attempts.NOT_PROCESSED if isinstance(error, TryLater) else "refused" if had_no_effect else attempts.UNCLEAR

    def store(tx: Transaction, now_ms: int) -> None:
        effect.finish(tx, told, now_ms)
        if had_no_effect and not attempts.open_for_tenant(tx, ctx.tenant, ASSIGN, besides=effect.attempt.id):
            ctx.put(tx, ctx.held[Step.ASSIGN_ASSISTANT], now_ms)

    detail = {"attempt": effect.attempt.id, "why": str(error) if error else "the answer shows other settings"}
    outcome = Outcome(told, detail, store, error=error, duration_ms=effect.duration_ms)
    if isinstance(error, Refused) and error.status == GONE:
        return replace(outcome, name="entry_gone", store=lambda tx, now_ms: entry_gone(ctx, tx, effect, now_ms))
    if isinstance(error, Refused):
        return replace(outcome, halt=refused_halt(ctx, error, answering))
    if isinstance(error, TryLater):
        pause_ms = asked_pause_ms(error.retry_after_seconds, ctx.tenant.tries, ctx.parts.random.random())
        return replace(outcome, wait_until_ms=ctx.now_ms() + pause_ms)
    return in_vain(ctx, effect, outcome, answering)


def in_vain(ctx: Context, effect: Effect[Entry], outcome: Outcome, answering: Answering) -> Outcome:
    """No clear answer, or one that shows other settings: look soon, then set again; but not for ever."""
    since_ms = ctx.now_ms() - IN_VAIN_WINDOW_MS
    made = ctx.read_one(lambda tx: attempts.count_since(tx, ctx.tenant, ASSIGN, effect.attempt.number or "", since_ms))
    if effect.value is None or made < MOST_IN_VAIN:
        return replace(outcome, wait_until_ms=ctx.now_ms() + ctx.pause_ms(made - 1))
    message = (
        f"{ctx.tenant.tenant_key} has its number, but its Vapi entry keeps other settings than {describe(answering)}: "
        "perhaps a squad, a workflow or a hook was set by hand. Take those off at Vapi, then: "
        f"{ctx.retry_command}"
    )
    return replace(outcome, halt=Halt(Blocked.PROVIDER_REFUSED, message))


def entry_gone(ctx: Context, tx: Transaction, effect: Effect[Entry], now_ms: int) -> None:
    effect.finish(tx, "refused", now_ms)
    doubt_import(ctx, tx, now_ms)


def require_entry(ctx: Context) -> Entry:
    """The entry the number was imported as; if it is gone, the import is put in doubt. Raises Halted."""
    entry_id = ctx.held[Step.IMPORT_NUMBER].ref
    entry = None
    if entry_id is not None:
        known_id = entry_id
        entry = ctx.ask(ctx.assistants.provider, lambda deadline: ctx.assistants.get(known_id, deadline))
    if entry is None:
        # Not at once: a list that still shows what is gone would send us round in a circle.
        wait_until_ms = ctx.now_ms() + ctx.pause_ms(ctx.tenant.tries)
        raise Halted(
            Outcome("entry_gone", store=lambda tx, now_ms: doubt_import(ctx, tx, now_ms), wait_until_ms=wait_until_ms)
        )
    number = ctx.held[Step.BUY_NUMBER].detail.get("number")
    if entry.number == number and not (keys.is_tag(entry.tag) and entry.tag != ctx.tag):
        return entry
    message = (
        f"The Vapi entry {entry.id} of {ctx.tenant.tenant_key} is not this tenant's any more: "
        f"it is for {entry.number} under the name {entry.tag!r}. Nothing was changed. Put it right at Vapi, then: "
        f"{ctx.retry_command}"
    )
    raise Halted(Outcome("ambiguous", {"why": message}, halt=Halt(Blocked.AMBIGUOUS, message)))


def doubt_import(ctx: Context, tx: Transaction, now_ms: int) -> None:
    ctx.put(tx, no(Step.ASSIGN_ASSISTANT), now_ms)
    if ctx.held[Step.IMPORT_NUMBER].held is Held.YES:
        holdings.doubt(tx, ctx.tenant.id, Step.IMPORT_NUMBER, now_ms, now_ms)


def wanted_answering(ctx: Context, entry: Entry) -> Answering:
    """The settings wanted now, absolute. What we have no opinion on stays as it is."""
    try:
        parsed = assistant_options(ctx)
    except OptionsInvalid as error:
        if ctx.tenant.wanted is not Wanted.SUSPENDED:
            raise Halted(invalid(ctx, error)) from error
        parsed = options.parse({}, ctx.rules)
    answering = answering_for(ctx.tenant.tenant_key, parsed, ctx.tenant.wanted, ctx.rules)
    if answering.says is not None:
        # Suspending is no change of assistant, so that a return finds what was set by hand.
        return Answering(entry.answering.assistant_id, entry.answering.server_url, answering.says)
    if answering.assistant_id is None and ctx.tenant.extent is not Extent.FULL:
        answering = replace(answering, assistant_id=entry.answering.assistant_id)
    elif answering.assistant_id is None:
        raise Halted(Outcome("needs_assistant", halt=needs_assistant(ctx, None)))
    return replace(answering, server_url=answering.server_url or entry.answering.server_url)


def without_missing_assistant(ctx: Context, answering: Answering) -> Answering:
    """Suspending must work even when the assistant is gone meanwhile, and Vapi may take no entry that names it."""
    assistant_id = answering.assistant_id
    if assistant_id is None or ctx.ask(
        ctx.assistants.provider, lambda deadline: ctx.assistants.assistant_exists(assistant_id, deadline)
    ):
        return answering
    return replace(answering, assistant_id=None)


def assistant_options(ctx: Context) -> Options:
    merged = ctx.read_one(lambda tx: options.merge(subscriptions.options_of(tx, ctx.tenant.id)))
    return options.parse({name: value for name, value in merged.items() if name == "assistant_id"}, ctx.rules)


def invalid(ctx: Context, error: OptionsInvalid) -> Outcome:
    key = ctx.tenant.tenant_key
    message = (
        f"{key} keeps its number but gets no assistant: the option {error.key} makes no sense. {error} "
        f'Correct it: python -m gateway tenants set {key} {error.key}=… --reason "corrected"'
    )
    return Outcome("options_invalid", halt=Halt(Blocked.OPTIONS_INVALID, message))


def is_set(found: Answering, wanted: Answering) -> bool:
    return found == wanted


def keep(ctx: Context, tx: Transaction, entry: Entry, now_ms: int) -> None:
    """Store what the entry does, in the words of the target it is compared with."""
    doubt_at_ms = attempts.last_unclear_end_at_ms(tx, ctx.tenant, [ASSIGN])
    if doubt_at_ms is not None:
        doubt_at_ms += ctx.rules.settle_ms
    if doubt_at_ms is not None and doubt_at_ms <= now_ms:
        doubt_at_ms = None
    held = Holding(Step.ASSIGN_ASSISTANT, Held.YES, ref_of(ctx, entry.answering), {"entry": entry.id}, doubt_at_ms)
    ctx.put(tx, held, now_ms)


def ref_of(ctx: Context, found: Answering) -> str:
    """As `target_of`, but what was set by somebody else counts as nothing where we want nothing of our own."""
    if found.says is None and ctx.rules.server_url_template is None:
        found = replace(found, server_url=None)
    if found.says is None and not has_assistant(ctx):
        found = replace(found, assistant_id=None)
    return target_of(found)


def has_assistant(ctx: Context) -> bool:
    """Whether the tenant is to be answered by a certain assistant; made by hand it may not be."""
    if ctx.tenant.extent is Extent.FULL:
        return True
    try:
        return assistant_options(ctx).assistant_id is not None
    except OptionsInvalid:
        return True


def describe(answering: Answering) -> str:
    return "the suspended sentence" if answering.says is not None else f"assistant {answering.assistant_id or 'none'}"


def refused_halt(ctx: Context, error: Refused, answering: Answering) -> Halt:
    if error.kind == "credentials":
        return Halt(Blocked.PROVIDER_CREDENTIALS, f"{error} It goes on by itself once they are put right.")
    assistant_id = answering.assistant_id
    if assistant_id is not None and not ctx.ask(
        ctx.assistants.provider, lambda deadline: ctx.assistants.assistant_exists(assistant_id, deadline)
    ):
        return needs_assistant(ctx, assistant_id)
    message = (
        f"{ctx.tenant.tenant_key} has its number, but Vapi refuses to set {describe(answering)}: {error}. "
        f"Put it right at Vapi, then: {ctx.retry_command}"
    )
    return Halt(Blocked.PROVIDER_REFUSED, message)
