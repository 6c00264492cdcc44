"""The transport against real sockets: deadlines that hold against any server, and what was sent when.

The one test file of the clients with sockets and real time: what it is about cannot be seen without them.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import ProviderError, Refused, TryLater, Unclear
from gateway.integrations import transport
from gateway.integrations.http import Http
from gateway.integrations.transport import DeadlineAdapter
from gateway.ports import Deadline
from tests.integrations.providers import (
    AUTH_TOKEN,
    NUMBER,
    PN,
    TAG,
    VAPI_KEY,
    everything_said,
    twilio_client,
    vapi_client,
)

pytestmark = pytest.mark.sockets
# Self-signed for `localhost`, 2020 to 2120; nobody trusts it and its key opens nothing.
CERTIFICATES = Path(__file__).parent / "certificates"
BOUGHT = b'{"sid": "%s", "phone_number": "%s", "friendly_name": "%s"}' % (PN.encode(), NUMBER.encode(), TAG.encode())
EMPTY_LIST = b'{"incoming_phone_numbers": [], "next_page_uri": null}'

Script = Callable[[socket.socket], None]


class RealClock:
    """Real time, with an offset of each clock that a test may move."""

    def __init__(self) -> None:
        self.jumped: Callable[[], tuple[float, float]] = lambda: (0.0, 0.0)

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + round(self.jumped()[1] * 1000)

    def monotonic(self) -> float:
        return time.monotonic() + self.jumped()[0]


class Server:
    """Listens on a free port and plays one script a connection, the last one for all further ones."""

    def __init__(self, *scripts: Script, tls: bool = False) -> None:
        self._scripts = scripts
        self._tls = tls
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.connections = 0
        self.requests: list[bytes] = []
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.listener.close()
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://localhost:{self.port}"

    def read_request(self, sock: socket.socket) -> bytes:
        """One whole request; b"" when the client went away without one."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = sock.recv(65536)
            if not more:
                return b""
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                while len(body) < int(line.split(b":")[1]):
                    body += sock.recv(65536)
        self.requests.append(head + b"\r\n\r\n" + body)
        return self.requests[-1]

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            script = self._scripts[min(self.connections, len(self._scripts) - 1)]
            self.connections += 1
            self._open.append(sock)
            thread = threading.Thread(target=self._play, args=(script, sock), daemon=True)
            thread.start()
            self._threads.append(thread)

    def _play(self, script: Script, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._tls:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(CERTIFICATES / "localhost.pem", CERTIFICATES / "localhost-key.pem")
                sock = context.wrap_socket(sock, server_side=True)
                self._open.append(sock)
            script(sock)
        sock.close()


def answer(status: bytes, body: bytes, *extra: bytes) -> bytes:
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *extra]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def drip(data: bytes) -> Script:
    """Send one byte every 20 ms, for as long as the client stays."""

    def play(sock: socket.socket) -> None:
        sock.recv(65536)
        for position in range(len(data)):
            sock.sendall(data[position : position + 1])
            time.sleep(0.02)

    return play


def reply(data: bytes) -> Script:
    """Read what comes, send this, close."""

    def play(sock: socket.socket) -> None:
        sock.recv(65536)
        sock.sendall(data)

    return play


@pytest.fixture
def clock() -> RealClock:
    return RealClock()


@pytest.fixture
def http(clock: RealClock) -> Iterator[Http]:
    core = Http(clock)
    yield core
    core.close()


def within(clock: RealClock, seconds: float = 5.0) -> Deadline:
    return Deadline(clock.monotonic() + seconds, clock.now_ms() + round(seconds * 1000))


def buy(http: Http, server: Server, deadline: Deadline) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        twilio_client(http, server.url).buy(NUMBER, TAG, deadline)
    return caught.value


def hang(sock: socket.socket) -> None:
    sock.recv(65536)
    sock.recv(65536)


