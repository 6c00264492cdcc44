"""Which papers a purchase shows: settled before a number is committed, so that nothing is bought in vain.

A kind of number may want an address, an approved bundle, or both. What it wants is known from the search (address) and
from the provider's regulations (bundle). What there is comes from the signup, from what this tenant had before, or
from TWILIO_COMPLIANCE_FILE. Whatever is missing blocks the tenant with a sentence that says how to give it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gateway.domain import papers
from gateway.domain.model import Blocked, Options
from gateway.errors import ProviderError, Refused, TryLater
from gateway.ports import PostalAddress, Regulation
from gateway.steps.context import Context, Halt, Halted, Outcome
from gateway.steps.remembered import KEEP_MS, KEEP_UNKNOWN_MS
from gateway.store import intents

Kind = tuple[str, str]


@dataclass(frozen=True, slots=True)
class BundlePlan:
    """sid: the bundle to show.   fault: why it does not do, as the end of a sentence; then nothing is bought.

    wanted: what the regulation asks for.   recheck_ms: when to look again.
    """

    sid: str | None = None
    fault: str | None = None
    wanted: tuple[str, ...] = ()
    recheck_ms: int = 0


@dataclass(frozen=True, slots=True)
class AddressPlan:
    """Where the address comes from: `sid`, on file already, or `words`, to be put on file; neither: none is shown.

    country: where it is; None where that does not matter.
    """

    sid: str | None = None
    words: PostalAddress | None = None
    country: str | None = None


# --- bundles ---------------------------------------------------------------------------------------------------------


def plan_bundle(ctx: Context, wish: Options, kind: Kind) -> BundlePlan:
    """The bundle for this kind of number, and whether it does. Asks nobody where numbers are sold without papers."""
    sid = wish.bundle_sid or ctx.rules.papers_for(*kind).bundle_sid
    if kind[0] in papers.WITHOUT_PAPERS:
        return BundlePlan(sid)
    if sid is not None:
        fault = fault_of(ctx, sid, kind)
        return BundlePlan(sid, fault and f"and bundle {sid} {fault}", recheck_ms=ctx.rules.recheck_ms)
    asked = regulation(ctx, kind)
    if asked is None or not asked.needs_bundle:
        return BundlePlan()
    return BundlePlan(None, "and none is named", asked.requirements, ctx.rules.papers_recheck_ms)


def fault_of(ctx: Context, sid: str, kind: Kind) -> str | None:
    """Why this bundle does not buy this kind of number; None when it does, or when nobody can be asked.

    Then the provider itself says so when the number is bought.
    """
    try:
        found = ctx.ask(ctx.papers.provider, lambda deadline: ctx.papers.fetch_bundle(sid, deadline))
    except ProviderError as error:
        pass_on_a_pause(error)
        return None
    if found is None:
        return "is not in the Twilio account"
    return papers.bundle_fault(
        status=found.status,
        is_approved=found.is_approved,
        kind=(found.country, found.number_type),
        wanted_kind=kind,
        valid_until_ms=found.valid_until_ms,
        now_ms=ctx.now_ms(),
    )


def regulation(ctx: Context, kind: Kind) -> Regulation | None:
    """What this kind wants, asked at most four times an hour; None when the provider does not say, or cannot."""
    now_ms = ctx.now_ms()
    kept = ctx.parts.regulations.get(kind, now_ms)
    if kept is not None:
        return kept.value
    try:
        found = ctx.ask(ctx.papers.provider, lambda deadline: ctx.papers.regulation(*kind, deadline))
    except ProviderError as error:
        pass_on_a_pause(error)
        return ctx.parts.regulations.put(kind, None, now_ms + KEEP_UNKNOWN_MS)
    return ctx.parts.regulations.put(kind, found, now_ms + KEEP_MS)


def pass_on_a_pause(error: ProviderError) -> None:
    """A provider that asks us to slow down is heeded; one that cannot be asked about papers is done without."""
    if isinstance(error, TryLater) and (error.rate_limited or error.retry_after_seconds is not None):
        raise error


def require_bundle(ctx: Context, kind: Kind, plan: BundlePlan) -> None:
    """Raises Halted when a bundle is needed and there is none that does."""
    if plan.fault is None:
        return
    key = ctx.tenant.tenant_key
    message = (
        f"{key} waits: {numbers_of(kind)} need an approved regulatory bundle, {plan.fault}. Nothing was bought. "
        f"{wanted_words(plan)}{how_to_give_a_bundle(key, kind)} It goes on by itself once the bundle is approved."
    )
    raise Halted(Outcome("needs_bundle", halt=Halt(Blocked.NEEDS_BUNDLE, message, ctx.now_ms() + plan.recheck_ms)))


def wanted_words(plan: BundlePlan) -> str:
    return f"Twilio asks for: {', '.join(plan.wanted)}. " if plan.wanted else ""


def how_to_give_a_bundle(tenant_key: str, kind: Kind) -> str:
    return (
        f'Name one: python -m gateway tenants set {tenant_key} bundle_sid=BU… --reason "…", or for every customer '
        f"bundle_sid under [{kind[0]}.{kind[1]}] in TWILIO_COMPLIANCE_FILE. {another_kind(tenant_key)}"
    )


# --- addresses -------------------------------------------------------------------------------------------------------


def plan_address(
    ctx: Context, wish: Options, kind: Kind, requirements: Sequence[str], bundle: BundlePlan
) -> AddressPlan:
    """The address to show for numbers with these requirements; the least of them counts.

    requirements: of the numbers that were found; none where nobody said. Raises Halted when one is needed and there is
    none that does; nothing is put on file yet.
    """
    least = min(requirements, key=papers.demand, default=None)
    if least == papers.NO_ADDRESS:
        return AddressPlan(wish.address_sid or ctx.rules.papers_for(*kind).address_sid)
    faults: list[str] = []
    for plan in sources(ctx, wish, kind, faults):
        if least is None or plan.country is None or papers.satisfies(least, plan.country, kind[0]):
            return plan
        faults.append(f"its address is in {plan.country} and must be {papers.where(least, kind[0])}")
    if least is None:
        return AddressPlan()
    raise Halted(needs_address(ctx, kind, least, faults or [missing(wish)], bundle))


def sources(ctx: Context, wish: Options, kind: Kind, faults: list[str]) -> Iterator[AddressPlan]:
    """Where this tenant's address may come from, the most particular first; what is wrong is added to `faults`."""
    if wish.address_sid is not None:
        # Whoever names one means that one.
        yield from on_file(ctx, wish.address_sid, faults)
        return
    if not papers.missing_lines(wish.address):
        country = wish.address_country or kind[0]
        lines = {name: wish.address[name] for name in papers.LINES}
        yield AddressPlan(words=PostalAddress(lines.pop("company_name"), **lines, country=country), country=country)
    else:
        former = ctx.read_one(lambda tx: intents.last_address_sid(tx, ctx.tenant.id))
        if former is not None:
            yield from on_file(ctx, former, faults)
    configured = ctx.rules.papers_for(*kind).address_sid
    if configured is not None:
        yield from on_file(ctx, configured, faults)


