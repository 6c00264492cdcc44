"""Procrastinate's jobs wake tenants over several processes: promptly, once, and again when a worker is lost."""

from __future__ import annotations

import signal
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from gateway import wiring
from gateway.cli.loopback import Unreachable, deliver, request
from gateway.domain.model import State
from gateway.scheduler import Scheduler
from gateway.store import inbox
from tests import databases, pooler
from tests.scheduler.installed import DAY_SECONDS, LEASE_SECONDS, SECONDS, Installed, wait_until

pytestmark = [
    pytest.mark.skipif(not databases.POSTGRES_URL, reason="TEST_POSTGRES_URL is not set"),
    pytest.mark.sockets,
]

Install = Callable[..., Installed]
# What finding a lost worker may take beside the lease itself.
TAKEOVER_SECONDS = 10.0


@pytest.fixture
def install(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Install]:
    made: list[Installed] = []
    databases.LENT.kind = "postgres"

    def make(**settings: str) -> Installed:
        made.append(Installed(tmp_path_factory.mktemp("installed"), **settings))
        return made[-1]

    yield make
    for installed in made:
        installed.close()


@pytest.fixture
def installed(install: Install) -> Installed:
    return install()


def names(count: int, kind: str = "t") -> list[str]:
    return [f"{kind}-{number}" for number in range(count)]


def numbers(installed: Installed) -> list[str]:
    """The tags of the numbers that are held at Twilio, as it really is."""
    return sorted(number["friendly_name"] for number in installed.world.state()["numbers"])


def tags(installed: Installed) -> list[str]:
    return sorted(row["tag"] for row in installed.rows("SELECT tag FROM intents WHERE status = 'owned'"))


def degraded(url: str) -> dict[str, str] | None:
    """What /readyz complains of; None while nobody answers."""
    try:
        answer: Any = request("GET", f"{url}/readyz")[1]
    except Unreachable:
        return None
    found: dict[str, str] = answer["degraded"]
    return found


# --- who works, and how soon -----------------------------------------------------------------------------------------


def test_a_signup_that_serve_takes_in_is_carried_out_by_work_and_by_nobody_else(installed: Installed) -> None:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    installed.start("serve", PORT=str(port), HOST="127.0.0.1")
    url = f"http://127.0.0.1:{port}"
    wait_until(lambda: degraded(url) is not None)

    status, _ = deliver(f"{url}/webhooks/stripe", installed.delivery("checkout.completed", "acme"))

    assert status == 200
    # Longer than a worker takes to begin.
    time.sleep(1.5)
    assert "No worker" in (degraded(url) or {})["worker"]
    assert installed.state("acme") is None
    others = installed.connections()
    installed.work()
    installed.wait_for(State.ACTIVE, "acme")
    assert numbers(installed) == tags(installed)
    wait_until(lambda: degraded(url) == {})
    # Those of this process are beside those of the two.
    assert installed.connections() - others <= 6


def test_a_wake_up_takes_no_poll(installed: Installed) -> None:
    installed.work()
    installed.hear("checkout.completed", "first")
    installed.wait_for(State.ACTIVE, "first")

    for key in names(5):
        installed.hear("checkout.completed", key)
        installed.wait_for(State.ACTIVE, key)

    # From the event's commit to the commit that precedes the first call that may change something.
    rows = installed.rows(
        """SELECT min(a.began_at_ms) - min(i.received_at_ms) AS ms FROM attempts a
           JOIN inbox i ON i.tenant_id = a.tenant_id GROUP BY a.tenant_id"""
    )
    assert statistics.median(row["ms"] for row in rows) < 700


def test_workers_share_the_work_and_nobody_is_bought_two_numbers(installed: Installed) -> None:
    workers = [installed.work(), installed.work()]
    # One that starts a moment earlier would have done all of it.
    wait_until(lambda: all("worker.started" in worker.said for worker in workers))

    for key in names(40):
        installed.hear("checkout.completed", key)
    installed.wait_for(State.ACTIVE, *names(40))

    assert numbers(installed) == tags(installed)
    assert len(numbers(installed)) == installed.calls("twilio.buy") == 40
    assert all("attempt.finished" in worker.said for worker in workers)
    wait_until(lambda: not installed.rows("SELECT id FROM procrastinate_jobs WHERE task_name = 'advance'"))


