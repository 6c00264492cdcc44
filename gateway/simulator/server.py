"""The world as a process: a small threaded HTTP/1.1 server on loopback that can also misbehave.

    python -m gateway.simulator.server --port 0 --var var
    python -m gateway.simulator.server --port 0 --memory            nothing on disk; the address on standard output

It exists because no ordinary server can drop a connection after the effect, trickle a body or stop half-way. With
`--var` the process is the one world of that folder: it holds `world.lock`, writes `world.json`, keeps its state in
`world-state.json`, and leaves when `world.json` is gone or names another world. Without `--var` it leaves with the
process that started it.
"""

from __future__ import annotations

import argparse
import fcntl
import io
import json
import os
import signal
import socket
import socketserver
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from gateway.simulator.address import WorldAddress, ensure_world, stop_world
from gateway.simulator.wire import WIRE_KEY, Wire
from gateway.simulator.world import World

__all__ = ["Server", "WorldAddress", "ensure_world", "main", "stop_world"]

_LARGEST_BODY = 16 * 1024 * 1024
_WATCH_SECONDS = 0.2
_TRICKLE_PIECES = 200


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Serves one world; `url` says where. One thread a connection."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 256
    block_on_close = False

    def __init__(self, world: World, port: int = 0, host: str = "127.0.0.1") -> None:
        self.world = world
        super().__init__((host, port), _Connection)

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"

    def start(self) -> Server:
        """Serve in a thread of this process, for tests; `shutdown()` and `server_close()` end it."""
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that vanish are everyday here; anything else is a bug and shown."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handle_error(request, client_address)


class _Cut(Exception):
    """The connection ends here."""


