"""`restore`: put a backup in the database's place, and keep purchases and releases off until all was compared."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from gateway import display
from gateway.cli.opening import Opened, actor, opened, settings_with_logs, wall_clock_ms
from gateway.cli.output import as_json_option, print_json
from gateway.errors import DatabaseRefused
from gateway.flow.after_restore import sentence
from gateway.scheduler.lock import WorkerLock
from gateway.settings import Settings
from gateway.store import aftermath, installation
from gateway.store.carried import Carried
from gateway.store.database import Transaction, in_transaction
from gateway.store.restore import Restored
from gateway.store.restore import restore as put_back
from gateway.store.use import UseLock


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=False)
@click.option(
    "--mark", is_flag=True, help="The database was put back by other means, such as pg_restore: only say so."
)
@as_json_option
def restore(file: Path | None, mark: bool, as_json: bool) -> None:
    """Put the backup FILE in the database's place, with every serve and work stopped. The old file is kept beside it.

    Events that the backup lacks are carried over. Nothing is bought or given back until a full reconcile that starts
    SETTLE_SECONDS later has finished; a running gateway does that by itself.
    """
    settings = settings_with_logs()
    if mark == (file is not None):
        raise click.UsageError("Say either which FILE to put back, or --mark where that is done already.")
    if file is None:
        mark_restored(settings, as_json)
    elif settings.database.conninfo is not None:
        raise click.UsageError(
            "PostgreSQL is put back by its own tools, such as pg_restore; then: python -m gateway restore --mark. "
            "See docs/runbook.md."
        )
    else:
        tell(settings, restore_file(settings, file), as_json)


def mark_restored(settings: Settings, as_json: bool) -> None:
    with opened(settings) as session:
        at_ms = session.now_ms()
        in_transaction(
            session.database,
            lambda tx: aftermath.mark(tx, at_ms, "a backup was put back", session.actor),
            is_repeatable=True,
        )
        says = held_back(session)
    if as_json:
        print_json({"restored_at_ms": at_ms, "held_back": says})
        return
    click.echo(says)


def held_back(session: Opened) -> str | None:
    with session.database.read() as tx:
        return sentence(tx, session.rules.settle_ms)


def restore_file(settings: Settings, file: Path) -> Restored:
    """Alone with the database: whoever has it open, or works on it, is named and nothing is changed."""
    use, worker = UseLock(settings.database.path), WorkerLock(settings.database.path)
    use.take_alone()
    try:
        if not worker.take():
            raise DatabaseRefused("A worker has this database, so nothing was changed. Stop it, then try again.")
        return put_back(
            file.resolve(),
            settings.database.path,
            lambda tx: installation.check(tx, settings.mode, settings.env, settings.twilio.account_sid),
            gateway_time,
            datetime.fromtimestamp(wall_clock_ms() / 1000, UTC).strftime("%Y%m%dT%H%M%SZ"),
            actor(),
        )
    finally:
        worker.free()
        use.free()


def gateway_time(tx: Transaction) -> int:
    """The clock that the gateway will have once it runs on this database."""
    return wall_clock_ms() + installation.clock_offset_ms(tx)


def tell(settings: Settings, done: Restored, as_json: bool) -> None:
    with opened(settings) as session:
        says = held_back(session)
    if as_json:
        print_json(
            {
                "kept": str(done.kept) if done.kept else None,
                "carried_over": done.carried.events,
                "expired": done.carried.expired,
                "old_was_whole": done.carried.is_whole,
                "restored_at_ms": done.restored_at_ms,
                "held_back": says,
            }
        )
        return
    click.echo(f"Put back into {settings.database.shown}.")
    if done.kept:
        click.echo(f"The old database is kept as {done.kept}. It holds personal data.")
    for line in about_carried(done.carried):
        click.echo(line)
    click.echo(says)


def about_carried(carried: Carried) -> list[str]:
    """What the old database knew that the backup does not, for people."""
    lines = []
    if carried.events:
        lines.append(f"Carried over, to be applied again: {carried.events} events that the backup lacked.")
    if carried.expired:
        lines.append(
            f"Not carried over, because their bodies are forgotten already: {carried.expired} events. "
            "Let their senders send them again."
        )
    if not carried.is_whole:
        lines.append("The old database is damaged, and not all of it could be read: let the senders send again.")
    if carried.actions:
        lines.append("Operators did this after the backup. It is forgotten: do it again where it is still meant.")
    for each in carried.actions:
        lines.append(f"  {display.moment(each.at_ms)}  {each.tenant_key}: {each.name}, by {each.actor}")
    return lines
