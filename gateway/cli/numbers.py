"""`numbers`: look for numbers, buy and give back by hand, and see whose each one is."""

from __future__ import annotations

from typing import Any

import click

from gateway import display
from gateway.cli import FAILED, LazyGroup
from gateway.cli.output import as_json_option, print_json, print_table, printable
from gateway.cli.tenant_actions import confirm, operator, reason_option, yes_option
from gateway.cli.working import WAIT_SECONDS, Working, patience, working
from gateway.domain.model import State
from gateway.errors import WrongUse
from gateway.flow import account, stock
from gateway.flow.account import Number, Whose
from gateway.flow.at_once import Ended, Worked
from gateway.flow.stock import Buying

HERE = "gateway.cli.numbers"
SEARCH = "gateway.cli.number_search:search"
COMMANDS = {
    "search": (SEARCH, "Numbers for sale, with what they cost."),
    "list": (f"{HERE}:list_numbers", "Every number of the account, and whose it is."),
    "buy": (f"{HERE}:buy", "Buy one for a tenant, or as spare stock."),
    "release": (f"{HERE}:release", "Give one back for good."),
}
wait_option = click.option(
    "--wait",
    "wait_seconds",
    type=click.FloatRange(0, 3600),
    default=WAIT_SECONDS,
    show_default=True,
    help="Seconds to wait for a clear answer; after that it goes on by itself, or when asked again.",
)


@click.command(cls=LazyGroup, entries=COMMANDS)
def numbers() -> None:
    """Look for numbers, buy them and give them back by hand."""


# --- list ------------------------------------------------------------------------------------------------------------


@click.command("list")
@click.option("--spare", is_flag=True, help="Spare stock only.")
@click.option("--foreign", is_flag=True, help="Numbers of the account that are not ours only.")
@as_json_option
def list_numbers(spare: bool, foreign: bool, as_json: bool) -> None:
    """Every number of the Twilio account, and those that we believe to hold: a tenant's, spare, or foreign."""
    wanted = {whose for whose, is_asked in ((Whose.SPARE, spare), (Whose.FOREIGN, foreign)) if is_asked}
    with working() as at_work:
        found = [each for each in account.numbers(at_work.steps) if not wanted or each.whose in wanted]
    if as_json:
        for each in found:
            print_json(as_record(each))
        return
    print_table(
        ["number", "whose", "state", "sid", "name at twilio"],
        [
            [
                display.phone_number(each.number),
                each.tenant_key or each.whose,
                state_of(each),
                each.sid,
                each.friendly_name,
            ]
            for each in found
        ],
        empty="No numbers." if not wanted else "No such numbers.",
    )


def state_of(each: Number) -> str | None:
    if each.whose is not Whose.FOREIGN and not each.is_there:
        return f"{each.state}, not in the account"
    return each.state


def as_record(each: Number) -> dict[str, Any]:
    return {
        "phone_number": each.number,
        "twilio_sid": each.sid,
        "friendly_name": each.friendly_name,
        "whose": each.whose.value,
        "tenant_key": each.tenant_key,
        "state": each.state,
        "vapi_id": each.vapi_id,
        "in_account": each.is_there,
    }


# --- buy -------------------------------------------------------------------------------------------------------------


@click.command()
@click.argument("number", required=False, metavar="[+NUMBER]")
@click.option("--tenant", "key", help="For this tenant, made if need be; without it the number is spare stock.")
@click.option("--country", help="Two letters, or an everyday name such as UK.")
@click.option("--type", "number_type", help="local, mobile, toll_free or national.")
@click.option("--area-code", help="In the US and Canada.")
@click.option("--contains", help="Digits or letters that are in it; * stands for any digit.")
@click.option("--locality", help="A town.")
@click.option("--region", "number_region", help="A state or province, in the US and Canada.")
@click.option("--near", "near_number", metavar="+NUMBER", help="Near this number, in the US and Canada.")
@click.option("--address-sid", help="A registered address to show; see `addresses list`.")
@click.option("--bundle-sid", help="An approved bundle to show.")
@reason_option
@yes_option
@wait_option
@as_json_option
def buy(
    number: str | None,
    key: str | None,
    reason: str,
    yes: bool,
    wait_seconds: float,
    as_json: bool,
    **said: str | None,
) -> None:
    """Buy a number: exactly +NUMBER, or one that fits the options. The caps hold.

    Asked again after a crash or a lost answer it goes on with the same number. A spare number named for a tenant is
    given to it, and nothing is bought.
    """
    words = {name: value for name, value in {"phone_number": number, **said}.items() if value}
    if number is None and not words and key is None:
        raise click.UsageError("Say which number: +14155550123, or --country, --area-code and the like.")
    confirm(f"Buy {number or 'a number'} {f'for {printable(key)}' if key else 'as spare stock'}?", yes)
    with working() as at_work:
        if key is not None:
            tell_worked(at_work, buy_for(at_work, key, words, reason, wait_seconds), as_json)
        else:
            tell_buying(buy_spare(at_work, number, words, reason, wait_seconds), as_json)


