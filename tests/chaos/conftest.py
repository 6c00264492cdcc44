from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.installation import Installation
from tests.chaos.worlds import PretendWorld

Install = Callable[..., Installation]


@pytest.fixture
def world() -> Iterator[PretendWorld]:
    made = PretendWorld(seed="fixed")
    yield made
    made.close()


@pytest.fixture
def install(world: PretendWorld, tmp_path: Path) -> Iterator[Install]:
    """Makes a running gateway with these settings changed."""
    made: list[Installation] = []

    def start(**changes: str) -> Installation:
        made.append(Installation(tmp_path, world, changes))
        assert made[0].server.wait_ready()
        return made[0]

    yield start
    for installation in made:
        installation.close()
