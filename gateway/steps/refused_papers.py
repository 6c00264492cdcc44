"""A number was chosen and refused for want of papers: decide anew which number, and what to show for it."""

from __future__ import annotations

from gateway.domain.model import Blocked, Intent, IntentStatus
from gateway.steps.choose_number import choose, options_of
from gateway.steps.context import Context, Halt, Halted, Outcome
from gateway.store import attempts, intents
from gateway.store.database import Transaction

BUY = "buy"


def waits_for_papers(ctx: Context) -> bool:
    block = ctx.tenant.block
    return block is not None and block.code in (Blocked.NEEDS_ADDRESS, Blocked.NEEDS_BUNDLE)


def choose_anew(ctx: Context, intent: Intent) -> Intent:
    def drop_it(tx: Transaction) -> None:
        intents.end(tx, intent, IntentStatus.DROPPED, "its papers were not in order", ctx.now_ms())

    if were_just_refused(ctx, intent):
        raise Halted(still_waiting(ctx))
    ctx.commit(drop_it)
    return choose(ctx)


def were_just_refused(ctx: Context, intent: Intent) -> bool:
    """Whether the same papers were shown within the hour: the provider would only say the same again."""
    since_ms = ctx.now_ms() - ctx.rules.papers_refused_ms
    if not ctx.read_one(lambda tx: attempts.count_since(tx, ctx.tenant, BUY, intent.number, since_ms)):
        return False
    wish = options_of(ctx)
    configured = ctx.rules.papers_for(intent.country, intent.number_type)
    address_sid, bundle_sid = wish.address_sid or configured.address_sid, wish.bundle_sid or configured.bundle_sid
    return address_sid in (None, intent.address_sid) and bundle_sid in (None, intent.bundle_sid)


def still_waiting(ctx: Context) -> Outcome:
    """Blocked as it was; it looks again later."""
    block = ctx.tenant.block
    assert block is not None
    halt = Halt(block.code, block.message, ctx.now_ms() + ctx.rules.papers_recheck_ms)
    return Outcome("still_waiting", halt=halt)
