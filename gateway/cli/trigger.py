"""`trigger`: really signed webhooks to a running sandbox, one at a time or as a whole story."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import click

from gateway import display
from gateway.cli.clock import move
from gateway.cli.loopback import Unreachable, ask_world, deliver, gateway_url
from gateway.cli.opening import Opened, opened
from gateway.cli.output import as_json_option, print_json, printable
from gateway.domain import options
from gateway.errors import OperatorError
from gateway.settings import SettingsError
from gateway.simulator.address import find_world
from gateway.store import inbox, tenants

REST_SECONDS = 30.0
POLL_SECONDS = 0.05


@click.command()
@click.argument("name", required=False)
@click.option("--tenant", default="acme", show_default=True, help="Whose event it is; a new key is a new customer.")
@click.option(
    "--set", "changes", multiple=True, metavar="PATH=VALUE", help="Change a field, or an option: area_code=415."
)
@click.option("--scenario", help="Play a whole story; the sandbox's clock moves along.")
@click.option("--url", help="The webhook's address, instead of this machine's gateway.")
@as_json_option
def trigger(
    name: str | None, tenant: str, changes: tuple[str, ...], scenario: str | None, url: str | None, as_json: bool
) -> None:
    """Send a signed webhook to a running sandbox: checkout.completed, invoice.payment_failed, subscription.deleted, …

    A name that does not exist lists all that do.
    """
    if (name is None) == (scenario is None):
        raise click.UsageError("Say either the NAME of an event, such as checkout.completed, or --scenario NAME.")
    overrides = read_changes(changes)
    story = story_of(name, scenario)
    with opened() as session:
        stage = Stage(session, tenant, url, as_json)
        if name is not None:
            stage.send(name, overrides)
        else:
            stage.play(story, overrides)


def story_of(name: str | None, scenario: str | None) -> list[tuple[int, str, dict[str, str]]]:
    """The events of a story, or nothing for one event that exists. Raises UsageError for what does not."""
    from gateway.simulator import billing

    try:
        if name is None:
            return billing.scenario(str(scenario))
        billing.check_name(name)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    return []


def read_changes(changes: tuple[str, ...]) -> dict[str, Any]:
    """`metadata.area_code=415`, or `area_code=415` for short. Values that are JSON are taken as such."""
    found: dict[str, Any] = {}
    for change in changes:
        path, equals, value = change.partition("=")
        if not equals or not path:
            raise click.UsageError(f"--set {change!r}: expected PATH=VALUE, such as --set area_code=415")
        path = f"metadata.{path}" if path in options.NAMES else path
        try:
            found[path] = json.loads(value)
        except ValueError:
            found[path] = value
    return found


class Stage:
    """Where events are played: a pretend world that signs them, and a gateway that takes them."""

    def __init__(self, session: Opened, tenant: str, url: str | None, as_json: bool) -> None:
        settings = session.settings
        if settings.is_live:
            raise SettingsError(["GATEWAY_MODE is live: `trigger` is for sandbox mode, for it makes up customers."])
        world = find_world(settings.database.var_dir)
        if world is None:
            raise OperatorError("No pretend world is running. Start one: python -m gateway sandbox")
        self._session = session
        self._world_url = world.url
        self._tenant = tenant
        self._url = url or f"{gateway_url(settings)}/webhooks/stripe"
        self._as_json = as_json

    def send(self, name: str, overrides: Mapping[str, Any]) -> None:
        """One event now. Raises ClickException when the gateway does not take it."""
        order = {
            "name": name,
            "tenant": self._tenant,
            "set": dict(overrides),
            "secrets": list(self._session.settings.stripe.webhook_secrets[:1]),
        }
        delivery = ask_world(self._world_url, "/stripe/deliveries", order)
        try:
            status, answer = deliver(self._url, delivery)
        except Unreachable as error:
            raise Unreachable(f"{error.message} Start the gateway: python -m gateway sandbox") from error
        ask_world(self._world_url, "/stripe/delivered", {"event_id": delivery["event_id"], "success": status == 200})
        if status != 200:
            code = answer["error"]["code"] if isinstance(answer, dict) and "error" in answer else "no JSON"
            raise click.ClickException(f"The gateway answered {status} ({code}) to {delivery['type']}.")
        self._tell(delivery, answer)

    def play(self, story: Sequence[tuple[int, str, dict[str, str]]], overrides: Mapping[str, Any]) -> None:
        """A whole story: between its events the clock moves, and the tenant comes to rest."""
        for number, (pause_seconds, name, changes) in enumerate(story):
            if number:
                self._wait_for_rest()
                move(self._session, max(1, pause_seconds) * 1000)
                if pause_seconds >= 60 and not self._as_json:
                    click.echo(f"… {display.duration(pause_seconds * 1000)} later")
            self.send(name, {**changes, **(overrides if number == 0 else {})})
        self._wait_for_rest()
        if not self._as_json:
            click.echo(f"How it went: python -m gateway tenants show {printable(self._tenant)}")

    def _tell(self, delivery: Mapping[str, Any], answer: Any) -> None:
        status = answer.get("status") if isinstance(answer, dict) else None
        if self._as_json:
            told = {
                "event_id": delivery["event_id"],
                "type": delivery["type"],
                "tenant": self._tenant,
                "status": status,
            }
            print_json(told)
        else:
            click.echo(f"{delivery['type']} for {printable(self._tenant)}: {status}   {delivery['event_id']}")

    def _wait_for_rest(self) -> None:
        """Wait until news is applied and the tenant has nothing to do at once; not for ever."""
        deadline = time.monotonic() + REST_SECONDS
        while time.monotonic() < deadline:
            if self._is_at_rest():
                return
            time.sleep(POLL_SECONDS)
        click.echo(f"After {REST_SECONDS:g} s {printable(self._tenant)} is still busy; the story goes on.", err=True)

    def _is_at_rest(self) -> bool:
        now_ms = self._session.now_ms()
        with self._session.database.read() as tx:
            if inbox.backlog(tx).new:
                return False
            tenant = tenants.by_key(tx, self._tenant)
        if tenant is None:
            return True
        is_leased = tenant.lease_until_ms is not None and tenant.lease_until_ms > now_ms
        return not is_leased and (tenant.next_run_at_ms is None or tenant.next_run_at_ms > now_ms)
