"""A virtual environment for each peer, made on first use under var/bench and kept."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from bench.processes import HOME, Unmeasurable

PEERS = Path(__file__).with_name("peers")
INSTALL_LIMIT_SECONDS = 600


def python_of(peer: str) -> str:
    """The interpreter of a peer's environment; made anew when its requirements changed.

    Raises Unmeasurable when its packages cannot be installed, such as when no registry can be reached.
    """
    requirements = PEERS / peer / "requirements.txt"
    folder = HOME / "venvs" / peer
    mark = folder / "installed"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    python = folder / "bin" / "python"
    if mark.is_file() and mark.read_text() == wanted:
        return str(python)
    print(f"Making the environment of {peer} ...", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    run([sys.executable, "-m", "venv", str(folder)], peer)
    run([str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", str(requirements)], peer)
    mark.write_text(wanted)
    return str(python)


def run(argv: list[str], peer: str) -> None:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=INSTALL_LIMIT_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise Unmeasurable(f"The peer {peer} is missing: its installation took over 10 minutes.") from error
    if done.returncode:
        why = done.stderr.strip()[-300:]
        raise Unmeasurable(f"The peer {peer} is missing: its packages cannot be installed. {why}")
