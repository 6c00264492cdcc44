"""Every way in which what we believe and what the providers say can differ, and what may be done about it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.domain.drift import Believed, SeenEntry, SeenNumber, compare
from gateway.domain.model import Step

TAG = "rf:dev:0123456789abcdef:1"
PREFIX = "rf:dev:"
ACME = Believed(
    1, "acme", TAG, "+14155550123", "PN1", "entry-1", "assistant:a|server:", is_settled=True, is_wired=True
)
NUMBER = SeenNumber("PN1", "+14155550123", TAG)
ENTRY = SeenEntry("entry-1", "+14155550123", TAG, "assistant:a|server:")

DIFFERENCES = {
    "number_missing": ([], [ENTRY], Step.BUY_NUMBER, True),
    "number_renamed": ([replace(NUMBER, tag="front desk")], [ENTRY], Step.BUY_NUMBER, True),
    "number_not_wired": ([replace(NUMBER, is_wired=False)], [ENTRY], Step.IMPORT_NUMBER, False),
    "entry_missing": ([NUMBER], [], Step.IMPORT_NUMBER, False),
    "entry_different": ([NUMBER], [replace(ENTRY, target="assistant:b|server:")], Step.ASSIGN_ASSISTANT, False),
    "entry_unreferenced": ([NUMBER], [ENTRY, replace(ENTRY, entry_id="entry-2")], Step.IMPORT_NUMBER, False),
    "number_unreferenced": (
        [NUMBER, SeenNumber("PN2", "+14155550199", "rf:dev:ffffffffffffffff:1")],
        [ENTRY],
        None,
        True,
    ),
}


def test_what_agrees_is_not_reported() -> None:
    assert compare([ACME], [NUMBER], [ENTRY], PREFIX, {}) == []


@pytest.mark.parametrize("code", DIFFERENCES)
def test_each_difference_has_its_own_name_and_says_whether_it_is_about_money(code: str) -> None:
    numbers, entries, step, costs_money = DIFFERENCES[code]

    found = compare([ACME], numbers, entries, PREFIX, {})

    assert [(drift.code, drift.step, drift.costs_money) for drift in found] == [(code, step, costs_money)]


def test_calls_that_need_not_arrive_are_nobodys_business() -> None:
    not_imported = replace(ACME, is_wired=False)

    assert compare([not_imported], [replace(NUMBER, is_wired=False)], [ENTRY], PREFIX, {}) == []


def test_an_entry_that_is_gone_explains_why_no_calls_arrive() -> None:
    found = compare([ACME], [replace(NUMBER, is_wired=False)], [], PREFIX, {})

    assert [drift.code for drift in found] == ["entry_missing"]


def test_a_tenant_with_something_under_way_is_left_alone() -> None:
    busy = replace(ACME, is_settled=False)

    assert compare([busy], [], [], PREFIX, {}) == []
    assert compare([busy], [replace(NUMBER, is_wired=False)], [ENTRY], PREFIX, {}) == []
    assert compare([busy], [replace(NUMBER, sid="PN9")], [replace(ENTRY, entry_id="entry-9")], PREFIX, {}) == []


def test_other_peoples_numbers_and_entries_are_not_ours_to_report() -> None:
    strangers = [SeenNumber("PN5", "+1", "front desk"), SeenNumber("PN6", "+2", "rf:prod:0123456789abcdef:1")]

    assert compare([], strangers, [SeenEntry("e", "+1", "front desk", "")], PREFIX, {}) == []


def test_a_refused_number_that_was_bought_all_the_same_is_named_as_such() -> None:
    late = SeenNumber("PN7", "+14155550177", TAG)

    found = compare([ACME], [NUMBER, late], [ENTRY], PREFIX, {late.number: TAG})

    assert [(drift.code, drift.number) for drift in found] == [("watched_number_bought", late.number)]
