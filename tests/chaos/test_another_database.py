"""Another database in the place of the one that real processes worked on when they were killed: nothing is lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.settings import load
from gateway.store.engines import open_database
from tests import databases
from tests.chaos.conftest import Install
from tests.chaos.installation import Installation
from tests.chaos.processes import Server
from tests.chaos.rest import come_to_rest
from tests.chaos.test_life_and_death import purchases, sign_up, state_of, wait_until
from tests.chaos.worlds import PretendWorld

pytestmark = pytest.mark.chaos

# The settle time, the pause of the housekeeping that looks whether it is over, and a tenant's.
AFTER_RESTORE_SECONDS = 75.0


def command(installation: Installation, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        cwd=installation.folder,
        env=installation.environ,
        capture_output=True,
        text=True,
        timeout=60,
    )


def kill_in_the_middle_of_a_purchase(installation: Installation, world: PretendWorld, tenant: str) -> None:
    """It went through, and nobody heard the answer."""
    world.ask("POST", "/hold", {"operation": "twilio.buy", "when": "after"})
    sign_up(installation, tenant)
    assert world.ask("GET", "/hold?wait_seconds=10")["holding"]
    installation.server.kill()
    installation.database.close()
    world.ask("DELETE", "/hold")


def start_again(installation: Installation) -> None:
    installation.settings = load(installation.environ)
    installation.database = open_database(installation.settings)
    installation.server = Server(installation.environ, installation.folder, "b")
    assert installation.server.wait_ready()


def test_a_backup_put_back_after_kill_9_in_a_purchase_loses_no_signup_and_buys_nothing_twice(
    install: Install, world: PretendWorld
) -> None:
    installation = install()
    sign_up(installation)
    assert wait_until(lambda: state_of(installation) == "active")
    assert command(installation, "backup", "backup.db").returncode == 0
    refused = command(installation, "restore", "backup.db")
    kill_in_the_middle_of_a_purchase(installation, world, "beta")

    restored = command(installation, "restore", "backup.db")
    start_again(installation)
    sign_up(installation, "gamma")

    assert refused.returncode == 1
    assert "in use by" in refused.stderr
    assert refused.stderr.count("serve (process") == 2
    assert restored.returncode == 0, restored.stderr
    assert wait_until(lambda: state_of(installation, "beta") == "active")
    assert state_of(installation, "gamma") == "provisioning"
    assert wait_until(lambda: state_of(installation, "gamma") == "active", AFTER_RESTORE_SECONDS)
    assert come_to_rest(installation)
    assert purchases(world) == 3


@pytest.mark.skipif(not databases.POSTGRES_URL, reason="TEST_POSTGRES_URL is not set")
def test_a_purchase_cut_off_by_kill_9_is_finished_after_the_move_with_the_same_number(
    install: Install, world: PretendWorld, tmp_path: Path
) -> None:
    installation = install()
    sign_up(installation)
    assert wait_until(lambda: state_of(installation) == "active")
    kill_in_the_middle_of_a_purchase(installation, world, "beta")
    with installation.database.read() as tx:
        sent = tx.all("SELECT number FROM intents WHERE status = 'sent'")
    installation.database.close()
    url = databases.url_of(databases.LENT.make(migrated=False))

    moved = command(installation, "move", "--to", url)
    old = command(installation, "serve")
    installation.environ.update(DATABASE_URL=url, ENGINE="embedded")
    start_again(installation)

    assert moved.returncode == 0, moved.stderr
    assert old.returncode == 1
    assert "closed for good" in old.stderr
    assert wait_until(lambda: state_of(installation, "beta") == "active", 40)
    assert installation.rows("SELECT number FROM intents WHERE status = 'owned' ORDER BY id")[1:] == sent
    assert purchases(world) == 2
