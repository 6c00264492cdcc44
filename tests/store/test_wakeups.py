"""Jobs are written with the change that makes somebody due, and with nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.model import Event
from gateway.store import inbox, leases, tenants, wakeups
from gateway.store.database import Database, Transaction
from gateway.store.inbox import Incoming
from tests import databases
from tests.store.engines import of_kind

pytestmark = pytest.mark.skipif(not databases.POSTGRES_URL, reason="TEST_POSTGRES_URL is not set")

NOW_MS = 1_795_000_000_000
LEASE_MS = 60_000
SECONDS = 30


class Undone(Exception):
    pass


class Clock:
    at_ms = NOW_MS

    def now_ms(self) -> int:
        return self.at_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def another(clock: Clock, tmp_path: Path) -> Iterator[Callable[[], Database]]:
    """The same database once more, as another process has it."""
    opened: list[Database] = []

    def open_again() -> Database:
        database = of_kind("postgres").open(tmp_path)
        database.last_words = wakeups.last_words(clock.now_ms)
        opened.append(database)
        return database

    yield open_again
    for database in opened:
        database.close()


@pytest.fixture
def database(another: Callable[[], Database]) -> Database:
    return another()


@pytest.fixture
def acme(database: Database) -> int:
    with database.transaction() as tx:
        return tenants.create(tx, "acme", NOW_MS).id


def jobs(database: Database) -> list[dict[str, Any]]:
    with database.read() as tx:
        return tx.all("SELECT * FROM procrastinate_jobs ORDER BY priority DESC, id")


def names(database: Database) -> list[str | None]:
    return [job["queueing_lock"] for job in jobs(database)]


def fetch(database: Database) -> str | None:
    """The job that a worker would take next, taken."""
    with database.transaction() as tx:
        row = tx.one("SELECT queueing_lock FROM procrastinate_fetch_job_v2(NULL, NULL)")
    return None if row is None else row["queueing_lock"]


def bring(tx: Transaction, event_id: str) -> None:
    event = Event("stripe", event_id, "checkout.session.completed", NOW_MS, "hash", b"{}", {})
    inbox.put(tx, [Incoming((event,), NOW_MS)])


def test_whoever_is_made_due_has_a_job_with_the_same_commit(database: Database, acme: int) -> None:
    with database.transaction() as tx:
        tenants.change_mind(tx, acme, NOW_MS)
        assert jobs(database) == []

    found = jobs(database)[0]
    assert (found["queue_name"], found["task_name"], found["args"]) == ("tenants", "advance", {"tenant_id": acme})
    assert (found["lock"], found["queueing_lock"], found["scheduled_at"]) == (
        f"tenant:{acme}",
        f"tenant:{acme}:now",
        None,
    )


def test_a_change_that_is_undone_leaves_no_job(database: Database, acme: int) -> None:
    with suppress(Undone), database.transaction() as tx:
        leases.wake(tx, acme, NOW_MS)
        raise Undone

    assert jobs(database) == []


def test_a_part_that_is_undone_wakes_nobody(database: Database, acme: int) -> None:
    with database.transaction() as tx:
        tenants.set_tries(tx, acme, 1)
        with suppress(Undone), tx.savepoint():
            leases.wake(tx, acme, NOW_MS)
            raise Undone

    assert jobs(database) == []


def test_a_tenant_under_a_lease_is_left_to_its_holder(database: Database, acme: int) -> None:
    with database.transaction() as tx:
        held = leases.claim_one(tx, acme, NOW_MS, LEASE_MS, "w")
        tenants.change_mind(tx, acme, NOW_MS)
    assert jobs(database) == []

    with database.transaction() as tx:
        assert held is not None
        leases.let_go(tx, acme, held.fence, NOW_MS)

    assert names(database) == [f"tenant:{acme}:now"]


def test_one_job_waits_however_often_a_tenant_is_woken(database: Database, acme: int) -> None:
    for _ in range(3):
        with database.transaction() as tx:
            leases.wake(tx, acme, NOW_MS)

    assert names(database) == [f"tenant:{acme}:now"]


def test_two_who_wake_the_same_tenants_at_once_do_not_harm_each_other(
    database: Database, another: Callable[[], Database]
) -> None:
    with database.transaction() as tx:
        ids = [tenants.create(tx, f"t{number}", NOW_MS).id for number in range(300)]
        tx.do("UPDATE tenants SET next_run_at_ms = :now_ms", now_ms=NOW_MS)
    done: list[str] = []

    def wake_all(through: Database, name: str) -> None:
        for number in range(8):
            with through.transaction() as tx:
                tx.wakes.tenants |= dict.fromkeys(ids, NOW_MS)
            done.append(f"{name} {number}")
            with through.transaction() as tx:
                tx.do("DELETE FROM procrastinate_jobs")

    threads = [threading.Thread(target=wake_all, args=(each, str(each))) for each in (database, another())]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)

    assert len(done) == 16


def test_a_pause_has_a_job_for_its_end_and_waking_goes_before_it(database: Database, acme: int) -> None:
    hold_and_let_go(database, acme, NOW_MS + 30_000)
    with database.transaction() as tx:
        leases.wake(tx, acme, NOW_MS)

    assert names(database) == [f"tenant:{acme}:now", f"tenant:{acme}:later"]
    assert jobs(database)[1]["scheduled_at"] is not None
    assert fetch(database) == f"tenant:{acme}:now"


def test_a_shorter_pause_brings_the_job_of_a_longer_one_forward(database: Database, acme: int) -> None:
    hold_and_let_go(database, acme, NOW_MS + 50_000)
    first = jobs(database)[0]["scheduled_at"]
    hold_and_let_go(database, acme, NOW_MS + 10_000)
    second = jobs(database)[0]["scheduled_at"]
    hold_and_let_go(database, acme, NOW_MS + 20_000)

    assert len(jobs(database)) == 1
    assert jobs(database)[0]["scheduled_at"] == second < first


def test_a_long_pause_has_none_until_the_sweep_finds_its_end(database: Database, acme: int, clock: Clock) -> None:
    hold_and_let_go(database, acme, NOW_MS + 3_600_000)
    sweep(database, clock)
    assert jobs(database) == []

    clock.at_ms += 3_600_000
    sweep(database, clock)

    assert names(database) == [f"tenant:{acme}:now"]


def test_the_sweep_passes_over_those_that_have_a_job_or_are_being_looked_at(
    database: Database, acme: int, clock: Clock
) -> None:
    with database.transaction() as tx:
        leases.wake(tx, acme, NOW_MS)
    assert sweep(database, clock) == 0
    assert fetch(database) == f"tenant:{acme}:now"

    assert sweep(database, clock) == 0


def test_the_sweep_finds_whoever_lost_a_worker(database: Database, acme: int, clock: Clock) -> None:
    with database.transaction() as tx:
        leases.claim_one(tx, acme, NOW_MS, LEASE_MS, "w")
    assert sweep(database, clock) == 0

    clock.at_ms += LEASE_MS

    assert sweep(database, clock) == 1


def test_a_long_queue_grows_no_further_and_the_sweep_fills_it_from_those_that_wait_longest(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wakeups, "MOST_DUE", 2)
    monkeypatch.setattr(wakeups, "MOST_SWEPT", 4)
    ids = []
    with database.transaction() as tx:
        ids = [tenants.create(tx, f"t{number}", NOW_MS).id for number in range(8)]
    for number, tenant_id in enumerate(reversed(ids)):
        with database.transaction() as tx:
            leases.wake(tx, tenant_id, NOW_MS - 100 + number)
    assert names(database) == [f"tenant:{ids[7]}:now", f"tenant:{ids[6]}:now"]

    assert sweep(database, clock) == 2

    assert {*names(database)} == {f"tenant:{each}:now" for each in ids[4:]}


def test_news_has_one_job_however_much_of_it_there_is(database: Database) -> None:
    for number in range(3):
        with database.transaction() as tx:
            bring(tx, f"evt_{number}")

    assert names(database) == ["apply"]
    assert fetch(database) == "apply"


def test_news_that_is_known_already_has_none(database: Database) -> None:
    with database.transaction() as tx:
        bring(tx, "evt_1")
    assert fetch(database) == "apply"
    with database.transaction() as tx:
        tx.do("DELETE FROM procrastinate_jobs")

    with database.transaction() as tx:
        bring(tx, "evt_1")

    assert jobs(database) == []


def test_whoever_took_the_job_of_some_news_waits_for_its_commit(
    database: Database, another: Callable[[], Database]
) -> None:
    other = another()
    with database.transaction() as tx:
        bring(tx, "evt_1")
    announced, may_commit = threading.Event(), threading.Event()

    def bring_more() -> None:
        with database.transaction() as tx:
            bring(tx, "evt_2")
            # What is said with the COMMIT, said before it, so that there is a moment between the two.
            tx.run(wakeups.WAKE_APPLY, [])
            announced.set()
            assert may_commit.wait(SECONDS)

    sender = threading.Thread(target=bring_more)
    sender.start()
    assert announced.wait(SECONDS)
    assert fetch(other) == "apply"
    seen: list[int] = []

    def apply() -> None:
        wakeups.await_announced(other)
        with other.transaction() as tx:
            seen.append(len(inbox.take_new(tx, 10)))

    worker = threading.Thread(target=apply)
    worker.start()
    worker.join(0.3)
    assert worker.is_alive(), "nobody waited for news that was on its way"
    may_commit.set()
    sender.join(SECONDS)
    worker.join(SECONDS)

    assert seen == [2]


@pytest.mark.parametrize("what", ["new", "due"])
def test_the_sweep_finds_news_that_nobody_was_told_of(database: Database, clock: Clock, what: str) -> None:
    with database.transaction() as tx:
        bring(tx, "evt_1")
        tx.wakes.has_news = False
        if what == "due":
            inbox.mark(tx, inbox.take_new(tx, 1)[0].id, "waiting", try_at_ms=NOW_MS)

    sweep(database, clock)

    assert names(database) == ["apply"]


def test_a_tenant_is_claimed_only_while_it_is_due(database: Database, acme: int) -> None:
    with database.transaction() as tx:
        assert leases.claim_if_due(tx, acme, NOW_MS, LEASE_MS, "w") is None
        leases.wake(tx, acme, NOW_MS)

    with database.transaction() as tx:
        claimed = leases.claim_if_due(tx, acme, NOW_MS, LEASE_MS, "w")
        assert claimed is not None
        assert claimed.lease_owner == "w"
        assert leases.claim_if_due(tx, acme, NOW_MS, LEASE_MS, "x") is None


def test_a_tenant_that_somebody_is_just_making_due_is_not_taken_for_one_that_is_not(
    database: Database, another: Callable[[], Database], acme: int
) -> None:
    other = another()
    with database.transaction() as tx:
        leases.wake(tx, acme, NOW_MS)
        leases.next_due_at_ms(tx)
        with other.transaction() as theirs, pytest.raises(leases.TenantBusy):
            leases.claim_if_due(theirs, acme, NOW_MS, LEASE_MS, "w")


def test_a_job_that_comes_too_early_leaves_one_for_the_right_time(database: Database, acme: int) -> None:
    hold_and_let_go(database, acme, NOW_MS + 20_000)
    with database.transaction() as tx:
        tx.do("DELETE FROM procrastinate_jobs")

    with database.transaction() as tx:
        assert leases.claim_if_due(tx, acme, NOW_MS, LEASE_MS, "w") is None

    assert names(database) == [f"tenant:{acme}:later"]


def test_without_the_engine_there_are_no_jobs(database: Database, acme: int) -> None:
    database.last_words = None

    with database.transaction() as tx:
        leases.wake(tx, acme, NOW_MS)
        bring(tx, "evt_1")

    assert jobs(database) == []


def hold_and_let_go(database: Database, tenant_id: int, until_ms: int) -> None:
    with database.transaction() as tx:
        held = leases.claim_one(tx, tenant_id, NOW_MS, LEASE_MS, "w")
        assert held is not None
        leases.let_go(tx, tenant_id, held.fence, until_ms)


def sweep(database: Database, clock: Clock) -> int:
    with database.transaction() as tx:
        return wakeups.sweep(tx, clock.now_ms())
