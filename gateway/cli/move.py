"""`move --to URL`: from SQLite to PostgreSQL, once and for good."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from gateway import logs
from gateway.cli.opening import actor, settings_with_logs, wall_clock_ms
from gateway.cli.output import as_json_option, print_json
from gateway.errors import DatabaseRefused, SettingsError
from gateway.scheduler.lock import WorkerLock
from gateway.settings import DatabaseSettings, Settings, environment_for_child, load
from gateway.store import file, installation
from gateway.store.closing import closed_for
from gateway.store.engines import check_lasting, database_of
from gateway.store.migrate import migrate, pending
from gateway.store.move import Moved
from gateway.store.move import move as move_all
from gateway.store.sqlite import SqliteDatabase
from gateway.store.use import UseLock


@click.command()
@click.option("--to", "url", required=True, metavar="URL", help="postgresql://user:password@host/database, empty.")
@as_json_option
def move(url: str, as_json: bool) -> None:
    """Move the SQLite database to PostgreSQL, with every serve and work stopped. Run it again if it was cut off.

    The old database is closed for good, everything is copied and compared, and only then the new one can be used.
    """
    settings = settings_with_logs()
    to = postgres_at(url)
    if settings.database.conninfo is not None:
        raise click.UsageError("DATABASE_URL names PostgreSQL already: let it name the SQLite database to move.")
    if file.size_of(settings.database.path) is None:
        raise DatabaseRefused(f"There is no database at {settings.database.path}, so there is nothing to move.")
    # What is logged from here on may come from the new database's library.
    logs.set_up(replace(settings, database=to))
    tell(settings, to, move_database(settings, to), as_json)


def postgres_at(url: str) -> DatabaseSettings:
    """What the settings will be once DATABASE_URL names it. Its complaints never quote the address."""
    try:
        found = load(environment_for_child({"DATABASE_URL": url}), Path(".env")).database
    except SettingsError:
        found = None
    if found is None or found.conninfo is None:
        raise click.UsageError(
            "--to is no address of a PostgreSQL database: expected postgresql://user:password@host/database."
        )
    return found


def move_database(settings: Settings, to: DatabaseSettings) -> Moved:
    """Alone with the old database: whoever has it open, or works on it, is named and nothing is changed."""
    use, worker = UseLock(settings.database.path), WorkerLock(settings.database.path)
    use.take_alone()
    source, target = SqliteDatabase(settings.database.path, is_alone=True), database_of(to)
    try:
        if not worker.take():
            raise DatabaseRefused("A worker has this database, so nothing was changed. Stop it, then try again.")
        make_ready(settings, source)
        target.quick_check()
        check_lasting(settings, target)
        return move_all(source, target, to.shown, wall_clock_ms, actor())
    finally:
        target.close()
        source.close()
        worker.free()
        use.free()


def make_ready(settings: Settings, source: SqliteDatabase) -> None:
    """Raise DatabaseRefused unless it is sound, ours, and of this release."""
    source.quick_check()
    with source.read() as tx:
        is_closed = closed_for(tx) is not None
    if not is_closed:
        migrate(source)
    elif pending(source):
        raise DatabaseRefused(
            "This database was closed by the move that an older release began: finish it with that release, then "
            "run `migrate` on the new database with this one. Nothing was changed."
        )
    with source.transaction() as tx:
        installation.bind(tx, settings.mode, settings.env, settings.twilio.account_sid)


def tell(settings: Settings, to: DatabaseSettings, done: Moved, as_json: bool) -> None:
    if as_json:
        print_json({"to": to.shown, "rows": done.rows, "copied": done.copied, "was_done": done.was_done})
        return
    if done.was_done:
        click.echo(f"{settings.database.shown} was moved to {to.shown} already, and that one is open.")
    else:
        tables = len(done.copied)
        click.echo(f"Moved to {to.shown}: {done.rows} rows in {tables} tables, compared and the same.")
    click.echo("Now let DATABASE_URL name it, and start the gateway.")
    click.echo(f"{settings.database.shown} is closed for good. Keep it until you trust the new one's backups.")
