"""Read bodies on the event loop, none too large, none too slow, and never too many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import takewhile
from typing import Any

from gateway.web import errors
from gateway.web.errors import Answer
from gateway.web.webhooks import MAX_BODY_BYTES

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]

BODY_SECONDS = 10.0
OVERLOADED_RETRY_SECONDS = 2
# A body of 1 MiB comes in some hundred pieces; one in a million pieces is sent to keep us busy.
MAX_PIECES = 4096


class Refused(Exception):
    """The body will not be read to its end; `answer` says why."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.code)
        self.answer = answer


class Gone(Exception):
    """The client went away before its body was complete: nobody is left to answer, and nothing is to be stored."""


class Room:
    """How many bytes of bodies may be held at once, 64 MiB in all.

    The first 16 KiB of every body have a quarter of it to themselves: most webhooks need no more, and so a few dozen
    large bodies that never end cannot shut them out.
    """

    SMALL_BYTES = 16 * 1024

    def __init__(self, total_bytes: int = 64 * 1024 * 1024) -> None:
        self._small_left = total_bytes // 4
        self._large_left = total_bytes - self._small_left

    def take(self, held_bytes: int, more_bytes: int) -> bool:
        """Make room for more of a body of which `held_bytes` are held; False when there is none."""
        small, large = self._split(held_bytes, more_bytes)
        if small > self._small_left or large > self._large_left:
            return False
        self._small_left -= small
        self._large_left -= large
        return True

    def give_back(self, held_bytes: int) -> None:
        small, large = self._split(0, held_bytes)
        self._small_left += small
        self._large_left += large

    def _split(self, held_bytes: int, more_bytes: int) -> tuple[int, int]:
        small = min(more_bytes, max(0, self.SMALL_BYTES - held_bytes))
        return small, more_bytes - small


class Patience:
    """Ends whoever reads a body for longer than `seconds`: one timer for all, since hardly anybody ever does."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[asyncio.Task[Any], float] = {}
        self._over: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> asyncio.Task[Any]:
        """From now on this task may be cancelled, until it says `end`."""
        task = asyncio.current_task()
        assert task is not None
        loop = task.get_loop()
        self._since[task] = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(self._seconds / 20, self._look, loop)
        return task

    def is_over(self, task: asyncio.Task[Any]) -> bool:
        """Whether this task was cancelled because its time was over."""
        return task in self._over

    def end(self, task: asyncio.Task[Any]) -> None:
        """From now on this task is left alone; a cancellation of ours is taken back."""
        self._since.pop(task, None)
        if task in self._over:
            self._over.discard(task)
            task.uncancel()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        # In the order they began, so that the first who still has time is the last to look at.
        over = loop.time() - self._seconds
        for task in list(takewhile(lambda task: self._since[task] <= over, self._since)):
            del self._since[task]
            self._over.add(task)
            task.cancel()
        self._timer = loop.call_later(self._seconds / 20, self._look, loop) if self._since else None


class Bodies:
    """Reads whole bodies. Whoever got one gives its room back when it is answered."""

    def __init__(self, seconds: float = BODY_SECONDS) -> None:
        self.room = Room()
        self._patience = Patience(seconds)

    async def read(self, receive: Receive, announced: str | None) -> bytes:
        """The whole body, for which room is held until it is given back; `announced` is its Content-Length.

        Raises Refused (too large, too slow, no room, not as long as announced) and Gone.
        """
        length = announced_bytes(announced)
        body = b""
        more: bytearray | None = None
        held = pieces = 0
        is_whole = False
        task = self._patience.begin()
        try:
            while held != length:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Gone
                piece: bytes = message.get("body", b"")
                self._make_room(held, len(piece), pieces)
                held += len(piece)
                pieces += 1
                if pieces == 1:
                    body = piece
                else:
                    more = bytearray(body) if more is None else more
                    more += piece
                if not message.get("more_body", False):
                    break
            is_whole = length is None or held == length
        except asyncio.CancelledError:
            if not self._patience.is_over(task):
                raise
            raise Refused(errors.error_answer("body_too_slow", headers=(("connection", "close"),))) from None
        finally:
            self._patience.end(task)
            if not is_whole:
                self.room.give_back(held)
        if not is_whole:
            raise Refused(errors.error_answer("body_incomplete"))
        return body if more is None else bytes(more)

    def _make_room(self, held: int, size: int, pieces: int) -> None:
        if held + size > MAX_BODY_BYTES:
            raise Refused(errors.error_answer("body_too_large"))
        if pieces >= MAX_PIECES:
            raise Refused(errors.error_answer("bad_request"))
        if not self.room.take(held, size):
            raise Refused(errors.overloaded(OVERLOADED_RETRY_SECONDS))


def announced_bytes(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdigit():
        raise Refused(errors.error_answer("bad_request"))
    if len(text) > 18 or int(text) > MAX_BODY_BYTES:
        raise Refused(errors.error_answer("body_too_large"))
    return int(text)
