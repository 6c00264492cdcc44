"""What all workers know of a provider: how long to leave it alone after a 429, and whether it refuses us."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.store.database import Transaction


@dataclass(frozen=True, slots=True)
class ProviderState:
    name: str
    paused_until_ms: int = 0
    pauses: int = 0
    is_refusing: bool = False
    probe_at_ms: int = 0
    reason: str | None = None


def states(tx: Transaction) -> dict[str, ProviderState]:
    """Every provider anything is known of."""
    return {
        row["name"]: ProviderState(
            name=row["name"],
            paused_until_ms=row["paused_until_ms"],
            pauses=row["pauses"],
            is_refusing=bool(row["is_refusing"]),
            probe_at_ms=row["probe_at_ms"],
            reason=row["reason"],
        )
        for row in tx.all("SELECT * FROM providers")
    }


def pause(tx: Transaction, name: str, until_ms: int, now_ms: int) -> None:
    """Let every worker leave this provider alone until then."""
    tx.do_later(
        """INSERT INTO providers (name, paused_until_ms, pauses, changed_at_ms) VALUES (:name, :until_ms, 1, :now_ms)
           ON CONFLICT (name) DO UPDATE SET changed_at_ms = :now_ms, pauses = providers.pauses + 1,
             paused_until_ms = CASE WHEN providers.paused_until_ms > :until_ms
                               THEN providers.paused_until_ms ELSE :until_ms END""",
        name=name,
        until_ms=until_ms,
        now_ms=now_ms,
    )


def went_well(tx: Transaction, name: str) -> None:
    """A call got through: the next pause starts small again."""
    tx.do_later("UPDATE providers SET pauses = 0 WHERE name = :name AND pauses > 0", name=name)


def refuse(tx: Transaction, name: str, reason: str, probe_at_ms: int, now_ms: int) -> bool:
    """Open the breaker: no calls but a probe from `probe_at_ms` on. True when it was closed before."""
    return bool(
        tx.do(
            """INSERT INTO providers (name, is_refusing, probe_at_ms, reason, changed_at_ms)
               VALUES (:name, 1, :probe_at_ms, :reason, :now_ms)
               ON CONFLICT (name) DO UPDATE SET is_refusing = 1, probe_at_ms = :probe_at_ms, reason = :reason,
                 changed_at_ms = :now_ms WHERE providers.is_refusing = 0""",
            name=name,
            probe_at_ms=probe_at_ms,
            reason=reason,
            now_ms=now_ms,
        )
    )


def take_probe(tx: Transaction, name: str, now_ms: int, next_probe_at_ms: int) -> bool:
    """Whether the caller may make the one probe that is due."""
    return bool(
        tx.do(
            """UPDATE providers SET probe_at_ms = :next_probe_at_ms
               WHERE name = :name AND is_refusing = 1 AND probe_at_ms <= :now_ms""",
            name=name,
            now_ms=now_ms,
            next_probe_at_ms=next_probe_at_ms,
        )
    )


def accept(tx: Transaction, name: str, now_ms: int) -> None:
    """Close the breaker."""
    tx.do_later(
        "UPDATE providers SET is_refusing = 0, reason = NULL, changed_at_ms = :now_ms WHERE name = :name",
        name=name,
        now_ms=now_ms,
    )
