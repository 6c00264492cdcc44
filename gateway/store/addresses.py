"""Addresses that were put on file at the telephony account, by tag: so that each is registered once, whoever asks.

The row is written before the call, like an attempt: while it is open, the call may still have its effect. It holds
nothing of the address itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.store.database import Transaction


@dataclass(frozen=True, slots=True)
class Registration:
    """sid: as it is on file; None while that is not known.   open_until_ms: a call may have its effect until then.

    said_hash: over what the provider showed when it was registered.   refused: why the provider refused it, and when.
    """

    tag: str
    sid: str | None
    open_until_ms: int | None
    said_hash: str | None
    refused: str | None
    refused_at_ms: int | None


def find(tx: Transaction, tag: str) -> Registration | None:
    row = tx.one("SELECT * FROM address_registrations WHERE tag = :tag", tag=tag)
    if row is None:
        return None
    return Registration(
        row["tag"], row["sid"], row["open_until_ms"], row["said_hash"], row["refused"], row["refused_at_ms"]
    )


def begin(tx: Transaction, tag: str, country: str, open_until_ms: int, now_ms: int) -> bool:
    """Write down that this address is about to be registered. False: somebody else is at it; send nothing."""
    tx.lock(f"address {tag}")
    known = find(tx, tag)
    if known is not None and known.open_until_ms is not None and known.open_until_ms > now_ms:
        return False
    tx.do(
        """INSERT INTO address_registrations (tag, country, began_at_ms, open_until_ms)
           VALUES (:tag, :country, :now_ms, :open_until_ms)
           ON CONFLICT (tag) DO UPDATE SET began_at_ms = excluded.began_at_ms, open_until_ms = excluded.open_until_ms,
             sid = NULL, said_hash = NULL, refused = NULL, refused_at_ms = NULL""",
        tag=tag,
        country=country,
        now_ms=now_ms,
        open_until_ms=open_until_ms,
    )
    return True


def put(tx: Transaction, tag: str, country: str, sid: str, said_hash: str, now_ms: int) -> None:
    """It is on file. Safe to repeat; what was shown first stays what it is compared with while the SID is the same."""
    tx.do(
        """INSERT INTO address_registrations (tag, country, sid, said_hash, began_at_ms)
           VALUES (:tag, :country, :sid, :said_hash, :now_ms)
           ON CONFLICT (tag) DO UPDATE SET open_until_ms = NULL, refused = NULL, refused_at_ms = NULL,
             said_hash = CASE WHEN address_registrations.sid = excluded.sid
                              THEN COALESCE(address_registrations.said_hash, excluded.said_hash)
                              ELSE excluded.said_hash END,
             sid = excluded.sid""",
        tag=tag,
        country=country,
        sid=sid,
        said_hash=said_hash,
        now_ms=now_ms,
    )


def end_without(tx: Transaction, tag: str, *, refused: str | None = None, now_ms: int) -> None:
    """The call is known to have had no effect. refused: why the provider does not take this address."""
    tx.do(
        """UPDATE address_registrations SET open_until_ms = NULL, refused = :refused, refused_at_ms = :refused_at_ms
           WHERE tag = :tag""",
        tag=tag,
        refused=refused,
        refused_at_ms=now_ms if refused else None,
    )


def forget(tx: Transaction, tag: str) -> None:
    """It is not on file any more."""
    tx.do("UPDATE address_registrations SET sid = NULL, said_hash = NULL WHERE tag = :tag", tag=tag)
