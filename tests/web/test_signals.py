"""A signal ends the server whenever it comes: also between two runs of its event loop, where uvloop is deaf."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.store.processes import outcome

BETWEEN_TWO_RUNS = """
import asyncio, os, signal, sys
from pathlib import Path
from gateway.web.server import bounded_shutdown
if sys.argv[1].endswith("uvloop"):
    import uvloop
    loop = uvloop.new_event_loop()
else:
    loop = asyncio.new_event_loop()
heard = []
loop.add_signal_handler(signal.SIGTERM, lambda: heard.append("heard"))
async def application(scope, receive, send): pass
async def start():
    await bounded_shutdown(application, seconds=30)({"type": "lifespan"}, None, None)
loop.run_until_complete(start())
os.kill(os.getpid(), signal.SIGTERM)
loop.run_until_complete(asyncio.sleep(0.5))
print(*heard)
"""


@pytest.mark.parametrize("kind", ["uvloop", "asyncio"])
def test_a_signal_between_two_runs_of_the_event_loop_is_heard_once(tmp_path: Path, kind: str) -> None:
    assert outcome(BETWEEN_TWO_RUNS, tmp_path / kind).split() == ["heard"]
