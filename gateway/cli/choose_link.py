"""`tenants choose-link KEY`: a link to the page where the tenant's own customer picks a number."""

from __future__ import annotations

import click

from gateway import display
from gateway.cli.opening import opened, settings_with_logs
from gateway.cli.output import as_json_option, print_json, printable
from gateway.domain.model import Wanted
from gateway.errors import OperatorError
from gateway.flow import operate
from gateway.flow.choice_links import DEFAULT_HOURS, HOUR_MS, make_link
from gateway.settings import Settings
from gateway.store import journal
from gateway.store.database import Transaction, in_transaction


@click.command("choose-link")
@click.argument("key")
@click.option(
    "--hours",
    type=click.FloatRange(min=0.1, max=24 * 90),
    default=DEFAULT_HOURS,
    show_default=True,
    help="How long it works.",
)
@as_json_option
def choose_link(key: str, hours: float, as_json: bool) -> None:
    """A link for KEY's customer to choose a number with. Whoever has it may choose, so hand it to nobody else."""
    from gateway.wiring import with_pretend_world

    with opened(with_pretend_world(settings_with_logs())) as session:
        keys, url = link_settings(session.settings)
        expires_at_ms = session.now_ms() + round(hours * HOUR_MS)

        def job(tx: Transaction) -> tuple[str, int, Wanted]:
            tenant = operate.find(tx, key)
            detail = {"until_ms": expires_at_ms, "reason": "a link for its customer"}
            journal.write(tx, tenant.id, session.now_ms(), "operator", "choose-link", detail, actor=session.actor)
            return tenant.tenant_key, tenant.generation, tenant.wanted

        tenant_key, generation, wanted = in_transaction(session.database, job)
    link = make_link(keys, url, tenant_key, generation, expires_at_ms)
    if as_json:
        print_json({"tenant_key": tenant_key, "link": link, "expires_at": display.iso(expires_at_ms)})
        return
    click.echo(link)
    click.echo(f"Works until {display.moment(expires_at_ms)} UTC, for {printable(tenant_key)} only.", err=True)
    if wanted is not Wanted.ACTIVE:
        click.echo(f"{printable(tenant_key)} is not active now, so the page has nothing to choose.", err=True)


def link_settings(settings: Settings) -> tuple[list[str], str]:
    """(keys to sign with, what the link begins with). Raises OperatorError where either is missing."""
    keys = [str(each) for each in settings.web.secret_keys]
    if not keys:
        raise OperatorError("Links are signed with SECRET_KEY, and none is set: there is no choice page yet.")
    if settings.web.public_url:
        return keys, settings.web.public_url
    if settings.is_live:
        raise OperatorError("PUBLIC_URL is not set, so nobody knows what the link should begin with. Set it first.")
    return keys, f"http://127.0.0.1:{settings.web.port}"
