"""Leases: one worker a tenant, and results of a worker that was taken over count for nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from gateway.domain.model import Block, Blocked, Tenant, Wanted
from gateway.errors import LeaseLost
from gateway.store import leases, providers, tenants
from gateway.store.database import Database, Transaction
from gateway.store.leases import Standing
from tests.store.conftest import NOW_MS

LEASE_MS = 60_000
Make = Callable[..., Tenant]


def claim(database: Database, at_ms: int = NOW_MS, limit: int = 10, owner: str = "worker-1") -> list[Tenant]:
    with database.transaction() as tx:
        return leases.claim_due(tx, at_ms, LEASE_MS, owner, limit)


def keys(claimed: list[Tenant]) -> list[str]:
    return sorted(tenant.tenant_key for tenant in claimed)


def stored(database: Database, tenant: Tenant) -> Tenant:
    with database.read() as tx:
        return tenants.get(tx, tenant.id)


def block(database: Database, tenant: Tenant, code: Blocked) -> None:
    with database.transaction() as tx:
        tenants.set_block(tx, tenant.id, Block(code, "because", None, Wanted.ACTIVE, NOW_MS))


# --- claiming --------------------------------------------------------------------------------------------------------


def test_the_longest_waiting_are_claimed_first(database: Database, made: Make) -> None:
    made("late", next_run_at_ms=NOW_MS)
    made("first", next_run_at_ms=NOW_MS - 5000)
    made("second", next_run_at_ms=NOW_MS - 4000)

    assert keys(claim(database, limit=2)) == ["first", "second"]


def test_of_those_waiting_equally_long_the_oldest_tenants_come_first(database: Database, made: Make) -> None:
    for key in ("a", "b", "c"):
        made(key, next_run_at_ms=NOW_MS)

    assert keys(claim(database, limit=2)) == ["a", "b"]


def test_what_is_due_later_or_never_is_left_alone(database: Database, made: Make) -> None:
    made("later", next_run_at_ms=NOW_MS + 1)
    made("never")
    made("now", next_run_at_ms=NOW_MS)

    assert keys(claim(database)) == ["now"]


def test_a_claim_gives_a_new_fence_an_owner_and_an_end(database: Database, made: Make) -> None:
    before = made("acme", next_run_at_ms=NOW_MS)

    (claimed,) = claim(database, owner="worker-7")

    assert (claimed.fence, claimed.lease_owner, claimed.lease_until_ms) == (
        before.fence + 1,
        "worker-7",
        NOW_MS + LEASE_MS,
    )
    assert claimed == stored(database, before)


def test_a_leased_tenant_is_not_claimed_again_before_its_lease_ends(database: Database, made: Make) -> None:
    made("acme", next_run_at_ms=NOW_MS)
    claim(database)

    assert claim(database, NOW_MS + LEASE_MS - 1, owner="worker-2") == []


def test_a_lease_that_ran_out_is_taken_over_under_a_higher_fence(database: Database, made: Make) -> None:
    made("acme", next_run_at_ms=NOW_MS)
    (abandoned,) = claim(database)

    (taken,) = claim(database, NOW_MS + LEASE_MS, owner="worker-2")

    assert (taken.lease_owner, taken.fence) == ("worker-2", abandoned.fence + 1)


def test_eight_workers_claim_two_hundred_tenants_without_a_double(
    database: Database, made: Make, another: Callable[[], Database]
) -> None:
    with database.transaction() as tx:
        for count in range(200):
            tenant = tenants.create(tx, f"tenant-{count}", NOW_MS)
            leases.wake(tx, tenant.id, NOW_MS)
    claimed: list[int] = []
    errors: list[BaseException] = []
    start = threading.Barrier(8)

    def work(worker: Database, owner: str) -> None:
        start.wait(10)
        try:
            while found := claim(worker, limit=3, owner=owner):
                claimed.extend(tenant.id for tenant in found)
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=work, args=(another(), f"worker-{count}")) for count in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)

    assert errors == []
    assert (len(claimed), len(set(claimed))) == (200, 200)


def test_the_next_due_moment_is_the_earliest_and_a_lease_counts_with_its_end(database: Database, made: Make) -> None:
    with database.read() as tx:
        assert leases.next_due_at_ms(tx) is None
    made("never")
    made("later", next_run_at_ms=NOW_MS + 2 * LEASE_MS)
    made("now", next_run_at_ms=NOW_MS)
    claim(database)

    with database.read() as tx:
        assert leases.next_due_at_ms(tx) == NOW_MS + LEASE_MS


# --- one tenant ------------------------------------------------------------------------------------------------------


def test_one_tenant_can_be_claimed_without_being_due(database: Database, made: Make) -> None:
    acme = made("acme")

    with database.transaction() as tx:
        claimed = leases.claim_one(tx, acme.id, NOW_MS, LEASE_MS, "adopt")

    assert claimed is not None
    assert (claimed.lease_owner, claimed.fence, claimed.next_run_at_ms) == (
        "adopt",
        acme.fence + 1,
        NOW_MS + LEASE_MS,
    )


@pytest.mark.parametrize(("later_ms", "is_free"), [(LEASE_MS - 1, False), (LEASE_MS, True)], ids=["held", "ran out"])
def test_one_tenant_cannot_be_claimed_while_somebody_else_has_it(
    database: Database, made: Make, later_ms: int, is_free: bool
) -> None:
    made("acme", next_run_at_ms=NOW_MS)
    (held,) = claim(database)

    with database.transaction() as tx:
        claimed = leases.claim_one(tx, held.id, NOW_MS + later_ms, LEASE_MS, "adopt")

    assert (claimed is not None) is is_free
    if not is_free:
        assert stored(database, held) == held


# --- fencing ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def taken_over(database: Database, made: Make) -> tuple[Tenant, Tenant]:
    """The claim of a worker that was paused, and the one of the worker that took over."""
    made("acme", next_run_at_ms=NOW_MS)
    (paused,) = claim(database)
    (now_theirs,) = claim(database, NOW_MS + LEASE_MS, owner="worker-2")
    return paused, now_theirs


def test_the_holder_of_a_lease_passes_the_check(database: Database, taken_over: tuple[Tenant, Tenant]) -> None:
    with database.read() as tx:
        found = leases.look(tx, taken_over[1].id, taken_over[1].fence, "twilio")
        assert found == Standing(NOW_MS + 2 * LEASE_MS, paused_until_ms=0, is_refusing=False, reason=None)
    with database.transaction() as tx:
        assert leases.check(tx, taken_over[1].id, taken_over[1].fence) == taken_over[1]


def test_a_worker_that_was_taken_over_does_not_pass_the_check(
    database: Database, taken_over: tuple[Tenant, Tenant]
) -> None:
    with database.transaction() as tx, pytest.raises(LeaseLost):
        leases.check(tx, taken_over[0].id, taken_over[0].fence)
    with database.read() as tx, pytest.raises(LeaseLost):
        leases.look(tx, taken_over[0].id, taken_over[0].fence, "twilio")


def test_whoever_looks_at_its_lease_sees_how_the_provider_is(
    database: Database, taken_over: tuple[Tenant, Tenant]
) -> None:
    with database.transaction() as tx:
        providers.pause(tx, "twilio", NOW_MS + 5, NOW_MS)
        providers.refuse(tx, "vapi", "wrong key", NOW_MS + 9, NOW_MS)

    with database.read(is_single=True) as tx:
        twilio, vapi = (
            leases.look(tx, taken_over[1].id, taken_over[1].fence, name) for name in ("twilio", "vapi")
        )  # fmt: skip

    assert (twilio.paused_until_ms, twilio.is_refusing) == (NOW_MS + 5, False)
    assert (vapi.paused_until_ms, vapi.is_refusing, vapi.reason) == (0, True, "wrong key")


def test_a_worker_that_was_taken_over_cannot_renew(database: Database, taken_over: tuple[Tenant, Tenant]) -> None:
    paused, now_theirs = taken_over

    with pytest.raises(LeaseLost), database.transaction() as tx:
        leases.renew(tx, paused.id, paused.fence, NOW_MS, LEASE_MS)

    assert stored(database, paused) == now_theirs


def test_a_worker_that_was_taken_over_lets_nothing_go(database: Database, taken_over: tuple[Tenant, Tenant]) -> None:
    paused, now_theirs = taken_over

    with database.transaction() as tx:
        leases.let_go(tx, paused.id, paused.fence, None)

    assert stored(database, paused) == now_theirs


def test_who_let_go_no_longer_owns_it(tx: Transaction, acme: Tenant) -> None:
    leases.wake(tx, acme.id, NOW_MS)
    (held,) = leases.claim_due(tx, NOW_MS, LEASE_MS, "worker-1", 1)
    leases.let_go(tx, held.id, held.fence, None)

    with pytest.raises(LeaseLost):
        leases.check(tx, held.id, held.fence)
    with pytest.raises(LeaseLost):
        leases.renew(tx, held.id, held.fence, NOW_MS, LEASE_MS)


def test_a_lease_that_ran_out_and_that_nobody_took_can_still_be_renewed(tx: Transaction, acme: Tenant) -> None:
    leases.wake(tx, acme.id, NOW_MS)
    (held,) = leases.claim_due(tx, NOW_MS, LEASE_MS, "worker-1", 1)

    leases.renew(tx, held.id, held.fence, NOW_MS + 2 * LEASE_MS, LEASE_MS)

    assert leases.check(tx, held.id, held.fence).lease_until_ms == NOW_MS + 3 * LEASE_MS
    assert leases.claim_due(tx, NOW_MS + 2 * LEASE_MS, LEASE_MS, "worker-2", 1) == []


# --- giving back and waking ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at_ms", [None, NOW_MS + 5])
def test_a_tenant_that_was_let_go_is_due_when_it_was_said(database: Database, made: Make, at_ms: int | None) -> None:
    made("acme", next_run_at_ms=NOW_MS)
    (held,) = claim(database)

    with database.transaction() as tx:
        leases.let_go(tx, held.id, held.fence, at_ms)

    freed = stored(database, held)
    assert (freed.lease_owner, freed.lease_until_ms, freed.next_run_at_ms) == (None, None, at_ms)
    assert claim(database, NOW_MS + 4) == []
    assert len(claim(database, NOW_MS + 5)) == (1 if at_ms else 0)


def test_waking_makes_a_tenant_due_now(database: Database, made: Make) -> None:
    acme = made("acme", next_run_at_ms=NOW_MS + LEASE_MS)

    with database.transaction() as tx:
        leases.wake(tx, acme.id, NOW_MS)

    assert keys(claim(database)) == ["acme"]


def test_waking_leaves_a_leased_tenant_to_its_holder(database: Database, made: Make) -> None:
    made("acme", next_run_at_ms=NOW_MS)
    (held,) = claim(database)

    with database.transaction() as tx:
        leases.wake(tx, held.id, NOW_MS + 1)

    assert stored(database, held) == held


def test_waking_those_blocked_for_one_reason_wakes_no_others_and_none_under_a_lease(
    database: Database, made: Make
) -> None:
    for key, code in (("waits", Blocked.PROVIDER_CREDENTIALS), ("other", Blocked.SPEND_CAP)):
        block(database, made(key), code)
    made("free")
    block(database, made("held", lease_owner="w", lease_until_ms=NOW_MS + 1), Blocked.PROVIDER_CREDENTIALS)

    with database.transaction() as tx:
        woken = leases.wake_blocked(tx, "provider_credentials", NOW_MS)
        due = tx.all("SELECT tenant_key FROM tenants WHERE next_run_at_ms = :now_ms", now_ms=NOW_MS)

    assert woken == 1
    assert due == [{"tenant_key": "waits"}]


def test_changing_a_tenants_mind_stops_its_holder_and_leaves_it_the_lease(database: Database, made: Make) -> None:
    made("acme", next_run_at_ms=NOW_MS)
    (held,) = claim(database)

    with database.transaction() as tx:
        tenants.change_mind(tx, held.id, NOW_MS + 1)
        now = leases.check(tx, held.id, held.fence)

    assert (now.version, now.next_run_at_ms) == (held.version + 1, held.next_run_at_ms)


def test_changing_the_mind_of_a_tenant_that_nobody_holds_makes_it_due(database: Database, made: Make) -> None:
    acme = made("acme", lease_owner="worker-1", lease_until_ms=NOW_MS)

    with database.transaction() as tx:
        tenants.change_mind(tx, acme.id, NOW_MS)

    assert stored(database, acme).next_run_at_ms == NOW_MS
