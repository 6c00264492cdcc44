"""Fixtures for pytest: `pytest_plugins = ["gateway.testing.plugin"]` in a conftest.py.

pretend_world       Twilio, Vapi and Stripe in this process: state, faults, a clock; see `gateway.simulator`
pretend_adapter     makes transports into that world, for `requests.Session.mount`
pretend_server      the same world on a loopback port: `.url` is the base URL of all three
ringfence           a whole gateway in a world of its own, under a clock by hand: see `Installation`
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from gateway.simulator.adapter import WorldAdapter
from gateway.simulator.server import Server
from gateway.simulator.world import World
from gateway.testing.answers import KitIncomplete
from gateway.testing.sandbox import Installation

try:
    import pytest
except ImportError as error:
    raise KitIncomplete("These fixtures are for pytest, which is not installed: pip install pytest") from error


@pytest.fixture
def pretend_world() -> Iterator[World]:
    """Opened by the credentials of `gateway.simulator.defaults`, and by nothing else."""
    world = World()
    yield world
    world.close()


@pytest.fixture
def pretend_adapter(pretend_world: World) -> Callable[[], WorldAdapter]:
    return lambda: WorldAdapter(pretend_world)


@pytest.fixture
def pretend_server(pretend_world: World) -> Iterator[Server]:
    server = Server(pretend_world).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def ringfence(tmp_path: Path) -> Iterator[Installation]:
    installation = Installation(tmp_path)
    yield installation
    installation.close()
