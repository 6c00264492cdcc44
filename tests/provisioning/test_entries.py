"""Importing and assigning: number, entry and client are tied together, whatever happens on the way."""

from __future__ import annotations

import pytest

from gateway.domain import keys
from gateway.provisioner import TwilioVAPIProvisioner
from tests.provisioning.scripts import ASSISTANT, OTHER_ASSISTANT, Crash, Script


def test_an_imported_number_without_anything_else_has_no_assistant(
    script: Script, provisioner: TwilioVAPIProvisioner, number: str
) -> None:
    provisioner.buy_twilio_number(number)

    answer = provisioner.import_to_vapi(number)

    (entry,) = script.entries()
    assert (answer["success"], answer["vapi_id"]) == (True, entry["id"])
    assert entry["number"] == number
    assert not {"assistantId", "server"} & set(entry)
    assert provisioner.import_to_vapi(number) == answer
    assert len(script.entries()) == 1


def test_a_client_gives_the_number_its_own_server_url(
    script: Script, provisioner: TwilioVAPIProvisioner, number: str
) -> None:
    provisioner.buy_twilio_number(number)

    answer = provisioner.import_to_vapi(number, client_id="acme")

    (entry,) = script.entries()
    assert answer["client_id"] == "acme"
    assert entry["server"] == {"url": "https://app.example.com/vapi/acme"}
    assert "assistantId" not in entry
    assert script.numbers()[0]["tag"] == entry["name"] == keys.tag("scripts", "acme", 1)
    assert script.purchases() == [number]


def test_an_assistant_answers_from_the_start(script: Script, provisioner: TwilioVAPIProvisioner, number: str) -> None:
    provisioner.buy_twilio_number(number)

    assert provisioner.import_to_vapi(number, ASSISTANT, "acme", name="Acme")["name"] == "Acme"

    assert script.entries()[0]["assistantId"] == ASSISTANT
    assert provisioner.list_twilio_numbers()[0]["client_id"] == "acme"


def test_a_number_that_was_bought_by_other_means_is_taken_over_and_not_bought(
    script: Script, provisioner: TwilioVAPIProvisioner
) -> None:
    script.place(phone_number="+14155550100", friendly_name="Old shop")

    answer = provisioner.import_to_vapi("+14155550100", client_id="shop")

    assert answer["success"] is True
    assert script.numbers()[0]["tag"] == keys.tag("scripts", "shop", 1)
    assert script.purchases() == []


@pytest.mark.parametrize("text", ["+14155550199", "nonsense", ""])
def test_a_number_that_is_not_there_is_not_bought(
    script: Script, provisioner: TwilioVAPIProvisioner, text: str
) -> None:
    answer = provisioner.import_to_vapi(text, client_id="acme")

    assert answer["success"] is False
    assert answer["error"] == provisioner.last_error
    assert script.purchases() == []
    assert script.entries() == []


def test_another_installations_number_is_left_alone(script: Script, provisioner: TwilioVAPIProvisioner) -> None:
    script.place(phone_number="+14155550100", friendly_name="rf:prod:0123456789abcdef:1")

    answer = provisioner.import_to_vapi("+14155550100", client_id="acme")

    assert answer["success"] is False
    assert script.numbers()[0]["tag"] == "rf:prod:0123456789abcdef:1"


def test_another_clients_number_stays_that_clients(
    script: Script, provisioner: TwilioVAPIProvisioner, number: str
) -> None:
    provisioner.buy_twilio_number(number)
    provisioner.import_to_vapi(number, client_id="acme")

    answer = provisioner.import_to_vapi(number, client_id="beta")

    assert answer == {"success": False, "error": f"{number} is acme's. Nothing was changed."}


@pytest.mark.parametrize("kind", ["lost_after", "error_after", "lost_before", "error_before", "rate_limit", "twice"])
def test_an_import_without_an_answer_ends_as_one_entry(script: Script, number: str, kind: str) -> None:
    provisioner = script.open(wait_seconds=3600)
    provisioner.buy_twilio_number(number)
    script.fault("vapi.import", kind)

    assert provisioner.import_to_vapi(number, ASSISTANT, "acme")["success"] is True
    assert len(script.entries()) == 1


def test_an_import_that_stays_unclear_says_so_and_goes_on_when_asked_again(script: Script, number: str) -> None:
    provisioner = script.open(wait_seconds=5)
    provisioner.buy_twilio_number(number)
    script.fault("vapi.import", "error_before")

    first = provisioner.import_to_vapi(number, ASSISTANT, "acme")
    second = script.open(wait_seconds=3600).import_to_vapi(number, ASSISTANT, "acme")

    assert (first["success"], first["phone_number"]) == (False, number)
    assert second["success"] is True
    assert len(script.entries()) == 1


