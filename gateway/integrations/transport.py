"""How request bytes reach a provider: a `requests` transport adapter that keeps one deadline and knows what was sent.

Why not the adapter that comes with `requests`: its timeouts are per read, so a server that sends one byte a second
outlives them; it cannot say whether a request byte had left; and nothing of it can be asked to look at the clock
between a finished handshake and the first byte, where a process that was stopped must not send a stale purchase.
TLS, certificates and the reading of answers are the standard library's. One adapter belongs to one thread.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import io
import socket
import ssl
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any
from urllib.parse import SplitResult, urlsplit

import certifi
import requests
from requests.adapters import BaseAdapter
from urllib3.util.wait import wait_for_read

from gateway.integrations.plain_answer import LARGEST_ANSWER_BYTES, WholeResponse, plain_head
from gateway.ports import Clock, Deadline

# Common servers drop an idle connection after 5 s (Node.js) or more; a write on one that is just being dropped would
# be an unclear purchase, a new handshake is cheap.
KEEP_IDLE_SECONDS = 4.0


class TimeLimit(float):
    """Seconds left, as any `requests` adapter understands it, that still knows the deadline it was made from."""

    deadline: Deadline
    clock: Clock

    @classmethod
    def until(cls, deadline: Deadline, clock: Clock) -> TimeLimit:
        limit = cls(max(0.001, deadline.at_monotonic - clock.monotonic()))
        limit.deadline = deadline
        limit.clock = clock
        return limit

    def left(self) -> float:
        """Seconds left by the monotonic clock; zero or less when none."""
        return self.deadline.at_monotonic - self.clock.monotonic()

    def is_over(self) -> bool:
        """Whether nothing may be sent any more; by either clock: one may have stood still while the machine slept."""
        return self.left() <= 0 or self.clock.now_ms() >= self.deadline.at_ms or self.deadline.is_void()


class NotSent(requests.exceptions.ConnectionError):
    """Not one byte of the request was handed to the socket. `reason` is a word of ours."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Untrusted(NotSent):
    """The other side could not prove by its certificate who it is; nothing was sent."""


class Broken(requests.exceptions.ConnectionError):
    """The request was handed to the socket, at least in part, and no complete answer came back in time.

    status: of the answer, where its first line had arrived.
    """

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class DeadlineAdapter(BaseAdapter):
    """Sends one request at a time over one kept connection per origin. Never redirects, never repeats."""

    def __init__(self, ca_file: str | None = None) -> None:
        """ca_file: certificates to trust instead of certifi's. Verification cannot be turned off."""
        super().__init__()
        self._ca_file = ca_file
        self._kept: dict[tuple[str, str], _Connection] = {}

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: float | tuple[float, float] | tuple[float, None] | None = None,
        verify: bool | str = True,
        cert: bytes | str | tuple[bytes | str, bytes | str] | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """One attempt, complete answer included. Raises NotSent, Untrusted or Broken; nothing else."""
        if not isinstance(timeout, TimeLimit):
            raise NotSent("no_deadline")
        url = urlsplit(request.url or "")
        message = _encode(request, url)
        connection = self._connection(url, timeout)
        # The connection returns to its place only after a complete answer that leaves nothing behind it:
        # a later request must never read what belongs to an earlier one.
        try:
            connection.send(message, timeout)
        except NotSent:
            self._keep(url, connection, timeout)
            raise
        except BaseException:
            connection.close()
            raise
        try:
            response, reusable = connection.receive(request.method or "GET", timeout)
        except BaseException:
            connection.close()
            raise
        if reusable:
            self._keep(url, connection, timeout)
        else:
            connection.close()
        response.request = request
        response.url = request.url or ""
        return response

    def close(self) -> None:
        for origin in list(self._kept):
            kept = self._kept.pop(origin, None)
            if kept is not None:
                kept.close()

    def __del__(self) -> None:
        self.close()

    def _connection(self, url: SplitResult, limit: TimeLimit) -> _Connection:
        kept = self._kept.pop((url.scheme, url.netloc), None)
        if kept is not None:
            if kept.is_fit(limit.clock.monotonic()):
                return kept
            kept.close()
        return _Connection(_open(url, limit, self._ca_file))

    def _keep(self, url: SplitResult, connection: _Connection, limit: TimeLimit) -> None:
        connection.idle_since = limit.clock.monotonic()
        self._kept[url.scheme, url.netloc] = connection


