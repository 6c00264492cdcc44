"""Numbers that fit: as they were asked for, then wherever the operator allows to look further, in that order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.domain.model import Options, Step
from gateway.ports import AvailableNumber, NumberWish
from gateway.steps.context import Context
from gateway.store import intents
from gateway.store.database import Transaction

SEARCH_LIMIT = 30
# Enough to see whether they are all of one region.
ASKED_ABOUT = 10
NARROWING = ("area_code", "contains", "locality", "region", "near_number")
# 555-0100 to 555-0199 belong to nobody (North American numbering plan): it stands for its area code.
ANYBODYS = "5550100"


@dataclass(frozen=True, slots=True)
class Tried:
    """One fall-back: where was looked, how many fitting numbers there were, and why none was looked for."""

    fallback: str
    region: str | None = None
    found: int = 0
    why: str | None = None

    def __str__(self) -> str:
        where = (
            f"region {self.region}" if self.region else "any of its kind" if self.fallback == "any" else "its region"
        )
        return f"{where} ({self.why})" if self.why else where


@dataclass(frozen=True, slots=True)
class Found:
    """numbers: nobody's of ours, in random order, so that tenants who search together do not all choose the first."""

    numbers: list[AvailableNumber]
    tried: tuple[Tried, ...] = ()


def find(ctx: Context, asked: NumberWish) -> Found:
    """What is for sale as asked, else by the fall-backs of NUMBER_FALLBACK in their order."""
    seen = search(ctx, asked, SEARCH_LIMIT)
    free = nobodys(ctx, seen)
    tried: list[Tried] = []
    is_narrow = any(getattr(asked, name) for name in NARROWING)
    for fallback in ctx.rules.number_fallback if is_narrow else ():
        if free:
            break
        region, why = region_of(ctx, asked, seen) if fallback == "region" else (None, None)
        wider = widened(asked, region)
        if fallback == "region" and (region is None or wider == asked):
            tried.append(Tried(fallback, region, why=why or "that is what was asked for"))
            continue
        free = nobodys(ctx, search(ctx, wider, SEARCH_LIMIT))
        tried.append(Tried(fallback, region, len(free)))
    ctx.parts.random.shuffle(free)
    return Found(free, tuple(tried))


def search(ctx: Context, wish: NumberWish, limit: int) -> list[AvailableNumber]:
    return ctx.ask(ctx.telephony.provider, lambda deadline: ctx.telephony.search(wish, limit, deadline))


def nobodys(ctx: Context, found: Sequence[AvailableNumber]) -> list[AvailableNumber]:
    """Without those that somebody of ours is committed to, or that were refused lately."""
    since_ms = ctx.now_ms() - ctx.rules.watch_ms
    numbers = [each.number for each in found]
    passed_over = ctx.read_one(lambda tx: intents.passed_over(tx, numbers, since_ms)) if numbers else set()
    return [each for each in found if each.number not in passed_over]


def widened(asked: NumberWish, region: str | None) -> NumberWish:
    """The same kind of number, anywhere in a region, or anywhere at all."""
    return replace(asked, area_code=None, contains=None, locality=None, near_number=None, region=region)


def region_of(ctx: Context, asked: NumberWish, seen: Sequence[AvailableNumber]) -> tuple[str | None, str | None]:
    """(the region that was meant, None), or (None, why nobody can say).

    Only the provider says which region an area code is in: by the numbers it showed, by numbers that could not be
    used, or by numbers near one of that area code. Where these are not all of one region, nothing is guessed.
    """
    if asked.region:
        return asked.region, None
    found = common_region(seen)
    if found is None and (asked.area_code or asked.locality):
        plain = replace(asked, contains=None, near_number=None, is_only_asking=True)
        found = common_region(search(ctx, plain, ASKED_ABOUT))
    if found is None and asked.area_code:
        near = replace(widened(asked, None), near_number=f"+1{asked.area_code}{ANYBODYS}", is_only_asking=True)
        found = common_region(search(ctx, near, ASKED_ABOUT))
    return (found, None) if found else (None, "Twilio does not say which region that is")


def common_region(numbers: Sequence[AvailableNumber]) -> str | None:
    """The one region that all of them are in."""
    regions = {each.region for each in numbers}
    return regions.pop() if len(regions) == 1 else None


def asked_for(ctx: Context, wish: Options, kind: tuple[str, str], *, has_address: bool) -> NumberWish:
    return NumberWish(
        country=kind[0],
        number_type=kind[1],
        has_address=has_address,
        area_code=wish.area_code,
        contains=wish.contains,
        locality=wish.locality,
        region=wish.number_region,
        near_number=wish.near_number,
    )


def note_tried(ctx: Context, tx: Transaction, now_ms: int, tried: Sequence[Tried]) -> None:
    """A line of the timeline for each."""
    for each in tried:
        detail = {"fallback": each.fallback, "where": str(each), "found": each.found}
        ctx.note(tx, now_ms, "number.fallback", step=Step.BUY_NUMBER, **detail)
