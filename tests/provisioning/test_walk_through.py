"""docs/provisioner.md, run as it stands, over HTTP against a pretend world of its own; and two processes at once."""

from __future__ import annotations

import doctest
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import gateway
from gateway.simulator import defaults
from gateway.simulator.address import stop_world

pytestmark = [pytest.mark.chaos, pytest.mark.sqlite_file]

ROOT = Path(gateway.__file__).parents[1]
ALONE = """
import sys
from gateway.provisioner import TwilioVAPIProvisioner

with TwilioVAPIProvisioner(*sys.argv[1:4], wait_seconds=60) as provisioner:
    print(provisioner.provision_phone_for_tenant("US", "acme", sys.argv[4], area_code="415"))
    print(len(provisioner.list_twilio_numbers()))
"""


@pytest.fixture
def world(place: Path) -> Iterator[Path]:
    yield place
    stop_world(place / "var")


def test_the_walk_through_runs_as_it_stands(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_MODE", "sandbox")
    text = (ROOT / "docs" / "provisioner.md").read_text(encoding="utf-8")
    test = doctest.DocTestParser().get_doctest(text, {}, "provisioner.md", None, 0)
    said: list[str] = []

    found = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=said.append)

    assert found.attempted > 15
    assert found.failed == 0, "".join(said)


def test_two_processes_with_the_same_client_buy_one_number(world: Path) -> None:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(ROOT), "GATEWAY_MODE": "sandbox"}
    words = [defaults.ACCOUNT_SID, defaults.AUTH_TOKEN, defaults.VAPI_KEY, defaults.ASSISTANT_ID]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", ALONE, *words], cwd=world, env=environment, text=True, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]

    ends = [process.communicate(timeout=120)[0].splitlines() for process in running]

    assert [end[0] for end in ends] == [ends[0][0]] * 2
    assert "'success': True" in ends[0][0]
    assert {end[1] for end in ends} == {"1"}
