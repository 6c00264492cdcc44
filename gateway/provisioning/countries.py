"""Countries by their codes and by the names people use."""

from __future__ import annotations

import phonenumbers

from gateway.domain.options import COUNTRY_NAMES, as_country
from gateway.errors import OptionsInvalid

EVERYDAY = {
    "SOUTH AFRICA": "ZA",
    "RSA": "ZA",
    "SPAIN": "ES",
    "ITALY": "IT",
    "BRAZIL": "BR",
    "MEXICO": "MX",
    "INDIA": "IN",
    "JAPAN": "JP",
    "NEW ZEALAND": "NZ",
    "SWITZERLAND": "CH",
    "AUSTRIA": "AT",
    "SWEDEN": "SE",
    "POLAND": "PL",
    "PORTUGAL": "PT",
    "BELGIUM": "BE",
    "DENMARK": "DK",
    "NORWAY": "NO",
    "FINLAND": "FI",
    "SINGAPORE": "SG",
    "HONG KONG": "HK",
    "ISRAEL": "IL",
    "KENYA": "KE",
    "NIGERIA": "NG",
    "GHANA": "GH",
}
# Everyday name or ISO 3166 code, in capitals -> ISO code.
COUNTRY_CODES: dict[str, str] = {
    **{code: code for code in sorted(phonenumbers.SUPPORTED_REGIONS)},
    **COUNTRY_NAMES,
    **EVERYDAY,
}


def country_of(said: str) -> str:
    """The ISO code of a country as somebody wrote it. Raises OptionsInvalid for one that nobody knows."""
    text = str(said).strip()
    code = COUNTRY_CODES.get(text.upper()) or as_country("country", text)
    if code not in phonenumbers.SUPPORTED_REGIONS:
        raise OptionsInvalid("country", f"{code} is no country's code: expected two letters such as US, GB or ZA.")
    return code
