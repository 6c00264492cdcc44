"""What Vapi's error answers mean for us, in our words.

Vapi documents no error answer (Vapi OpenAPI, 2026-08-20). Public code shows `{"message": …, "error": "Bad Request",
"statusCode": 400}` with a text or a list of texts, and these messages for an import. The texts are searched for words
and thrown away: an error may quote the Twilio token that we sent.
"""

from __future__ import annotations

import re

import msgspec

from gateway.integrations.answers import Answer, Complaint, Operation

_EXISTS = ("existing phone number", "already in use by another org")
_NOT_AT_TELEPHONY = "number not found on twilio"
_NO_SUCH_ROUTE = re.compile(r"cannot (get|post|patch|delete) /")
_OUR_FIELDS = (
    "assistantId",
    "hooks",
    "name",
    "number",
    "provider",
    "server",
    "smsEnabled",
    "twilioAccountSid",
    "twilioApiKey",
    "twilioApiSecret",
    "twilioAuthToken",
)


class _Error(msgspec.Struct, rename="camel"):
    message: str | list[str]
    status_code: int | None = None


_decoder = msgspec.json.Decoder(_Error)


def read_complaint(operation: Operation, answer: Answer) -> Complaint | None:
    """What an answer of 4xx says; None when it is not in Vapi's form."""
    try:
        error = _decoder.decode(answer.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if error.status_code not in (None, answer.status):
        return None
    text = error.message if isinstance(error.message, str) else "\n".join(error.message)
    if operation.name == "import_number":
        return _import_complaint(answer.status, text)
    if answer.status == 404 and not _NO_SUCH_ROUTE.search(text.lower()):
        return Complaint("Vapi does not know this", gone=True)
    return Complaint(_sentence(text))


def _import_complaint(status: int, text: str) -> Complaint:
    said = text.lower()
    if _NOT_AT_TELEPHONY in said:
        sentence = "Vapi does not see this number at Twilio (bought seconds ago, or in another account)"
        return Complaint(sentence, "not_found_at_telephony")
    if status == 409 or any(words in said for words in _EXISTS):
        return Complaint("Vapi already has this number", "exists", decided=True)
    return Complaint(_sentence(text))


def _sentence(text: str) -> str:
    named = [field for field in _OUR_FIELDS if re.search(rf"\b{field}\b", text)]
    return f"Vapi refuses this; it names {', '.join(named)}" if named else "Vapi refuses this"
