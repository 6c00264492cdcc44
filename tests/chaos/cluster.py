"""A PostgreSQL server of our own, so that it can be crashed and frozen without harm to anybody else's.

On a machine without its programs a database on the server of TEST_POSTGRES_URL, which is left alone.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, LiteralString
from urllib.parse import quote

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from tests.chaos.processes import children, free_port

START_SECONDS = 30.0
# Fast to start again, and everything that makes a commit last is on.
CONFIGURATION = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "on",
    "full_page_writes": "on",
    "shared_buffers": "16MB",
    "max_connections": "100",
}


def binaries() -> Path | None:
    """Where the server's programs are; None on a machine without them."""
    found = shutil.which("initdb")
    candidates = [Path(found).parent] if found else []
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in candidates if (folder / "initdb").exists()), None)


def account() -> dict[str, Any]:
    """As whom it runs, as `subprocess` wants it: the server refuses to be root. Empty: as we do."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = names.get("postgres") or names["nobody"]
    return {"user": entry.pw_uid, "group": entry.pw_gid}


ADDRESS = {"host": "127.0.0.1", "port": "5432", "dbname": "postgres"}


class Cluster:
    """One server with one database, `chaos`."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._account = account()
        # Not below the folder of a test: that account could not reach it.
        self._folder = Path(tempfile.mkdtemp(prefix="chaos-postgres-"))
        self._log = self._folder / "log"
        if self._account:
            shutil.chown(self._folder, **self._account)
        self.host, self.port = "127.0.0.1", free_port()
        self._process: subprocess.Popen[bytes] | None = None
        options = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync"]
        self._run("initdb", *options, "-D", str(self._folder / "data"))
        self.start()
        with self.connect("postgres") as connection:
            connection.execute("CREATE DATABASE chaos")

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/chaos"

    def connect(self, database: str = "chaos") -> psycopg.Connection[Any]:
        return psycopg.connect(self.url.replace("/chaos", f"/{database}"), autocommit=True, connect_timeout=5)

    def start(self) -> None:
        """Start it and wait until it takes connections, recovered from whatever happened before."""
        settings = [f"--{name}={value}" for name, value in {**CONFIGURATION, "port": str(self.port)}.items()]
        command = [str(self._programs / "postgres"), "-D", str(self._folder / "data"), *settings]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self._account
            )
        self.wait()

    def wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.connect("postgres").close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"PostgreSQL does not come up:\n{self.log_end()}") from None
                time.sleep(0.05)

    def crash(self) -> None:
        """As by a power cut, but for the disk's own memory: nothing is written down, recovery comes at the start."""
        process = self._process
        if process is not None:
            process.send_signal(signal.SIGQUIT)
            process.wait()

    def kill_backend(self, random: Random) -> bool:
        """kill -9 of one that serves a connection: the server throws out all others and recovers by itself."""
        found = [pid for pid in children(self._pid()) if b" chaos 127.0.0.1(" in command_line(pid)]
        with suppress(ProcessLookupError):
            if found:
                os.kill(random.choice(found), signal.SIGKILL)
                return True
        return False

    def freeze(self) -> list[int]:
        """Stop all its processes where they are; gives them, for `thaw`."""
        pids = [self._pid(), *children(self._pid())]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        return pids

    def thaw(self, pids: list[int]) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def close(self) -> None:
        self.crash()
        shutil.rmtree(self._folder, ignore_errors=True)

    def log_end(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-20:])

    def _pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        done = subprocess.run(command, cwd=self._folder, capture_output=True, check=False, **self._account)
        if done.returncode:
            raise RuntimeError(f"{program} fails: {done.stderr.decode(errors='replace')[-2000:]}")


class Rented:
    """A database of our own on somebody else's server."""

    def __init__(self, url: str) -> None:
        self._given = url
        self._name = f"chaos_{os.getpid()}_{secrets.token_hex(3)}"
        self._run("CREATE DATABASE {}")
        self.url = make_url(url, dbname=self._name)
        with self.connect() as connection:
            self.host, self.port = connection.info.host, connection.info.port

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.url, autocommit=True, connect_timeout=5)

    def close(self) -> None:
        self._run("DROP DATABASE IF EXISTS {} WITH (FORCE)")

    def _run(self, statement: LiteralString) -> None:
        with psycopg.connect(self._given, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(sql.Identifier(self._name)))


def find_server() -> Cluster | Rented:
    """Our own server where that is possible."""
    programs = binaries()
    if programs is not None:
        return Cluster(programs)
    return Rented(os.environ["TEST_POSTGRES_URL"])


def make_url(url: str, **changes: Any) -> str:
    """The same address with other parts: `host`, `port`, `dbname`, `options`."""
    parts = {**conninfo_to_dict(url), **changes}
    options = f"?options={quote(str(parts['options']), safe='')}" if parts.get("options") else ""
    user = ":".join(quote(str(parts[name]), safe="") for name in ("user", "password") if parts.get(name))
    host, port, name = (parts.get(each) or default for each, default in ADDRESS.items())
    return f"postgresql://{user}@{host}:{port}/{name}{options}"


def command_line(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
