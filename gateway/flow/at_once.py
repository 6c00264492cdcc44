"""Work for one tenant while somebody waits for it: what commands and scripts do beside, or instead of, a worker.

The same claims and the same steps as any worker's, under the same leases. Whoever has the tenant first works for it;
we wait for the outcome. Nothing here remembers anything: asked again, it goes on where the tables stand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from gateway.domain.model import Held, Intent, IntentStatus, State, Step, Tenant
from gateway.domain.recipe import Holdings
from gateway.flow.advance import advance
from gateway.flow.probe import probe_refusing
from gateway.flow.turn import claim
from gateway.steps.context import StepParts
from gateway.store import holdings, intents, leases, tenants
from gateway.store.database import Transaction

LOOK_AGAIN_MS = 50
NOTHING_BOUGHT = (None, IntentStatus.CHOSEN)


class Ended(StrEnum):
    """Why the wait is over."""

    DONE = "done"
    BLOCKED = "blocked"
    UNDECIDED = "undecided"  # It goes on later, by itself or when asked again.


@dataclass(frozen=True, slots=True)
class Patience:
    """How somebody waits. limit_ms: how long, by the gateway's clock.   pause: waits so many seconds."""

    limit_ms: int
    pause: Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Standing:
    """A tenant as the tables have it. intent: of its generation, also one that has ended."""

    tenant: Tenant
    held: Holdings
    intent: Intent | None

    @property
    def number(self) -> str | None:
        """The number that is held or undecided; None where there is none."""
        number = self.held[Step.BUY_NUMBER].detail.get("number") or (self.intent.number if self.intent else None)
        return str(number) if number else None

    @property
    def sid(self) -> str | None:
        return self.held[Step.BUY_NUMBER].ref

    @property
    def entry_id(self) -> str | None:
        return self.held[Step.IMPORT_NUMBER].ref

    def has(self, step: Step) -> bool:
        """Whether this is held, without doubt."""
        return self.held[step].held is Held.YES

    @property
    def has_sent_nothing(self) -> bool:
        """Whether nothing can have been bought."""
        status = self.intent.status if self.intent else None
        return self.held[Step.BUY_NUMBER].held is Held.NO and status in NOTHING_BOUGHT


@dataclass(frozen=True, slots=True)
class Worked:
    """How the wait ended, where the tenant stands, and a sentence on why where it is not done."""

    ended: Ended
    standing: Standing
    why: str = ""


def standing_of(tx: Transaction, tenant_id: int) -> Standing:
    tenant = tenants.get(tx, tenant_id)
    return Standing(tenant, holdings.of_tenant(tx, tenant_id), intents.open_of(tx, tenant))


def is_at_rest(standing: Standing) -> bool:
    """Active with all that it gets, or released."""
    return standing.tenant.state in (State.ACTIVE, State.RELEASED)


def work_at_once(
    parts: StepParts,
    tenant_id: int,
    owner: str,
    patience: Patience,
    is_done: Callable[[Standing], bool] = is_at_rest,
) -> Worked:
    """Work for a tenant, or wait for who does, until it is done, blocked, or the patience is at its end.

    Safe at any time and beside anybody. Raises StorageUnavailable; a provider's failure is an outcome.
    """
    probe_refusing(parts)
    end_ms = parts.clock.now_ms() + patience.limit_ms
    while True:
        claimed = take(parts, owner, tenant_id)
        if claimed:
            continue
        with parts.database.read() as tx:
            standing = standing_of(tx, tenant_id)
        tenant, now_ms = standing.tenant, parts.clock.now_ms()
        is_in_hand = tenant.lease_until_ms is not None and tenant.lease_until_ms > now_ms
        if is_done(standing) and not is_in_hand:
            return Worked(Ended.DONE, standing)
        if tenant.block is not None and not is_in_hand:
            return Worked(Ended.BLOCKED, standing, tenant.block.message)
        wait_ms = pause_ms(tenant, is_in_hand, now_ms)
        if wait_ms is None or now_ms + wait_ms > end_ms:
            return Worked(Ended.UNDECIDED, standing, why_undecided(standing, is_in_hand))
        patience.pause(wait_ms / 1000)


def take(parts: StepParts, owner: str, tenant_id: int) -> bool:
    """Work for the tenant if it is due and nobody else does; whether anything was done."""
    try:
        claimed = claim(parts, owner, tenant_id)
    except leases.TenantBusy:
        return False
    if claimed is None:
        return False
    advance(parts, claimed)
    return True


def pause_ms(tenant: Tenant, is_in_hand: bool, now_ms: int) -> int | None:
    """How long until it is worth another look; None: nothing happens by itself."""
    if is_in_hand:
        return LOOK_AGAIN_MS
    if tenant.next_run_at_ms is None:
        return None
    return max(LOOK_AGAIN_MS, tenant.next_run_at_ms - now_ms)


def why_undecided(standing: Standing, is_in_hand: bool) -> str:
    key, number = standing.tenant.tenant_key, standing.number
    if is_in_hand:
        return f"{key} is in another worker's hand and was not done in time."
    if standing.held[Step.BUY_NUMBER].held is Held.MAYBE:
        return f"What became of {number} is not clear yet. Nothing else is bought until it is."
    if standing.has(Step.BUY_NUMBER):
        return f"{number} is held, and what comes next was put off: a provider gave no clear answer."
    return f"{key} has no number yet: a provider did not answer. Nothing was bought."
