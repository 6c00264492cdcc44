"""The database as a file: bring it up to date, copy it."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.opening import opened, settings_with_logs, wall_clock_ms
from gateway.cli.output import as_json_option, print_json
from gateway.errors import GatewayError
from gateway.store import installation
from gateway.store.database import SqliteDatabase
from gateway.store.file import make_folder
from gateway.store.migrate import migrate as apply_migrations


@click.command()
@as_json_option
def migrate(as_json: bool) -> None:
    """Bring the database up to date. Safe twice, and in two places at once."""
    settings = settings_with_logs()
    path = settings.database.path
    make_folder(path)
    database = SqliteDatabase(path)
    try:
        database.quick_check()
        applied = apply_migrations(database)
        with database.transaction() as tx:
            is_new = installation.bind(tx, settings.mode, settings.env, settings.twilio.account_sid)
    finally:
        database.close()
    if as_json:
        print_json({"database": str(path), "applied": applied, "bound": is_new})
        return
    click.echo(f"{path}: applied {', '.join(applied)}." if applied else f"{path} is up to date.")
    if is_new:
        click.echo(f"It belongs to {settings.mode}, GATEWAY_ENV={settings.env}, from now on.")


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
        try:
            session.database.vacuum_into(unfinished)
            check_copy(unfinished)
            unfinished.chmod(0o600)
            # A link, unlike a rename, never replaces what somebody put there meanwhile.
            file.hardlink_to(unfinished)
        finally:
            unfinished.unlink(missing_ok=True)
    size = file.stat().st_size
    if as_json:
        print_json({"file": str(file), "bytes": size, "duration_ms": wall_clock_ms() - began_ms})
        return
    click.echo(f"Wrote {file} ({size / 1e6:.1f} MB). It holds personal data: keep it safe.")


def check_copy(path: Path) -> None:
    """A copy that cannot be read is no backup."""
    copy = SqliteDatabase(path)
    try:
        copy.quick_check()
    except GatewayError as error:
        raise click.ClickException(f"The copy is damaged and was removed: {error}") from error
    finally:
        copy.close()
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
