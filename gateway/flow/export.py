"""Tenants as the rest of the world sees them: one stable JSON object each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gateway.domain import keys, options
from gateway.domain.model import Held, Step, Tenant
from gateway.domain.rules import Rules
from gateway.store import holdings, subscriptions, tenants
from gateway.store.database import Transaction

PAGE = 500


def lines(tx: Transaction, rules: Rules) -> Iterator[dict[str, Any]]:
    """Every tenant, in the order they came."""
    after_id = 0
    while True:
        page = tenants.list_page(tx, after_id=after_id, limit=PAGE)
        for tenant in page:
            yield line(tx, tenant, rules)
        if len(page) < PAGE:
            return
        after_id = page[-1].id


def line(tx: Transaction, tenant: Tenant, rules: Rules) -> dict[str, Any]:
    """One tenant: what is held now, null while undecided and null once its release is proved."""
    held = holdings.of_tenant(tx, tenant.id)
    number, entry = held[Step.BUY_NUMBER], held[Step.IMPORT_NUMBER]
    is_held = number.held is Held.YES or bool(number.detail.get("is_releasing"))
    merged = options.merge(subscriptions.options_of(tx, tenant.id))
    return {
        "tenant_key": tenant.tenant_key,
        "state": tenant.state.value,
        "blocked": tenant.block.code.value if tenant.block else None,
        "phone_number": number.detail.get("number") if is_held else None,
        "twilio_sid": number.ref if is_held else None,
        "vapi_id": entry.ref,
        "assistant_id": merged.get("assistant_id") or rules.for_tenant(tenant.tenant_key).default_assistant_id,
        "friendly_names": [
            keys.tag(rules.env, tenant.tenant_key, generation) for generation in range(1, tenant.generation + 1)
        ],
    }
