"""Worlds and callers for the tests of the pretend world."""

from __future__ import annotations

import pytest

from gateway.simulator.world import World
from tests.simulator.pretend import Caller, StillClock


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def world(clock: StillClock) -> World:
    return World(seed="tests", now=clock)


@pytest.fixture
def call(world: World) -> Caller:
    return Caller(world)
