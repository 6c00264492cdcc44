"""`restore`, killed anywhere: afterwards there is the old database or the new one, and running it again finishes."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.store import aftermath
from gateway.store.sqlite import SqliteDatabase
from tests.cli.conftest import Run
from tests.cli.crashing import AT_CALLS, AT_FILES, crashing
from tests.stories.sandbox import Sandbox

KILLED = -9


@dataclass(frozen=True)
class Found:
    """What a start would find."""

    tenants: tuple[str, ...]
    events: frozenset[str]
    is_marked: bool


def look(place: Path) -> Found:
    database = SqliteDatabase(place / "gateway.db")
    database.quick_check()
    with database.read() as tx:
        tenants = tuple(row["tenant_key"] for row in tx.all("SELECT tenant_key FROM tenants ORDER BY id"))
        events = frozenset(row["event_id"] for row in tx.all("SELECT event_id FROM inbox WHERE body IS NOT NULL"))
        found = Found(tenants, events, aftermath.restored_at_ms(tx) is not None)
    database.close()
    return found


@pytest.fixture
def scene(acme: Sandbox, run: Run, place: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup that knows `acme`, a database that knows `beta` too, and an event that nobody has looked at yet."""
    assert run("backup", "backup.db").status == 0
    acme.deliver("checkout.completed", "beta")
    acme.settle(60)
    acme.deliver("checkout.completed", "gamma")
    acme.gateway.close()
    kept = tmp_path_factory.mktemp("scene")
    for file in place.iterdir():
        if file.is_file():
            shutil.copy2(file, kept)
    return kept


def set_scene(scene: Path, place: Path) -> None:
    for file in place.glob("gateway.db*"):
        file.unlink()
    for file in scene.iterdir():
        shutil.copy2(file, place)


@pytest.mark.sqlite_file
@pytest.mark.parametrize(
    "dies", [AT_FILES, pytest.param(AT_CALLS, marks=pytest.mark.chaos)], ids=["at files", "at statements"]
)
def test_killed_anywhere_it_leaves_the_old_database_or_the_new_one_and_finishes_when_run_again(
    scene: Path, place: Path, acme: Sandbox, dies: str
) -> None:
    before = look(place)
    after = Found(("acme",), before.events, True)
    seen = {before: 0, after: 0}

    with crashing(dies) as command:
        set_scene(scene, place)
        assert command.run("restore", f"{place}/backup.db") == 0
        points = command.points
        for point in range(1, points + 1):
            set_scene(scene, place)
            assert command.run("restore", f"{place}/backup.db", until=point) == KILLED
            seen[look(place)] += 1
            assert command.run("restore", f"{place}/backup.db") == 0
            assert look(place) == after
            assert before.tenants in {tenants_of(file) for file in kept_files(place)}
    acme.gateway = acme._open()

    assert points > 10
    assert all(count > 0 for count in seen.values()), seen


def kept_files(place: Path) -> list[Path]:
    return [file for file in place.glob("gateway.db.before-restore-*") if not file.name.endswith(("-wal", "-journal"))]


def tenants_of(path: Path) -> tuple[str, ...]:
    database = SqliteDatabase(path, is_alone=True)
    with database.read() as tx:
        found = tuple(row["tenant_key"] for row in tx.all("SELECT tenant_key FROM tenants ORDER BY id"))
    database.close()
    return found
