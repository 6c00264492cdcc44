"""Every route of the API. What is not here does not exist; `openapi.py` describes just these."""

from __future__ import annotations

from gateway.web.api import numbers, openapi, papers, schema, tenants
from gateway.web.api.answers import answer
from gateway.web.api.routes import Call, Route
from gateway.web.errors import Answer

PREFIX = "/api/v1"
FROM_PROVIDER = ("provider_unavailable", "provider_refused")
KEY_HEADER = {"Idempotency-Key": "Names a spare order by wish: the same key gives the same number again."}


def describe(call: Call) -> Answer:
    return answer(openapi.document(ROUTES))


ROUTES: tuple[Route, ...] = (
    Route("GET", f"{PREFIX}/openapi.json", "viewer", "This description.", describe, {200: dict[str, object]}),
    Route(
        *("GET", f"{PREFIX}/numbers/available", "viewer", "Numbers for sale, with what they cost a month."),
        numbers.available,
        {200: schema.Offers},
        query=schema.SearchQuery,
        errors=FROM_PROVIDER,
    ),
    Route(
        *("GET", f"{PREFIX}/numbers", "viewer", "Every number: tenants', spare stock, and others in the account."),
        numbers.held,
        {200: schema.Numbers},
        errors=FROM_PROVIDER,
    ),
    Route(
        *("POST", f"{PREFIX}/numbers", "operator", "Buy a number for a tenant, or as spare stock."),
        numbers.buy,
        {200: schema.Purchase, 201: schema.Purchase, 202: schema.Purchase},
        body=schema.Order,
        errors=("conflict", "idempotency_key_missing", *FROM_PROVIDER),
        headers=KEY_HEADER,
    ),
    Route(
        *("DELETE", f"{PREFIX}/numbers/<number>", "admin", "Give a number (E.164 or PN SID) back for good."),
        numbers.release,
        {200: schema.Release, 202: schema.Release},
        query=schema.ReasonQuery,
        body=schema.Why,
        is_body_optional=True,
        errors=("conflict", "not_found", *FROM_PROVIDER),
    ),
    Route(
        *("GET", f"{PREFIX}/addresses", "viewer", "Addresses on file at the account, newest first."),
        papers.list_addresses,
        {200: schema.Addresses},
        query=schema.CountryQuery,
        errors=FROM_PROVIDER,
    ),
    Route(
        *("POST", f"{PREFIX}/addresses", "operator", "Put an address on file; the same one twice is one."),
        papers.add_address,
        {200: schema.Address},
        body=schema.PostalAddressIn,
        errors=FROM_PROVIDER,
    ),
    Route(
        *("GET", f"{PREFIX}/pricing/<country>", "viewer", "What each kind of number costs a month."),
        papers.pricing,
        {200: schema.Pricing},
        errors=("not_found", *FROM_PROVIDER),
    ),
    Route(
        *("GET", f"{PREFIX}/tenants/<key>", "viewer", "Where a tenant stands; spare stock is spare:+NUMBER."),
        tenants.show,
        {200: schema.Tenant},
        errors=("not_found",),
    ),
    Route(
        *("GET", f"{PREFIX}/tenants/<key>/offers", "viewer", "Numbers for sale that fit this tenant's wishes."),
        tenants.offers_for,
        {200: schema.Offers},
        query=schema.OffersQuery,
        errors=("not_found", *FROM_PROVIDER),
    ),
    Route(
        *("POST", f"{PREFIX}/tenants/<key>/address", "operator", "The customer's address; it goes on by itself."),
        tenants.set_address,
        {200: schema.Tenant},
        body=schema.PostalAddressIn,
        errors=("not_found", "conflict"),
    ),
    Route(
        *("POST", f"{PREFIX}/tenants/<key>/choose-link", "operator", "A link for the customer to choose a number."),
        tenants.choose_link,
        {200: schema.ChooseLink},
        body=schema.LinkWish,
        is_body_optional=True,
        errors=("not_found", "conflict"),
    ),
    Route(
        *("POST", f"{PREFIX}/tenants/<key>/setup", "operator", "Set a client up with the number that it chose."),
        tenants.set_up,
        {200: schema.Purchase, 201: schema.Purchase, 202: schema.Purchase},
        body=schema.Setup,
        errors=("conflict", *FROM_PROVIDER),
    ),
)