def buy_for(at_work: Working, key: str, words: dict[str, str], reason: str, wait_seconds: float) -> Worked:
    who = operator(at_work.session, reason)
    return stock.buy_for(at_work.steps, key, words, who, patience(wait_seconds))


def buy_spare(at_work: Working, number: str | None, words: dict[str, str], reason: str, wait_seconds: float) -> Buying:
    who = operator(at_work.session, reason)
    if number is not None:
        return stock.buy_spare(at_work.steps, number, words, who, patience(wait_seconds))
    return stock.buy_some(at_work.steps, words, who, patience(wait_seconds))


def tell_buying(bought: Buying, as_json: bool) -> None:
    is_spare = bought.key.startswith("spare:")
    is_done = bought.ended is Ended.DONE and is_spare
    if as_json:
        print_json(
            {
                "outcome": bought.ended.value,
                "phone_number": bought.number,
                "twilio_sid": bought.sid,
                "tenant_key": None if is_spare or not bought.key else bought.key,
                "message": bought.says,
            }
        )
    else:
        click.echo(bought.says, err=not is_done)
        if is_done and bought.number:
            click.echo(f"{display.phone_number(bought.number)}  {bought.sid}")
    leave(is_done)


def tell_worked(at_work: Working, worked: Worked, as_json: bool) -> None:
    standing = worked.standing
    key, is_done = standing.tenant.tenant_key, worked.ended is Ended.DONE
    if as_json:
        print_json(
            {
                "outcome": worked.ended.value,
                "phone_number": standing.number,
                "twilio_sid": standing.sid,
                "tenant_key": key,
                "message": worked.why or f"{key} is {standing.tenant.state}.",
            }
        )
    elif is_done:
        shown = display.phone_number(standing.number or "")
        click.echo(f"{printable(key)} is {standing.tenant.state} with {shown}  {standing.sid}")
    else:
        click.echo(printable(worked.why), err=True)
        click.echo(f"See: python -m gateway tenants show {printable(key)}", err=True)
    leave(is_done)


def leave(is_done: bool) -> None:
    if not is_done:
        click.get_current_context().exit(FAILED)


# --- release ---------------------------------------------------------------------------------------------------------


@click.command()
@click.argument("which", metavar="+NUMBER|PN…")
@reason_option
@yes_option
@wait_option
@as_json_option
def release(which: str, reason: str, yes: bool, wait_seconds: float, as_json: bool) -> None:
    """Give a number of ours back to Twilio for good: a spare one, or a tenant's. Nobody can promise to get it back."""
    if not which.startswith(("+", "PN")):
        raise WrongUse(f"{which!r} is neither a number such as +14155550123 nor a SID of one (PN…).")
    confirm(f"Give {which} back to Twilio, for good?", yes)
    with working() as at_work:
        worked = stock.release(at_work.steps, which, operator(at_work.session, reason), patience(wait_seconds))
        is_gone = worked.ended is Ended.DONE or stock.is_given_back(at_work.steps, worked.standing)
    tenant = worked.standing.tenant
    is_proved = tenant.state is State.RELEASED
    says = f"{which} is given back, and that is proved." if is_proved else worked.why
    if is_gone and not is_proved:
        says = f"{which} is given back. It is called released once both providers show that it is gone."
    if as_json:
        outcome = "done" if is_proved else "given_back" if is_gone else worked.ended.value
        print_json({"outcome": outcome, "tenant_key": tenant.tenant_key, "state": tenant.state.value, "message": says})
    else:
        click.echo(printable(says), err=not is_gone)
    leave(is_gone)
