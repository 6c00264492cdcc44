"""Bad luck by script: which fault hits which request, and the places where a request can be held.

A fault is written as JSON:

    {"operation": "twilio.buy", "kind": "lost_after"}                           the next purchase, once
    {"operation": "vapi.*", "kind": "rate_limit", "times": 3, "retry_after": 2}
    {"operation": "twilio.buy", "kind": "late_effect", "seconds": 40, "after_calls": 1}
    {"operation": "*", "probability": 0.1, "kinds": ["lost_after", "error_before"]}    for ever, by the world's seed

`times` is 1 unless a probability is given; null is for ever. `kinds` leaves the choice to the seed, among those that
make sense for the operation. What each kind does is told in `gateway/simulator/__init__.py`.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

KINDS = (
    "lost_before",
    "lost_after",
    "error_before",
    "error_after",
    "rate_limit",
    "hang",
    "slow",
    "trickle",
    "truncated",
    "html",
    "empty",
    "list_lag",
    "late_effect",
    "twice",
    "taken",
    "unauthorized",
    "suspended",
    "not_found_yet",
    "voice_url_unset",
)
_WRITES = frozenset(
    {
        *("twilio.buy", "twilio.release", "twilio.update", "twilio.register"),
        *("vapi.import", "vapi.assign", "vapi.delete"),
    }
)
# Kinds that mean something for a few operations only.
_ONLY = {
    "list_lag": frozenset({"twilio.buy", "twilio.release", "twilio.register", "vapi.import", "vapi.delete"}),
    "late_effect": _WRITES,
    "twice": _WRITES,
    "taken": frozenset({"twilio.buy"}),
    "not_found_yet": frozenset({"vapi.import"}),
    "voice_url_unset": frozenset({"vapi.import"}),
}
_DEFAULT_SECONDS = {"hang": 60.0, "slow": 2.0, "trickle": 5.0, "list_lag": 10.0, "late_effect": 20.0}


class FaultInvalid(ValueError):
    """A fault script that cannot be read; the message says what is expected."""


@dataclass(slots=True)
class Fault:
    """One line of the script, and how often it may still strike."""

    operation: str
    kinds: tuple[str, ...]
    times: int | None
    probability: float
    after_calls: int
    options: Mapping[str, Any]
    seen: int = 0
    struck: int = 0


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault that hits one request.

    seconds: of the world's clock for list_lag and late_effect, real ones else.   lag_ms: of the world's clock, for how
    long lists do not show what happened.   effect: whether it happened at all, for kinds that leave it open.
    """

    kind: str
    seconds: float
    status: int
    status_given: bool
    retry_after: str | None
    lag_ms: int
    effect: bool
    reset: bool


def read_fault(given: Mapping[str, Any]) -> Fault:
    """A fault from JSON. Raises FaultInvalid."""
    known = {"operation", "kind", "kinds", "times", "probability", "after_calls"}
    options = {"seconds", "status", "retry_after", "lag_seconds", "effect", "reset"}
    unknown = set(given) - known - options
    if unknown:
        raise FaultInvalid(f"unknown: {', '.join(sorted(unknown))}; a fault has {', '.join(sorted(known | options))}")
    kinds = tuple(given.get("kinds") or ([given["kind"]] if "kind" in given else []))
    if not kinds or any(kind not in KINDS for kind in kinds):
        raise FaultInvalid(f"kind must be among {', '.join(KINDS)}")
    random_one = "probability" in given
    try:
        times = given.get("times", None if random_one else 1)
        return Fault(
            operation=str(given.get("operation", "*")),
            kinds=kinds,
            times=None if times is None else int(times),
            probability=float(given.get("probability", 1.0)),
            after_calls=int(given.get("after_calls", 0)),
            options={name: given[name] for name in options if name in given},
        )
    except (TypeError, ValueError) as exc:
        raise FaultInvalid("times and after_calls are whole numbers, probability is 0 to 1") from exc


@dataclass(slots=True)
class FaultScript:
    """All faults that are still to come. Not thread-safe: the world draws under its lock."""

    seed: str
    faults: list[Fault] = field(default_factory=list)
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(f"faults/{self.seed}")  # noqa: S311

    def draw(self, operation: str) -> Strike | None:
        """The fault that hits this request, if any; the first line that applies wins."""
        for fault in self.faults:
            if not fnmatchcase(operation, fault.operation):
                continue
            fault.seen += 1
            if fault.seen <= fault.after_calls or (fault.times is not None and fault.struck >= fault.times):
                continue
            if fault.probability < 1.0 and self._random.random() >= fault.probability:
                continue
            kinds = [kind for kind in fault.kinds if operation in _ONLY.get(kind, (operation,))]
            if kinds:
                fault.struck += 1
                return self._strike(kinds[0] if len(kinds) == 1 else self._random.choice(kinds), fault)
        return None

    def _strike(self, kind: str, fault: Fault) -> Strike:
        options = fault.options
        status = 500 if fault.times is not None else self._random.choice((500, 502, 503, 504))
        retry_after = options.get("retry_after", 1)
        seconds = float(options.get("seconds", _DEFAULT_SECONDS.get(kind, 0.0)))
        lag_seconds = seconds if kind == "list_lag" else float(options.get("lag_seconds", 0.0))
        return Strike(
            kind=kind,
            seconds=seconds,
            lag_ms=round(lag_seconds * 1000),
            status=int(options.get("status", status)),
            status_given="status" in options,
            retry_after=None if retry_after is None else str(retry_after),
            effect=bool(options.get("effect", True)),
            reset=bool(options.get("reset", False)),
        )


class Holds:
    """Stops one chosen request before or after its effect, until released; so that others can be killed just then."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._armed: tuple[str, str] | None = None
        self._held: dict[str, Any] | None = None
        self._skip = 0
        self._drop = False

    def arm(self, operation: str, when: str, after_calls: int = 0) -> None:
        """The next request of `operation` (a pattern) stops, `when` is before or after its effect."""
        with self._changed:
            self._armed = (operation, when)
            self._skip = after_calls

    def look(self, wait_seconds: float = 0.0) -> dict[str, Any]:
        """What is armed, and what is held; waits up to `wait_seconds` for something to be held."""
        with self._changed:
            self._changed.wait_for(lambda: self._held is not None, timeout=wait_seconds)
            armed = {"operation": self._armed[0], "when": self._armed[1]} if self._armed else None
            return {"holding": self._held is not None, "held": self._held, "armed": armed}

    def release(self, drop: bool = False) -> bool:
        """Let the held request go on, else disarm; `drop` makes a request held before its effect never happen."""
        with self._changed:
            was = self._held is not None
            if was:
                self._held, self._drop = None, drop
            else:
                self._armed = None
            self._changed.notify_all()
            return was

    def clear(self) -> None:
        """Release and disarm."""
        self.release()
        self.release()

    def stop_here(self, operation: str, when: str, subject: str | None, limit_seconds: float = 120.0) -> bool:
        """Called by each request at both places; returns False when the request was dropped."""
        if self._armed is None:
            return True
        with self._changed:
            armed = self._armed
            if armed is None or armed[1] != when or not fnmatchcase(operation, armed[0]):
                return True
            if self._skip:
                self._skip -= 1
                return True
            mine = {"operation": operation, "when": when, "subject": subject}
            self._armed, self._held, self._drop = None, mine, False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._held is not mine, timeout=limit_seconds)
            if self._held is mine:
                self._held = None
            return not self._drop
