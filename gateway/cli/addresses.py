"""`addresses`: what is on file at Twilio, for countries that want to know where a customer is."""

from __future__ import annotations

import click

from gateway.cli import LazyGroup
from gateway.cli.output import as_json_option, print_json, print_table, printable
from gateway.cli.working import working
from gateway.domain.options import as_country, as_free_text
from gateway.errors import OptionsInvalid, WrongUse
from gateway.flow import papers
from gateway.ports import PostalAddress, RegisteredAddress

HERE = "gateway.cli.addresses"
COMMANDS = {
    "list": (f"{HERE}:list_addresses", "Every address on file."),
    "add": (f"{HERE}:add", "Put one on file; the same one twice is one."),
}


@click.command(cls=LazyGroup, entries=COMMANDS)
def addresses() -> None:
    """Addresses on file at Twilio: see them, add one."""


@click.command("list")
@click.option("--country", help="Only of this country.")
@as_json_option
def list_addresses(country: str | None, as_json: bool) -> None:
    """Every address on file at the Twilio account, the newest first."""
    code = read("country", country) if country else None
    with working() as at_work:
        found = papers.addresses(at_work.steps, code)
    if as_json:
        for each in found:
            print_json(as_record(each))
        return
    print_table(
        ["sid", "country", "checked", "customer", "street", "city", "region", "postal code"],
        [cells(each) for each in found],
        empty="No addresses. Add one: python -m gateway addresses add --help",
    )


@click.command()
@click.option("--name", "customer_name", required=True, help="The customer's.")
@click.option("--street", required=True)
@click.option("--city", required=True)
@click.option("--region", default="", help="State or province.")
@click.option("--postal-code", required=True)
@click.option("--country", required=True, help="Two letters, or an everyday name such as UK.")
@as_json_option
def add(as_json: bool, **said: str) -> None:
    """Put an address on file at Twilio. It costs nothing, and the same address twice is registered once."""
    address = PostalAddress(**{name: read(name, text) for name, text in said.items()})
    with working() as at_work:
        kept = papers.register_address(at_work.steps, address)
    if as_json:
        print_json(as_record(kept))
        return
    checked = "and Twilio has checked it" if kept.is_validated else "as given"
    click.echo(f"{kept.sid} is on file, {checked}.")
    click.echo(f"Show it when buying: python -m gateway numbers buy --address-sid {kept.sid} …")


def read(name: str, text: str) -> str:
    """Raises WrongUse for text that makes no sense."""
    try:
        return as_country(name, text.strip()) if name == "country" else as_free_text(name, text.strip())
    except OptionsInvalid as error:
        raise WrongUse(str(error)) from error


def as_record(found: RegisteredAddress) -> dict[str, object]:
    address = found.address
    return {
        "address_sid": found.sid,
        "customer_name": address.customer_name,
        "street": address.street,
        "city": address.city,
        "region": address.region,
        "postal_code": address.postal_code,
        "country": address.country,
        "validated": found.is_validated,
    }


def cells(found: RegisteredAddress) -> list[str]:
    address = found.address
    checked = "yes" if found.is_validated else "no"
    return [
        *(found.sid, address.country, checked),
        *map(printable, (address.customer_name, address.street, address.city, address.region, address.postal_code)),
    ]
