"""Start and stop of the worker process, as a server announces them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from gateway.web import WebParts, create_app
from gateway.web.front import create_front


def live(
    parts: WebParts,
    on_startup: Callable[[], None] | None = None,
    on_shutdown: Callable[[], None] | None = None,
    **options: Any,
) -> list[str]:
    """The messages that an application answers with when it is started and stopped."""
    app = create_front(parts, create_app(parts), on_startup, on_shutdown, **options)
    told = iter(["lifespan.startup", "lifespan.shutdown"])
    answers: list[str] = []

    async def receive() -> dict[str, Any]:
        return {"type": next(told)}

    async def send(message: dict[str, Any]) -> None:
        answers.append(message["type"])

    async def run() -> None:
        await app({"type": "lifespan"}, receive, send)

    asyncio.run(run())
    return answers


def test_each_hook_is_called_once_in_order(parts: WebParts) -> None:
    calls: list[str] = []

    answers = live(parts, lambda: calls.append("start"), lambda: calls.append("stop"))

    assert calls == ["start", "stop"]
    assert answers == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_hooks_may_be_left_out(parts: WebParts) -> None:
    assert live(parts) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_a_start_that_fails_is_said_and_nothing_is_served(parts: WebParts, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise RuntimeError("the database is damaged")

    assert live(parts, fail) == ["lifespan.startup.failed"]

    assert "web.start_failed" in caplog.messages


def test_a_stop_that_fails_is_logged_and_the_process_leaves_all_the_same(
    parts: WebParts, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise RuntimeError("no")

    assert live(parts, None, fail)[-1] == "lifespan.shutdown.complete"

    assert "web.stop_failed" in caplog.messages


def test_a_stop_that_hangs_ends_the_process_when_its_time_is_over(parts: WebParts) -> None:
    released = threading.Event()
    left: list[int] = []

    def leave(status: int) -> None:
        left.append(status)
        released.set()

    def hang() -> None:
        released.wait(10)

    live(parts, None, hang, shutdown_seconds=0.05, leave=leave)

    assert left == [0]
