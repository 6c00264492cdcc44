"""Numbers and addresses to test with: generated from a seed, so that they are the same every time, and ready lists.

Numbers belong to nobody where such ranges exist: 555-0100 to 555-0199 of every North American area (NANPA), and
Ofcom's numbers for drama in Great Britain. South Africa has no such range; its numbers here only look like numbers.
Shapes as in Twilio's OpenAPI `twilio_api_v2010.json`, 2026-04-14.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

Record = dict[str, Any]
ACCOUNT_SID = "AC" + "0" * 32
CREATED = "Thu, 30 Jul 2026 23:19:04 +0000"


@dataclass(frozen=True, slots=True)
class Place:
    """Where numbers of a country are. prefix: behind it follow `digits` of a range that is nobody's.

    address_requirements: as Twilio says of its numbers.
    """

    country: str
    prefix: str
    first: int
    digits: int
    locality: str
    region: str
    street: str
    postal_code: str
    address_requirements: str


PLACES = {
    "US": Place("US", "+1415555", 100, 4, "San Francisco", "CA", "Market Street", "94103", "none"),
    "GB": Place("GB", "+44207946", 0, 4, "London", "London", "High Street", "EC1A 1BB", "any"),
    "ZA": Place("ZA", "+272155", 10_000, 5, "Cape Town", "Western Cape", "Long Street", "8001", "any"),
}


def place_of(country: str) -> Place:
    """Raises ValueError for a country the kit has no numbers of."""
    if country not in PLACES:
        raise ValueError(f"The test kit has numbers of {', '.join(PLACES)}, and none of {country}.")
    return PLACES[country]


def sid(prefix: str, seed: object) -> str:
    """A SID such as `PN…`: the same for the same seed."""
    return prefix + hashlib.sha256(f"{prefix}:{seed}".encode()).hexdigest()[:32]


def number_of(place: Place, index: int, area_code: str | None = None) -> str:
    prefix = f"+1{area_code}555" if area_code and place.country == "US" else place.prefix
    return f"{prefix}{place.first + index % 100:0{place.digits}d}"


def generate_available_numbers(n: int, country: str = "US", area_code: str | None = None) -> list[Record]:
    """`n` numbers for sale (at most 100), as the search answers them. area_code: of the US only."""
    place = place_of(country)
    if not 0 <= n <= 100:
        raise ValueError("At most 100 numbers of an area belong to nobody.")
    return [available(place, number_of(place, index, area_code)) for index in range(n)]


def available(place: Place, number: str) -> Record:
    return {
        "friendly_name": number,
        "phone_number": number,
        "lata": None,
        "rate_center": None,
        "latitude": None,
        "longitude": None,
        "locality": place.locality,
        "region": place.region,
        "postal_code": place.postal_code,
        "iso_country": place.country,
        "address_requirements": place.address_requirements,
        "beta": False,
        "capabilities": {"voice": True, "SMS": True, "MMS": False, "fax": False},
    }


def generate_twilio_number(
    number: str | None = None,
    friendly_name: str | None = None,
    country: str = "US",
    *,
    index: int = 0,
    account_sid: str = ACCOUNT_SID,
    **fields: Any,
) -> Record:
    """A number of the account, as Twilio answers it. fields: replace any of its own."""
    bought = number or number_of(place_of(country), index)
    number_sid = str(fields.get("sid") or sid("PN", bought))
    return {
        "sid": number_sid,
        "account_sid": account_sid,
        "phone_number": bought,
        "friendly_name": friendly_name or bought,
        "address_requirements": "none",
        "address_sid": None,
        "bundle_sid": None,
        "identity_sid": None,
        "beta": False,
        "capabilities": {"voice": True, "sms": True, "mms": False, "fax": False},
        "date_created": CREATED,
        "date_updated": CREATED,
        "origin": "twilio",
        "status": "in-use",
        "type": "local",
        "api_version": "2010-04-01",
        "voice_url": "",
        "voice_method": "POST",
        "voice_fallback_url": "",
        "voice_fallback_method": "POST",
        "voice_application_sid": None,
        "voice_caller_id_lookup": False,
        "voice_receive_mode": "voice",
        "sms_url": "",
        "sms_method": "POST",
        "sms_fallback_url": "",
        "sms_fallback_method": "POST",
        "sms_application_sid": None,
        "status_callback": "",
        "status_callback_method": "POST",
        "trunk_sid": None,
        "emergency_status": "Inactive",
        "emergency_address_sid": None,
        "emergency_address_status": "unregistered",
        "subresource_uris": {},
        "uri": f"/2010-04-01/Accounts/{account_sid}/IncomingPhoneNumbers/{number_sid}.json",
        **fields,
    }


def generate_address(
    country: str = "US", customer_name: str = "Sunny Garage", *, index: int = 0, **fields: Any
) -> Record:
    """An address on file, as Twilio answers it. fields: replace any of its own."""
    place = place_of(country)
    address_sid = str(fields.get("sid") or sid("AD", f"{country}:{customer_name}:{index}"))
    return {
        "sid": address_sid,
        "account_sid": ACCOUNT_SID,
        "customer_name": customer_name,
        "street": f"{index + 1} {place.street}",
        "street_secondary": None,
        "city": place.locality,
        "region": place.region,
        "postal_code": place.postal_code,
        "iso_country": country,
        "friendly_name": "",
        "emergency_enabled": False,
        "validated": country == "GB",
        "verified": False,
        "date_created": CREATED,
        "date_updated": CREATED,
        "uri": f"/2010-04-01/Accounts/{ACCOUNT_SID}/Addresses/{address_sid}.json",
        **fields,
    }


AVAILABLE_NUMBERS_ZA = generate_available_numbers(5, "ZA")
AVAILABLE_NUMBERS_US = generate_available_numbers(5, "US")
AVAILABLE_NUMBERS_GB = generate_available_numbers(5, "GB")
TWILIO_NUMBERS_ZA = [generate_twilio_number(country="ZA", index=50 + n) for n in range(2)]
TWILIO_NUMBERS_US = [generate_twilio_number(country="US", index=50 + n) for n in range(2)]
TWILIO_NUMBERS_GB = [generate_twilio_number(country="GB", index=50 + n) for n in range(2)]
TWILIO_NUMBERS_LIST = [*TWILIO_NUMBERS_ZA, *TWILIO_NUMBERS_US, *TWILIO_NUMBERS_GB]
ADDRESSES_ZA = [generate_address("ZA")]
ADDRESSES_US = [generate_address("US")]
ADDRESSES_GB = [generate_address("GB")]
ADDRESSES_LIST = [*ADDRESSES_ZA, *ADDRESSES_US, *ADDRESSES_GB]
