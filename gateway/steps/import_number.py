"""Make the number known to the voice-AI platform, once: look, import, and see that its calls arrive there.

The platform has no idempotency key and may or may not refuse a second import. So an import in doubt is repeated only
after a look that starts the settle time after it; until then only looks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gateway.domain import keys
from gateway.domain.model import Blocked, Step, Wanted
from gateway.domain.retry import asked_pause_ms
from gateway.domain.rules import HOUR_MS
from gateway.errors import Refused, TryLater, Unclear
from gateway.ports import Entry, OwnedNumber
from gateway.steps.after_restore import hold_back
from gateway.steps.context import Context, Effect, Halt, Halted, Outcome, no
from gateway.steps.entry_records import forget, former_tag, gained, keep, number_of, put_maybe, refer_to
from gateway.steps.release_number import REMOVE, TIDY, check_release_brake
from gateway.steps.take_over_entry import name_it
from gateway.store import attempts
from gateway.store.database import Transaction

IMPORT = "import"
RENAME = "rename"
MOST_TRIES = 6
MOST_IMPORTS = 3


@dataclass(frozen=True, slots=True)
class Wiring:
    """Where the telephony provider sends the number's calls. is_unset: nowhere, so nobody has set it by hand."""

    is_right: bool
    is_unset: bool


def make(ctx: Context) -> Outcome:
    """Import the number we own, unless the platform knows it already."""
    try:
        require_ours(ctx)
        entries = entries_of(ctx)
        if entries:
            return settle_on(ctx, entries)
        return send(ctx)
    except Halted as halted:
        return halted.outcome


def look(ctx: Context) -> Outcome:
    """Find out whether an entry is there, exactly once, and whether the number's calls go to it."""
    looked_at_ms = ctx.now_ms()
    try:
        entries = entries_of(ctx)
        if entries:
            return settle_on(ctx, entries)
    except Halted as halted:
        return halted.outcome
    ref = ctx.held[Step.IMPORT_NUMBER].ref
    entry = ctx.ask(ctx.assistants.provider, lambda deadline: ctx.assistants.get(ref, deadline)) if ref else None
    if entry is not None and (entry.number != number_of(ctx) or is_foreign(ctx, entry)):
        return foreign(ctx, entry)
    if entry is not None:
        return Outcome("not_listed_yet", wait_until_ms=looked_at_ms + ctx.pause_ms(ctx.tenant.tries))
    return absent(ctx, looked_at_ms)


def undo(ctx: Context) -> Outcome:
    """Remove the entry, after making sure that it is this tenant's."""
    holding = ctx.held[Step.IMPORT_NUMBER]
    entry_id = holding.ref or ""
    try:
        entry = ctx.ask(ctx.assistants.provider, lambda deadline: ctx.assistants.get(entry_id, deadline))
        if entry is None:
            return Outcome("already_gone", store=lambda tx, now_ms: forget(ctx, tx, entry_id, "missing", now_ms))
        if entry.number != number_of(ctx) or is_foreign(ctx, entry):
            raise Halted(foreign(ctx, entry))
        return remove(ctx, entry_id, REMOVE)
    except Halted as halted:
        return halted.outcome


def send(ctx: Context) -> Outcome:
    number = number_of(ctx)
    effect = ctx.effect(
        ctx.assistants.provider,
        IMPORT,
        number,
        lambda deadline: ctx.assistants.import_number(number, ctx.tag, deadline),
        lambda tx, now_ms: put_maybe(ctx, tx, None, now_ms),
    )
    if effect.value is not None and effect.value.number == number:
        return imported(ctx, effect.value, effect)
    return not_imported(ctx, effect)


def imported(ctx: Context, entry: Entry, effect: Effect[Entry]) -> Outcome:
    """The platform says it is done; the number's voice URL at the telephony provider is the proof."""
    wiring = wiring_of(ctx)

    def store(tx: Transaction, now_ms: int) -> None:
        effect.finish(tx, "imported", now_ms)
        gained(ctx, tx, entry, "imported", now_ms)
        keep(ctx, tx, entry, wiring.is_right, now_ms)

    detail = {"entry": entry.id, "attempt": effect.attempt.id}
    return wired_or_wait(ctx, Outcome("imported", detail, store, duration_ms=effect.duration_ms), wiring)


