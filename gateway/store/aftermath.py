"""After a backup was put back: purchases and releases are off, and numbers wait for tenants that nobody knows yet.

The database is in the past then. What was under way when the old one ended may still land, and what came after the
backup is known to the providers alone. So nothing is bought or given back until everything was compared with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gateway.domain import keys
from gateway.domain.model import Tenant
from gateway.store import installation, journal
from gateway.store.database import Transaction

RESTORED_AT = "restored_at_ms"
STRAY = "stray:"


def mark(tx: Transaction, now_ms: int, what: str, actor: str) -> None:
    """Turn purchases and releases off. Safe to repeat: the settle time then counts from the last time."""
    installation.put(tx, RESTORED_AT, str(now_ms))
    journal.write(tx, None, now_ms, "operator", "restored", {"reason": what}, actor=actor)


def restored_at_ms(tx: Transaction) -> int | None:
    """When the database was put back; None once everything was compared since."""
    found = installation.value(tx, RESTORED_AT)
    return int(found) if found else None


def is_over(tx: Transaction) -> bool:
    """Whether nothing is held back: no backup was put back, and no number waits for its tenant. One statement."""
    sql = "SELECT 1 AS one FROM installation WHERE name = :restored_at OR name LIKE 'stray:%' LIMIT 1"
    return tx.one(sql, restored_at=RESTORED_AT) is None


def finish(tx: Transaction, marked_at_ms: int, now_ms: int) -> bool:
    """Turn purchases and releases on again, unless another backup was put back meanwhile."""
    if restored_at_ms(tx) != marked_at_ms:
        return False
    tx.do("DELETE FROM installation WHERE name = :name", name=RESTORED_AT)
    journal.write(tx, None, now_ms, "reconcile", "restore_settled", {"restored_at_ms": marked_at_ms})
    return True


# --- numbers of tenants that nobody knows yet ------------------------------------------------------------------------


def has_strays(tx: Transaction) -> bool:
    return bool(strays(tx))


def strays(tx: Transaction) -> dict[str, str]:
    """Tag -> number, of what no tenant was found for."""
    rows = tx.all("SELECT name, value FROM installation WHERE name LIKE 'stray:%'")
    return {row["name"].removeprefix(STRAY): row["value"] for row in rows}


def put_strays(tx: Transaction, found: Mapping[str, str]) -> None:
    """Remember exactly these."""
    for tag in set(strays(tx)) - set(found):
        tx.do("DELETE FROM installation WHERE name = :name", name=STRAY + tag)
    for tag, number in found.items():
        installation.put(tx, STRAY + tag, number)


def stray_of(tx: Transaction, env: str, tenant: Tenant, former_keys: Iterable[str]) -> str | None:
    """The tag of a number that may be this tenant's: of another generation, or of a name it may have had."""
    gained = last_gained(tx, tenant.id)
    for tag in tags_of(tx, env, tenant.tenant_key):
        read = keys.read_tag(env, tag)
        # What bears the present tag is found by a look, and adopted.
        if read is not None and read[1] != tenant.generation and read[1] > gained:
            return tag
    return next((tag for former in former_keys for tag in tags_of(tx, env, former)), None)


def last_gained(tx: Transaction, tenant_id: int) -> int:
    """The last generation of a tenant that this database knows had a number; 0 for none."""
    row = tx.one(
        """SELECT MAX(generation) AS last FROM ledger
           WHERE tenant_id = :id AND thing = 'number' AND change = 'gained'""",
        id=tenant_id,
    )
    return (row["last"] or 0) if row else 0


def tags_of(tx: Transaction, env: str, tenant_key: str) -> list[str]:
    """Strays under any generation of a key."""
    first = STRAY + keys.tag(env, tenant_key, 1)[:-1]
    # Every name that begins so: `;` is the character after `:`.
    rows = tx.all(
        "SELECT name FROM installation WHERE name > :first AND name < :behind ORDER BY name",
        first=first,
        behind=first[:-1] + ";",
    )
    return [row["name"].removeprefix(STRAY) for row in rows]


def subscription_ids(tx: Transaction) -> dict[int, list[str]]:
    """Row id of a tenant -> ids of its subscriptions, of all tenants at once."""
    found: dict[int, list[str]] = {}
    for row in tx.all("SELECT tenant_id, subscription_id FROM subscriptions"):
        found.setdefault(row["tenant_id"], []).append(row["subscription_id"])
    return found


# --- a name a tenant had ---------------------------------------------------------------------------------------------


def take_former_name(tx: Transaction, tenant: Tenant, former_key: str, now_ms: int) -> bool:
    """Call a tenant by the name that its number bears, its present key becoming the alias; False where it must not be.

    Only while nothing was ever bought or imported under its present key, and only where the sender made the ids of its
    subscriptions: where the tenant's key stands for one, another key would begin another record.
    """
    is_used = tx.one(
        """SELECT 1 AS one FROM attempts WHERE tenant_id = :id UNION SELECT 1 FROM ledger WHERE tenant_id = :id
           UNION SELECT 1 FROM tenants WHERE tenant_key = :former UNION SELECT 1 FROM tenant_aliases
             WHERE alias_key = :former""",
        id=tenant.id,
        former=former_key,
    )
    by_key = tx.one(
        "SELECT 1 AS one FROM subscriptions WHERE tenant_id = :id AND subscription_id = :own",
        id=tenant.id,
        own=tenant.tenant_key,
    )
    if is_used or by_key:
        return False
    tx.do(
        "UPDATE tenants SET tenant_key = :former, self_named = 1, updated_at_ms = :now_ms WHERE id = :id",
        former=former_key,
        now_ms=now_ms,
        id=tenant.id,
    )
    tx.do("INSERT INTO tenant_aliases (alias_key, tenant_id) VALUES (:own, :id)", own=tenant.tenant_key, id=tenant.id)
    journal.write(tx, tenant.id, now_ms, "note", "alias", {"alias_key": tenant.tenant_key})
    return True