class _Connection:
    """An open socket, and the one reader through which all its answers are read."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._bytes = _TimedBytes(sock)
        self._reader = _Reader(self._bytes)
        self.idle_since = 0.0

    def makefile(self, _mode: str) -> io.BufferedReader:
        """What `http.client.HTTPResponse` asks of a socket."""
        return self._reader

    def is_fit(self, now: float) -> bool:
        """Whether it may carry another request: young, and with nothing to read, not even its end."""
        unread = isinstance(self._sock, ssl.SSLSocket) and self._sock.pending() > 0
        return not unread and now - self.idle_since < KEEP_IDLE_SECONDS and not wait_for_read(self._sock, timeout=0)

    def send(self, message: bytes, limit: TimeLimit) -> None:
        """Hand over the whole request in one call, or nothing at all when the deadline has passed."""
        seconds = limit.left()
        if seconds > 0:
            self._sock.settimeout(seconds)
        if limit.is_over():
            raise NotSent("deadline_passed")
        try:
            self._sock.sendall(message)
        except Exception as exc:
            raise Broken(_reason(exc)) from None

    def receive(self, method: str, limit: TimeLimit) -> tuple[requests.Response, bool]:
        """The complete answer, and whether the connection may be used again."""
        self._bytes.limit = limit
        status = None
        try:
            head = plain_head(self._reader.peek(1)) if method != "HEAD" else None
            if head is None:
                return self._receive_any(method)
            status = head.status
            self._reader.read(head.bytes)
            body = self._reader.read(head.body_bytes)
        except Broken:
            raise
        except Exception as exc:
            raise Broken(_reason(exc), status) from None
        if len(body) < head.body_bytes:
            raise Broken("truncated", status)
        return WholeResponse(head.status, head.headers, body), not (head.closes or self._has_leftover())

    def _receive_any(self, method: str) -> tuple[requests.Response, bool]:
        """An answer of any shape, as the standard library reads it."""
        answer = http.client.HTTPResponse(self, method=method)  # type: ignore[arg-type]
        status = None
        try:
            answer.begin()
            status, expected = answer.status, answer.length
            body = answer.read(LARGEST_ANSWER_BYTES + 1)
        except Exception as exc:
            raise Broken(_reason(exc), status) from None
        if len(body) > LARGEST_ANSWER_BYTES:
            raise Broken("answer_too_large", status)
        if expected is not None and len(body) < expected:
            raise Broken("truncated", status)
        reusable = answer.isclosed() and not answer.will_close and not self._has_leftover()
        return WholeResponse(status, answer.headers.items(), body), reusable

    def _has_leftover(self) -> bool:
        self._bytes.limit = None
        return bool(self._reader.peek(1))

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.close()


class _TimedBytes(io.RawIOBase):
    """Bytes from a socket, each read bounded by what is left of the deadline; none without a limit."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.limit: TimeLimit | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self.limit is None:
            return 0
        seconds = self.limit.left()
        if seconds <= 0:
            raise TimeoutError
        self._sock.settimeout(seconds)
        return self._sock.recv_into(buffer)


class _Reader(io.BufferedReader):
    """Outlives the answers read from it: what an answer leaves behind must be seen, not thrown away."""

    def close(self) -> None:
        pass


