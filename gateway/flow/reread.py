"""Where a billing system can be asked, it is asked before anything is done: its answer replaces all the news.

If it cannot be asked now, later: nothing is decided on a guess.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.domain.model import Subscription
from gateway.domain.subscriptions import from_billing
from gateway.ports import Billing, BillingRecord
from gateway.steps.context import Context, Outcome
from gateway.store import subscriptions
from gateway.store.database import Transaction


@dataclass(frozen=True, slots=True)
class Reread:
    record: Subscription
    asked_at_ms: int
    answer: BillingRecord | None


def reread_subscriptions(ctx: Context) -> Outcome:
    """Ask about each subscription that needs it; raises TryLater when the billing system cannot be asked now."""
    billing = ctx.parts.billing
    pending = ctx.read_one(lambda tx: subscriptions.rereads_of(tx, ctx.tenant.id))
    answers: list[Reread] = []
    for link in pending:
        answer = ask_billing(ctx, billing, link.record.subscription_id) if billing is not None else None
        answers.append(Reread(link.record, link.reread_at_ms or 0, answer))

    def store(tx: Transaction, now_ms: int) -> None:
        for each in answers:
            if each.answer is not None:
                record = from_billing(each.record, each.answer, now_ms)
                subscriptions.store_reread(tx, record, each.asked_at_ms, now_ms)
            elif billing is None:
                subscriptions.store_reread(tx, each.record, each.asked_at_ms, now_ms)

    unknown = [each.record.subscription_id for each in answers if each.answer is None and billing is not None]
    detail = {"subscriptions": len(answers), "unknown": unknown}
    if unknown:
        # Not known yet, or a key of the other mode: nothing is decided on a guess, and it is asked again.
        return Outcome("unknown", detail, store, wait_until_ms=ctx.now_ms() + ctx.pause_ms(ctx.tenant.tries))
    return Outcome("reread", detail, store)


def ask_billing(ctx: Context, billing: Billing, subscription_id: str) -> BillingRecord | None:
    return ctx.ask(billing.provider, lambda deadline: billing.read_subscription(subscription_id, deadline))
