"""Which number: as it was asked for, where the operator lets us look further, and what it may cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.flow.timeline import timeline
from gateway.ports import PriceList
from gateway.store import intents
from tests.steps.ports import change
from tests.stories.sandbox import Sandbox
from tests.stories.test_purchase import active_with_one_number

FALLBACK = {"NUMBER_FALLBACK": "region,any"}


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Callable[..., Sandbox]]:
    made: list[Sandbox] = []

    def install(**settings: str) -> Sandbox:
        folder = tmp_path / f"installation-{len(made)}"
        folder.mkdir()
        made.append(Sandbox(folder, settings))
        return made[-1]

    yield install
    for each in made:
        each.close()


def sold_out(sandbox: Sandbox, prefix: str) -> None:
    sandbox.world_call("POST", "sold_out", {"prefix": prefix})


def told(sandbox: Sandbox, key: str = "acme") -> list[str]:
    tenant = sandbox.tenant(key)
    return [line.text for line in sandbox.query(lambda tx: timeline(tx, tenant))]


def message(sandbox: Sandbox, key: str = "acme") -> str:
    block = sandbox.tenant(key).block
    assert block is not None
    return block.message


def signup(sandbox: Sandbox, **wishes: str) -> Sandbox:
    sandbox.deliver("checkout.completed", metadata=wishes)
    sandbox.settle(600)
    return sandbox


# --- fall-backs ------------------------------------------------------------------------------------------------------


def test_without_a_fallback_only_what_was_asked_for_is_bought(sandbox: Sandbox) -> None:
    sold_out(sandbox, "+1305")

    signup(sandbox, area_code="305")

    assert sandbox.export()["blocked"] == "no_numbers"
    assert sandbox.calls("twilio.search") == 1


def test_where_the_area_code_is_sold_out_its_region_is_next(installed: Callable[..., Sandbox]) -> None:
    sandbox = installed(**FALLBACK)
    sold_out(sandbox, "+1305")

    signup(sandbox, area_code="305")

    active_with_one_number(sandbox)
    bought = sandbox.purchases()[0]["number"]
    florida = {"239", "321", "352", "386", "407", "448", "561", "645", "656", "689", "727", "728", "754", "772", "786",
               "813", "850", "863", "904", "941", "954"}  # fmt: skip
    assert bought[2:5] in florida
    assert any(line.startswith("Nothing fitted as asked: looked in region FL, ") for line in told(sandbox))


def test_where_nobody_says_the_region_it_is_said_and_any_number_is_next(installed: Callable[..., Sandbox]) -> None:
    sandbox = installed(**FALLBACK)

    signup(sandbox, area_code="907")

    active_with_one_number(sandbox)
    lines = [line for line in told(sandbox) if line.startswith("Nothing fitted")]
    assert "Twilio does not say which region that is" in lines[0]
    assert "looked in any of its kind" in lines[1]


def test_a_region_that_was_asked_for_is_not_asked_about(installed: Callable[..., Sandbox]) -> None:
    sandbox = installed(NUMBER_FALLBACK="region")

    signup(sandbox, area_code="907", number_region="MT")

    active_with_one_number(sandbox)
    assert sandbox.purchases()[0]["number"].startswith("+1406")
    assert sandbox.calls("twilio.search") == 2


def test_numbers_that_cannot_be_used_still_say_where_they_are(installed: Callable[..., Sandbox]) -> None:
    sandbox = installed(NUMBER_FALLBACK="region")
    search = sandbox.gateway.steps.telephony.search

    def none_to_call(wish: Any, limit: int, deadline: Any) -> Any:
        return [] if wish.area_code and not wish.is_only_asking else search(wish, limit, deadline)

    change(sandbox, "telephony", search=none_to_call)

    signup(sandbox, area_code="406")

    active_with_one_number(sandbox)
    assert any("region MT" in line for line in told(sandbox))


def test_when_every_fallback_finds_nothing_a_person_is_told_all_of_them(installed: Callable[..., Sandbox]) -> None:
    sandbox = installed(**FALLBACK)
    sold_out(sandbox, "+1")

    signup(sandbox, area_code="305", number_region="FL")

    assert sandbox.export()["blocked"] == "no_numbers"
    assert "Looked in region FL, then any of its kind too." in message(sandbox)
    assert len([line for line in told(sandbox) if line.startswith("Nothing fitted")]) == 2
    assert sandbox.purchases() == []


def test_three_candidates_are_enough_whichever_place_they_are_from(installed: Callable[..., Sandbox]) -> None:
    sandbox = installed(**FALLBACK)
    sold_out(sandbox, "+1305")
    sandbox.fault("twilio.buy", "taken", times=9)

    signup(sandbox, area_code="305")

    assert sandbox.export()["blocked"] == "no_numbers"
    tenant = sandbox.tenant()
    assert [row["status"] for row in sandbox.query(lambda tx: intents.of_tenant(tx, tenant.id))] == ["refused"] * 3


def test_an_exact_number_has_no_fallback(installed: Callable[..., Sandbox]) -> None:
    sandbox = installed(**FALLBACK)
    number = sandbox.for_sale()
    sandbox.fault("twilio.buy", "taken", times=1)

    signup(sandbox, phone_number=number)

    assert sandbox.export()["blocked"] == "number_taken"
    assert sandbox.purchases() == []


def test_a_signup_that_asks_for_nothing_in_particular_has_nowhere_else_to_look(
    installed: Callable[..., Sandbox],
) -> None:
    sandbox = installed(**FALLBACK)
    sold_out(sandbox, "+1")

    signup(sandbox)

    assert sandbox.export()["blocked"] == "no_numbers"
    assert sandbox.calls("twilio.search") == 1


# --- near, in, with --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wishes", "prefixes"),
    [
        ({"near_number": "+13055550100"}, {"+1305", "+1786"}),
        ({"number_region": "HI"}, {"+1808"}),
        ({"locality": "Miami"}, {"+1305", "+1786"}),
        ({"area_code": "786"}, {"+1786"}),
        ({"number_type": "toll_free"}, {"+1800", "+1833", "+1844", "+1855", "+1866", "+1877", "+1888"}),
        ({"country": "CA", "number_region": "AB"}, {"+1368", "+1403", "+1587", "+1780", "+1825"}),
    ],
    ids=["near a number", "in a region", "in a place", "in an area code", "toll free", "in Canada"],
)
def test_a_number_is_where_it_was_asked_for(sandbox: Sandbox, wishes: dict[str, str], prefixes: set[str]) -> None:
    signup(sandbox, **wishes)

    active_with_one_number(sandbox)
    assert sandbox.purchases()[0]["number"][:5] in prefixes


# --- what it may cost ------------------------------------------------------------------------------------------------


def test_a_number_within_its_ceiling_is_bought(installed: Callable[..., Sandbox]) -> None:
    sandbox = installed(PRICE_CEILING="local=1.15 USD,toll_free=3 USD")

    signup(sandbox)

    active_with_one_number(sandbox)
    assert sandbox.calls("twilio.price") == 1


def test_a_number_above_its_ceiling_is_not_and_the_sentence_names_all_three(installed: Callable[..., Sandbox]) -> None:
    sandbox = installed(PRICE_CEILING="local=1.14 USD")

    signup(sandbox)

    assert sandbox.export()["blocked"] == "price_ceiling"
    assert "a US local number costs 1.15 USD a month, and PRICE_CEILING allows 1.14 USD for local" in message(sandbox)
    assert "tenants retry acme" in message(sandbox)
    tenant = sandbox.tenant()
    assert sandbox.query(lambda tx: intents.of_tenant(tx, tenant.id)) == []
    assert sandbox.calls("twilio.search") == 0


def test_another_kind_within_its_ceiling_goes_on(installed: Callable[..., Sandbox]) -> None:
    sandbox = installed(PRICE_CEILING="toll_free=2 USD")
    signup(sandbox, number_type="toll_free")
    assert sandbox.export()["blocked"] == "price_ceiling"

    sandbox.operate("set", {"number_type": "local"})
    sandbox.settle(60)

    active_with_one_number(sandbox)
    assert sandbox.calls("twilio.price") == 1, "no ceiling is set for local numbers"


def test_a_ceiling_holds_for_an_exact_number_too(installed: Callable[..., Sandbox]) -> None:
    sandbox = installed(PRICE_CEILING="local=1 USD")

    signup(sandbox, phone_number=sandbox.for_sale())

    assert sandbox.export()["blocked"] == "price_ceiling"
    assert sandbox.purchases() == []


def test_a_price_in_another_currency_is_no_price_that_can_be_compared(installed: Callable[..., Sandbox]) -> None:
    sandbox = installed(PRICE_CEILING="local=5 EUR")

    signup(sandbox)

    assert sandbox.export()["blocked"] == "price_ceiling"
    assert "costs 1.15 USD a month, which is another currency" in message(sandbox)


@pytest.mark.parametrize("listed", [None, PriceList("US", "United States", "USD", ())], ids=["no list", "not on it"])
def test_a_price_that_nobody_says_is_not_within_any_ceiling(
    installed: Callable[..., Sandbox], listed: PriceList | None
) -> None:
    sandbox = installed(PRICE_CEILING="local=5 USD")
    change(sandbox, "telephony", price_list=lambda country, deadline: listed)

    signup(sandbox)

    assert sandbox.export()["blocked"] == "price_ceiling"
    assert "Twilio does not say what a US local number costs" in message(sandbox)
    assert sandbox.purchases() == []


def test_a_key_that_may_not_read_prices_stops_nobody_else(installed: Callable[..., Sandbox]) -> None:
    sandbox = installed(PRICE_CEILING="local=5 USD")
    sandbox.fault("twilio.price", "unauthorized", times=1)

    signup(sandbox)

    assert sandbox.export()["blocked"] == "price_ceiling"
    assert sandbox.query(lambda tx: tx.one("SELECT is_refusing FROM providers WHERE is_refusing = 1")) is None


def test_prices_that_cannot_be_asked_now_are_asked_later(installed: Callable[..., Sandbox]) -> None:
    sandbox = installed(PRICE_CEILING="local=5 USD")
    sandbox.fault("twilio.price", "error_before", times=2)

    signup(sandbox)

    active_with_one_number(sandbox)


def test_a_ceiling_that_was_raised_lets_go_on_when_an_operator_says_so(installed: Callable[..., Sandbox]) -> None:
    sandbox = installed(PRICE_CEILING="local=1 USD")
    signup(sandbox)
    raised = replace(sandbox.settings.signup, price_ceilings={"local": ("2", "USD")})
    sandbox.settings = replace(sandbox.settings, signup=raised)
    sandbox.restart()

    sandbox.retry_blocked("price_ceiling")
    sandbox.settle(60)

    active_with_one_number(sandbox)
