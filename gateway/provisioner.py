"""Numbers at Twilio and Vapi for scripts and notebooks: plain calls, plain answers, and nothing bought twice.

    with TwilioVAPIProvisioner(account_sid, auth_token, vapi_api_key) as provisioner:
        provisioner.provision_phone_for_tenant("US", "acme", assistant_id, area_code="415")

Every call works through the same tables and steps as the gateway, so the one that died half-way, or whose answer was
lost, is simply made again. No call raises for what a provider does or for an argument that makes no sense: the answer
says what happened, and `last_error` keeps it. docs/provisioner.md has all of it.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from gateway import display
from gateway.errors import GatewayError
from gateway.ports import PostalAddress
from gateway.provisioning import clients, entries, numbers, papers
from gateway.provisioning.countries import COUNTRY_CODES, country_of
from gateway.provisioning.desk import Desk
from gateway.provisioning.opening import Given, Outside
from gateway.settings import said_in_process

__all__ = [
    "COUNTRY_CODES",
    "ClientPhoneOnboarding",
    "TwilioVAPIProvisioner",
    "format_phone_display",
    "provision_tenant_phone",
]

Answer = dict[str, Any]
WAIT_SECONDS = 30.0
FROM_ENVIRONMENT = ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "VAPI_API_KEY")


class TwilioVAPIProvisioner:
    """One Twilio account and one Vapi organisation. Any number of threads and processes may use the same database."""

    def __init__(
        self,
        twilio_account_sid: str,
        twilio_auth_token: str,
        vapi_api_key: str,
        *,
        database_url: str | None = None,
        environment: str | None = None,
        twilio_base_url: str | None = None,
        twilio_pricing_base_url: str | None = None,
        twilio_numbers_base_url: str | None = None,
        vapi_base_url: str | None = None,
        vapi_server_url: str | None = None,
        wait_seconds: float = WAIT_SECONDS,
        outside: Outside | None = None,
    ) -> None:
        """database_url: else DATABASE_URL, else `sqlite:///var/provisioner.db`, made when missing.

        environment: the name in the tags of a database of its own, `scripts` unless said; never a gateway's.
        vapi_server_url: template such as `https://app.example.com/vapi/{tenant}`; `{tenant}` becomes the client_id.
        wait_seconds: how long a call waits for a clear answer.   outside: for tests.
        Raises SettingsError, DatabaseRefused or OtherInstallation, each a sentence that says what to do.
        """
        self._desk = Desk(
            Given(
                account_sid=twilio_account_sid,
                auth_token=twilio_auth_token,
                vapi_api_key=vapi_api_key,
                database_url=database_url,
                environment=environment,
                twilio_base_url=twilio_base_url,
                twilio_pricing_base_url=twilio_pricing_base_url,
                twilio_numbers_base_url=twilio_numbers_base_url,
                vapi_base_url=vapi_base_url,
                vapi_server_url=vapi_server_url,
            ),
            outside or Outside(),
            wait_seconds,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"TwilioVAPIProvisioner(environment={self.environment!r})"

    def close(self) -> None:
        """Let go of the database; otherwise that happens when the object is forgotten. Safe to repeat."""
        self._desk.close()

    @property
    def last_error(self) -> str | None:
        """Why the last call did not do what was asked; None when it did."""
        return self._desk.last_error

    @property
    def environment(self) -> str:
        """The name in the tags of its numbers."""
        return self._desk.steps.rules.env

    # --- numbers -----------------------------------------------------------------------------------------------------

    def search_available_numbers(
        self,
        country_code: str,
        area_code: str | None = None,
        contains: str | None = None,
        number_type: str = "local",
        limit: int = 20,
    ) -> list[Answer]:
        """Numbers for sale: `{number, locality, region, country, type, capabilities, address_requirements}`.

        `[]` when there are none, and when the search failed: then `last_error` says why.
        """

        def job() -> list[Answer]:
            found = numbers.search(self._desk, country_code, area_code, contains, number_type, limit)
            return [numbers.as_offer(each) for each in found]

        return self._desk.attempt("search_available_numbers", job, lambda _: [])

    def buy_twilio_number(self, number: str) -> Answer:
        """Buy exactly this number: `{success, sid, phone_number}` or `{success: False, error}`.

        Without a clear answer `{success: False, error, phone_number}`: call again, and it goes on with that number.
        """
        return self._answer("buy_twilio_number", lambda: numbers.buy(self._desk, number, None))

    def buy_twilio_number_with_address(self, number: str, address_sid: str) -> Answer:
        """The same, showing a registered address."""
        return self._answer("buy_twilio_number_with_address", lambda: numbers.buy(self._desk, number, address_sid))

    def list_twilio_numbers(self) -> list[Answer]:
        """Every number of the account: `{sid, number, friendly_name, client_id, whose, vapi_id}`, all pages.

        `[]` on failure too: then `last_error` says why.
        """
        return self._desk.attempt("list_twilio_numbers", lambda: numbers.owned(self._desk), lambda _: [])

    def get_available_numbers_for_client(self, country_code: str, area_code: str | None = None) -> list[Answer]:
        """Numbers to show to a client: `{number, display, locality, capabilities: {voice, sms}}`."""

        def job() -> list[Answer]:
            found = numbers.search(self._desk, country_code, area_code, None, "local", 20)
            return [numbers.as_choice(each) for each in numbers.not_ours(self._desk, found)]

        return self._desk.attempt("get_available_numbers_for_client", job, lambda _: [])

    def format_phone_display(self, number: str) -> str:
        """A number as people write it, see `format_phone_display`."""
        return format_phone_display(number)

    # --- Vapi --------------------------------------------------------------------------------------------------------

    def import_to_vapi(
        self,
        number: str,
        assistant_id: str | None = None,
        client_id: str | None = None,
        name: str | None = None,
    ) -> Answer:
        """Import a number of the account: `{success, vapi_id, …}` or `{success: False, error}`. Safe to repeat.

        client_id: the number is this client's from now on and gets its own server URL.   name: only given back, for at
        Vapi the number bears its tag, by which it is found again.
        """
        return self._answer(
            "import_to_vapi", lambda: entries.import_to_vapi(self._desk, number, assistant_id, client_id, name)
        )

    def assign_vapi_assistant(self, vapi_id: str, assistant_id: str, client_id: str | None = None) -> Answer:
        """Have this assistant answer: `{success, data}` or `{success: False, error}`. Safe to repeat."""
        return self._answer(
            "assign_vapi_assistant", lambda: entries.assign(self._desk, vapi_id, assistant_id, client_id)
        )

    # --- all of it ---------------------------------------------------------------------------------------------------

    def provision_phone_for_tenant(
        self,
        country_code: str,
        client_id: str,
        assistant_id: str,
        area_code: str | None = None,
        contains: str | None = None,
        number_type: str | None = None,
        address_sid: str | None = None,
        bundle_sid: str | None = None,
    ) -> Answer:
        """One number for a client, imported and answered by the assistant.

        `{success, phone_number, twilio_sid, vapi_id, steps, error}`; `steps` lists what was done of `search`,
        `purchase`, `import`. Called again with the same client_id it goes on with the same number.
        """

        def job() -> Answer:
            words = self._desk.words(
                country=country_of(country_code),
                area_code=area_code,
                contains=contains,
                number_type=number_type,
                assistant_id=assistant_id,
                address_sid=address_sid,
                bundle_sid=bundle_sid,
            )
            return clients.provision(self._desk, "provision_phone_for_tenant", client_id, words)[0]

        return self._desk.attempt("provision_phone_for_tenant", job, clients.nothing_done)

    def provision_with_client_selection(
        self,
        client_id: str,
        assistant_id: str,
        selected_number: str,
        address_sid: str | None = None,
        country_code: str = "US",
    ) -> Answer:
        """The same for exactly the number that the client chose. Looks for a registered address when none is given."""
        call = "provision_with_client_selection"

        def job() -> Answer:
            country = country_of(country_code)
            shown = address_sid or papers.address_for(self._desk, country)
            words = self._desk.words(
                phone_number=selected_number, country=country, assistant_id=assistant_id, address_sid=shown
            )
            answer, worked = clients.provision(self._desk, call, client_id, words)
            if shown is None and clients.wants_address(worked):
                answer["error"] = f"No registered address for {country}. {worked.why}"
                self._desk.note(call, str(answer["error"]))
            return answer

        return self._desk.attempt(call, job, clients.nothing_done)

    # --- addresses and prices ----------------------------------------------------------------------------------------

    def register_address(
        self, customer_name: str, street: str, city: str, region: str, postal_code: str, country_code: str
    ) -> Answer:
        """Put an address on file: `{success, address_sid}`. The same address twice is registered once."""

        def job() -> Answer:
            address = PostalAddress(customer_name, street, city, region, postal_code, country_of(country_code))
            return papers.register(self._desk, address)

        return self._answer("register_address", job)

    def list_addresses(self) -> list[Answer]:
        """Every address: `{sid, customer_name, street, city, region, postal_code, country, validated}`."""
        return self._desk.attempt(
            "list_addresses", lambda: [papers.as_record(each) for each in papers.listed(self._desk)], lambda _: []
        )

    def get_address_for_country(self, country_code: str) -> str | None:
        """The SID of an address in this country, or None."""
        return self._desk.attempt(
            "get_address_for_country", lambda: papers.address_for(self._desk, country_code), lambda _: None
        )

    def get_pricing(self, country_code: str) -> Answer:
        """`{country, currency, prices: [{type, base_price, current_price}]}` or `{error}`; prices as text."""
        return self._desk.attempt(
            "get_pricing", lambda: papers.pricing(self._desk, country_code), lambda error: {"error": error}
        )

    def _answer(self, call: str, job: Any) -> Answer:
        answer: Answer = self._desk.attempt(call, job, lambda error: {"success": False, "error": error})
        return answer


class ClientPhoneOnboarding:
    """The three moments of onboarding a client: their address, their choice, their phone."""

    def __init__(self, provisioner: TwilioVAPIProvisioner) -> None:
        self.provisioner = provisioner

    def register_client_address(
        self, customer_name: str, street: str, city: str, region: str, postal_code: str, country_code: str
    ) -> Answer:
        """Where the client is, for countries that want to know it: `{success, address_sid}`."""
        return self.provisioner.register_address(customer_name, street, city, region, postal_code, country_code)

    def get_number_options(self, country_code: str, area_code: str | None = None) -> list[Answer]:
        """What the client may choose from: `{number, display, locality, capabilities}`."""
        return self.provisioner.get_available_numbers_for_client(country_code, area_code)

    def complete_phone_setup(
        self,
        client_id: str,
        assistant_id: str,
        selected_number: str,
        address_sid: str | None = None,
        country_code: str = "US",
    ) -> Answer:
        """Buy what the client chose, and wire it: as `provision_with_client_selection`."""
        return self.provisioner.provision_with_client_selection(
            client_id, assistant_id, selected_number, address_sid, country_code
        )


def provision_tenant_phone(
    client_id: str,
    assistant_id: str,
    country_code: str = "US",
    area_code: str | None = None,
    *,
    twilio_account_sid: str | None = None,
    twilio_auth_token: str | None = None,
    vapi_api_key: str | None = None,
    **more: Any,
) -> Answer:
    """A client's number in one call, with credentials that are given or in the environment (or `.env`).

    more: further arguments of `TwilioVAPIProvisioner`. Answers as `provision_phone_for_tenant`; without credentials
    `{success: False, error}`, which names those that are missing.
    """
    given = dict(zip(FROM_ENVIRONMENT, (twilio_account_sid, twilio_auth_token, vapi_api_key), strict=True))
    known = {name: value or said_in_process(name) or "" for name, value in given.items()}
    missing = [name for name, value in known.items() if not value]
    if missing:
        return clients.nothing_done(f"Missing credentials: {', '.join(missing)}.")
    try:
        provisioner = TwilioVAPIProvisioner(*known.values(), **more)
    except GatewayError as error:
        return clients.nothing_done(str(error))
    with provisioner:
        return provisioner.provision_phone_for_tenant(country_code, client_id, assistant_id, area_code=area_code)


def format_phone_display(number: str) -> str:
    """`+27 12 345 6789`, `+1 (555) 123-4567`, others in their international form; what is no number stays as it is."""
    return display.phone_number(number) if isinstance(number, str) else number
