"""The world as a process: one for each folder, found by its id, gone when told to, back with what it knew."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.simulator.address import WorldAddress, WorldUnavailable, ensure_world, find_world, stop_world
from gateway.simulator.server import Server
from gateway.simulator.world import World
from tests.simulator.pretend import NUMBER, NUMBERS, Caller

pytestmark = pytest.mark.sockets


@pytest.fixture
def var(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "var"
    stop_world(tmp_path / "var")


@pytest.fixture
def server(world: World) -> Iterator[Server]:
    started = Server(world).start()
    yield started
    started.shutdown()
    started.server_close()


def gone(address: WorldAddress, within_seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + within_seconds
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{address.pid}/stat").read_text().split()[2]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_a_folder_has_one_world_whoever_asks(var: Path) -> None:
    with ThreadPoolExecutor(6) as pool:
        addresses = set(pool.map(lambda _: ensure_world(var), range(6)))

    assert len(addresses) == 1
    assert json.loads((var / "world.json").read_text())["id"] == addresses.pop().id


def test_a_world_is_ready_quickly(var: Path) -> None:
    start = time.monotonic()

    ensure_world(var)

    assert time.monotonic() - start < 3, "half a second when nothing else runs"


def test_options_reach_the_world(var: Path) -> None:
    address = ensure_world(var, policies={"buy_owned": "update"}, seed="other")

    assert Caller(url=address.url).world("GET", "/state")["policies"]["buy_owned"] == "update"


def test_a_stopped_world_is_gone_and_the_next_goes_on_at_the_same_place(var: Path) -> None:
    first = ensure_world(var)
    Caller(url=first.url).buy()

    assert stop_world(var)
    assert gone(first)
    assert find_world(var) is None
    second = ensure_world(var)

    assert second.id != first.id
    assert second.url == first.url
    assert [n["phone_number"] for n in Caller(url=second.url).listed()] == [NUMBER]


def test_a_killed_world_has_lost_nothing_it_answered(var: Path) -> None:
    first = ensure_world(var)
    caller = Caller(url=first.url)
    sids = [caller.buy(f"+1415555{100 + n:04d}").json()["sid"] for n in range(30)]

    os.kill(first.pid, signal.SIGKILL)
    second = ensure_world(var)

    listed = Caller(url=second.url).listed()
    assert [n["sid"] for n in listed] == sids[::-1]


def test_a_world_leaves_when_its_file_is_gone(var: Path) -> None:
    address = ensure_world(var)

    (var / "world.json").unlink()

    assert gone(address)


def test_an_address_is_trusted_only_if_its_world_answers_with_its_id(var: Path, server: Server) -> None:
    var.mkdir()
    noted = {"url": server.url, "id": "somebody else", "pid": os.getpid()}
    (var / "world.json").write_text(json.dumps(noted))
    assert find_world(var) is None

    (var / "world.json").write_text(json.dumps(noted | {"id": server.world.id}))
    assert find_world(var) == WorldAddress(server.url, server.world.id, os.getpid())

    (var / "world.json").write_text(json.dumps(noted | {"url": "http://192.0.2.1:80"}))
    assert find_world(var) is None
    (var / "world.json").write_text("{")
    assert find_world(var) is None
    (var / "world.json").unlink()


def test_a_world_by_hand_prints_where_it_is(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gateway.simulator.server", "--memory"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root) as process:
        assert process.stdout is not None
        address = json.loads(process.stdout.readline())
        about = Caller(url=address["url"]).world("GET", "")
        process.terminate()
        process.wait(5)

    assert about["id"] == address["id"]
    assert address["pid"] == process.pid
    assert process.returncode == 0


def test_a_world_by_hand_leaves_with_the_process_that_started_it(tmp_path: Path) -> None:
    start = "import subprocess, sys; subprocess.Popen([sys.executable, '-m', 'gateway.simulator.server', '--memory'])"
    root = Path(__file__).parents[2]
    wait = "; import time; time.sleep(2)"
    with subprocess.Popen([sys.executable, "-c", start + wait], stdout=subprocess.PIPE, cwd=root) as parent:
        assert parent.stdout is not None
        noted = json.loads(parent.stdout.readline())
        parent.kill()

    assert gone(WorldAddress(noted["url"], noted["id"], noted["pid"]))


# The server, byte by byte


def talk(server: Server, sent: bytes) -> bytes:
    host, port = server.server_address[:2]
    with socket.create_connection((str(host), int(port)), timeout=5) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while piece := connection.recv(65536):
            received += piece
    return received


def test_connections_are_kept_and_requests_may_follow_at_once(server: Server) -> None:
    one = b"GET /_world HTTP/1.1\r\nHost: x\r\n\r\n"

    answer = talk(server, one * 3)

    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 3
    assert answer.count(b"Connection: keep-alive") == 3


def test_a_chunked_body_is_read_whole(server: Server) -> None:
    body = b'4\r\n{"of\r\n10\r\nfset_ms": 5}    \r\n0\r\n\r\n'
    head = b"POST /_world/clock HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"

    assert b"200 OK" in talk(server, head + body)


def test_a_request_that_was_cut_off_never_arrived(server: Server) -> None:
    path = f"{NUMBERS}.json".encode()

    answer = talk(server, b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nPhoneNumber=")

    assert answer == b""
    assert server.world.calls() == {}


@pytest.mark.parametrize("folder", ["/proc/sys", "a file/var"], ids=["unwritable", "no folder"])
def test_a_world_that_could_keep_no_state_is_refused_with_what_to_do(folder: str, tmp_path: Path) -> None:
    (tmp_path / "a file").touch()

    with pytest.raises(WorldUnavailable, match=r"nothing can be written there.*DATABASE_URL"):
        ensure_world(tmp_path / folder)


@pytest.mark.parametrize("sent", [b"nonsense\r\n\r\n", b"GET /\r\n\r\n", b"GET / HTTP/1.1\r\nbad header\r\n\r\n"])
def test_nonsense_closes_the_connection_and_nothing_else(server: Server, sent: bytes) -> None:
    talk(server, sent)

    assert b"200 OK" in talk(server, b"GET /_world HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")


def test_an_empty_answer_has_no_length_and_keeps_the_connection(server: Server) -> None:
    caller = Caller(url=server.url)
    sid = caller.buy().json()["sid"]

    deleted = caller.twilio("DELETE", f"{NUMBERS}/{sid}.json")

    assert (deleted.status_code, deleted.content, deleted.headers.get("Content-Length")) == (204, b"", None)
    assert caller.listed() == []


def test_the_most_calls_that_were_open_at_once_are_told_by_vendor(server: Server) -> None:
    caller = Caller(url=server.url)
    caller.listed()
    before = caller.world("GET", "")["most_open"]
    caller.world("POST", "/faults", {"operation": "twilio.list", "kind": "slow", "seconds": 0.5, "times": 3})

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: Caller(url=server.url).listed(), range(3)))
    caller.listed()

    assert before == {"twilio": 1}
    assert caller.world("GET", "")["most_open"] == {"twilio": 3}


def test_many_clients_at_once_get_their_own_answers(server: Server) -> None:
    def buy(index: int) -> str:
        return str(
            Caller(url=server.url).buy(f"+1212555{100 + index:04d}", f"rf:test:{index}:1").json()["friendly_name"]
        )

    with ThreadPoolExecutor(16) as pool:
        names = list(pool.map(buy, range(64)))

    assert names == [f"rf:test:{index}:1" for index in range(64)]
    assert len(server.world.purchases()) == 64
