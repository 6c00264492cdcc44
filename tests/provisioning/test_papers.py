"""Addresses and prices, as answers."""

from __future__ import annotations

import pytest

from gateway.provisioner import COUNTRY_CODES, TwilioVAPIProvisioner
from tests.provisioning.scripts import Crash, Script

CAPE_TOWN = ("Acme (Pty) Ltd", "1 Main Road", "Cape Town", "WC", "8001", "ZA")
LONDON = ("Beta Ltd", "10 Downing Street", "London", "London", "SW1A 2AA", "UK")


def test_an_address_is_registered_once(script: Script, provisioner: TwilioVAPIProvisioner) -> None:
    first = provisioner.register_address(*CAPE_TOWN)
    second = script.open().register_address(*CAPE_TOWN)

    assert first["success"] is True
    assert second == first
    assert len(provisioner.list_addresses()) == 1


def test_addresses_are_listed_with_all_that_is_on_file(provisioner: TwilioVAPIProvisioner) -> None:
    sid = provisioner.register_address(*CAPE_TOWN)["address_sid"]
    provisioner.register_address(*LONDON)

    found = provisioner.list_addresses()

    assert {each["country"] for each in found} == {"ZA", "GB"}
    (mine,) = [each for each in found if each["country"] == "ZA"]
    assert mine.pop("validated") in (True, False)
    assert mine == {
        "sid": sid,
        "customer_name": "Acme (Pty) Ltd",
        "street": "1 Main Road",
        "city": "Cape Town",
        "region": "WC",
        "postal_code": "8001",
        "country": "ZA",
    }


def test_the_address_of_a_country_is_found_by_any_of_its_names(provisioner: TwilioVAPIProvisioner) -> None:
    sid = provisioner.register_address(*LONDON)["address_sid"]

    assert provisioner.get_address_for_country("UK") == sid
    assert provisioner.get_address_for_country("GB") == sid
    assert provisioner.get_address_for_country("ZA") is None
    assert provisioner.last_error is None


@pytest.mark.parametrize("kind", ["error_before", "lost_before", "rate_limit", "unauthorized", "html"])
def test_what_fails_is_answered(script: Script, provisioner: TwilioVAPIProvisioner, kind: str) -> None:
    for operation in ("twilio.address", "twilio.register"):
        script.fault(operation, kind, times=None)

    assert provisioner.register_address(*CAPE_TOWN)["success"] is False
    assert provisioner.last_error is not None
    assert provisioner.list_addresses() == []
    assert provisioner.last_error is not None
    assert provisioner.get_address_for_country("ZA") is None
    assert provisioner.last_error is not None


@pytest.mark.parametrize("kind", ["lost_after", "error_after"])
def test_a_registration_without_an_answer_is_looked_for_before_it_is_made_again(
    script: Script, provisioner: TwilioVAPIProvisioner, kind: str
) -> None:
    script.fault("twilio.register", kind)

    answers = [provisioner.register_address(*CAPE_TOWN) for _ in range(2)]

    assert answers[-1]["success"] is True
    assert len(provisioner.list_addresses()) == 1


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("operation", ["twilio.address", "twilio.register"])
def test_a_script_that_died_while_registering_is_simply_run_again(
    script: Script, provisioner: TwilioVAPIProvisioner, operation: str, before: bool
) -> None:
    script.crash(operation, before=before)
    with pytest.raises(Crash):
        provisioner.register_address(*CAPE_TOWN)
    again = script.after_a_crash()
    script.clock.at_ms += 3_600_000

    answer = again.register_address(*CAPE_TOWN)

    assert answer["success"] is True
    assert [each["sid"] for each in again.list_addresses()] == [answer["address_sid"]]


@pytest.mark.parametrize(
    "given", [("", *CAPE_TOWN[1:]), (*CAPE_TOWN[:5], "Atlantis"), (*CAPE_TOWN[:4], "", "ZA")], ids=str
)
def test_an_address_that_makes_no_sense_is_not_registered(
    script: Script, provisioner: TwilioVAPIProvisioner, given: tuple[str, ...]
) -> None:
    answer = provisioner.register_address(*given)

    assert (answer["success"], list(answer)) == (False, ["success", "error"])
    assert provisioner.list_addresses() == []


def test_prices_are_what_twilio_lists(provisioner: TwilioVAPIProvisioner) -> None:
    answer = provisioner.get_pricing("US")

    assert (answer["country"], answer["currency"]) == ("US", "USD")
    assert answer["prices"]
    for price in answer["prices"]:
        assert list(price) == ["type", "base_price", "current_price"]
        assert float(price["current_price"]) > 0
    assert "local" in [price["type"] for price in answer["prices"]]


@pytest.mark.parametrize("country", ["Atlantis", "", "AQ"])
def test_a_country_without_prices_is_an_error(provisioner: TwilioVAPIProvisioner, country: str) -> None:
    answer = provisioner.get_pricing(country)

    assert list(answer) == ["error"]
    assert answer["error"] == provisioner.last_error


def test_prices_that_cannot_be_had_are_an_error(script: Script, provisioner: TwilioVAPIProvisioner) -> None:
    script.fault("twilio.price", "error_before")

    assert list(provisioner.get_pricing("US")) == ["error"]


def test_everyday_names_are_accepted() -> None:
    assert [COUNTRY_CODES[name] for name in ("UK", "GB", "US", "USA", "ZA", "SOUTH AFRICA")] == [
        *("GB", "GB", "US", "US", "ZA", "ZA"),
    ]
