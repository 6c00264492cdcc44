"""`tenants …`: what an operator may do. Each is written into the tenant's story with who did it and why."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from gateway.cli.opening import Opened, opened, settings_with_logs
from gateway.cli.output import as_json_option, print_json, printable
from gateway.domain.model import Blocked, Hold, Tenant
from gateway.flow import account, export, operate
from gateway.flow.operate import Operator
from gateway.store.database import Transaction, in_transaction

Action = Callable[[Transaction, Opened, Operator, int], Tenant]

reason_option = click.option("--reason", required=True, help="Why; kept in the tenant's story.")
yes_option = click.option("--yes", is_flag=True, help="Do it without asking.")


def act(action: Action, reason: str, as_json: bool, done: str) -> None:
    """Run an action in one transaction and say how the tenant stands now; `done` may hold `{key}`."""
    with opened() as session:
        rules = session.rules
        now_ms = session.now_ms()
        who = operator(session, reason)

        def job(tx: Transaction) -> tuple[Tenant, dict[str, Any]]:
            tenant = action(tx, session, who, now_ms)
            return tenant, export.line(tx, tenant, rules)

        tenant, line = in_transaction(session.database, job)
    tell(tenant, line, as_json, done)


def operator(session: Opened, reason: str) -> Operator:
    if not reason.strip():
        raise click.UsageError("--reason must not be empty: somebody will want to know.")
    return Operator(session.actor, reason)


def tell(tenant: Tenant, line: dict[str, Any], as_json: bool, done: str) -> None:
    if as_json:
        print_json(line)
        return
    key = printable(tenant.tenant_key)
    click.echo(f"{done.format(key=key)} It is {tenant.state}, wanted {tenant.wanted}: {printable(tenant.reason)}")
    click.echo(f"See: python -m gateway tenants show {key}")


def confirm(question: str, yes: bool) -> None:
    """Ask, unless --yes was given; without a terminal to ask on, --yes is needed."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Say --yes to do it.")
    click.confirm(question, abort=True)


def read_options(given: tuple[str, ...]) -> dict[str, str]:
    """`area_code=406` and the like."""
    found: dict[str, str] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{each!r}: expected OPTION=VALUE, such as area_code=406.")
        found[name.strip()] = value
    return found


@click.command()
@click.argument("key")
@click.argument("options", nargs=-1, metavar="[OPTION=VALUE]…")
@reason_option
@as_json_option
def add(key: str, options: tuple[str, ...], reason: str, as_json: bool) -> None:
    """Make the tenant KEY by hand; it is active until it is suspended or released by hand. Safe to repeat."""
    wishes = read_options(options)

    def action(tx: Transaction, session: Opened, who: Operator, now_ms: int) -> Tenant:
        return operate.add(tx, key, wishes, session.rules, who, now_ms)

    act(action, reason, as_json, "{key} is on its way.")


@click.command("set")
@click.argument("key")
@click.argument("options", nargs=-1, required=True, metavar="OPTION=VALUE…")
@reason_option
@as_json_option
def set_options(key: str, options: tuple[str, ...], reason: str, as_json: bool) -> None:
    """Set options of KEY, such as area_code=406. They beat every signup's; an empty value takes the word back."""
    wishes = read_options(options)

    def action(tx: Transaction, session: Opened, who: Operator, now_ms: int) -> Tenant:
        return operate.set_options(tx, key, wishes, session.rules, who, now_ms)

    act(action, reason, as_json, "Set for {key}.")


def hold(key: str, wish: Hold | None, reason: str, as_json: bool, done: str) -> None:
    def action(tx: Transaction, session: Opened, who: Operator, now_ms: int) -> Tenant:
        return operate.hold(tx, key, wish, session.rules, who, now_ms)

    act(action, reason, as_json, done)


@click.command()
@click.argument("key")
@reason_option
@as_json_option
def suspend(key: str, reason: str, as_json: bool) -> None:
    """Let KEY's callers hear the suspended message, whatever its subscriptions say, until `resume`."""
    hold(key, Hold.SUSPEND, reason, as_json, "{key} is held suspended until: tenants resume {key}.")


