"""The pretend world as a process of its own, and the calls that script it and read the truth."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[2]


class PretendWorld:
    """One world in memory: gone with its process. Safe to use from several threads."""

    def __init__(self, **options: Any) -> None:
        """options: arguments of `gateway.simulator.world.World`, as JSON can hold them."""
        command = [sys.executable, "-m", "gateway.simulator.server", "--memory", "--options", json.dumps(options)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self.url: str = json.loads(self._process.stdout.readline())["url"]
        self._host = urlsplit(self.url).netloc

    def ask(self, method: str, path: str, body: Any = None, wait_seconds: float = 30.0) -> Any:
        """One control call, such as `GET /state`."""
        connection = http.client.HTTPConnection(self._host, timeout=wait_seconds)
        try:
            connection.request(method, f"/_world{path}", json.dumps(body) if body is not None else None)
            response = connection.getresponse()
            answer = json.loads(response.read() or b"null")
        finally:
            connection.close()
        assert response.status < 400, (method, path, answer)
        return answer

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", "/state")
        return found

    def log(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("GET", "/log")["entries"]
        return found

    def now_ms(self) -> int:
        return int(self.ask("GET", "")["now_ms"])

    def numbers_for_sale(self, authorization: str, account_sid: str) -> list[str]:
        """Some numbers that can be bought now."""
        connection = http.client.HTTPConnection(self._host, timeout=10)
        path = f"/2010-04-01/Accounts/{account_sid}/AvailablePhoneNumbers/US/Local.json?PageSize=50"
        connection.request("GET", path, headers={"Authorization": authorization})
        offers = json.loads(connection.getresponse().read())["available_phone_numbers"]
        connection.close()
        return [offer["phone_number"] for offer in offers]

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
