"""`serve` as real processes: who listens, who dies with whom, and what is left after each."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from gateway.errors import SettingsError
from gateway.web.server import refuse_taken
from tests.integrations.senders import STRIPE
from tests.web.real import ROOT, Server, free_port, is_running, serving, wait_until

pytestmark = pytest.mark.sockets


def stored(server: Server) -> list[str]:
    """Event ids in the database, read by another process: two SQLite libraries in one are no good."""
    script = (
        "import sys, json; from sqlite_utils import Database; "
        "print(json.dumps([row['event_id'] for row in Database(sys.argv[1])['inbox'].rows]))"
    )
    output = subprocess.run(
        [sys.executable, "-c", script, str(server.database)], capture_output=True, check=True, cwd=ROOT
    ).stdout
    return list(json.loads(output))


def test_a_second_server_on_one_port_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        second = subprocess.run(
            [
                sys.executable,
                "-c",
                "import types; from gateway.web.server import serve; "
                f"serve(types.SimpleNamespace(host='127.0.0.1', port={server.port}), 'tests.web.serving:front')",
            ],
            capture_output=True,
            text=True,
            timeout=20,
            cwd=ROOT,
        )

        assert second.returncode != 0
        assert f"PORT {server.port} on 127.0.0.1 cannot be listened on" in second.stderr
        assert server.is_answering()


def test_a_port_whose_connections_just_ended_is_free() -> None:
    port = free_port()
    with closing(socket.create_server(("127.0.0.1", port))) as listener:
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = listener.accept()
        # Who closes first keeps the port for a while.
        accepted.close()
        client.close()

    refuse_taken("127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"], ids=["not ours", "unknown name"])
def test_an_address_that_cannot_be_listened_on_is_refused_with_a_sentence(host: str) -> None:
    with pytest.raises(SettingsError) as caught:
        refuse_taken(host, free_port())

    assert "PORT" in caught.value.problems[0]


def test_a_worker_that_is_killed_is_replaced_and_what_was_acknowledged_is_there(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        assert server.post("evt_before")[0] == 200
        first = server.worker_pid

        os.kill(first, signal.SIGKILL)
        wait_until(lambda: server.is_answering() and server.worker_pid != first, "a new worker")

        assert json.loads(server.post("evt_before")[1])["status"] == "duplicate"
        assert server.post("evt_after")[0] == 200
        assert stored(server) == ["evt_before", "evt_after"]


def test_a_worker_leaves_when_its_main_process_is_killed(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        worker = server.worker_pid

        server.process.kill()
        server.process.wait()

        wait_until(lambda: not is_running(worker), "the worker to leave")
        with pytest.raises(OSError):
            server.connect()


def test_after_the_main_process_was_killed_the_next_server_takes_the_port(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        server.post("evt_1")
        worker = server.worker_pid
        server.process.kill()
        server.process.wait()
        wait_until(lambda: not is_running(worker), "the worker to leave")

        with serving(tmp_path, port=server.port) as second:
            assert json.loads(second.post("evt_1")[1])["status"] == "duplicate"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_server_that_is_told_to_stop_stops_at_once_with_status_0(tmp_path: Path, number: int) -> None:
    with serving(tmp_path) as server:
        worker = server.worker_pid
        began = time.monotonic()

        assert server.end(number) == 0

        assert time.monotonic() - began < 5
        assert not is_running(worker)


def test_a_delivery_under_way_when_the_server_stops_is_still_answered(tmp_path: Path) -> None:
    body = STRIPE.body("evt_slow")
    headers = STRIPE.headers(body, at_ms=time.time_ns() // 1_000_000) | {"content-length": str(len(body))}
    head = "POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items())
    with serving(tmp_path) as server, closing(server.connect()) as connection:
        connection.sendall(head.encode() + b"\r\n" + body[:-1])
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)

        connection.sendall(body[-1:])

        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        assert server.process.wait(20) == 0
        assert stored(server) == ["evt_slow"]


def test_a_worker_that_hangs_at_its_end_is_gone_when_its_time_is_over(tmp_path: Path) -> None:
    with serving(tmp_path, "tests.web.serving:front_that_hangs_at_its_end") as server:
        worker = server.worker_pid

        assert server.end() == 0

        assert not is_running(worker)


def test_a_request_that_never_ends_holds_up_the_end_only_so_long(tmp_path: Path) -> None:
    with (
        serving(tmp_path, "tests.web.serving:front_with_an_endless_request") as server,
        closing(server.connect()) as connection,
    ):
        worker = server.worker_pid
        connection.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.5)

        assert server.end() == 0

        assert not is_running(worker)


SMUGGLED = {
    "length and chunks": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1"
    b"\r\nHost: x\r\n\r\n",
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "a length with a sign": b"Content-Length: +5\r\n\r\nhello",
    "a chunked in disguise": b"Transfer-Encoding: xchunked\r\n\r\nhello",
    "chunked twice": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a blank before the colon": b"Content-Length : 5\r\n\r\nhello",
    "a folded header": b"X-A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    "a NUL in a header": b"X-A: b\0c\r\nContent-Length: 0\r\n\r\n",
    "a bare CR": b"X-A: b\rX-C: d\r\nContent-Length: 0\r\n\r\n",
    "a chunk without its size": b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    "a chunk beyond 64 bits": b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 20 + b"\r\n",
}


def test_ambiguous_framing_is_never_a_success_and_never_a_second_request(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        for what, rest in SMUGGLED.items():
            with closing(server.connect()) as connection:
                connection.sendall(b"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\n" + rest)
                connection.shutdown(socket.SHUT_WR)
                answer = read_all(connection)

            assert b" 200 " not in answer, what
            assert b" 500 " not in answer, what
            assert answer.count(b"HTTP/1.1 ") <= 1, (what, answer)
        assert server.is_answering()
        assert stored(server) == []


def read_all(connection: socket.socket) -> bytes:
    connection.settimeout(15)
    answer = b""
    while True:
        try:
            piece = connection.recv(65_536)
        except (TimeoutError, ConnectionResetError):
            return answer
        if not piece:
            return answer
        answer += piece


def test_five_hundred_slow_senders_each_get_a_408_while_signed_deliveries_are_answered(tmp_path: Path) -> None:
    head = (
        b"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9000\r\n\r\n"
    )
    with serving(tmp_path) as server:
        slow = [server.connect() for _ in range(500)]
        began = time.monotonic()
        for connection in slow:
            connection.sendall(head)
        stop = threading.Event()
        dripping = threading.Thread(target=drip, args=(slow, stop))
        dripping.start()

        durations = []
        n = 0
        while time.monotonic() - began < 8:
            asked = time.monotonic()
            assert server.post(f"evt_{n}")[0] == 200
            durations.append(time.monotonic() - asked)
            n += 1
            time.sleep(0.02)
        statuses = [status_of(connection) for connection in slow]
        stop.set()
        dripping.join()

        assert statuses.count(408) == 500
        assert len(stored(server)) == n
        assert sorted(durations)[len(durations) // 2] < 0.1
        assert max(durations) < 2
        for connection in slow:
            connection.close()


def drip(connections: list[socket.socket], stop: threading.Event) -> None:
    while not stop.wait(1):
        for connection in connections:
            try:
                connection.sendall(b"x")
            except OSError:
                continue


def status_of(connection: socket.socket) -> int:
    connection.settimeout(15)
    try:
        line = connection.recv(100).split(b"\r\n")[0]
    except OSError:
        return 0
    return int(line.split(b" ")[1]) if line else 0
