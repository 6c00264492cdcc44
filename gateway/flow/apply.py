"""News is applied: whose it is, what its subscription's record says now, and what its tenant wants from then on.

Everything happens in the one transaction it is handed. Each event has a savepoint of its own: one that cannot be
applied is undone alone, tried again later, and in the end parked; it never holds up its neighbours and is never
dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from gateway.domain import keys, options
from gateway.domain.model import News, Subscription, Tenant
from gateway.domain.subscriptions import hear, is_known, link
from gateway.errors import EventWaits
from gateway.flow.aside import AppliedEvent, put_by, put_off
from gateway.ports import Source
from gateway.store import inbox, journal, subscriptions, tenants
from gateway.store.database import Transaction
from gateway.store.inbox import InboxRow
from gateway.store.leases import TenantBusy

# How long a completed checkout without a key waits for an event that names its tenant.
WAIT_FOR_NAME_MS = 60_000
MAX_AHEAD_MS = 24 * 3_600_000
UNKNOWN_SOURCE_PAUSE_MS = 600_000

EVENT_LEVELS = ("session", "subscription", "customer")


@dataclass(frozen=True, slots=True)
class ApplyParts:
    """What applying needs of others.

    reconsider(tx, tenant_id, now_ms, cause): what the tenant wants may have changed. Called for each tenant touched.
    options_changed(tx, tenant_id, now_ms): another word counts for one of its options. Called before `reconsider`.
    livemode: whose events are applied, real ones (True) or a test mode's (False); None for both.
    rereads_subscriptions: sources whose billing system is asked instead of trusting what events say of statuses.
    """

    sources: Mapping[str, Source]
    reconsider: Callable[[Transaction, int, int, str], object]
    options_changed: Callable[[Transaction, int, int], object]
    livemode: bool | None = None
    rereads_subscriptions: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Applied:
    """What was done, in order, and which tenants it touched. is_left: some news is left to another turn, soon."""

    events: tuple[AppliedEvent, ...] = ()
    tenant_ids: tuple[int, ...] = ()
    is_left: bool = False


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose an event is. linked_by: `name`, or `customer` as a last resort."""

    tenant: Tenant
    linked_by: str


