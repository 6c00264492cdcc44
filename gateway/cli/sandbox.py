"""`sandbox`: the whole gateway with pretend Stripe, Twilio and Vapi, and one signup to watch. What bin/demo runs."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click

from gateway import display
from gateway.cli.loopback import Unreachable, ask_world, deliver, gateway_url, request
from gateway.cli.opening import opened, wall_clock_ms
from gateway.cli.output import printable
from gateway.cli.signup import Signup
from gateway.errors import GatewayError
from gateway.settings import Settings, environment_for_child, load, sandbox_environment
from gateway.simulator.address import WorldAddress, find_world, stop_world
from gateway.store.file import make_folder

START_SECONDS = 30.0
ACTIVE_SECONDS = 60.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.02
PLACES = ("harbor", "maple", "sunny", "corner", "river", "golden", "little", "old-town", "north", "garden")
TRADES = ("bakery", "dental", "cafe", "florist", "garage", "books", "yoga", "plumbing", "vet", "barber")


@click.command()
@click.option("--once", is_flag=True, help="Leave as soon as the tenant is active; status 1 if it is not within 60 s.")
def sandbox(once: bool) -> None:
    """Run the whole gateway with pretend Stripe, Twilio and Vapi: no accounts, no money.

    One really signed signup is sent over HTTP, and each step is printed until the new tenant holds a working number.
    Then it keeps running until Ctrl-C. PORT says where; the state stays in var/.
    """
    os.umask(0o077)
    changes = {**sandbox_environment(), "GATEWAY_MODE": "sandbox"}
    changes.setdefault("HOST", environment_for_child({}).get("HOST") or "127.0.0.1")
    # One process for everything: nobody has to start a `work` to try it out.
    changes.setdefault("ENGINE", environment_for_child({}).get("ENGINE") or "embedded")
    environ = environment_for_child(changes)
    settings = load(environ, Path(".env"))
    signal.signal(signal.SIGTERM, lambda *_: stop_like_ctrl_c())
    # A shell starts what runs in its background with Ctrl-C ignored; whoever sends it to us means us.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    status = 0
    try:
        with running_gateway(settings, environ) as gateway:
            status = demonstrate(settings, gateway, once)
    except KeyboardInterrupt:
        click.echo("\nStopped. The pretend world's state stays in var/; start again any time.")
    click.get_current_context().exit(status)


def stop_like_ctrl_c() -> None:
    raise KeyboardInterrupt


@contextmanager
def running_gateway(settings: Settings, environ: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """`serve` as a child, ready; it and a world that nobody else needs are stopped at the end."""
    from gateway.cli.database import bring_up_to_date
    from gateway.scheduler.lock import place_of
    from gateway.store.engines import database_of
    from gateway.web.server import refuse_taken

    make_folder(settings.database.path)
    refuse_taken(settings.web.host, settings.web.port)
    var_dir = settings.database.var_dir
    # Nobody has to know of `migrate` to try it out.
    bring_up_to_date(settings)
    database = database_of(settings.database)
    place = place_of(settings, database)
    is_alone = place.take()
    place.free()
    database.close()
    log_path = var_dir / "sandbox.log"
    with log_path.open("wb") as log:
        gateway = subprocess.Popen(
            [sys.executable, "-m", "gateway", "serve"],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=leave_with_parent if sys.platform == "linux" else None,
        )
    try:
        yield gateway
    finally:
        stop(gateway)
        if is_alone:
            stop_world(var_dir)


def leave_with_parent() -> None:
    """In the child: be told when the sandbox is killed, or the gateway would keep its port."""
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def stop(gateway: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        gateway.terminate()
    try:
        gateway.wait(STOP_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        gateway.kill()
        gateway.wait()


def demonstrate(settings: Settings, gateway: subprocess.Popen[bytes], once: bool) -> int:
    """Everything a visitor sees; the exit status."""
    click.echo(
        click.style("Ringfence sandbox", bold=True) + ": pretend Stripe, Twilio and Vapi. No accounts, no money."
    )
    click.echo()
    url = gateway_url(settings)
    began = time.monotonic()
    wait_until_ready(settings, gateway, url)
    world = find_world(settings.database.var_dir)
    if world is None:
        raise GatewayError(f"The pretend world did not start; see {settings.database.var_dir / 'world.log'}")
    tell("gateway ready", url, (time.monotonic() - began) * 1000)
    tell("pretend world", world.url, None)
    key = f"{secrets.choice(PLACES)}-{secrets.choice(TRADES)}-{secrets.token_hex(2)}"
    is_active = show_signup(settings, gateway, world, url, key)
    if once or not is_active:
        return 0 if is_active else 1
    show_what_next(settings, key, url)
    gateway.wait()
    raise GatewayError(f"The gateway has ended with status {gateway.returncode}. {last_words(settings)}")


def tell(what: str, detail: str, took_ms: float | None) -> None:
    mark = click.style("✓", fg="green")
    line = f"  {mark} {what:<19} {printable(detail)}"
    if took_ms is not None:
        line = f"  {mark} {what:<19} {printable(detail):<47} {display.duration(took_ms):>8}"
    click.echo(line)


def wait_until_ready(settings: Settings, gateway: subprocess.Popen[bytes], url: str) -> None:
    def is_ready() -> bool:
        with suppress(Unreachable):
            return request("GET", f"{url}/readyz", timeout_seconds=2.0)[0] == 200
        return False

    wait_for(is_ready, START_SECONDS, settings, gateway, "was not ready")


def wait_for(
    is_done: Callable[[], bool], seconds: float, settings: Settings, gateway: subprocess.Popen[bytes], what: str
) -> None:
    """Poll until done. Raises GatewayError when the gateway ends or time is up."""
    deadline = time.monotonic() + seconds
    while not is_done():
        if gateway.poll() is not None:
            raise GatewayError(f"The gateway ended with status {gateway.returncode}. {last_words(settings)}")
        if time.monotonic() > deadline:
            raise GatewayError(f"The gateway {what} within {seconds:g} s. {last_words(settings)}")
        time.sleep(POLL_SECONDS)


def last_words(settings: Settings) -> str:
    """The end of the gateway's log, for when it went wrong."""
    path = settings.database.var_dir / "sandbox.log"
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-5:] if path.exists() else []
    return "\n".join([f"The end of {path}:", *(f"  {printable(line)}" for line in lines)])


