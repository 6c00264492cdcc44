"""All that is decided from, of one tenant, read at once: it is asked for after every step and every event."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.domain.model import Holding, Step, Tenant
from gateway.domain.options import OptionRow
from gateway.store import holdings, subscriptions, tenants
from gateway.store.database import Transaction
from gateway.store.subscriptions import Link


@dataclass(frozen=True, slots=True)
class Situation:
    """told: every word on its options, of all levels."""

    tenant: Tenant
    held: dict[Step, Holding]
    links: list[Link]
    told: list[OptionRow]


def of_tenant(tx: Transaction, tenant_id: int) -> Situation:
    """The tenant must exist."""
    tenant, held, links, told = tx.all_of(
        tenants.question(tenant_id),
        holdings.question(tenant_id),
        subscriptions.links_question(tenant_id),
        subscriptions.options_question(tenant_id),
    )
    return Situation(
        tenants.from_row(tenant[0]),
        holdings.from_rows(held),
        [subscriptions.link_from(row) for row in links],
        [OptionRow(**row) for row in told],
    )
