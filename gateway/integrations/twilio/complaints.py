"""What Twilio's error answers mean for us, in our words.

Codes from Twilio's error dictionary (read 2026-04-14). Twilio advises against logic built on single codes, so the
HTTP status decides the class first (`integrations/http.py`); a code only says which kind of refusal it is.
"""

from __future__ import annotations

import msgspec

from gateway.integrations.answers import Answer, Complaint, Operation

NO_NUMBER_IN_AREA_CODE = 21452
NOT_FOUND = 20404

_SENTENCES: dict[int, tuple[str, str]] = {
    20003: ("credentials", "Twilio does not accept the credentials, or the account is suspended"),
    20005: ("credentials", "the Twilio account is not active; it may have run out of money"),
    20006: ("credentials", "Twilio denies this account access"),
    20010: ("credentials", "Twilio has disabled this action for the account"),
    20403: ("credentials", "the Twilio account is suspended or closed"),
    10001: ("credentials", "the Twilio account is not active"),
    21472: ("credentials", "the Twilio account is not active"),
    22300: ("credentials", "Twilio does not let this account buy numbers at present"),
    21421: ("unavailable", "Twilio says that this is not a phone number it can sell"),
    21422: ("unavailable", "the number is not for sale, or no longer"),
    21613: ("address", "this number needs an address on file"),
    21615: ("address", "this number needs an address in its own country on file"),
    21631: ("address", "this number needs an address, and none was shown"),
    21628: ("address_invalid", "Twilio says that this is not a valid address"),
    21629: (
        "address_invalid",
        "Twilio knows this address in another spelling, and suggests one; write it as the post office does",
    ),
    21649: ("bundle", "this number needs an approved regulatory bundle of its own country and type"),
    21650: ("bundle", "this number needs a verified identity document in its regulatory bundle"),
    21651: ("bundle", "a document of the regulatory bundle does not meet this country's rules"),
    10002: ("other", "a trial account cannot do this; upgrade it at Twilio"),
    20008: ("other", "Twilio's test credentials cannot do this; use the live ones"),
    20404: ("other", "Twilio does not know this resource"),
    21404: ("other", "a trial account cannot have another number; upgrade it at Twilio"),
    21451: ("other", "the area code is not valid"),
    21452: ("other", "no number is for sale in this area code"),
    21480: ("other", "the account has as many subaccounts as it may have"),
    22350: ("other", "the number is being ported out and cannot be released"),
    22402: ("other", "Twilio does not allow this in the account's region"),
}


class _Error(msgspec.Struct):
    """`{"code": 21422, "message": …, "more_info": …, "status": 400}`, or RFC 9457 with `code` and `status`."""

    code: int
    status: int | None = None


_decoder = msgspec.json.Decoder(_Error)


def read_complaint(_operation: Operation, answer: Answer) -> Complaint | None:
    """What an answer of 4xx says; None when it is not in Twilio's form."""
    try:
        error = _decoder.decode(answer.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if error.status not in (None, answer.status):
        return None
    kind, sentence = _SENTENCES.get(error.code, ("other", "Twilio refuses this"))
    return Complaint(f"{sentence} (Twilio error {error.code})", kind, error.code, gone=error.code == NOT_FOUND)
