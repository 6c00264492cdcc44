"""`python -m gateway …`: the commands, and how each ends.

A command's module is imported when the command is used, so that `--help` answers at once. Exit status: 0 done, 1
failed, 2 wrong use or wrong settings. Nobody is shown a stack trace.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import click

from gateway.errors import GatewayError, OtherInstallation, SettingsError, WrongUse

FAILED, WRONG_USE = 1, 2
Entry = tuple[str, str]

COMMANDS: Mapping[str, Entry] = {
    "serve": ("gateway.cli.run:serve", "Web server; with ENGINE=embedded the worker runs inside."),
    "work": ("gateway.cli.run:work", "A worker of its own."),
    "migrate": ("gateway.cli.database:migrate", "Bring the database up to date; safe to repeat."),
    "sandbox": ("gateway.cli.sandbox:sandbox", "The whole gateway with pretend Stripe, Twilio and Vapi."),
    "doctor": ("gateway.cli.doctor:doctor", "Check settings, database and clock; --live asks the providers too."),
    "trigger": ("gateway.cli.trigger:trigger", "Send a signed webhook to a running sandbox."),
    "tenants": ("gateway.cli.tenants:tenants", "Look at tenants, and act on one."),
    "events": ("gateway.cli.events:events", "Look at what was received, and have it looked at again."),
    "addresses": ("gateway.cli.addresses:addresses", "Addresses on file at Twilio: see them, add one."),
    "pricing": ("gateway.cli.number_search:pricing", "What numbers of a country cost a month."),
    "numbers": ("gateway.cli.numbers:numbers", "Search, list, buy and release numbers by hand."),
    "reconcile": ("gateway.cli.reconcile:reconcile", "Compare what we believe with what Twilio and Vapi say."),
    "backup": ("gateway.cli.database:backup", "Write a consistent copy of the database while it runs."),
    "restore": (
        "gateway.cli.restore:restore",
        "Put a backup in the database's place; reconciles before any purchase.",
    ),
    "move": ("gateway.cli.move:move", "Move the SQLite database to PostgreSQL, once and for good."),
    "token": ("gateway.cli.token:token", "Make a token for the API."),
    "clock": ("gateway.cli.clock:clock", "Show or move the sandbox's clock."),
}


class LazyGroup(click.Group):
    """A group that knows its commands' names and helps without importing them."""

    def __init__(self, *args: Any, entries: Mapping[str, Entry], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.entries:
            return None
        module, _, attribute = self.entries[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_text) for name, (_, help_text) in self.entries.items()])


@click.command(cls=LazyGroup, entries=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
def program() -> None:
    """Ringfence: each paying customer gets exactly one working phone number.

    Settings come from the environment or a .env file; docs/settings.md lists them.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit status."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a letter shows another, instead of ending the command.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        status = program.main(args=arguments, prog_name="python -m gateway", standalone_mode=False)
    except click.UsageError as error:
        error.show()
        return WRONG_USE
    except click.ClickException as error:
        error.show()
        return FAILED
    except SettingsError as error:
        return complain_about_settings(error)
    except (OtherInstallation, WrongUse) as error:
        say_wrong(str(error))
        return WRONG_USE
    except GatewayError as error:
        say_wrong(str(error))
        return FAILED
    except (KeyboardInterrupt, click.Abort):
        return 130
    except BrokenPipeError:
        # Whoever read the output has seen enough; keep the interpreter from complaining at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        say_wrong(unexpected(error))
        return FAILED
    return status if isinstance(status, int) else 0


def complain_about_settings(error: SettingsError) -> int:
    count = len(error.problems)
    say_wrong(f"{count} {'setting is' if count == 1 else 'settings are'} wrong, so nothing was started:")
    for problem in error.problems:
        click.echo(f"  - {problem}", err=True)
    click.echo("What each setting means: docs/settings.md", err=True)
    return WRONG_USE


def say_wrong(sentence: str) -> None:
    click.echo(click.style("Error: ", fg="red", bold=True) + sentence, err=True)


def unexpected(error: Exception) -> str:
    """A fault of ours in one line: its kind and the place, never its values."""
    place = "an unknown place"
    trace = error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_globals.get("__name__", "")
        if str(name).startswith("gateway"):
            place = f"{name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"This should not have happened: {type(error).__name__} at {place}. Please report it."
