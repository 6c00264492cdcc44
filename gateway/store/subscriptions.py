"""What we were told of subscriptions, whose they are, and what signups said about their numbers."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from gateway.domain.model import News, Subscription
from gateway.domain.options import MAX_CHARACTERS, OptionRow
from gateway.domain.subscriptions import hear
from gateway.store.database import Question, Row, Transaction

MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class Link:
    """A stored record and whose it is.

    reread_at_ms: since when the billing system is to be asked again; None when its word is known.
    """

    tenant_id: int
    record: Subscription
    reread_at_ms: int | None


# --- records ---------------------------------------------------------------------------------------------------------


def find(tx: Transaction, source: str, subscription_id: str) -> Link | None:
    """The record of a subscription and the tenant it is linked to."""
    row = tx.one(
        "SELECT * FROM subscriptions WHERE source = :source AND subscription_id = :subscription_id",
        source=source,
        subscription_id=subscription_id,
    )
    return link_from(row) if row else None


def records_of(tx: Transaction, tenant_id: int) -> list[Subscription]:
    """Every record of a tenant, in a fixed order."""
    return [link.record for link in links_of(tx, tenant_id)]


def links_of(tx: Transaction, tenant_id: int) -> list[Link]:
    """Every record of a tenant with its link, in a fixed order."""
    sql, params = links_question(tenant_id)
    return [link_from(row) for row in tx.all(sql, **params)]


def links_question(tenant_id: int) -> Question:
    sql = "SELECT * FROM subscriptions WHERE tenant_id = :tenant_id ORDER BY source, subscription_id"
    return sql, {"tenant_id": tenant_id}


def save(tx: Transaction, tenant_id: int, record: Subscription, now_ms: int) -> None:
    """Store a record as this tenant's, whoever's it was: who may move one is `flow/apply.py`'s to know."""
    tx.do_later(
        """INSERT INTO subscriptions (source, subscription_id, tenant_id, linked_by, record, updated_at_ms)
           VALUES (:source, :subscription_id, :tenant_id, :linked_by, :record, :now_ms)
           ON CONFLICT (source, subscription_id) DO UPDATE SET tenant_id = excluded.tenant_id,
             linked_by = excluded.linked_by, record = excluded.record, updated_at_ms = excluded.updated_at_ms""",
        source=record.source,
        subscription_id=record.subscription_id,
        tenant_id=tenant_id,
        linked_by=record.linked_by,
        record=encode(record),
        now_ms=now_ms,
    )


def ensure_manual(tx: Transaction, tenant_id: int, tenant_key: str, now_ms: int) -> Subscription:
    """The record that keeps a tenant made by hand active, `manual:KEY`. Safe to repeat."""
    known = find(tx, MANUAL, tenant_key)
    if known is not None and is_active(known.record):
        return known.record
    return hear_manual(tx, tenant_id, tenant_key, known.record if known else None, "active", now_ms)


def end_manual(tx: Transaction, tenant_id: int, tenant_key: str, now_ms: int) -> None:
    """The record of a tenant made by hand has ended, as a subscription does. Safe to repeat."""
    known = find(tx, MANUAL, tenant_key)
    if known is not None and is_active(known.record):
        hear_manual(tx, tenant_id, tenant_key, known.record, "canceled", now_ms)


def is_active(record: Subscription) -> bool:
    return bool(record.statuses) and record.statuses[-1].status == "active"


def hear_manual(
    tx: Transaction, tenant_id: int, tenant_key: str, known: Subscription | None, status: str, now_ms: int
) -> Subscription:
    """By hand the last word holds, also within one millisecond."""
    last_ms = known.statuses[-1].occurred_at_ms if known is not None and known.statuses else 0
    news = News(
        source=MANUAL,
        event_id="",
        type="manual",
        occurred_at_ms=max(now_ms, last_ms + 1),
        subscription_id=tenant_key,
        subscription_issued=False,
        status=status,
    )
    record = hear(known, news, now_ms, "name")
    save(tx, tenant_id, record, now_ms)
    return record


# --- reading again ---------------------------------------------------------------------------------------------------


def ask_again(tx: Transaction, source: str, subscription_id: str, now_ms: int) -> None:
    """Note that the billing system must be asked about this subscription; each call is a new wish."""
    tx.do_later(
        """UPDATE subscriptions SET reread_at_ms =
             CASE WHEN reread_at_ms >= :now_ms THEN reread_at_ms + 1 ELSE :now_ms END
           WHERE source = :source AND subscription_id = :subscription_id""",
        source=source,
        subscription_id=subscription_id,
        now_ms=now_ms,
    )


def rereads_of(tx: Transaction, tenant_id: int) -> list[Link]:
    """A tenant's records that the billing system must be asked about before anything is done."""
    return [link for link in links_of(tx, tenant_id) if link.reread_at_ms is not None]


