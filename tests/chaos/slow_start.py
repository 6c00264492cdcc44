"""A worker process that takes its time to start, so that something can happen to it meanwhile."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

STARTING_SECONDS = 60.0


def front() -> Any:
    """Never gets as far as an application: says which process it is, then starts for a minute."""
    Path("starting").write_text(str(os.getpid()))
    time.sleep(STARTING_SECONDS)
