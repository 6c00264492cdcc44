"""Holdings: no, maybe, yes, for each step of a tenant."""

from __future__ import annotations

import pytest

from gateway.domain.model import Held, Holding, Step, Tenant
from gateway.domain.recipe import ORDER
from gateway.store import attempts, holdings, tenants
from gateway.store.database import Transaction
from tests.store.conftest import NOW_MS

NUMBER = Holding(Step.BUY_NUMBER, Held.YES, "PN1", {"number": "+14155550100", "is_releasing": True}, NOW_MS + 5)


def test_what_has_no_row_is_not_held(tx: Transaction, acme: Tenant) -> None:
    assert holdings.of_tenant(tx, acme.id) == {step: Holding(step, Held.NO) for step in ORDER}


def test_a_holding_comes_back_as_it_was_stored_beside_the_others(tx: Transaction, acme: Tenant, beta: Tenant) -> None:
    maybe = Holding(Step.IMPORT_NUMBER, Held.MAYBE)
    holdings.put(tx, acme.id, NUMBER, NOW_MS)
    holdings.put(tx, acme.id, maybe, NOW_MS)

    assert holdings.of_tenant(tx, acme.id) == {
        Step.BUY_NUMBER: NUMBER,
        Step.IMPORT_NUMBER: maybe,
        Step.ASSIGN_ASSISTANT: Holding(Step.ASSIGN_ASSISTANT, Held.NO),
    }
    assert not any(each.held is not Held.NO for each in holdings.of_tenant(tx, beta.id).values())


def test_storing_a_holding_again_replaces_all_of_it(tx: Transaction, acme: Tenant) -> None:
    holdings.put(tx, acme.id, NUMBER, NOW_MS)

    holdings.put(tx, acme.id, Holding(Step.BUY_NUMBER, Held.NO), NOW_MS)

    assert holdings.of_tenant(tx, acme.id)[Step.BUY_NUMBER] == Holding(Step.BUY_NUMBER, Held.NO)


@pytest.mark.parametrize("held", list(Held))
def test_only_what_is_held_can_be_put_in_doubt(tx: Transaction, acme: Tenant, held: Held) -> None:
    holdings.put(tx, acme.id, Holding(Step.BUY_NUMBER, held, "PN1"), NOW_MS)
    holdings.put(tx, acme.id, Holding(Step.IMPORT_NUMBER, Held.YES, "e1"), NOW_MS)

    holdings.doubt(tx, acme.id, Step.BUY_NUMBER, NOW_MS + 7, NOW_MS)

    after = holdings.of_tenant(tx, acme.id)
    assert after[Step.BUY_NUMBER].doubt_at_ms == (NOW_MS + 7 if held is Held.YES else None)
    assert after[Step.BUY_NUMBER].held is held
    assert after[Step.IMPORT_NUMBER].doubt_at_ms is None


def test_numbers_held_within_a_time_are_counted_once_each_released_meanwhile_or_not(
    tx: Transaction, acme: Tenant, beta: Tenant
) -> None:
    gone, long_gone = (tenants.create(tx, key, NOW_MS) for key in ("gone", "long-gone"))
    holdings.put(tx, acme.id, NUMBER, NOW_MS)
    holdings.put(tx, acme.id, Holding(Step.IMPORT_NUMBER, Held.YES), NOW_MS)
    holdings.put(tx, beta.id, Holding(Step.BUY_NUMBER, Held.MAYBE), NOW_MS)
    for tenant, operation, at_ms in (
        (acme, "remove", NOW_MS), (gone, "remove", NOW_MS), (gone, "release", NOW_MS),
        (beta, "buy", NOW_MS), (long_gone, "release", NOW_MS - 10),
    ):  # fmt: skip
        attempts.begin(tx, tenant, Step.BUY_NUMBER, operation, None, at_ms, at_ms + 5)

    assert holdings.count_numbers_held_since(tx, ("release", "remove"), NOW_MS - 10) == 2


def test_everything_with_a_providers_id_is_found_by_it(tx: Transaction, acme: Tenant, beta: Tenant) -> None:
    holdings.put(tx, acme.id, NUMBER, NOW_MS)
    holdings.put(tx, acme.id, Holding(Step.IMPORT_NUMBER, Held.YES, "e1"), NOW_MS)
    holdings.put(tx, beta.id, Holding(Step.BUY_NUMBER, Held.MAYBE, "PN2"), NOW_MS)
    holdings.put(tx, beta.id, Holding(Step.IMPORT_NUMBER, Held.MAYBE), NOW_MS)

    assert holdings.tenants_by_ref(tx, Step.BUY_NUMBER) == {"PN1": acme.id, "PN2": beta.id}
    assert holdings.tenants_by_ref(tx, Step.IMPORT_NUMBER) == {"e1": acme.id}
