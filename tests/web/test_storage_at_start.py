"""Real processes started while their database cannot be used: they say so, and go on by themselves once it can."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.settings.names import NAMES
from gateway.store import installation
from gateway.store.migrate import migrate
from gateway.store.sqlite import SqliteDatabase
from tests.store.processes import heed_file_modes, outcome
from tests.web.real import PATIENCE_SECONDS, ROOT, Server, free_port, wait_until
from tests.web.serving import STRIPE_SECRET

pytestmark = pytest.mark.sockets

NOBODY = "http://127.0.0.1:9"


@contextmanager
def program(folder: Path, command: str) -> Iterator[Server]:
    """`serve` or `work` in a sandbox whose providers nobody plays."""
    port = free_port()
    own = {name: value for name, value in os.environ.items() if name not in NAMES}
    urls = {f"{name}_BASE_URL": NOBODY for name in ("TWILIO", "TWILIO_PRICING", "TWILIO_NUMBERS", "VAPI", "STRIPE")}
    more = {"GATEWAY_MODE": "sandbox", "STRIPE_WEBHOOK_SECRET": STRIPE_SECRET, "HOST": "127.0.0.1", "PORT": str(port)}
    place = {"DATABASE_URL": f"sqlite:///{folder}/gateway.db", "PYTHONPATH": str(ROOT)}
    log = folder.parent / "program.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", command],
            cwd=folder.parent, env={**own, **urls, **more, **place}, stdout=out, stderr=out,
            preexec_fn=heed_file_modes,
        )  # fmt: skip
    try:
        yield Server(process, port, folder / "gateway.db", log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "disk"
    made.mkdir()
    return made


def make_database(folder: Path, is_left_over: bool) -> None:
    """As a process left it that ended well, or one that was killed: then the newest commits lie beside the file."""
    database = SqliteDatabase(folder / "gateway.db")
    migrate(database)
    database.close()
    if is_left_over:
        outcome(
            "import os, sys; from gateway.store.sqlite import SqliteDatabase; "
            "from gateway.store import installation\n"
            "with SqliteDatabase(sys.argv[1]).transaction() as tx: installation.put(tx, 'key', 'value')\n"
            "print(flush=True); os._exit(0)",
            folder / "gateway.db",
        )
        assert list(folder.glob("*-wal")) or list(folder.glob("*-journal"))


@pytest.mark.parametrize("is_left_over", [False, True], ids=["closed well", "killed"])
def test_a_server_started_on_a_read_only_disk_takes_events_once_it_may_write(folder: Path, is_left_over: bool) -> None:
    make_database(folder, is_left_over)
    folder.chmod(0o555)
    for file in folder.iterdir():
        file.chmod(0o444)
    with program(folder, "serve") as server:
        wait_until(server.is_answering, "a server that answers")
        during = server.post("evt_1")
        status, ready = server.ask("GET", "/readyz")
        wait_until(lambda: "storage_unavailable" in server.log.read_text(), "a line that says why")

        folder.chmod(0o755)
        for file in folder.iterdir():
            file.chmod(0o644)

        wait_until(lambda: server.ask("GET", "/readyz")[0] == 200, "a server that is ready")
        assert (during[0], json.loads(during[1])["error"]["code"]) == (503, "storage_unavailable")
        assert (status, json.loads(ready)["status"]) == (503, "unavailable")
        assert "The database cannot store anything now" in json.loads(ready)["reason"]
        assert server.post("evt_1")[0] == 200
        wait_until(lambda: "event.applied" in server.log.read_text(), "a worker at work")
        assert "uncaught" not in server.log.read_text()
        assert server.end() == 0
    check(folder, is_left_over)


def check(folder: Path, is_left_over: bool) -> None:
    database = SqliteDatabase(folder / "gateway.db")
    database.quick_check()
    with database.read() as tx:
        assert installation.value(tx, "key") == ("value" if is_left_over else None)
    database.close()


def test_a_worker_started_before_its_database_can_be_opened_works_once_it_can(folder: Path) -> None:
    # A folder in its place stands for whatever cannot be opened now.
    (folder / "gateway.db").mkdir()
    with program(folder, "work") as worker:
        wait_until(lambda: "worker.storage_unavailable" in worker.log.read_text(), "a line that says why")

        (folder / "gateway.db").rmdir()

        wait_until(lambda: "worker.started" in worker.log.read_text(), "a worker at work")
        assert worker.end() == 0


def test_a_program_that_waits_for_its_database_ends_when_it_is_told_to(folder: Path) -> None:
    (folder / "gateway.db").mkdir()
    for command in ("serve", "work"):
        with program(folder, command) as waiting:
            wait_until(lambda log=waiting.log: "storage_unavailable" in log.read_text(), "a line that says why")

            assert waiting.end() == 0


PLAIN_WSGI = """
import os, sys
from pathlib import Path
path = Path(sys.argv[1])
os.environ.update(GATEWAY_MODE="sandbox", DATABASE_URL=f"sqlite:///{path}")
for name in ("TWILIO", "TWILIO_PRICING", "TWILIO_NUMBERS", "VAPI", "STRIPE"):
    os.environ[f"{name}_BASE_URL"] = "http://127.0.0.1:9"
path.mkdir()
from app import app
client = app.test_client()
answer = client.get("/readyz")
print(answer.status_code, answer.json["error"]["code"], client.get("/healthz").status_code)
path.rmdir()
print(client.get("/readyz").status_code)
"""


def test_under_a_plain_wsgi_server_it_is_the_same(folder: Path) -> None:
    told = outcome(PLAIN_WSGI, folder / "gateway.db")

    assert told.splitlines() == ["503 storage_unavailable 200", "200"]
