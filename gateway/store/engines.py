"""Which database the settings name: the one place that picks an engine, and opens it for work."""

from __future__ import annotations

import logging

from gateway.errors import DatabaseRefused
from gateway.settings.types import DatabaseSettings, Settings
from gateway.store import installation
from gateway.store.database import Database, in_transaction
from gateway.store.file import make_folder
from gateway.store.migrate import migrate, pending
from gateway.store.sqlite import SqliteDatabase

log = logging.getLogger("gateway.store")

NOT_LASTING = (
    "PostgreSQL runs with fsync = off: a power cut would lose events that were acknowledged. Set fsync = on in "
    "postgresql.conf and restart the server."
)


def database_of(settings: DatabaseSettings) -> Database:
    """Not opened yet: nothing is made, nobody is asked. Its library is only loaded where it is needed."""
    if settings.conninfo is None:
        return SqliteDatabase(settings.path)
    from gateway.store.postgres import PostgresDatabase

    return PostgresDatabase(settings.conninfo, settings.pool_max)


def refuse_old(database: Database, settings: DatabaseSettings) -> None:
    """Raise DatabaseRefused unless every migration was applied."""
    missing = pending(database)
    if missing:
        raise DatabaseRefused(
            f"The database {settings.shown} lacks {', '.join(missing)}. Run: python -m gateway migrate"
        )


def open_database(settings: Settings) -> Database:
    """The database of these settings: checked, up to date, and ours. A SQLite file is made if need be.

    On PostgreSQL somebody has to say `migrate`: other processes of the old release may be at work there.
    Raises SettingsError, DatabaseRefused, OtherInstallation or StorageUnavailable, each saying what to do.
    """
    if settings.keeps_files:
        make_folder(settings.database.path)
    database = database_of(settings.database)
    try:
        database.quick_check()
        check_lasting(settings, database)
        if settings.database.conninfo is None:
            migrate(database)
        else:
            refuse_old(database, settings.database)
        bind(settings, database)
    except BaseException:
        database.close()
        raise
    return database


def check_lasting(settings: Settings, database: Database) -> None:
    """Raise DatabaseRefused where a live installation could lose what it acknowledged."""
    if database.is_lasting():
        return
    if settings.is_live:
        raise DatabaseRefused(NOT_LASTING)
    log.warning("storage.not_lasting", extra={"fields": {"reason": NOT_LASTING}})


def bind(settings: Settings, database: Database) -> bool:
    """Write whose database this is, or check it; whether it was nobody's."""
    return in_transaction(
        database, lambda tx: installation.bind(tx, settings.mode, settings.env, settings.twilio.account_sid)
    )
