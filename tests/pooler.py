"""PgBouncer in transaction mode, before the PostgreSQL of the tests."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
PATIENCE_SECONDS = 20.0

SETTINGS = """[databases]
* = host={host} port={port} user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own_port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
"""


@contextmanager
def pooled(url: str, folder: Path) -> Iterator[str]:
    """The same database through a pooler that hands out the server's sessions for one transaction each."""
    assert PROGRAM is not None
    parts = urlsplit(url)
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        own_port = probe.getsockname()[1]
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        SETTINGS.format(
            host=parts.hostname,
            port=parts.port or 5432,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            own_port=own_port,
        )
    )
    # It refuses to run as root.
    settings.chmod(0o644)
    as_somebody = ["-u", "nobody"] if os.getuid() == 0 else []
    with settings.open() as text, (folder / "pgbouncer.log").open("wb") as log:
        process = subprocess.Popen([PROGRAM, "-q", *as_somebody, f"/proc/self/fd/{text.fileno()}"],
                                   stdout=log, stderr=log, pass_fds=[text.fileno()])  # fmt: skip
        try:
            wait_for(own_port, process, folder / "pgbouncer.log")
            yield url.replace(parts.netloc, f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{own_port}")
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise AssertionError(f"no pooler: {log.read_text(errors='replace')}")