def not_imported(ctx: Context, effect: Effect[Entry]) -> Outcome:
    error = effect.error or Unclear("The entry bears another number.", provider=ctx.assistants.provider)
    is_known = isinstance(error, Refused) and error.kind == "exists"
    had_no_effect = isinstance(error, TryLater | Refused) and not is_known
    told = attempts.UNCLEAR
    if had_no_effect:
        told = attempts.NOT_PROCESSED if isinstance(error, TryLater) else "refused"

    def store(tx: Transaction, now_ms: int) -> None:
        effect.finish(tx, told, now_ms)
        if is_known:
            put_maybe(ctx, tx, None, now_ms, is_known=True)
        if had_no_effect and not attempts.open_for_tenant(tx, ctx.tenant, IMPORT, besides=effect.attempt.id):
            ctx.put(tx, no(Step.IMPORT_NUMBER), now_ms)

    detail = {"attempt": effect.attempt.id, "why": str(error)}
    wait_until_ms: int | None = None
    halt = None
    if isinstance(error, TryLater):
        wait_until_ms = ctx.now_ms() + asked_pause_ms(
            error.retry_after_seconds, ctx.tenant.tries, ctx.parts.random.random()
        )
    elif isinstance(error, Refused) and error.kind == "not_found_at_telephony" and ctx.tenant.tries < MOST_TRIES:
        # A number bought seconds ago is sometimes not seen by the platform yet (public reports, 2026).
        wait_until_ms = ctx.now_ms() + ctx.pause_ms(ctx.tenant.tries)
    elif isinstance(error, Refused) and had_no_effect:
        halt = refused_halt(ctx, error)
    return Outcome(told, detail, store, wait_until_ms, halt, error, effect.duration_ms)


def settle_on(ctx: Context, entries: list[Entry]) -> Outcome:
    """The platform has entries for our number: keep one, remove what is double, check the wiring."""
    foreign_ones = [entry for entry in entries if is_foreign(ctx, entry)]
    if foreign_ones:
        raise Halted(foreign(ctx, foreign_ones[0]))
    held_ref = ctx.held[Step.IMPORT_NUMBER].ref
    kept = sorted(entries, key=lambda entry: (entry.id != held_ref, entry.tag != ctx.tag, entry.created_at_ms))[0]
    doubles = [entry for entry in entries if entry.id != kept.id and entry.tag == ctx.tag]
    if doubles:
        return remove_double(ctx, kept, doubles[0])
    if keys.is_tag(kept.tag) and kept.tag != ctx.tag:
        return rename(ctx, kept)
    named = name_it(ctx, kept)
    if named is not None:
        return named
    wiring = wiring_of(ctx)
    if wiring.is_unset and ctx.tenant.tries >= MOST_TRIES and may_import_anew(ctx, kept):
        return import_anew(ctx, kept)

    def store(tx: Transaction, now_ms: int) -> None:
        for operation in (IMPORT, REMOVE, TIDY):
            attempts.settle(tx, attempts.open_for_tenant(tx, ctx.tenant, operation), attempts.PROVED_DONE, now_ms)
        refer_to(ctx, tx, kept, now_ms)
        keep(ctx, tx, kept, wiring.is_right, now_ms)

    name = "still_there" if held_ref == kept.id else "adopted"
    return wired_or_wait(ctx, Outcome(name, {"entry": kept.id}, store), wiring)


def absent(ctx: Context, looked_at_ms: int) -> Outcome:
    """No entry: proved once the settle time after the last import has passed; until then look again."""
    open_ones = ctx.read_one(lambda tx: attempts.open_for_tenant(tx, ctx.tenant, IMPORT))
    settled_at_ms = max((one.deadline_at_ms for one in open_ones), default=-ctx.rules.settle_ms) + ctx.rules.settle_ms
    if looked_at_ms < settled_at_ms:
        again_at_ms = min(looked_at_ms + ctx.pause_ms(ctx.tenant.tries), settled_at_ms)
        return Outcome("not_there_yet", {"until_ms": again_at_ms}, wait_until_ms=max(again_at_ms, looked_at_ms + 1))

    def store(tx: Transaction, now_ms: int) -> None:
        attempts.settle(tx, open_ones, attempts.PROVED_ABSENT, now_ms)
        for operation in (REMOVE, TIDY):
            attempts.settle(tx, attempts.open_for_tenant(tx, ctx.tenant, operation), attempts.PROVED_DONE, now_ms)
        ref = ctx.held[Step.IMPORT_NUMBER].ref
        forget(ctx, tx, ref, "missing", now_ms)

    is_elsewhere = ctx.held[Step.IMPORT_NUMBER].detail.get("is_known") and ctx.tenant.wanted is Wanted.ACTIVE
    return Outcome("proved_absent", store=store, halt=known_elsewhere(ctx) if is_elsewhere else None)


