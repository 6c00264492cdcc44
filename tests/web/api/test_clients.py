"""Addresses, prices, and the moments of setting a client up."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.domain.model import State
from gateway.flow.choice_links import HOUR_MS, read_link
from tests.stories.sandbox import Sandbox
from tests.web.api.asking import Api

KEYS = ("0123456789abcdef",)
ADDRESS = {
    "customer_name": "Globex",
    "street": "1 Main St",
    "city": "Seattle",
    "region": "WA",
    "postal_code": "98101",
    "country": "US",
}


def test_the_same_address_twice_is_registered_once(api: Api) -> None:
    first, second = (api("POST", "/addresses", ADDRESS, role="operator") for _ in range(2))

    assert (first.status, second.status) == (200, 200)
    assert first.json["address_sid"] == second.json["address_sid"]
    assert {name: first.json[name] for name in ADDRESS} == ADDRESS
    (listed,) = api("GET", "/addresses", role="viewer", query="country=US").json["addresses"]
    assert listed == first.json
    assert api("GET", "/addresses", role="viewer", query="country=ZA").json == {"addresses": []}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"country": "Atlantis"}, "country"),
        ({"street": " "}, "street"),
        ({"city": "a\r\nb"}, "city"),
        ({"postal_code": 98101}, "postal_code"),
        ({"street": None}, "street"),
        ({"planet": "Earth"}, "planet"),
    ],
)
def test_an_address_that_makes_no_sense_is_refused_by_name(api: Api, change: dict[str, Any], field: str) -> None:
    reply = api("POST", "/addresses", {**ADDRESS, **change}, role="operator")

    assert (reply.status, reply.json["error"]["field"]) == (422, field)
    assert api("GET", "/addresses", role="viewer").json == {"addresses": []}


def test_an_address_that_may_have_been_registered_is_found_when_asked_again(sandbox: Sandbox, api: Api) -> None:
    sandbox.fault("twilio.register", "lost_after", times=1)

    first = api("POST", "/addresses", ADDRESS, role="operator")
    second = api("POST", "/addresses", ADDRESS, role="operator")

    assert first.status in (200, 503)
    assert second.status == 200
    assert len(api("GET", "/addresses", role="viewer").json["addresses"]) == 1


def test_prices_of_a_country_by_type(api: Api) -> None:
    reply = api("GET", "/pricing/us", role="viewer")

    assert (reply.status, reply.json["country"], reply.json["currency"]) == (200, "US", "USD")
    assert {"type", "base_price", "current_price"} == set(reply.json["prices"][0])


@pytest.mark.parametrize(("country", "status"), [("Atlantis", 422), ("%00", 422), ("AQ", 404)])
def test_a_country_without_prices_is_said(api: Api, country: str, status: int) -> None:
    assert api("GET", f"/pricing/{country}", role="viewer").status == status


def test_a_client_is_set_up_with_the_number_that_it_chose(sandbox: Sandbox, api: Api) -> None:
    sandbox.deliver("checkout.completed", metadata={"area_code": "415", "choose": "yes"})
    sandbox.settle(60)
    before = api("GET", "/tenants/acme", role="viewer").json

    offered = api("GET", "/tenants/acme/offers", role="viewer", query="limit=5").json["numbers"]
    chosen = offered[-1]["phone_number"]
    first, second = (
        api("POST", "/tenants/acme/setup", {"phone_number": chosen, "address": ADDRESS}, role="operator")
        for _ in range(2)
    )

    assert before["phone_number"] is None
    assert chosen.startswith("+1415")
    assert (first.status, second.status, first.json["phone_number"]) == (201, 200, chosen)
    assert sandbox.tenant("acme").state is State.ACTIVE
    assert len(sandbox.purchases()) == 1


def test_a_client_that_has_a_number_gets_no_other(sandbox: Sandbox, api: Api) -> None:
    api("POST", "/numbers", {"tenant_key": "acme"}, role="operator")

    reply = api("POST", "/tenants/acme/setup", {"phone_number": sandbox.for_sale("206")}, role="operator")

    assert (reply.status, reply.code) == (409, "conflict")
    assert len(sandbox.purchases()) == 1


def test_two_clients_cannot_have_one_number(sandbox: Sandbox, api: Api) -> None:
    number = sandbox.for_sale()
    api("POST", "/tenants/acme/setup", {"phone_number": number}, role="operator")

    reply = api("POST", "/tenants/globex/setup", {"phone_number": number}, role="operator")

    assert (reply.status, reply.code) == (409, "conflict")
    assert len(sandbox.purchases()) == 1


def test_the_clients_address_is_kept_as_the_operators_word(sandbox: Sandbox, api: Api) -> None:
    api("POST", "/numbers", {"tenant_key": "acme"}, role="operator")

    reply = api("POST", "/tenants/acme/address", ADDRESS, role="operator")

    assert (reply.status, reply.json["tenant_key"]) == (200, "acme")
    assert api("POST", "/tenants/acme/address", {**ADDRESS, "street": ""}, role="operator").status == 422


@pytest.mark.parametrize(
    "key", ["nobody", "spare:+14155550199", "a%00b", "..", "x" * 200, "spare:%00", "%F0%9F%92%A9"]
)
def test_a_tenant_that_is_not_there_is_not_found(api: Api, key: str) -> None:
    for method, path, body in (("GET", "", None), ("GET", "/offers", None), ("POST", "/address", ADDRESS)):
        reply = api(method, f"/tenants/{key}{path}", body, role="admin")
        assert (reply.status, reply.code) == (404, "not_found"), path


def test_a_link_for_the_customer_opens_the_page_for_that_tenant_until_it_ends(sandbox: Sandbox) -> None:
    api = Api(sandbox, secret_keys=KEYS)
    sandbox.deliver("checkout.completed", metadata={"choose": "yes"})
    sandbox.settle(60)

    reply = api("POST", "/tenants/acme/choose-link", {"hours": 2}, role="operator")

    start, _, token = reply.json["url"].partition("/choose/")
    assert (reply.status, start) == (200, "http://127.0.0.1:8000")
    link = read_link(KEYS, token, sandbox.clock.now_ms())
    assert link is not None
    assert link.tenant_key == "acme"
    assert link.expires_at_ms == sandbox.clock.now_ms() + 2 * HOUR_MS
    assert "operator choose-link" in sandbox.timeline()


def test_no_link_is_made_where_its_beginning_or_its_key_is_not_set(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed", metadata={"choose": "yes"})
    sandbox.settle(60)

    for changes in ({"secret_keys": ()}, {"secret_keys": KEYS, "is_live": True}):
        reply = Api(sandbox, **changes)("POST", "/tenants/acme/choose-link", role="operator")
        assert (reply.status, reply.code) == (409, "conflict")
    assert Api(sandbox, secret_keys=KEYS)("POST", "/tenants/nobody/choose-link", role="operator").status == 404


@pytest.mark.parametrize("hours", [0, -1, 721, "two", 1e400, None])
def test_a_link_for_ever_is_refused(sandbox: Sandbox, hours: Any) -> None:
    reply = Api(sandbox, secret_keys=KEYS)("POST", "/tenants/acme/choose-link", {"hours": hours}, role="operator")

    assert reply.status in (400, 422)
