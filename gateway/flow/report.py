"""Everything stored of one tenant, for people and scripts who want to know why."""

from __future__ import annotations

from typing import Any

from gateway.domain import options
from gateway.domain.model import Tenant
from gateway.domain.rules import Rules
from gateway.flow import export
from gateway.store import attempts, holdings, ledger, subscriptions, tenants
from gateway.store.database import Transaction


def whole(tx: Transaction, tenant: Tenant, rules: Rules) -> dict[str, Any]:
    """One tenant as JSON can hold it; begins with what `tenants export` says of it."""
    held = holdings.of_tenant(tx, tenant.id)
    return {
        **export.line(tx, tenant, rules),
        "wanted": str(tenant.wanted),
        "reason": tenant.reason,
        "blocked_message": tenant.block.message if tenant.block else None,
        "hold": str(tenant.hold) if tenant.hold else None,
        "generation": tenant.generation,
        "aliases": tenants.aliases(tx, tenant.id),
        "created_at_ms": tenant.created_at_ms,
        "next_run_at_ms": tenant.next_run_at_ms,
        "changes_at_ms": tenant.changes_at_ms,
        "options": options.merge(subscriptions.options_of(tx, tenant.id)),
        "holdings": {
            str(step): {
                "held": str(holding.held),
                "ref": holding.ref,
                "detail": dict(holding.detail),
                "doubt_at_ms": holding.doubt_at_ms,
            }
            for step, holding in held.items()
        },
        "subscriptions": [
            {"source": record.source, "subscription_id": record.subscription_id, "linked_by": record.linked_by}
            for record in subscriptions.records_of(tx, tenant.id)
        ],
        "attempts": attempts.of_tenant(tx, tenant.id),
        "ledger": ledger.of_tenant(tx, tenant.id),
    }