def remove(ctx: Context, entry_id: str, operation: str) -> Outcome:
    def before(tx: Transaction, now_ms: int) -> None:
        if operation == REMOVE:
            hold_back(ctx, tx, now_ms)
            check_release_brake(ctx, tx, now_ms)
        put_maybe(ctx, tx, entry_id, now_ms)

    effect = ctx.effect(
        ctx.assistants.provider,
        operation,
        number_of(ctx),
        lambda deadline: ctx.assistants.remove(entry_id, deadline),
        before,
    )
    error = effect.error
    had_no_effect = isinstance(error, TryLater | Refused)
    told = "removed" if error is None else attempts.NOT_PROCESSED if had_no_effect else attempts.UNCLEAR

    def store(tx: Transaction, now_ms: int) -> None:
        effect.finish(tx, told, now_ms)
        if error is None:
            forget(ctx, tx, entry_id, "removed", now_ms)
        elif had_no_effect:
            ctx.put(tx, ctx.held[Step.IMPORT_NUMBER], now_ms)

    wait_until_ms = None if error is None else ctx.now_ms() + ctx.pause_ms(ctx.tenant.tries)
    halt = refused_halt(ctx, error) if isinstance(error, Refused) else None
    return Outcome(
        told, {"entry": entry_id, "attempt": effect.attempt.id}, store, wait_until_ms, halt, error, effect.duration_ms
    )


def remove_double(ctx: Context, kept: Entry, double: Entry) -> Outcome:
    """Two imports of one number landed: the one that nobody refers to goes."""

    def before(tx: Transaction, now_ms: int) -> None:
        refer_to(ctx, tx, kept, now_ms)
        put_maybe(ctx, tx, kept.id, now_ms)

    effect = ctx.effect(
        ctx.assistants.provider,
        TIDY,
        double.number,
        lambda deadline: ctx.assistants.remove(double.id, deadline),
        before,
    )
    told = "removed" if effect.error is None else attempts.UNCLEAR
    wait_until_ms = None if effect.error is None else ctx.now_ms() + ctx.pause_ms(ctx.tenant.tries)
    detail = {"kept": kept.id, "removed": double.id, "attempt": effect.attempt.id}
    return Outcome(
        "double_removed",
        detail,
        lambda tx, now_ms: effect.finish(tx, told, now_ms),
        wait_until_ms,
        None,
        effect.error,
        effect.duration_ms,
    )


def rename(ctx: Context, entry: Entry) -> Outcome:
    """The entry of a number that was spare stock gets its tenant's tag. Safe to repeat."""
    effect = ctx.effect(
        ctx.assistants.provider,
        RENAME,
        entry.number,
        lambda deadline: ctx.assistants.rename(entry.id, ctx.tag, deadline),
        lambda tx, now_ms: put_maybe(ctx, tx, entry.id, now_ms),
    )
    detail = {"entry": entry.id, "attempt": effect.attempt.id}
    renamed, error = effect.value, effect.error
    if renamed is not None:
        wiring = wiring_of(ctx)

        def store(tx: Transaction, now_ms: int) -> None:
            effect.finish(tx, "renamed", now_ms)
            refer_to(ctx, tx, renamed, now_ms)
            keep(ctx, tx, renamed, wiring.is_right, now_ms)

        return wired_or_wait(ctx, Outcome("renamed", detail, store, duration_ms=effect.duration_ms), wiring)
    told = attempts.NOT_PROCESSED if isinstance(error, TryLater) else "refused" if isinstance(error, Refused) else None
    return Outcome(
        told or attempts.UNCLEAR,
        {**detail, "why": str(error)},
        lambda tx, now_ms: effect.finish(tx, told or attempts.UNCLEAR, now_ms),
        None if isinstance(error, Refused) else ctx.now_ms() + ctx.pause_ms(ctx.tenant.tries),
        refused_halt(ctx, error) if isinstance(error, Refused) else None,
        error,
        effect.duration_ms,
    )


def may_import_anew(ctx: Context, entry: Entry) -> bool:
    # Those that made nothing do not count: under a slow-down, or lost on the way, they may be many.
    since_ms = ctx.now_ms() - HOUR_MS
    imports = ctx.read_one(lambda tx: attempts.count_made_since(tx, ctx.tenant, IMPORT, entry.number, since_ms))
    return entry.tag == ctx.tag and imports < MOST_IMPORTS