class _Connection(socketserver.BaseRequestHandler):
    server: Server
    request: socket.socket

    def handle(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = self.request.makefile("rb", 65536)
        try:
            while self._exchange():
                pass
        except (_Cut, OSError):
            return

    def finish(self) -> None:
        self._read.close()

    def _exchange(self) -> bool:
        """One request and its answer; False when the connection is to be closed."""
        environ = self._environ()
        if environ is None:
            return False
        head: list[str] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            head.append(f"HTTP/1.1 {status}\r\n")
            head.extend(f"{name}: {value}\r\n" for name, value in headers)

        world = self.server.world
        with world.open_calls.count(world.operation(environ["REQUEST_METHOD"], environ["PATH_INFO"])):
            body = b"".join(world.wsgi(environ, start_response))
            wire = environ[WIRE_KEY]
            if wire is not None and wire.wait_seconds:
                self._wait(wire.wait_seconds)
        keep = environ["gateway.keep"]
        head.append("Connection: keep-alive\r\n\r\n" if keep else "Connection: close\r\n\r\n")
        if wire is None:
            self.request.sendall("".join(head).encode("latin-1") + body)
            return bool(keep)
        self._misbehave(wire, "".join(head).encode("latin-1"), body)
        return bool(keep)

    def _environ(self) -> dict[str, Any] | None:
        line = self._read.readline(65537)
        while line in (b"\r\n", b"\n"):
            line = self._read.readline(65537)
        parts = line.split()
        if len(parts) != 3:
            return None
        method, target, version = (part.decode("latin-1") for part in parts)
        path, _, query = target.partition("?")
        if "%" in path:
            path = unquote(path)
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "SERVER_PROTOCOL": version,
            "wsgi.url_scheme": "http",
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            WIRE_KEY: None,
        }
        while (line := self._read.readline(65537)) not in (b"\r\n", b"\n"):
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon:
                return None
            environ[f"HTTP_{name.upper().replace('-', '_')}"] = value.strip()
        environ["CONTENT_TYPE"] = environ.get("HTTP_CONTENT_TYPE", "")
        if environ.get("HTTP_EXPECT", "").lower() == "100-continue":
            self.request.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = self._body(environ)
        environ["CONTENT_LENGTH"] = str(len(body))
        environ["wsgi.input"] = io.BytesIO(body)
        connection = environ.get("HTTP_CONNECTION", "").lower()
        environ["gateway.keep"] = "close" not in connection and (version == "HTTP/1.1" or "keep-alive" in connection)
        return environ

    def _body(self, environ: dict[str, Any]) -> bytes:
        if "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower():
            chunks = []
            while size := int(self._read.readline(1024).split(b";")[0], 16):
                chunks.append(self._exactly(size))
                self._read.readline(1024)
            while self._read.readline(65537) not in (b"\r\n", b"\n", b""):
                pass
            return b"".join(chunks)
        return self._exactly(int(environ.get("HTTP_CONTENT_LENGTH") or 0))

    def _exactly(self, length: int) -> bytes:
        if length > _LARGEST_BODY:
            raise _Cut
        body = self._read.read(length) if length else b""
        if len(body) < length:
            # The client was cut off while sending: such a request never arrived.
            raise _Cut
        return body

    def _misbehave(self, wire: Wire, head: bytes, body: bytes) -> None:
        if wire.drop:
            if wire.reset:
                self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise _Cut
        if not wire.trickle_seconds:
            self.request.sendall(head + body[: len(body) // 2 if wire.truncate else None])
        else:
            self.request.sendall(head)
            size = max(1, len(body) // _TRICKLE_PIECES)
            for start in range(0, len(body), size):
                self._wait(wire.trickle_seconds * size / len(body))
                self.request.sendall(body[start : start + size])
        if wire.truncate:
            raise _Cut

    def _wait(self, seconds: float) -> None:
        """Wait, but not for a client that has gone."""
        self.request.settimeout(seconds)
        try:
            if not self.request.recv(1, socket.MSG_PEEK):
                raise _Cut
            # The client has sent more, without waiting for the answer: let the time pass all the same.
            time.sleep(seconds)
        except TimeoutError:
            pass
        finally:
            self.request.settimeout(None)


def main(arguments: list[str] | None = None) -> int:
    """Run until told to leave. Status 0; 3 when the folder has a world already."""
    options = _parse(arguments)
    var: Path | None = options.var
    lock = _lock(var) if var else None
    if var is not None and lock is None:
        return 3
    state = options.state or (None if options.memory or var is None else var / "world-state.json")
    given = sys.stdin.read() if options.options == "-" else options.options
    world = World(state_path=state, **json.loads(given))
    server = _listen(world, options.port, var)
    # Before anybody learns the address: who reads it may be gone a moment later.
    parent = os.getppid()
    address = {"url": server.url, "id": world.id, "pid": os.getpid()}
    leave = threading.Event()
    world.on_leave = leave.set
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: leave.set())
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
    if var is not None:
        _publish(var / "world.json", address)
    else:
        sys.stdout.write(json.dumps(address) + "\n")
        sys.stdout.flush()
    while not leave.wait(_WATCH_SECONDS):
        if var is not None and not _is_ours(var / "world.json", world.id):
            break
        if var is None and os.getppid() != parent:
            break
    world.holds.clear()
    world.close()
    if var is not None and _is_ours(var / "world.json", world.id):
        (var / "world.json").unlink(missing_ok=True)
    # Threads may still be hanging on purpose; nothing is left to save.
    os._exit(0)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m gateway.simulator.server", description=__doc__.split("\n")[0])
    parser.add_argument("--port", type=int, default=0, help="0: the one used before if it is free, else any")
    parser.add_argument("--var", type=Path, help="be the one world of this folder")
    parser.add_argument("--state", type=Path, help="keep the state in this file instead of <var>/world-state.json")
    parser.add_argument("--memory", action="store_true", help="keep no state at all")
    parser.add_argument("--options", default="{}", help="arguments of World as JSON; -: from standard input")
    return parser.parse_args(arguments)


def _lock(var: Path, wait_seconds: float = 3.0) -> int | None:
    """The folder's lock, held for life; None when another world keeps it. A leaving one gets a moment."""
    var.mkdir(parents=True, exist_ok=True)
    handle = os.open(var / "world.lock", os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return handle
        except OSError:
            if (var / "world.json").exists() or time.monotonic() > deadline:
                os.close(handle)
                return None
            time.sleep(0.02)


def _listen(world: World, port: int, var: Path | None) -> Server:
    """On the asked port; with 0 on the one this folder's world had before, so that its clients find it again."""
    before = var / "world.port" if var else None
    ports = [port]
    if port == 0 and before is not None and before.exists() and before.read_text().isdigit():
        ports = [int(before.read_text()), 0]
    for number in ports:
        try:
            server = Server(world, number)
            break
        except OSError:
            if number == ports[-1]:
                raise
    if before is not None:
        before.write_text(server.url.rpartition(":")[2])
    return server


def _publish(path: Path, address: dict[str, Any]) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(address))
    os.replace(fresh, path)


def _is_ours(path: Path, world_id: str) -> bool:
    try:
        return bool(json.loads(path.read_text())["id"] == world_id)
    except (OSError, ValueError, KeyError):
        return False


if __name__ == "__main__":
    sys.exit(main())
