"""What is stored of a number's entry at the voice-AI platform: held or in doubt, and the ledger of both ways."""

from __future__ import annotations

from gateway.domain.model import Held, Holding, Step
from gateway.ports import Entry
from gateway.steps.context import Context, no
from gateway.steps.release_number import AT_ASSISTANTS
from gateway.store import attempts, ledger
from gateway.store.database import Transaction


def number_of(ctx: Context) -> str:
    return str(ctx.held[Step.BUY_NUMBER].detail.get("number", ""))


def former_tag(ctx: Context) -> str | None:
    """What the number was called as spare stock, before it was this tenant's."""
    tag: str | None = ctx.held[Step.IMPORT_NUMBER].detail.get("former_tag")
    return tag


def put_maybe(ctx: Context, tx: Transaction, entry_id: str | None, now_ms: int, *, is_known: bool = False) -> None:
    """is_known: the platform says that it has the number already."""
    detail = {**about(ctx), **({"is_known": True} if is_known else {})}
    ctx.put(tx, Holding(Step.IMPORT_NUMBER, Held.MAYBE, entry_id, detail), now_ms)


def about(ctx: Context) -> dict[str, str]:
    """What is kept of an import, held or not."""
    former = former_tag(ctx)
    return {"number": number_of(ctx), **({"former_tag": former} if former else {})}


def keep(ctx: Context, tx: Transaction, entry: Entry, is_wired: bool, now_ms: int) -> None:
    """Held once its calls arrive. Anything unclear on the way is looked at once more when it can no longer land.

    Removals too: the entry of a customer who came back in the middle of one may still go, late.
    """
    held = Held.YES if is_wired else Held.MAYBE
    doubt_at_ms = attempts.last_unclear_end_at_ms(tx, ctx.tenant, AT_ASSISTANTS)
    if doubt_at_ms is not None:
        doubt_at_ms += ctx.rules.settle_ms
    if doubt_at_ms is not None and doubt_at_ms <= now_ms:
        doubt_at_ms = None
    ctx.put(tx, Holding(Step.IMPORT_NUMBER, held, entry.id, about(ctx), doubt_at_ms), now_ms)


def refer_to(ctx: Context, tx: Transaction, kept: Entry, now_ms: int) -> None:
    """This entry is the tenant's from now on, and the one that it held before is gone. Safe to repeat."""
    held_ref = ctx.held[Step.IMPORT_NUMBER].ref
    if held_ref is not None and held_ref != kept.id:
        ledger_lost(ctx, tx, held_ref, "missing", now_ms)
    gained(ctx, tx, kept, "adopted", now_ms)


def gained(ctx: Context, tx: Transaction, entry: Entry, how: str, now_ms: int) -> None:
    """Once an entry: a crash between a removal and its record lets the next look find it held already."""
    if ledger.is_held(tx, "entry", entry.id):
        return
    provider = ctx.assistants.provider
    ledger.write(tx, ctx.tenant, "entry", "gained", how, provider, entry.id, entry.number, now_ms)


def ledger_lost(ctx: Context, tx: Transaction, ref: str, how: str, now_ms: int) -> None:
    if not ledger.is_held(tx, "entry", ref):
        return
    ledger.write(tx, ctx.tenant, "entry", "lost", how, ctx.assistants.provider, ref, number_of(ctx), now_ms)


def forget(ctx: Context, tx: Transaction, ref: str | None, how: str, now_ms: int) -> None:
    if ref is not None:
        ledger_lost(ctx, tx, ref, how, now_ms)
    ctx.put(tx, no(Step.IMPORT_NUMBER), now_ms)
    ctx.put(tx, no(Step.ASSIGN_ASSISTANT), now_ms)