def _encode(request: requests.PreparedRequest, url: SplitResult) -> bytes:
    """Head and body as one message. Raises NotSent for anything that could break out of its line."""
    target = f"{url.path or '/'}?{url.query}" if url.query else url.path or "/"
    lines = [f"{request.method} {target} HTTP/1.1", f"Host: {url.netloc}"]
    lines += [f"{name}: {_text(value)}" for name, value in request.headers.items()]
    head = "\r\n".join(lines)
    body = request.body or b""
    if isinstance(body, str):
        body = body.encode()
    if not isinstance(body, bytes) or "@" in url.netloc or " " in target:
        raise NotSent("request_malformed")
    if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1 or "\0" in head:
        raise NotSent("request_malformed")
    try:
        return f"{head}\r\n\r\n".encode("ascii") + body
    except UnicodeEncodeError:
        raise NotSent("request_malformed") from None


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


def _open(url: SplitResult, limit: TimeLimit, ca_file: str | None) -> socket.socket:
    """Look up, connect, shake hands. Everything that goes wrong here is NotSent."""
    host = url.hostname or ""
    try:
        sock = _connect(host, url.port or (443 if url.scheme == "https" else 80), limit)
    except ValueError:
        raise NotSent("request_malformed") from None
    if url.scheme != "https":
        return sock
    try:
        sock.settimeout(max(0.001, limit.left()))
        return _trusting(ca_file or certifi.where()).wrap_socket(sock, server_hostname=host)
    except ssl.SSLCertVerificationError:
        sock.close()
        raise Untrusted("certificate_untrusted") from None
    except (OSError, ValueError) as exc:
        sock.close()
        raise NotSent("handshake_" + _reason(exc)) from None


def _connect(host: str, port: int, limit: TimeLimit) -> socket.socket:
    """The first address that answers; the time left is shared among those still to be tried."""
    reason = "deadline_passed"
    addresses = _addresses(host, port, limit)
    for position, (family, kind, protocol, _, address) in enumerate(addresses):
        seconds = limit.left() / (len(addresses) - position)
        if seconds <= 0:
            break
        sock = None
        try:
            sock = socket.socket(family, kind, protocol)
            sock.settimeout(seconds)
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as exc:
            if sock is not None:
                sock.close()
            reason = "connect_" + _reason(exc)
        else:
            return sock
    raise NotSent(reason)


Addresses = Sequence[tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]]
_lookups: dict[tuple[str, int], Future[Addresses]] = {}
_lookups_lock = threading.Lock()


def _addresses(host: str, port: int, limit: TimeLimit) -> Addresses:
    """Addresses of a host. A look-up cannot be interrupted, so it runs beside the call, one per host at a time."""
    try:
        return _lookup(host, port).result(timeout=max(0.0, limit.left()))
    except TimeoutError:
        raise NotSent("name_lookup_timeout") from None
    except (OSError, UnicodeError, RuntimeError):
        raise NotSent("name_unknown") from None


def _lookup(host: str, port: int) -> Future[Addresses]:
    key = (host, port)

    def run() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except BaseException as exc:
            forget()
            lookup.set_exception(exc)
        else:
            forget()
            lookup.set_result(found)

    def forget() -> None:
        with _lookups_lock:
            _lookups.pop(key, None)

    with _lookups_lock:
        if key in _lookups:
            return _lookups[key]
        lookup: Future[Addresses] = Future()
        threading.Thread(target=run, name=f"dns-{host}", daemon=True).start()
        _lookups[key] = lookup
    return lookup


@functools.cache
def _trusting(ca_file: str) -> ssl.SSLContext:
    """Built by hand because `create_default_context` obeys SSLKEYLOGFILE. Certificate and name are always checked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(ca_file)
    return context


def _reason(exc: BaseException) -> str:
    """A word of ours for what went wrong; the exception's own text may quote the other side."""
    for kinds, word in _REASONS:
        if isinstance(exc, kinds):
            return word
    return "failed"


_REASONS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    (TimeoutError, "timeout"),
    (ConnectionRefusedError, "refused"),
    ((http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError), "closed"),
    (http.client.IncompleteRead, "truncated"),
    ((http.client.HTTPException, ValueError), "malformed"),
    (ssl.SSLError, "tls"),
    (OSError, "network"),
)