def show_signup(settings: Settings, gateway: subprocess.Popen[bytes], world: WorldAddress, url: str, key: str) -> bool:
    """Send one signup and print what becomes of it, as it happens; whether the tenant became active in time."""
    order: dict[str, Any] = {
        "name": "checkout.completed",
        "tenant": key,
        "set": {"metadata.area_code": "415"},
        "secrets": [str(secret) for secret in settings.stripe.webhook_secrets[:1]],
    }
    delivery = ask_world(world.url, "/stripe/deliveries", order)
    click.echo()
    click.echo(f"  A customer pays. Stripe sends {delivery['type']}, signed, for {click.style(key, bold=True)}:")
    click.echo()
    began, began_ms = time.monotonic(), wall_clock_ms()
    status, _ = deliver(f"{url}/webhooks/stripe", delivery)
    if status != 200:
        raise GatewayError(f"The gateway answered {status} to the signup. {last_words(settings)}")
    tell("event accepted", delivery["event_id"], (time.monotonic() - began) * 1000)
    with opened(settings) as session:
        signup = Signup(session, key, session.now_ms() - (wall_clock_ms() - began_ms))

        def is_over() -> bool:
            for milestone in signup.news():
                tell(milestone.what, milestone.detail, milestone.took_ms)
            return signup.is_over

        try:
            wait_for(is_over, ACTIVE_SECONDS, settings, gateway, f"did not make {key} active")
        except GatewayError as error:
            click.echo(f"\n  {error}\n  Why: python -m gateway tenants show {key}", err=True)
            return False
    click.echo()
    if signup.blocked:
        click.echo(f"  {key} is blocked: {printable(signup.blocked)}", err=True)
        return False
    click.echo(
        f"  {click.style(display.phone_number(signup.number or ''), bold=True)} is answered by the assistant now."
    )
    return True


def show_what_next(settings: Settings, key: str, url: str) -> None:
    python = shown_python()
    port = f"PORT={settings.web.port} " if settings.web.port != 8000 else ""
    hints = [
        (f"{python} -m gateway tenants show {key}", "its whole story"),
        (f"{port}{python} -m gateway trigger invoice.payment_failed --tenant {key}", "the card is declined …"),
        (f"{python} -m gateway clock advance 8d", "… and a week of grace passes: suspended"),
        (f"{port}{python} -m gateway trigger invoice.paid --tenant {key}", "paid after all: active again"),
        (f"{port}{python} -m gateway trigger --scenario cancel-and-return --tenant mia", "a whole life"),
        (
            f"{port}{python} -m gateway trigger checkout.completed --tenant zoe --set metadata.choose=yes",
            "a customer who chooses their own number …",
        ),
        (f"{port}{python} -m gateway tenants choose-link zoe", "… on this page"),
        (f"{python} -m gateway tenants list", "everybody"),
        (f"{python} -m gateway doctor --live", "is everything all right?"),
    ]
    click.echo()
    click.echo(f"  The gateway goes on at {url} (state: {url}/readyz). In another terminal, try:")
    click.echo()
    width = max(len(command) for command, _ in hints)
    for command, why in hints:
        click.echo(f"    {command.ljust(width)}   {click.style(why, dim=True)}")
    click.echo()
    click.echo("  Ctrl-C stops it.")


def shown_python() -> str:
    """How to call this very interpreter from here."""
    with suppress(ValueError):
        return str(Path(sys.executable).relative_to(Path.cwd()))
    return sys.executable
