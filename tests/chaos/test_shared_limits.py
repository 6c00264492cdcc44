"""Real processes at work on one database: what is limited is limited for all of them together."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from gateway.flow import operate
from gateway.flow.operate import Operator
from gateway.settings import Settings, load
from gateway.store import tenants
from gateway.store.database import Database, Transaction, in_transaction
from gateway.store.engines import open_database
from gateway.wiring import rules_from
from tests import databases
from tests.chaos.installation import environment
from tests.chaos.processes import ask, free_port
from tests.chaos.worlds import PretendWorld

pytestmark = pytest.mark.chaos

SECONDS = 60.0
LIMIT = 3


class Crew:
    """One database, and as many processes on it as are started."""

    def __init__(self, folder: Path, world: PretendWorld, stack: ExitStack, changes: dict[str, str]) -> None:
        self.world = world
        self.port = free_port()
        self.folder, self._stack = folder, stack
        url = {"DATABASE_URL": databases.database_url(folder)}
        limits = {"TWILIO_CONCURRENCY": str(LIMIT), "VAPI_CONCURRENCY": str(LIMIT)}
        times = {"PROVIDER_TIMEOUT_SECONDS": "5", "LEASE_SECONDS": "20", "SETTLE_SECONDS": "25"}
        self._environ = environment(folder, world, {**url, **limits, **times, "PORT": str(self.port), **changes})
        self.settings: Settings = load(self._environ)
        self.database: Database = open_database(self.settings)

    def add(self, count: int) -> None:
        """So many more tenants with everything still to be done for them."""
        who, rules = Operator("test", "to have some work"), rules_from(self.settings)
        now_ms = time.time_ns() // 1_000_000

        def job(tx: Transaction) -> None:
            there = len(tenants.list_page(tx, limit=1000))
            for number in range(there, there + count):
                operate.add(tx, f"t{number}", {}, rules, who, now_ms)

        in_transaction(self.database, job)

    def sign_up(self, tenant_key: str) -> int:
        """The status that a paid signup was answered with."""
        made = self.world.ask("POST", "/stripe/deliveries", {"name": "checkout.completed", "tenant": tenant_key})
        return ask(self.port, "POST", "/webhooks/stripe", made["body"].encode(), made["headers"]).status

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "gateway", *command],
                cwd=self.folder,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._stack.callback(end, process)
        return process

    def count(self, state: str) -> int:
        with self.database.read() as tx:
            return sum(each.state == state for each in tenants.list_page(tx, limit=1000))

    def calls_to(self, vendor: str) -> int:
        calls = self.world.ask("GET", "")["calls"]
        return sum(count for operation, count in calls.items() if operation.startswith(f"{vendor}."))

    def most_open(self) -> dict[str, int]:
        found: dict[str, int] = self.world.ask("GET", "")["most_open"]
        return {vendor: most for vendor, most in found.items() if vendor != "stripe"}


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(SECONDS)
    finally:
        process.kill()


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not happened():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


@pytest.fixture(params=databases.KINDS)
def crew(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Crew]]:
    """Makes an installation on a database of each kind, with these settings."""
    with databases.using(request.param), ExitStack() as stack:
        world = PretendWorld()
        stack.callback(world.close)

        def make(**changes: str) -> Crew:
            made = Crew(tmp_path, world, stack, changes)
            stack.callback(made.database.close)
            return made

        yield make


def test_no_more_calls_are_open_at_once_than_one_limit_for_workers_and_commands_allows(
    crew: Callable[..., Crew],
) -> None:
    us = crew()
    us.world.ask("POST", "/policies", {"latency_ms": 40})
    us.add(12)

    workers = [us.start("work") for _ in range(3)]
    commands = [us.start("reconcile") for _ in range(2)]
    wait_until(lambda: us.count("active") == 12)
    for command in commands:
        command.wait(SECONDS)
    # What the commands held is the workers' again.
    us.add(24)
    wait_until(lambda: us.count("active") == 36)

    assert [worker.poll() for worker in workers] == [None, None, None]
    assert us.most_open() == {"twilio": LIMIT, "vapi": LIMIT}
    for worker in workers:
        end(worker)
    with us.database.read() as tx:
        assert tx.all("SELECT * FROM provider_slots") == []


def test_when_one_is_told_to_slow_down_all_of_them_do(crew: Callable[..., Crew]) -> None:
    us = crew()
    us.world.ask("POST", "/policies", {"latency_ms": 100})
    us.world.ask("POST", "/faults", {"operation": "twilio.search", "kind": "rate_limit", "retry_after": 4})
    for _ in range(3):
        us.start("work")
    us.add(12)

    wait_until(lambda: any(entry["what"] == "fault" for entry in us.world.log()))
    time.sleep(1)
    calls = us.calls_to("twilio")
    time.sleep(1.5)

    assert us.calls_to("twilio") == calls
    wait_until(lambda: us.count("active") == 12)


@pytest.mark.skipif(not databases.POSTGRES_URL, reason="TEST_POSTGRES_URL is not set")
@pytest.mark.parametrize("crew", ["postgres"], indirect=True)
def test_a_web_and_a_worker_together_have_ten_connections_at_most(crew: Callable[..., Crew]) -> None:
    us = crew(STEP_THREADS="64", TWILIO_CONCURRENCY="64", VAPI_CONCURRENCY="64")
    us.world.ask("POST", "/policies", {"latency_ms": 50})
    us.database.close()
    name = databases.database_url(us.folder).rpartition("/")[2]
    for command in ("serve", "work"):
        us.start(command)
    wait_until(lambda: ask(us.port, "GET", "/readyz").status == 200)
    counted = []

    with ThreadPoolExecutor(16) as pool, databases.admin() as admin:
        answers = pool.map(us.sign_up, [f"t{number}" for number in range(60)])
        while us.world.ask("GET", "")["calls"].get("vapi.assign", 0) < 60:
            row = admin.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = %s", [name]).fetchone()
            counted.append(row[0] if row else 0)
            assert len(counted) < 20_000, "waited in vain"

    assert set(answers) == {200}
    assert 4 < max(counted) <= 10
