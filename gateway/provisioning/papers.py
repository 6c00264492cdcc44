"""Addresses on file and prices, as answers."""

from __future__ import annotations

from gateway.flow import papers
from gateway.ports import PostalAddress, RegisteredAddress
from gateway.provisioning.countries import country_of
from gateway.provisioning.desk import Answer, Desk
from gateway.steps.context import in_flight

NEEDED = ("customer_name", "street", "city", "postal_code")


def register(desk: Desk, address: PostalAddress) -> Answer:
    """Put an address on file, once. Raises WrongUse, OptionsInvalid or a ProviderError."""
    missing = [name for name in NEEDED if not str(getattr(address, name)).strip()]
    if missing:
        return desk.refuse("register_address", f"{', '.join(missing)} must not be empty. Nothing was registered.")
    return {"success": True, "address_sid": papers.register_address(desk.steps, address).sid}


def listed(desk: Desk, country_code: str | None = None) -> list[RegisteredAddress]:
    """Every address on file, newest first. Raises OptionsInvalid or a ProviderError."""
    country = country_of(country_code) if country_code is not None else None
    return papers.addresses(desk.steps, country)


def as_record(found: RegisteredAddress) -> Answer:
    address = found.address
    return {
        "sid": found.sid,
        "customer_name": address.customer_name,
        "street": address.street,
        "city": address.city,
        "region": address.region,
        "postal_code": address.postal_code,
        "country": address.country,
        "validated": found.is_validated,
    }


def address_for(desk: Desk, country_code: str) -> str | None:
    """The SID of an address in this country, one that was checked first; None when there is none."""
    found = listed(desk, country_code)
    best = next((each for each in found if each.is_validated), None) or next(iter(found), None)
    return best.sid if best else None


def pricing(desk: Desk, country_code: str) -> Answer:
    """What numbers cost there a month. Raises OptionsInvalid or a ProviderError."""
    country, steps = country_of(country_code), desk.steps
    with in_flight(steps, steps.telephony.provider) as deadline:
        prices = steps.telephony.price_list(country, deadline())
    if prices is None:
        error = f"Twilio lists no prices for {country}."
        desk.note("get_pricing", error)
        return {"error": error}
    return {
        "country": prices.country,
        "currency": prices.currency,
        "prices": [
            {"type": each.number_type, "base_price": each.base_price, "current_price": each.current_price}
            for each in prices.prices
        ],
    }
