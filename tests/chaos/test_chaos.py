"""Any story, any bad luck: at rest the ledger, the tables and the pretend world agree.

Two ways: real processes that are killed and frozen (`bin/chaos` runs as many kills as asked for), and imagined ones,
which are cheap enough for many lives. One seed is always the same, one is new with each commit, so that a run can be
repeated; a failure prints it. On PostgreSQL there are several of each process, of two releases, and the database
itself crashes.
"""

from __future__ import annotations

import secrets
import subprocess
import time
from pathlib import Path

import pytest

from tests import databases
from tests.chaos.conftest import Install
from tests.chaos.imagined import run_life
from tests.chaos.installation import SETTLE_SECONDS, Installation, Shape
from tests.chaos.rest import come_to_rest
from tests.chaos.run import run_world
from tests.chaos.sender import post
from tests.chaos.worlds import ROOT, PretendWorld

COMMIT = subprocess.run(["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True)
A_NEW_SEED = COMMIT.stdout[:8] or secrets.token_hex(4)
KILLS = 16
LIVES = {"sqlite": 25, "postgres": 6}
MANY = Shape("postgres", "procrastinate", webs=2, workers=3, checkout=ROOT)
VERY_LATE_SECONDS = 1000 * SETTLE_SECONDS


@pytest.mark.chaos
@pytest.mark.parametrize("seed", ["steady", A_NEW_SEED], ids=["the same seed", "a seed of its own for each commit"])
def test_processes_killed_and_frozen_anywhere_break_no_promise(tmp_path: Path, seed: str) -> None:
    totals = run_world(seed, KILLS, tmp_path)

    assert [str(violation) for violation in totals.violations] == [], f"bin/chaos --kills {KILLS} --seed {seed}"
    assert totals.counts["kills"] >= KILLS
    assert totals.purchases > 0


@pytest.mark.chaos
@pytest.mark.skipif(not databases.POSTGRES_URL, reason="PostgreSQL tests run with TEST_POSTGRES_URL")
@pytest.mark.parametrize("seed", ["steady", A_NEW_SEED], ids=["the same seed", "a seed of its own for each commit"])
def test_many_processes_and_a_database_that_crashes_break_no_promise(tmp_path: Path, seed: str) -> None:
    totals = run_world(seed, KILLS, tmp_path, MANY)

    again = f"bin/chaos --database postgres --engine {MANY.engine} --webs 2 --workers 3 --kills {KILLS} --seed {seed}"
    assert [str(violation) for violation in totals.violations] == [], again
    assert totals.counts["kills"] >= KILLS
    assert totals.purchases > 0


@pytest.mark.parametrize("database_kind", databases.KINDS, indirect=True)
@pytest.mark.parametrize("seed", ["steady", A_NEW_SEED], ids=["the same seed", "a seed of its own for each commit"])
def test_imagined_crashes_at_any_call_break_no_promise(tmp_path: Path, seed: str, database_kind: str) -> None:
    for number in range(LIVES[database_kind]):
        folder = tmp_path / str(number)
        folder.mkdir()

        violations, _ = run_life(f"{seed}-{number}", folder)

        again = f"python -m tests.chaos.imagined --database {database_kind} --one {seed}-{number}"
        assert [str(violation) for violation in violations] == [], again


@pytest.mark.chaos
def test_a_purchase_that_lands_beyond_the_settle_time_is_reported_with_its_price_and_kept(
    install: Install, world: PretendWorld
) -> None:
    """Nothing can keep this from costing money; that it is found, told and never given back by itself can be kept."""
    installation = install()
    late = {"operation": "twilio.buy", "kind": "late_effect", "seconds": VERY_LATE_SECONDS}
    world.ask("POST", "/faults", [late, {"operation": "twilio.buy", "kind": "lost_before", "times": None}])
    event = world.ask("POST", "/stripe/deliveries", {"name": "checkout.completed", "tenant": "acme"})
    assert post(installation.server.port, event["body"].encode(), installation.now_ms()).status == 200
    until_it_is_given_up(installation)
    world.ask("DELETE", "/faults")
    assert come_to_rest(installation, waits_for_late_effects=False)
    first, second = intents(installation)
    assert (first["status"], second["status"]) == ("refused", "owned")

    installation.advance(VERY_LATE_SECONDS)
    report = installation.reconcile(apply=True)

    assert [entry["number"] for entry in bought(world)] == [second["number"], first["number"]]
    assert [drift.code for drift in report.drifts] == ["watched_number_bought"]
    assert first["number"] in report.drifts[0].message
    assert "It costs about 1.15 USD a month" in report.drifts[0].message
    assert come_to_rest(installation)
    assert {number["phone_number"] for number in world.state()["numbers"]} == {first["number"], second["number"]}
    (tenant,) = installation.rows("SELECT * FROM tenants")
    assert (tenant["state"], tenant["blocked_code"], tenant["generation"]) == ("active", None, 1)


def bought(world: PretendWorld) -> list[dict[str, str]]:
    return [entry for entry in world.log() if entry["what"] == "bought"]


def intents(installation: Installation) -> list[dict[str, str]]:
    return installation.rows("SELECT * FROM intents ORDER BY id")


def until_it_is_given_up(installation: Installation) -> None:
    """Time passes until the first number is proved twice not to have been bought; meanwhile there is no other."""
    for _ in range(600):
        found = intents(installation)
        if found and found[0]["status"] == "refused":
            return
        assert len(found) <= 1
        installation.advance(0.5)
        time.sleep(0.05)
    raise AssertionError("the first number is never given up")
