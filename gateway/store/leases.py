"""Leases with fencing: who may work for a tenant now, and whose results still count.

A leased tenant carries the lease's end as `next_run_at_ms`: one narrow index finds what is due and what was abandoned,
and its cost does not grow with the table.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.domain.model import Tenant
from gateway.errors import LeaseLost
from gateway.store.database import Row, Transaction
from gateway.store.tenants import from_row


@dataclass(frozen=True, slots=True)
class Standing:
    """What has to be known directly before a call: the lease's end, and what all workers know of the provider."""

    lease_until_ms: int
    paused_until_ms: int
    is_refusing: bool
    reason: str | None


class TenantBusy(Exception):
    """Somebody is changing the tenant just now."""


def claim_due(tx: Transaction, now_ms: int, lease_ms: int, owner: str, limit: int) -> list[Tenant]:
    """Lease up to `limit` tenants that are due or whose lease ran out, the longest waiting first."""
    rows = tx.all(
        """WITH due AS MATERIALIZED (SELECT id FROM tenants WHERE next_run_at_ms <= :now_ms
                                     ORDER BY next_run_at_ms, id LIMIT :limit /*skip_locked*/)
           UPDATE tenants SET lease_owner = :owner, lease_until_ms = :until_ms, next_run_at_ms = :until_ms,
             fence = fence + 1
           WHERE id IN (SELECT id FROM due) RETURNING *""",
        owner=owner,
        until_ms=now_ms + lease_ms,
        now_ms=now_ms,
        limit=limit,
    )
    return [from_row(row) for row in rows]


def claim_if_due(tx: Transaction, tenant_id: int, now_ms: int, lease_ms: int, owner: str) -> Tenant | None:
    """Lease one tenant if it is due or its lease ran out. Raises TenantBusy while somebody is changing it."""
    row = tx.one("SELECT next_run_at_ms FROM tenants WHERE id = :id /*skip_locked*/", id=tenant_id)
    if row is None:
        raise TenantBusy
    due_ms = row["next_run_at_ms"]
    if due_ms is None or due_ms > now_ms:
        if due_ms is not None:
            tx.wakes.tenants[tenant_id] = due_ms
        return None
    return claim_one(tx, tenant_id, now_ms, lease_ms, owner)


def next_due_at_ms(tx: Transaction) -> int | None:
    """When the next tenant is due."""
    row = tx.one("SELECT MIN(next_run_at_ms) AS at_ms FROM tenants WHERE next_run_at_ms IS NOT NULL")
    return row["at_ms"] if row else None


def check(tx: Transaction, tenant_id: int, fence: int) -> Tenant:
    """The tenant, kept from everybody else until the commit, if this fence still owns it.

    Raises LeaseLost: then nothing may be stored.
    """
    return owned(tx.one("SELECT * FROM tenants WHERE id = :id AND fence = :fence /*lock*/", id=tenant_id, fence=fence))


def look(tx: Transaction, tenant_id: int, fence: int, provider: str) -> Standing:
    """Until when this fence owned the tenant a moment ago, and how the provider was; one statement, for it is asked
    before each call. Raises LeaseLost.
    """
    row = tx.one(
        """SELECT t.lease_owner, t.lease_until_ms, p.paused_until_ms, p.is_refusing, p.reason
           FROM tenants t LEFT JOIN providers p ON p.name = :provider WHERE t.id = :id AND t.fence = :fence""",
        id=tenant_id,
        fence=fence,
        provider=provider,
    )
    if row is None or row["lease_owner"] is None:
        raise lost()
    return Standing(
        row["lease_until_ms"] or 0, row["paused_until_ms"] or 0, bool(row["is_refusing"]), row["reason"]
    )  # fmt: skip


def owned(row: Row | None) -> Tenant:
    if row is None or row["lease_owner"] is None:
        raise lost()
    return from_row(row)


def lost() -> LeaseLost:
    return LeaseLost("Another worker took over this tenant.")


def renew(tx: Transaction, tenant_id: int, fence: int, now_ms: int, lease_ms: int) -> None:
    """Own the tenant for another full lease."""
    changed = tx.do(
        """UPDATE tenants SET lease_until_ms = :until_ms, next_run_at_ms = :until_ms
           WHERE id = :id AND fence = :fence AND lease_owner IS NOT NULL""",
        id=tenant_id,
        fence=fence,
        until_ms=now_ms + lease_ms,
    )
    if not changed:
        raise LeaseLost(f"Another worker took over tenant row {tenant_id}.")


def let_go(tx: Transaction, tenant_id: int, fence: int, next_run_at_ms: int | None) -> None:
    """Give the tenant back, due at `next_run_at_ms`; None: when something wakes it."""
    tx.do_later(
        """UPDATE tenants SET lease_owner = NULL, lease_until_ms = NULL, next_run_at_ms = :next_run_at_ms
           WHERE id = :id AND fence = :fence""",
        id=tenant_id,
        fence=fence,
        next_run_at_ms=next_run_at_ms,
    )
    if next_run_at_ms is not None:
        tx.wakes.tenants[tenant_id] = next_run_at_ms


def wake(tx: Transaction, tenant_id: int, now_ms: int) -> None:
    """Make a tenant due now; one under a lease is left to its holder."""
    tx.do_later(
        """UPDATE tenants SET next_run_at_ms = :now_ms
           WHERE id = :id AND (lease_until_ms IS NULL OR lease_until_ms <= :now_ms)""",
        id=tenant_id,
        now_ms=now_ms,
    )
    tx.wakes.tenants[tenant_id] = now_ms


def wake_blocked(tx: Transaction, code: str, now_ms: int) -> int:
    """Make every tenant that is blocked for this reason due now; how many. They may be many: the sweep finds them."""
    return tx.do(
        """UPDATE tenants SET next_run_at_ms = :now_ms
           WHERE blocked_code = :code AND (lease_until_ms IS NULL OR lease_until_ms <= :now_ms)""",
        code=code,
        now_ms=now_ms,
    )


def claim_one(tx: Transaction, tenant_id: int, now_ms: int, lease_ms: int, owner: str) -> Tenant | None:
    """Lease one tenant, due or not; None while somebody else has it."""
    rows = tx.all(
        """UPDATE tenants SET lease_owner = :owner, lease_until_ms = :until_ms, next_run_at_ms = :until_ms,
             fence = fence + 1
           WHERE id = :id AND (lease_until_ms IS NULL OR lease_until_ms <= :now_ms) RETURNING *""",
        id=tenant_id,
        owner=owner,
        until_ms=now_ms + lease_ms,
        now_ms=now_ms,
    )
    return from_row(rows[0]) if rows else None
