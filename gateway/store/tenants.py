"""Tenants: who they are, what they want, where they stand, and when to look at them again."""

from __future__ import annotations

from gateway.domain import keys
from gateway.domain.model import Block, Blocked, Decision, Extent, Hold, State, Step, Tenant, Wanted
from gateway.store.database import Question, Row, Transaction


def from_row(row: Row) -> Tenant:
    block = None
    if row["blocked_code"]:
        block = Block(
            code=Blocked(row["blocked_code"]),
            message=row["blocked_message"],
            step=Step(row["blocked_step"]) if row["blocked_step"] else None,
            wanted=Wanted(row["blocked_wanted"]),
            at_ms=row["blocked_at_ms"],
        )
    return Tenant(
        id=row["id"],
        tenant_key=row["tenant_key"],
        state=State(row["state"]),
        wanted=Wanted(row["wanted"]),
        reason=row["reason"],
        changes_at_ms=row["changes_at_ms"],
        generation=row["generation"],
        version=row["version"],
        fence=row["fence"],
        lease_owner=row["lease_owner"],
        lease_until_ms=row["lease_until_ms"],
        next_run_at_ms=row["next_run_at_ms"],
        hold=Hold(row["hold"]) if row["hold"] else None,
        block=block,
        tries=row["tries"],
        self_named=bool(row["self_named"]),
        created_at_ms=row["created_at_ms"],
        updated_at_ms=row["updated_at_ms"],
        extent=Extent(row["extent"]),
    )


def get(tx: Transaction, tenant_id: int) -> Tenant:
    """One tenant by its row id, which must exist."""
    sql, params = question(tenant_id)
    row = tx.one(sql, **params)
    assert row is not None, f"no tenant row {tenant_id}"
    return from_row(row)


def question(tenant_id: int) -> Question:
    return "SELECT * FROM tenants WHERE id = :id", {"id": tenant_id}


def lock(tx: Transaction, tenant_id: int) -> Tenant:
    """One tenant by its row id, kept from everybody else until the commit: for reading what decides a write.

    Whoever locks several takes them by ascending id.
    """
    row = tx.one("SELECT * FROM tenants WHERE id = :id /*lock*/", id=tenant_id)
    assert row is not None, f"no tenant row {tenant_id}"
    return from_row(row)


def try_lock(tx: Transaction, tenant_id: int) -> Tenant | None:
    """The same without waiting; None while somebody else has it."""
    row = tx.one("SELECT * FROM tenants WHERE id = :id /*skip_locked*/", id=tenant_id)
    return from_row(row) if row else None


def by_key(tx: Transaction, tenant_key: str) -> Tenant | None:
    """One tenant by its key or by an alias."""
    row = tx.one("SELECT * FROM tenants WHERE tenant_key = :tenant_key", tenant_key=tenant_key)
    if row is None:
        row = tx.one(
            "SELECT t.* FROM tenants t JOIN tenant_aliases a ON a.tenant_id = t.id WHERE a.alias_key = :alias_key",
            alias_key=tenant_key,
        )
    return from_row(row) if row else None


def by_key_or_free(tx: Transaction, tenant_key: str) -> Tenant | None:
    """The tenant with this key or alias. None: nobody else can make it a key or an alias before our commit.

    Keys and aliases are two tables, so that no unique rule spans them.
    """
    found = by_key(tx, tenant_key)
    if found is None:
        tx.lock(f"tenant key {tenant_key}")
        found = by_key(tx, tenant_key)
    return found


def create(
    tx: Transaction, tenant_key: str, now_ms: int, *, self_named: bool = False, extent: Extent = Extent.FULL
) -> Tenant:
    """A new tenant in state `new`. Raises IntegrityError when the key is not free."""
    tenant_id = tx.insert(
        """INSERT INTO tenants (tenant_key, self_named, extent, created_at_ms, updated_at_ms)
           VALUES (:tenant_key, :self_named, :extent, :now_ms, :now_ms) RETURNING id""",
        tenant_key=tenant_key,
        self_named=int(self_named),
        extent=extent,
        now_ms=now_ms,
    )
    return get(tx, tenant_id)


def add_alias(tx: Transaction, tenant_id: int, alias_key: str) -> None:
    """Let another key mean this tenant. Safe to repeat."""
    tx.do_later(
        """INSERT INTO tenant_aliases (alias_key, tenant_id) VALUES (:alias_key, :tenant_id)
           ON CONFLICT (alias_key) DO NOTHING""",
        alias_key=alias_key,
        tenant_id=tenant_id,
    )


def aliases(tx: Transaction, tenant_id: int) -> list[str]:
    rows = tx.all(
        "SELECT alias_key FROM tenant_aliases WHERE tenant_id = :tenant_id ORDER BY alias_key", tenant_id=tenant_id
    )
    return [row["alias_key"] for row in rows]


