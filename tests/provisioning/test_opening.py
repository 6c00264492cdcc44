"""Which database a script works on and under which name, and what it refuses to begin with."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.domain import keys
from gateway.errors import DatabaseRefused, OtherInstallation, SettingsError
from gateway.provisioner import TwilioVAPIProvisioner
from gateway.simulator import defaults
from gateway.store import installation, tenants
from gateway.store.engines import database_of
from tests import databases
from tests.provisioning.scripts import ASSISTANT, SERVER, Script
from tests.stories.sandbox import Sandbox


@pytest.mark.parametrize(
    ("name", "said"),
    [("twilio_account_sid", ""), ("twilio_auth_token", ""), ("vapi_api_key", "")],
)
def test_without_credentials_there_is_no_provisioner(script: Script, name: str, said: str) -> None:
    with pytest.raises(SettingsError, match=name):
        script.open(**{name: said})


def test_an_account_that_cannot_be_one_is_refused(script: Script) -> None:
    with pytest.raises(SettingsError, match="TWILIO_ACCOUNT_SID"):
        script.open(twilio_account_sid="AC123")


def test_nothing_secret_is_in_what_it_shows_of_itself(script: Script) -> None:
    assert repr(script.open()) == "TwilioVAPIProvisioner(environment='scripts')"


def test_nobody_is_called_before_something_is_asked(script: Script) -> None:
    script.open()

    assert script.world.calls() == {}


@pytest.mark.sqlite_file
def test_without_a_word_the_database_is_a_file_of_its_own(script: Script, place: Path) -> None:
    script.open(database_url=None)

    assert (place / "var" / "provisioner.db").exists()


@pytest.mark.sqlite_file
def test_database_url_of_the_environment_counts_when_none_is_given(
    script: Script, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "sqlite:///var/mine.db")

    script.open(database_url=None)

    assert (place / "var" / "mine.db").exists()


def test_its_own_environment_must_differ_from_the_gateways(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_ENV", "scripts")

    with pytest.raises(SettingsError, match="as GATEWAY_ENV is"):
        script.open()
    assert script.open(environment="notebooks").environment == "notebooks"
    with pytest.raises(OtherInstallation, match="notebooks"):
        script.open(environment="other")


@pytest.mark.parametrize("environment", ["Prod", "a b", "x" * 17])
def test_an_environment_that_cannot_be_a_name_is_refused(script: Script, environment: str) -> None:
    with pytest.raises(SettingsError, match="environment is"):
        script.open(environment=environment)


def test_a_later_script_knows_its_environment_again(script: Script) -> None:
    script.open(environment="notebooks").close()

    assert script.open().environment == "notebooks"


def test_another_account_is_refused(script: Script) -> None:
    script.open().close()

    with pytest.raises(OtherInstallation, match="TWILIO_ACCOUNT_SID"):
        script.open(twilio_account_sid="AC" + "1" * 32)


def test_a_database_of_pretend_numbers_is_never_used_with_the_real_services(script: Script) -> None:
    script.open().close()

    with pytest.raises(SettingsError, match="TWILIO_BASE_URL is the real service"):
        script.open(twilio_base_url="https://api.twilio.com")


@pytest.mark.sqlite_file
def test_a_gateways_database_that_was_never_made_is_not_made_by_a_script(
    script: Script, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "sqlite:///var/gateway.db")
    monkeypatch.setenv("GATEWAY_ENV", "prod")

    with pytest.raises(DatabaseRefused, match="Start the gateway once"):
        script.open(database_url=None)
    assert not (place / "var" / "gateway.db").exists()


# --- on the gateway's own database -----------------------------------------------------------------------------------


@pytest.fixture
def sandbox(place: Path) -> Sandbox:
    return Sandbox(place, {"VAPI_SERVER_URL": SERVER})


@pytest.fixture
def beside(script: Script, sandbox: Sandbox) -> TwilioVAPIProvisioner:
    """A script on the database of a gateway, in the gateway's world."""
    script.clock, script.world = sandbox.clock, sandbox.world
    url = databases.database_url(sandbox.folder)
    return script.open(database_url=url)


