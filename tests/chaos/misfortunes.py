"""The fault script of one chaos world, by its seed: everything that may go wrong at the providers, at once."""

from __future__ import annotations

from random import Random
from typing import Any

READS = ("twilio.search", "twilio.list", "twilio.fetch", "vapi.list", "vapi.get", "vapi.assistant")
WRITES = ("twilio.buy", "twilio.release", "vapi.import", "vapi.assign", "vapi.delete")
# Kind -> how likely, for a write and for a read.
ORDINARY: dict[str, tuple[float, float]] = {
    "lost_before": (0.03, 0.01),
    "lost_after": (0.07, 0.005),
    "error_before": (0.03, 0.015),
    "error_after": (0.05, 0.0),
    "rate_limit": (0.02, 0.004),
    "hang": (0.02, 0.004),
    "slow": (0.03, 0.01),
    "trickle": (0.01, 0.003),
    "truncated": (0.02, 0.004),
    "html": (0.02, 0.004),
    "empty": (0.01, 0.002),
    "twice": (0.05, 0.0),
    "unauthorized": (0.004, 0.001),
}
POLICIES: dict[str, tuple[Any, ...]] = {
    "buy_owned": ("refuse", "update"),
    "import_twice": ("refuse", "conflict", "other_org", "allow"),
    "delete_clears_voice_url": (True, False),
}


def policies(random: Random) -> dict[str, Any]:
    """What the vendors do not document, chosen for one world."""
    return {name: random.choice(choices) for name, choices in POLICIES.items()}


def script(random: Random, latest_seconds: float, taken_latest_seconds: float) -> list[dict[str, Any]]:
    """Faults for `POST /_world/faults`; each goes on for as long as the world does.

    latest_seconds, taken_latest_seconds: lists lag and effects come late, but never later than the settle times of
    the run: beyond them nothing can be promised.
    """
    strength = random.choice((0.4, 1.0, 1.0, 1.8))
    bad_days = [bad_day(random, latest_seconds) for _ in range(random.choice((0, 1, 1, 2)))]
    faults: list[dict[str, Any]] = []
    for operation in (*WRITES, *READS):
        is_write = operation in WRITES
        for kind, (for_writes, for_reads) in ORDINARY.items():
            probability = strength * (for_writes if is_write else for_reads)
            if probability:
                faults.append({"operation": operation, "kind": kind, "probability": probability, **seconds_of(kind)})
        if is_write:
            faults.extend(late(random, operation, strength, latest_seconds, taken_latest_seconds))
    faults.append({"operation": "twilio.buy", "kind": "taken", "probability": 0.03 * strength})
    faults.append({"operation": "vapi.import", "kind": "not_found_yet", "probability": 0.03 * strength})
    # The first line that applies wins, so the order is part of the luck.
    random.shuffle(faults)
    return bad_days + faults


def bad_day(random: Random, latest_seconds: float) -> dict[str, Any]:
    """One operation that goes wrong in one way more often than not."""
    operation = random.choice(WRITES)
    kinds = ["late_effect", "lost_after", "lost_before", "error_after", "twice"]
    fault: dict[str, Any] = {"operation": operation, "kind": random.choice(kinds), "probability": 0.5}
    if fault["kind"] == "late_effect":
        fault["seconds"] = random.uniform(0.5, latest_seconds)
    elif fault["kind"] in ("lost_after", "error_after") and operation != "vapi.assign":
        fault["lag_seconds"] = random.uniform(0.0, latest_seconds)
    return fault


def seconds_of(kind: str) -> dict[str, Any]:
    if kind == "rate_limit":
        return {"retry_after": 1}
    return {"hang": {"seconds": 3.0}, "slow": {"seconds": 0.5}, "trickle": {"seconds": 1.5}}.get(kind, {})


def late(
    random: Random, operation: str, strength: float, latest_seconds: float, taken_latest_seconds: float
) -> list[dict[str, Any]]:
    """Effects that come late, with and without an answer, and lists that lag."""
    faults: list[dict[str, Any]] = []
    for status in ({}, {"status": 502}):
        seconds = random.uniform(0.5, latest_seconds)
        faults.append(
            {
                "operation": operation,
                "kind": "late_effect",
                "probability": 0.03 * strength,
                "seconds": seconds,
                **status,
            }
        )
    if operation == "vapi.assign":
        return faults
    lags = ("list_lag", "lost_after", "error_after")
    for kind in lags:
        lag = {"seconds" if kind == "list_lag" else "lag_seconds": random.uniform(0.5, latest_seconds)}
        faults.append({"operation": operation, "kind": kind, "probability": 0.03 * strength, **lag})
    lag_seconds = random.uniform(0.2, taken_latest_seconds)
    faults.append(
        {"operation": operation, "kind": "twice", "probability": 0.02 * strength, "lag_seconds": lag_seconds}
    )
    return faults
