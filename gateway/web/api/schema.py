"""What comes in and goes out as JSON. `openapi.py` describes these; nothing else may be in a body."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

NumberType = Literal["local", "mobile", "toll_free", "national"]
Short = Annotated[str, Meta(max_length=500)]
Limit = Annotated[int, Meta(ge=1, le=100)]
Reason = Annotated[str, Meta(min_length=1, max_length=500)]
Hours = Annotated[float, Meta(gt=0, le=720)]
Code = Annotated[str, Meta(pattern="^[a-z_]+$")]


# --- what is asked ---------------------------------------------------------------------------------------------------


class SearchQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which numbers: area_code, region and near in the US and Canada only."""

    country: Short | None = None
    type: NumberType | None = None
    area_code: Short | None = None
    contains: Short | None = None
    locality: Short | None = None
    region: Short | None = None
    near: Short | None = None
    limit: Limit = 20


class OffersQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    limit: Limit = 20


class CountryQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    country: Short | None = None


class NoQuery(Struct, forbid_unknown_fields=True):
    """Nothing may be said."""


class ReasonQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """Why, for the story; here or in the body."""

    reason: Reason | None = None


class PostalAddressIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """region: state or province."""

    customer_name: Short
    street: Short
    city: Short
    region: Short = ""
    postal_code: Short
    country: Short


class Order(Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A number to buy: for `tenant_key`, or spare. Exactly `phone_number`, or one that fits the rest."""

    tenant_key: Short | None = None
    phone_number: Short | None = None
    country: Short | None = None
    type: NumberType | None = None
    area_code: Short | None = None
    contains: Short | None = None
    locality: Short | None = None
    assistant_id: Short | None = None
    address: PostalAddressIn | None = None
    reason: Reason | None = None


class Setup(Struct, forbid_unknown_fields=True, kw_only=True):
    """A client's chosen number and, where the country wants one, its address."""

    phone_number: Short
    assistant_id: Short | None = None
    address: PostalAddressIn | None = None
    reason: Reason | None = None


class Why(Struct, forbid_unknown_fields=True, kw_only=True):
    reason: Reason | None = None


class LinkWish(Struct, forbid_unknown_fields=True, kw_only=True):
    """hours: how long the link opens the page."""

    hours: Hours = 72.0
    reason: Reason | None = None


# --- what is answered ------------------------------------------------------------------------------------------------


class Offer(Struct, kw_only=True):
    """A number for sale. display: as people write it.   price: a month of it; null where nobody says."""

    phone_number: str
    display: str
    locality: str | None
    region: str | None
    country: str
    type: str
    capabilities: dict[str, bool]
    address_requirements: str
    price: str | None
    currency: str | None


class Offers(Struct, kw_only=True):
    numbers: list[Offer]


class Number(Struct, kw_only=True):
    """whose: `tenant`, `spare` or `foreign` (not ours).   in_account: the Twilio account shows it."""

    phone_number: str
    twilio_sid: str | None
    friendly_name: str | None
    whose: str
    tenant_key: str | None
    state: str | None
    vapi_id: str | None
    in_account: bool


class Numbers(Struct, kw_only=True):
    numbers: list[Number]


class Purchase(Struct, kw_only=True):
    """outcome: `done`, `blocked` (it waits, see `blocked`) or `undecided`.   look_at: where to see how it went on."""

    outcome: str
    phone_number: str | None
    twilio_sid: str | None
    tenant_key: str | None
    blocked: str | None
    message: str
    look_at: str | None


class Release(Struct, kw_only=True):
    """outcome: `done` (proved), `given_back` (answered, not yet proved), `blocked` or `undecided`."""

    outcome: str
    tenant_key: str
    state: str
    message: str
    look_at: str


class Address(Struct, kw_only=True):
    address_sid: str
    customer_name: str
    street: str
    city: str
    region: str
    postal_code: str
    country: str
    validated: bool


class Addresses(Struct, kw_only=True):
    addresses: list[Address]


class Price(Struct, kw_only=True):
    type: str
    base_price: str
    current_price: str


class Pricing(Struct, kw_only=True):
    country: str
    currency: str
    prices: list[Price]


class Tenant(Struct, kw_only=True):
    """A line of `tenants export`, with the sentence behind `blocked`."""

    tenant_key: str
    state: str
    blocked: str | None
    phone_number: str | None
    twilio_sid: str | None
    vapi_id: str | None
    assistant_id: str | None
    friendly_names: list[str]
    message: str | None


class ChooseLink(Struct, kw_only=True):
    """expires_at: UTC, ISO 8601."""

    url: str
    expires_at: str


class Fault(Struct, kw_only=True, omit_defaults=True):
    """field: of the body or the query that is wrong, where it is one."""

    code: Code
    message: str
    request_id: str
    field: str | None = None


class Error(Struct, kw_only=True):
    error: Fault
