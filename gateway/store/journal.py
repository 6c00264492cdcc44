"""Everything that happened to a tenant, oldest first. Rows are never changed: it reads as it happened.

Kinds: `event` (news was applied), `wanted`, `state`, `generation`, `blocked`, `unblocked`, `look`, `outcome`,
`operator`, `reconcile`, `note`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gateway.store.database import Row, Transaction


def write(
    tx: Transaction,
    tenant_id: int | None,
    now_ms: int,
    kind: str,
    name: str,
    detail: Mapping[str, Any] | None = None,
    *,
    actor: str | None = None,
    inbox_id: int | None = None,
) -> None:
    """Add one line. `detail` holds named fields of ours only, never a vendor's answer."""
    tx.do_later(
        """INSERT INTO journal (tenant_id, at_ms, kind, name, detail, actor, inbox_id)
           VALUES (:tenant_id, :at_ms, :kind, :name, :detail, :actor, :inbox_id)""",
        tenant_id=tenant_id,
        at_ms=now_ms,
        kind=kind,
        name=name,
        detail=json.dumps(detail or {}, separators=(",", ":"), default=str),
        actor=actor,
        inbox_id=inbox_id,
    )


def of_tenant(tx: Transaction, tenant_id: int, limit: int = 500) -> list[Row]:
    """The newest `limit` lines of a tenant, oldest first; `detail` decoded."""
    rows = tx.all(
        "SELECT * FROM journal WHERE tenant_id = :tenant_id ORDER BY id DESC LIMIT :limit",
        tenant_id=tenant_id,
        limit=limit,
    )
    return [{**row, "detail": json.loads(row["detail"])} for row in reversed(rows)]


def after(tx: Transaction, journal_id: int, limit: int = 500) -> list[Row]:
    """Lines newer than `journal_id`, oldest first, of all tenants; `detail` decoded."""
    rows = tx.all("SELECT * FROM journal WHERE id > :id ORDER BY id LIMIT :limit", id=journal_id, limit=limit)
    return [{**row, "detail": json.loads(row["detail"])} for row in rows]


BRAKE_LIFTED = "release_brake.lifted"


def brake_was_lifted(tx: Transaction, tenant_id: int, since_ms: int) -> bool:
    """Whether an operator let this tenant's release through since then."""
    row = tx.one(
        "SELECT 1 AS one FROM journal WHERE tenant_id = :tenant_id AND name = :name AND at_ms > :since_ms LIMIT 1",
        tenant_id=tenant_id,
        name=BRAKE_LIFTED,
        since_ms=since_ms,
    )
    return row is not None
