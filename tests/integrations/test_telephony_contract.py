"""What every telephony provider must do for the steps, tried on each one against its pretend self."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from gateway.errors import ProviderError, Refused, TryLater, Unclear
from gateway.ports import NumberWish, Telephony
from tests.integrations.pretend_world import OTHER_TAG, TAG, Pretend
from tests.integrations.providers import said_of

PROVIDERS: dict[str, Callable[[Pretend], Telephony]] = {"twilio": lambda pretend: pretend.twilio()}
STRANGERS: dict[str, Callable[[Pretend], Telephony]] = {"twilio": lambda pretend: pretend.twilio("wrong")}
US = NumberWish("US")


@pytest.fixture
def pretend() -> Pretend:
    return Pretend()


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def telephony(provider: str, pretend: Pretend) -> Telephony:
    return PROVIDERS[provider](pretend)


@pytest.fixture
def number(telephony: Telephony, pretend: Pretend) -> str:
    return telephony.search(US, 1, pretend.deadline)[0].number


def test_a_search_gives_callable_numbers_nobody_holds(telephony: Telephony, pretend: Pretend) -> None:
    found = telephony.search(NumberWish("US", area_code="415"), 10, pretend.deadline)

    assert 0 < len(found) <= 10
    assert len({offer.number for offer in found}) == len(found)
    for offer in found:
        assert re.fullmatch(r"\+1415\d{7}", offer.number)
        assert (offer.country, offer.number_type, offer.address_requirements) == ("US", "local", "none")
        assert offer.capabilities["voice"]
        assert telephony.find_by_number(offer.number, pretend.deadline) is None


def test_a_search_that_finds_nothing_is_empty(telephony: Telephony, pretend: Pretend) -> None:
    assert telephony.search(NumberWish("US", area_code="999"), 10, pretend.deadline) == []


def test_a_bought_number_is_found_by_number_by_tag_by_sid_and_in_the_list(
    telephony: Telephony, pretend: Pretend, number: str
) -> None:
    bought = telephony.buy(number, TAG, pretend.deadline)

    assert (bought.number, bought.tag) == (number, TAG)
    assert telephony.find_by_number(number, pretend.deadline) == bought
    assert telephony.find_by_tag(TAG, pretend.deadline) == [bought]
    assert telephony.fetch(bought.sid, pretend.deadline) == bought
    assert telephony.list_all(pretend.deadline) == [bought]


def test_only_the_exact_tag_and_the_exact_number_are_found(
    telephony: Telephony, pretend: Pretend, number: str
) -> None:
    telephony.buy(number, TAG + "0", pretend.deadline)

    assert telephony.find_by_tag(TAG, pretend.deadline) == []
    assert telephony.find_by_tag("", pretend.deadline) == []
    assert telephony.find_by_number(number[:-1], pretend.deadline) is None
    assert telephony.find_by_number(number[:-1] + "*", pretend.deadline) is None


@pytest.mark.parametrize("policy", ["refuse", "update"])
def test_buying_the_same_number_again_never_makes_two(
    policy: str, telephony: Telephony, pretend: Pretend, number: str
) -> None:
    pretend.world.set_policies({"buy_owned": policy})
    first = telephony.buy(number, TAG, pretend.deadline)

    if policy == "refuse":
        with pytest.raises(Refused) as caught:
            telephony.buy(number, TAG, pretend.deadline)
        assert caught.value.kind == "unavailable"
    else:
        assert telephony.buy(number, TAG, pretend.deadline) == first
    assert telephony.list_all(pretend.deadline) == [first]


def test_a_number_somebody_else_took_is_unavailable(telephony: Telephony, pretend: Pretend, number: str) -> None:
    pretend.fault("twilio.buy", "taken")

    with pytest.raises(Refused) as caught:
        telephony.buy(number, TAG, pretend.deadline)

    assert caught.value.kind == "unavailable"
    assert telephony.find_by_number(number, pretend.deadline) is None


def test_papers_that_are_missing_are_named(telephony: Telephony, pretend: Pretend) -> None:
    offer = telephony.search(NumberWish("GB", has_address=True), 1, pretend.deadline)[0]

    with pytest.raises(Refused) as caught:
        telephony.buy(offer.number, TAG, pretend.deadline)

    assert caught.value.kind in ("address", "bundle")


def test_a_release_is_for_good_and_safe_to_repeat(telephony: Telephony, pretend: Pretend, number: str) -> None:
    bought = telephony.buy(number, TAG, pretend.deadline)

    assert telephony.release(bought.sid, pretend.deadline) is True
    assert telephony.release(bought.sid, pretend.deadline) is False
    assert telephony.fetch(bought.sid, pretend.deadline) is None
    assert telephony.find_by_tag(TAG, pretend.deadline) == []


def test_a_new_name_is_read_back(telephony: Telephony, pretend: Pretend, number: str) -> None:
    bought = telephony.buy(number, TAG, pretend.deadline)

    renamed = telephony.rename(bought.sid, OTHER_TAG, pretend.deadline)

    assert (renamed.sid, renamed.tag) == (bought.sid, OTHER_TAG)
    assert telephony.find_by_tag(OTHER_TAG, pretend.deadline) == [renamed]


def test_lists_longer_than_a_page_are_whole(telephony: Telephony, pretend: Pretend) -> None:
    pretend.world.place_numbers({"friendly_name": TAG, "count": 620})

    found = telephony.find_by_tag(TAG, pretend.deadline)

    assert len({number.sid for number in found}) == 620
    assert len(telephony.list_all(pretend.deadline)) == 620


def test_a_number_in_the_account_under_any_name_is_seen(telephony: Telephony, pretend: Pretend) -> None:
    placed = pretend.world.place_numbers({"friendly_name": "Front desk"})[0]

    found = telephony.find_by_number(placed["phone_number"], pretend.deadline)

    assert found is not None
    assert found.tag == "Front desk"


def test_a_price_is_known_where_numbers_are_sold(telephony: Telephony, pretend: Pretend) -> None:
    price = telephony.monthly_price("US", "local", pretend.deadline)

    assert price is not None
    assert re.fullmatch(r"\d+\.\d+", price[0])
    assert re.fullmatch("[A-Z]{3}", price[1])
    assert telephony.monthly_price("XX", "local", pretend.deadline) is None


OPERATIONS: dict[str, Callable[[Telephony, Pretend, str], Any]] = {
    "check_account": lambda telephony, pretend, _: telephony.check_account(pretend.deadline),
    "search": lambda telephony, pretend, _: telephony.search(US, 5, pretend.deadline),
    "find_by_tag": lambda telephony, pretend, _: telephony.find_by_tag(TAG, pretend.deadline),
    "find_by_number": lambda telephony, pretend, number: telephony.find_by_number(number, pretend.deadline),
    "fetch": lambda telephony, pretend, _: telephony.fetch("PN" + "0" * 32, pretend.deadline),
    "list_all": lambda telephony, pretend, _: telephony.list_all(pretend.deadline),
    "monthly_price": lambda telephony, pretend, _: telephony.monthly_price("US", "local", pretend.deadline),
    "buy": lambda telephony, pretend, number: telephony.buy(number, TAG, pretend.deadline),
    "rename": lambda telephony, pretend, _: telephony.rename("PN" + "0" * 32, TAG, pretend.deadline),
    "release": lambda telephony, pretend, _: telephony.release("PN" + "0" * 32, pretend.deadline),
}
WRITES = ("buy", "rename", "release")


def test_good_credentials_open_the_account(telephony: Telephony, pretend: Pretend) -> None:
    telephony.check_account(pretend.deadline)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_wrong_credentials_concern_every_operation(operation: str, provider: str, pretend: Pretend) -> None:
    stranger = STRANGERS[provider](pretend)

    with pytest.raises(Refused) as caught:
        OPERATIONS[operation](stranger, pretend, "+14155550123")

    assert caught.value.kind == "credentials"


def test_a_suspended_account_is_a_matter_of_credentials(telephony: Telephony, pretend: Pretend, number: str) -> None:
    pretend.world.set_account("suspended")

    for operation in ("check_account", "buy", "search"):
        with pytest.raises(Refused) as caught:
            OPERATIONS[operation](telephony, pretend, number)
        assert caught.value.kind == "credentials"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_too_many_requests_say_when_to_come_back(
    operation: str, telephony: Telephony, pretend: Pretend, number: str
) -> None:
    pretend.fault("twilio.*", "rate_limit", retry_after=7, times=None)

    with pytest.raises(TryLater) as caught:
        OPERATIONS[operation](telephony, pretend, number)

    assert (caught.value.rate_limited, caught.value.retry_after_seconds) == (True, 7.0)


LOST = ("lost_before", "lost_after", "error_before", "error_after", "truncated", "html", "empty", "hang", "trickle")


@pytest.mark.parametrize("kind", LOST)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_without_a_clear_answer_a_write_is_unclear_and_a_read_is_for_later(
    operation: str, kind: str, telephony: Telephony, pretend: Pretend, number: str
) -> None:
    pretend.fault("twilio.*", kind, times=None, **({"seconds": 60} if kind in ("hang", "trickle") else {}))

    with pytest.raises(ProviderError) as caught:
        OPERATIONS[operation](telephony, pretend, number)

    assert said_of(caught.value) == (("Unclear" if operation in WRITES else "TryLater"), None)


AFTER = {"lost_after": True, "error_after": True, "hang": True, "lost_before": False, "error_before": False}


@pytest.mark.parametrize("kind", AFTER)
def test_after_an_unclear_purchase_a_look_by_number_tells(
    kind: str, telephony: Telephony, pretend: Pretend, number: str
) -> None:
    pretend.fault("twilio.buy", kind)

    with pytest.raises(Unclear):
        telephony.buy(number, TAG, pretend.deadline)
    found = telephony.find_by_number(number, pretend.deadline)

    assert (found is not None) is AFTER[kind]
    assert pretend.world.calls()["twilio.buy"] == 1


@pytest.mark.parametrize("policy", ["refuse", "update"])
def test_a_purchase_asked_twice_on_the_way_buys_once(
    policy: str, telephony: Telephony, pretend: Pretend, number: str
) -> None:
    pretend.world.set_policies({"buy_owned": policy})
    pretend.fault("twilio.buy", "twice")

    if policy == "refuse":
        with pytest.raises(Refused):
            telephony.buy(number, TAG, pretend.deadline)
    else:
        telephony.buy(number, TAG, pretend.deadline)

    assert [owned.number for owned in telephony.find_by_tag(TAG, pretend.deadline)] == [number]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_past_the_deadline_nothing_reaches_the_provider(
    operation: str, telephony: Telephony, pretend: Pretend, number: str
) -> None:
    before = dict(pretend.world.calls())
    late = pretend.deadline
    pretend.clock.seconds += 60

    class Late(Pretend):
        deadline = late

    with pytest.raises(TryLater):
        OPERATIONS[operation](telephony, Late(), number)

    assert dict(pretend.world.calls()) == before
