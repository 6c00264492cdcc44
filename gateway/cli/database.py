"""The database as a whole: bring it up to date, copy it."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.opening import opened, settings_with_logs, wall_clock_ms
from gateway.cli.output import as_json_option, print_json
from gateway.errors import GatewayError
from gateway.settings import Settings
from gateway.store import watermark
from gateway.store.engines import bind, database_of
from gateway.store.file import make_folder
from gateway.store.migrate import migrate as apply_migrations
from gateway.store.sqlite import SqliteDatabase


@click.command()
@click.option(
    "--release", is_flag=True, help="As a step of a deployment: a SQLite file is left to `serve` and `work`."
)
@as_json_option
def migrate(release: bool, as_json: bool) -> None:
    """Bring the database up to date. Safe twice, and in two places at once.

    With --release nothing is done about a SQLite file: such a step often runs where its disk is not.
    """
    settings = settings_with_logs()
    shown = settings.database.shown
    is_left = release and settings.database.conninfo is None
    applied, is_new = ([], False) if is_left else bring_up_to_date(settings)
    if is_left and not as_json:
        click.echo(f"{shown} is left to `serve` and `work`: they bring a SQLite file up to date by themselves.")
        return
    if as_json:
        print_json({"database": shown, "applied": applied, "bound": is_new})
        return
    click.echo(f"{shown}: applied {', '.join(applied)}." if applied else f"{shown} is up to date.")
    if is_new:
        click.echo(f"It belongs to {settings.mode}, GATEWAY_ENV={settings.env}, from now on.")


def bring_up_to_date(settings: Settings) -> tuple[list[str], bool]:
    """Apply what is missing; the names applied, and whether the database was nobody's until now."""
    if settings.keeps_files:
        make_folder(settings.database.path)
    database = database_of(settings.database)
    try:
        database.quick_check()
        return apply_migrations(database), bind(settings, database)
    finally:
        database.close()


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@as_json_option
def backup(file: Path, as_json: bool) -> None:
    """Write a consistent copy of the database to FILE, which must not exist. The gateway may go on running."""
    if file.exists():
        raise click.UsageError(f"{file} exists already: name another file, for a backup never overwrites.")
    if not file.parent.is_dir():
        raise click.UsageError(f"The folder {file.parent} does not exist.")
    began_ms = wall_clock_ms()
    unfinished = file.with_name(file.name + ".unfinished")
    if unfinished.exists():
        raise click.UsageError(f"{unfinished} is left from a backup that was cut off: remove it first.")
    with opened() as session:
        if not isinstance(session.database, SqliteDatabase):
            raise click.UsageError("PostgreSQL is backed up by its own tools, such as pg_dump: see docs/runbook.md.")
        try:
            session.database.vacuum_into(unfinished)
            check_copy(unfinished)
            unfinished.chmod(0o600)
            # A link, unlike a rename, never replaces what somebody put there meanwhile.
            file.hardlink_to(unfinished)
        finally:
            unfinished.unlink(missing_ok=True)
        # So that this copy, put back by hand, is seen to be an old one.
        watermark.rise(session.database, session.now_ms())
    size = file.stat().st_size
    if as_json:
        print_json({"file": str(file), "bytes": size, "duration_ms": wall_clock_ms() - began_ms})
        return
    click.echo(f"Wrote {file} ({size / 1e6:.1f} MB). It holds personal data: keep it safe.")


def check_copy(path: Path) -> None:
    """A copy that cannot be read is no backup."""
    copy = SqliteDatabase(path, is_alone=True)
    try:
        copy.quick_check()
    except GatewayError as error:
        raise click.ClickException(f"The copy is damaged and was removed: {error}") from error
    finally:
        copy.close()
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
