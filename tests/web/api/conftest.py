from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stories.sandbox import Sandbox
from tests.web.api.asking import TOKENS, Api


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    made = Sandbox(tmp_path, {"API_TOKENS": TOKENS})
    yield made
    made.close()


@pytest.fixture
def api(sandbox: Sandbox) -> Api:
    return Api(sandbox)
