"""What a provider said that seldom changes: kept in this process for a while, not asked again for each tenant."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

# Prices and regulations change on the scale of months.
KEEP_MS = 15 * 60_000
# "It cannot be asked" may be over soon.
KEEP_UNKNOWN_MS = 60_000


@dataclass(frozen=True, slots=True)
class Kept(Generic[V]):
    value: V
    until_ms: int


class Remembered(Generic[K, V]):
    """Values by key, each until its time. Thread-safe; two threads that ask at once both ask the provider."""

    def __init__(self) -> None:
        self._kept: dict[K, Kept[V]] = {}
        self._lock = threading.Lock()

    def get(self, key: K, now_ms: int) -> Kept[V] | None:
        """None where nothing is known any more."""
        with self._lock:
            kept = self._kept.get(key)
        return kept if kept is not None and now_ms < kept.until_ms else None

    def put(self, key: K, value: V, until_ms: int) -> V:
        with self._lock:
            self._kept[key] = Kept(value, until_ms)
        return value
