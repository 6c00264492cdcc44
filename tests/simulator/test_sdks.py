"""The vendors' own Python packages drive the pretend world over a real socket, and understand every answer.

Vapi's assistants are left out: importing that part of its package takes 20 seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx
import pytest
from twilio.base.exceptions import TwilioException, TwilioRestException  # type: ignore[import-untyped]
from twilio.http.http_client import TwilioHttpClient  # type: ignore[import-untyped]
from twilio.rest import Client  # type: ignore[import-untyped]
from vapi import Vapi
from vapi.core.api_error import ApiError
from vapi.phone_numbers.types.create_phone_numbers_request import CreatePhoneNumbersRequest_Twilio
from vapi.phone_numbers.types.update_phone_numbers_request_body import UpdatePhoneNumbersRequestBody_Twilio

from gateway.simulator import defaults
from gateway.simulator.server import Server
from gateway.simulator.world import World
from tests.simulator.pretend import NUMBER, TAG

# Vapi's package asks pydantic for things under their old names.
pytestmark = [pytest.mark.sockets, pytest.mark.filterwarnings("ignore:The `__fields__` attribute")]
ONCE: Any = {"max_retries": 0, "timeout_in_seconds": 5}


@pytest.fixture
def server(world: World) -> Iterator[Server]:
    started = Server(world).start()
    yield started
    started.shutdown()
    started.server_close()


class Redirected(TwilioHttpClient):  # type: ignore[misc]
    """The package's own client, every host of Twilio's being the world."""

    def __init__(self, url: str) -> None:
        super().__init__(timeout=5)
        self.url = url
        self.session.trust_env = False

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        path = url.split("/", 3)[3]
        return super().request(method, f"{self.url}/{path}", *args, **kwargs)


@pytest.fixture
def twilio(server: Server) -> Client:
    return Client(defaults.ACCOUNT_SID, defaults.AUTH_TOKEN, http_client=Redirected(server.url))


@pytest.fixture
def vapi(server: Server) -> Iterator[Vapi]:
    with httpx.Client(trust_env=False) as http:
        yield Vapi(token=defaults.VAPI_KEY, base_url=server.url, httpx_client=http)


def importing(number: str = NUMBER) -> CreatePhoneNumbersRequest_Twilio:
    return CreatePhoneNumbersRequest_Twilio(
        number=number,
        twilio_account_sid=defaults.ACCOUNT_SID,
        twilio_auth_token=defaults.AUTH_TOKEN,
        name=TAG,
    )


def test_twilio_searches_buys_finds_changes_and_releases(twilio: Client) -> None:
    offers = twilio.available_phone_numbers("US").local.list(area_code=415, voice_enabled=True, limit=5)
    number = offers[0].phone_number
    assert number is not None
    assert number.startswith("+1415")

    bought = twilio.incoming_phone_numbers.create(phone_number=number, friendly_name=TAG)
    by_tag = twilio.incoming_phone_numbers.list(friendly_name=TAG)
    by_number = twilio.incoming_phone_numbers.list(phone_number=number)
    fetched = twilio.incoming_phone_numbers(str(bought.sid)).fetch()
    changed = twilio.incoming_phone_numbers(str(bought.sid)).update(voice_url="https://example.com/voice")
    deleted = twilio.incoming_phone_numbers(str(bought.sid)).delete()

    assert [one.sid for one in by_tag] == [one.sid for one in by_number] == [bought.sid] == [fetched.sid]
    assert bought.date_created == datetime(2026, 11, 22, 9, 56, 9, tzinfo=UTC)
    assert bought.capabilities["voice"] in (True, False)
    assert changed.voice_url == "https://example.com/voice"
    assert deleted is True
    assert twilio.incoming_phone_numbers.list() == []


def test_twilio_reads_the_list_page_by_page(twilio: Client) -> None:
    for last in range(7):
        twilio.incoming_phone_numbers.create(phone_number=f"+1415555010{last}")

    listed = twilio.incoming_phone_numbers.list(page_size=3)

    assert [str(one.phone_number)[-1] for one in listed] == ["6", "5", "4", "3", "2", "1", "0"]


def test_twilio_reads_papers_page_by_page(twilio: Client, world: World) -> None:
    for last in range(3):
        world.change(partial(world.twilio.papers.add_bundle, {"friendly_name": str(last)}))
        twilio.addresses.create(
            customer_name=str(last), street="1 Main", city="Durban", region="KZN", postal_code="1", iso_country="ZA"
        )
    compliance = twilio.numbers.v2.regulatory_compliance

    addresses = twilio.addresses.list(page_size=2)
    bundles = compliance.bundles.list(iso_country="GB", page_size=2)
    regulations = compliance.regulations.list(page_size=4)
    countries = twilio.pricing.v1.phone_numbers.countries.list(page_size=5)

    assert [address.customer_name for address in addresses] == ["2", "1", "0"]
    assert [bundle.friendly_name for bundle in bundles] == ["0", "1", "2"]
    assert len({regulation.sid for regulation in regulations}) == len(regulations) > 8
    assert len({country.iso_country for country in countries}) == len(countries) > 10
    assert compliance.regulations(str(regulations[0].sid)).fetch().iso_country == regulations[0].iso_country


def test_twilio_raises_for_an_address_that_is_none(twilio: Client) -> None:
    address = {"customer_name": "A", "city": "Berlin", "region": "BE", "iso_country": "DE"}
    with pytest.raises(TwilioRestException) as invalid:
        twilio.addresses.create(street="1 Main", postal_code="x", **address)
    with pytest.raises(TwilioRestException) as suggested:
        twilio.addresses.create(street="Lange Str. 1", postal_code="10115", auto_correct_address=False, **address)

    assert (invalid.value.code, suggested.value.code) == (21628, 21629)


def test_twilio_understands_the_rest(twilio: Client, world: World) -> None:
    account = twilio.api.accounts(defaults.ACCOUNT_SID).fetch()
    price = twilio.pricing.v1.phone_numbers.countries("US").fetch()
    countries = twilio.pricing.v1.phone_numbers.countries.list()
    address = twilio.addresses.create(
        customer_name="Acme", street="1 Main", city="Berlin", region="BE", postal_code="10115", iso_country="DE"
    )
    world.change(lambda now_ms: world.twilio.papers.add_bundle({"iso_country": "DE"}, now_ms))
    bundles = twilio.numbers.v2.regulatory_compliance.bundles.list(iso_country="DE")

    assert account.status == "active"
    assert price.phone_number_prices[0]["number_type"] == "local"
    assert len(countries) > 4
    assert [one.sid for one in twilio.addresses.list(iso_country="DE")] == [address.sid]
    assert [bundle.status for bundle in bundles] == ["twilio-approved"]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"phone_number": "+14155559999"}, (400, 21422)),
        ({"phone_number": "hello"}, (400, 21421)),
        ({"area_code": "907"}, (400, 21452)),
    ],
    ids=["not available", "invalid", "none in the area"],
)
def test_twilio_raises_the_pretend_error(twilio: Client, params: dict[str, str], expected: tuple[int, int]) -> None:
    with pytest.raises(TwilioRestException) as caught:
        twilio.incoming_phone_numbers.create(**params)

    assert (caught.value.status, caught.value.code) == expected


def test_twilio_raises_for_papers_that_are_missing(twilio: Client) -> None:
    codes = []
    for country in ("ZA", "GB"):
        number = twilio.available_phone_numbers(country).local.list(limit=1)[0].phone_number
        with pytest.raises(TwilioRestException) as caught:
            twilio.incoming_phone_numbers.create(phone_number=str(number))
        codes.append(caught.value.code)
    address = twilio.addresses.create(
        customer_name="Acme", street="1 Main", city="London", region="LDN", postal_code="N1 9GU", iso_country="GB"
    )
    with pytest.raises(TwilioRestException) as caught:
        twilio.incoming_phone_numbers.create(phone_number=str(number), address_sid=str(address.sid))

    assert codes == [21631, 21631]
    assert caught.value.code == 21649


def test_twilio_raises_for_a_sid_that_is_gone_a_wrong_token_and_a_rate_limit(
    twilio: Client, server: Server, world: World
) -> None:
    stranger = Client(defaults.ACCOUNT_SID, "wrong", http_client=Redirected(server.url))
    world.add_fault({"operation": "twilio.buy", "kind": "rate_limit", "after_calls": 1})

    with pytest.raises(TwilioRestException) as gone:
        twilio.incoming_phone_numbers("PN" + "0" * 32).fetch()
    with pytest.raises(TwilioRestException) as refused:
        stranger.incoming_phone_numbers.create(phone_number=NUMBER)
    with pytest.raises(TwilioException):
        stranger.incoming_phone_numbers.list()
    with pytest.raises(TwilioRestException) as limited:
        twilio.incoming_phone_numbers.create(phone_number=NUMBER)

    assert [(e.value.status, e.value.code) for e in (gone, refused, limited)] == [
        (404, 20404),
        (401, 20003),
        (429, 20429),
    ]


def test_vapi_imports_finds_assigns_and_deletes(vapi: Vapi, twilio: Client) -> None:
    bought = twilio.incoming_phone_numbers.create(phone_number=NUMBER, friendly_name=TAG)

    made: Any = vapi.phone_numbers.create(request=importing(), request_options=ONCE)
    listed: Any = vapi.phone_numbers.list(request_options=ONCE)
    found: Any = vapi.phone_numbers.phone_number_controller_find_all_paginated(search=NUMBER, request_options=ONCE)
    changed: Any = vapi.phone_numbers.update(
        made.id,
        request=UpdatePhoneNumbersRequestBody_Twilio(assistant_id=defaults.ASSISTANT_ID),
        request_options=ONCE,
    )
    fetched: Any = vapi.phone_numbers.get(made.id, request_options=ONCE)
    deleted: Any = vapi.phone_numbers.delete(made.id, request_options=ONCE)

    assert (made.number, made.name, made.provider) == (NUMBER, TAG, "twilio")
    assert [one.id for one in listed] == [one.id for one in found.results] == [made.id] == [deleted.id]
    assert found.metadata.total_items == 1
    assert changed.assistant_id == fetched.assistant_id == defaults.ASSISTANT_ID
    voice_url = twilio.incoming_phone_numbers(str(bought.sid)).fetch().voice_url
    assert voice_url == "https://api.vapi.ai/twilio/inbound_call"


def test_vapi_raises_what_the_pretend_one_refuses(vapi: Vapi, twilio: Client) -> None:
    with pytest.raises(ApiError) as unknown:
        vapi.phone_numbers.create(request=importing(), request_options=ONCE)
    twilio.incoming_phone_numbers.create(phone_number=NUMBER)
    made: Any = vapi.phone_numbers.create(request=importing(), request_options=ONCE)
    with pytest.raises(ApiError) as twice:
        vapi.phone_numbers.create(request=importing(), request_options=ONCE)

    assert (unknown.value.status_code, twice.value.status_code) == (400, 400)
    assert made.id in twice.value.body["message"]
    assert twice.value.body["statusCode"] == 400


def test_vapi_repeats_a_post_by_itself_which_is_why_we_do_not_use_it(vapi: Vapi, twilio: Client, world: World) -> None:
    twilio.incoming_phone_numbers.create(phone_number=NUMBER)
    world.add_fault({"operation": "vapi.import", "kind": "error_after", "status": 503})
    world.set_policies({"import_twice": "allow"})

    vapi.phone_numbers.create(request=importing())

    assert len(world.state()["entries"]) == 2
