"""Numbers that the tenant bought and an old backup, put back, does not know of: they bear another tag than today's."""

from __future__ import annotations

from gateway.domain import keys
from gateway.ports import OwnedNumber
from gateway.steps.context import Context, Outcome, ambiguous
from gateway.store import intents, journal, subscriptions, tenants
from gateway.store.database import Transaction


def look(ctx: Context) -> Outcome | None:
    """Directly before a first POST: is a number there under a later generation, or a former name? None: neither."""
    return in_the_next_generation(ctx) or under_a_subscription(ctx)


def in_the_next_generation(ctx: Context) -> Outcome | None:
    """The tenant was released and came back since the backup: its number says so, and the tenant follows it."""
    following = ctx.tenant.generation + 1
    found = find_by_tag(ctx, keys.tag(ctx.rules.env, ctx.tenant.tenant_key, following))
    if not found:
        return None

    def store(tx: Transaction, now_ms: int) -> None:
        intents.drop_chosen(tx, ctx.tenant.id, now_ms)
        tenants.set_generation(tx, ctx.tenant.id, following, now_ms)
        journal.write(tx, ctx.tenant.id, now_ms, "generation", str(following), {"reason": "its number bears it"})

    detail = {"number": found[0].number, "why": f"its number is there as that of generation {following}"}
    return Outcome("generation_found", detail, store)


def under_a_subscription(ctx: Context) -> Outcome | None:
    """A tenant that nobody names for a minute is named after its subscription, and so is its number.

    A backup put back forgets that, and the next event may name the tenant.
    """
    records = ctx.read_one(lambda tx: subscriptions.records_of(tx, ctx.tenant.id))
    for record in records:
        if not record.issued or record.subscription_id == ctx.tenant.tenant_key:
            continue
        tag = keys.tag(ctx.rules.env, record.subscription_id, ctx.tenant.generation)
        found = find_by_tag(ctx, tag)
        if found:
            return ambiguous(
                f"{found[0].number} is in the Twilio account under the name {tag}: {ctx.tenant.tenant_key} bought it "
                f"when it was still called {record.subscription_id}. Nothing more was bought. Set its friendly name "
                f"and the name of its Vapi entry to {ctx.tag}, then: {ctx.retry_command}"
            )
    return None


def find_by_tag(ctx: Context, tag: str) -> list[OwnedNumber]:
    return ctx.ask(ctx.telephony.provider, lambda deadline: ctx.telephony.find_by_tag(tag, deadline))