def import_anew(ctx: Context, entry: Entry) -> Outcome:
    """Remove our entry, so that the recipe imports the number once more.

    The platform points the number at itself when it imports it, and only then; removing a double may have undone
    that. A voice URL that somebody set by hand never leads here.
    """

    removed = remove(ctx, entry.id, TIDY)
    return replace(removed, detail={**removed.detail, "why": "no calls arrive: it is imported anew"})


def require_ours(ctx: Context) -> OwnedNumber:
    """Fetch by SID: number and tag are still ours, else a person must look."""
    sid = ctx.held[Step.BUY_NUMBER].ref or ""
    there = ctx.ask(ctx.telephony.provider, lambda deadline: ctx.telephony.fetch(sid, deadline))
    if there is not None and (there.number, there.tag) == (number_of(ctx), ctx.tag):
        return there
    what = "is no longer in the Twilio account" if there is None else f"is under the name {there.tag!r} at Twilio"
    message = (
        f"{number_of(ctx)} of {ctx.tenant.tenant_key} {what}. Nothing was imported, and nothing bought in its place. "
        f"Put it right at Twilio, then: {ctx.retry_command}"
    )
    raise Halted(Outcome("ambiguous", {"why": message}, halt=Halt(Blocked.AMBIGUOUS, message)))


def wiring_of(ctx: Context) -> Wiring:
    if ctx.tenant.wanted is Wanted.RELEASED:
        return Wiring(is_right=True, is_unset=False)
    voice_url = require_ours(ctx).voice_url
    return Wiring(ctx.assistants.answers_at(voice_url), not voice_url)


def wired_or_wait(ctx: Context, outcome: Outcome, wiring: Wiring) -> Outcome:
    """One report tells of an import that left the voice URL unset (2026): without it no call arrives."""
    if wiring.is_right:
        return outcome
    if ctx.tenant.tries < MOST_TRIES:
        return Outcome(
            "not_wired_yet", outcome.detail, outcome.store,
            wait_until_ms=ctx.now_ms() + ctx.pause_ms(ctx.tenant.tries), duration_ms=outcome.duration_ms,
        )  # fmt: skip
    message = (
        f"{number_of(ctx)} of {ctx.tenant.tenant_key} is imported at Vapi, but Twilio does not send its calls there. "
        "Set the number's voice URL at Twilio to the one Vapi shows, or delete the entry at Vapi, then: "
        f"{ctx.retry_command}"
    )
    return Outcome("not_wired", outcome.detail, outcome.store, halt=Halt(Blocked.PROVIDER_REFUSED, message))


def entries_of(ctx: Context) -> list[Entry]:
    number = number_of(ctx)
    return ctx.ask(ctx.assistants.provider, lambda deadline: ctx.assistants.find(number, deadline))


def is_foreign(ctx: Context, entry: Entry) -> bool:
    """Another tenant's, or another installation's: never adopted, never changed."""
    return keys.is_tag(entry.tag) and entry.tag not in (ctx.tag, former_tag(ctx))


def foreign(ctx: Context, entry: Entry) -> Outcome:
    message = (
        f"{number_of(ctx)} of {ctx.tenant.tenant_key} is at Vapi under another gateway's name ({entry.tag}, "
        f"entry {entry.id}). Nothing was changed. Delete or rename that entry, then: "
        f"{ctx.retry_command}"
    )
    return Outcome("ambiguous", {"why": message}, halt=Halt(Blocked.AMBIGUOUS, message))


def known_elsewhere(ctx: Context) -> Halt:
    """It says that it has the number and shows no entry for it: importing again would never end."""
    message = (
        f"{number_of(ctx)} of {ctx.tenant.tenant_key} is bought, but Vapi says that it has this number already and "
        "shows no entry for it: another Vapi organisation or another Twilio account may have imported it. Delete it "
        f"there, then: {ctx.retry_command}"
    )
    return Halt(Blocked.PROVIDER_REFUSED, message)


def refused_halt(ctx: Context, error: Refused) -> Halt:
    if error.kind == "credentials":
        return Halt(Blocked.PROVIDER_CREDENTIALS, f"{error} It goes on by itself once they are put right.")
    message = (
        f"{number_of(ctx)} of {ctx.tenant.tenant_key} is bought, but Vapi refuses it: {error}. "
        f"Put it right at Vapi, then: {ctx.retry_command}"
    )
    return Halt(Blocked.PROVIDER_REFUSED, message)
