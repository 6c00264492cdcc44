from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stories.sandbox import Sandbox


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    made = Sandbox(tmp_path)
    yield made
    made.close()


@pytest.fixture
def capped(tmp_path: Path) -> Iterator[Sandbox]:
    """At most two purchases an hour."""
    made = Sandbox(tmp_path, {"MAX_PURCHASES_PER_HOUR": "2"})
    yield made
    made.close()
