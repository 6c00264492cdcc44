"""News of tenants for other systems, written in the transaction of the change that it announces."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gateway.store.database import Row, Transaction


def put(
    tx: Transaction, message_id: str, tenant_id: int, message_type: str, body: Mapping[str, Any], now_ms: int
) -> None:
    """Queue a message. `message_id` is what the receiver deduplicates by; the same id twice is one message."""
    tx.do_later(
        """INSERT INTO outbox (message_id, tenant_id, type, body, created_at_ms)
           VALUES (:message_id, :tenant_id, :type, :body, :now_ms) ON CONFLICT (message_id) DO NOTHING""",
        message_id=message_id,
        tenant_id=tenant_id,
        type=message_type,
        body=json.dumps(body, separators=(",", ":")),
        now_ms=now_ms,
    )


def unsent(tx: Transaction, limit: int) -> list[Row]:
    """The oldest messages not sent yet."""
    return tx.all("SELECT * FROM outbox WHERE sent_at_ms IS NULL ORDER BY id LIMIT :limit", limit=limit)


def count_of_tenant(tx: Transaction, tenant_id: int) -> int:
    """How many messages this tenant ever had."""
    row = tx.one("SELECT COUNT(*) AS n FROM outbox WHERE tenant_id = :tenant_id", tenant_id=tenant_id)
    return int(row["n"]) if row else 0