def test_a_whole_life_from_the_payment_to_the_number_given_back(installed: Installed) -> None:
    installed.work()
    installed.work()
    installed.hear("checkout.completed", "acme")
    installed.wait_for(State.ACTIVE, "acme")

    # Stripe's times have whole seconds: a failure of the same second would not be later than the payment.
    installed.pass_time(2)
    installed.hear("invoice.payment_failed", "acme")
    wait_until(lambda: bool(installed.rows("SELECT id FROM tenants WHERE next_run_at_ms IS NOT NULL")))
    installed.pass_time(8 * DAY_SECONDS)
    installed.wait_for(State.SUSPENDED, "acme")

    installed.pass_time(2)
    installed.hear("invoice.paid", "acme")
    installed.wait_for(State.ACTIVE, "acme")
    assert installed.calls("twilio.buy") == 1

    installed.hear("subscription.deleted", "acme")
    installed.wait_for(State.SUSPENDED, "acme")
    installed.pass_time(31 * DAY_SECONDS)
    wait_until(lambda: installed.state("acme") is State.RELEASED or not numbers(installed))
    installed.wait_for(State.RELEASED, "acme")
    assert numbers(installed) == []


def test_an_operators_word_is_heard_at_once(installed: Installed) -> None:
    installed.work()
    installed.hear("checkout.completed", "acme", set={"metadata.assistant_id": "nobody"})
    wait_until(lambda: bool(installed.rows("SELECT id FROM tenants WHERE blocked_code IS NOT NULL")))

    for row in installed.rows("SELECT id FROM inbox"):
        with installed.database.transaction() as tx:
            inbox.replay(tx, row["id"])

    wait_until(lambda: installed.rows("SELECT count(*) AS n FROM inbox WHERE status = 'new'") == [{"n": 0}], 1.5)


# --- workers that are lost -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_worker_that_is_killed_in_a_purchase_is_replaced_and_nothing_is_bought_twice(
    installed: Installed, when: str
) -> None:
    workers = [installed.work(), installed.work()]
    installed.hold("twilio.buy", when)
    installed.hear("checkout.completed", "acme")
    installed.wait_held()

    owner = installed.rows("SELECT lease_owner FROM tenants")[0]["lease_owner"]
    victim = next(worker for worker in workers if owner.endswith(f":{worker.pid}"))
    victim.kill()
    killed = time.monotonic()
    installed.world.ask("POST", "/hold/release", {"drop": when == "before"})

    def goes_on() -> bool:
        return bool(installed.rows("SELECT id FROM tenants WHERE fence > 1"))

    wait_until(goes_on)
    assert time.monotonic() - killed < LEASE_SECONDS + TAKEOVER_SECONDS
    installed.wait_for(State.ACTIVE, "acme")
    assert numbers(installed) == tags(installed)
    assert len(numbers(installed)) == 1


def test_what_was_queued_behind_a_lost_worker_goes_on_too(install: Install) -> None:
    installed = install(STEP_THREADS="1")
    victim = installed.work()
    installed.hold("twilio.buy")
    for key in names(3):
        installed.hear("checkout.completed", key)
    installed.wait_held()

    victim.kill()
    installed.world.ask("DELETE", "/hold")
    installed.work()

    installed.wait_for(State.ACTIVE, *names(3), seconds=LEASE_SECONDS + TAKEOVER_SECONDS + 10)
    assert numbers(installed) == tags(installed)


def test_a_frozen_worker_is_passed_over_and_works_again_when_it_wakes(installed: Installed) -> None:
    frozen = installed.work()
    installed.hold("twilio.buy")
    installed.hear("checkout.completed", "acme")
    installed.wait_held()
    frozen.signal(signal.SIGSTOP)
    installed.world.ask("DELETE", "/hold")
    other = installed.work()
    installed.wait_for(State.ACTIVE, "acme")

    frozen.signal(signal.SIGCONT)
    wait_until(lambda: len(installed.rows("SELECT id FROM procrastinate_workers")) == 4)
    other.terminate()
    installed.hear("checkout.completed", "beta")

    installed.wait_for(State.ACTIVE, "beta")
    assert numbers(installed) == tags(installed)
    assert len(numbers(installed)) == 2


# --- the end of a worker ---------------------------------------------------------------------------------------------