def apply_new(tx: Transaction, parts: ApplyParts, now_ms: int, limit: int = 200) -> Applied:
    """Apply up to about `limit` events: those that are new, those whose time has come, and those that these woke.

    One process at a time: news is read, thought about and marked, and others would do it twice. Nobody waits here,
    neither for that process nor for a tenant that somebody is working for: what cannot be had now is left to a later
    turn, so that two processes never wait for each other.
    Safe to repeat. Raises only when the database itself cannot go on; then nothing was done.
    """
    if not tx.try_lock("apply"):
        return Applied(is_left=True)
    events: list[AppliedEvent] = []
    touched: dict[int, None] = {}
    left: set[int] = set()
    # A quarter at most, so that many that wait for something that never comes do not hold up news.
    rows = inbox.due(tx, now_ms, max(1, limit // 4)) + inbox.take_new(tx, limit)
    while rows:
        for row in sorted({row.id: row for row in rows}.values(), key=lambda each: each.id):
            try:
                event, tenant_ids = apply_row(tx, parts, row, now_ms)
            except TenantBusy:
                left.add(row.id)
                continue
            events.append(event)
            touched.update(dict.fromkeys(tenant_ids))
        more = inbox.take_new(tx, limit - len(events)) if len(events) < limit else []
        rows = [row for row in more if row.id not in left]
    return Applied(tuple(events), tuple(touched), bool(left))


def apply_row(tx: Transaction, parts: ApplyParts, row: InboxRow, now_ms: int) -> tuple[AppliedEvent, tuple[int, ...]]:
    """Apply one event, or note why not; and the tenants it touched. Raises TenantBusy, and nothing is noted."""
    event = AppliedEvent(row.id, row.source, row.event_id, row.type, "ignored")
    news: News | None = None
    try:
        with tx.savepoint():
            news = interpret(parts, row, now_ms)
            if news is None:
                inbox.mark(tx, row.id, "ignored", "says nothing about a subscription", tries=0)
                return replace(event, reason="says nothing about a subscription"), ()
            tenant, moved_from = tell(tx, parts, row, news, now_ms)
            remark = remark_on(news)
    except TenantBusy:
        raise
    except EventWaits as wait:
        return put_by(tx, row, news, event, wait, now_ms), ()
    except Exception as error:
        if tx.is_lost_by(error):
            raise
        return put_off(tx, row, news, event, error, now_ms), ()
    event = replace(event, status="applied", reason=remark, tenant_id=tenant.id, tenant_key=tenant.tenant_key)
    return event, tuple(each for each in (tenant.id, moved_from) if each is not None)


def interpret(parts: ApplyParts, row: InboxRow, now_ms: int) -> News | None:
    """What a stored event says; raises EventWaits where it must not, or cannot, be applied now."""
    source = parts.sources.get(row.source)
    if source is None:
        reason = f"The source {row.source} is not set up any more; its events wait for it."
        raise EventWaits("waiting", reason, now_ms + UNKNOWN_SOURCE_PAUSE_MS)
    news = source.interpret(row.event)
    if news is None:
        return None
    if parts.livemode is not None and news.livemode is not None and news.livemode is not parts.livemode:
        modes = {True: "live", False: "test"}
        raise EventWaits(
            "wrong_mode", f"It is of {modes[news.livemode]} mode; this gateway applies {modes[parts.livemode]} mode."
        )
    if news.occurred_at_ms > now_ms + MAX_AHEAD_MS:
        raise EventWaits(
            "time_invalid", "It is dated more than 24 h ahead of our clock.", news.occurred_at_ms - MAX_AHEAD_MS
        )
    return replace(news, tenant_key=news.tenant_key or None)


# --- whose it is -----------------------------------------------------------------------------------------------------


def whose(tx: Transaction, row: InboxRow, news: News, now_ms: int) -> Owner:
    """Whose event this is: by its own key, its subscription's link, its customer's; raises EventWaits otherwise."""
    known = None
    if news.subscription_issued and news.subscription_id is not None:
        known = subscriptions.find(tx, news.source, news.subscription_id)
    by_name = known.tenant_id if known is not None and known.record.linked_by == "name" else None
    if news.tenant_key is not None:
        return Owner(named(tx, news.tenant_key, by_name, now_ms), "name")
    if by_name is not None:
        return Owner(tenants.get(tx, by_name), "name")
    reason = "It names no tenant, and neither its subscription nor its customer is linked to one."
    if news.customer_id is not None:
        owners = subscriptions.tenants_of_customer(tx, news.source, news.customer_id)
        if len(owners) == 1:
            return Owner(tenants.get(tx, owners[0]), "customer")
        if owners:
            reason = "It names no tenant, and its customer is shared by several."
    if news.makes_tenant and news.subscription_issued and news.subscription_id is not None:
        return Owner(self_named(tx, row, news.subscription_id, now_ms), "name")
    raise EventWaits("waiting", reason)


def named(tx: Transaction, tenant_key: str, linked_to: int | None, now_ms: int) -> Tenant:
    """The tenant an event names. linked_to: whose its subscription is by an earlier event that named a tenant.

    A tenant that made itself, named after its subscription, takes the first other key as its alias. Everything else
    that contradicts a link written before is a conflict: the event is kept and not applied.
    """
    if not keys.is_legal(tenant_key):
        raise EventWaits(
            "tenant_key_invalid",
            f"It names tenant {tenant_key[:64]!a}: expected 1 to 64 of A-Z a-z 0-9 . _ -, a letter or digit first.",
        )
    tenant = tenants.by_key_or_free(tx, tenant_key)
    if linked_to is None:
        return tenant or tenants.create(tx, tenant_key, now_ms)
    if tenant is not None and tenant.id == linked_to:
        return tenant
    owner = tenants.get(tx, linked_to)
    if tenant is None and owner.self_named and not tenants.aliases(tx, owner.id):
        tenants.add_alias(tx, owner.id, tenant_key)
        journal.write(tx, owner.id, now_ms, "note", "alias", {"alias_key": tenant_key})
        return owner
    raise EventWaits(
        "link_conflict", f"It names the tenant {tenant_key}, but its subscription belongs to {owner.tenant_key}."
    )


def self_named(tx: Transaction, row: InboxRow, subscription_id: str, now_ms: int) -> Tenant:
    """A tenant that a completed checkout makes by itself, once nobody else has named it for a minute."""
    name_by_ms = row.received_at_ms + WAIT_FOR_NAME_MS
    if now_ms < name_by_ms:
        reason = "It names no tenant; for a minute it waits for an event of its subscription that does."
        raise EventWaits("waiting", reason, name_by_ms)
    if not keys.is_legal(subscription_id):
        raise EventWaits("tenant_key_invalid", "Its subscription id cannot serve as the tenant's key.")
    if tenants.by_key_or_free(tx, subscription_id) is not None:
        raise EventWaits("link_conflict", f"Its subscription {subscription_id} bears the key of another tenant.")
    return tenants.create(tx, subscription_id, now_ms, self_named=True)


# --- what it changes -------------------------------------------------------------------------------------------------


def tell(tx: Transaction, parts: ApplyParts, row: InboxRow, news: News, now_ms: int) -> tuple[Tenant, int | None]:
    """Store what one event says and have its tenant reconsidered; that tenant, and the one it was taken from."""
    owner = keep(tx, whose(tx, row, news, now_ms), news)
    tenant = owner.tenant
    # Where the sender has no ids for subscriptions the tenant's own key stands for it, whichever alias was used.
    subscription_id = news.subscription_id if news.subscription_issued else tenant.tenant_key
    news = replace(news, subscription_id=subscription_id)
    moved_from = remember(tx, parts, row, news, owner, now_ms) if subscription_id is not None else None
    # Known by the customer alone, the link is there already and nothing new is written.
    if news.customer_id is not None and subscriptions.link_customer(tx, news.source, news.customer_id, tenant.id):
        inbox.wake_waiting(tx, news.source, customer_id=news.customer_id)
    if learn_options(tx, news, owner):
        parts.options_changed(tx, tenant.id, now_ms)
    journal.write(tx, tenant.id, now_ms, "event", news.type, detail_of(news, owner), inbox_id=row.id)
    inbox.mark(
        tx,
        row.id,
        "applied",
        remark_on(news),
        tenant_id=tenant.id,
        subscription_id=subscription_id,
        customer_id=news.customer_id,
        tries=0,
    )
    cause = f"{news.source} {news.type} {news.event_id}"
    for tenant_id in (tenant.id, moved_from):
        if tenant_id is not None:
            parts.reconsider(tx, tenant_id, now_ms, cause)
    return tenant, moved_from


def keep(tx: Transaction, owner: Owner, news: News) -> Owner:
    """The owner as it is now, and kept so until the commit, as is whoever has the subscription. Raises TenantBusy."""
    wanted = {owner.tenant.id}
    if news.subscription_issued and news.subscription_id is not None:
        known = subscriptions.find(tx, news.source, news.subscription_id)
        if known is not None:
            wanted.add(known.tenant_id)
    kept = {tenant_id: tenants.try_lock(tx, tenant_id) for tenant_id in sorted(wanted)}
    tenant = kept[owner.tenant.id]
    if tenant is None or not all(kept.values()):
        raise TenantBusy
    return replace(owner, tenant=tenant)


def remember(tx: Transaction, parts: ApplyParts, row: InboxRow, news: News, owner: Owner, now_ms: int) -> int | None:
    """Put news into its subscription's record; gives the tenant that had it by its customer alone, if another had."""
    assert news.subscription_id is not None
    known = subscriptions.find(tx, news.source, news.subscription_id)
    was_named = known is not None and known.record.linked_by == "name"
    moved_from = known.tenant_id if known is not None and known.tenant_id != owner.tenant.id else None
    if moved_from is not None and was_named:
        raise EventWaits("link_conflict", f"Its subscription {news.subscription_id} belongs to another tenant.")
    record = known.record if known is not None else None
    is_reread = news.source in parts.rereads_subscriptions and news.subscription_issued
    if is_reread:
        blank = Subscription(news.source, news.subscription_id, news.subscription_issued, owner.linked_by)
        record = link(record or blank, owner.linked_by)
    else:
        record = hear(record, news, row.received_at_ms, owner.linked_by)
    subscriptions.save(tx, owner.tenant.id, record, now_ms)
    if is_reread:
        subscriptions.ask_again(tx, news.source, news.subscription_id, now_ms)
    if owner.linked_by == "name" and not was_named:
        inbox.wake_waiting(tx, news.source, subscription_id=news.subscription_id)
        if known is not None:
            tell_again(tx, news, known.tenant_id, owner, now_ms)
    return moved_from


def tell_again(tx: Transaction, news: News, was_of: int, owner: Owner, now_ms: int) -> None:
    """Apply again what a subscription's earlier events said: until it was named, their options were not believed."""
    assert news.subscription_id is not None
    inbox.replay_applied(tx, news.source, news.subscription_id, was_of)
    if was_of != owner.tenant.id:
        detail = {
            "source": news.source,
            "subscription_id": news.subscription_id,
            "tenant_key": owner.tenant.tenant_key,
        }
        journal.write(tx, was_of, now_ms, "note", "subscription_moved", detail)


def learn_options(tx: Transaction, news: News, owner: Owner) -> bool:
    """Store what an event says about options; True when another word counts now.

    What a subscription says is not believed of a tenant that is known by the customer alone: it may turn out to be
    another's, and a wrong assistant would answer this one's calls until then.
    """
    if owner.linked_by == "customer" and news.options_level != "customer":
        return False
    said = {name: text for name, text in news.options.items() if name in options.NAMES}
    if not said:
        return False
    level = news.options_level if news.options_level in EVENT_LEVELS else "subscription"
    said_at_ms = news.occurred_at_ms if news.options_at_ms is None else news.options_at_ms
    before = options.merge(subscriptions.options_of(tx, owner.tenant.id))
    for name, text in said.items():
        subscriptions.set_option(tx, owner.tenant.id, level, name, text, said_at_ms)
    return options.merge(subscriptions.options_of(tx, owner.tenant.id)) != before


def remark_on(news: News) -> str | None:
    """What people should know of an event although it was applied."""
    if news.status is None or is_known(news.status):
        return None
    return f"Its status {news.status[:64]!a} is not known here and changes nothing."


def detail_of(news: News, owner: Owner) -> dict[str, object]:
    """What the timeline shows of an event: names and states, no values a customer wrote."""
    detail: dict[str, object] = {
        "source": news.source,
        "event_id": news.event_id,
        "occurred_at_ms": news.occurred_at_ms,
        "subscription_id": news.subscription_id,
        "linked_by": owner.linked_by,
        "status": news.status,
        "payment": news.payment,
        "options": sorted(name for name in news.options if name in options.NAMES),
    }
    return {name: value for name, value in detail.items() if value}
