"""What a number says of itself: its country and kind, where nobody said so when it was bought by hand.

Only used to know which papers a purchase may have to show; what the provider says of a number goes first.
"""

from __future__ import annotations

import phonenumbers

KINDS = {
    phonenumbers.PhoneNumberType.MOBILE: "mobile",
    phonenumbers.PhoneNumberType.TOLL_FREE: "toll_free",
    phonenumbers.PhoneNumberType.UAN: "national",
    phonenumbers.PhoneNumberType.VOIP: "national",
}


def kind_of(number: str) -> dict[str, str]:
    """Options `country` and `number_type` of a number in E.164 form; what cannot be told is left out."""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return {}
    country = phonenumbers.region_code_for_number(parsed)
    if country is None or not country.isalpha():
        return {}
    kind = KINDS.get(phonenumbers.number_type(parsed), "local")
    return {"country": country, "number_type": kind}
