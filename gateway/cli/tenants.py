"""`tenants`: look at them. What changes one is in `tenant_actions.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from gateway import display
from gateway.cli import LazyGroup
from gateway.cli.opening import Opened, opened
from gateway.cli.output import as_json_option, print_json, print_pairs, print_table, printable, state
from gateway.domain.model import Blocked, State, Tenant
from gateway.errors import OperatorError
from gateway.flow import export as exported
from gateway.flow import report
from gateway.flow.timeline import Line, Outlook, outlook, timeline
from gateway.store import holdings
from gateway.store import tenants as store

HERE, ACTIONS = "gateway.cli.tenants", "gateway.cli.tenant_actions"
COMMANDS = {
    "list": (f"{HERE}:list_tenants", "One line for each tenant."),
    "show": (f"{HERE}:show", "All of one tenant: what it holds, its story, and what happens next."),
    "export": (f"{HERE}:export", "One JSON object a line for each tenant."),
    "add": (f"{ACTIONS}:add", "Make a tenant by hand; it gets a number as a paying one does."),
    "retry": (f"{ACTIONS}:retry", "Try again what is blocked."),
    "suspend": (f"{ACTIONS}:suspend", "Let callers hear the suspended message until `resume`."),
    "resume": (f"{ACTIONS}:resume", "Lift an operator's hold."),
    "release": (f"{ACTIONS}:release", "Give the number back for good."),
    "redo": (f"{ACTIONS}:redo", "Look at every step again and mend what is missing."),
    "set": (f"{ACTIONS}:set_options", "Set options, such as area_code=406; they beat what any signup said."),
    "choose-link": ("gateway.cli.choose_link:choose_link", "A link for its customer to choose a number with."),
    "import": ("gateway.cli.tenants_import:import_tenants", "Take over many, as a CSV file says."),
    "adopt": (f"{ACTIONS}:adopt", "Take over a number that is in the Twilio account already."),
}

NOBODY = "No tenants. Add one (python -m gateway tenants add KEY --reason …), or send a signup."
NOBODY_LIKE_THAT = "No tenant is like that."
STATES = click.Choice([str(each) for each in State])
BLOCKS = click.Choice(["any", *(str(each) for each in Blocked)])


@click.command(cls=LazyGroup, entries=COMMANDS)
def tenants() -> None:
    """Look at tenants, and act on one."""


@click.command("list")
@click.option("--state", "only_state", type=STATES, help="Only tenants in this state.")
@click.option("--blocked", type=BLOCKS, help="Only tenants blocked for this reason, or for any.")
@click.option("--contains", help="Only tenants whose key contains this.")
@click.option("--spare", is_flag=True, help="Spare numbers, which are no tenants', instead.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True)
@as_json_option
def list_tenants(
    only_state: str | None, blocked: str | None, contains: str | None, spare: bool, limit: int, as_json: bool
) -> None:
    """One line for each tenant, the oldest first."""
    filters = {"state": only_state, "blocked": blocked, "contains": contains}
    with opened() as session, session.database.read() as tx:
        found = store.list_page(tx, **filters, is_spare=spare, limit=limit + 1)  # type: ignore[arg-type]
        lines = [exported.line(tx, tenant, session.rules) for tenant in found[:limit]]
        now_ms = session.now_ms()
    if as_json:
        for line in lines:
            print_json(line)
        return
    print_table(
        ["tenant", "state", "number", "blocked", "next", "why"],
        [cells(tenant, line, now_ms) for tenant, line in zip(found, lines, strict=False)],
        empty=NOBODY_LIKE_THAT if spare or any(filters.values()) else NOBODY,
    )
    if len(found) > limit:
        click.echo(f"… and more: --limit, --state or --contains. This shows {limit}.")


def cells(tenant: Tenant, line: Mapping[str, Any], now_ms: int) -> list[Any]:
    due = tenant.next_run_at_ms
    return [
        tenant.tenant_key,
        tenant.state,
        display.phone_number(line["phone_number"]) if line["phone_number"] else None,
        tenant.block.code if tenant.block else None,
        display.distance(due, now_ms) if due is not None else None,
        tenant.block.message if tenant.block else tenant.reason,
    ]


@click.command()
@as_json_option
def export(as_json: bool) -> None:
    """One JSON object a line for each tenant: key, state, number, ids, and the tags of all generations.

    --json changes nothing, for it is JSON always.
    """
    with opened() as session, session.database.read() as tx:
        for line in exported.lines(tx, session.rules):
            print_json(line)


@click.command()
@click.argument("key")
@click.option("--limit", type=click.IntRange(1, 10_000), default=500, show_default=True, help="Lines of the story.")
@as_json_option
def show(key: str, limit: int, as_json: bool) -> None:
    """All of one tenant: what it holds, its story with the newest last, why it is there and what happens next."""
    with opened() as session, session.database.read() as tx:
        tenant = known(session, tx, key)
        whole = report.whole(tx, tenant, session.rules)
        lines = timeline(tx, tenant, limit)
        now_ms = session.now_ms()
        ahead = outlook(tenant, holdings.of_tenant(tx, tenant.id), now_ms)
    if as_json:
        print_json(
            {
                **whole,
                "why": ahead.why,
                "next": ahead.next,
                "next_at": display.iso(ahead.next_at_ms),
                "timeline": [as_record(line) for line in lines],
            }
        )
        return
    show_head(tenant, whole, now_ms)
    show_story(lines)
    show_outlook(ahead, now_ms)


def known(session: Opened, tx: Any, key: str) -> Tenant:
    """The tenant of this key or alias. Raises OperatorError with what is close."""
    tenant = store.by_key(tx, key)
    if tenant is not None:
        return tenant
    close = [found.tenant_key for found in store.list_page(tx, contains=key, limit=3)]
    hint = f" Close: {', '.join(close)}." if close else " See: python -m gateway tenants list"
    raise OperatorError(f"There is no tenant {printable(key)}.{hint}")


def as_record(line: Line) -> dict[str, Any]:
    record = {"at": display.iso(line.at_ms), "kind": line.kind, "name": line.name, "text": line.text}
    return {**record, "actor": line.actor, "detail": dict(line.detail)}


def show_head(tenant: Tenant, whole: Mapping[str, Any], now_ms: int) -> None:
    click.echo(f"{click.style(tenant.tenant_key, bold=True)}  {state(tenant.state)}", nl=False)
    click.echo(click.style(f"  blocked: {tenant.block.code}", fg="red", bold=True) if tenant.block else "")
    number = whole["phone_number"]
    held = "   ".join(f"{step}: {holding['held']}" for step, holding in whole["holdings"].items())
    print_pairs(
        {
            "number": f"{display.phone_number(number)}   {number}" if number else None,
            "twilio": whole["twilio_sid"],
            "vapi": whole["vapi_id"],
            "assistant": whole["assistant_id"],
            "held": held,
            "wanted": f"{tenant.wanted}   (generation {tenant.generation}, tag {whole['friendly_names'][-1]})",
            "changes": display.moment(tenant.changes_at_ms) if tenant.changes_at_ms else None,
            "hold": tenant.hold,
            "also known as": ", ".join(whole["aliases"]) or None,
            "options": ", ".join(f"{name}={value}" for name, value in whole["options"].items()) or None,
            "known since": since(tenant.created_at_ms, now_ms),
        }
    )


def since(at_ms: int, now_ms: int) -> str:
    return f"{display.moment(at_ms)} ({display.distance(at_ms, now_ms)})"


def show_story(lines: list[Line]) -> None:
    click.echo()
    day = ""
    for line in lines:
        date, _, time = display.moment(line.at_ms).partition(" ")
        if date != day:
            click.echo(click.style(date, dim=True))
            day = date
        duration = line.detail.get("duration_ms")
        took = f"  ({display.duration(duration)})" if isinstance(duration, int | float) else ""
        actor = f"  by {printable(line.actor)}" if line.actor else ""
        colour = {"blocked": "red", "operator": "cyan", "state": "green", "attempt": "yellow"}.get(line.kind)
        click.echo(f"  {time}  {click.style(printable(line.text), fg=colour)}{took}{actor}")
    if not lines:
        click.echo("  Nothing has happened yet.")


def show_outlook(ahead: Outlook, now_ms: int) -> None:
    click.echo()
    click.echo(f"{click.style('Why:', bold=True)}   {printable(ahead.why)}")
    when = (
        f" ({display.moment(ahead.next_at_ms)}, {display.distance(ahead.next_at_ms, now_ms)})"
        if ahead.next_at_ms
        else ""
    )
    click.echo(f"{click.style('Next:', bold=True)}  {printable(ahead.next)}{when}")
