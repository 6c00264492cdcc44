"""`numbers search` and `pricing`: what is for sale and what it costs. Nothing is bought, nothing is changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import click

from gateway.cli.output import as_json_option, print_json, print_table
from gateway.cli.working import working
from gateway.domain import options
from gateway.domain.options import as_country, as_free_text, as_phone_number
from gateway.domain.rules import Rules
from gateway.errors import OptionsInvalid, WrongUse
from gateway.flow.offers import Offer, offers
from gateway.ports import NumberWish
from gateway.steps.context import in_flight


@click.command()
@click.option("--country", help="Two letters, or an everyday name such as UK.")
@click.option("--type", "number_type", help="local, mobile, toll_free or national.")
@click.option("--area-code", help="In the US and Canada.")
@click.option("--contains", help="Digits or letters that are in it; * stands for any digit.")
@click.option("--locality", help="A town.")
@click.option("--region", help="A state or province, in the US and Canada.")
@click.option("--near", "near_number", metavar="+NUMBER", help="Numbers near this one, in the US and Canada.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@as_json_option
def search(limit: int, as_json: bool, **said: str | None) -> None:
    """Numbers for sale: how they are written, where they are, what they can do, what they want and cost a month."""
    with working() as at_work:
        rules = at_work.steps.rules
        found = offers(at_work.steps, wish_of(said, rules), limit)
    if as_json:
        for offer in found:
            print_json(as_record(offer))
        return
    print_table(
        ["number", "e.164", "type", "locality", "region", "can", "address", "a month"],
        [cells(offer) for offer in found],
        empty="Twilio has none that fit.",
    )


def wish_of(said: Mapping[str, str | None], rules: Rules) -> NumberWish:
    """Raises WrongUse for words that make no sense."""
    try:
        read = options.parse({name: text for name, text in said.items() if text}, rules)
        region, near = said.get("region"), said.get("near_number")
        return NumberWish(
            country=read.country or rules.default_country,
            number_type=read.number_type or rules.default_number_type,
            area_code=read.area_code,
            contains=read.contains,
            locality=read.locality,
            has_address=True,
            region=as_free_text("region", region.strip()) if region else None,
            near_number=as_phone_number("near", near) if near else None,
        )
    except OptionsInvalid as error:
        raise WrongUse(str(error)) from error


def cells(offer: Offer) -> list[str | None]:
    can = ", ".join(name for name, has in sorted(offer.capabilities.items()) if has)
    wants = None if offer.address_requirements == "none" else offer.address_requirements
    price = f"{offer.price} {offer.currency}" if offer.price else None
    return [offer.display, offer.number, offer.number_type, offer.locality, offer.region, can, wants, price]


def as_record(offer: Offer) -> dict[str, object]:
    named = asdict(offer)
    named["phone_number"] = named.pop("number")
    return {"phone_number": offer.number, **{name: value for name, value in named.items() if name != "phone_number"}}


@click.command()
@click.argument("country")
@as_json_option
def pricing(country: str, as_json: bool) -> None:
    """What each kind of number in COUNTRY costs a month, as Twilio lists it."""
    try:
        code = as_country("country", country.strip())
    except OptionsInvalid as error:
        raise WrongUse(str(error)) from error
    with working() as at_work:
        telephony = at_work.steps.telephony
        with in_flight(at_work.steps, telephony.provider) as deadline:
            listed = telephony.price_list(code, deadline())
    if listed is None:
        raise click.ClickException(f"Twilio lists no prices for {code}.")
    if as_json:
        prices = [asdict(price) for price in listed.prices]
        print_json({"country": listed.country, "currency": listed.currency, "prices": prices})
        return
    click.echo(f"{listed.country_name} ({listed.country}), {listed.currency} a month:")
    print_table(
        ["type", "now", "list price"],
        [[price.number_type, price.current_price, price.base_price] for price in listed.prices],
        empty="No numbers are sold there.",
    )
