"""The ASGI application that `serve` runs: it reads every body, answers webhooks itself, and gives Flask the rest.

Bodies are read on the event loop, so that a slow one holds no thread. A webhook never leaves the loop: it is
verified, queued for the intake writer, and answered when that has committed.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import lru_cache, partial
from typing import Any

from a2wsgi import WSGIMiddleware
from flask import Flask

from gateway.domain.model import Delivery
from gateway.errors import StorageUnavailable
from gateway.flow.receive import Done, too_much_at_once
from gateway.logs import log_event
from gateway.store.inbox import Incoming
from gateway.web import errors, health, webhooks
from gateway.web.bodies import BODY_SECONDS, Bodies, Gone, Message, Receive, Refused
from gateway.web.errors import Answer
from gateway.web.parts import WebParts

Scope = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]
RawHeaders = Iterable[tuple[bytes, bytes]]

SHUTDOWN_SECONDS = 25.0

COMMON_HEADERS = [
    (b"content-type", b"application/json"),
    *((name.encode(), value.encode()) for name, value in errors.SECURITY_HEADERS),
]


def create_front(
    parts: WebParts,
    flask_app: Flask,
    on_startup: Callable[[], None] | None = None,
    on_shutdown: Callable[[], None] | None = None,
    *,
    body_seconds: float = BODY_SECONDS,
    shutdown_seconds: float = SHUTDOWN_SECONDS,
    leave: Callable[[int], Any] = os._exit,
) -> Asgi:
    """The application for `serve`.

    on_startup, on_shutdown: called once each, in the worker process: before the first request, after the last.
    leave: how the process is left when on_shutdown takes longer than `shutdown_seconds`.
    """
    return Front(parts, flask_app, Life(parts, on_startup, on_shutdown, shutdown_seconds, leave), body_seconds)


class Life:
    """Start and stop of the worker process, as the server announces them."""

    def __init__(
        self,
        parts: WebParts,
        on_startup: Callable[[], None] | None,
        on_shutdown: Callable[[], None] | None,
        shutdown_seconds: float,
        leave: Callable[[int], Any],
    ) -> None:
        self._log = parts.log
        self._on_startup = on_startup
        self._on_shutdown = on_shutdown
        self._shutdown_seconds = shutdown_seconds
        self._leave = leave

    async def __call__(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            if self._on_startup is not None:
                self._on_startup()
        except Exception as error:
            self._log.critical("web.start_failed", extra={"fields": {"reason": str(error)}}, exc_info=error)
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _stop(self) -> None:
        if self._on_shutdown is None:
            return
        try:
            async with asyncio.timeout(self._shutdown_seconds):
                await asyncio.to_thread(self._on_shutdown)
        except TimeoutError:
            # What hangs is a provider call: its attempt is in the database, and its lease runs out.
            log_event(self._log, "web.stopped_late", logging.WARNING, seconds=self._shutdown_seconds)
            self._leave(0)
        except Exception as error:
            self._log.error("web.stop_failed", exc_info=error)


class Front:
    def __init__(self, parts: WebParts, flask_app: Flask, life: Life, body_seconds: float) -> None:
        self._parts = parts
        self._life = life
        self._flask = WSGIMiddleware(flask_app.wsgi_app, workers=parts.threads)  # type: ignore[arg-type]
        self._bodies = Bodies(body_seconds)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._answers: deque[tuple[asyncio.Future[Answer], Answer]] = deque()
        self._verified: list[tuple[Incoming, Done]] = []
        parts.intake.ring_after_batch(self._ring)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._life(receive, send)
            return
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        path: str = scope["path"]
        if path.startswith(webhooks.PREFIX):
            work = self._webhook(scope, receive, send, path[len(webhooks.PREFIX) :])
        elif path == "/healthz" and scope["method"] in ("GET", "HEAD"):
            work = send_answer(send, scope, health.LIVE)
        else:
            work = self._other(scope, receive, send)
        try:
            await work
        except Refused as refused:
            await send_answer(send, scope, refused.answer)
        except Gone:
            # Half a body, and perhaps somebody who still listens; the server would answer 500 for us.
            with suppress(Exception):
                await send_answer(send, scope, errors.error_answer("body_incomplete"))

    # --- webhooks, on the loop ---------------------------------------------------------------------------------------

    async def _webhook(self, scope: Scope, receive: Receive, send: Send, source: str) -> None:
        if not source or "/" in source:
            raise Refused(errors.error_answer("not_found"))
        if scope["method"] != "POST":
            raise Refused(errors.method_not_allowed(["POST"]))
        headers = _text_headers(scope["headers"])
        refused = webhooks.admit(self._parts, source, headers)
        if refused is not None:
            raise Refused(refused)
        body = await self._bodies.read(receive, headers.get("content-length"))
        try:
            peer = (scope.get("client") or ("",))[0]
            answer = await self._answer(Delivery(source, headers, body, self._parts.clock.now_ms(), peer))
        except StorageUnavailable as error:
            # A sandbox's clock is in the database, and could not be read.
            answer = errors.not_stored(error)
            self._parts.log.error("web.storage_unavailable", extra={"fields": {"reason": str(error)}})
        except Exception as error:
            answer = errors.error_answer("internal_error")
            self._parts.log.error(
                "request.failed", extra={"fields": {"request_id": answer.request_id}}, exc_info=error
            )
        finally:
            self._bodies.room.give_back(len(body))
        await send_answer(send, scope, answer)

    async def _answer(self, delivery: Delivery) -> Answer:
        assert self._loop is not None
        future: asyncio.Future[Answer] = self._loop.create_future()
        answer = webhooks.take(self._parts, delivery, partial(self._keep, future), self._submit_soon)
        return await future if answer is None else answer

    def _submit_soon(self, incoming: Incoming, done: Done) -> None:
        """Hand over what is verified in one turn of the loop together: the writer wakes once, and finds a batch."""
        assert self._loop is not None
        if self._parts.intake.is_full:
            raise too_much_at_once()
        if not self._verified:
            self._loop.call_soon(self._submit)
        self._verified.append((incoming, done))

    def _submit(self) -> None:
        verified, self._verified = self._verified, []
        for incoming, done in verified:
            try:
                self._parts.intake.submit(incoming, done)
            except Exception as error:
                # Whatever it was: nobody may wait for an answer that never comes.
                done(error)
        self._give_out()

    def _keep(self, future: asyncio.Future[Answer], answer: Answer) -> None:
        """In the writer's thread: keep an answer until the batch is done, so that the loop is woken once for all."""
        self._answers.append((future, answer))

    def _ring(self) -> None:
        if self._answers and self._loop is not None:
            self._loop.call_soon_threadsafe(self._give_out)

    def _give_out(self) -> None:
        while self._answers:
            future, answer = self._answers.popleft()
            if not future.done():
                future.set_result(answer)

    # --- everything else, in Flask -----------------------------------------------------------------------------------

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = _text_headers(scope["headers"])
        if not scope["query_string"].isascii():
            raise Refused(errors.error_answer("bad_request"))
        body = await self._bodies.read(receive, headers.get("content-length"))
        is_started = False

        async def watched_send(message: Message) -> None:
            nonlocal is_started
            is_started = True
            await send(message)

        try:
            await self._flask(_whole(scope, body), _once(body), watched_send)  # type: ignore[arg-type]
        except Exception as error:
            answer = errors.error_answer("internal_error")
            self._parts.log.error(
                "request.failed", extra={"fields": {"request_id": answer.request_id}}, exc_info=error
            )
            if is_started:
                raise
            await send_answer(send, scope, answer)
        finally:
            self._bodies.room.give_back(len(body))


def _text_headers(raw: RawHeaders) -> dict[str, str]:
    """Headers by lower-case name; a repeated one is joined by commas, as every WSGI server does."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


def _whole(scope: Scope, body: bytes) -> Scope:
    """The scope of a request whose body is complete. A name with `_` would pass for one with `-` in WSGI: dropped."""
    headers = [
        (name, value)
        for name, value in scope["headers"]
        if name not in (b"content-length", b"transfer-encoding") and b"_" not in name
    ]
    return {**scope, "headers": [*headers, (b"content-length", b"%d" % len(body))]}


def _once(body: bytes) -> Receive:
    messages = deque([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Message:
        return messages.popleft() if messages else {"type": "http.disconnect"}

    return receive


async def send_answer(send: Send, scope: Scope, answer: Answer) -> None:
    await send(_start(answer) if answer.status == 200 else _new_start(answer))
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})


def _new_start(answer: Answer) -> Message:
    return {
        "type": "http.response.start",
        "status": answer.status,
        "headers": [
            *COMMON_HEADERS,
            (b"content-length", b"%d" % len(answer.body)),
            *((name.encode(), value.encode()) for name, value in answer.headers),
        ],
    }


_start = lru_cache(maxsize=256)(_new_start)
