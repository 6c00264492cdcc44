from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.provisioner import TwilioVAPIProvisioner
from gateway.settings.names import NAMES
from tests.provisioning.scripts import Script


@pytest.fixture(autouse=True)
def place(database_kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder as the working folder, and nothing of the tester's own settings."""
    for name in (*NAMES, "DYNO"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def script(place: Path) -> Iterator[Script]:
    made = Script(place)
    yield made
    made.close()


@pytest.fixture
def provisioner(script: Script) -> TwilioVAPIProvisioner:
    return script.open()


@pytest.fixture
def number(provisioner: TwilioVAPIProvisioner) -> str:
    """A number that can be bought."""
    found = provisioner.search_available_numbers("US", area_code="415", limit=1)
    return str(found[0]["number"])