def store_reread(tx: Transaction, record: Subscription, asked_at_ms: int, now_ms: int) -> bool:
    """Store what the billing system said; False, and nothing is stored, when news came since the question.

    asked_at_ms: the `reread_at_ms` that the question answered. A newer one stays, and is asked again: the answer may
    be older than that news, and the record was linked or moved by it meanwhile.
    """
    answered = tx.do(
        """UPDATE subscriptions SET record = :record, reread_at_ms = NULL, updated_at_ms = :now_ms
           WHERE source = :source AND subscription_id = :subscription_id AND reread_at_ms = :asked_at_ms""",
        source=record.source,
        subscription_id=record.subscription_id,
        record=encode(record),
        asked_at_ms=asked_at_ms,
        now_ms=now_ms,
    )
    return answered == 1


# --- customers -------------------------------------------------------------------------------------------------------


def link_customer(tx: Transaction, source: str, customer_id: str, tenant_id: int) -> bool:
    """Note that this customer is this tenant's; True when that is new. Two tenants may share one."""
    added = tx.do(
        """INSERT INTO customer_links (source, customer_id, tenant_id) VALUES (:source, :customer_id, :tenant_id)
           ON CONFLICT (source, customer_id, tenant_id) DO NOTHING""",
        source=source,
        customer_id=customer_id,
        tenant_id=tenant_id,
    )
    return added == 1


def tenants_of_customer(tx: Transaction, source: str, customer_id: str) -> list[int]:
    """Whose customer this is. Two are as good as none."""
    rows = tx.all(
        """SELECT tenant_id FROM customer_links WHERE source = :source AND customer_id = :customer_id
           ORDER BY tenant_id""",
        source=source,
        customer_id=customer_id,
    )
    return [row["tenant_id"] for row in rows]


def customers_of(tx: Transaction, tenant_id: int) -> list[tuple[str, str]]:
    """(source, customer id) of every customer linked to a tenant."""
    rows = tx.all(
        "SELECT source, customer_id FROM customer_links WHERE tenant_id = :tenant_id ORDER BY source, customer_id",
        tenant_id=tenant_id,
    )
    return [(row["source"], row["customer_id"]) for row in rows]


# --- options ---------------------------------------------------------------------------------------------------------


def set_option(tx: Transaction, tenant_id: int, level: str, name: str, value: str, occurred_at_ms: int) -> bool:
    """Store a word on an option unless a newer one of that level is known; True when it says something new.

    Words of events told for the same second: the greatest holds, whatever their order. An operator's last word holds.
    A text longer than any option may be is cut just past the limit, so that it is still known to be too long.
    """
    value = value[: MAX_CHARACTERS + 1]
    known = tx.one(
        "SELECT value, occurred_at_ms FROM options WHERE tenant_id = :tenant_id AND level = :level AND name = :name",
        tenant_id=tenant_id,
        level=level,
        name=name,
    )
    if known is not None and level != "operator":
        is_newer = (occurred_at_ms, value) > (known["occurred_at_ms"], known["value"])
        if not is_newer:
            return False
    tx.do_later(
        """INSERT INTO options (tenant_id, level, name, value, occurred_at_ms)
           VALUES (:tenant_id, :level, :name, :value, :occurred_at_ms)
           ON CONFLICT (tenant_id, level, name) DO UPDATE SET
             value = excluded.value, occurred_at_ms = excluded.occurred_at_ms""",
        tenant_id=tenant_id,
        level=level,
        name=name,
        value=value,
        occurred_at_ms=occurred_at_ms,
    )
    return known is None or known["value"] != value


def forget_level(tx: Transaction, tenant_id: int, level: str) -> None:
    """Take back every word of one level."""
    tx.do_later(
        "DELETE FROM options WHERE tenant_id = :tenant_id AND level = :level", tenant_id=tenant_id, level=level
    )


def options_of(tx: Transaction, tenant_id: int) -> list[OptionRow]:
    """Every word on this tenant's options, of all levels; `options.merge` says which count."""
    sql, params = options_question(tenant_id)
    return [OptionRow(**row) for row in tx.all(sql, **params)]


def options_question(tenant_id: int) -> Question:
    sql = "SELECT level, name, value, occurred_at_ms FROM options WHERE tenant_id = :tenant_id ORDER BY name, level"
    return sql, {"tenant_id": tenant_id}


# --- rows ------------------------------------------------------------------------------------------------------------


def link_from(row: Row) -> Link:
    record = _decode(row["record"])
    return Link(tenant_id=row["tenant_id"], record=record, reread_at_ms=row["reread_at_ms"])


# Made once, here: threads that meet a type for the first time together crash the interpreter (msgspec 0.22.0).
_decode = msgspec.json.Decoder(Subscription).decode


def encode(record: Subscription) -> str:
    return msgspec.json.encode(record).decode()
