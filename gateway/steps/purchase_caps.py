"""How many numbers may be bought in an hour and in a day: counted where a number is sent for the first time."""

from __future__ import annotations

from gateway.domain.model import Blocked, Intent
from gateway.domain.rules import DAY_MS, HOUR_MS
from gateway.steps.context import BRAKES, Context, Halt, Halted, Outcome
from gateway.store import intents
from gateway.store.database import Transaction


def keep_waiting_for_cap(ctx: Context, intent: Intent) -> None:
    """Spare the looks of a tenant that has made them and was stopped by a cap that is still full. Raises Halted.

    While purchases are stopped altogether the looks go on: they show what was bought already.
    """
    block = ctx.tenant.block
    is_waiting = block is not None and block.code is Blocked.SPEND_CAP and intent.first_sent_at_ms is None
    if is_waiting and not ctx.rules.purchases_are_stopped:
        ctx.read(lambda tx: check_room(ctx, tx, ctx.now_ms()))


def check_purchase_caps(ctx: Context, tx: Transaction, now_ms: int) -> None:
    """In the sending transaction, one at a time everywhere. Raises Halted."""
    tx.lock(BRAKES)
    check_room(ctx, tx, now_ms)


def check_room(ctx: Context, tx: Transaction, now_ms: int) -> None:
    """Raise Halted when as many numbers were sent as a rolling hour or a rolling day allows."""
    sends = intents.first_sends_since(tx, now_ms - DAY_MS)
    in_hour = [at_ms for at_ms in sends if at_ms > now_ms - HOUR_MS]
    for cap, made, window_ms, name in (
        (ctx.rules.max_purchases_per_hour, in_hour, HOUR_MS, "MAX_PURCHASES_PER_HOUR"),
        (ctx.rules.max_purchases_per_day, sends, DAY_MS, "MAX_PURCHASES_PER_DAY"),
    ):
        if len(made) < cap:
            continue
        frees_at_ms = made[cap - 1] + window_ms if cap else now_ms + HOUR_MS
        message = (
            f"{ctx.tenant.tenant_key} waits: {len(made)} numbers were bought within {window_ms // HOUR_MS} h and "
            f"{name} is {cap}. Nothing was bought; it goes on by itself. "
            f"To go on sooner, raise {name}, then: {ctx.retry_command}"
        )
        raise Halted(Outcome("spend_cap", halt=Halt(Blocked.SPEND_CAP, message, frees_at_ms)))
