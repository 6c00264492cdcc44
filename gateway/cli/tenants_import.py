"""`tenants import FILE.csv`: take over numbers that were set up by hand. Without --apply it is only told."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from gateway.cli.opening import opened, settings_with_logs
from gateway.cli.output import as_json_option, print_json, print_table, printable
from gateway.cli.tenant_actions import operator
from gateway.domain import roster
from gateway.errors import ProviderError, WrongUse
from gateway.flow.take_over import PAUSE_SECONDS, Became, Result, carry_out
from gateway.flow.take_over_plan import Intended, Way, plan

WORDS = {
    Way.TAKE_OVER: "to be taken over",
    Way.GO_ON: "to be gone on with",
    Way.DONE: "taken over already",
    Way.PROBLEM: "with problems",
}
OUTCOMES = {
    Became.TAKEN_OVER: "taken over",
    Became.ALREADY: "taken over already",
    Became.UNDER_WAY: "under way",
    Became.PROBLEM: "with problems, left alone",
    Became.FAILED: "failed",
    Became.NOT_TRIED: "not tried",
}
COLOURS = {Became.TAKEN_OVER: "green", Became.ALREADY: "green", Became.UNDER_WAY: "yellow"}


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True, allow_dash=True))
@click.option("--apply", "--yes", "is_meant", is_flag=True, help="Do it; without, it is only checked and told.")
@click.option("--reason", help="Why; needed with --apply, and kept in each tenant's story.")
@as_json_option
def import_tenants(file: Path, is_meant: bool, reason: str | None, as_json: bool) -> None:
    """Take over numbers that were set up by hand, as FILE says: columns key, number (or sid), vapi_id, assistant.

    Nothing is bought and nothing given back. Run it again after anything went wrong: it goes on where it was. Status 0
    only if every row is taken over, or, without --apply, if none has a problem.
    """
    if is_meant and not (reason or "").strip():
        raise click.UsageError("--apply needs --reason: somebody will want to know.")
    from gateway.wiring import build, with_pretend_world

    said = roster.read(content_of(file))
    with opened(with_pretend_world(settings_with_logs())) as session:
        gateway = build(session.settings, session.database)
        try:
            intended = asked(lambda: plan(gateway.steps, said, session.settings.twilio.account_sid))
            if is_meant:
                who = operator(session, reason or "")
                results = carry_out(gateway.steps, intended, who, lambda: time.sleep(PAUSE_SECONDS))
                is_well = tell_results(results, len(intended), as_json)
            else:
                is_well = tell_plan(intended, as_json, file)
        finally:
            gateway.close()
    click.get_current_context().exit(0 if is_well else 1)


def content_of(file: Path) -> bytes:
    """Never more than a roster may have, whatever the file is."""
    try:
        with click.open_file(str(file), "rb") as source:
            content: bytes = source.read(roster.MOST_BYTES + 1)
    except OSError as error:
        raise WrongUse(f"{file} cannot be read: {error.strerror}.") from error
    return content


def asked(look: Any) -> list[Intended]:
    try:
        found: list[Intended] = look()
    except ProviderError as error:
        raise click.ClickException(
            f"{error} The numbers cannot be compared with a list that is not whole, so nothing was changed. Try again."
        ) from error
    return found


# --- what would be done ----------------------------------------------------------------------------------------------


def tell_plan(intended: Sequence[Intended], as_json: bool, file: Path) -> bool:
    is_well = not any(each.problems for each in intended)
    if as_json:
        for each in intended:
            does = [] if each.problems else list(each.does)
            print_json({**record(each), "status": each.way, "does": does, "problems": list(each.problems)})
        return is_well
    print_table(
        ["line", "tenant", "number", "what would be done"], map(cells, intended), empty="The file has no rows."
    )
    for each in intended:
        tell_problems(each.row.line, each.problems)
    counts = Counter(each.way for each in intended)
    click.echo()
    told = ", ".join(f"{counts[way]} {WORDS[way]}" for way in Way if counts[way])
    click.echo(f"{in_rows(len(intended))}: {told or 'nothing to do'}.")
    click.echo("Nothing was changed.", nl=not (counts[Way.TAKE_OVER] or counts[Way.GO_ON]))
    if counts[Way.TAKE_OVER] or counts[Way.GO_ON]:
        click.echo(f' To do it: python -m gateway tenants import {printable(file)} --apply --reason "…"')
    return is_well


def cells(each: Intended) -> list[Any]:
    number = each.number.number if each.number else each.row.number or each.row.sid
    what = "; ".join(each.does) if each.way is not Way.PROBLEM else "nothing: see below"
    return [each.row.line, each.row.key, number, what]


def tell_problems(line: int, problems: Sequence[str]) -> None:
    for says in problems:
        click.echo(f"{click.style(f'line {line}:', fg='red')} {printable(says)}")


# --- what was done ---------------------------------------------------------------------------------------------------


def tell_results(results: Iterator[Result], rows: int, as_json: bool) -> bool:
    """One line for each row as soon as it is known."""
    counts: Counter[Became] = Counter()
    for result in results:
        counts[result.became] += 1
        each = result.intended
        if as_json:
            print_json({**record(each), "status": result.became, "message": result.says})
            continue
        what = click.style(result.became.replace("_", " "), fg=COLOURS.get(result.became, "red"))
        about = [printable(each.row.key), each.number.number if each.number else "", what]
        says = f": {printable(result.says)}" if result.says else ""
        click.echo(f"line {each.row.line}: {' '.join(filter(None, about))}{says}")
    is_well = sum(counts[each] for each in (Became.TAKEN_OVER, Became.ALREADY)) == rows
    if not as_json:
        told = ", ".join(f"{counts[each]} {OUTCOMES[each]}" for each in Became if counts[each])
        click.echo(f"{in_rows(rows)}: {told or 'nothing to do'}.")
        if not is_well:
            click.echo("Mend what is named, and run it again: what is done is passed over.")
    return is_well


def in_rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def record(each: Intended) -> dict[str, Any]:
    """What a row is about; null where that is not known."""
    number = each.number
    return {
        "line": each.row.line,
        "tenant_key": each.row.key or None,
        "phone_number": number.number if number else each.row.number,
        "twilio_sid": number.sid if number else each.row.sid,
        "vapi_id": each.entry.id if each.entry else each.row.vapi_id,
        "assistant_id": each.assistant_id or each.row.assistant_id,
    }
