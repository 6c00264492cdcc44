"""Tenants come back as they were stored, by their key or an alias, and lists are cut into pages."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.domain.model import Block, Blocked, Decision, Hold, State, Step, Tenant, Wanted
from gateway.store import tenants
from gateway.store.database import Database, IntegrityError, Transaction
from tests.store.conftest import NOW_MS

BLOCK = Block(Blocked.AMBIGUOUS, "Somebody must look.", Step.BUY_NUMBER, Wanted.ACTIVE, NOW_MS + 3)


def test_a_new_tenant_wants_nothing_and_is_never_due(tx: Transaction) -> None:
    acme = tenants.create(tx, "acme", NOW_MS, self_named=True)

    assert acme == Tenant(
        id=acme.id, tenant_key="acme", state=State.NEW, wanted=Wanted.NOTHING, reason="", changes_at_ms=None,
        generation=1, version=1, fence=0, lease_owner=None, lease_until_ms=None, next_run_at_ms=None, hold=None,
        block=None, tries=0, self_named=True, created_at_ms=NOW_MS, updated_at_ms=NOW_MS,
    )  # fmt: skip
    assert tenants.get(tx, acme.id) == acme


def test_a_key_belongs_to_one_tenant(tx: Transaction, acme: Tenant) -> None:
    with pytest.raises(IntegrityError), tx.savepoint():
        tenants.create(tx, "acme", NOW_MS)

    assert tenants.by_key(tx, "acme") == acme
    assert tenants.by_key(tx, "Acme") is None


def test_an_alias_means_its_tenant_and_its_first_tenant_only(tx: Transaction, acme: Tenant, beta: Tenant) -> None:
    tenants.add_alias(tx, acme.id, "old-name")
    tenants.add_alias(tx, acme.id, "another")
    tenants.add_alias(tx, beta.id, "old-name")

    assert tenants.by_key(tx, "old-name") == acme
    assert tenants.aliases(tx, acme.id) == ["another", "old-name"]
    assert tenants.aliases(tx, beta.id) == []


def test_a_key_of_its_own_beats_an_alias(tx: Transaction, acme: Tenant, beta: Tenant) -> None:
    tenants.add_alias(tx, acme.id, "beta")

    assert tenants.by_key(tx, "beta") == beta


def test_a_decision_is_stored_whole_and_is_no_change_of_mind_by_itself(tx: Transaction, acme: Tenant) -> None:
    tenants.save_decision(tx, acme, Decision(Wanted.SUSPENDED, "unpaid", NOW_MS + 9), State.SUSPENDING, 4, NOW_MS + 1)

    after = tenants.get(tx, acme.id)
    assert (after.wanted, after.reason, after.changes_at_ms) == (Wanted.SUSPENDED, "unpaid", NOW_MS + 9)
    assert (after.state, after.generation, after.updated_at_ms) == (State.SUSPENDING, 4, NOW_MS + 1)
    assert (after.version, after.next_run_at_ms) == (acme.version, None)


@pytest.mark.parametrize("hold", [*Hold, None])
def test_an_operators_hold_is_set_and_lifted(tx: Transaction, acme: Tenant, hold: Hold | None) -> None:
    tenants.set_hold(tx, acme.id, Hold.RELEASE, NOW_MS)

    tenants.set_hold(tx, acme.id, hold, NOW_MS)

    assert tenants.get(tx, acme.id).hold is hold


@pytest.mark.parametrize("step", [Step.IMPORT_NUMBER, None])
def test_a_block_is_set_and_lifted_as_one(tx: Transaction, acme: Tenant, step: Step | None) -> None:
    block = Block(Blocked.SPEND_CAP, "It waits.", step, Wanted.ACTIVE, NOW_MS)

    tenants.set_block(tx, acme.id, block)
    blocked = tenants.get(tx, acme.id)
    tenants.set_block(tx, acme.id, None)

    assert blocked.block == block
    assert tenants.get(tx, acme.id) == acme


def test_tries_are_kept(tx: Transaction, acme: Tenant) -> None:
    tenants.set_tries(tx, acme.id, 3)

    assert tenants.get(tx, acme.id).tries == 3


# --- lists -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def five(database: Database, made: Callable[..., Tenant]) -> list[Tenant]:
    people = [
        made("acme_1", state="active"),
        made("acme%2", state="active"),
        made("ACME-3", state="suspended"),
        made("beta", state="active"),
        made("gamma"),
    ]
    with database.transaction() as tx:
        tenants.set_block(tx, people[1].id, BLOCK)
        tenants.set_block(tx, people[4].id, Block(Blocked.SPEND_CAP, "", None, Wanted.ACTIVE, NOW_MS))
    return people


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, ["acme_1", "acme%2", "ACME-3", "beta", "gamma"]),
        ({"state": "active"}, ["acme_1", "acme%2", "beta"]),
        ({"blocked": "any"}, ["acme%2", "gamma"]),
        ({"blocked": "spend_cap"}, ["gamma"]),
        ({"blocked": "ambiguous", "state": "active"}, ["acme%2"]),
        ({"contains": "_"}, ["acme_1"]),
        ({"contains": "%"}, ["acme%2"]),
        ({"contains": "eta"}, ["beta"]),
        ({"contains": "\\"}, []),
        ({"contains": "none such"}, []),
    ],
    ids=str,
)
def test_a_list_shows_what_every_filter_allows(
    database: Database, five: list[Tenant], filters: dict[str, str], found: list[str]
) -> None:
    with database.read() as tx:
        assert [tenant.tenant_key for tenant in tenants.list_page(tx, **filters)] == found  # type: ignore[arg-type]


def test_pages_follow_one_another_without_a_gap(database: Database, five: list[Tenant]) -> None:
    with database.read() as tx:
        first = tenants.list_page(tx, limit=2)
        second = tenants.list_page(tx, after_id=first[-1].id, limit=2)
        third = tenants.list_page(tx, after_id=second[-1].id, limit=2)

    assert [tenant.id for tenant in [*first, *second, *third]] == [tenant.id for tenant in five]


def test_states_are_counted(database: Database, five: list[Tenant]) -> None:
    with database.read() as tx:
        assert tenants.count_by_state(tx) == {"active": 3, "new": 1, "suspended": 1}


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.sampled_from("a_%\\b"), min_size=1, max_size=4), other=st.text(st.sampled_from("a_%\\b")))
def test_a_part_of_a_key_is_taken_literally(database: Database, text: str, other: str) -> None:
    with database.read() as tx:
        row = tx.one("SELECT :other LIKE :pattern ESCAPE '\\' AS yes", other=other, pattern=tenants.like(text))

    assert row is not None
    assert bool(row["yes"]) is (text in other)
