"""What a command needs before it can do anything: settings, logs, and a database that is ours."""

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gateway import logs
from gateway.domain.rules import Rules
from gateway.errors import DatabaseRefused
from gateway.settings import Settings, load_from_process
from gateway.store import installation, wakeups
from gateway.store.database import Database
from gateway.store.engines import database_of, refuse_old
from gateway.store.file import make_folder, size_of


@dataclass(frozen=True)
class Opened:
    """A database that exists, is up to date, and belongs to these settings."""

    settings: Settings
    database: Database

    @property
    def rules(self) -> Rules:
        """What decisions depend on, as the gateway itself has it."""
        from gateway.wiring import rules_from

        return rules_from(self.settings)

    @property
    def actor(self) -> str:
        return actor()

    def now_ms(self) -> int:
        """The gateway's clock: the database's or the wall clock, and how far a sandbox's is ahead."""
        with self.database.read() as tx:
            offset_ms = installation.clock_offset_ms(tx)
        at_ms = self.database.now_ms()
        return (wall_clock_ms() if at_ms is None else at_ms) + offset_ms


def actor() -> str:
    """Who acts, for the tenant's story: the account on this machine."""
    try:
        return f"cli:{pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:
        return f"cli:{os.getuid()}"


def wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


def settings_with_logs() -> Settings:
    """The settings, with this process's logs set up after them. Raises SettingsError."""
    settings = load_from_process()
    logs.set_up(settings)
    return settings


@contextmanager
def opened(settings: Settings | None = None) -> Iterator[Opened]:
    """The database that the settings name; never makes one. Raises DatabaseRefused, OtherInstallation."""
    settings = settings or settings_with_logs()
    if settings.database.conninfo is None and size_of(settings.database.path) is None:
        raise DatabaseRefused(
            f"There is no database at {settings.database.path} yet, or this account may not see it. "
            "Start the gateway once (python -m gateway serve), or make one: python -m gateway migrate"
        )
    if settings.keeps_files and settings.database.conninfo is not None:
        # What a sandbox keeps on this machine, where nothing of it may have run before.
        make_folder(settings.database.path)
    database = database_of(settings.database)
    try:
        refuse_old(database, settings.database)
        with database.read() as tx:
            installation.check(tx, settings.mode, settings.env, settings.twilio.account_sid)
        session = Opened(settings, database)
        if settings.has_jobs:
            database.last_words = wakeups.last_words(session.now_ms)
        yield session
    finally:
        database.close()
