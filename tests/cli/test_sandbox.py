"""The sandbox as people start it: real processes on loopback ports."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import gateway
from gateway.simulator.address import find_world, stop_world
from tests import databases

pytestmark = pytest.mark.chaos

ROOT = Path(gateway.__file__).parents[1]
LIMIT_SECONDS = 60


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Place:
    """A folder with a sandbox's state, and its commands as a person types them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()

    def environment(self, **more: str) -> dict[str, str]:
        own = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(ROOT), "PORT": str(self.port)}
        if databases.is_postgres():
            own |= {"DATABASE_URL": databases.database_url(self.folder), "ENGINE": "embedded"}
        return {**own, "HOST": "127.0.0.1", **more}

    def start(self, *arguments: str, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "gateway", *arguments],
            cwd=self.folder,
            env=self.environment(**more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **more: str) -> tuple[int, str, str]:
        process = self.start(*arguments, **more)
        try:
            out, err = process.communicate(timeout=LIMIT_SECONDS)
        finally:
            process.kill()
        return process.returncode, out, err

    def tenants(self) -> dict[str, dict[str, object]]:
        status, out, err = self.run("tenants", "export")
        assert status == 0, err
        return {line["tenant_key"]: line for line in map(json.loads, out.splitlines())}

    def wait_for_line(self, process: subprocess.Popen[str], text: str) -> list[str]:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if text in line:
                return lines
        pytest.fail(f"{text!r} never came, but: {''.join(lines)} {process.stderr.read() if process.stderr else ''}")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    stop_world(tmp_path / "var")


@pytest.fixture
def running(place: Place) -> Iterator[Place]:
    """A sandbox that goes on running."""
    process = place.start("sandbox")
    place.wait_for_line(process, "Ctrl-C stops it.")
    yield place
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=LIMIT_SECONDS)


def is_open(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_once_shows_each_step_and_leaves_with_nothing_running(place: Place) -> None:
    status, out, err = place.run("sandbox", "--once")

    assert status == 0, err
    steps = ["event accepted", "number chosen", "bought", "imported", "assistant assigned", "active"]
    places = [out.index(f"✓ {step}") for step in steps]
    assert places == sorted(places)
    assert "+1 (415) " in out
    (tenant,) = place.tenants().values()
    assert tenant["state"] == "active"
    assert find_world(place.folder / "var") is None
    assert not is_open(place.port)


def test_real_credentials_in_the_environment_never_reach_the_sandbox(place: Place) -> None:
    token = "canary0123456789canary0123456789"
    real = {
        "GATEWAY_MODE": "live",
        "GATEWAY_ENV": "prod",
        "DATABASE_URL": "sqlite:////nowhere/live.db",
        "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
        "TWILIO_AUTH_TOKEN": token,
        "TWILIO_BASE_URL": "https://api.twilio.com",
    }

    status, _, err = place.run("sandbox", "--once", **real)

    assert status == 0, err
    for file in (place.folder / "var").iterdir():
        if file.name != "sandbox.db":
            assert token.encode() not in file.read_bytes(), file.name


def test_a_port_in_use_is_said_and_nothing_is_started(place: Place) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", place.port))
        taken.listen()

        status, out, err = place.run("sandbox", "--once")

    assert status == 2
    assert f"PORT {place.port} on 127.0.0.1 cannot be listened on" in err
    assert out == ""
    assert find_world(place.folder / "var") is None


def test_two_serve_never_share_a_port(running: Place) -> None:
    status, _, err = running.run("serve")

    assert status == 2
    assert "cannot be listened on" in err


def test_a_declined_card_suspends_after_the_grace_time_and_a_payment_resumes(running: Place) -> None:
    (key,) = running.tenants()

    def state_becomes(state: str) -> None:
        deadline = time.monotonic() + LIMIT_SECONDS
        while running.tenants()[key]["state"] != state:
            assert time.monotonic() < deadline, running.run("tenants", "show", key)[1]

    # Stripe's times are whole seconds: a refusal in the second of the payment would not be after it.
    assert running.run("clock", "advance", "1h")[0] == 0
    assert running.run("trigger", "invoice.payment_failed", "--tenant", key)[0] == 0
    assert running.run("clock", "advance", "8d")[0] == 0
    state_becomes("suspended")
    assert running.run("trigger", "invoice.paid", "--tenant", key)[0] == 0
    state_becomes("active")


def test_a_whole_story_is_played_on_the_moved_clock(running: Place) -> None:
    status, out, err = running.run("trigger", "--scenario", "cancel-and-return", "--tenant", "mia")

    assert status == 0, err
    assert "30 days later" in out
    assert running.tenants()["mia"]["state"] == "active"
    assert len(running.tenants()["mia"]["friendly_names"]) == 1  # type: ignore[arg-type]


def test_an_event_that_does_not_exist_names_those_that_do(running: Place) -> None:
    status, _, err = running.run("trigger", "checkout.sneezed")

    assert status == 2
    assert "no event 'checkout.sneezed'; known: checkout.completed" in err
    assert "ValueError" not in err


def test_doctor_asks_the_providers_and_reconcile_agrees(running: Place) -> None:
    status, out, err = running.run("doctor", "--live")
    assert status == 0, out + err
    assert "account active" in out

    status, out, err = running.run("reconcile")
    assert status == 0, out + err
    assert "everything is as we believe" in out


def test_a_sandbox_that_is_killed_leaves_nobody_listening(place: Place) -> None:
    process = place.start("sandbox")
    place.wait_for_line(process, "Ctrl-C stops it.")

    process.kill()
    process.communicate()

    deadline = time.monotonic() + LIMIT_SECONDS
    while is_open(place.port):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_worker_of_its_own_takes_over_and_stops_on_sigterm(place: Place) -> None:
    web = place.start("serve", "--no-worker")
    worker = place.start("work")
    try:
        deadline = time.monotonic() + LIMIT_SECONDS
        while place.run("trigger", "checkout.completed", "--tenant", "acme")[0] != 0:
            assert time.monotonic() < deadline
        while place.tenants()["acme"]["state"] != "active":
            assert time.monotonic() < deadline
    finally:
        for process in (worker, web):
            process.terminate()
            process.communicate(timeout=LIMIT_SECONDS)
    assert (worker.returncode, web.returncode) == (0, 0)
