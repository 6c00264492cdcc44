"""Every number there is: what the account holds, and whose each number is: a tenant's, spare stock, or foreign."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gateway.domain import keys
from gateway.domain.model import IntentStatus, Step
from gateway.flow import give, operate
from gateway.flow.operate import Operator
from gateway.flow.reconcile import list_numbers
from gateway.steps.context import StepParts
from gateway.store import holdings, intents, tenants
from gateway.store.database import Transaction


class Whose(StrEnum):
    TENANT = "tenant"
    SPARE = "spare"
    FOREIGN = "foreign"  # Bought by other means, or another installation's.


@dataclass(frozen=True, slots=True)
class Number:
    """One number. sid, friendly_name: None while its purchase is undecided, or when it is not in the account.

    state: of the tenant or the spare number.   is_there: the account shows it.
    """

    number: str
    sid: str | None
    friendly_name: str | None
    whose: Whose
    tenant_key: str | None
    state: str | None
    vapi_id: str | None
    is_there: bool


def numbers(parts: StepParts) -> list[Number]:
    """All numbers of the account and all that our tables hold or have undecided, by number.

    Raises a ProviderError when the account cannot be listed whole.
    """
    seen = {each.number: each for each in list_numbers(parts)}
    with parts.database.read() as tx:
        ours = {each.number: each for each in committed(tx)}
    found = []
    for number in sorted({*seen, *ours}):
        there, known = seen.get(number), ours.get(number)
        sid = there.sid if there else known.sid if known else None
        found.append(
            Number(
                number=number,
                sid=sid,
                friendly_name=there.tag if there else None,
                whose=known.whose if known else Whose.FOREIGN,
                tenant_key=known.tenant_key if known else None,
                state=known.state if known else None,
                vapi_id=known.vapi_id if known else None,
                is_there=there is not None,
            )
        )
    return found


def committed(tx: Transaction) -> list[Number]:
    """What our tables hold or have undecided."""
    entries = {tenant_id: ref for ref, tenant_id in holdings.tenants_by_ref(tx, Step.IMPORT_NUMBER).items()}
    found = []
    for intent in intents.open_ones(tx):
        if intent.status is IntentStatus.CHOSEN:
            continue
        tenant = tenants.get(tx, intent.tenant_id)
        is_spare = keys.is_spare(tenant.tenant_key)
        found.append(
            Number(
                number=intent.number,
                sid=intent.sid,
                friendly_name=intent.tag,
                whose=Whose.SPARE if is_spare else Whose.TENANT,
                tenant_key=None if is_spare else tenant.tenant_key,
                state=tenant.state.value,
                vapi_id=entries.get(tenant.id),
                is_there=False,
            )
        )
    return found


def adopt(parts: StepParts, tenant_key: str, sid: str, operator: Operator) -> None:
    """Take over a number of the account for a tenant: foreign ones after a check, a spare one of ours as it is.

    Nothing is bought. Raises OperatorError, or a ProviderError when the account cannot be asked.
    """
    with parts.database.read() as tx:
        owner_id = holdings.tenants_by_ref(tx, Step.BUY_NUMBER).get(sid)
        owner = tenants.get(tx, owner_id) if owner_id is not None else None
        number = holdings.of_tenant(tx, owner.id)[Step.BUY_NUMBER].detail.get("number") if owner else None
    if owner is not None and keys.is_spare(owner.tenant_key) and isinstance(number, str):
        parts.commit(lambda tx: give.give(tx, parts, number, tenant_key, operator))
        return
    operate.adopt(parts, tenant_key, sid, operator)
