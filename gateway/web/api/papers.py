"""Addresses on file, and what numbers of a country cost."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gateway.domain.options import as_country, as_free_text
from gateway.errors import OptionsInvalid
from gateway.flow import papers
from gateway.ports import Deadline, PostalAddress, PriceList, RegisteredAddress
from gateway.steps.context import in_flight
from gateway.steps.prices import price_list
from gateway.web import errors
from gateway.web.api import schema
from gateway.web.api.answers import answer
from gateway.web.api.routes import Call
from gateway.web.errors import Answer


def list_addresses(call: Call) -> Answer:
    asked: schema.CountryQuery = call.query
    country = as_country("country", asked.country.strip()) if asked.country else None
    return answer(schema.Addresses(addresses=[shown(each) for each in papers.addresses(call.steps, country)]))


def add_address(call: Call) -> Answer:
    """Put an address on file; the same one twice is registered once. Safe to repeat."""
    return answer(shown(papers.register_address(call.steps, postal_address(call.body))))


def postal_address(said: schema.PostalAddressIn) -> PostalAddress:
    """Raises OptionsInvalid, naming the field."""
    read = {name: read_word(name, text) for name, text in msgspec.structs.asdict(said).items()}
    return PostalAddress(**read)


def read_word(name: str, text: str) -> str:
    stripped = text.strip()
    if not stripped and name != "region":
        raise OptionsInvalid(name, f"{name} is empty.")
    return as_country(name, stripped) if name == "country" else as_free_text(name, stripped)


def shown(found: RegisteredAddress) -> schema.Address:
    address = found.address
    return schema.Address(
        address_sid=found.sid,
        customer_name=address.customer_name,
        street=address.street,
        city=address.city,
        region=address.region,
        postal_code=address.postal_code,
        country=address.country,
        validated=found.is_validated,
    )


def pricing(call: Call) -> Answer:
    """Per number type, as the provider lists it: kept for a quarter of an hour."""
    country = as_country("country", call.args["country"].strip())
    steps = call.steps

    def ask(make: Callable[[Deadline], PriceList | None]) -> PriceList | None:
        with in_flight(steps, steps.telephony.provider) as deadline:
            return make(deadline())

    listed = price_list(steps, country, ask)
    if listed is None:
        return errors.error_answer("not_found", f"Twilio lists no prices for {country}.")
    prices = [
        schema.Price(type=each.number_type, base_price=each.base_price, current_price=each.current_price)
        for each in listed.prices
    ]
    return answer(schema.Pricing(country=listed.country, currency=listed.currency, prices=prices))
