"""The purchase protocol's record: which one number a tenant's generation is committed to, and how that stands.

Two partial unique indexes, not code, make a second purchase impossible: one open intent a generation, and one open
intent a number, over all tenants. Inserting a second one raises `IntegrityError`.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain.model import Intent, IntentStatus, Tenant
from gateway.store.database import Row, Transaction


def from_row(row: Row) -> Intent:
    return Intent(
        id=row["id"],
        tenant_id=row["tenant_id"],
        generation=row["generation"],
        number=row["number"],
        tag=row["tag"],
        status=IntentStatus(row["status"]),
        is_exact=bool(row["is_exact"]),
        round=row["round"],
        looks=row["looks"],
        first_sent_at_ms=row["first_sent_at_ms"],
        round_sent_at_ms=row["round_sent_at_ms"],
        taken_at_ms=row["taken_at_ms"],
        sid=row["sid"],
        country=row["country"],
        number_type=row["number_type"],
        address_sid=row["address_sid"],
        bundle_sid=row["bundle_sid"],
    )


def open_of(tx: Transaction, tenant: Tenant) -> Intent | None:
    """The one open intent of the tenant's generation."""
    row = tx.one(
        """SELECT * FROM intents WHERE tenant_id = :tenant_id AND generation = :generation
             AND status IN ('chosen', 'sent', 'unknown', 'owned')""",
        tenant_id=tenant.id,
        generation=tenant.generation,
    )
    return from_row(row) if row else None


def choose(
    tx: Transaction,
    tenant: Tenant,
    number: str,
    tag: str,
    *,
    is_exact: bool,
    country: str,
    number_type: str,
    now_ms: int,
    address_sid: str | None = None,
    bundle_sid: str | None = None,
) -> Intent:
    """Commit to a number, and to the papers that its purchase shows.

    Raises IntegrityError when it, or the generation, has an open intent already.
    """
    row = tx.one(
        """INSERT INTO intents
             (tenant_id, generation, number, tag, status, is_exact, chosen_at_ms, country, number_type,
              address_sid, bundle_sid)
           VALUES (:tenant_id, :generation, :number, :tag, 'chosen', :is_exact, :now_ms, :country, :number_type,
              :address_sid, :bundle_sid)
           RETURNING *""",
        tenant_id=tenant.id,
        generation=tenant.generation,
        number=number,
        tag=tag,
        is_exact=int(is_exact),
        country=country,
        number_type=number_type,
        now_ms=now_ms,
        address_sid=address_sid,
        bundle_sid=bundle_sid,
    )
    assert row is not None
    return from_row(row)


def set_papers(tx: Transaction, intent: Intent, address_sid: str | None, bundle_sid: str | None) -> None:
    """What the purchases of this number show, as long as none was sent."""
    tx.do(
        """UPDATE intents SET address_sid = :address_sid, bundle_sid = :bundle_sid, version = version + 1
           WHERE id = :id AND status = 'chosen'""",
        id=intent.id,
        address_sid=address_sid,
        bundle_sid=bundle_sid,
    )


def mark_sent(tx: Transaction, intent: Intent, now_ms: int) -> None:
    """The POST is about to leave. Counted by the caps once, at the first."""
    tx.do_later(
        """UPDATE intents SET status = 'sent', version = version + 1, looks = 0, taken_at_ms = NULL,
             first_sent_at_ms = COALESCE(first_sent_at_ms, :now_ms),
             round_sent_at_ms = COALESCE(round_sent_at_ms, :now_ms)
           WHERE id = :id""",
        id=intent.id,
        now_ms=now_ms,
    )


def mark_not_processed(tx: Transaction, intent: Intent) -> None:
    """No POST of this number can have happened: it starts again as a first one."""
    tx.do_later(
        """UPDATE intents SET status = 'chosen', version = version + 1, round_sent_at_ms = NULL, taken_at_ms = NULL
           WHERE id = :id""",
        id=intent.id,
    )


def mark_unknown(tx: Transaction, intent: Intent, *, taken_at_ms: int | None = None) -> None:
    """It may have been bought. `taken_at_ms`: when a clean "not available" came."""
    tx.do_later(
        "UPDATE intents SET status = 'unknown', version = version + 1, taken_at_ms = :taken_at_ms WHERE id = :id",
        id=intent.id,
        taken_at_ms=taken_at_ms,
    )


def count_look(tx: Transaction, intent: Intent) -> None:
    """One more look that did not settle it."""
    tx.do_later("UPDATE intents SET status = 'unknown', looks = looks + 1 WHERE id = :id", id=intent.id)


def start_second_round(tx: Transaction, intent: Intent) -> None:
    """Absence was proved once: the same number starts again."""
    tx.do_later(
        """UPDATE intents SET status = 'chosen', version = version + 1, round = 2, looks = 0,
             round_sent_at_ms = NULL, taken_at_ms = NULL WHERE id = :id""",
        id=intent.id,
    )


def mark_owned(tx: Transaction, intent: Intent, sid: str) -> None:
    """Bought, and proved to be ours."""
    tx.do_later(
        "UPDATE intents SET status = 'owned', version = version + 1, sid = :sid WHERE id = :id",
        id=intent.id,
        sid=sid,
    )


def end(tx: Transaction, intent: Intent, status: IntentStatus, reason: str, now_ms: int) -> None:
    """Close an intent as refused, dropped, released or given."""
    tx.do_later(
        """UPDATE intents SET status = :status, version = version + 1, reason = :reason, ended_at_ms = :now_ms
           WHERE id = :id""",
        id=intent.id,
        status=status,
        reason=reason,
        now_ms=now_ms,
    )