def change_mind(tx: Transaction, tenant_id: int, now_ms: int) -> None:
    """Something about this tenant changed: a step under way must stop before its next effect, and it is due now.

    A tenant under a lease becomes due when the lease's holder lets go of it.
    """
    tx.do_later(
        """UPDATE tenants SET version = version + 1, updated_at_ms = :now_ms,
             next_run_at_ms = CASE WHEN lease_until_ms > :now_ms THEN next_run_at_ms ELSE :now_ms END
           WHERE id = :id""",
        id=tenant_id,
        now_ms=now_ms,
    )
    tx.wakes.tenants[tenant_id] = now_ms


def save_decision(
    tx: Transaction, tenant: Tenant, decision: Decision, state: State, generation: int, now_ms: int
) -> None:
    """Store what is wanted and where the tenant stands now."""
    tx.do_later(
        """UPDATE tenants SET wanted = :wanted, reason = :reason, changes_at_ms = :changes_at_ms, state = :state,
             generation = :generation, updated_at_ms = :now_ms WHERE id = :id""",
        id=tenant.id,
        wanted=decision.wanted,
        reason=decision.reason,
        changes_at_ms=decision.changes_at_ms,
        state=state,
        generation=generation,
        now_ms=now_ms,
    )


def set_generation(tx: Transaction, tenant_id: int, generation: int, now_ms: int) -> None:
    """Follow a number that bears a later generation than we know of."""
    tx.do_later(
        "UPDATE tenants SET generation = :generation, updated_at_ms = :now_ms WHERE id = :id",
        id=tenant_id,
        generation=generation,
        now_ms=now_ms,
    )


def set_hold(tx: Transaction, tenant_id: int, hold: Hold | None, now_ms: int) -> None:
    """Set or lift an operator's hold."""
    tx.do_later("UPDATE tenants SET hold = :hold, updated_at_ms = :now_ms WHERE id = :id",
          id=tenant_id, hold=hold, now_ms=now_ms)  # fmt: skip


def raise_extent(tx: Transaction, tenant: Tenant, extent: Extent, now_ms: int) -> Tenant:
    """The tenant with at least this extent: what somebody gets already is not taken away."""
    ranks = list(Extent)
    if ranks.index(extent) <= ranks.index(tenant.extent):
        return tenant
    set_extent(tx, tenant.id, extent, now_ms)
    return get(tx, tenant.id)


def set_extent(tx: Transaction, tenant_id: int, extent: Extent, now_ms: int) -> None:
    """How much the tenant gets from now on."""
    tx.do("UPDATE tenants SET extent = :extent, updated_at_ms = :now_ms WHERE id = :id",
          id=tenant_id, extent=extent, now_ms=now_ms)  # fmt: skip


def set_block(tx: Transaction, tenant_id: int, block: Block | None) -> None:
    """Note why a tenant does not go on, or that it may again."""
    tx.do_later(
        """UPDATE tenants SET blocked_code = :code, blocked_message = :message, blocked_step = :step,
             blocked_wanted = :wanted, blocked_at_ms = :at_ms WHERE id = :id""",
        id=tenant_id,
        code=block.code if block else None,
        message=block.message if block else None,
        step=block.step if block else None,
        wanted=block.wanted if block else None,
        at_ms=block.at_ms if block else None,
    )


def set_tries(tx: Transaction, tenant_id: int, tries: int) -> None:
    """How often in a row the present step was put off."""
    tx.do_later("UPDATE tenants SET tries = :tries WHERE id = :id", id=tenant_id, tries=tries)


def list_page(
    tx: Transaction,
    *,
    state: str | None = None,
    blocked: str | None = None,
    contains: str | None = None,
    is_spare: bool | None = None,
    after_id: int = 0,
    limit: int = 100,
) -> list[Tenant]:
    """Tenants by row id, filtered. `blocked` is a code, or `any`.   is_spare: only spare numbers, or only others."""
    rows = tx.all(
        """SELECT * FROM tenants WHERE id > :after_id
             AND (CAST(:state AS TEXT) IS NULL OR state = :state)
             AND (CAST(:blocked AS TEXT) IS NULL OR blocked_code = :blocked
                  OR (:blocked = 'any' AND blocked_code IS NOT NULL))
             AND (CAST(:contains AS TEXT) IS NULL OR LOWER(tenant_key) LIKE LOWER(:contains) ESCAPE '\\')
             AND (CAST(:is_spare AS BIGINT) IS NULL
                  OR (CASE WHEN tenant_key LIKE :spare THEN 1 ELSE 0 END) = :is_spare)
           ORDER BY id LIMIT :limit""",
        after_id=after_id,
        state=state,
        blocked=blocked,
        contains=like(contains),
        is_spare=None if is_spare is None else int(is_spare),
        spare=f"{keys.SPARE_PREFIX}%",
        limit=limit,
    )
    return [from_row(row) for row in rows]


def like(text: str | None) -> str | None:
    """A pattern that finds `text` anywhere, taken literally."""
    if text is None:
        return None
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def count_by_state(tx: Transaction) -> dict[str, int]:
    return {
        row["state"]: row["n"]
        for row in tx.all("SELECT state, COUNT(*) AS n FROM tenants GROUP BY state ORDER BY state")
    }