def test_on_a_gateways_database_its_clients_are_the_gateways_tenants(
    sandbox: Sandbox, beside: TwilioVAPIProvisioner
) -> None:
    answer = beside.provision_phone_for_tenant("US", "acme", ASSISTANT, area_code="415")

    line = sandbox.export("acme")
    assert answer["success"] is True
    assert (line["state"], line["phone_number"]) == ("active", answer["phone_number"])
    assert sandbox.numbers()[0]["tag"] == keys.tag("dev", "acme", 1)
    assert sandbox.query(lambda tx: tx.one("SELECT subscription_id, source FROM subscriptions")) == {
        "subscription_id": "acme",
        "source": "manual",
    }
    assert beside.environment == "dev"


def test_a_paying_customer_keeps_the_number_that_signed_up(sandbox: Sandbox, beside: TwilioVAPIProvisioner) -> None:
    sandbox.deliver("checkout.completed", "acme", set={"metadata.area_code": "212"})
    sandbox.settle(60)
    number = sandbox.export()["phone_number"]

    answer = beside.provision_phone_for_tenant("US", "acme", ASSISTANT, area_code="415")

    assert (answer["success"], answer["phone_number"]) == (True, number)
    assert len(sandbox.purchases()) == 1


def test_a_signup_gives_a_number_that_was_only_imported_its_assistant(
    sandbox: Sandbox, beside: TwilioVAPIProvisioner
) -> None:
    number = str(beside.search_available_numbers("US", limit=1)[0]["number"])
    beside.buy_twilio_number(number)
    beside.import_to_vapi(number, client_id="acme")

    sandbox.deliver("checkout.completed", "acme")
    sandbox.settle(60)

    assert sandbox.entries()[0]["assistantId"] == defaults.ASSISTANT_ID
    assert sandbox.export()["phone_number"] == number


def test_the_gateway_and_a_script_work_for_one_tenant_at_once_and_buy_once(
    sandbox: Sandbox, beside: TwilioVAPIProvisioner
) -> None:
    sandbox.deliver("checkout.completed", "acme", set={"metadata.area_code": "415"})

    def run_the_script() -> None:
        beside.provision_phone_for_tenant("US", "acme", ASSISTANT)

    sandbox.meanwhile("twilio.search", run_the_script)

    sandbox.settle(60)

    assert len(sandbox.purchases()) == 1
    assert sandbox.export()["state"] == "active"


def test_the_caps_of_the_gateway_hold(script: Script, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_PURCHASES_PER_HOUR", "1")
    script.clock, script.world = sandbox.clock, sandbox.world
    provisioner = script.open(database_url=databases.database_url(sandbox.folder))

    answers = [provisioner.provision_phone_for_tenant("US", key, ASSISTANT) for key in ("acme", "beta")]

    assert [answer["success"] for answer in answers] == [True, False]
    assert "MAX_PURCHASES_PER_HOUR is 1" in str(answers[1]["error"])


def test_a_gateways_database_is_not_brought_up_to_date_by_a_script(script: Script, sandbox: Sandbox) -> None:
    table = "schema_migrations" if databases.is_postgres() else "_sqlite_migrations"
    name = "0004_provider_slots"
    kept = sandbox.query(lambda tx: tx.all(f"SELECT * FROM {table} WHERE name = '{name}'"))[0]
    sandbox.gateway.steps.commit(lambda tx: tx.do(f"DELETE FROM {table} WHERE name = '{name}'"))

    with pytest.raises(DatabaseRefused, match="python -m gateway migrate"):
        script.open(database_url=databases.database_url(sandbox.folder))

    # Another test gets this database.
    into = f"INSERT INTO {table} ({', '.join(kept)}) VALUES ({', '.join(f':{column}' for column in kept)})"
    sandbox.gateway.steps.commit(lambda tx: tx.do(into, **kept))


def test_scripts_of_one_database_know_each_others_clients(script: Script) -> None:
    first = script.open().provision_phone_for_tenant("US", "acme", ASSISTANT)

    settings = script.opened[0]._desk._gateway.settings
    database = database_of(settings.database)
    with database.read() as tx:
        acme = tenants.by_key(tx, "acme")
        assert installation.value(tx, "env") == "scripts"
    database.close()
    assert acme is not None
    assert script.open().list_twilio_numbers()[0]["sid"] == first["twilio_sid"]
