"""Finding the world of a folder, starting it when there is none, stopping it. Imports next to nothing."""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway.errors import GatewayError

# Kept so that a process that outlives us is not reported as forgotten.
_STARTED: list[subprocess.Popen[bytes]] = []


class WorldUnavailable(GatewayError):
    """The pretend world did not start; the message says where its output is."""


@dataclass(frozen=True, slots=True)
class WorldAddress:
    """A running world that answered with its id."""

    url: str
    id: str
    pid: int


def ensure_world(var_dir: Path | str, *, wait_seconds: float = 10.0, **options: Any) -> WorldAddress:
    """The world of this folder, started as a process of its own when none answers.

    options: arguments of `World`, as JSON can hold them; only a world that has to be started sees them.
    Safe to call from several processes at once: one world results. Raises WorldUnavailable.
    """
    var = Path(var_dir).resolve()
    address = find_world(var)
    if address is not None:
        return address
    try:
        process = _start(var)
    except OSError as error:
        raise WorldUnavailable(
            f"The pretend world keeps its state in {var}, and nothing can be written there: {error.strerror}. "
            "Let DATABASE_URL name a file in another folder."
        ) from error
    with suppress(BrokenPipeError), process.stdin as pipe:  # type: ignore[union-attr]
        pipe.write(json.dumps(options).encode())
    _STARTED.append(process)
    deadline = time.monotonic() + wait_seconds
    while time.monotonic() < deadline:
        address = find_world(var)
        if address is not None:
            if address.pid != process.pid:
                # Somebody else was faster; ours must not take over the folder later, when that world has left.
                process.kill()
                process.wait()
            return address
        if process.poll() not in (None, 3):
            break
        time.sleep(0.01)
    raise WorldUnavailable(
        f"The pretend world did not start; {var / 'world.log'} says why. To begin anew, move the folder {var} away."
    )


def _start(var: Path) -> subprocess.Popen[bytes]:
    """A world that waits for its options on its standard input."""
    var.mkdir(parents=True, exist_ok=True)
    if _is_unlocked(var):
        # A file left by a world that was killed would keep the new one from the folder.
        (var / "world.json").unlink(missing_ok=True)
    # Not as an argument: those can be read by everybody on this machine, and keys are among them.
    command = [sys.executable, "-m", "gateway.simulator.server", "--var", str(var), "--options", "-"]
    with (var / "world.log").open("ab") as log:
        return subprocess.Popen(  # noqa: S603
            command,
            cwd=Path(__file__).resolve().parents[2],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def find_world(var_dir: Path | str) -> WorldAddress | None:
    """The running world of this folder, if it answers with the id that the folder names."""
    try:
        noted = json.loads((Path(var_dir) / "world.json").read_text())
        address = WorldAddress(str(noted["url"]), str(noted["id"]), int(noted["pid"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    answer = _ask(address, "GET", "/_world")
    return address if answer is not None and answer.get("id") == address.id else None


def stop_world(var_dir: Path | str, *, wait_seconds: float = 5.0) -> bool:
    """End the world of this folder and wait until it is gone; its state stays. False when it would not go."""
    var = Path(var_dir).resolve()
    address = find_world(var)
    if address is not None:
        _ask(address, "POST", "/_world/leave")
    (var / "world.json").unlink(missing_ok=True)
    deadline = time.monotonic() + wait_seconds
    while not _is_unlocked(var):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _is_unlocked(var: Path) -> bool:
    if not (var / "world.lock").exists():
        return True
    handle = os.open(var / "world.lock", os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def _ask(address: WorldAddress, method: str, path: str) -> dict[str, Any] | None:
    where = urlsplit(address.url)
    if where.hostname != "127.0.0.1" or where.port is None:
        return None
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=1.0)
    try:
        connection.request(method, path)
        answer = json.loads(connection.getresponse().read())
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return answer if isinstance(answer, dict) else None
