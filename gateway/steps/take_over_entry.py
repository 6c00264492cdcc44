"""Give the entry of a number that was taken over our tag, where an operator's import has asked for that.

Only then: an entry that a step meets by itself is kept under the name that people gave it. One that bears another
gateway's tag never comes here. The name that it had is written down before it is lost.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gateway.domain.model import Blocked, Held, Holding, Step, Wanted
from gateway.errors import Refused
from gateway.ports import Entry
from gateway.steps.context import Context, Halt, Outcome
from gateway.store import attempts
from gateway.store.database import Transaction

RENAME = "rename_entry"
MARK = "takes_over"


def ordered(number: str, entry_id: str | None) -> Holding:
    """It may be imported already, as this entry where one is named; whatever is found gets our tag."""
    return Holding(Step.IMPORT_NUMBER, Held.MAYBE, entry_id, {"number": number, MARK: True})


def ordered_of(holding: Holding, number: str, entry_id: str, now_ms: int) -> Holding:
    """The same of an import that is known already: what is held stays held, and is looked at."""
    doubt_at_ms = now_ms if holding.held is Held.YES else None
    ref = holding.ref or entry_id
    return Holding(Step.IMPORT_NUMBER, holding.held, ref, {"number": number, MARK: True}, doubt_at_ms)


def name_it(ctx: Context, entry: Entry) -> Outcome | None:
    """None: nobody asked for it, or it bears our tag."""
    holding = ctx.held[Step.IMPORT_NUMBER]
    if not holding.detail.get(MARK) or entry.tag == ctx.tag or ctx.tenant.wanted is Wanted.RELEASED:
        return None

    def put(tx: Transaction, now_ms: int, **more: Any) -> None:
        known = replace(holding, ref=entry.id)
        found = ordered_of(known, entry.number, entry.id, now_ms)
        ctx.put(tx, replace(found, detail={"number": entry.number, **more}), now_ms)

    def before(tx: Transaction, now_ms: int) -> None:
        ctx.note(tx, now_ms, "entry_renamed", entry=entry.id, former_name=entry.tag)
        put(tx, now_ms, **{MARK: True})

    effect = ctx.effect(
        ctx.assistants.provider,
        RENAME,
        entry.number,
        lambda deadline: ctx.assistants.rename(entry.id, ctx.tag, deadline),
        before,
    )
    detail = {"entry": entry.id, "attempt": effect.attempt.id}
    error = effect.error
    if error is None:

        def store_named(tx: Transaction, now_ms: int) -> None:
            effect.finish(tx, "renamed", now_ms)
            # A list that still shows the old name must not send us round in a circle.
            put(tx, now_ms)

        return Outcome("entry_renamed", detail, store_named, duration_ms=effect.duration_ms)
    told = "refused" if isinstance(error, Refused) else attempts.UNCLEAR
    # Said again it does no harm, so the next look decides.
    return Outcome(
        told,
        {**detail, "why": str(error)},
        lambda tx, now_ms: effect.finish(tx, told, now_ms),
        wait_until_ms=None if isinstance(error, Refused) else ctx.now_ms() + ctx.pause_ms(ctx.tenant.tries),
        halt=refused_halt(ctx, error) if isinstance(error, Refused) else None,
        error=error,
        duration_ms=effect.duration_ms,
    )


def refused_halt(ctx: Context, error: Refused) -> Halt:
    if error.kind == "credentials":
        return Halt(Blocked.PROVIDER_CREDENTIALS, f"{error} It goes on by itself once they are put right.")
    message = (
        f"The number of {ctx.tenant.tenant_key} is taken over, but Vapi refuses to call its entry {ctx.tag}: {error}. "
        f"Put it right at Vapi, then: {ctx.retry_command}"
    )
    return Halt(Blocked.PROVIDER_REFUSED, message)
