"""What a PostgreSQL server is like, found out once, and how to speak to it after that."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from gateway.errors import DatabaseRefused
from gateway.store.postgres_clock import ServerClock
from gateway.store.postgres_errors import unreachable

# 13 knows pg_current_xact_id_if_assigned().
LEAST_VERSION = 130_000
# No transaction of ours waits for anything but the database: one that idles is a process that is frozen or gone, and
# the news of all tenants, or every purchase, may wait for the lock that it holds.
LIMITS = {"lock_timeout": "5s", "statement_timeout": "30s", "idle_in_transaction_session_timeout": "10s"}
REACHING = {
    "connect_timeout": "5",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
    "fallback_application_name": "ringfence",
    "client_encoding": "UTF8",
}


@dataclass(frozen=True, slots=True)
class Server:
    """What the first connection found. is_pooled: somebody between us and the server hands out its sessions."""

    version: int
    encoding: str
    schema: str | None
    is_pooled: bool
    is_standby: bool
    fsync: str
    synchronous_commit: str


def look(conninfo: str, clock: ServerClock) -> Server:
    """The server; the clock hears what time it is there. Raises StorageUnavailable."""
    try:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            asked = clock.begin()
            row = connection.execute(FIND_OUT).fetchone()
            assert row is not None
            clock.hear(row[0], asked)
            # A pooler makes up the process id that it tells its clients.
            is_pooled = row[1] != connection.info.backend_pid
            return Server(connection.info.server_version, row[2], row[3], is_pooled, *row[4:])
    except psycopg.OperationalError as error:
        raise unreachable(error) from error


FIND_OUT = """SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint, pg_backend_pid(),
  current_setting('server_encoding'), current_schema()::text, pg_is_in_recovery(), current_setting('fsync'),
  current_setting('synchronous_commit')"""


def begin_writing(server: Server) -> str:
    """A commit is on disk when it returns, whatever the server's default; a stronger one is left alone."""
    lines = ["BEGIN ISOLATION LEVEL READ COMMITTED"]
    if server.synchronous_commit != "remote_apply":
        lines.append("SET LOCAL synchronous_commit = on")
    return "; ".join([*lines, *own_limits(server)])


def begin_reading(server: Server) -> str:
    return "; ".join(["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", *own_limits(server)])


def own_limits(server: Server) -> list[str]:
    """Through a pooler no connection keeps its settings."""
    return [f"SET LOCAL {name} = '{value}'" for name, value in LIMITS.items()] if server.is_pooled else []


def end_writing(server: Server, me: str) -> str:
    """Who listens is told with the commit, of transactions that changed something."""
    if server.is_pooled:
        return "COMMIT"
    tell = f"SELECT pg_notify('{channel(server)}', '{me}') WHERE pg_current_xact_id_if_assigned() IS NOT NULL"
    return f"{tell}; COMMIT"


def channel(server: Server) -> str:
    """One for each schema: they are separate installations."""
    return "ringfence_" + "".join(f"{byte:02x}" for byte in (server.schema or "").encode()[:24])


def refuse_unfit(server: Server) -> None:
    """Raise DatabaseRefused for a server that cannot be used, with a sentence that says what to do."""
    if server.version < LEAST_VERSION:
        raise DatabaseRefused(f"PostgreSQL {shown(server.version)} is too old: 13 or later is needed.")
    if server.encoding != "UTF8":
        raise DatabaseRefused(
            f"The database is encoded in {server.encoding}: make one with ENCODING 'UTF8', for names are written "
            "in every script."
        )
    if server.schema is None:
        raise DatabaseRefused("The search_path of DATABASE_URL names no schema that exists: create it first.")
    if server.is_standby:
        raise DatabaseRefused("This server is a standby that takes no writes: let DATABASE_URL name the primary.")


def shown(version: int) -> str:
    return f"{version // 10_000}.{version % 10_000}"
