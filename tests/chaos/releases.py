"""Two releases of the program at once, as while one is rolled out: what is here, and what was committed before.

The earlier one is the newest commit with other code that has the same migrations and understands the same settings.
Where there is none (a first release, a new schema, no history) a second copy of what is here takes its place: then
only that processes from two folders get along is shown.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.worlds import ROOT

MOST_COMMITS = 20
UNDERSTANDS = "from gateway.settings import load_from_process; load_from_process()"


@dataclass(frozen=True, slots=True)
class Release:
    """name: a commit, or what it is instead.   folder: holds `gateway` and `migrations`."""

    name: str
    folder: Path


def other_release(checkout: Path, folder: Path, environ: Mapping[str, str]) -> Release:
    """Another release than what is in ROOT, put into a folder. checkout: where the history is."""
    for commit in commits(checkout):
        place = folder / commit
        if unpack(checkout, commit, place) and is_other(place) and understands(place, environ):
            return Release(commit, place)
    copy = folder / "copy"
    for name in ("gateway", "migrations"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-R", str(ROOT / name), str(copy / name)], check=True)
    return Release("a copy of this one", copy)


def commits(checkout: Path) -> list[str]:
    """The newest commits that changed the program, the newest first; none without a history."""
    command = ["git", "log", "--format=%h", f"-n{MOST_COMMITS}", "--", "gateway"]
    try:
        done = subprocess.run(command, cwd=checkout, capture_output=True, check=False)
    except OSError:
        return []
    return done.stdout.decode().split() if done.returncode == 0 else []


def unpack(checkout: Path, commit: str, folder: Path) -> bool:
    folder.mkdir(parents=True)
    packed = subprocess.run(
        ["git", "archive", commit, "gateway", "migrations"], cwd=checkout, capture_output=True, check=False
    )
    if packed.returncode:
        return False
    return subprocess.run(["tar", "-x", "-C", str(folder)], input=packed.stdout, check=False).returncode == 0


def is_other(folder: Path) -> bool:
    """Whether its code differs from what is here, and its migrations do not."""
    return texts(folder / "migrations", "*.sql") == texts(ROOT / "migrations", "*.sql") and texts(
        folder / "gateway", "*.py"
    ) != texts(ROOT / "gateway", "*.py")


def texts(folder: Path, pattern: str) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob(pattern))}


def understands(folder: Path, environ: Mapping[str, str]) -> bool:
    command = [sys.executable, "-c", UNDERSTANDS]
    mine = {**environ, "PYTHONPATH": str(folder)}
    return subprocess.run(command, cwd=folder, env=mine, capture_output=True, check=False).returncode == 0
