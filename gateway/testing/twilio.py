"""What Twilio answers, one call each, for the `responses` library.

    with responses.RequestsMock() as twilio:
        twilio.add(TwilioResponses.available_numbers(AVAILABLE_NUMBERS_US))
        twilio.add(TwilioResponses.purchase_success("+14155550100"))

Shapes: Twilio OpenAPI `twilio_api_v2010.json` and `twilio_pricing_v1.json`, 2026-04-14; the form of errors: Twilio's
documentation, "Errors", the same day. Addresses are matched by path, whatever the host: a base URL of one's own works.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gateway.testing.answers import answer
from gateway.testing.samples import Record, generate_address, generate_twilio_number

if TYPE_CHECKING:
    import responses

ANY_HOST = r"https?://[^/]+"
ACCOUNT = rf"{ANY_HOST}/2010-04-01/Accounts/AC[0-9a-zA-Z]+"
NUMBERS = rf"{ACCOUNT}/IncomingPhoneNumbers(/(Local|Mobile|TollFree))?\.json"
ADDRESSES = rf"{ACCOUNT}/Addresses\.json"


class TwilioResponses:
    """Each gives a `responses.Response` for `add`."""

    @staticmethod
    def available_numbers(
        numbers: Sequence[Record], country: str = r"[A-Z]{2}", number_type: str = r"[A-Za-z]+"
    ) -> responses.Response:
        """The search: these numbers; an empty list means that none is for sale."""
        url = rf"{ACCOUNT}/AvailablePhoneNumbers/{country}/{number_type}\.json"
        return answer("GET", url, {"available_phone_numbers": list(numbers), "uri": "/"}, 200)

    @staticmethod
    def purchase_success(number: str, friendly_name: str | None = None, **fields: Any) -> responses.Response:
        """The purchase went through. friendly_name: the tag it was asked to bear; fields: replace any of its own."""
        return answer("POST", NUMBERS, generate_twilio_number(number, friendly_name, **fields), 201)

    @staticmethod
    def purchase_error(
        code: int = 21422, message: str = "Phone number is not available.", status: int = 400
    ) -> responses.Response:
        """The purchase was refused: 21422 somebody else has it, 21631 needs an address, 21649 needs a bundle, …"""
        return answer("POST", NUMBERS, error_body(code, message, status), status)

    @staticmethod
    def list_numbers(numbers: Sequence[Record] = (), next_page_uri: str | None = None) -> responses.Response:
        """The numbers of the account, one page."""
        return answer("GET", NUMBERS, page("incoming_phone_numbers", numbers, next_page_uri), 200)

    @staticmethod
    def register_address_success(**fields: Any) -> responses.Response:
        """The address is on file. fields: as of `generate_address`."""
        return answer("POST", ADDRESSES, generate_address(**fields), 201)

    @staticmethod
    def register_address_error(
        code: int = 21628, message: str = "The address is not valid.", status: int = 400
    ) -> responses.Response:
        """The address was refused: 21628 it is not valid, 21629 it is spelt in another way."""
        return answer("POST", ADDRESSES, error_body(code, message, status), status)

    @staticmethod
    def list_addresses(addresses: Sequence[Record] = (), next_page_uri: str | None = None) -> responses.Response:
        """The addresses on file, one page."""
        return answer("GET", ADDRESSES, page("addresses", addresses, next_page_uri), 200)

    @staticmethod
    def pricing_info(
        country: str = "US",
        country_name: str = "United States",
        currency: str = "USD",
        prices: Sequence[tuple[str, str, str]] = (("local", "1.15", "1.15"), ("toll free", "2.15", "2.15")),
    ) -> responses.Response:
        """What numbers cost a month. prices: (type as Twilio writes it, base price, current price)."""
        listed = [
            {"number_type": kind, "base_price": base, "current_price": current} for kind, base, current in prices
        ]
        url = f"https://pricing.twilio.com/v1/PhoneNumbers/Countries/{country}"
        body = {
            "country": country_name,
            "iso_country": country,
            "phone_number_prices": listed,
            "price_unit": currency,
            "url": url,
        }
        return answer("GET", rf"{ANY_HOST}/v1/PhoneNumbers/Countries/{country}", body, 200)


def error_body(code: int, message: str, status: int) -> Record:
    more = f"https://www.twilio.com/docs/errors/{code}"
    return {"code": code, "message": message, "more_info": more, "status": status}


def page(key: str, records: Sequence[Record], next_page_uri: str | None) -> Record:
    return {
        key: list(records),
        "page": 0,
        "page_size": 50,
        "start": 0,
        "end": max(0, len(records) - 1),
        "uri": "/",
        "first_page_uri": "/",
        "next_page_uri": next_page_uri,
        "previous_page_uri": None,
    }
