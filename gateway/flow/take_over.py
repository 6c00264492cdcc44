"""Take over numbers that were set up by hand: each row in transactions of its own, under its tenant's lease.

Built on `operate.adopt`: commit to the number, give it our tag, hold it. What follows, the import and the assistant,
are the tenant's own steps, run here at once; a worker beside us may run them as well. So a run that is cut off
anywhere is gone on with by the next one, or by a worker. Nothing is ever bought: the number is held before any step
could look for another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from gateway.domain.model import Extent, Held, Step, Tenant
from gateway.errors import GatewayError, InHand, LeaseLost, OperatorError, ProviderError, Refused
from gateway.flow import operate
from gateway.flow.advance import Claim, advance, next_claim
from gateway.flow.operate import Operator
from gateway.flow.reconsider import options_changed
from gateway.flow.take_over_plan import Intended, Way, holds, is_done
from gateway.flow.timeline import outlook
from gateway.ports import OwnedNumber
from gateway.steps import take_over_entry
from gateway.steps.context import StepParts
from gateway.steps.take_over_number import Along
from gateway.store import holdings, leases, subscriptions, tenants
from gateway.store.database import Transaction

# A tenant that a killed run still has leased is free after LEASE_SECONDS.
PAUSE_SECONDS = 2.0
MOST_TRIES_OF_PROVIDERS = 3


class Became(StrEnum):
    """What became of a row. `under_way`: the number is ours, and its steps have to wait for something."""

    TAKEN_OVER = "taken_over"
    ALREADY = "already"
    UNDER_WAY = "under_way"
    PROBLEM = "problem"
    FAILED = "failed"
    NOT_TRIED = "not_tried"


@dataclass(frozen=True, slots=True)
class Result:
    """One row and what became of it. says: why it is not taken over, and what to do."""

    intended: Intended
    became: Became
    says: str | None = None


class Again(Exception):
    """This row is tried once more, after a pause. counts: whether that is done a few times only."""

    def __init__(self, says: str, *, counts: bool) -> None:
        super().__init__(says)
        self.says = says
        self.counts = counts


def carry_out(
    parts: StepParts, intended: Sequence[Intended], operator: Operator, pause: Callable[[], None]
) -> Iterator[Result]:
    """Take over every row that has no problem; gives each result as it is known.

    pause: waits PAUSE_SECONDS.   A row that fails does not stop the others, but credentials that are refused do.
    """
    left: list[tuple[Intended, int]] = [(each, 0) for each in intended]
    rounds = int((parts.rules.lease_ms / 1000) // PAUSE_SECONDS) + 3
    for nth in range(rounds):
        if not left:
            return
        if nth:
            pause()
        again: list[tuple[Intended, int]] = []
        for at, (each, tries) in enumerate(left):
            try:
                yield one(parts, each, operator)
            except Again as busy:
                tried = tries + busy.counts
                if tried >= MOST_TRIES_OF_PROVIDERS or nth == rounds - 1:
                    yield Result(each, Became.FAILED, f"{busy.says} Run it again.")
                else:
                    again.append((each, tried))
            except Refused as error:
                if error.kind != "credentials":
                    yield Result(each, Became.FAILED, str(error))
                    continue
                yield Result(each, Became.FAILED, str(error))
                rest = [other for other, _ in (*left[at + 1 :], *again)]
                yield from (Result(other, Became.NOT_TRIED, str(error)) for other in rest)
                return
        left = again


def one(parts: StepParts, intended: Intended, operator: Operator) -> Result:
    """One row, as far as it goes now. Raises Again, and Refused as Twilio or Vapi said it."""
    if intended.way is Way.PROBLEM:
        return Result(intended, Became.PROBLEM, " ".join(intended.problems))
    if intended.way is Way.DONE:
        return Result(intended, Became.ALREADY)
    try:
        claim = taken(parts, intended, operator)
        if claim is not None:
            advance(parts, claim)
        return judged(parts, intended)
    except InHand as error:
        raise Again(str(error), counts=False) from error
    except LeaseLost as error:
        raise Again(str(error), counts=True) from error
    except Refused:
        raise
    except ProviderError as error:
        raise Again(str(error), counts=True) from error
    except GatewayError as error:
        return Result(intended, Became.FAILED, str(error))


def taken(parts: StepParts, intended: Intended, operator: Operator) -> Claim | None:
    """The tenant under our lease with its number held, and what to do next for it."""
    number = intended.number
    assert number is not None
    held = parts.commit(lambda tx: claim_holder(tx, parts, intended, number))
    if held is not None:
        return held[0]
    there = operate.fetch(parts, number.sid)
    is_same = there is not None and (there.number, there.tag) in {
        (number.number, number.tag),
        (number.number, intended.tag),
    }
    if there is None or not is_same:
        raise OperatorError(f"{number.number} was changed at Twilio since it was looked at. Run it again.")
    along = Along(intended.entry.id if intended.entry else None, intended.assistant_id)
    tenant = operate.commit_alone(parts, intended.row.key, there, operator, along=along)
    try:
        named = operate.tagged(parts, tenant, there)
        return parts.commit(lambda tx: take_over(tx, parts, tenant, named, along, operator))
    except BaseException:
        parts.commit(lambda tx: leases.let_go(tx, tenant.id, tenant.fence, parts.clock.now_ms()))
        raise


def claim_holder(
    tx: Transaction, parts: StepParts, intended: Intended, number: OwnedNumber
) -> tuple[Claim | None] | None:
    """Go on with a tenant that holds this number already; None where it does not. Raises InHand."""
    known = tenants.by_key(tx, intended.row.key)
    if known is None or not holds(tx, known, number):
        return None
    now_ms = parts.clock.now_ms()
    leased = leases.claim_one(tx, known.id, now_ms, parts.rules.lease_ms, "tenants import")
    if leased is None:
        raise InHand(f"{known.tenant_key} is being worked for just now.")
    leased = tenants.raise_extent(tx, leased, Extent.FULL, now_ms)
    entry, imported = intended.entry, holdings.of_tenant(tx, leased.id)[Step.IMPORT_NUMBER]
    if entry is not None and entry.tag != intended.tag and imported.held is not Held.NO:
        holdings.put(tx, leased.id, take_over_entry.ordered_of(imported, number.number, entry.id, now_ms), now_ms)
    if intended.assistant_id is not None:
        subscriptions.set_option(tx, leased.id, "operator", "assistant_id", intended.assistant_id, now_ms)
        options_changed(tx, leased.id, now_ms)
        leased = leases.check(tx, leased.id, leased.fence)
    return (next_claim(tx, leased, parts.rules, now_ms, "an import"),)


def take_over(
    tx: Transaction, parts: StepParts, tenant: Tenant, there: OwnedNumber, along: Along, operator: Operator
) -> Claim | None:
    """In one transaction: the number is the tenant's, its record keeps it active, and what comes along.

    An assistant that answers already is written down as the operator's word: a default that changes later is not to
    change it.
    """
    operate.take_over(tx, parts, tenant, there, operator)
    now_ms = parts.clock.now_ms()
    along.take(tx, tenant.id, there.number, now_ms)
    options_changed(tx, tenant.id, now_ms)
    return next_claim(tx, leases.check(tx, tenant.id, tenant.fence), parts.rules, now_ms, "an import")


def judged(parts: StepParts, intended: Intended) -> Result:
    """What the tables say of a row now."""
    with parts.database.read() as tx:
        tenant = tenants.by_key(tx, intended.row.key)
        assert tenant is not None
        held = holdings.of_tenant(tx, tenant.id)
    if is_done(tenant, held):
        return Result(intended, Became.TAKEN_OVER)
    ahead = outlook(tenant, held, parts.clock.now_ms())
    if tenant.block is not None:
        return Result(intended, Became.FAILED, tenant.block.message)
    return Result(intended, Became.UNDER_WAY, f"Its number is held. {ahead.next} Run it again, or let a worker go on.")
