"""One turn of the worker: what it says of the events it applied."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stories.sandbox import Sandbox

SIX_HOURS = 6 * 3600


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    made = Sandbox(tmp_path)
    yield made
    made.close()


def test_an_event_that_is_parked_is_an_error_in_the_log_and_one_that_is_tried_again_is_not(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "gateway.apply"):
        sandbox.deliver("subscription.created", set={"status": None})
        sandbox.settle(SIX_HOURS)

    said = [(record.levelname, record.message, vars(record)["fields"]["outcome"]) for record in caplog.records]
    assert said == [*[("INFO", "event.applied", "waiting")] * 7, ("ERROR", "event.parked", "failed")]
    fields = vars(caplog.records[-1])["fields"]
    assert "failed 8 of 8 times" in fields["reason"]
    assert fields["event_id"].startswith("evt_")
