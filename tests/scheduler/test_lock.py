"""One embedded worker a database: the kernel keeps the place, and frees it when its holder dies."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import StorageUnavailable
from gateway.scheduler.lock import WorkerLock
from tests.store.processes import running

TAKE = """
import sys
from pathlib import Path
from gateway.scheduler.lock import WorkerLock
lock = WorkerLock(Path(sys.argv[1]))
for line in sys.stdin:
    if line.strip() == "free":
        lock.free()
    print(lock.take() if line.strip() == "take" else "done", flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.db"


def test_one_process_at_a_time_has_the_place(path: Path) -> None:
    own = WorkerLock(path)
    with running(TAKE, path) as other:
        other.say("take")
        assert other.hear() == "True"
        assert own.take() is False
        assert own.take() is False

        other.say("free")
        assert other.hear() == "done"

        assert own.take() is True
        other.say("take")
        assert other.hear() == "False"
    own.free()


def test_a_place_that_one_has_can_be_asked_for_again(path: Path) -> None:
    own = WorkerLock(path)

    assert (own.take(), own.take()) == (True, True)
    own.free()
    own.free()

    assert own.take() is True
    own.free()


def test_the_place_of_a_process_that_was_killed_is_free_at_once(path: Path) -> None:
    own = WorkerLock(path)
    with running(TAKE, path) as other:
        other.say("take")
        assert other.hear() == "True"
        assert own.take() is False

        other.kill()

        assert own.take() is True
    own.free()


def test_each_database_has_a_place_of_its_own(path: Path) -> None:
    first, second = WorkerLock(path), WorkerLock(path.with_name("other.db"))

    assert (first.take(), second.take()) == (True, True)
    first.free()
    second.free()


def test_a_place_that_cannot_be_seen_now_is_said_and_taken_once_it_can(tmp_path: Path) -> None:
    own = WorkerLock(tmp_path / "not mounted yet" / "gateway.db")

    with pytest.raises(StorageUnavailable, match=r"worker's place .*cannot be taken: No such file"):
        own.take()
    (tmp_path / "not mounted yet").mkdir()

    assert own.take() is True
    own.free()


def test_the_lock_is_never_the_database_file(path: Path) -> None:
    own = WorkerLock(path)
    own.take()
    own.free()

    assert own.path != path
    assert not path.exists()
    assert own.path.stat().st_mode & 0o077 == 0


def test_another_name_of_the_same_file_is_the_same_place(path: Path, tmp_path: Path) -> None:
    path.touch()
    (tmp_path / "link.db").symlink_to(path)
    own, other = WorkerLock(path), WorkerLock(tmp_path / "link.db")

    assert own.take() is True
    assert other.take() is False
    own.free()
