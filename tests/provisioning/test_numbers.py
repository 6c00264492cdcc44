"""Search, buy, list: what a script is answered, also when a provider fails."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.domain import keys
from gateway.provisioner import TwilioVAPIProvisioner
from tests.provisioning.scripts import Crash, Script

FAILURES = ["error_before", "lost_before", "rate_limit", "html", "truncated", "unauthorized", "hang"]


def test_a_search_gives_what_is_for_sale(provisioner: TwilioVAPIProvisioner) -> None:
    found = provisioner.search_available_numbers("US", area_code="415", limit=3)

    assert len(found) == 3
    assert list(found[0]) == [
        *("number", "locality", "region", "country", "type", "capabilities", "address_requirements"),
    ]
    assert found[0]["number"].startswith("+1415")
    assert (found[0]["country"], found[0]["type"]) == ("US", "local")
    assert found[0]["capabilities"]["voice"] is True
    assert provisioner.last_error is None


def test_a_search_shows_numbers_that_want_an_address(provisioner: TwilioVAPIProvisioner) -> None:
    found = provisioner.search_available_numbers("UK")

    assert {each["country"] for each in found} == {"GB"}
    assert any(each["address_requirements"] != "none" for each in found)


@pytest.mark.parametrize("kind", FAILURES)
def test_a_search_that_fails_is_an_empty_list_and_an_error_that_is_kept(
    script: Script, provisioner: TwilioVAPIProvisioner, kind: str
) -> None:
    script.fault("twilio.search", kind)

    assert provisioner.search_available_numbers("US") == []
    assert provisioner.last_error is not None


def test_an_error_is_forgotten_by_the_next_call(script: Script, provisioner: TwilioVAPIProvisioner) -> None:
    script.fault("twilio.search", "error_before")
    provisioner.search_available_numbers("US")

    assert provisioner.search_available_numbers("US") != []
    assert provisioner.last_error is None


@pytest.mark.parametrize(
    "given",
    [
        {"country_code": "Atlantis"},
        {"country_code": "QQ"},
        {"country_code": "US", "area_code": "1"},
        {"country_code": "DE", "area_code": "415"},
        {"country_code": "US", "contains": "%"},
        {"country_code": "US", "number_type": "carrier pigeon"},
    ],
    ids=str,
)
def test_arguments_that_make_no_sense_are_answered_too(
    script: Script, provisioner: TwilioVAPIProvisioner, given: dict[str, Any]
) -> None:
    assert provisioner.search_available_numbers(**given) == []
    assert provisioner.last_error is not None
    assert script.world.calls().get("twilio.search", 0) == 0


def test_a_number_bought_without_a_client_is_spare_stock_tagged_from_the_number(
    script: Script, provisioner: TwilioVAPIProvisioner, number: str
) -> None:
    answer = provisioner.buy_twilio_number(number)

    (there,) = script.numbers()
    assert answer == {"success": True, "sid": there["sid"], "phone_number": number}
    assert there["tag"] == keys.tag("scripts", f"spare:{number}", 1)
    assert provisioner.buy_twilio_number(number) == answer
    assert script.purchases() == [number]


def test_a_purchase_that_is_refused_says_why(script: Script, provisioner: TwilioVAPIProvisioner, number: str) -> None:
    script.fault("twilio.buy", "taken")

    answer = provisioner.buy_twilio_number(number)

    assert answer == {"success": False, "error": provisioner.last_error}
    assert "Nothing was bought" in str(answer["error"])


def test_a_number_that_makes_no_sense_is_not_bought(script: Script, provisioner: TwilioVAPIProvisioner) -> None:
    for text in ("12", "", "+1415x", "hello"):
        answer = provisioner.buy_twilio_number(text)
        assert (answer["success"], list(answer)) == (False, ["success", "error"])

    assert script.world.calls().get("twilio.buy", 0) == 0


@pytest.mark.parametrize("kind", ["lost_after", "error_after", "truncated", "html", "hang", "twice", "late_effect"])
def test_a_lost_answer_to_a_purchase_is_proved_before_anything_is_said(
    script: Script, provisioner: TwilioVAPIProvisioner, number: str, kind: str
) -> None:
    script.fault("twilio.buy", kind, seconds=2)

    assert provisioner.buy_twilio_number(number)["success"] is True
    assert script.purchases() == [number]


def test_a_purchase_without_a_clear_answer_names_the_number_and_goes_on_later(script: Script) -> None:
    provisioner = script.open(wait_seconds=0)
    number = str(provisioner.search_available_numbers("US", limit=1)[0]["number"])
    script.fault("twilio.buy", "lost_after", lag_seconds=30)

    first = provisioner.buy_twilio_number(number)
    second = script.open(wait_seconds=60).buy_twilio_number(number)

    assert (first["success"], first["phone_number"]) == (False, number)
    assert "not clear" in str(first["error"])
    assert (second["success"], second["phone_number"]) == (True, number)
    assert script.purchases() == [number]


@pytest.mark.parametrize("kind", ["unauthorized", "suspended"])
def test_refused_credentials_are_said_and_buy_nothing(
    script: Script, provisioner: TwilioVAPIProvisioner, number: str, kind: str
) -> None:
    script.fault("twilio.*", kind, times=None)

    answer = provisioner.buy_twilio_number(number)

    assert answer["success"] is False
    assert script.purchases() == []


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(("operation", "nth"), [("twilio.list", 1), ("twilio.list", 3), ("twilio.buy", 1)])
def test_a_script_that_died_is_simply_run_again(
    script: Script, provisioner: TwilioVAPIProvisioner, number: str, operation: str, nth: int, before: bool
) -> None:
    script.crash(operation, before=before, nth=nth)
    with pytest.raises(Crash):
        provisioner.buy_twilio_number(number)

    answer = script.after_a_crash().buy_twilio_number(number)

    assert (answer["success"], answer["phone_number"]) == (True, number)
    assert script.purchases() == [number]


def test_every_number_of_the_account_is_listed_over_all_pages(
    script: Script, provisioner: TwilioVAPIProvisioner, number: str
) -> None:
    provisioner.buy_twilio_number(number)
    script.place(friendly_name="shop", area_code="212", count=510)

    found = provisioner.list_twilio_numbers()

    assert len(found) == 511
    (spare,) = [each for each in found if each["whose"] == "spare"]
    assert (spare["number"], spare["sid"]) == (number, provisioner.buy_twilio_number(number)["sid"])
    assert {each["friendly_name"] for each in found if each["whose"] == "foreign"} == {"shop"}


def test_a_list_that_fails_is_empty_and_says_so(script: Script, provisioner: TwilioVAPIProvisioner) -> None:
    script.fault("twilio.list", "error_before")

    assert provisioner.list_twilio_numbers() == []
    assert provisioner.last_error is not None


def test_numbers_for_a_client_are_shown_as_people_write_them(provisioner: TwilioVAPIProvisioner, number: str) -> None:
    provisioner.buy_twilio_number(number)

    found = provisioner.get_available_numbers_for_client("US", "415")

    assert list(found[0]) == ["number", "display", "locality", "capabilities"]
    assert found[0]["display"].startswith("+1 (415) ")
    assert set(found[0]["capabilities"]) == {"voice", "sms"}
    assert number not in [each["number"] for each in found]


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("+27123456789", "+27 12 345 6789"),
        ("+15551234567", "+1 (555) 123-4567"),
        ("+442071838750", "+44 20 7183 8750"),
        ("+4930123456", "+49 30 123456"),
        ("hello", "hello"),
        ("", ""),
        ("0123", "0123"),
    ],
)
def test_numbers_are_displayed_as_people_write_them(
    provisioner: TwilioVAPIProvisioner, number: str, shown: str
) -> None:
    assert provisioner.format_phone_display(number) == shown
