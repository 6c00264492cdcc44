"""A database of its own for each run, on the PostgreSQL server that the environment names."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from bench.processes import Unmeasurable
from bench.report import Missing

VARIABLES = ("BENCH_POSTGRES_URL", "TEST_POSTGRES_URL")
# What a commit has to wait for, so that nobody is fast by promising less.
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


NOT_NAMED = f"No PostgreSQL server is named: set {' or '.join(VARIABLES)} to one where databases can be made."


def is_named() -> bool:
    return any(os.environ.get(variable) for variable in VARIABLES)


def skipped(part: str, what: str) -> Missing:
    """The line that stands where there is no server."""
    return Missing(part, what, NOT_NAMED, is_skipped=True)


def server_url() -> str:
    """A database on the server where others may be made. Raises Unmeasurable where none is named."""
    for variable in VARIABLES:
        if os.environ.get(variable):
            return os.environ[variable]
    raise Unmeasurable(NOT_NAMED)


@contextmanager
def fresh_database() -> Iterator[str]:
    """The address of an empty database, dropped at the end.

    Raises Unmeasurable where none can be made, or where a commit does not wait for the disk.
    """
    server, name = server_url(), f"ringfence_bench_{os.getpid()}_{secrets.token_hex(3)}"
    try:
        with psycopg.connect(server, autocommit=True, connect_timeout=5) as admin:
            refuse_forgetful(admin)
            admin.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(sql.Identifier(name))
            )
            # What others have written must not be paid for by whoever is measured next.
            with suppress(psycopg.Error):
                admin.execute("CHECKPOINT")
    except psycopg.Error as error:
        raise Unmeasurable(f"No database can be made on the PostgreSQL server: {error}".strip()) from error
    try:
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
    finally:
        with suppress(psycopg.Error), psycopg.connect(server, autocommit=True, connect_timeout=5) as admin:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def refuse_forgetful(connection: psycopg.Connection[Any]) -> None:
    for name, wanted in DURABLE.items():
        found = connection.execute("SELECT current_setting(%s)", [name]).fetchone()
        if found is None or found[0] != wanted:
            raise Unmeasurable(
                f"The PostgreSQL server has {name} = {found and found[0]}; what is compared needs {wanted}."
            )


def count(url: str, table: str) -> int:
    """How many rows a table has, such as `schema.table`."""
    with psycopg.connect(url) as connection:
        name = sql.Identifier(*table.split("."))
        found = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(name)).fetchone()
    return int(found[0]) if found else 0


def vacuum(url: str) -> None:
    """Have the whole database tidied and its statistics taken now."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
