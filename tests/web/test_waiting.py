"""A server whose database cannot be opened yet: it says so to everybody, and goes on by itself once it can."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.errors import DatabaseRefused, StorageUnavailable
from gateway.web import WebParts, create_app
from gateway.web.front import create_front
from gateway.web.waiting import Waiting
from tests.integrations.senders import STRIPE
from tests.web.entries import exchange, request

LOG = logging.getLogger("gateway.web")
READ_ONLY = "The database cannot store anything now: the file is read-only."


class Disk:
    """What the front is opened from: read-only until somebody says otherwise."""

    def __init__(self, parts: WebParts) -> None:
        self.parts = parts
        self.problem: Exception | None = StorageUnavailable(READ_ONLY)
        self.tries = 0
        self.calls: list[str] = []

    def open_front(self) -> Any:
        self.tries += 1
        if self.problem is not None:
            raise self.problem
        start, stop = (lambda: self.calls.append("start")), (lambda: self.calls.append("stop"))
        return create_front(self.parts, create_app(self.parts), start, stop)


@pytest.fixture
def disk(parts: WebParts) -> Disk:
    return Disk(parts)


def live(disk: Disk, during: Callable[[Waiting], Awaitable[None]]) -> tuple[list[str], list[int]]:
    """A server's life round `during`; what the server heard, and the statuses with which the process was left."""
    heard: list[str] = []
    left: list[int] = []

    async def run() -> None:
        app = Waiting(disk.open_front, READ_ONLY, LOG, pause_seconds=0.001, leave=left.append)
        told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

        async def send(message: Any) -> None:
            heard.append(message["type"])

        life = asyncio.create_task(app({"type": "lifespan"}, told.get, send))
        await told.put({"type": "lifespan.startup"})
        await during(app)
        await told.put({"type": "lifespan.shutdown"})
        await asyncio.wait_for(life, 20)

    asyncio.run(run())
    return heard, left


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():
            await asyncio.sleep(0.001)


async def ask(app: Waiting, method: str, path: str) -> Any:
    return await exchange(app, request(path, method=method))


async def deliver(app: Waiting) -> Any:
    body = STRIPE.body("evt_1")
    return await exchange(app, request("/webhooks/stripe", body, STRIPE.headers(body)))


def test_until_the_database_opens_every_sender_is_told_to_come_again(disk: Disk) -> None:
    answers: dict[str, Any] = {}

    async def during(app: Waiting) -> None:
        await until(lambda: disk.tries >= 2)
        answers["webhook"] = await deliver(app)
        answers["ready"] = await ask(app, "GET", "/readyz")
        answers["live"] = await ask(app, "GET", "/healthz")

    heard, left = live(disk, during)

    assert (answers["webhook"].status, answers["webhook"].code) == (503, "storage_unavailable")
    assert 1 <= int(answers["webhook"].headers["retry-after"]) <= 60
    assert (answers["ready"].status, answers["ready"].json["reason"]) == (503, READ_ONLY)
    assert answers["live"].status == 200
    assert heard == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert (left, disk.calls) == ([], [])


def test_once_the_database_opens_deliveries_are_taken_and_the_worker_lives_as_ever(
    disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    statuses: list[int] = []

    async def during(app: Waiting) -> None:
        await until(lambda: disk.tries >= 2)
        disk.problem = None
        await until(lambda: bool(disk.calls))
        statuses.append((await deliver(app)).status)
        statuses.append((await ask(app, "GET", "/readyz")).status)

    with caplog.at_level(logging.INFO, "gateway.web"):
        heard, left = live(disk, during)

    assert statuses == [200, 200]
    assert disk.calls == ["start", "stop"]
    assert heard == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert left == []
    said = {(record.levelname, record.message) for record in caplog.records}
    assert {("ERROR", "web.storage_unavailable"), ("INFO", "web.storage_available")} <= said


def test_a_database_that_opens_and_must_not_be_used_ends_the_process_with_the_reason(
    disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    disk.problem = DatabaseRefused("it is another installation's")

    async def during(app: Waiting) -> None:
        await until(lambda: "web.start_failed" in caplog.messages)

    _, left = live(disk, during)

    assert left == [1]
