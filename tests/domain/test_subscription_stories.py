"""Invented stories of news and pauses, judged by a dumber model and by rules that must hold for any of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.domain.model import Decision, Hold, News, Payment, Subscription, Wanted
from gateway.domain.subscriptions import fold, hear, standing

# Time limits are not what these are about, and the machine may be busy.
MANY = settings(max_examples=300, deadline=None)

DAY = 86_400_000
GRACE = 3 * DAY
RELEASE_AFTER = 5 * DAY
STATUSES = ["canceled", "incomplete_expired", "active", "trialing", "past_due", "unpaid", "paused", "incomplete"]
BEST_FIRST = ["active", "active_in_grace", "suspended", "not_yet_paid", "ended", "none"]


@dataclass(frozen=True)
class Said:
    """One piece of news: what was said, for when, and when we were told."""

    word: str
    at_ms: int
    stored_at_ms: int


@dataclass(frozen=True)
class Story:
    subscription_id: str
    issued: bool
    said: tuple[Said, ...]


WORDS = [*STATUSES, "frozen", *(f"money {payment}" for payment in Payment)]
# Whole half days, so that times meet: ties, grace and release ends on the very moment.
TIMES = st.integers(0, 24).map(lambda half_days: half_days * DAY // 2)
SAID = st.builds(
    lambda word, at_ms, late_ms: Said(word, at_ms, max(0, at_ms + late_ms)),
    st.sampled_from(WORDS),
    TIMES,
    st.sampled_from([-DAY // 2, 0, 0, 0, 1_000, 2 * DAY]),
)
STORIES = st.lists(
    st.builds(Story, st.just(""), st.booleans(), st.lists(SAID, min_size=1, max_size=7).map(tuple)), max_size=3
).map(lambda stories: [replace(story, subscription_id=f"sub_{place}") for place, story in enumerate(stories)])


def news_of(story: Story, said: Said) -> News:
    is_money = said.word.startswith("money ")
    return News(
        source="stripe",
        event_id=f"{said}",
        type="any",
        occurred_at_ms=said.at_ms,
        subscription_id=story.subscription_id,
        subscription_issued=story.issued,
        status=None if is_money else said.word,
        payment=Payment(said.word.removeprefix("money ")) if is_money else None,
    )


def hear_all(story: Story, said: Sequence[Said]) -> Subscription:
    record = None
    for each in said:
        record = hear(record, news_of(story, each), each.stored_at_ms, "name")
    assert record is not None
    return record


def decide(records: Sequence[Subscription], now_ms: int, holds_anything: bool, hold: Hold | None = None) -> Decision:
    return fold(
        records,
        hold=hold,
        holds_anything=holds_anything,
        now_ms=now_ms,
        grace_ms=GRACE,
        release_after_ms=RELEASE_AFTER,
    )


# --- the dumber model: lists of what was said, gone through by hand -------------------------------------------------


def model_of(story: Story, now_ms: int) -> tuple[str, int]:
    """What a subscription is, and since when for the two kinds that wait."""
    line = sorted((s for s in story.said if s.word in STATUSES), key=lambda s: (s.at_ms, -STATUSES.index(s.word)))
    ends = [s for s in line if s.word in STATUSES[:2]]
    if story.issued and ends:
        return "ended", min(max(s.at_ms, s.stored_at_ms) for s in ends)
    now = line[-1].word if line else "silence"
    same = STATUSES[:2] if now in STATUSES[:2] else [now]
    broken = max((place for place, s in enumerate(line) if s.word not in same), default=-1)
    since = min((max(s.at_ms, s.stored_at_ms) for s in line[broken + 1 :]), default=0)
    if now in ("active", "trialing", "silence"):
        return money_model(story, now_ms)
    kind = {"past_due": "active_in_grace", "incomplete": "not_yet_paid"}.get(now, "suspended")
    kind = "ended" if now in STATUSES[:2] else kind
    return ("suspended" if kind == "active_in_grace" and now_ms >= since + GRACE else kind), since


def money_model(story: Story, now_ms: int) -> tuple[str, int]:
    told = {word: [s for s in story.said if s.word == f"money {word}"] for word in ("paid", "failed", "unpaid")}
    paid = max((s.at_ms for s in told["paid"]), default=-1)
    failed = max((s.at_ms for s in told["failed"]), default=-1)
    if failed > paid >= 0:
        since = max(failed, min(s.stored_at_ms for s in told["failed"] if s.at_ms == failed))
        return ("suspended" if now_ms >= since + GRACE else "active_in_grace"), since
    if paid >= 0:
        return "active", 0
    if failed >= 0 or told["unpaid"]:
        return "not_yet_paid", 0
    return ("active" if any(s.word in STATUSES for s in story.said) else "none"), 0


def wanted_by_model(stories: Sequence[Story], now_ms: int, holds_anything: bool) -> str:
    """A tenant deserves the best of its subscriptions."""
    judged = [model_of(story, now_ms) for story in stories]
    best = min((kind for kind, _ in judged), key=BEST_FIRST.index, default="none")
    if best in ("active", "active_in_grace"):
        return "active"
    if best == "ended":
        last_end = max(since for kind, since in judged if kind == "ended")
        return "suspended" if holds_anything and now_ms < last_end + RELEASE_AFTER else "released"
    if best == "suspended" or (best == "not_yet_paid" and holds_anything):
        return "suspended"
    return "nothing"


@MANY
@given(stories=STORIES, now=TIMES, holds_anything=st.booleans(), luck=st.randoms(use_true_random=False))
def test_any_story_in_any_order_with_repeats_ends_where_the_dumber_model_says(
    stories: list[Story], now: int, holds_anything: bool, luck: random.Random
) -> None:
    records = [hear_all(story, deliveries(story, luck)) for story in stories]

    decision = decide(records, now, holds_anything)

    assert [str(standing(record, now, GRACE)) for record in records] == [model_of(each, now)[0] for each in stories]
    assert str(decision.wanted) == wanted_by_model(stories, now, holds_anything)


def deliveries(story: Story, luck: random.Random) -> list[Said]:
    """Everything said at least once, some of it again, in no order at all."""
    told = [*story.said, *(luck.choice(story.said) for _ in range(luck.randrange(4)))]
    luck.shuffle(told)
    return told


# --- what must hold for any story ------------------------------------------------------------------------------------

ONE_STORY = st.builds(Story, st.just("sub_1"), st.booleans(), st.lists(SAID, min_size=1, max_size=7).map(tuple))


@MANY
@given(story=ONE_STORY, ends=st.lists(st.none() | st.integers(1, 9)), luck=st.randoms(use_true_random=False))
def test_the_same_news_in_any_order_and_number_makes_an_equal_record(
    story: Story, ends: list[int | None], luck: random.Random
) -> None:
    scheduled = dict(zip(story.said, ends, strict=False))
    told = deliveries(story, luck)

    def heard(said: Sequence[Said]) -> Subscription | None:
        record = None
        for each in said:
            news = replace(news_of(story, each), ends_at_ms=scheduled.get(each))
            record = hear(record, news, each.stored_at_ms, "name")
        return record

    assert heard(told) == heard(sorted(story.said, key=str))


@MANY
@given(story=ONE_STORY)
def test_the_same_event_twice_is_once(story: Story) -> None:
    once = hear_all(story, story.said)

    twice = hear(once, news_of(story, story.said[-1]), story.said[-1].stored_at_ms, "name")

    assert twice == once


@MANY
@given(stories=STORIES, now=TIMES, holds_anything=st.booleans())
def test_the_order_of_subscriptions_does_not_matter(stories: list[Story], now: int, holds_anything: bool) -> None:
    records = [hear_all(story, story.said) for story in stories]

    assert decide(records, now, holds_anything) == decide(records[::-1], now, holds_anything)


@MANY
@given(stories=STORIES, now=TIMES, holds_anything=st.booleans())
def test_released_is_never_wanted_while_any_subscription_has_not_ended(
    stories: list[Story], now: int, holds_anything: bool
) -> None:
    records = [hear_all(story, story.said) for story in stories]
    kinds = {standing(record, now, GRACE) for record in records}

    decision = decide(records, now, holds_anything)

    assert decision.wanted is not Wanted.RELEASED or {str(kind) for kind in kinds} <= {"ended", "none"}


@MANY
@given(stories=STORIES, now=TIMES, holds_anything=st.booleans())
def test_what_is_wanted_changes_by_itself_exactly_when_it_says(
    stories: list[Story], now: int, holds_anything: bool
) -> None:
    records = [hear_all(story, story.said) for story in stories]

    decision = decide(records, now, holds_anything)

    changes_at_ms = decision.changes_at_ms
    if changes_at_ms is None:
        assert decide(records, now + 1_000 * DAY, holds_anything).wanted is decision.wanted
    else:
        assert changes_at_ms > now
        assert decide(records, changes_at_ms - 1, holds_anything).wanted is decision.wanted
        assert decide(records, changes_at_ms, holds_anything).wanted is not decision.wanted


@MANY
@given(stories=STORIES, now=TIMES)
def test_holding_nothing_never_makes_anybody_wait_for_a_release(stories: list[Story], now: int) -> None:
    records = [hear_all(story, story.said) for story in stories]
    kinds = {str(standing(record, now, GRACE)) for record in records}

    decision = decide(records, now, holds_anything=False)

    if kinds <= {"ended", "none"}:
        assert decision.wanted is (Wanted.RELEASED if "ended" in kinds else Wanted.NOTHING)


@MANY
@given(stories=STORIES, now=TIMES, holds_anything=st.booleans(), hold=st.sampled_from(Hold))
def test_a_hold_decides_whatever_the_subscriptions_say(
    stories: list[Story], now: int, holds_anything: bool, hold: Hold
) -> None:
    records = [hear_all(story, story.said) for story in stories]

    decision = decide(records, now, holds_anything, hold)

    assert decision.wanted == {Hold.SUSPEND: "suspended", Hold.RELEASE: "released"}[hold]
    assert decision.changes_at_ms is None


@MANY
@given(story=ONE_STORY, late=st.lists(SAID, max_size=5), now=TIMES)
@example(Story("sub_1", True, (Said("canceled", DAY, DAY),)), [Said("active", 2 * DAY, 2 * DAY)], 3 * DAY)
def test_an_issued_subscription_that_ended_never_comes_back(story: Story, late: list[Said], now: int) -> None:
    ended = replace(story, issued=True, said=(*story.said, Said("canceled", DAY, DAY)))

    record = hear_all(ended, (*ended.said, *late))

    assert str(standing(record, now, GRACE)) == "ended"


@MANY
@given(story=ONE_STORY, now=TIMES, text=st.text(max_size=30).filter(lambda text: text not in STATUSES))
def test_a_status_nobody_knows_changes_nothing(story: Story, now: int, text: str) -> None:
    record = hear_all(story, story.said)
    news: Any = replace(news_of(story, story.said[0]), status=text, payment=None)

    assert hear(record, news, now, "name") == record
