"""How a limited number of things is shared among those who want some."""

from __future__ import annotations

from collections.abc import Mapping


def shares(total: int, wanted: Mapping[str, int], turn: int) -> dict[str, int]:
    """Nobody gets more than they want, and what one leaves the others share evenly.

    turn: who comes first for what cannot be divided; counts up, so that everybody is first now and then.
    """
    names = sorted(wanted)
    first = turn % len(names) if names else 0
    order = names[first:] + names[:first]
    given = dict.fromkeys(order, 0)
    left = total
    while left and (hungry := [name for name in order if given[name] < wanted[name]]):
        each = max(1, left // len(hungry))
        for name in hungry:
            more = min(each, wanted[name] - given[name], left)
            given[name] += more
            left -= more
    return given
