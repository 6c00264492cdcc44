"""What somebody may choose from: for sale, nobody's, with its display form and its price."""

from __future__ import annotations

from gateway.flow.offers import offers
from gateway.ports import NumberWish
from tests.stories.sandbox import Sandbox

WISH = NumberWish("US", area_code="808")


def test_an_offer_has_what_a_person_wants_to_know(sandbox: Sandbox) -> None:
    found = offers(sandbox.gateway.steps, NumberWish("US", area_code="415"), 3)

    assert len(found) == 3
    one = found[0]
    assert one.display.startswith("+1 (415) ")
    assert (one.locality, one.region, one.country, one.number_type) == ("San Francisco", "CA", "US", "local")
    assert one.capabilities["voice"]
    assert one.address_requirements == "none"
    assert (one.price, one.currency) == ("1.15", "USD")


def test_a_number_that_somebody_is_committed_to_is_left_out(sandbox: Sandbox) -> None:
    every = offers(sandbox.gateway.steps, WISH, 10)
    sandbox.fault("twilio.buy", "lost_before")
    sandbox.deliver("checkout.completed", metadata={"phone_number": every[0].number})
    sandbox.turn()

    left = offers(sandbox.gateway.steps, WISH, 10)

    assert {each.number for each in left} == {each.number for each in every[1:]}


def test_prices_are_asked_once_for_many_looks(sandbox: Sandbox) -> None:
    for _ in range(3):
        offers(sandbox.gateway.steps, WISH, 10)

    assert sandbox.calls("twilio.price") == 1


def test_a_price_that_cannot_be_had_is_not_worth_failing_for(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.price", "error_before")

    assert [each.price for each in offers(sandbox.gateway.steps, WISH, 1)] == [None]


def test_numbers_that_need_an_address_are_offered_to_whoever_asks_for_them(sandbox: Sandbox) -> None:
    steps = sandbox.gateway.steps

    assert offers(steps, NumberWish("ZA"), 5) == []
    assert {each.address_requirements for each in offers(steps, NumberWish("ZA", has_address=True), 5)} == {"any"}
