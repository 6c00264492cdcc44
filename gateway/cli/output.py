"""What commands print: tables for people, JSON for scripts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")

STATE_COLOURS = {
    "active": "green",
    "suspended": "yellow",
    "suspending": "yellow",
    "resuming": "cyan",
    "provisioning": "cyan",
    "releasing": "magenta",
    "released": "bright_black",
}


def print_json(value: Any) -> None:
    """One object a line."""
    click.echo(json.dumps(value, ensure_ascii=False, separators=(", ", ": ")))


def print_table(headings: Sequence[str], rows: Iterable[Sequence[Any]], empty: str = "Nothing.") -> None:
    """Columns as wide as their content; what does not fit the terminal is cut in the last one."""
    texts = [[plain(cell) for cell in row] for row in rows]
    if not texts:
        click.echo(empty)
        return
    widths = [max(len(heading), *(len(row[i]) for row in texts)) for i, heading in enumerate(headings)]
    room = shutil.get_terminal_size((200, 24)).columns - sum(widths[:-1]) - 2 * (len(widths) - 1)
    click.echo(
        click.style("  ".join(h.upper().ljust(w) for h, w in zip(headings, widths, strict=True)).rstrip(), bold=True)
    )
    for row in texts:
        last = row[-1] if len(row[-1]) <= max(room, 20) else row[-1][: max(room, 20) - 1] + "…"
        line = "  ".join(cell.ljust(width) for cell, width in zip([*row[:-1], last], widths, strict=True))
        click.echo(line.rstrip())


def print_pairs(pairs: Mapping[str, Any]) -> None:
    """`name  value` lines; None is left out."""
    shown = {name: value for name, value in pairs.items() if value is not None}
    width = max((len(name) for name in shown), default=0)
    for name, value in shown.items():
        click.echo(f"{click.style(name.ljust(width), bold=True)}  {printable(value)}")


def plain(cell: Any) -> str:
    return "-" if cell is None or cell == "" else printable(cell)


def printable(value: Any) -> str:
    """Text from outside on one line, with nothing in it that a terminal would obey."""
    return "".join(char if char.isprintable() else "�" for char in str(value))


def state(name: str) -> str:
    return click.style(name, fg=STATE_COLOURS.get(name))
