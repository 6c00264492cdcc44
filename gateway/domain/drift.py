"""What we believe, compared with what the providers say. Says what differs; changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.domain.model import Step


@dataclass(frozen=True, slots=True)
class Believed:
    """A tenant as our tables have it.

    target: what its entry should do with a call, as `recipe.target_of`.   is_wired: its calls should arrive there.
    """

    tenant_id: int
    tenant_key: str
    tag: str
    number: str | None
    sid: str | None
    entry_id: str | None
    target: str | None
    is_settled: bool
    is_wired: bool = False


@dataclass(frozen=True, slots=True)
class SeenNumber:
    """A number of the account. is_wired: its calls go to the assistants' platform."""

    sid: str
    number: str
    tag: str
    is_wired: bool = True


@dataclass(frozen=True, slots=True)
class SeenEntry:
    entry_id: str
    number: str
    tag: str
    target: str


@dataclass(frozen=True, slots=True)
class Drift:
    """One difference.

    code: `number_missing`, `number_unreferenced`, `number_renamed`, `number_not_wired`, `entry_missing`,
    `entry_unreferenced`, `entry_different`, `watched_number_bought`.
    step: what a look at this step of the tenant would settle; None when only a person can.
    costs_money: only reported, whatever is asked for.   number: one that nobody refers to.
    """

    code: str
    message: str
    tenant_id: int | None = None
    tenant_key: str | None = None
    step: Step | None = None
    costs_money: bool = False
    number: str | None = None


def compare(
    tenants: Iterable[Believed],
    numbers: Iterable[SeenNumber],
    entries: Iterable[SeenEntry],
    our_prefix: str,
    watched: Mapping[str, str],
) -> list[Drift]:
    """Every difference in what bears our tags or what we believe to hold.

    our_prefix: what this installation's tags begin with.   watched: refused number -> the tag it was sent with.
    """
    believed = list(tenants)
    by_sid = {number.sid: number for number in numbers}
    by_entry = {entry.entry_id: entry for entry in entries}
    found: list[Drift] = []
    for tenant in believed:
        of_tenant = [*of_number(tenant, by_sid), *of_entry(tenant, by_entry)]
        # What is gone, or not ours, explains it: its step looks at the wiring too.
        found.extend(of_tenant or of_wiring(tenant, by_sid))
    found.extend(unreferenced_numbers(believed, by_sid.values(), our_prefix, watched))
    found.extend(unreferenced_entries(believed, by_entry.values(), our_prefix))
    return found


def of_number(tenant: Believed, by_sid: Mapping[str, SeenNumber]) -> list[Drift]:
    if tenant.sid is None or not tenant.is_settled:
        return []
    seen = by_sid.get(tenant.sid)
    if seen is None:
        message = f"{tenant.tenant_key}: its number {tenant.number} ({tenant.sid}) is no longer in the Twilio account."
        return [Drift("number_missing", message, tenant.tenant_id, tenant.tenant_key, Step.BUY_NUMBER, True)]
    if (seen.number, seen.tag) != (tenant.number, tenant.tag):
        message = f"{tenant.tenant_key}: {tenant.number} is at Twilio under the name {seen.tag!r}, not {tenant.tag}."
        return [Drift("number_renamed", message, tenant.tenant_id, tenant.tenant_key, Step.BUY_NUMBER, True)]
    return []


def of_entry(tenant: Believed, by_entry: Mapping[str, SeenEntry]) -> list[Drift]:
    if tenant.entry_id is None or not tenant.is_settled:
        return []
    seen = by_entry.get(tenant.entry_id)
    if seen is None or seen.number != tenant.number:
        message = f"{tenant.tenant_key}: its Vapi entry {tenant.entry_id} for {tenant.number} is gone."
        return [Drift("entry_missing", message, tenant.tenant_id, tenant.tenant_key, Step.IMPORT_NUMBER)]
    if tenant.target is not None and seen.target != tenant.target:
        message = f"{tenant.tenant_key}: its Vapi entry answers calls in another way than it should."
        return [Drift("entry_different", message, tenant.tenant_id, tenant.tenant_key, Step.ASSIGN_ASSISTANT)]
    return []


def of_wiring(tenant: Believed, by_sid: Mapping[str, SeenNumber]) -> list[Drift]:
    """A number that was cleared, or pointed elsewhere, after it was imported: its callers reach nobody of ours."""
    seen = by_sid.get(tenant.sid or "")
    if seen is None or seen.is_wired or not tenant.is_wired or not tenant.is_settled:
        return []
    message = f"{tenant.tenant_key}: Twilio does not send the calls of {tenant.number} to Vapi any more."
    return [Drift("number_not_wired", message, tenant.tenant_id, tenant.tenant_key, Step.IMPORT_NUMBER)]


def unreferenced_numbers(
    believed: list[Believed], numbers: Iterable[SeenNumber], our_prefix: str, watched: Mapping[str, str]
) -> list[Drift]:
    known = {tenant.sid for tenant in believed if tenant.sid}
    unsettled = {tenant.tag for tenant in believed if not tenant.is_settled}
    found = []
    for number in numbers:
        if not number.tag.startswith(our_prefix) or number.sid in known or number.tag in unsettled:
            continue
        if watched.get(number.number) == number.tag:
            code, what = "watched_number_bought", "was refused at first and bought all the same"
        else:
            code, what = "number_unreferenced", "belongs to no tenant that we know of"
        message = f"{number.number} ({number.sid}) under {number.tag} {what}. It costs money until it is released."
        found.append(Drift(code, message, costs_money=True, number=number.number))
    return found


def unreferenced_entries(believed: list[Believed], entries: Iterable[SeenEntry], our_prefix: str) -> list[Drift]:
    known = {tenant.entry_id for tenant in believed if tenant.entry_id}
    by_tag = {tenant.tag: tenant for tenant in believed}
    found = []
    for entry in entries:
        if not entry.tag.startswith(our_prefix) or entry.entry_id in known:
            continue
        owner = by_tag.get(entry.tag)
        if owner is not None and not owner.is_settled:
            continue
        message = f"The Vapi entry {entry.entry_id} for {entry.number} under {entry.tag} is referred to by no tenant."
        found.append(
            Drift(
                "entry_unreferenced",
                message,
                owner.tenant_id if owner else None,
                owner.tenant_key if owner else None,
                Step.IMPORT_NUMBER if owner and owner.entry_id else None,
            )
        )
    return found
