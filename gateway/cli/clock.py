"""`clock`: a sandbox's time can be moved, so that grace times and release dates can be seen to pass."""

from __future__ import annotations

import re

import click

from gateway import display
from gateway.cli import LazyGroup
from gateway.cli.loopback import ask_world
from gateway.cli.opening import Opened, opened
from gateway.cli.output import as_json_option, print_json, print_pairs
from gateway.errors import OperatorError
from gateway.simulator.address import find_world
from gateway.store import installation
from gateway.store.database import in_transaction
from gateway.store.gate import ClockGate

HERE = "gateway.cli.clock"
COMMANDS = {
    "show": (f"{HERE}:show", "What time it is in here."),
    "advance": (f"{HERE}:advance", "Move the time forward: 90s, 20m, 36h, 8d."),
}
UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}
DURATION = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{1,6})?[smhdw])+")


class Duration(click.ParamType[int]):
    """`8d`, `36h`, `1d12h`, `90s`; milliseconds when read."""

    name = "duration"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        if not DURATION.fullmatch(value):
            self.fail(f"{value!r} is no duration: expected one such as 90s, 20m, 36h, 8d or 1d12h.", param, ctx)
        parts = re.findall(r"([0-9.]+)([smhdw])", value)
        return round(sum(float(amount) * UNIT_MS[unit] for amount, unit in parts))


@click.command(cls=LazyGroup, entries=COMMANDS)
def clock() -> None:
    """Show or move the sandbox's clock. A live gateway's time is everybody's."""


@click.command()
@as_json_option
def show(as_json: bool) -> None:
    """What time it is in here."""
    with opened() as session:
        report(session, as_json)


@click.command()
@click.argument("by", type=Duration())
@as_json_option
def advance(by: int, as_json: bool) -> None:
    """Move the time forward by so much, at the gateway and in the pretend world."""
    with opened() as session:
        move(session, by)
        report(session, as_json)


def move(session: Opened, by_ms: int) -> None:
    """Move the gateway's clock and the world's together, while no provider call is open. Raises OperatorError."""
    if session.settings.is_live:
        raise OperatorError("Only a sandbox has a clock that can be moved; GATEWAY_MODE is live.")
    world = find_world(session.settings.database.var_dir)
    # With PostgreSQL nobody may ever have worked on this machine.
    session.settings.database.var_dir.mkdir(parents=True, exist_ok=True)
    gate = ClockGate(session.settings.database.path)
    with gate.no_call_open():
        offset_ms = in_transaction(session.database, lambda tx: installation.move_clock(tx, by_ms))
        if world is not None:
            # The whole distance and not only this step, so that a world that missed one catches up.
            ask_world(world.url, "/clock", {"offset_ms": offset_ms})
        gate.mark_moved()


def report(session: Opened, as_json: bool) -> None:
    now_ms = session.now_ms()
    with session.database.read() as tx:
        ahead_ms = installation.clock_offset_ms(tx)
    if as_json:
        print_json({"now": display.iso(now_ms), "now_ms": now_ms, "ahead_ms": max(0, ahead_ms)})
        return
    ahead = display.duration(ahead_ms) if ahead_ms > display.SECOND_MS else None
    print_pairs({"now": f"{display.moment(now_ms)} UTC", "ahead of the real time": ahead})
