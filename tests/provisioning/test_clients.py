"""A client's phone in one call: how far it came, and that calling again never buys another."""

from __future__ import annotations

import threading

import pytest

from gateway.provisioner import ClientPhoneOnboarding, TwilioVAPIProvisioner, provision_tenant_phone
from gateway.simulator import defaults
from tests.provisioning.scripts import ASSISTANT, Crash, Script

FIELDS = ["success", "phone_number", "twilio_sid", "vapi_id", "steps", "error"]


def test_a_client_gets_a_number_an_entry_and_an_assistant(script: Script, provisioner: TwilioVAPIProvisioner) -> None:
    answer = provisioner.provision_phone_for_tenant("US", "acme", ASSISTANT, area_code="415")

    (number,), (entry,) = script.numbers(), script.entries()
    assert answer == {
        "success": True,
        "phone_number": number["phone_number"],
        "twilio_sid": number["sid"],
        "vapi_id": entry["id"],
        "steps": ["search", "purchase", "import"],
        "error": None,
    }
    assert entry["assistantId"] == ASSISTANT
    assert entry["server"] == {"url": "https://app.example.com/vapi/acme"}
    assert provisioner.provision_phone_for_tenant("US", "acme", ASSISTANT, area_code="415") == answer
    assert len(script.purchases()) == 1


def test_when_nothing_is_found_only_that_is_said(script: Script, provisioner: TwilioVAPIProvisioner) -> None:
    answer = provisioner.provision_phone_for_tenant("US", "acme", ASSISTANT, contains="9999999999")

    assert list(answer) == FIELDS
    assert (answer["success"], answer["steps"], answer["phone_number"]) == (False, [], None)
    assert "Nothing was bought" in str(answer["error"])


def test_after_a_purchase_that_is_refused_only_the_search_was_done(
    script: Script, provisioner: TwilioVAPIProvisioner
) -> None:
    script.fault("twilio.*", "unauthorized", times=None, after_calls=3)

    answer = provisioner.provision_phone_for_tenant("US", "acme", ASSISTANT)

    assert (answer["success"], answer["steps"]) == (False, ["search"])
    assert script.purchases() == []


def test_when_the_import_fails_the_bought_number_is_named_and_used_next_time(
    script: Script, provisioner: TwilioVAPIProvisioner
) -> None:
    script.fault("vapi.import", "unauthorized")

    first = provisioner.provision_phone_for_tenant("US", "acme", ASSISTANT)
    script.clock.at_ms += 61_000
    second = provisioner.provision_phone_for_tenant("US", "acme", ASSISTANT)

    assert (first["success"], first["steps"], first["vapi_id"]) == (False, ["search", "purchase"], None)
    assert first["phone_number"] == script.purchases()[0]
    assert first["twilio_sid"] == script.numbers()[0]["sid"]
    assert (second["success"], second["phone_number"]) == (True, first["phone_number"])
    assert len(script.purchases()) == 1


@pytest.mark.parametrize("operation", ["twilio.buy", "vapi.import", "vapi.assign"])
@pytest.mark.parametrize("kind", ["lost_after", "error_after", "lost_before", "hang", "rate_limit"])
def test_whatever_answer_is_lost_one_number_is_bought(script: Script, operation: str, kind: str) -> None:
    provisioner = script.open(wait_seconds=3600)
    script.fault(operation, kind)

    answer = provisioner.provision_phone_for_tenant("US", "acme", ASSISTANT)

    assert answer["success"] is True
    assert len(script.purchases()) == 1
    assert len(script.entries()) == 1


CALLS = [
    ("vapi.assistant", 1), ("twilio.search", 1), ("twilio.list", 1), ("twilio.list", 3), ("twilio.buy", 1),
    ("vapi.list", 1), ("twilio.fetch", 1), ("vapi.import", 1), ("twilio.fetch", 2), ("vapi.get", 1),
    ("vapi.assign", 1),
]  # fmt: skip


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(("operation", "nth"), CALLS)
def test_a_script_that_died_anywhere_is_simply_run_again(
    script: Script, provisioner: TwilioVAPIProvisioner, operation: str, nth: int, before: bool
) -> None:
    script.crash(operation, before=before, nth=nth)
    with pytest.raises(Crash):
        provisioner.provision_phone_for_tenant("US", "acme", ASSISTANT)

    answer = script.after_a_crash().provision_phone_for_tenant("US", "acme", ASSISTANT)

    assert answer["success"] is True
    assert script.purchases() == [answer["phone_number"]]
    assert [each["id"] for each in script.entries()] == [answer["vapi_id"]]


