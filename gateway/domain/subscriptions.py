"""What a subscription is, by everything we were told of it, and what all of a tenant's subscriptions ask for.

News does not command, it is remembered: a record is the same whatever order its news came in and however often. What
follows from a record depends on the record and the time alone.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol

from gateway.domain.model import Decision, Hold, Money, News, Payment, StatusNews, Subscription, Wanted

# Of two statuses told for the same second, the first in this list holds (Stripe's `created` has whole seconds).
RANK = ("canceled", "incomplete_expired", "active", "trialing", "past_due", "unpaid", "paused", "incomplete")
PRECEDENCE = {status: len(RANK) - place for place, status in enumerate(RANK)}
ENDED = frozenset({"canceled", "incomplete_expired"})
GOOD = frozenset({"active", "trialing"})


class Standing(StrEnum):
    """How good a subscription is, best first. `none`: nothing was said yet that counts."""

    ACTIVE = "active"
    ACTIVE_IN_GRACE = "active_in_grace"
    SUSPENDED = "suspended"
    NOT_YET_PAID = "not_yet_paid"
    ENDED = "ended"
    NONE = "none"


BEST_FIRST = tuple(Standing)


@dataclass(frozen=True, slots=True)
class Proof:
    """What a record shows, without regard to the time.

    since_ms: from when a waiting time counts: unpaid since (`active_in_grace`), over since (`ended`).
    because: a part of a sentence, such as `is past_due`.
    """

    standing: Standing
    because: str
    since_ms: int = 0


class BillingAnswer(Protocol):
    """What a billing system says of a subscription when asked; `ports.BillingRecord` is one."""

    @property
    def status(self) -> str: ...

    @property
    def ended_at_ms(self) -> int | None: ...

    @property
    def ends_at_ms(self) -> int | None: ...

    @property
    def latest_invoice_paid(self) -> bool | None: ...


# --- remembering -----------------------------------------------------------------------------------------------------


def hear(record: Subscription | None, news: News, stored_at_ms: int, linked_by: str) -> Subscription:
    """The record with this news in it; equal for every order and repetition of the same news.

    stored_at_ms: when we first stored the event.   linked_by: `name` or `customer`; `name` wins for good.
    A status we do not know changes nothing. Of two words on money of one kind, or on a scheduled end, the newest
    holds; within the same second the earlier storing, and the later end, hold: a date beats none. Once the sender has
    left out the id, a record counts as not issued.
    """
    if record is None:
        record = Subscription(
            source=news.source,
            subscription_id=news.subscription_id or "",
            issued=news.subscription_issued,
            linked_by=linked_by,
        )
    record = replace(link(record, linked_by), issued=record.issued and news.subscription_issued)
    word = Money(news.occurred_at_ms, stored_at_ms)
    if news.payment is Payment.PAID:
        record = replace(record, paid=newest(record.paid, word))
    elif news.payment is Payment.FAILED:
        record = replace(record, failed=newest(record.failed, word))
    elif news.payment is Payment.UNPAID:
        record = replace(record, checkout_unpaid=True)
    if news.status is None or not is_known(news.status):
        return record
    record = replace(record, statuses=with_status(record.statuses, news.occurred_at_ms, news.status, stored_at_ms))
    return hear_end(record, news)


def is_known(status: str) -> bool:
    """Whether we know what this status means; the sender may invent new ones (stripe-python 16.1.0, open enum)."""
    return status in PRECEDENCE


def link(record: Subscription, linked_by: str) -> Subscription:
    """The record with this link: by `name` for good, by `customer` only until somebody names the tenant."""
    return replace(record, linked_by=linked_by) if linked_by == "name" else record


def with_status(
    statuses: tuple[StatusNews, ...], occurred_at_ms: int, status: str, stored_at_ms: int
) -> tuple[StatusNews, ...]:
    """Statuses with one more, in the order in which they hold; told twice, the first storing counts."""
    told = StatusNews(occurred_at_ms, status, stored_at_ms)
    at = bisect_left(statuses, order_of(told), key=order_of)
    after = statuses[at:]
    if after and order_of(after[0]) == order_of(told):
        told = StatusNews(occurred_at_ms, status, min(after[0].stored_at_ms, stored_at_ms))
        after = after[1:]
    return (*statuses[:at], told, *after)


def order_of(told: StatusNews) -> tuple[int, int]:
    """Statuses in this order are in the order in which they hold, the last before all others."""
    return told.occurred_at_ms, PRECEDENCE[told.status]


def newest(known: Money | None, told: Money) -> Money:
    if known is None or told.occurred_at_ms > known.occurred_at_ms:
        return told
    if told.occurred_at_ms == known.occurred_at_ms and told.stored_at_ms < known.stored_at_ms:
        return told
    return known


def hear_end(record: Subscription, news: News) -> Subscription:
    """Remember a scheduled end, or that there is none: whoever says the status says this too."""
    told = (news.occurred_at_ms, news.ends_at_ms or 0)
    if record.ends_said_at_ms is not None and told <= (record.ends_said_at_ms, record.ends_at_ms or 0):
        return record
    return replace(record, ends_at_ms=news.ends_at_ms, ends_said_at_ms=news.occurred_at_ms)


def from_billing(record: Subscription, billing: BillingAnswer, read_at_ms: int) -> Subscription:
    """The record as the billing system states it now: it replaces all news about status, money and end.

    Waiting times that already run go on: what was past due, unpaid for or over before the reading is so since then,
    not since we asked. Reading the same answer again changes nothing. A status we do not know changes nothing.
    latest_invoice_paid: False with an earlier payment known is a failure after paying; without, not yet paid. It is
    not asked of a trial, which has nothing to pay.
    """
    if not is_known(billing.status):
        return record
    record = replace(
        record,
        statuses=run_of(record, billing.status) or (told_now(billing, read_at_ms),),
        ends_at_ms=billing.ends_at_ms,
        ends_said_at_ms=None if billing.ends_at_ms is None else record.ends_said_at_ms or read_at_ms,
        checkout_unpaid=False,
    )
    is_unpaid = billing.latest_invoice_paid is False and billing.status == "active"
    if is_unpaid and record.paid is None:
        return replace(record, failed=None, checkout_unpaid=True)
    if is_unpaid:
        return replace(record, failed=failure_after(record, read_at_ms))
    if billing.latest_invoice_paid and (record.paid is None or has_failed_after_paying(record)):
        record = replace(record, paid=Money(read_at_ms, read_at_ms))
    return replace(record, failed=None)


def told_now(billing: BillingAnswer, read_at_ms: int) -> StatusNews:
    since_ms = billing.ended_at_ms if billing.status in ENDED and billing.ended_at_ms is not None else read_at_ms
    return StatusNews(since_ms, billing.status, read_at_ms)


def run_of(record: Subscription, status: str) -> tuple[StatusNews, ...]:
    """The unbroken run up to now, if it is one of this very status."""
    run = unbroken_run(record)
    return run if run and run[-1].status == status else ()


def failure_after(record: Subscription, read_at_ms: int) -> Money:
    if has_failed_after_paying(record) and record.failed is not None:
        return record.failed
    paid_at_ms = record.paid.occurred_at_ms if record.paid else 0
    return Money(max(read_at_ms, paid_at_ms + 1), read_at_ms)


# --- judging ---------------------------------------------------------------------------------------------------------


def current(record: Subscription) -> StatusNews | None:
    """The status that holds: the newest, and of the same second the first by RANK.

    Where the sender made the id an end is final: the first one holds, whatever was told for later.
    """
    ends = [each for each in record.statuses if each.status in ENDED] if record.issued else []
    if ends:
        return [each for each in ends if each.occurred_at_ms == ends[0].occurred_at_ms][-1]
    return record.statuses[-1] if record.statuses else None


def unbroken_run(record: Subscription) -> tuple[StatusNews, ...]:
    """The statuses up to the one that holds between which nothing else was said, oldest first.

    Both ways of having ended are one. For ids that the sender made, all ends are one run: nothing interrupts them.
    """
    holds = current(record)
    if holds is None:
        return ()
    same = ENDED if holds.status in ENDED else frozenset({holds.status})
    if record.issued and same is ENDED:
        return tuple(each for each in record.statuses if each.status in ENDED)
    run: list[StatusNews] = []
    for each in reversed(record.statuses):
        if each.status not in same:
            break
        run.append(each)
    return tuple(reversed(run))


def has_failed_after_paying(record: Subscription) -> bool:
    """Paid and failed in the same second is paid: a failed try and its success often share one."""
    if record.paid is None or record.failed is None:
        return False
    return record.failed.occurred_at_ms > record.paid.occurred_at_ms


def prove(record: Subscription) -> Proof:
    """What the record shows. Money only qualifies a subscription whose status is good, or was not told yet."""
    holds = current(record)
    if holds is None:
        has_money = record.paid is not None or record.failed is not None or record.checkout_unpaid
        return by_money(record, "is paid") if has_money else Proof(Standing.NONE, "has told nothing yet")
    because = f"is {holds.status}"
    if holds.status in GOOD:
        return by_money(record, because)
    if holds.status in ENDED:
        return Proof(Standing.ENDED, because, waits_since_ms(record))
    if holds.status == "past_due":
        return Proof(Standing.ACTIVE_IN_GRACE, because, waits_since_ms(record))
    if holds.status == "incomplete":
        return Proof(Standing.NOT_YET_PAID, "is incomplete: its first payment is open")
    return Proof(Standing.SUSPENDED, because)


def by_money(record: Subscription, because: str) -> Proof:
    if record.paid is None:
        if record.failed is not None:
            return Proof(Standing.NOT_YET_PAID, "has failed to pay and never paid")
        if record.checkout_unpaid:
            return Proof(Standing.NOT_YET_PAID, "is checked out and its payment still under way")
        return Proof(Standing.ACTIVE, because)
    if record.failed is not None and has_failed_after_paying(record):
        return Proof(
            Standing.ACTIVE_IN_GRACE,
            "has failed to pay",
            max(record.failed.occurred_at_ms, record.failed.stored_at_ms),
        )
    return Proof(Standing.ACTIVE, because)


def waits_since_ms(record: Subscription) -> int:
    """When the present run began for us: nobody loses waiting time because news of it came late."""
    return min(max(each.occurred_at_ms, each.stored_at_ms) for each in unbroken_run(record))


def standing(record: Subscription, now_ms: int, grace_ms: int) -> Standing:
    """How good a subscription is now. Grace ends at its last moment: then it is suspended."""
    return standing_of(prove(record), now_ms, grace_ms)


def standing_of(proof: Proof, now_ms: int, grace_ms: int) -> Standing:
    if proof.standing is Standing.ACTIVE_IN_GRACE and now_ms >= proof.since_ms + grace_ms:
        return Standing.SUSPENDED
    return proof.standing


# --- folding ---------------------------------------------------------------------------------------------------------


def fold(
    records: Sequence[Subscription],
    *,
    hold: Hold | None,
    holds_anything: bool,
    now_ms: int,
    grace_ms: int,
    release_after_ms: int,
) -> Decision:
    """What is wanted now, until when, and why: the best of all subscriptions, unless an operator holds the tenant.

    holds_anything: something is held or undecided.   release_after_ms: from the end of the last subscription.
    changes_at_ms lies in the future: the moment at which the answer changes with no news at all.
    """
    if hold is Hold.SUSPEND:
        return Decision(Wanted.SUSPENDED, "An operator suspended it; this holds until it is resumed.")
    if hold is Hold.RELEASE:
        return Decision(Wanted.RELEASED, "An operator released it; this holds until it is resumed.")
    proofs = [(prove(record), name_of(record)) for record in sorted(records, key=place)]
    ranked = {each: [pair for pair in proofs if standing_of(pair[0], now_ms, grace_ms) is each] for each in BEST_FIRST}
    for standing_now in BEST_FIRST:
        if ranked[standing_now]:
            return wish(standing_now, ranked[standing_now], holds_anything, grace_ms, now_ms, release_after_ms)
    return Decision(Wanted.NOTHING, "It has no subscription.")


def wish(
    best: Standing,
    proofs: Sequence[tuple[Proof, str]],
    holds_anything: bool,
    grace_ms: int,
    now_ms: int,
    release_after_ms: int,
) -> Decision:
    """What the best standing asks for. Of several alike the one that lasts longest counts."""
    proof, name = max(proofs, key=lambda pair: pair[0].since_ms)
    fact = f"{name} {proof.because}"
    if best is Standing.ACTIVE:
        return Decision(Wanted.ACTIVE, f"{fact}.")
    if best is Standing.ACTIVE_IN_GRACE:
        until_ms = proof.since_ms + grace_ms
        return Decision(Wanted.ACTIVE, f"{fact}; it stays active until {moment(until_ms)}.", until_ms)
    if best is Standing.SUSPENDED:
        over = "; its grace is over" if proof.standing is Standing.ACTIVE_IN_GRACE else ""
        return Decision(Wanted.SUSPENDED, f"{fact}{over}.")
    if best is Standing.NOT_YET_PAID:
        return Decision(Wanted.SUSPENDED if holds_anything else Wanted.NOTHING, f"{fact}.")
    if best is Standing.ENDED:
        return after_the_end(fact, proof.since_ms + release_after_ms, holds_anything, now_ms)
    return Decision(Wanted.NOTHING, f"{fact}.")


def after_the_end(fact: str, release_at_ms: int, holds_anything: bool, now_ms: int) -> Decision:
    if not holds_anything:
        return Decision(Wanted.RELEASED, f"{fact} and nothing is held.")
    if now_ms >= release_at_ms:
        return Decision(Wanted.RELEASED, f"{fact} and its waiting time is over.")
    return Decision(Wanted.SUSPENDED, f"{fact}; its number is kept until {moment(release_at_ms)}.", release_at_ms)


def place(record: Subscription) -> tuple[str, str]:
    return record.source, record.subscription_id


def name_of(record: Subscription) -> str:
    return f"Subscription {record.source}:{record.subscription_id}"


def moment(at_ms: int) -> str:
    """A time for people; a date no calendar has stays a number."""
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError, OSError):
        return f"{at_ms} ms"
