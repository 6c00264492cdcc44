"""A wire to PostgreSQL that can break: at once, or just when an answer comes back."""

from __future__ import annotations

import contextlib
import socket
import threading
from urllib.parse import urlsplit


class Relay:
    """Listens on loopback and passes everything on. `url` is the database as it is reached through here."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname or "127.0.0.1", parts.port or 5432)
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        self.url = url.replace(parts.netloc, f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{port}")
        self._open: list[socket.socket] = []
        self.is_up = True
        self.accepted = 0
        # What the client says that makes the wire break: before it is passed on, or when the server answers it.
        self.breaks_before: bytes | None = None
        self.breaks_after: bytes | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Every connection breaks; new ones are refused until `is_up` again."""
        self.is_up = False
        self._break_all()

    def blink(self) -> None:
        """Every connection breaks; new ones are fine."""
        self._break_all()

    def close(self) -> None:
        self._listener.close()
        self._break_all()

    def _break_all(self) -> None:
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._open.clear()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if not self.is_up:
                client.close()
                continue
            self.accepted += 1
            server = socket.create_connection(self._server)
            self._open += [client, server]
            asked: list[bool] = []
            threading.Thread(target=self._pass_on, args=(client, server, asked, True), daemon=True).start()
            threading.Thread(target=self._pass_on, args=(server, client, asked, False), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, asked: list[bool], is_client: bool) -> None:
        try:
            while data := source.recv(65_536):
                if is_client and self.breaks_before is not None and self.breaks_before in data:
                    self.breaks_before = None
                    break
                if is_client and self.breaks_after is not None and self.breaks_after in data:
                    self.breaks_after = None
                    asked.append(True)
                elif not is_client and asked:
                    break
                target.sendall(data)
        except OSError:
            pass
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
