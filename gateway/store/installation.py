"""Whose database this is: written at the first start, compared at every other. And how far a sandbox's clock is moved.

A sandbox database opened live would buy real numbers for pretend tenants, and two installations that share tags would
take each other's numbers for their own; so any difference refuses to start.
"""

from __future__ import annotations

from gateway.errors import DatabaseRefused, OperatorError, OtherInstallation
from gateway.store.database import Transaction

SETTING_OF = {"mode": "GATEWAY_MODE", "env": "GATEWAY_ENV", "twilio_account": "TWILIO_ACCOUNT_SID"}
CLOCK_OFFSET = "clock_offset_ms"
# Of a copy that `move` has not finished.
UNFINISHED_MOVE = "move_unfinished"
# 10 years: beyond, waiting times would no longer mean anything.
FARTHEST_MS = 3653 * 86_400_000


def bind(tx: Transaction, mode: str, env: str, twilio_account: str) -> bool:
    """Write whose database this is, or check it; True when it was written now. Raises OtherInstallation.

    Safe to repeat, and from several processes at once.
    """
    tx.lock("installation")
    check(tx, mode, env, twilio_account)
    is_new = value(tx, "mode") is None
    if is_new:
        for name, text in {"mode": mode, "env": env, "twilio_account": twilio_account}.items():
            put(tx, name, text)
    return is_new


def check(tx: Transaction, mode: str, env: str, twilio_account: str) -> None:
    """Raise OtherInstallation unless the database is ours, or nobody's yet; DatabaseRefused for half a copy."""
    if value(tx, UNFINISHED_MOVE) is not None:
        raise DatabaseRefused(
            "This database is the unfinished copy of another one, so nothing was started or changed. Let DATABASE_URL "
            "name the old one and finish the move: python -m gateway move --to URL"
        )
    claimed = {"mode": mode, "env": env, "twilio_account": twilio_account}
    stored = {name: value(tx, name) for name in claimed}
    wrong = [
        f"{SETTING_OF[name]} is {text}, and the database was made for {stored[name]}"
        for name, text in claimed.items()
        if stored[name] not in (None, text)
    ]
    if wrong:
        raise OtherInstallation(
            f"This database belongs to another installation: {'; '.join(wrong)}. Nothing was started or changed. "
            "Correct the settings, or let DATABASE_URL name another database."
        )


def clock_offset_ms(tx: Transaction) -> int:
    """How far this installation's clock is ahead of the wall clock; always 0 in live mode."""
    return int(value(tx, CLOCK_OFFSET) or 0)


def move_clock(tx: Transaction, by_ms: int) -> int:
    """Move the sandbox's clock forward; gives the whole offset. Refused in live mode."""
    if value(tx, "mode") != "sandbox":
        raise OperatorError("Only a sandbox has a clock that can be moved; this database is no sandbox's.")
    tx.lock("installation")
    offset_ms = clock_offset_ms(tx) + by_ms
    if by_ms < 0 or offset_ms > FARTHEST_MS:
        raise OperatorError("The clock moves forward only, and no farther than ten years.")
    put(tx, CLOCK_OFFSET, str(offset_ms))
    return offset_ms


def value(tx: Transaction, name: str) -> str | None:
    row = tx.one("SELECT value FROM installation WHERE name = :name", name=name)
    return row["value"] if row else None


def put(tx: Transaction, name: str, text: str) -> None:
    tx.do(
        """INSERT INTO installation (name, value) VALUES (:name, :value)
           ON CONFLICT (name) DO UPDATE SET value = :value""",
        name=name,
        value=text,
    )