def drop_chosen(tx: Transaction, tenant_id: int, now_ms: int) -> None:
    """Forget a number that was chosen and can not have been bought."""
    tx.do_later(
        """UPDATE intents SET status = 'dropped', version = version + 1, reason = 'no longer wanted',
             ended_at_ms = :now_ms WHERE tenant_id = :tenant_id AND status = 'chosen'""",
        tenant_id=tenant_id,
        now_ms=now_ms,
    )


def candidates_used(tx: Transaction, tenant: Tenant) -> int:
    """How many candidates of this generation were refused since it last got new ones."""
    row = tx.one(
        """SELECT COUNT(*) AS n FROM intents WHERE tenant_id = :tenant_id AND generation = :generation
             AND status = 'refused' AND counts_as_candidate = 1""",
        tenant_id=tenant.id,
        generation=tenant.generation,
    )
    return int(row["n"]) if row else 0


def give_new_candidates(tx: Transaction, tenant: Tenant) -> None:
    """Let the tenant try three candidates anew."""
    tx.do_later(
        "UPDATE intents SET counts_as_candidate = 0 WHERE tenant_id = :tenant_id AND generation = :generation",
        tenant_id=tenant.id,
        generation=tenant.generation,
    )


def passed_over(tx: Transaction, numbers: Sequence[str], since_ms: int) -> set[str]:
    """Which of these numbers are committed to somebody, or were refused since then."""
    marks = ", ".join("?" * len(numbers))
    rows = tx.run(
        f"""SELECT number FROM intents WHERE number IN ({marks})
              AND (status IN ('chosen', 'sent', 'unknown', 'owned') OR (status = 'refused' AND ended_at_ms > ?))""",  # noqa: S608
        [*numbers, since_ms],
    )
    return {number for (number,) in rows}


def refused_since(tx: Transaction, since_ms: int) -> list[Intent]:
    """Numbers on watch: refused since then, and perhaps bought all the same."""
    rows = tx.all("SELECT * FROM intents WHERE status = 'refused' AND ended_at_ms > :since_ms", since_ms=since_ms)
    return [from_row(row) for row in rows]


def was_released(tx: Transaction, tenant: Tenant) -> bool:
    """Whether this generation has come to its end: its number was given back, and that was proved, or to a tenant."""
    row = tx.one(
        """SELECT 1 AS one FROM intents WHERE tenant_id = :tenant_id AND generation = :generation
             AND status IN ('released', 'given') LIMIT 1""",
        tenant_id=tenant.id,
        generation=tenant.generation,
    )
    return row is not None


def first_sends_since(tx: Transaction, since_ms: int) -> list[int]:
    """When each number was first sent, newest first, since then: what the purchase caps count."""
    rows = tx.all(
        "SELECT first_sent_at_ms FROM intents WHERE first_sent_at_ms > :since_ms ORDER BY first_sent_at_ms DESC",
        since_ms=since_ms,
    )
    return [row["first_sent_at_ms"] for row in rows]


def open_ones(tx: Transaction) -> list[Intent]:
    """Every number that somebody is committed to, spare stock included."""
    rows = tx.all("SELECT * FROM intents WHERE status IN ('chosen', 'sent', 'unknown', 'owned') ORDER BY id")
    return [from_row(row) for row in rows]


def of_tenant(tx: Transaction, tenant_id: int) -> list[Row]:
    """Every intent of a tenant, oldest first, for people and exports."""
    return tx.all("SELECT * FROM intents WHERE tenant_id = :tenant_id ORDER BY id", tenant_id=tenant_id)


def last_reason(tx: Transaction, tenant_id: int) -> str | None:
    """Why this tenant's newest refused number could not be had."""
    row = tx.one(
        "SELECT reason FROM intents WHERE tenant_id = :tenant_id AND status = 'refused' ORDER BY id DESC LIMIT 1",
        tenant_id=tenant_id,
    )
    return row["reason"] if row else None


def owner_of(tx: Transaction, number: str) -> int | None:
    """The row id of the tenant that is committed to this number, spare stock included."""
    row = tx.one(
        "SELECT tenant_id FROM intents WHERE number = :number AND status IN ('chosen', 'sent', 'unknown', 'owned')",
        number=number,
    )
    return row["tenant_id"] if row else None


def last_address_sid(tx: Transaction, tenant_id: int) -> str | None:
    """The address that this tenant's latest number was bought with."""
    row = tx.one(
        """SELECT address_sid FROM intents WHERE tenant_id = :tenant_id AND address_sid IS NOT NULL
             AND status IN ('owned', 'released') ORDER BY id DESC LIMIT 1""",
        tenant_id=tenant_id,
    )
    return row["address_sid"] if row else None


def other_owner(tx: Transaction, number: str, tenant_id: int) -> int | None:
    """The row id of another tenant that is committed to this number."""
    row = tx.one(
        """SELECT tenant_id FROM intents WHERE number = :number AND tenant_id <> :tenant_id
             AND status IN ('chosen', 'sent', 'unknown', 'owned')""",
        number=number,
        tenant_id=tenant_id,
    )
    return row["tenant_id"] if row else None


def kind_of(tx: Transaction, number: str) -> tuple[str, str] | None:
    """(country, number type) of a number that was ever chosen."""
    row = tx.one(
        "SELECT country, number_type FROM intents WHERE number = :number ORDER BY id DESC LIMIT 1", number=number
    )
    return (row["country"], row["number_type"]) if row else None
