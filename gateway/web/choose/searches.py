"""Searches that customers make: each costs the account a call, so they are remembered for a moment and counted.

In this process only: with several, each remembers and counts its own.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.flow.offers import Offer
from gateway.ports import NumberWish

REMEMBERED_SECONDS = 120.0
MOST_REMEMBERED = 500
MOST_SEARCHES, WINDOW_SECONDS = 30, 600.0
MOST_COUNTED = 10_000


class TooManySearches(Exception):
    """This link has searched too often lately. retry_after_seconds: when it may again."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__("too many searches")
        self.retry_after_seconds = retry_after_seconds


@dataclass(slots=True)
class Searches:
    """monotonic: seconds.   search: asks the provider."""

    monotonic: Callable[[], float]
    search: Callable[[NumberWish], list[Offer]]
    _found: OrderedDict[tuple[str, NumberWish], tuple[float, list[Offer]]] = field(default_factory=OrderedDict)
    _made: OrderedDict[str, deque[float]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def find(self, who: str, wish: NumberWish) -> list[Offer]:
        """What is for sale, as found within the last two minutes or now. Raises TooManySearches, ProviderError."""
        now = self.monotonic()
        with self._lock:
            known = self._found.get((who, wish))
            if known is not None and now - known[0] < REMEMBERED_SECONDS:
                return known[1]
            self._count(who, now)
        found = self.search(wish)
        with self._lock:
            self._found[who, wish] = now, found
            while len(self._found) > MOST_REMEMBERED:
                self._found.popitem(last=False)
        return found

    def offered(self, who: str, number: str) -> Offer | None:
        """The offer of a number that this link was shown."""
        with self._lock:
            shown = [offer for (whose, _), (_, offers) in self._found.items() if whose == who for offer in offers]
        return next((offer for offer in shown if offer.number == number), None)

    def forget(self, number: str) -> None:
        """A number that is not to be had any more is shown to nobody."""
        with self._lock:
            for key, (at, offers) in list(self._found.items()):
                self._found[key] = at, [offer for offer in offers if offer.number != number]

    def _count(self, who: str, now: float) -> None:
        made = self._made.setdefault(who, deque())
        self._made.move_to_end(who)
        while made and now - made[0] >= WINDOW_SECONDS:
            made.popleft()
        if len(made) >= MOST_SEARCHES:
            raise TooManySearches(max(1, round(made[0] + WINDOW_SECONDS - now)))
        made.append(now)
        while len(self._made) > MOST_COUNTED:
            self._made.popitem(last=False)
