"""Papers for a number that is committed to already: chosen on the page, before a crash, or refused without them."""

from __future__ import annotations

from dataclasses import replace

from gateway.domain.model import Blocked, Intent, IntentStatus
from gateway.steps import papers, prices
from gateway.steps.choose_number import choose, exactly, options_of, shown_address
from gateway.steps.context import Context, Halt, Halted, Outcome
from gateway.store import attempts, intents
from gateway.store.database import Transaction

BUY = "buy"


def waits_for_papers(ctx: Context) -> bool:
    block = ctx.tenant.block
    return block is not None and block.code in (Blocked.NEEDS_ADDRESS, Blocked.NEEDS_BUNDLE)


def settle_anew(ctx: Context, intent: Intent) -> Intent:
    """After a block for want of papers: another number and its papers, or those of this one where it is exact.

    An exact number stays held for its tenant meanwhile, so that nobody else takes it.
    """
    if were_just_refused(ctx, intent):
        raise Halted(still_waiting(ctx))
    if intent.is_exact:
        return settle(ctx, intent)

    def drop_it(tx: Transaction) -> None:
        intents.end(tx, intent, IntentStatus.DROPPED, "its papers were not in order", ctx.now_ms())

    ctx.commit(drop_it)
    return choose(ctx)


def settle(ctx: Context, intent: Intent) -> Intent:
    """Before the first POST of a number that is committed to already: its price and its papers are in order.

    So it is where a customer chose it on the page, and after a crash or a wait. Raises Halted.
    """
    wish = options_of(ctx)
    kind = (intent.country, intent.number_type)
    bundle = papers.plan_bundle(ctx, wish, kind)
    prices.require_price(ctx, *kind)
    found = exactly(ctx, intent.number, kind)
    _, sid = shown_address(ctx, wish, kind, bundle, found.numbers)
    if (sid, bundle.sid) == (intent.address_sid, intent.bundle_sid):
        return intent
    ctx.commit(lambda tx: intents.set_papers(tx, intent, sid, bundle.sid))
    return replace(intent, address_sid=sid, bundle_sid=bundle.sid)


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
