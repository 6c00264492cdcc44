"""Countries that want papers: the address that was given or found is shown, and without one nothing is bought."""

from __future__ import annotations

import pytest

from gateway.provisioner import ClientPhoneOnboarding, TwilioVAPIProvisioner
from tests.provisioning.scripts import ASSISTANT, Crash, Script

CAPE_TOWN = ("Acme (Pty) Ltd", "1 Main Road", "Cape Town", "WC", "8001", "ZA")


@pytest.fixture
def number(provisioner: TwilioVAPIProvisioner) -> str:
    """One that wants an address in South Africa's way: anywhere."""
    found = provisioner.search_available_numbers("ZA", limit=1)
    assert found[0]["address_requirements"] != "none"
    return str(found[0]["number"])


def test_a_number_is_bought_with_the_address_that_is_named(
    script: Script, provisioner: TwilioVAPIProvisioner, number: str
) -> None:
    sid = str(provisioner.register_address(*CAPE_TOWN)["address_sid"])

    answer = provisioner.buy_twilio_number_with_address(number, sid)

    assert (answer["success"], answer["phone_number"]) == (True, number)
    assert script.numbers()[0]["address_sid"] == sid


def test_without_an_address_nothing_is_bought_where_one_is_wanted(
    script: Script, provisioner: TwilioVAPIProvisioner, number: str
) -> None:
    answer = provisioner.buy_twilio_number(number)

    assert (answer["success"], list(answer)) == (False, ["success", "error"])
    assert "address" in str(answer["error"])
    assert "spare:" not in str(answer["error"])
    assert script.purchases() == []


@pytest.mark.parametrize("sid", ["AD" + "0" * 32, "nonsense"])
def test_an_address_that_is_not_on_file_buys_nothing(
    script: Script, provisioner: TwilioVAPIProvisioner, number: str, sid: str
) -> None:
    answer = provisioner.buy_twilio_number_with_address(number, sid)

    assert answer["success"] is False
    assert script.purchases() == []


@pytest.mark.parametrize("kind", ["lost_after", "error_after", "lost_before", "hang"])
def test_a_lost_answer_with_an_address_is_proved_too(script: Script, number: str, kind: str) -> None:
    provisioner = script.open(wait_seconds=3600)
    sid = str(provisioner.register_address(*CAPE_TOWN)["address_sid"])
    script.fault("twilio.buy", kind)

    assert provisioner.buy_twilio_number_with_address(number, sid)["success"] is True
    assert script.purchases() == [number]


def test_a_chosen_number_finds_its_address_by_itself(
    script: Script, provisioner: TwilioVAPIProvisioner, number: str
) -> None:
    sid = provisioner.register_address(*CAPE_TOWN)["address_sid"]

    answer = provisioner.provision_with_client_selection("acme", ASSISTANT, number, country_code="ZA")

    assert (answer["success"], answer["phone_number"]) == (True, number)
    assert script.numbers()[0]["address_sid"] == sid


def test_no_registered_address_is_said_and_the_address_given_later_goes_on(
    script: Script, provisioner: TwilioVAPIProvisioner, number: str
) -> None:
    onboarding = ClientPhoneOnboarding(provisioner)

    first = onboarding.complete_phone_setup("acme", ASSISTANT, number, country_code="ZA")
    sid = str(onboarding.register_client_address(*CAPE_TOWN)["address_sid"])
    second = onboarding.complete_phone_setup("acme", ASSISTANT, number, sid, "ZA")

    assert first["success"] is False
    assert str(first["error"]).startswith("No registered address for ZA.")
    assert (second["success"], second["phone_number"]) == (True, number)
    assert script.purchases() == [number]


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_script_that_died_with_an_address_is_simply_run_again(
    script: Script, provisioner: TwilioVAPIProvisioner, number: str, before: bool
) -> None:
    sid = provisioner.register_address(*CAPE_TOWN)["address_sid"]
    script.crash("twilio.buy", before=before)
    with pytest.raises(Crash):
        provisioner.provision_phone_for_tenant("ZA", "acme", ASSISTANT, address_sid=str(sid))

    answer = script.after_a_crash().provision_phone_for_tenant("ZA", "acme", ASSISTANT, address_sid=str(sid))

    assert answer["success"] is True
    assert script.purchases() == [answer["phone_number"]]
    assert script.numbers()[0]["address_sid"] == sid