def test_refused_credentials_at_vapi_are_said(script: Script, provisioner: TwilioVAPIProvisioner, number: str) -> None:
    provisioner.buy_twilio_number(number)
    script.fault("vapi.*", "unauthorized", times=None)

    answer = provisioner.import_to_vapi(number, ASSISTANT, "acme")

    assert answer["success"] is False
    assert "credentials" in str(answer["error"])


def test_an_assistant_is_assigned_and_assigned_anew(
    script: Script, provisioner: TwilioVAPIProvisioner, number: str
) -> None:
    provisioner.buy_twilio_number(number)
    vapi_id = str(provisioner.import_to_vapi(number)["vapi_id"])

    first = provisioner.assign_vapi_assistant(vapi_id, ASSISTANT)
    second = provisioner.assign_vapi_assistant(vapi_id, OTHER_ASSISTANT, client_id="acme")

    assert first["success"] is True
    assert first["data"]["assistantId"] == ASSISTANT
    assert second["data"] == {
        "id": vapi_id,
        "number": number,
        "name": keys.tag("scripts", "acme", 1),
        "assistantId": OTHER_ASSISTANT,
        "server": {"url": "https://app.example.com/vapi/acme"},
    }
    assert script.entries()[0]["assistantId"] == OTHER_ASSISTANT


def test_an_assistant_that_does_not_exist_is_not_assigned(
    script: Script, provisioner: TwilioVAPIProvisioner, number: str
) -> None:
    provisioner.buy_twilio_number(number)
    vapi_id = str(provisioner.import_to_vapi(number)["vapi_id"])

    answer = provisioner.assign_vapi_assistant(vapi_id, "a5515700-0000-4000-8000-00000000dead")

    assert answer["success"] is False
    assert "no assistant" in str(answer["error"])
    assert "assistantId" not in script.entries()[0]


@pytest.mark.parametrize("vapi_id", ["a5515700-0000-4000-8000-00000000dead", "", "no such thing!"])
def test_an_entry_that_does_not_exist_is_an_answer(provisioner: TwilioVAPIProvisioner, vapi_id: str) -> None:
    assert provisioner.assign_vapi_assistant(vapi_id, ASSISTANT)["success"] is False


@pytest.mark.parametrize("kind", ["lost_after", "error_after", "lost_before", "rate_limit"])
def test_an_assignment_without_an_answer_is_looked_at_and_made_again(
    script: Script, provisioner: TwilioVAPIProvisioner, number: str, kind: str
) -> None:
    provisioner.buy_twilio_number(number)
    vapi_id = str(provisioner.import_to_vapi(number)["vapi_id"])
    script.fault("vapi.assign", kind)

    assert provisioner.assign_vapi_assistant(vapi_id, ASSISTANT)["success"] is True
    assert script.entries()[0]["assistantId"] == ASSISTANT


CALLS = [
    ("twilio.update", 1), ("twilio.fetch", 1), ("twilio.fetch", 2), ("vapi.list", 1), ("vapi.list", 2),
    ("vapi.import", 1), ("vapi.get", 1), ("vapi.assign", 1),
]  # fmt: skip


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(("operation", "nth"), CALLS)
@pytest.mark.parametrize("is_foreign", [False, True], ids=["bought", "foreign"])
def test_a_script_that_died_while_importing_is_simply_run_again(
    script: Script, provisioner: TwilioVAPIProvisioner, operation: str, nth: int, before: bool, is_foreign: bool
) -> None:
    number = "+14155550100"
    if is_foreign:
        script.place(phone_number=number, friendly_name="Old shop")
    else:
        number = str(provisioner.search_available_numbers("US", limit=1)[0]["number"])
        provisioner.buy_twilio_number(number)
    script.crash(operation, before=before, nth=nth)
    try:
        provisioner.import_to_vapi(number, ASSISTANT, "acme")
    except Crash:
        provisioner = script.after_a_crash()

    answer = provisioner.import_to_vapi(number, ASSISTANT, "acme")

    assert answer["success"] is True, answer
    assert [each["tag"] for each in script.numbers()] == [keys.tag("scripts", "acme", 1)]
    assert [each["id"] for each in script.entries()] == [answer["vapi_id"]]
    assert len(script.purchases()) == (0 if is_foreign else 1)