def on_file(ctx: Context, sid: str, faults: list[str]) -> Iterator[AddressPlan]:
    """The address with this SID, if it is still there."""
    try:
        found = ctx.ask(ctx.papers.provider, lambda deadline: ctx.papers.fetch_address(sid, deadline))
    except Refused as error:
        if error.kind == "credentials":
            raise
        found = None
    if found is None:
        faults.append(f"address {sid} is not in the Twilio account")
        return
    yield AddressPlan(sid=sid, country=found.address.country)


def missing(wish: Options) -> str:
    """Which lines were not given."""
    names = papers.missing_lines(wish.address)
    return (
        "no address was given" if len(names) == len(papers.LINES) else f"of its address {', '.join(names)} is missing"
    )


def needs_address(ctx: Context, kind: Kind, least: str, faults: Sequence[str], bundle: BundlePlan) -> Outcome:
    key = ctx.tenant.tenant_key
    also = f" It also needs an approved regulatory bundle, {bundle.fault}." if bundle.fault else ""
    message = (
        f"{key} waits: {numbers_of(kind)} are sold to customers with an address {papers.where(least, kind[0])} on "
        f"file, and {'; '.join(faults)}. Nothing was bought.{also} {how_to_give_an_address(key, kind)}"
    )
    halt = Halt(Blocked.NEEDS_ADDRESS, message, ctx.now_ms() + ctx.rules.papers_recheck_ms)
    return Outcome("needs_address", halt=halt)


def how_to_give_an_address(tenant_key: str, kind: Kind) -> str:
    lines = " ".join(f"{name}=…" for name in papers.LINES)
    return (
        f'Give it: python -m gateway tenants set {tenant_key} {lines} --reason "…" (and address_country=… where it is '
        f"not in {kind[0]}), name one that is on file as address_sid=AD…, or for every customer address_sid under "
        f"[{kind[0]}.{kind[1]}] in TWILIO_COMPLIANCE_FILE. Or let the customer say it: python -m gateway tenants "
        f"choose-link {tenant_key}. {another_kind(tenant_key)}"
    )


def another_kind(tenant_key: str) -> str:
    return f'Or another kind of number: python -m gateway tenants set {tenant_key} country=US --reason "…".'


def numbers_of(kind: Kind) -> str:
    return f"{kind[0]} {kind[1].replace('_', ' ')} numbers"
