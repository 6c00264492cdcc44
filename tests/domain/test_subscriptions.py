"""What one subscription is, by what was said of it, and what several ask for together: the written tables."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from gateway.domain.model import Hold, Money, News, Payment, StatusNews, Subscription, Wanted
from gateway.domain.subscriptions import RANK, Standing, current, fold, hear, moment, standing

DAY = 86_400_000
GRACE = 7 * DAY
RELEASE_AFTER = 30 * DAY

LETTERS = {
    "A": Standing.ACTIVE,
    "G": Standing.ACTIVE_IN_GRACE,
    "S": Standing.SUSPENDED,
    "N": Standing.NOT_YET_PAID,
    "E": Standing.ENDED,
    "-": Standing.NONE,
}


def status(name: str, at_ms: int) -> News:
    return News("stripe", f"evt_{name}_{at_ms}", "customer.subscription.updated", at_ms, "sub_1", status=name)


def money(payment: Payment, at_ms: int) -> News:
    return News("stripe", f"evt_{payment}_{at_ms}", "invoice.paid", at_ms, "sub_1", payment=payment)


def heard(*news: News, stored_at_ms: int | None = None) -> Subscription:
    record: Subscription | None = None
    for each in news:
        record = hear(record, each, each.occurred_at_ms if stored_at_ms is None else stored_at_ms, "name")
    assert record is not None
    return record


def manual(*statuses: tuple[int, str]) -> Subscription:
    told = tuple(StatusNews(at_ms, name, at_ms) for at_ms, name in statuses)
    return Subscription("standard", "acme", False, "name", statuses=told)


def wanted_of(
    *records: Subscription, now_ms: int = 0, holds_anything: bool = False, hold: Hold | None = None
) -> tuple[Wanted, int | None]:
    decision = fold(
        records,
        hold=hold,
        holds_anything=holds_anything,
        now_ms=now_ms,
        grace_ms=GRACE,
        release_after_ms=RELEASE_AFTER,
    )
    assert decision.reason.endswith(".")
    return decision.wanted, decision.changes_at_ms


# --- every status, and whatever is said next -------------------------------------------------------------------------

# Down: the status so far. Across: what is said a second later.
#                    cancel expired active trial pastdue unpaid paused incompl paid failed checkout-unpaid unknown
AFTER_STATUS = """
none               | E      E       A      A     G       S      S      N       A    N      N               -
canceled           | E      E       E      E     E       E      E      E       E    E      E               E
incomplete_expired | E      E       E      E     E       E      E      E       E    E      E               E
active             | E      E       A      A     G       S      S      N       A    N      N               A
trialing           | E      E       A      A     G       S      S      N       A    N      N               A
past_due           | E      E       A      A     G       S      S      N       G    G      G               G
unpaid             | E      E       A      A     G       S      S      N       S    S      S               S
paused             | E      E       A      A     G       S      S      N       S    S      S               S
incomplete         | E      E       A      A     G       S      S      N       N    N      N               N
"""
SAID_NEXT = (
    *("canceled", "incomplete_expired", "active", "trialing", "past_due", "unpaid", "paused", "incomplete"),
    *("money paid", "money failed", "money unpaid", "frozen"),
)


def grid(text: str, columns: tuple[str, ...]) -> dict[tuple[str, str], Standing]:
    cells = {}
    for line in text.strip().splitlines():
        row, letters = line.split("|")
        for column, letter in zip(columns, letters.split(), strict=True):
            cells[row.strip(), column] = LETTERS[letter]
    return cells


EXPECTED = grid(AFTER_STATUS, SAID_NEXT)
EVERY_STATUS = ("none", *RANK)
EVERY_WORD = (*RANK, *(f"money {payment}" for payment in Payment), "frozen")
EVERY_PAIR = list(itertools.product(EVERY_STATUS, EVERY_WORD))


def say(word: str, at_ms: int) -> News:
    if word.startswith("money "):
        return money(Payment(word.removeprefix("money ")), at_ms)
    return status(word, at_ms)


@pytest.mark.parametrize(("known", "said"), EVERY_PAIR, ids=[f"{known}, then {said}" for known, said in EVERY_PAIR])
def test_a_status_and_what_is_said_next_stand_as_the_table_says(known: str, said: str) -> None:
    before = [] if known == "none" else [status(known, 1_000)]

    record = heard(*before, say(said, 2_000))

    assert standing(record, 3_000, GRACE) is EXPECTED[known, said]


def test_the_table_names_no_pair_that_does_not_exist() -> None:
    assert set(EXPECTED) == set(EVERY_PAIR)


@pytest.mark.parametrize("said", EVERY_WORD, ids=str)
def test_without_an_end_that_is_final_the_newest_status_reopens_a_record_kept_by_tenant_key(said: str) -> None:
    known = manual((1_000, "canceled"))

    record = hear(known, replace(say(said, 2_000), subscription_issued=False), 2_000, "name")

    reopened = EXPECTED["none", said]
    assert standing(record, 3_000, GRACE) is (reopened if said in RANK else Standing.ENDED)


# --- the same second -------------------------------------------------------------------------------------------------

HOLDS_FIRST = ["canceled", "incomplete_expired", "active", "trialing", "past_due", "unpaid", "paused", "incomplete"]


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(HOLDS_FIRST, 2)))
def test_of_two_statuses_in_the_same_second_the_one_ranked_first_holds(first: str, second: str) -> None:
    record = heard(status(first, 1_000), status(second, 1_000))

    holds = current(record)

    assert holds is not None
    assert HOLDS_FIRST.index(holds.status) == min(HOLDS_FIRST.index(first), HOLDS_FIRST.index(second))


def test_an_older_status_that_comes_late_changes_nothing() -> None:
    record = heard(status("active", 2_000), status("past_due", 1_000))

    assert standing(record, 3_000, GRACE) is Standing.ACTIVE


def test_the_first_end_of_an_issued_subscription_holds_whatever_was_said_for_later() -> None:
    record = heard(status("canceled", 1_000), status("active", 2_000), status("canceled", 3_000))

    holds = current(record)

    assert holds == StatusNews(1_000, "canceled", 1_000)


# --- money -----------------------------------------------------------------------------------------------------------

PAID, FAILED, UNPAID = Payment.PAID, Payment.FAILED, Payment.UNPAID
MONEY = {
    "nothing said of money": ([], "A"),
    "paid": ([(PAID, 1)], "A"),
    "paid, then failed": ([(PAID, 1), (FAILED, 2)], "G"),
    "failed, then paid": ([(FAILED, 1), (PAID, 2)], "A"),
    "paid and failed in the same second": ([(PAID, 1), (FAILED, 1)], "A"),
    "failed and never paid": ([(FAILED, 1)], "N"),
    "checked out, not paid yet": ([(UNPAID, 1)], "N"),
    "checked out, then paid": ([(UNPAID, 1), (PAID, 2)], "A"),
    "checked out, payment told before": ([(UNPAID, 2), (PAID, 1)], "A"),
    "checked out, then failed": ([(UNPAID, 1), (FAILED, 2)], "N"),
    "paid, failed, paid again": ([(PAID, 1), (FAILED, 2), (PAID, 3)], "A"),
    "paid, failed, paid, failed": ([(PAID, 1), (FAILED, 2), (PAID, 3), (FAILED, 4)], "G"),
}


@pytest.mark.parametrize("known", ["active", "trialing", "none"])
@pytest.mark.parametrize(("words", "letter"), MONEY.values(), ids=list(MONEY))
def test_money_decides_where_the_status_is_good_or_unknown(
    known: str, words: list[tuple[Payment, int]], letter: str
) -> None:
    before = [] if known == "none" else [status(known, 1_000)]
    if not before and not words:
        return

    record = heard(*before, *(money(payment, at * 1_000) for payment, at in words))

    assert standing(record, 5_000, GRACE) is LETTERS[letter]


def test_a_failure_after_paying_is_served_for_the_grace_time_and_then_suspended() -> None:
    record = heard(status("active", 0), money(PAID, 0), money(FAILED, DAY))

    assert wanted_of(record, now_ms=DAY) == (Wanted.ACTIVE, DAY + GRACE)
    assert wanted_of(record, now_ms=DAY + GRACE - 1) == (Wanted.ACTIVE, DAY + GRACE)
    assert wanted_of(record, now_ms=DAY + GRACE) == (Wanted.SUSPENDED, None)


# --- waiting times ---------------------------------------------------------------------------------------------------


def test_grace_counts_from_the_first_status_of_the_unbroken_run() -> None:
    record = heard(status("past_due", 3 * DAY), status("past_due", DAY), status("past_due", 2 * DAY))

    assert wanted_of(record, now_ms=3 * DAY) == (Wanted.ACTIVE, DAY + GRACE)


def test_a_recovery_in_between_starts_grace_anew() -> None:
    record = heard(status("past_due", DAY), status("active", 2 * DAY), status("past_due", 3 * DAY))

    assert wanted_of(record, now_ms=3 * DAY) == (Wanted.ACTIVE, 3 * DAY + GRACE)


def test_grace_counts_from_when_we_were_told_where_that_was_later() -> None:
    record = heard(status("past_due", DAY), stored_at_ms=20 * DAY)

    assert wanted_of(record, now_ms=20 * DAY) == (Wanted.ACTIVE, 20 * DAY + GRACE)


def test_the_grace_after_a_failed_payment_counts_from_when_we_were_told_too() -> None:
    record = heard(status("active", 0), money(PAID, 0), money(FAILED, DAY), stored_at_ms=20 * DAY)

    assert wanted_of(record, now_ms=20 * DAY) == (Wanted.ACTIVE, 20 * DAY + GRACE)


def test_being_told_again_later_does_not_prolong_the_grace() -> None:
    record = hear(heard(status("past_due", DAY)), status("past_due", DAY), 20 * DAY, "name")

    assert wanted_of(record, now_ms=2 * DAY) == (Wanted.ACTIVE, DAY + GRACE)


def test_an_ended_tenant_that_holds_something_is_suspended_until_its_release() -> None:
    record = heard(status("canceled", DAY))

    assert wanted_of(record, now_ms=DAY, holds_anything=True) == (Wanted.SUSPENDED, DAY + RELEASE_AFTER)
    assert wanted_of(record, now_ms=DAY + RELEASE_AFTER - 1, holds_anything=True)[0] is Wanted.SUSPENDED
    assert wanted_of(record, now_ms=DAY + RELEASE_AFTER, holds_anything=True) == (Wanted.RELEASED, None)


def test_an_ended_tenant_that_holds_nothing_is_released_at_once() -> None:
    assert wanted_of(heard(status("canceled", DAY)), now_ms=DAY) == (Wanted.RELEASED, None)


def test_the_release_waits_for_the_end_of_the_last_subscription() -> None:
    first = heard(status("canceled", DAY))
    last = replace(heard(status("canceled", 5 * DAY)), subscription_id="sub_2")

    for records in ([first, last], [last, first]):
        assert wanted_of(*records, now_ms=6 * DAY, holds_anything=True) == (Wanted.SUSPENDED, 5 * DAY + RELEASE_AFTER)


def test_a_later_word_about_the_same_end_does_not_put_the_release_off() -> None:
    record = heard(status("canceled", DAY), status("canceled", 9 * DAY))

    assert wanted_of(record, now_ms=9 * DAY, holds_anything=True) == (Wanted.SUSPENDED, DAY + RELEASE_AFTER)


def test_an_end_interrupted_by_a_return_counts_from_the_second_end_where_ids_are_not_issued() -> None:
    record = manual((DAY, "canceled"), (2 * DAY, "active"), (3 * DAY, "canceled"))

    assert wanted_of(record, now_ms=3 * DAY, holds_anything=True) == (Wanted.SUSPENDED, 3 * DAY + RELEASE_AFTER)


def test_a_scheduled_end_is_remembered_and_changes_nothing() -> None:
    record = heard(replace(status("active", DAY), ends_at_ms=40 * DAY))

    assert record.ends_at_ms == 40 * DAY
    assert wanted_of(record, now_ms=50 * DAY) == (Wanted.ACTIVE, None)


def test_a_scheduled_end_is_forgotten_when_the_newest_status_has_none() -> None:
    scheduled = replace(status("active", DAY), ends_at_ms=40 * DAY)

    for order in itertools.permutations([scheduled, status("active", 2 * DAY), money(PAID, 3 * DAY)]):
        assert heard(*order).ends_at_ms is None


# --- several subscriptions -------------------------------------------------------------------------------------------

STANDING_AS = {
    Standing.ACTIVE: heard(status("active", DAY)),
    Standing.ACTIVE_IN_GRACE: heard(status("past_due", DAY)),
    Standing.SUSPENDED: heard(status("unpaid", DAY)),
    Standing.NOT_YET_PAID: heard(status("incomplete", DAY)),
    Standing.ENDED: heard(status("canceled", DAY)),
    Standing.NONE: heard(status("frozen", DAY)),
}
# What a tenant with this best subscription gets, holding nothing and holding something.
BEST_GETS = {
    Standing.ACTIVE: ("active", "active"),
    Standing.ACTIVE_IN_GRACE: ("active", "active"),
    Standing.SUSPENDED: ("suspended", "suspended"),
    Standing.NOT_YET_PAID: ("nothing", "suspended"),
    Standing.ENDED: ("released", "suspended"),
    Standing.NONE: ("nothing", "nothing"),
}
BEST_FIRST = ["active", "active_in_grace", "suspended", "not_yet_paid", "ended", "none"]


def test_every_standing_has_its_expectation() -> None:
    assert set(BEST_GETS) == set(STANDING_AS) == set(Standing)
    assert set(BEST_FIRST) == {str(each) for each in Standing}


@pytest.mark.parametrize("holds_anything", [False, True], ids=["holding nothing", "holding something"])
@pytest.mark.parametrize(("one", "other"), list(itertools.product(Standing, repeat=2)))
def test_the_better_of_two_subscriptions_decides(one: Standing, other: Standing, holds_anything: bool) -> None:
    records = [STANDING_AS[one], replace(STANDING_AS[other], subscription_id="sub_2")]
    best = min(one, other, key=lambda each: BEST_FIRST.index(str(each)))

    wanted, _ = wanted_of(*records, now_ms=2 * DAY, holds_anything=holds_anything)

    assert wanted == BEST_GETS[best][holds_anything]


def test_no_record_at_all_wants_nothing_whatever_is_held() -> None:
    assert wanted_of(holds_anything=True) == (Wanted.NOTHING, None)
    assert wanted_of(holds_anything=False) == (Wanted.NOTHING, None)


@pytest.mark.parametrize("kind", list(Standing))
@pytest.mark.parametrize(("hold", "wanted"), [(Hold.SUSPEND, Wanted.SUSPENDED), (Hold.RELEASE, Wanted.RELEASED)])
def test_an_operators_hold_beats_every_subscription(hold: Hold, wanted: Wanted, kind: Standing) -> None:
    for holds_anything in (False, True):
        assert wanted_of(STANDING_AS[kind], now_ms=DAY, hold=hold, holds_anything=holds_anything) == (wanted, None)


def test_of_two_in_grace_the_one_that_lasts_longer_counts() -> None:
    soon = heard(status("past_due", DAY))
    late = replace(heard(status("past_due", 2 * DAY)), subscription_id="sub_2")

    for records in ([soon, late], [late, soon]):
        assert wanted_of(*records, now_ms=3 * DAY) == (Wanted.ACTIVE, 2 * DAY + GRACE)


# --- links and words -------------------------------------------------------------------------------------------------


def test_a_link_by_name_stays_whatever_is_heard_later_by_the_customer() -> None:
    by_customer = hear(None, status("active", 1), 1, "customer")
    named = hear(by_customer, status("active", 2), 2, "name")

    again = hear(named, status("active", 3), 3, "customer")

    assert (by_customer.linked_by, named.linked_by, again.linked_by) == ("customer", "name", "name")


def test_once_a_sender_left_out_the_id_a_record_may_be_reopened() -> None:
    issued = status("canceled", 1)
    keyed = replace(status("active", 2), subscription_issued=False)

    for order in itertools.permutations([issued, keyed]):
        assert not heard(*order).issued
        assert standing(heard(*order), 3, GRACE) is Standing.ACTIVE


def test_money_of_one_second_told_twice_counts_from_the_first_telling() -> None:
    record = hear(heard(money(FAILED, 1_000), stored_at_ms=9_000), money(FAILED, 1_000), 5_000, "name")

    assert record.failed == Money(1_000, 5_000)


def test_the_reason_names_the_subscription_and_the_day_on_which_it_changes() -> None:
    decision = fold(
        [heard(status("past_due", DAY))],
        hold=None,
        holds_anything=True,
        now_ms=DAY,
        grace_ms=GRACE,
        release_after_ms=RELEASE_AFTER,
    )

    assert decision.reason == "Subscription stripe:sub_1 is past_due; it stays active until 1970-01-09 00:00 UTC."


def test_a_time_no_calendar_knows_is_still_a_text() -> None:
    assert moment(2**62) == f"{2**62} ms"
