"""How many calls each process may have open at a provider, so that all of them together stay within its limit.

One row for each process that makes calls: how many slots it wants, and how many it holds until when. Slots are handed
out by `domain/shares.py`. A process that holds more than its share keeps what it has in use, and begins nothing on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.domain.shares import shares
from gateway.store.database import Transaction

# Where there are more processes than slots they take turns, each about as long as a few calls.
TURN_MS = 2000


@dataclass(frozen=True, slots=True)
class Wish:
    """limit: of all processes together.   wanted: by this one.   in_use: how many of its own it cannot give back."""

    provider: str
    limit: int
    wanted: int
    in_use: int


@dataclass(frozen=True, slots=True)
class Held:
    """held: slots that are this process's.   usable: on how many of them it may begin calls.

    is_anew: it held none until now; what it believed to hold had run out.
    """

    held: int
    usable: int
    is_anew: bool


def take(tx: Transaction, owner: str, wish: Wish, now_ms: int, until_ms: int, is_gone: Callable[[str], bool]) -> Held:
    """Hold this process's share until then, as far as it is free now.

    is_gone: whether another process has certainly ended; what it held is free at once.
    """
    tx.lock("provider_slots")
    rows = tx.all("SELECT * FROM provider_slots WHERE provider = :provider", provider=wish.provider)
    living = {row["owner"]: row for row in rows if row["until_ms"] > now_ms}
    mine = living.pop(owner, None)
    others = {name: row for name, row in living.items() if not is_gone(name)}
    for row in rows:
        if row["owner"] != owner and row["owner"] not in others:
            drop(tx, wish.provider, row["owner"])
    wanted = {owner: wish.wanted, **{name: row["wanted"] for name, row in others.items()}}
    share = shares(wish.limit, wanted, now_ms // TURN_MS)[owner]
    free = max(0, wish.limit - sum(row["held"] for row in others.values()))
    kept = min(mine["held"], wish.in_use) if mine else 0
    held = max(kept, min(share, free))
    put(tx, owner, wish, held, until_ms)
    return Held(held, min(share, held), is_anew=mine is None)


def give_back(tx: Transaction, owner: str) -> None:
    """Hold nothing and want nothing."""
    tx.do("DELETE FROM provider_slots WHERE owner = :owner", owner=owner)


def put(tx: Transaction, owner: str, wish: Wish, held: int, until_ms: int) -> None:
    tx.do(
        """INSERT INTO provider_slots (provider, owner, wanted, held, until_ms)
           VALUES (:provider, :owner, :wanted, :held, :until_ms)
           ON CONFLICT (provider, owner) DO UPDATE SET wanted = :wanted, held = :held, until_ms = :until_ms""",
        provider=wish.provider,
        owner=owner,
        wanted=wish.wanted,
        held=held,
        until_ms=until_ms,
    )


def drop(tx: Transaction, provider: str, owner: str) -> None:
    tx.do("DELETE FROM provider_slots WHERE provider = :provider AND owner = :owner", provider=provider, owner=owner)
