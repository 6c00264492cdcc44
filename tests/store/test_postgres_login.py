"""A server that lets nobody in is waited for, as one that is down, and called what it is."""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from gateway.errors import StorageUnavailable
from gateway.store.postgres import PostgresDatabase
from tests import databases

STARTUP = 196608


class Doorkeeper:
    """Listens on loopback as PostgreSQL does, and answers every client with the same error."""

    def __init__(self, code: str, says: str) -> None:
        fields = [("S", "FATAL"), ("V", "FATAL"), ("C", code), ("M", says)]
        body = b"".join(f"{name}{text}\0".encode() for name, text in fields) + b"\0"
        self._answer = b"E" + struct.pack("!i", len(body) + 4) + body
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        self.url = f"postgresql://acme:whsec_hidden@127.0.0.1:{port}/somewhere"
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with client:
                    self._refuse(client)

    def _refuse(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, struct.error):
            while True:
                length, kind = struct.unpack("!ii", client.recv(8, socket.MSG_WAITALL))
                client.recv(length - 8)
                if kind == STARTUP:
                    client.sendall(self._answer)
                    return
                # It was asked for encryption.
                client.sendall(b"N")


@pytest.fixture
def opened(request: pytest.FixtureRequest) -> Iterator[PostgresDatabase]:
    keeper = Doorkeeper(*request.param)
    database = PostgresDatabase(keeper.url, wait_seconds=0.5)
    yield database
    database.close()
    keeper.close()


@pytest.mark.parametrize(
    "opened",
    [
        ("28P01", 'password authentication failed for user "acme"'),
        ("28000", 'role "acme" does not exist'),
        ("28000", 'role "acme" is not permitted to log in'),
        ("28000", 'no pg_hba.conf entry for host "10.0.0.1", user "acme", database "somewhere", no encryption'),
        ("28000", 'Peer authentication failed for user "acme"'),
        ("08P01", "no such user: acme"),
    ],
    indirect=True,
    ids=lambda refusal: str(refusal[1]),
)
def test_a_login_that_is_refused_is_called_so_and_the_secret_is_told_nobody(
    opened: PostgresDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), pytest.raises(StorageUnavailable) as caught:
        opened.quick_check()

    assert "refuses the user or the password of DATABASE_URL" in str(caught.value)
    assert "acme" not in str(caught.value)
    assert [record.message for record in caplog.records] == ["storage.unreachable"]
    assert "hidden" not in str(caplog.records[0].__dict__)


@pytest.mark.parametrize(
    "opened",
    [
        ("57P03", "the database system is starting up"),
        ("57P03", "the database system is shutting down"),
        ("53300", "sorry, too many clients already"),
        ("3D000", 'database "somewhere" does not exist'),
    ],
    indirect=True,
    ids=lambda refusal: str(refusal[1]),
)
def test_a_server_that_has_another_reason_cannot_be_reached(opened: PostgresDatabase) -> None:
    with pytest.raises(StorageUnavailable, match="cannot be reached"):
        opened.quick_check()


@pytest.mark.skipif(not databases.POSTGRES_URL, reason="TEST_POSTGRES_URL is not set")
def test_the_servers_own_words_for_an_unknown_user_are_known() -> None:
    host = databases.POSTGRES_URL.rpartition("@")[2]

    with pytest.raises(StorageUnavailable, match="refuses the user or the password"):
        PostgresDatabase(f"postgresql://nobody-of-ours:wrong@{host}").quick_check()
