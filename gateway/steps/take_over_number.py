"""Finish what an operator's `adopt` had committed to when it was cut off: give the number our tag, and hold it.

`adopt` names one number of the account, checks it and commits to it before it renames it. Killed in between, it leaves
an order here. Nothing at a provider is ours to rename without a person's word, so the order is carried out only while
everything is as that person saw it: the same number under the same name, and a tenant of which nobody has said
anything since. Else it is put down, and the person is asked to say it once more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gateway.domain.model import Blocked, Held, Holding, Intent, IntentStatus, Step, Tenant
from gateway.errors import Refused
from gateway.ports import OwnedNumber
from gateway.steps import buy_number, take_over_entry
from gateway.steps.context import Context, Effect, Halt, Halted, Outcome, no
from gateway.store import attempts, holdings, intents, subscriptions
from gateway.store.database import Transaction

RENAME = "rename"
MARK = "adopting"


@dataclass(frozen=True, slots=True)
class Along:
    """What comes with a number that was set up by hand.

    entry_id: its entry at the assistants' platform, which gets our tag; None: whatever is found, or a new one.
    assistant_id: to be the operator's word; None leaves what was said before, or the default.
    """

    entry_id: str | None = None
    assistant_id: str | None = None

    def take(self, tx: Transaction, tenant_id: int, number: str, now_ms: int) -> None:
        """In the transaction in which the number becomes the tenant's."""
        holdings.put(tx, tenant_id, take_over_entry.ordered(number, self.entry_id), now_ms)
        if self.assistant_id is not None:
            subscriptions.set_option(tx, tenant_id, "operator", "assistant_id", self.assistant_id, now_ms)


@dataclass(frozen=True, slots=True)
class Order:
    """What an operator said. name: how the number was called then.   version: the tenant's, just after it was said."""

    intent_id: int
    sid: str
    name: str
    version: int
    along: Along | None = None


def holding_with(order: Order) -> Holding:
    """Nothing is held yet, and this is to be."""
    detail = {"intent": order.intent_id, "sid": order.sid, "name": order.name, "version": order.version}
    along = {"along": asdict(order.along)} if order.along else {}
    return Holding(Step.BUY_NUMBER, Held.NO, None, {MARK: {**detail, **along}})


def order_in(holding: Holding) -> Order | None:
    mark = holding.detail.get(MARK)
    if holding.held is not Held.NO or not isinstance(mark, Mapping):
        return None
    said: Mapping[str, Any] = mark
    along = Along(**said["along"]) if "along" in said else None
    return Order(int(said["intent"]), str(said["sid"]), str(said["name"]), int(said["version"]), along)


def make(ctx: Context) -> Outcome:
    """Buy the tenant's number, or take over the one that an operator has named."""
    order = order_in(ctx.held[Step.BUY_NUMBER])
    intent = ctx.read_one(lambda tx: intents.open_of(tx, ctx.tenant)) if order else None
    if order is None or intent is None or (intent.id, intent.status) != (order.intent_id, IntentStatus.CHOSEN):
        return buy_number.make(ctx)
    try:
        return carry_out(ctx, intent, order)
    except Halted as halted:
        return halted.outcome


def carry_out(ctx: Context, intent: Intent, order: Order) -> Outcome:
    there = ctx.ask(ctx.telephony.provider, lambda deadline: ctx.telephony.fetch(order.sid, deadline))
    if there is None or there.number != intent.number:
        return put_down(ctx, intent, order, "it is no longer in the Twilio account")
    if there.tag == ctx.tag:
        return taken_over(ctx, intent, order, there, None)
    if there.tag != order.name:
        return put_down(ctx, intent, order, f"at Twilio it is called {there.tag!r} by now, and not {order.name!r}")
    if not stands(order, ctx.tenant):
        return put_down(ctx, intent, order, "something else was said of this tenant since")
    effect = ctx.effect(
        ctx.telephony.provider,
        RENAME,
        intent.number,
        lambda deadline: ctx.telephony.rename(order.sid, ctx.tag, deadline),
        lambda tx, now_ms: require_order(tx, ctx, intent),
    )
    if effect.value is not None and effect.value.number == intent.number:
        return taken_over(ctx, intent, order, effect.value, effect)
    return not_renamed(ctx, intent, effect)


def stands(order: Order, tenant: Tenant) -> bool:
    return tenant.version == order.version


def require_order(tx: Transaction, ctx: Context, intent: Intent) -> None:
    current = intents.open_of(tx, ctx.tenant)
    if current is None or (current.id, current.status) != (intent.id, IntentStatus.CHOSEN):
        raise Halted(Outcome("changed_meanwhile"))


def taken_over(
    ctx: Context, intent: Intent, order: Order, there: OwnedNumber, effect: Effect[OwnedNumber] | None
) -> Outcome:
    """It bears our tag: ours, with the record that keeps a tenant made by hand active."""

    def store(tx: Transaction, now_ms: int) -> None:
        if effect is not None:
            effect.finish(tx, "renamed", now_ms)
        attempts.settle(tx, attempts.open_for_tenant(tx, ctx.tenant, RENAME), attempts.PROVED_DONE, now_ms)
        buy_number.own(ctx, tx, intent, there, "adopted", now_ms)
        if order.along is not None:
            order.along.take(tx, ctx.tenant.id, there.number, now_ms)
        subscriptions.ensure_manual(tx, ctx.tenant.id, ctx.tenant.tenant_key, now_ms)

    detail = {"number": there.number, "sid": there.sid, "why": "an operator's adopt was cut off: it is finished"}
    return Outcome("adopted", detail, store)


def not_renamed(ctx: Context, intent: Intent, effect: Effect[OwnedNumber]) -> Outcome:
    """The next try looks first, so nothing is done twice."""
    error = effect.error
    told = "refused" if isinstance(error, Refused) else attempts.UNCLEAR

    def store(tx: Transaction, now_ms: int) -> None:
        effect.finish(tx, told, now_ms)

    detail = {"number": intent.number, "attempt": effect.attempt.id, "why": str(error)}
    outcome = Outcome(told, detail, store, error=error, duration_ms=effect.duration_ms,
                      wait_until_ms=ctx.now_ms() + ctx.pause_ms(ctx.tenant.tries))  # fmt: skip
    if not isinstance(error, Refused):
        return outcome
    halt = buy_number.halt_for(ctx, error)
    return Outcome(told, detail, store, halt=halt, error=error, duration_ms=effect.duration_ms)


def put_down(ctx: Context, intent: Intent, order: Order, why: str) -> Outcome:
    """The order is not carried out any more; a person says again what is meant."""
    key = ctx.tenant.tenant_key

    def store(tx: Transaction, now_ms: int) -> None:
        intents.drop_chosen(tx, ctx.tenant.id, now_ms)
        ctx.put(tx, no(Step.BUY_NUMBER), now_ms)

    message = (
        f"{key} was to take over {intent.number} ({order.sid}), and the command was cut off before it could: {why}. "
        "Nothing was bought and nothing renamed. If it is still meant, say it again: python -m gateway tenants adopt "
        f'{key} {order.sid} --reason "…"'
    )
    return Outcome("put_down", {"number": intent.number, "why": why}, store, halt=Halt(Blocked.NUMBER_TAKEN, message))
