"""Orders under a key of the caller's (`Idempotency-Key`): which number each became, and who works on it just now."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.store.database import Transaction


@dataclass(frozen=True, slots=True)
class Order:
    """number: what the order is committed to; None before the first search.   sid: set once it `is_done`.

    body_hash: of what was asked, so that the key cannot come to mean something else.
    """

    body_hash: str
    number: str | None
    sid: str | None
    is_done: bool
    held_until_ms: int | None
    holder: str | None


def find(tx: Transaction, actor: str, key: str) -> Order | None:
    row = tx.one(
        """SELECT body_hash, number, sid, is_done, held_until_ms, holder FROM api_requests
           WHERE actor = :actor AND request_key = :key""",
        actor=actor,
        key=key,
    )
    if row is None:
        return None
    return Order(
        row["body_hash"], row["number"], row["sid"], bool(row["is_done"]), row["held_until_ms"], row["holder"]
    )


def take(tx: Transaction, actor: str, key: str, body_hash: str, holder: str, held_until_ms: int, now_ms: int) -> Order:
    """The order as it stands, made if need be; `holder` works on it from now on where nobody else does."""
    tx.lock(f"api {actor} {key}")
    known = find(tx, actor, key)
    if known is not None and not is_free(known, body_hash, now_ms):
        return known
    tx.do(
        """INSERT INTO api_requests (actor, request_key, body_hash, holder, held_until_ms, created_at_ms)
           VALUES (:actor, :key, :body_hash, :holder, :until_ms, :now_ms)
           ON CONFLICT (actor, request_key) DO UPDATE SET holder = excluded.holder,
             held_until_ms = excluded.held_until_ms""",
        actor=actor,
        key=key,
        body_hash=body_hash,
        holder=holder,
        until_ms=held_until_ms,
        now_ms=now_ms,
    )
    number, sid = (known.number, known.sid) if known is not None else (None, None)
    return Order(body_hash, number, sid, False, held_until_ms, holder)


def is_free(order: Order, body_hash: str, now_ms: int) -> bool:
    is_held = order.held_until_ms is not None and order.held_until_ms > now_ms
    return order.body_hash == body_hash and not order.is_done and not is_held


def commit_to(tx: Transaction, actor: str, key: str, holder: str, number: str) -> bool:
    """From now on the key means this number. False when somebody else works on it meanwhile."""
    return bool(
        tx.do(
            """UPDATE api_requests SET number = :number
               WHERE actor = :actor AND request_key = :key AND holder = :holder""",
            actor=actor,
            key=key,
            holder=holder,
            number=number,
        )
    )


def let_go(tx: Transaction, actor: str, key: str, holder: str, sid: str | None) -> None:
    """Nobody works on it any more. sid: of the number that was got; the order is done for good then."""
    tx.do(
        """UPDATE api_requests SET held_until_ms = NULL, holder = NULL, sid = :sid, is_done = :is_done
           WHERE actor = :actor AND request_key = :key AND holder = :holder""",
        actor=actor,
        key=key,
        holder=holder,
        sid=sid,
        is_done=1 if sid is not None else 0,
    )
