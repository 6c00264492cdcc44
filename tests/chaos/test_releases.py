"""Which earlier release takes part: one that can share a database with this one, or an honest copy."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.chaos.releases import is_other, other_release
from tests.chaos.worlds import ROOT

GIT = ("git", "-c", "user.name=test", "-c", "user.email=test@example.com")
ENVIRON = {"PATH": os.environ["PATH"], "GATEWAY_MODE": "sandbox"}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A history that ends with what is here."""
    folder = tmp_path / "checkout"
    for name in ("gateway", "migrations"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([*GIT, "init", "--quiet"], cwd=folder, check=True)
    return folder


def commit(folder: Path) -> str:
    subprocess.run([*GIT, "add", "."], cwd=folder, check=True)
    subprocess.run([*GIT, "commit", "--quiet", "--message", "Change something"], cwd=folder, check=True)
    told = subprocess.run([*GIT, "rev-parse", "--short", "HEAD"], cwd=folder, check=True, capture_output=True)
    return told.stdout.decode().strip()


def test_the_newest_commit_with_other_code_and_the_same_migrations_takes_part(checkout: Path, tmp_path: Path) -> None:
    program = checkout / "gateway" / "errors.py"
    text = program.read_text()
    program.write_text(f"{text}\n# As it was before.\n")
    earlier = commit(checkout)
    program.write_text(text)
    commit(checkout)

    found = other_release(checkout, tmp_path / "releases", ENVIRON)

    assert found.name == earlier
    assert is_other(found.folder)
    assert (found.folder / "gateway" / "errors.py").read_text().endswith("# As it was before.\n")


@pytest.mark.parametrize(
    ("path", "line"),
    [
        pytest.param("migrations/9999_more.sql", "SELECT 1;\n", id="another schema"),
        pytest.param("gateway/settings/__init__.py", "raise ValueError\n", id="other settings"),
    ],
)
def test_a_release_that_cannot_share_a_database_is_passed_over(
    checkout: Path, tmp_path: Path, path: str, line: str
) -> None:
    program = checkout / "gateway" / "errors.py"
    program.write_text(f"{program.read_text()}\n# As it was before.\n")
    with (checkout / path).open("a") as file:
        file.write(line)
    commit(checkout)

    found = other_release(checkout, tmp_path / "releases", ENVIRON)

    assert found.name == "a copy of this one"
    assert not is_other(found.folder)


def test_without_a_history_a_copy_takes_part(tmp_path: Path) -> None:
    found = other_release(tmp_path, tmp_path / "releases", ENVIRON)

    assert found.name == "a copy of this one"
    assert (found.folder / "gateway" / "__main__.py").exists()
