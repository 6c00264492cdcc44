"""A database for each test: a file in its folder, or one of a few PostgreSQL databases that are emptied between tests.

Tests that are about what a gateway does run on both kinds where TEST_POSTGRES_URL is set; `--database` picks one.
Making a database costs a tenth of a second and emptying one a few milliseconds, so they are lent and taken back.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from gateway.store.database import Database
from gateway.store.migrate import migrate
from gateway.store.postgres import PostgresDatabase
from gateway.store.sqlite import SqliteDatabase

POSTGRES_URL = os.environ.get("TEST_POSTGRES_URL", "")
KINDS = ("sqlite", "postgres") if POSTGRES_URL else ("sqlite",)
# Long, because SQLite's own waiting is not fair, and the machine that tests may be busy with others.
BUSY_SECONDS = 60


def url_of(name: str) -> str:
    """TEST_POSTGRES_URL with another database."""
    parts = POSTGRES_URL.partition("?")
    return f"{parts[0].rsplit('/', 1)[0]}/{name}{parts[1]}{parts[2]}"


def admin() -> psycopg.Connection[Any]:
    return psycopg.connect(POSTGRES_URL, autocommit=True)


@dataclass
class Lent:
    """The databases of this process: which are free, and which folder of a test has which."""

    made: list[str] = field(default_factory=list)
    free: list[str] = field(default_factory=list)
    by_folder: dict[Path, str] = field(default_factory=dict)
    kind: str = "sqlite"

    def name_for(self, folder: Path) -> str:
        folder = folder.resolve()
        if folder not in self.by_folder:
            self.by_folder[folder] = self.free.pop() if self.free else self.make()
        return self.by_folder[folder]

    def make(self, migrated: bool = True) -> str:
        name = f"ringfence_test_{os.getpid()}_{secrets.token_hex(3)}"
        with admin() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            look_here_first(connection, name)
        self.made.append(name)
        if len(self.made) == 1:
            drop_abandoned()
        with psycopg.connect(url_of(name), autocommit=True) as connection:
            connection.execute(OWN_CLOCK)
        if migrated:
            database = PostgresDatabase(url_of(name))
            migrate(database)
            database.close()
        return name

    def set_time(self, folder: Path, at_ms: int) -> None:
        """What time it is in this folder's database from now on."""
        with psycopg.connect(url_of(self.name_for(folder)), autocommit=True) as connection:
            connection.execute("DELETE FROM public.test_time")
            connection.execute("INSERT INTO public.test_time VALUES (%s)", [at_ms])

    def take_back(self) -> None:
        for name in self.by_folder.values():
            empty(name)
            self.free.append(name)
        self.by_folder.clear()

    def copy(self, folder: Path) -> str:
        """A copy of this folder's database as it is now; everybody is thrown out of it for that."""
        name, original = f"ringfence_test_{os.getpid()}_{secrets.token_hex(3)}", self.name_for(folder)
        with admin() as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [original])
            statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(original)))
            look_here_first(connection, name)
        self.made.append(name)
        return name

    def put_back(self, folder: Path, name: str) -> None:
        before = self.by_folder[folder.resolve()]
        empty(before)
        self.free.append(before)
        self.by_folder[folder.resolve()] = name

    def drop_all(self) -> None:
        made, self.made = self.made, []
        drop(made)


def drop(names: list[str]) -> None:
    with admin() as connection:
        for name in names:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def look_here_first(connection: psycopg.Connection[Any], name: str) -> None:
    """Functions of the database's own come before the server's; a copy of it has to be told again."""
    statement = "ALTER DATABASE {} SET search_path = public, pg_catalog"
    connection.execute(sql.SQL(statement).format(sql.Identifier(name)))


def drop_abandoned() -> None:
    """Those of test processes of this machine that are gone."""
    with admin() as connection:
        rows = connection.execute(
            "SELECT datname FROM pg_database WHERE datname ~ '^ringfence_test_[0-9]+_' "
            "AND pg_get_userbyid(datdba) = current_user"
        ).fetchall()
    drop([name for (name,) in rows if not Path(f"/proc/{name.split('_')[2]}").exists()])


LENT = Lent()

# Found before the server's own, so that a test can say what time it is there.
OWN_CLOCK = """CREATE TABLE public.test_time (now_ms bigint);
CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT coalesce(
  (SELECT to_timestamp(now_ms / 1000.0) FROM public.test_time), pg_catalog.clock_timestamp()) $$"""


def empty(name: str) -> None:
    """Leave the tables and nothing in them; whoever is still connected is thrown out."""
    with psycopg.connect(url_of(name), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
            [name],
        )
        tables = connection.execute(
            "SELECT quote_ident(relname) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace "
            "AND relname NOT IN ('schema_migrations', 'engine_migrations')"
        ).fetchall()
        # Who refers to others goes first.
        ordered = sorted((row[0] for row in tables), key=lambda table: table in ("tenants", "attempts"))
        ordered.sort(key=lambda table: table == "tenants")
        sequences = connection.execute(
            "SELECT quote_ident(sequencename) FROM pg_sequences WHERE last_value IS NOT NULL"
        ).fetchall()
        deletes = [f"DELETE FROM {table}" for table in ordered]
        restarts = [f"ALTER SEQUENCE {row[0]} RESTART" for row in sequences]
        connection.execute("; ".join(["BEGIN", "SET LOCAL synchronous_commit = off", *deletes, *restarts, "COMMIT"]))


@contextmanager
def unwritable(database: Database) -> Iterator[None]:
    """Nothing can be stored in it by this process."""
    if isinstance(database, PostgresDatabase):
        database.now_ms()
        before, database._begin_writing = database._begin_writing, "BEGIN READ ONLY"
        yield
        database._begin_writing = before
        return
    with database.transaction() as tx:
        # Holds for this connection only, and one that may not write is replaced by the next write.
        tx.do("PRAGMA query_only = ON")
    yield


def is_postgres() -> bool:
    return LENT.kind == "postgres"


@contextmanager
def using(kind: str) -> Iterator[None]:
    """Every database asked for here until the end is of this kind."""
    LENT.kind = kind
    try:
        yield
    finally:
        LENT.kind = "sqlite"
        LENT.take_back()


def database_url(folder: Path) -> str:
    """DATABASE_URL of the one database of this folder, of the kind in use."""
    return url_of(LENT.name_for(folder)) if is_postgres() else f"sqlite:///{folder}/gateway.db"


def open_database(folder: Path) -> Database:
    """The database of this folder, migrated; opened again it is the same one, as another process sees it."""
    if is_postgres():
        return PostgresDatabase(database_url(folder), wait_seconds=BUSY_SECONDS)
    database = SqliteDatabase(folder / "gateway.db", busy_timeout_seconds=BUSY_SECONDS)
    migrate(database)
    return database
