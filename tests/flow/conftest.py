"""Whole sandboxes, for the verbs that need the outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.stories.conftest import sandbox as sandbox
from tests.stories.sandbox import Sandbox


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Callable[..., Sandbox]]:
    """Makes a sandbox with these settings."""
    made: list[Sandbox] = []

    def install(**settings: str) -> Sandbox:
        folder = tmp_path / f"installation-{len(made)}"
        folder.mkdir()
        made.append(Sandbox(folder, settings))
        return made[-1]

    yield install
    for each in made:
        each.close()