@click.command()
@click.argument("key")
@reason_option
@as_json_option
def resume(key: str, reason: str, as_json: bool) -> None:
    """Lift the operator's hold of KEY: its subscriptions count again."""
    hold(key, None, reason, as_json, "The hold of {key} is lifted.")


@click.command()
@click.argument("key")
@reason_option
@yes_option
@as_json_option
def release(key: str, reason: str, yes: bool, as_json: bool) -> None:
    """Give KEY's number back for good. Nobody can promise to get it back."""
    confirm(f"Give the number of {printable(key)} back to Twilio, for good?", yes)
    hold(key, Hold.RELEASE, reason, as_json, "The number of {key} is given back.")


@click.command()
@click.argument("key")
@reason_option
@as_json_option
def redo(key: str, reason: str, as_json: bool) -> None:
    """Look at everything KEY holds again, and mend what is not as it should be."""

    def action(tx: Transaction, session: Opened, who: Operator, now_ms: int) -> Tenant:
        return operate.redo(tx, key, session.rules, who, now_ms)

    act(action, reason, as_json, "{key} is looked at again.")


@click.command()
@click.argument("key", required=False)
@click.option("--blocked", type=click.Choice([str(each) for each in Blocked]), help="Every tenant blocked so.")
@click.option("--reason", help="Why; needed for one tenant.")
@yes_option
@as_json_option
def retry(key: str | None, blocked: str | None, reason: str | None, yes: bool, as_json: bool) -> None:
    """Try KEY again now, or with --blocked every tenant that is blocked for this reason."""
    if (key is None) == (blocked is None):
        raise click.UsageError("Say either the KEY of a tenant, or --blocked CODE --yes for all that are blocked so.")
    if key is not None:
        retry_one(key, reason, as_json)
        return
    assert blocked is not None
    with opened() as session:
        who = operator(session, reason or f"retry --blocked {blocked}")
        now_ms = session.now_ms()
        count = how_many(session, blocked)
        if count:
            confirm(f"Try {count} tenants again that are blocked as {blocked}?", yes)
        tried = in_transaction(
            session.database, lambda tx: operate.retry_blocked(tx, blocked, session.rules, who, now_ms)
        )
    if as_json:
        print_json({"blocked": blocked, "retried": [tenant.tenant_key for tenant in tried]})
    else:
        click.echo(f"{len(tried)} {'tenant is' if len(tried) == 1 else 'tenants are'} tried again.")


def retry_one(key: str, reason: str | None, as_json: bool) -> None:
    if reason is None:
        raise click.UsageError("Missing option '--reason'.")

    def action(tx: Transaction, session: Opened, who: Operator, now_ms: int) -> Tenant:
        return operate.retry(tx, key, session.rules, who, now_ms)

    act(action, reason, as_json, "{key} is tried again.")


def how_many(session: Opened, blocked: str) -> int:
    from gateway.store import tenants

    with session.database.read() as tx:
        return len(tenants.list_page(tx, blocked=blocked, limit=1_000_000))


@click.command()
@click.argument("key")
@click.argument("sid", metavar="PN…")
@reason_option
@as_json_option
def adopt(key: str, sid: str, reason: str, as_json: bool) -> None:
    """Take over the number PN… for KEY, after checking it: a spare one of ours, or any of the account. Nothing is
    bought.
    """
    from gateway.wiring import build, with_pretend_world

    with opened(with_pretend_world(settings_with_logs())) as session:
        who = operator(session, reason)
        gateway = build(session.settings, session.database)
        try:
            account.adopt(gateway.steps, key, sid, who)
            with session.database.read() as tx:
                tenant = operate.find(tx, key)
                line = export.line(tx, tenant, gateway.rules)
        finally:
            gateway.close()
    tell(tenant, line, as_json, f"{sid} belongs to {{key}} now.")
