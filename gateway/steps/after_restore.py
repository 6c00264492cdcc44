"""After a backup was put back: nothing is bought or given back until everything was compared with the providers.

Asked in the transaction that would send, by every purchase, release and removal. A tenant that is held back waits and
goes on by itself; looks, imports and takeovers go on meanwhile.
"""

from __future__ import annotations

from gateway.display import moment
from gateway.steps.context import Context, Halted, Outcome
from gateway.store import aftermath, subscriptions
from gateway.store.database import Transaction

WAITS = "waits_after_restore"
PAUSE_MS = 30_000
STRAY_PAUSE_MS = 60_000


def hold_back(ctx: Context, tx: Transaction, now_ms: int) -> None:
    """Raises Halted until a full reconcile that started the settle time after the restore has finished."""
    restored_at_ms = aftermath.restored_at_ms(tx)
    if restored_at_ms is not None:
        from_ms = restored_at_ms + ctx.rules.settle_ms
        raise Halted(Outcome(WAITS, {"why": why(from_ms)}, wait_until_ms=max(from_ms, now_ms + PAUSE_MS)))


def hold_back_purchase(ctx: Context, tx: Transaction, now_ms: int) -> None:
    """The same, and while a number is there that may be this tenant's: the next reconcile says."""
    if aftermath.is_over(tx):
        return
    hold_back(ctx, tx, now_ms)
    former = [each.subscription_id for each in subscriptions.records_of(tx, ctx.tenant.id) if each.issued]
    tag = aftermath.stray_of(tx, ctx.rules.env, ctx.tenant, former)
    if tag is not None:
        says = f"A number is in the Twilio account under {tag}: the next reconcile takes it over. Nothing was bought."
        raise Halted(Outcome(WAITS, {"why": says}, wait_until_ms=now_ms + STRAY_PAUSE_MS))


def look_whether_held_back(ctx: Context) -> None:
    """`hold_back_purchase`, for a look before the transaction that would send. Raises Halted."""
    if not ctx.read_one(aftermath.is_over):
        ctx.read(lambda tx: hold_back_purchase(ctx, tx, ctx.now_ms()))


def why(from_ms: int) -> str:
    return (
        "A backup was put back, so nothing is bought or given back until a full reconcile that starts after "
        f"{moment(from_ms)} UTC has finished. It goes on by itself."
    )