def test_a_worker_that_is_told_to_stop_ends_its_call_stores_it_and_leaves(install: Install) -> None:
    installed = install(PROVIDER_TIMEOUT_SECONDS="10", LEASE_SECONDS="36", SETTLE_SECONDS="60")
    worker = installed.work()
    fault = {"operation": "twilio.buy", "kind": "slow", "seconds": 3}
    installed.world.ask("POST", "/faults", fault)
    installed.hear("checkout.completed", "acme")
    wait_until(lambda: installed.calls("twilio.buy") == 1)

    status, seconds = worker.terminate()

    assert (status, seconds < 25) == (0, True)
    assert installed.rows("SELECT held FROM holdings WHERE step = 'buy_number'") == [{"held": "yes"}]
    assert installed.rows("SELECT lease_owner FROM tenants") == [{"lease_owner": None}]
    assert installed.rows("SELECT id FROM procrastinate_workers") == []
    assert [row["queueing_lock"] for row in installed.rows("SELECT * FROM procrastinate_jobs WHERE status = 'todo'")]
    installed.work()
    installed.wait_for(State.ACTIVE, "acme", seconds=15)
    assert installed.calls("twilio.buy") == 1


def test_a_worker_that_is_told_to_stop_while_it_begins_leaves_at_once(installed: Installed) -> None:
    gateway = wiring.build(installed.settings, installed.database)
    gateway.scheduler.start()

    assert gateway.scheduler.stop(10)

    assert installed.rows("SELECT id FROM procrastinate_workers") == []
    gateway.close_writer()
    gateway.http.close()


def test_a_call_that_hangs_is_not_waited_for_longer_than_allowed(install: Install) -> None:
    installed = install(PROVIDER_TIMEOUT_SECONDS="20", LEASE_SECONDS="80", SETTLE_SECONDS="100")
    with working(installed) as scheduler:
        installed.hold("twilio.buy")
        installed.hear("checkout.completed", "acme")
        installed.wait_held()
        began = time.monotonic()

        assert not scheduler.stop(2)

        assert 2 <= time.monotonic() - began < 4
        installed.world.ask("DELETE", "/hold")
        assert scheduler.stop(10)


# --- a database that is gone for a while -----------------------------------------------------------------------------


def test_a_database_that_vanishes_for_two_seconds_is_found_again(installed: Installed) -> None:
    worker = installed.work()
    installed.hear("checkout.completed", "acme")
    installed.wait_for(State.ACTIVE, "acme")

    installed.refuse_connections(2)
    installed.hear("checkout.completed", "beta")

    installed.wait_for(State.ACTIVE, "beta", seconds=20)
    assert worker.is_running


def test_what_was_under_way_when_the_database_vanished_is_finished_once(installed: Installed) -> None:
    worker = installed.work()
    for key in names(20):
        installed.hear("checkout.completed", key)
    wait_until(lambda: installed.calls("twilio.buy") >= 3)

    installed.refuse_connections(2)

    installed.wait_for(State.ACTIVE, *names(20), seconds=SECONDS + LEASE_SECONDS)
    assert worker.is_running
    assert numbers(installed) == tags(installed)
    assert len(numbers(installed)) == 20


def test_a_job_whose_end_could_not_be_stored_does_not_hold_up_its_tenant(installed: Installed) -> None:
    installed.work()
    installed.hold("twilio.buy")
    installed.hear("checkout.completed", "acme")
    installed.wait_held()
    waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%finish_job%'"

    with installed.database.transaction() as tx:
        tx.all("SELECT id FROM procrastinate_jobs WHERE task_name = 'advance' AND status = 'doing' FOR UPDATE")
        installed.world.ask("DELETE", "/hold")
        wait_until(lambda: bool(installed.rows(waiting)))
        installed.rows("SELECT pg_terminate_backend(pid) FROM (" + waiting + ") AS found")

    wait_until(lambda: not installed.rows("SELECT id FROM procrastinate_jobs WHERE task_name = 'advance'"), 20)
    installed.wait_for(State.ACTIVE, "acme")
    assert installed.calls("twilio.buy") == 1


# --- without LISTEN --------------------------------------------------------------------------------------------------


@pytest.mark.skipif(pooler.PROGRAM is None, reason="no pgbouncer found")
def test_through_a_pooler_jobs_are_found_by_asking(installed: Installed) -> None:
    with pooler.pooled(installed.environ["DATABASE_URL"], installed.folder) as through:
        worker = installed.work(DATABASE_URL=through)
        for key in names(5):
            installed.hear("checkout.completed", key)
        installed.wait_for(State.ACTIVE, *names(5))
        listening = installed.rows("SELECT query FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
        worker.terminate()

    assert listening == []
    assert "ERROR" not in worker.said


@contextmanager
def working(installed: Installed) -> Iterator[Scheduler]:
    """A worker in this process."""
    gateway = wiring.build(installed.settings, installed.database)
    scheduler = gateway.scheduler
    scheduler.start()
    wait_until(lambda: scheduler.is_working)
    yield scheduler
    scheduler.stop(10)
    gateway.steps.slots.close()
    gateway.close_writer()
    gateway.http.close()
