"""What was gained and lost, for good: a row for each number and each entry, in and out. Rows are never changed."""

from __future__ import annotations

from gateway.domain.model import Tenant
from gateway.store.database import Row, Transaction


def write(
    tx: Transaction,
    tenant: Tenant,
    thing: str,
    change: str,
    how: str,
    provider: str,
    ref: str,
    number: str,
    now_ms: int,
) -> None:
    """Add one row.

    thing: `number` or `entry`.   change: `gained` or `lost`.   how: `bought`, `imported`, `adopted`, `released`,
    `removed`, `missing`.   ref: the provider's id.
    """
    tx.do_later(
        """INSERT INTO ledger (tenant_id, generation, thing, change, how, provider, ref, number, at_ms)
           VALUES (:tenant_id, :generation, :thing, :change, :how, :provider, :ref, :number, :now_ms)""",
        tenant_id=tenant.id,
        generation=tenant.generation,
        thing=thing,
        change=change,
        how=how,
        provider=provider,
        ref=ref,
        number=number,
        now_ms=now_ms,
    )


def is_held(tx: Transaction, thing: str, ref: str) -> bool:
    """Whether the newest word on this thing is that it was gained."""
    row = tx.one(
        "SELECT change FROM ledger WHERE thing = :thing AND ref = :ref ORDER BY id DESC LIMIT 1", thing=thing, ref=ref
    )
    return row is not None and row["change"] == "gained"


def of_tenant(tx: Transaction, tenant_id: int) -> list[Row]:
    return tx.all("SELECT * FROM ledger WHERE tenant_id = :tenant_id ORDER BY id", tenant_id=tenant_id)


def refs(tx: Transaction, thing: str) -> dict[str, int]:
    """Everything gained of this kind and not lost since: ref -> tenant row id."""
    held: dict[str, int] = {}
    for row in tx.all("SELECT ref, change, tenant_id FROM ledger WHERE thing = :thing ORDER BY id", thing=thing):
        if row["change"] == "gained":
            held[row["ref"]] = row["tenant_id"]
        else:
            held.pop(row["ref"], None)
    return held
