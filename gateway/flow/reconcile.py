"""What we believe we hold, against what the providers say we hold.

Changes nothing itself: it puts a holding in doubt and wakes the tenant, whose own step looks and mends under its
lease. Money is only ever reported. A page that fails ends it: half a list must never look like "gone".
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from gateway.domain import keys
from gateway.domain.drift import Believed, Drift, SeenEntry, SeenNumber, compare
from gateway.domain.model import Extent, Held, Step, Tenant, Wanted
from gateway.domain.recipe import Holdings, target_of
from gateway.domain.rules import Rules
from gateway.errors import ProviderError
from gateway.flow import after_restore
from gateway.flow.reconsider import target_for
from gateway.ports import Entry, OwnedNumber
from gateway.steps.context import StepParts, in_flight
from gateway.store import attempts, holdings, intents, journal, leases, tenants
from gateway.store.database import Transaction

log = logging.getLogger("gateway.reconcile")

PAGE = 500
# Many pages need longer than one call; nothing is decided on half a list.
LIST_TIMES = 4


@dataclass(frozen=True, slots=True)
class Report:
    """drifts: every difference.   mended: how many tenants were woken to look.   compared: tenants looked at.

    held_back: why nothing is bought or given back now; None where that is not so.
    """

    drifts: tuple[Drift, ...]
    mended: int
    compared: int
    held_back: str | None = None


def reconcile(parts: StepParts, *, apply: bool) -> Report:
    """Compare everything under our tags. apply: put what a look can settle in doubt and wake its tenant.

    The first one that starts late enough after a backup was put back also has tenants take over what is theirs; until
    then nothing is mended. Raises a ProviderError when either side cannot be listed whole, Stopping when this process
    is to end. Safe to repeat, and to run anywhere.
    """
    began_ms = parts.clock.now_ms()
    numbers = [seen_number(parts, each) for each in list_numbers(parts)]
    entries = [seen_entry(each, parts.rules) for each in list_entries(parts)]
    if apply:
        apply = after_restore.settle(parts, all_tenants, numbers, began_ms)
    now_ms = parts.clock.now_ms()
    with parts.database.read() as tx:
        held_back = after_restore.sentence(tx, parts.rules.settle_ms)
        believed = [believe(tx, tenant, parts.rules, now_ms) for tenant in all_tenants(tx)]
        watched = {one.number: one.tag for one in intents.refused_since(tx, now_ms - parts.rules.watch_ms)}
    found = compare(believed, numbers, entries, f"{keys.TAG_PREFIX}{parts.rules.env}:", watched)
    found = [with_price(parts, drift) for drift in found]
    mended = sum(mend(parts, drift) for drift in found) if apply else 0
    for drift in found:
        log.warning("drift", extra={"fields": {"code": drift.code, "tenant": drift.tenant_key, "what": drift.message}})
    return Report(tuple(found), mended, len(believed), held_back)


def reconcile_if_restored(parts: StepParts) -> None:
    """As soon as that may settle it: tenants wait for it."""
    if after_restore.is_due(parts):
        reconcile(parts, apply=True)


def list_numbers(parts: StepParts) -> list[OwnedNumber]:
    with in_flight(parts, parts.telephony.provider) as deadline:
        return parts.telephony.list_all(deadline(LIST_TIMES))


def list_entries(parts: StepParts) -> list[Entry]:
    with in_flight(parts, parts.assistants.provider) as deadline:
        return parts.assistants.list_all(deadline(LIST_TIMES))


def seen_number(parts: StepParts, number: OwnedNumber) -> SeenNumber:
    return SeenNumber(number.sid, number.number, number.tag, parts.assistants.answers_at(number.voice_url))


def seen_entry(entry: Entry, rules: Rules) -> SeenEntry:
    answering = entry.answering
    if answering.says is None and rules.server_url_template is None:
        answering = replace(answering, server_url=None)
    return SeenEntry(entry.id, entry.number, entry.tag, target_of(answering))


def all_tenants(tx: Transaction) -> list[Tenant]:
    found: list[Tenant] = []
    while True:
        page = tenants.list_page(tx, after_id=found[-1].id if found else 0, limit=PAGE)
        found.extend(page)
        if len(page) < PAGE:
            return found


def believe(tx: Transaction, tenant: Tenant, rules: Rules, now_ms: int) -> Believed:
    held = holdings.of_tenant(tx, tenant.id)
    number, entry = held[Step.BUY_NUMBER], held[Step.IMPORT_NUMBER]
    return Believed(
        tenant_id=tenant.id,
        tenant_key=tenant.tenant_key,
        tag=keys.tag(rules.env, tenant.tenant_key, tenant.generation),
        number=number.detail.get("number"),
        sid=number.ref,
        entry_id=entry.ref,
        target=expected_target(tx, tenant, held, rules),
        is_settled=is_settled(tx, tenant, held, rules, now_ms),
        # A suspended tenant's import is not made anew, so nothing is asked of its number.
        is_wired=entry.held is Held.YES and tenant.wanted is Wanted.ACTIVE,
    )


def expected_target(tx: Transaction, tenant: Tenant, held: Holdings, rules: Rules) -> str | None:
    """What the entry should do, once it has been set; until then there is nothing to compare."""
    if held[Step.ASSIGN_ASSISTANT].held is not Held.YES or tenant.wanted is Wanted.RELEASED:
        return None
    if tenant.extent is not Extent.FULL and tenant.wanted is Wanted.ACTIVE:
        # Made by hand, with no opinion on all that can be set: who else sets something there does no harm.
        return None
    return target_for(tx, tenant, tenant.wanted, rules)


def is_settled(tx: Transaction, tenant: Tenant, held: Holdings, rules: Rules, now_ms: int) -> bool:
    """Whether nothing is under way that a list might not show yet."""
    if tenant.lease_owner is not None or any(each.held is Held.MAYBE for each in held.values()):
        return False
    return attempts.last_began_at_ms(tx, tenant.id) + rules.settle_ms < now_ms


def with_price(parts: StepParts, drift: Drift) -> Drift:
    """What a number nobody refers to costs, where Twilio says so."""
    if drift.number is None:
        return drift
    with parts.database.read() as tx:
        country, number_type = intents.kind_of(tx, drift.number) or (
            parts.rules.default_country,
            parts.rules.default_number_type,
        )
    try:
        with in_flight(parts, parts.telephony.provider) as deadline:
            price = parts.telephony.monthly_price(country, number_type, deadline())
    except ProviderError:
        return drift
    if price is None:
        return drift
    return replace(drift, message=f"{drift.message} It costs about {price[0]} {price[1]} a month.")


def mend(parts: StepParts, drift: Drift) -> int:
    return parts.commit(lambda tx: doubt(tx, parts, drift))


def doubt(tx: Transaction, parts: StepParts, drift: Drift) -> int:
    """Have the tenant's own step look; 1 when a tenant was woken."""
    if drift.step is None or drift.tenant_id is None:
        return 0
    now_ms = parts.clock.now_ms()
    tenant = tenants.lock(tx, drift.tenant_id)
    if tenant.block is not None and tenant.block.step is drift.step and drift.costs_money:
        return 0
    holdings.doubt(tx, tenant.id, drift.step, now_ms, now_ms)
    journal.write(tx, tenant.id, now_ms, "reconcile", drift.code, {"message": drift.message})
    leases.wake(tx, tenant.id, now_ms)
    return 1
