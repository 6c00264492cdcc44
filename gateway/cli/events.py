"""`events`: what was received, what became of it, and having it looked at once more."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import click

from gateway import display
from gateway.cli import LazyGroup
from gateway.cli.opening import Opened, opened
from gateway.cli.output import as_json_option, print_json, print_pairs, print_table, printable
from gateway.errors import OperatorError
from gateway.store import conflicts, inbox, journal, tenants
from gateway.store.database import Transaction
from gateway.store.inbox import InboxRow

HERE = "gateway.cli.events"
COMMANDS = {
    "list": (f"{HERE}:list_events", "The newest events, newest first."),
    "show": (f"{HERE}:show", "One event, with its body."),
    "replay": (f"{HERE}:replay", "Have an event looked at once more."),
    "tail": (f"{HERE}:tail", "Print events as they come."),
}
STATUSES = (
    "new", "applied", "ignored", "waiting", "tenant_key_invalid", "link_conflict", "time_invalid", "wrong_mode",
    "failed",
)  # fmt: skip
SOURCES = ("stripe", "standard")
TAIL_SECONDS = 0.25


@click.command(cls=LazyGroup, entries=COMMANDS)
def events() -> None:
    """Look at what was received, and have it looked at again."""


@click.command("list")
@click.option("--status", type=click.Choice(STATUSES), help="Only events of which this became.")
@click.option("--source", help="Only events of this source, such as stripe.")
@click.option("--tenant", help="Only events of this tenant.")
@click.option("--conflicts", "only_conflicts", is_flag=True, help="Only those that contradict a stored event.")
@click.option("--mark-read", is_flag=True, help="With --conflicts: they were read; 10,000 unread ones stop intake.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@as_json_option
def list_events(
    status: str | None,
    source: str | None,
    tenant: str | None,
    only_conflicts: bool,
    mark_read: bool,
    limit: int,
    as_json: bool,
) -> None:
    """The newest events, newest first."""
    if only_conflicts:
        list_conflicts(limit, mark_read, as_json)
        return
    with opened() as session, session.database.read() as tx:
        tenant_id = tenant_row_id(tx, tenant)
        rows = inbox.list_events(tx, status=status, source=source, tenant_id=tenant_id, limit=limit)
        records = [record(tx, row) for row in rows]
    if as_json:
        for each in records:
            print_json(each)
        return
    print_table(
        ["id", "received", "source", "type", "status", "tenant", "repeats", "why"],
        [
            [
                each["id"],
                display.moment(row.received_at_ms),
                row.source,
                row.type,
                row.status,
                each["tenant_key"],
                row.repeats or None,
                row.reason,
            ]
            for row, each in zip(rows, records, strict=True)
        ],
        empty="No events.",
    )


def list_conflicts(limit: int, mark_read: bool, as_json: bool) -> None:
    """Deliveries whose id is known and that say something else. They were never applied."""
    with opened() as session:
        with session.database.read() as tx:
            rows = conflicts.list_unread(tx, limit)
        if mark_read and rows:
            with session.database.transaction() as tx:
                conflicts.mark_read(tx, rows[-1]["id"])
    if as_json:
        for row in rows:
            print_json({**row, "received_at": display.iso(row["received_at_ms"])})
        return
    print_table(
        ["id", "received", "source", "event"],
        [[row["id"], display.moment(row["received_at_ms"]), row["source"], row["event_id"]] for row in rows],
        empty="No unread contradictions.",
    )


def tenant_row_id(tx: Transaction, key: str | None) -> int | None:
    if key is None:
        return None
    found = tenants.by_key(tx, key)
    if found is None:
        raise OperatorError(f"There is no tenant {printable(key)}.")
    return found.id


def record(tx: Transaction, row: InboxRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "source": row.source,
        "event_id": row.event_id,
        "type": row.type,
        "status": row.status,
        "reason": row.reason,
        "tenant_key": tenants.get(tx, row.tenant_id).tenant_key if row.tenant_id is not None else None,
        "subscription_id": row.subscription_id,
        "customer_id": row.customer_id,
        "occurred_at": display.iso(row.occurred_at_ms),
        "received_at": display.iso(row.received_at_ms),
        "try_at": display.iso(row.try_at_ms),
        "tries": row.tries,
        "repeats": row.repeats,
    }


@click.command()
@click.argument("id")
@as_json_option
def show(id: str, as_json: bool) -> None:
    """One event with its body. ID is the number of `events list`, or the sender's own id."""
    with opened() as session, session.database.read() as tx:
        row = find(tx, id)
        shown = {**record(tx, row), "headers": dict(row.headers), "body": body_of(row)}
    if as_json:
        print_json(shown)
        return
    body = shown.pop("body")
    print_pairs({name: value for name, value in shown.items() if name != "headers" and value not in (None, 0)})
    for name, value in shown["headers"].items():
        click.echo(f"  {printable(name)}: {printable(value)}")
    click.echo()
    if body is None:
        click.echo("The body has expired (BODY_KEEP_DAYS).")
    else:
        click.echo(json.dumps(body, indent=2, ensure_ascii=True) if not isinstance(body, str) else printable(body))


