"""`serve` while its database cannot be opened: every sender is told to come again, until it can.

A file system that is read-only, a full disk or somebody's lock passes by itself. A process that had ended for it might
not be started again, and nobody would be told why.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from typing import Any

from gateway.errors import StorageUnavailable
from gateway.logs import log_event
from gateway.web import errors, health
from gateway.web.bodies import Message, Receive
from gateway.web.errors import Answer
from gateway.web.front import Asgi, Scope, Send, send_answer
from gateway.web.parts import Readiness

PAUSE_SECONDS = 1.0


class Waiting:
    """The application until the front can be opened; from then on the front itself.

    open_front: tried again and again, in a thread. Anything but StorageUnavailable ends the process by `leave`.
    reason: why it could not be opened so far; shown to anybody who asks.
    """

    def __init__(
        self,
        open_front: Callable[[], Asgi],
        reason: str,
        log: logging.Logger,
        *,
        pause_seconds: float = PAUSE_SECONDS,
        leave: Callable[[int], Any] = os._exit,
    ) -> None:
        self._open_front = open_front
        self._reason = reason
        self._log = log
        self._pause_seconds = pause_seconds
        self._leave = leave
        self._front: Asgi | None = None
        self._for_front: asyncio.Queue[Message] = asyncio.Queue()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        elif self._front is not None:
            await self._front(scope, receive, send)
        else:
            await send_answer(send, scope, self._answer(scope["path"]))

    def _answer(self, path: str) -> Answer:
        if path == "/healthz":
            return health.LIVE
        if path == "/readyz":
            return health.ready(Readiness(unavailable=self._reason))
        return errors.not_stored(None)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The server hears at once that we have started; the front hears of its own start, and of the server's end."""
        start = await receive()
        await send({"type": "lifespan.startup.complete"})
        life = asyncio.create_task(self._open_and_live(scope, start))
        end = await receive()
        if self._front is None:
            life.cancel()
        else:
            await self._for_front.put(end)
            await life
        await send({"type": "lifespan.shutdown.complete"})

    async def _open_and_live(self, scope: Scope, start: Message) -> None:
        try:
            front = await self._opened()
        except Exception as error:
            self._log.critical("web.start_failed", extra={"fields": {"reason": str(error)}}, exc_info=error)
            self._leave(1)
            return
        log_event(self._log, "web.storage_available")
        await self._for_front.put(start)
        self._front = front
        await front(scope, self._for_front.get, self._heed)

    async def _opened(self) -> Asgi:
        while True:
            log_event(self._log, "web.storage_unavailable", logging.ERROR, reason=self._reason)
            await asyncio.sleep(self._pause_seconds)
            try:
                return await asyncio.to_thread(self._open_front)
            except StorageUnavailable as error:
                self._reason = str(error)

    async def _heed(self, message: Message) -> None:
        if message["type"] == "lifespan.startup.failed":
            self._leave(1)
