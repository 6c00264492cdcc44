"""Every story that `trigger --scenario` plays, told to a whole gateway: where its tenant ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.integrations.stripe.simulator import SCENARIOS
from gateway.store import tenants
from tests.stories.sandbox import Sandbox

ENDS = {
    "signup": ("active", 1),
    "trial": ("active", 1),
    "needs-papers": ("active", 1),
    "payment-fails-and-recovers": ("active", 1),
    "payment-fails-for-good": ("suspended", 1),
    "pause-and-resume": ("active", 1),
    "cancel": ("suspended", 1),
    "cancel-and-return": ("active", 1),
    "async-payment": ("active", 1),
    "async-payment-fails": ("new", 0),
    "abandoned": (None, 0),
}


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    made = Sandbox(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_story_ends_where_its_name_says(name: str, sandbox: Sandbox) -> None:
    for pause_seconds, event, changes in SCENARIOS[name]:
        sandbox.wait(seconds=pause_seconds)
        sandbox.deliver(event, set=changes)
    sandbox.wait(seconds=120)

    tenant = sandbox.query(lambda tx: tenants.by_key(tx, "acme"))
    assert (tenant and str(tenant.state), len(sandbox.numbers())) == ENDS[name]
