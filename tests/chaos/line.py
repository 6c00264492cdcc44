"""The line between a gateway and its database: it can be cut, fall silent, and lose what matters most.

The nastiest loss is the answer to a COMMIT: it is stored and nobody knows. The same error is seen when the COMMIT
itself was lost, and nothing is stored. Both happen here, at random, at any COMMIT of any process.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from random import Random
from typing import Any

COMMIT = b"COMMIT\0"
# The end of every answer, before one byte that says whether a transaction is open.
READY = b"Z\0\0\0\x05"
WAYS = ("lost before", "answer lost", "lost around")


class Link:
    """One connection of a client, and ours to the server on its behalf."""

    def __init__(
        self, client: tuple[asyncio.StreamReader, asyncio.StreamWriter], server: tuple[Any, asyncio.StreamWriter]
    ) -> None:
        self.client, self.to_client = client
        self.server, self.to_server = server
        self.swallows = False

    def cut(self) -> None:
        for writer in (self.to_client, self.to_server):
            writer.transport.abort()


class Line:
    """Listens on `port` and passes everything on to the server, in a thread of its own."""

    def __init__(self, host: str, port: int, seed: str) -> None:
        """host, port: of the server."""
        self.counts: Counter[str] = Counter()
        # How likely a COMMIT is to be lost on its way, or its answer; and in which of these ways.
        self.loses_commits = 0.0
        self.ways: Sequence[str] = WAYS
        self._address = host, port
        self._random = Random(f"{seed}/line")
        self._is_cut = False
        self._links: set[Link] = set()
        self._loop = asyncio.new_event_loop()
        self._is_open = asyncio.Event()
        self._is_open.set()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._server = self._do(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]

    # --- what can happen to it ---------------------------------------------------------------------------------------

    def cut(self) -> None:
        """Break every connection, and take no new one until `mend`."""
        self._is_cut = True
        self._do(self._cut_all())

    def fall_silent(self) -> None:
        """Nothing passes either way until `mend`; nobody is told."""
        self._do(self._set_open(False))

    def mend(self) -> None:
        self._is_cut = False
        self._do(self._set_open(True))

    def close(self) -> None:
        self.cut()
        self._server.close()
        self._do(self._set_open(True))
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _cut_all(self) -> None:
        for link in self._links:
            link.cut()

    async def _set_open(self, is_open: bool) -> None:
        if is_open:
            self._is_open.set()
        else:
            self._is_open.clear()

    # --- passing on --------------------------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._is_open.wait()
        try:
            link = Link((reader, writer), await asyncio.open_connection(*self._address))
        except OSError:
            writer.transport.abort()
            return
        self._links.add(link)
        if not self._is_cut:
            await asyncio.gather(self._to_server(link), self._to_client(link))
        self._links.discard(link)
        link.cut()

    async def _to_server(self, link: Link) -> None:
        with suppress(OSError):
            while data := await link.client.read(65536):
                await self._is_open.wait()
                # What the gateway says is short and said at once, so a COMMIT ends what is read here.
                fate = self._fate() if data.endswith(COMMIT) else None
                if fate == "lost before":
                    break
                link.swallows = fate == "answer lost"
                link.to_server.write(data)
                await link.to_server.drain()
                if fate == "lost around":
                    break
        link.cut()

    async def _to_client(self, link: Link) -> None:
        with suppress(OSError):
            while data := await link.server.read(65536):
                await self._is_open.wait()
                if not link.swallows:
                    link.to_client.write(data)
                    await link.to_client.drain()
                elif data[-6:-1] == READY:
                    break
        link.cut()

    def _fate(self) -> str | None:
        if self._random.random() >= self.loses_commits:
            return None
        fate = self._random.choice(self.ways)
        self.counts[f"commits {fate}"] += 1
        return fate
