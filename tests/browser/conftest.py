"""A whole sandbox as a process of its own, and a real Chromium looking at it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.web.real import free_port

ROOT = Path(__file__).parents[2]
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE_SECONDS = 60.0
# Nothing of a browser's own is to be fetched from anywhere.
SWITCHES = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
]


@dataclass
class Gateway:
    """`serve` in sandbox mode. settings: its environment, for commands beside it."""

    folder: Path
    settings: dict[str, str]

    def command(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "gateway", *words],
            cwd=self.folder,
            env=self.settings,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def customer(self, key: str, *words: str) -> str:
        """A paid signup that wants to choose; the link for its customer."""
        given = [part for word in ("metadata.choose=yes", *words) for part in ("--set", word)]
        self.command("trigger", "checkout.completed", "--tenant", key, *given)
        end = time.monotonic() + PATIENCE_SECONDS
        while "awaiting_choice" not in self.command("tenants", "list"):
            assert time.monotonic() < end, self.command("tenants", "show", key)
            time.sleep(0.2)
        return self.command("tenants", "choose-link", key).splitlines()[0]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder, port = tmp_path_factory.mktemp("sandbox"), free_port()
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    settings = {
        **kept,
        "PYTHONPATH": str(ROOT),
        "GATEWAY_MODE": "sandbox",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "BRAND_NAME": "Sunny Phones",
        "BRAND_COLOR": "#7a3b00",
    }
    log = folder / "serve.log"
    with log.open("wb") as written:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "serve"], cwd=folder, env=settings, stdout=written, stderr=written
        )
    try:
        wait_until_ready(port, process, log)
        yield Gateway(folder, settings)
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(30)
        process.kill()
        # The pretend world leaves when this file is gone.
        (folder / "var" / "world.json").unlink(missing_ok=True)


def wait_until_ready(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2).close()
            return
        time.sleep(0.1)
    raise AssertionError(log.read_text())


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, chromium_sandbox=False, args=SWITCHES)
        yield opened
        opened.close()