SLOW_ANSWERS: dict[str, Script] = {
    "no answer at all": hang,
    "a byte of the head now and then": drip(answer(b"201 Created", BOUGHT, b"X-Padding: " + b"x" * 1000)),
    "endless headers": drip(b"HTTP/1.1 201 Created\r\n" + b"X-A: b\r\n" * 1000),
    "endless 100 Continue": drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "a byte of the body now and then": drip(b"HTTP/1.1 201 Created\r\nContent-Length: 9000\r\n\r\n" + b" " * 9000),
    "a chunk now and then": drip(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 1000),
    "a body without an end": drip(b"HTTP/1.0 201 Created\r\n\r\n" + b" " * 9000),
}


@pytest.mark.parametrize("script", SLOW_ANSWERS.values(), ids=SLOW_ANSWERS)
def test_no_server_however_slow_outlives_the_deadline_and_a_purchase_is_then_unclear(
    script: Script, clock: RealClock, http: Http
) -> None:
    with Server(script) as server:
        began = time.monotonic()
        error = buy(http, server, within(clock, 0.4))
        spent = time.monotonic() - began

    assert isinstance(error, Unclear)
    assert error.code == "timeout"
    assert 0.3 < spent < 1.5


def test_an_answer_that_stops_half_way_is_not_given_the_whole_time_again(clock: RealClock, http: Http) -> None:
    def play(sock: socket.socket) -> None:
        sock.recv(65536)
        time.sleep(0.7)
        sock.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 900\r\n\r\n{")
        sock.recv(65536)

    with Server(play) as server:
        began = time.monotonic()
        error = buy(http, server, within(clock, 0.9))

        assert isinstance(error, Unclear)
        assert time.monotonic() - began < 1.4


@pytest.mark.parametrize("script", SLOW_ANSWERS.values(), ids=SLOW_ANSWERS)
def test_a_read_that_runs_out_of_time_happened_to_nobody(script: Script, clock: RealClock, http: Http) -> None:
    with Server(script) as server, pytest.raises(TryLater):
        twilio_client(http, server.url).find_by_number(NUMBER, within(clock, 0.2))


@pytest.mark.parametrize("which", ["monotonic", "wall"])
def test_a_process_that_was_stopped_after_connecting_sends_nothing_once_its_deadline_has_passed(
    which: str, clock: RealClock, http: Http
) -> None:
    """Time jumps the moment the connection stands: as after SIGSTOP, or a machine that slept."""
    server = Server(hang)
    jump = (3600.0, 0.0) if which == "monotonic" else (0.0, 3600.0)
    deadline = within(clock)
    clock.jumped = lambda: jump if select.select([server.listener], [], [], 0)[0] else (0.0, 0.0)

    error = buy(http, server, deadline)
    http.close()
    with server.listener, server.listener.accept()[0] as arrived:
        received = arrived.recv(65536)

    assert isinstance(error, TryLater)
    assert error.code == "deadline_passed"
    assert received == b""


def test_a_connection_that_breaks_while_the_request_is_handed_over_leaves_a_doubt(
    clock: RealClock, http: Http
) -> None:
    """How much of it had left is not known then, so it is not called unsent."""
    server = Server(hang)

    def reset_once_connected() -> tuple[float, float]:
        if select.select([server.listener], [], [], 0)[0]:
            arrived, _ = server.listener.accept()
            arrived.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            arrived.close()
        return 0.0, 0.0

    clock.jumped = reset_once_connected
    with server.listener:
        error = buy(http, server, within(clock))

    assert isinstance(error, Unclear)
    assert error.code == "closed"


def test_a_deadline_that_has_passed_does_not_even_connect(clock: RealClock, http: Http) -> None:
    with Server(hang) as server:
        error = buy(http, server, within(clock, -1))

        assert isinstance(error, TryLater)
        assert server.connections == 0


def test_a_kept_connection_does_not_carry_a_request_past_its_deadline(clock: RealClock, http: Http) -> None:
    def play(sock: socket.socket) -> None:
        while server.read_request(sock):
            sock.sendall(answer(b"200 OK", EMPTY_LIST))

    with Server(play) as server:
        client = twilio_client(http, server.url)
        client.find_by_number(NUMBER, within(clock))
        stale = Deadline(clock.monotonic() + 5, clock.now_ms() - 1)
        with pytest.raises(TryLater):
            client.buy(NUMBER, TAG, stale)
        client.find_by_number(NUMBER, within(clock))

        assert [request[:4] for request in server.requests] == [b"GET ", b"GET "]
        assert server.connections == 1


def test_a_call_that_becomes_void_while_it_connects_is_not_sent(clock: RealClock, http: Http) -> None:
    # Asked before it connects, and before it sends.
    is_void = iter([False, True])

    with Server(hang) as server:
        error = buy(http, server, replace(within(clock), is_void=is_void.__next__))

    assert isinstance(error, TryLater)
    assert server.requests == []


def test_a_refused_connection_means_that_nothing_was_sent(clock: RealClock, http: Http) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    with pytest.raises(TryLater) as caught:
        twilio_client(http, f"http://127.0.0.1:{port}").buy(NUMBER, TAG, within(clock))

    assert caught.value.code == "connect_refused"


def test_an_unknown_host_means_that_nothing_was_sent(
    clock: RealClock, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_args: object, **_kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    with pytest.raises(TryLater) as caught:
        twilio_client(http, "https://api.example.invalid").buy(NUMBER, TAG, within(clock))

    assert caught.value.code == "name_unknown"


def test_a_name_server_that_hangs_holds_nobody_past_the_deadline_and_is_asked_once(
    clock: RealClock, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    wake = threading.Event()
    asked: list[object] = []

    def hanging(host: str, *_args: object, **_kwargs: object) -> list[object]:
        asked.append(host)
        wake.wait(5)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    codes: list[object] = []

    def call() -> None:
        with pytest.raises(TryLater) as caught:
            twilio_client(http, "https://slow-names.example.invalid").buy(NUMBER, TAG, within(clock, 0.3))
        codes.append(caught.value.code)

    threads = [threading.Thread(target=call) for _ in range(8)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent = time.monotonic() - began
    wake.set()

    assert codes == ["name_lookup_timeout"] * 8
    assert len(asked) == 1
    assert spent < 1.5


def test_a_handshake_that_breaks_off_means_that_nothing_was_sent(clock: RealClock, http: Http) -> None:
    with Server(lambda sock: sock.close()) as server, pytest.raises(TryLater) as caught:
        twilio_client(http, f"https://localhost:{server.port}").buy(NUMBER, TAG, within(clock))

    assert str(caught.value.code).startswith("handshake_")


def test_a_handshake_that_never_ends_is_given_up_at_the_deadline_with_nothing_sent(
    clock: RealClock, http: Http
) -> None:
    began = time.monotonic()
    with Server(drip(b"\x16\x03\x03\x10\x00" + b"\x02" * 4096)) as server, pytest.raises(TryLater) as caught:
        twilio_client(http, f"https://localhost:{server.port}").buy(NUMBER, TAG, within(clock, 0.3))

    assert str(caught.value.code).startswith("handshake_")
    assert time.monotonic() - began < 1.5


def test_a_certificate_nobody_vouches_for_is_refused_and_nothing_is_sent(clock: RealClock, http: Http) -> None:
    with Server(hang, tls=True) as server:
        error = buy(http, server, within(clock))

    assert isinstance(error, Refused)
    assert error.kind == "other"
    assert "certificate" in str(error)
    assert server.requests == []


def test_a_certificate_for_another_name_is_refused(clock: RealClock) -> None:
    core = Http(clock, lambda: DeadlineAdapter(ca_file=str(CERTIFICATES / "localhost.pem")))
    with Server(hang, tls=True) as server, pytest.raises(Refused) as caught:
        twilio_client(core, f"https://127.0.0.1:{server.port}").buy(NUMBER, TAG, within(clock))
    core.close()

    assert "certificate" in str(caught.value)


def test_a_trusted_certificate_lets_requests_through_on_one_connection(clock: RealClock) -> None:
    def play(sock: socket.socket) -> None:
        while server.read_request(sock):
            sock.sendall(answer(b"200 OK", EMPTY_LIST))

    core = Http(clock, lambda: DeadlineAdapter(ca_file=str(CERTIFICATES / "localhost.pem")))
    with Server(play, tls=True) as server:
        client = twilio_client(core, server.url)
        found = [client.find_by_number(NUMBER, within(clock)) for _ in range(3)]
        core.close()

        assert found == [None, None, None]
        assert server.connections == 1


BROKEN_ANSWERS: dict[str, Script] = {
    "closed without an answer": reply(b""),
    "a body cut off": reply(answer(b"201 Created", BOUGHT)[:-5]),
    "a body that is whole and yet shorter than said": reply(
        b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n%s" % (len(BOUGHT) + 9, BOUGHT)
    ),
    "a head cut off": reply(b"HTTP/1.1 201 Created\r\nContent-Ty"),
    "a chunked body cut off": reply(
        b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(BOUGHT), BOUGHT)
    ),
    "a chunk of a terabyte": reply(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n10000000000\r\n{"),
    "a body of a terabyte": reply(b"HTTP/1.1 201 Created\r\nContent-Length: 1099511627776\r\n\r\n{"),
    "not HTTP": reply(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "HTML": reply(answer(b"201 Created", b"<html>It works</html>")),
    "nothing": reply(answer(b"201 Created", b"")),
    "a body in gzip, which we did not ask for": reply(
        answer(b"201 Created", b"\x1f\x8b\x08\x00\x00", b"Content-Encoding: gzip")
    ),
    "a redirect": reply(answer(b"307 Temporary Redirect", b"", b"Location: http://127.0.0.1:9/")),
    "a redirect to nowhere": reply(answer(b"302 Found", b"", b"Location: http://[")),
}


@pytest.mark.parametrize("script", BROKEN_ANSWERS.values(), ids=BROKEN_ANSWERS)
def test_a_purchase_without_a_believable_answer_is_unclear_and_is_never_repeated(
    script: Script, clock: RealClock, http: Http
) -> None:
    with Server(script) as server:
        error = buy(http, server, within(clock))

        assert isinstance(error, Unclear)
        assert server.connections == 1


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n"],
    ids=["without a length", "with a length"],
)
def test_an_answer_larger_than_anyone_sends_is_not_read_to_its_end(head: bytes, clock: RealClock, http: Http) -> None:
    def play(sock: socket.socket) -> None:
        sock.recv(65536)
        sock.sendall(head)
        while True:
            sock.sendall(b" " * 65536)

    with Server(play) as server, pytest.raises(TryLater) as caught:
        twilio_client(http, server.url).find_by_number(NUMBER, within(clock))

    assert caught.value.code == "answer_too_large"


GOOD_ANSWERS: dict[str, bytes] = {
    "with a length": answer(b"201 Created", BOUGHT),
    "chunked": b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
    % (len(BOUGHT), BOUGHT),
    "until the end of the connection": b"HTTP/1.1 201 Created\r\n\r\n" + BOUGHT,
    "after 100 Continue": b"HTTP/1.1 100 Continue\r\n\r\n" + answer(b"201 Created", BOUGHT),
}


@pytest.mark.parametrize("data", GOOD_ANSWERS.values(), ids=GOOD_ANSWERS)
def test_every_way_to_frame_a_good_answer_is_read(data: bytes, clock: RealClock, http: Http) -> None:
    with Server(reply(data)) as server:
        bought = twilio_client(http, server.url).buy(NUMBER, TAG, within(clock))

    assert (bought.sid, bought.number, bought.tag) == (PN, NUMBER, TAG)


def test_a_connection_the_server_has_closed_meanwhile_is_replaced_and_nothing_is_in_doubt(
    clock: RealClock, http: Http
) -> None:
    with Server(reply(answer(b"200 OK", EMPTY_LIST)), reply(answer(b"201 Created", BOUGHT))) as server:
        client = twilio_client(http, server.url)
        client.find_by_number(NUMBER, within(clock))
        time.sleep(0.1)
        bought = client.buy(NUMBER, TAG, within(clock))

        assert bought.sid == PN
        assert server.connections == 2


def test_an_old_connection_is_not_trusted_with_a_request(clock: RealClock, http: Http) -> None:
    def play(sock: socket.socket) -> None:
        while server.read_request(sock):
            sock.sendall(answer(b"200 OK", EMPTY_LIST))

    with Server(play) as server:
        client = twilio_client(http, server.url)
        client.find_by_number(NUMBER, within(clock))
        clock.jumped = lambda: (transport.KEEP_IDLE_SECONDS, 0.0)
        client.find_by_number(NUMBER, within(clock))

        assert server.connections == 2


LEFTOVERS = {
    "right behind the first answer": answer(b"200 OK", EMPTY_LIST) + answer(b"201 Created", BOUGHT),
    "as a body that is longer than said": answer(b"200 OK", EMPTY_LIST) + b"HTTP/1.1 201 Created\r\n",
}


@pytest.mark.parametrize("data", LEFTOVERS.values(), ids=LEFTOVERS)
def test_what_an_earlier_answer_left_behind_never_answers_a_later_request(
    data: bytes, clock: RealClock, http: Http
) -> None:
    def play(sock: socket.socket) -> None:
        sock.recv(65536)
        sock.sendall(data)
        sock.recv(65536)

    with Server(play, reply(answer(b"503 Service Unavailable", b""))) as server:
        client = twilio_client(http, server.url)
        client.find_by_number(NUMBER, within(clock))
        with pytest.raises(Unclear) as caught:
            client.buy(NUMBER, TAG, within(clock))

        assert caught.value.status == 503
        assert server.connections == 2


def test_each_thread_has_a_connection_of_its_own_and_keeps_it(clock: RealClock, http: Http) -> None:
    def play(sock: socket.socket) -> None:
        while server.read_request(sock):
            sock.sendall(answer(b"200 OK", EMPTY_LIST))

    with Server(play) as server:
        client = twilio_client(http, server.url)

        def work() -> None:
            for _ in range(5):
                client.find_by_number(NUMBER, within(clock))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(server.requests) == 20
        assert server.connections == 4


def test_the_environment_sends_no_request_through_a_proxy_and_adds_no_password(
    clock: RealClock, http: Http, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login stranger password stranger\n")
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NETRC", str(netrc))

    def play(sock: socket.socket) -> None:
        server.read_request(sock)
        sock.sendall(answer(b"200 OK", b'{"results": [], "metadata": {"currentPage": 1, "totalItems": 0}}'))

    with Server(play) as server:
        vapi_client(http, server.url).find(NUMBER, within(clock))

    assert os.environ["http_proxy"]
    assert f"Authorization: Bearer {VAPI_KEY}".encode() in server.requests[0]


def test_one_purchase_is_one_message_that_says_what_was_meant(clock: RealClock, http: Http) -> None:
    def play(sock: socket.socket) -> None:
        server.read_request(sock)
        sock.sendall(answer(b"201 Created", BOUGHT))

    with Server(play) as server:
        twilio_client(http, server.url).buy(NUMBER, TAG, within(clock), address_sid="AD" + "b" * 32)
    head, _, body = server.requests[0].partition(b"\r\n\r\n")

    assert head.startswith(b"POST /2010-04-01/Accounts/AC")
    assert f"Host: localhost:{server.port}".encode() in head
    assert b"Accept-Encoding: identity" in head
    assert body == (
        b"PhoneNumber=%2B14155550123&FriendlyName=rf%3Atest%3A0123456789abcdef%3A1&AddressSid=AD" + b"b" * 32
    )


def test_nothing_that_comes_or_goes_over_the_wire_is_logged(
    clock: RealClock, http: Http, caplog: pytest.LogCaptureFixture
) -> None:
    echo = b'{"id": "e1", "twilioAuthToken": "%s", "number": 7}' % AUTH_TOKEN.encode()
    caplog.set_level(logging.DEBUG)
    logging.getLogger("urllib3").setLevel(logging.DEBUG)
    try:
        with Server(reply(answer(b"201 Created", echo))) as server, pytest.raises(Unclear) as caught:
            vapi_client(http, server.url).import_number(NUMBER, TAG, within(clock))
    finally:
        logging.getLogger("urllib3").setLevel(logging.WARNING)
    said = caplog.text + everything_said(caught.value) + repr([vars(record) for record in caplog.records])

    assert "provider.called" in said
    for secret in (AUTH_TOKEN, VAPI_KEY, NUMBER, NUMBER[1:]):
        assert secret not in said