@pytest.mark.parametrize(
    "given",
    [
        {"client_id": "not a key!"},
        {"client_id": "spare:+14155550123"},
        {"country_code": "Atlantis"},
        {"area_code": "x"},
        {"assistant_id": "no such thing!"},
    ],
    ids=str,
)
def test_arguments_that_make_no_sense_are_answered(
    script: Script, provisioner: TwilioVAPIProvisioner, given: dict[str, str]
) -> None:
    said = {"country_code": "US", "client_id": "acme", "assistant_id": ASSISTANT, **given}

    answer = provisioner.provision_phone_for_tenant(**said)

    assert list(answer) == FIELDS
    assert (answer["success"], answer["steps"]) == (False, [])
    assert answer["error"] == provisioner.last_error
    assert script.purchases() == []


# --- a number that the client chose ----------------------------------------------------------------------------------


def test_exactly_the_chosen_number_is_bought(script: Script, provisioner: TwilioVAPIProvisioner, number: str) -> None:
    answer = provisioner.provision_with_client_selection("acme", ASSISTANT, number)

    assert (answer["success"], answer["phone_number"]) == (True, number)
    assert script.purchases() == [number]


def test_a_chosen_number_that_is_gone_makes_room_for_another_choice(
    script: Script, provisioner: TwilioVAPIProvisioner, number: str
) -> None:
    script.fault("twilio.buy", "taken")
    patient = script.open(wait_seconds=120)

    first = patient.provision_with_client_selection("acme", ASSISTANT, number)
    options = patient.get_available_numbers_for_client("US", "415")
    second = patient.provision_with_client_selection("acme", ASSISTANT, str(options[0]["number"]))

    assert first["success"] is False
    assert number not in [each["number"] for each in options]
    assert (second["success"], second["phone_number"]) == (True, options[0]["number"])


def test_a_chosen_number_that_is_spare_stock_is_given(
    script: Script, provisioner: TwilioVAPIProvisioner, number: str
) -> None:
    provisioner.buy_twilio_number(number)

    answer = provisioner.provision_with_client_selection("acme", ASSISTANT, number)

    assert (answer["success"], answer["phone_number"]) == (True, number)
    assert script.purchases() == [number]


def test_the_three_moments_of_onboarding(script: Script, provisioner: TwilioVAPIProvisioner) -> None:
    onboarding = ClientPhoneOnboarding(provisioner)

    address = onboarding.register_client_address("Acme", "1 Main Road", "Cape Town", "WC", "8001", "ZA")
    options = onboarding.get_number_options("US", "415")
    done = onboarding.complete_phone_setup("acme", ASSISTANT, str(options[0]["number"]))

    assert address["success"] is True
    assert (done["success"], done["phone_number"]) == (True, options[0]["number"])


# --- from the environment --------------------------------------------------------------------------------------------


def test_missing_credentials_are_named() -> None:
    answer = provision_tenant_phone("acme", ASSISTANT, twilio_account_sid=defaults.ACCOUNT_SID)

    assert answer["error"] == "Missing credentials: TWILIO_AUTH_TOKEN, VAPI_API_KEY."
    assert answer["success"] is False


def test_one_call_from_the_environment(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    script.open()
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", defaults.ACCOUNT_SID)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", defaults.AUTH_TOKEN)
    monkeypatch.setenv("VAPI_API_KEY", defaults.VAPI_KEY)

    answer = provision_tenant_phone("acme", ASSISTANT, "US", "415", **script.given())

    assert answer["success"] is True
    assert script.purchases() == [answer["phone_number"]]


def test_credentials_that_cannot_be_are_an_answer() -> None:
    answer = provision_tenant_phone(
        "acme", ASSISTANT, twilio_account_sid="nonsense", twilio_auth_token="t", vapi_api_key="v"
    )

    assert answer["success"] is False
    assert "TWILIO_ACCOUNT_SID" in str(answer["error"])


# --- at the same time ------------------------------------------------------------------------------------------------


def test_two_notebooks_with_the_same_client_get_one_number(script: Script) -> None:
    notebooks = [script.open(wait_seconds=3600) for _ in range(2)]
    gate = threading.Barrier(2)
    answers: list[dict[str, object]] = []

    def run(notebook: TwilioVAPIProvisioner) -> None:
        gate.wait()
        answers.append(notebook.provision_phone_for_tenant("US", "acme", ASSISTANT, area_code="415"))

    threads = [threading.Thread(target=run, args=(notebook,)) for notebook in notebooks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [answer["success"] for answer in answers] == [True, True]
    assert len({answer["phone_number"] for answer in answers}) == 1
    assert len(script.purchases()) == 1
    assert len(script.entries()) == 1
