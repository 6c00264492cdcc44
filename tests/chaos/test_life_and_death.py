"""Processes that die, hang or meet: what is left of them, and that no tenant gets a second number by it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.conftest import Install
from tests.chaos.installation import Installation
from tests.chaos.processes import Server, free_port
from tests.chaos.rest import come_to_rest
from tests.chaos.sender import post
from tests.chaos.worlds import ROOT, PretendWorld

pytestmark = pytest.mark.chaos

PATIENCE_SECONDS = 20.0
SERVE = (
    "import types; from gateway.web.server import serve; "
    "serve(types.SimpleNamespace(host='127.0.0.1', port={port}), 'tests.chaos.slow_start:front')"
)


def wait_until(is_true: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> bool:
    deadline = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.03)
    return True


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def sign_up(installation: Installation, tenant: str = "acme", port: int | None = None) -> None:
    event = installation.world.ask("POST", "/stripe/deliveries", {"name": "checkout.completed", "tenant": tenant})
    answer = post(port or installation.server.port, event["body"].encode(), installation.now_ms())
    assert answer.status == 200, answer


def state_of(installation: Installation, tenant: str = "acme") -> str:
    rows = installation.rows("SELECT state FROM tenants WHERE tenant_key = :key", key=tenant)
    return str(rows[0]["state"]) if rows else ""


def purchases(world: PretendWorld) -> int:
    return sum(entry["what"] == "bought" for entry in world.log())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "told to stop"])
def test_a_worker_that_is_still_starting_leaves_with_its_main_process(tmp_path: Path, number: int) -> None:
    script = SERVE.format(port=free_port())
    main = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert wait_until(lambda: (tmp_path / "starting").exists() and bool((tmp_path / "starting").read_text()))
    worker = int((tmp_path / "starting").read_text())

    main.send_signal(number)

    try:
        assert wait_until(lambda: main.poll() is not None, 5)
        assert wait_until(lambda: not is_running(worker), 5)
    finally:
        for pid in (main.pid, worker):
            if is_running(pid):
                os.kill(pid, signal.SIGKILL)
        main.wait()


def test_a_worker_that_is_killed_comes_back_and_goes_on(install: Install, world: PretendWorld) -> None:
    installation = install()
    world.ask("POST", "/hold", {"operation": "twilio.buy", "when": "after"})
    sign_up(installation)
    assert world.ask("GET", "/hold?wait_seconds=10")["holding"]

    installation.server.signal("worker", signal.SIGKILL)
    world.ask("DELETE", "/hold")

    assert installation.server.wait_ready()
    assert come_to_rest(installation)
    assert installation.server.starts == 1
    assert (state_of(installation), purchases(world)) == ("active", 1)


def test_two_servers_on_one_database_never_both_work_and_one_takes_over(install: Install, world: PretendWorld) -> None:
    installation = install()
    second = Server(installation.environ, installation.folder, "b")
    try:
        assert second.wait_ready()
        for index in range(6):
            sign_up(installation, f"t{index}", second.port)
        assert wait_until(lambda: all(state_of(installation, f"t{n}") == "active" for n in range(6)))
        assert owners_of_leases(installation) == {"a"}

        installation.server.kill()
        sign_up(installation, "later", second.port)

        assert wait_until(lambda: state_of(installation, "later") == "active")
        assert owners_of_leases(installation) == {"a", "b"}
        assert purchases(world) == 7
    finally:
        second.kill()


def owners_of_leases(installation: Installation) -> set[str]:
    """Which servers have worked, by what each wrote into its log."""
    logs = {name: installation.folder / f"server-{name}.log" for name in ("a", "b")}
    return {name for name, path in logs.items() if "attempt.finished" in path.read_text()}


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_server_stopped_in_the_middle_of_a_purchase_leaves_in_time_and_buys_once(
    install: Install, world: PretendWorld, when: str
) -> None:
    installation = install(PROVIDER_TIMEOUT_SECONDS="2", LEASE_SECONDS="11", SETTLE_SECONDS="13")
    world.ask("POST", "/hold", {"operation": "twilio.buy", "when": when})
    sign_up(installation)
    assert world.ask("GET", "/hold?wait_seconds=10")["holding"]

    began = time.monotonic()
    status = installation.server.terminate()

    assert status == 0
    assert time.monotonic() - began < 6
    world.ask("DELETE", "/hold")
    installation.server = Server(installation.environ, installation.folder, "b")
    assert installation.server.wait_ready()
    assert come_to_rest(installation)
    assert (state_of(installation), purchases(world)) == ("active", 1)


def test_a_call_that_hangs_for_longer_does_not_keep_a_server_from_leaving(
    install: Install, world: PretendWorld
) -> None:
    installation = install(PROVIDER_TIMEOUT_SECONDS="60", LEASE_SECONDS="190", SETTLE_SECONDS="260")
    world.ask("POST", "/hold", {"operation": "twilio.buy", "when": "after"})
    sign_up(installation)
    assert world.ask("GET", "/hold?wait_seconds=10")["holding"]

    began = time.monotonic()
    status = installation.server.terminate(40)

    assert status == 0
    assert time.monotonic() - began < 26
    world.ask("DELETE", "/hold")
    installation.server = Server(installation.environ, installation.folder, "b")
    assert installation.server.wait_ready()
    assert come_to_rest(installation)
    assert (state_of(installation), purchases(world)) == ("active", 1)
