"""docs/api.md: its commands are run as they stand, against a server on this machine."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path

from werkzeug.serving import make_server

from gateway.settings import ROLES
from gateway.web import create_app
from gateway.web.api.table import ROUTES
from tests.stories.sandbox import Sandbox
from tests.web.api.asking import SECRETS, parts_of

PAGE = (Path(__file__).parents[3] / "docs/api.md").read_text(encoding="utf-8")
SCRIPTS = [block.partition("```")[0] for block in PAGE.split("```sh\n")[1:]]


def test_the_page_names_every_route_and_role() -> None:
    for route in ROUTES:
        assert f"| `{route.name}` | {route.role} |" in PAGE
    assert all(f"`{role}`" in PAGE for role in ROLES)
    assert PAGE.count("| `GET /api") + PAGE.count("| `POST /api") + PAGE.count("| `DELETE /api") == len(ROUTES)


def test_every_command_of_the_page_works(sandbox: Sandbox, tmp_path: Path) -> None:
    server = make_server("127.0.0.1", 0, create_app(parts_of(sandbox)), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "TOKEN": SECRETS["operator"],
        "GATEWAY": f"http://127.0.0.1:{server.server_port}",
    }
    try:
        for script in SCRIPTS:
            # One line each, so that each one's answer is read by itself.
            for command in script.replace("\\\n", " ").strip().splitlines():
                ran = subprocess.run(
                    command, shell=True, env=environment, capture_output=True, text=True, timeout=60, check=True
                )
                assert "error" not in json.loads(ran.stdout), f"{command}\n{ran.stdout}"
    finally:
        server.shutdown()
        thread.join(10)
    assert len(SCRIPTS) >= 4
    assert len(sandbox.purchases()) == 2
