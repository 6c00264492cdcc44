"""One tenant: where it stands, numbers for it, its address, and the number that its customer chose."""

from __future__ import annotations

from gateway import display
from gateway.domain import keys, options
from gateway.domain.model import Tenant
from gateway.domain.options import as_phone_number
from gateway.errors import OptionsInvalid
from gateway.flow import export, offers, operate
from gateway.flow.choice_links import HOUR_MS, make_link
from gateway.store import journal, subscriptions, tenants
from gateway.store.database import Transaction
from gateway.web import errors
from gateway.web.api import schema
from gateway.web.api.answers import answer, invalid
from gateway.web.api.numbers import address_words, buy_for, shown, wish_of, words_of
from gateway.web.api.papers import postal_address
from gateway.web.api.routes import Call
from gateway.web.errors import Answer


def unknown() -> Answer:
    return errors.error_answer("not_found", "There is no tenant of this key.")


def find(tx: Transaction, key: str) -> Tenant | None:
    is_possible = keys.is_legal(key) or (keys.is_spare(key) and key.isascii() and key.isprintable())
    return tenants.by_key(tx, key) if is_possible else None


def show(call: Call) -> Answer:
    """The tenant's line, as `tenants export` has it, and why it waits."""
    with call.steps.database.read() as tx:
        tenant = find(tx, call.args["key"])
        if tenant is None:
            return unknown()
        line = export.line(tx, tenant, call.steps.rules)
    return answer(schema.Tenant(**line, message=tenant.block.message if tenant.block else None))


def offers_for(call: Call) -> Answer:
    """Numbers for sale that fit what the tenant's signup asked for."""
    with call.steps.database.read() as tx:
        tenant = find(tx, call.args["key"])
        said = options.merge(subscriptions.options_of(tx, tenant.id)) if tenant is not None else {}
    if tenant is None:
        return unknown()
    wish = wish_of(said, call.steps.rules)
    found = offers.offers(call.steps, wish, call.query.limit)
    return answer(schema.Offers(numbers=[shown(each) for each in found]))


def set_address(call: Call) -> Answer:
    """The customer's own address: a tenant that waits for one goes on by itself."""
    body: schema.PostalAddressIn = call.body
    postal_address(body)
    words, operator, now_ms = address_words(body), call.operator(None), call.steps.clock.now_ms()

    def keep(tx: Transaction) -> bool:
        if find(tx, call.args["key"]) is None:
            return False
        operate.set_options(tx, call.args["key"], words, call.steps.rules, operator, now_ms)
        return True

    return show(call) if call.steps.commit(keep) else unknown()


def choose_link(call: Call) -> Answer:
    """A link for the tenant's own customer to choose a number with; whoever has it may choose."""
    body: schema.LinkWish = call.body
    if not call.api.secret_keys:
        return errors.error_answer("conflict", "Links are signed with SECRET_KEY, and none is set: set one first.")
    if call.public_url is None:
        return errors.error_answer("conflict", "What links begin with is not known: set PUBLIC_URL first.")
    operator, now_ms = call.operator(body.reason), call.steps.clock.now_ms()
    expires_at_ms = now_ms + round(body.hours * HOUR_MS)

    def job(tx: Transaction) -> Tenant | None:
        tenant = find(tx, call.args["key"])
        if tenant is not None:
            detail = {"until_ms": expires_at_ms, "reason": operator.reason}
            journal.write(tx, tenant.id, now_ms, "operator", "choose-link", detail, actor=operator.name)
        return tenant

    tenant = call.steps.commit(job)
    if tenant is None or keys.is_spare(tenant.tenant_key):
        return unknown()
    signing = [str(each) for each in call.api.secret_keys]
    url = make_link(signing, call.public_url, tenant.tenant_key, tenant.generation, expires_at_ms)
    return answer(schema.ChooseLink(url=url, expires_at=display.iso(expires_at_ms) or ""))


def set_up(call: Call) -> Answer:
    """The number that the client chose, for it and nobody else, with its address: the last moment of onboarding."""
    body: schema.Setup = call.body
    try:
        as_phone_number("phone_number", body.phone_number)
    except OptionsInvalid as error:
        return invalid(str(error), "phone_number")
    if body.address is not None:
        postal_address(body.address)
    return buy_for(call, call.args["key"], words_of(body), body.reason)