def find(tx: Transaction, id: str) -> InboxRow:
    """An event by row number or by the sender's id. Raises OperatorError."""
    row = inbox.get(tx, int(id)) if id.isascii() and id.isdigit() and len(id) < 19 else None
    if row is not None:
        return row
    found = (inbox.get_by_event_id(tx, source, id) for source in SOURCES)
    matches = [match for match in found if match is not None]
    if len(matches) == 1:
        return matches[0]
    if matches:
        numbers = ", ".join(f"{match.id} ({match.source})" for match in matches)
        raise OperatorError(f"Several sources sent an event {printable(id)}: {numbers}. Name one by its number.")
    raise OperatorError(f"There is no event {printable(id)}. See: python -m gateway events list")


def body_of(row: InboxRow) -> Any:
    if row.body is None:
        return None
    try:
        return json.loads(row.body)
    except ValueError:
        return row.body.decode("utf-8", "replace")


@click.command()
@click.argument("id")
@click.option("--reason", required=True, help="Why; kept in the tenant's story.")
@as_json_option
def replay(id: str, reason: str, as_json: bool) -> None:
    """Have an event looked at once more, whatever became of it. Nothing happens twice by it."""
    with opened() as session:
        now_ms = session.now_ms()
        with session.database.transaction() as tx:
            row = find(tx, id)
            if not inbox.replay(tx, row.id):
                raise OperatorError(f"Event {row.id} cannot be looked at again: its body has expired.")
            detail = {"event_id": row.event_id, "source": row.source, "reason": reason}
            journal.write(
                tx, row.tenant_id, now_ms, "operator", "replay", detail, actor=session.actor, inbox_id=row.id
            )
    if as_json:
        print_json({"id": row.id, "event_id": row.event_id, "status": "new"})
    else:
        click.echo(f"Event {row.id} ({row.type}) is new again; a running worker takes it within a second.")


@click.command()
@click.option("--source", help="Only events of this source.")
@click.option("--status", type=click.Choice(STATUSES), help="Only events of which this became meanwhile.")
@click.option("--from-start", is_flag=True, help="Begin with the oldest event instead of the next one.")
@as_json_option
def tail(source: str | None, status: str | None, from_start: bool, as_json: bool) -> None:
    """Print events as they come, until Ctrl-C."""
    # Ctrl-C is how it is meant to end.
    with suppress(KeyboardInterrupt), opened() as session:
        after_id = 0 if from_start else newest_id(session)
        while True:
            with session.database.read() as tx:
                rows = inbox.list_events(tx, source=source, status=status, after_id=after_id, limit=200)
                records = [record(tx, row) for row in rows]
            print_rows(rows, records, as_json)
            after_id = rows[-1].id if rows else after_id
            if len(rows) < 200:
                time.sleep(TAIL_SECONDS)


def newest_id(session: Opened) -> int:
    with session.database.read() as tx:
        rows = inbox.list_events(tx, limit=1)
    return rows[0].id if rows else 0


def print_rows(rows: Sequence[InboxRow], records: Sequence[dict[str, Any]], as_json: bool) -> None:
    for row, each in zip(rows, records, strict=True):
        if as_json:
            print_json(each)
            continue
        who = f"  {each['tenant_key']}" if each["tenant_key"] else ""
        click.echo(printable(f"{display.moment(row.received_at_ms)}  {row.id}  {row.source}  {row.type}{who}"))
