"""Put a customer's address on file at the provider: once, whoever asks, whatever becomes of the answer.

The provider keeps nothing from being made twice. So an address is looked for by its tag first, a row says that a call
is about to be made before it is made, and while that call may still have its effect nobody makes another.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.domain.model import Blocked, Step
from gateway.domain.papers import address_tag
from gateway.errors import Refused, TryLater
from gateway.ports import PostalAddress, RegisteredAddress
from gateway.steps.context import Context, Halt, Halted, Outcome
from gateway.steps.papers import Kind, how_to_give_an_address
from gateway.store import addresses, attempts
from gateway.store.addresses import Registration
from gateway.store.database import Transaction

REGISTER = "register_address"


def lines_of(address: PostalAddress) -> tuple[str, ...]:
    """Its lines, in the order that tags are made of."""
    return (address.customer_name, address.street, address.city, address.region, address.postal_code)


def tag_of(address: PostalAddress) -> str:
    return address_tag(lines_of(address), address.country)


def said_by(found: RegisteredAddress) -> str:
    """A short text that changes when what is on file is changed."""
    return tag_of(found.address)


def on_file(ctx: Context, address: PostalAddress, kind: Kind) -> str:
    """The SID of this address, registered now if it is not on file. Raises Halted while that is not certain."""
    tag = tag_of(address)
    known = ctx.read_one(lambda tx: addresses.find(tx, tag))
    if known is not None and known.sid is not None:
        there = ctx.ask(ctx.papers.provider, lambda deadline: ctx.papers.fetch_address(known.sid or "", deadline))
        if there is not None and known.said_hash in (None, said_by(there)):
            return there.sid
        if there is not None:
            raise Halted(changed_there(ctx, kind, there.sid))
        ctx.commit(lambda tx: forget(ctx, tx, tag, known.sid or ""))
    looked_at_ms = ctx.now_ms()
    found = ctx.ask(ctx.papers.provider, lambda deadline: ctx.papers.list_addresses(deadline, tag=tag))
    if found:
        # The oldest: more than one can only be there when somebody copied the name.
        return keep(ctx, tag, found[-1], "found")
    if known is not None:
        wait_for(ctx, kind, known, looked_at_ms)
    return register(ctx, address, tag, kind, looked_at_ms)


def wait_for(ctx: Context, kind: Kind, known: Registration, looked_at_ms: int) -> None:
    """Raises Halted while a call may still have its effect, and while a refusal is fresh."""
    if known.open_until_ms is not None and looked_at_ms < known.open_until_ms:
        raise Halted(still_open(ctx, known.open_until_ms))
    if known.refused and looked_at_ms < (known.refused_at_ms or 0) + ctx.rules.papers_refused_ms:
        raise Halted(Outcome("needs_address", halt=refused_halt(ctx, kind, known.refused)))


def still_open(ctx: Context, open_until_ms: int) -> Outcome:
    """Not there yet: look again soon, at the latest when it cannot come any more."""
    again_at_ms = min(ctx.now_ms() + ctx.pause_ms(ctx.tenant.tries), open_until_ms)
    why = "whether it is on file is not certain yet"
    return Outcome("address_unclear", {"why": why}, wait_until_ms=max(again_at_ms, ctx.now_ms() + 1))


def register(ctx: Context, address: PostalAddress, tag: str, kind: Kind, looked_at_ms: int) -> str:
    """One call; what it leaves open is looked at before another is made."""

    def before(tx: Transaction, now_ms: int) -> None:
        # Whatever was sent before that look can no longer come: it is proved not to have happened.
        settled = attempts.open_for_number(tx, tag, REGISTER)
        open_until_ms = now_ms + ctx.rules.provider_timeout_ms + ctx.rules.settle_ms
        if not addresses.begin(tx, tag, address.country, open_until_ms, looked_at_ms):
            known = addresses.find(tx, tag)
            raise Halted(still_open(ctx, (known.open_until_ms if known else None) or now_ms))
        attempts.settle(tx, settled, attempts.PROVED_ABSENT, now_ms)

    effect = ctx.effect(
        ctx.papers.provider,
        REGISTER,
        tag,
        lambda deadline: ctx.papers.register_address(address, tag, deadline),
        before,
    )
    error = effect.error
    if effect.value is not None:
        return keep(ctx, tag, effect.value, "registered", lambda tx, now_ms: effect.finish(tx, "registered", now_ms))
    told = attempts.UNCLEAR
    if isinstance(error, TryLater):
        told = attempts.NOT_PROCESSED
    elif isinstance(error, Refused):
        told = "refused"
    is_invalid = isinstance(error, Refused) and error.kind == "address_invalid"

    def store(tx: Transaction, now_ms: int) -> None:
        effect.finish(tx, told, now_ms)
        if told != attempts.UNCLEAR:
            addresses.end_without(tx, tag, refused=str(error) if is_invalid else None, now_ms=now_ms)

    if is_invalid:
        halt = refused_halt(ctx, kind, str(error))
        raise Halted(Outcome("address_refused", {"why": str(error)}, store, halt=halt, error=error))
    if told == attempts.UNCLEAR:
        pause_ms = ctx.pause_ms(0)
        detail = {"why": str(error)}
        raise Halted(Outcome("address_unclear", detail, store, wait_until_ms=ctx.now_ms() + pause_ms, error=error))
    ctx.commit(lambda tx: store(tx, ctx.now_ms()))
    assert error is not None
    raise error


def keep(
    ctx: Context,
    tag: str,
    found: RegisteredAddress,
    how: str,
    also: Callable[[Transaction, int], None] = lambda tx, now_ms: None,
) -> str:
    """Write down that it is on file; what was open about it is settled by that."""

    def job(tx: Transaction) -> None:
        now_ms = ctx.now_ms()
        also(tx, now_ms)
        addresses.put(tx, tag, found.address.country, found.sid, said_by(found), now_ms)
        attempts.settle(tx, attempts.open_for_number(tx, tag, REGISTER), attempts.PROVED_DONE, now_ms)
        ctx.note(tx, now_ms, f"address.{how}", sid=found.sid, step=Step.BUY_NUMBER)

    ctx.commit(job)
    return found.sid


def forget(ctx: Context, tx: Transaction, tag: str, sid: str) -> None:
    addresses.forget(tx, tag)
    ctx.note(tx, ctx.now_ms(), "address.gone", sid=sid, step=Step.BUY_NUMBER)


def changed_there(ctx: Context, kind: Kind, sid: str) -> Outcome:
    key = ctx.tenant.tenant_key
    message = (
        f"{key} waits: its address on file, {sid}, was changed at Twilio since it was registered. Nothing was bought. "
        f"Set it back there, or say which one to show: python -m gateway tenants set {key} address_sid={sid} "
        '--reason "…"'
    )
    halt = Halt(Blocked.NEEDS_ADDRESS, message, ctx.now_ms() + ctx.rules.papers_recheck_ms)
    return Outcome("needs_address", halt=halt)


def refused_halt(ctx: Context, kind: Kind, why: str) -> Halt:
    key = ctx.tenant.tenant_key
    message = f"{key} waits: its address was not taken. {why}. Nothing was bought. {how_to_give_an_address(key, kind)}"
    return Halt(Blocked.NEEDS_ADDRESS, message, ctx.now_ms() + ctx.rules.papers_refused_ms)
