"""Two gateways on one PostgreSQL database never undo or overlook what the other did, whichever comes between."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests import databases
from tests.chaos.interleavings import SCENARIOS, Scenario, tell
from tests.chaos.test_chaos import A_NEW_SEED

# About where a whole life is over.
FARTHEST = 190

pytestmark = pytest.mark.skipif(not databases.POSTGRES_URL, reason="TEST_POSTGRES_URL is not set")


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_what_comes_between_two_statements_is_neither_lost_nor_done_twice(scenario: Scenario, tmp_path: Path) -> None:
    """One place by the commit's own seed; `python -m tests.chaos.interleavings` tries all."""
    place = Random(f"{A_NEW_SEED}/{scenario}").randrange(FARTHEST)

    while not happened(scenario, tmp_path, place):
        # Some stories are shorter.
        place //= 3


def happened(scenario: Scenario, folder: Path, place: int) -> bool:
    with databases.using("postgres"):
        told = tell(scenario, folder, place)
    assert [str(violation) for violation in told.violations] == [], f"{scenario}, at {place}"
    return told.happened
