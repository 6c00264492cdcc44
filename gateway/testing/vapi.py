"""What Vapi answers, one call each, for the `responses` library.

Shapes: Vapi's OpenAPI (`fern/apis/api/openapi.json`, 2026-08-20), which has no error answers; these are the ones that
public client code handles. As at the real one, an answer may repeat the Twilio credentials it was given.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from gateway.testing.answers import answer
from gateway.testing.samples import ACCOUNT_SID, Record

if TYPE_CHECKING:
    import responses

ANY_HOST = r"https?://[^/]+"
ENTRIES = rf"{ANY_HOST}/phone-number"
ENTRY = rf"{ANY_HOST}/phone-number/[0-9a-zA-Z-]+"
CREATED = "2026-07-30T23:19:04.000Z"
ORGANISATION = "00000000-0000-4000-8000-0000000000ff"


class VapiResponses:
    """Each gives a `responses.Response` for `add`."""

    @staticmethod
    def import_success(number: str, entry_id: str | None = None, **fields: Any) -> responses.Response:
        """The number is imported. fields: replace any of the entry's own."""
        return answer("POST", ENTRIES, generate_entry(number, entry_id, **fields), 201)

    @staticmethod
    def import_error(message: str = "Number Not Found on Twilio.", status: int = 400) -> responses.Response:
        """The import was refused."""
        return answer("POST", ENTRIES, error_body(message, status), status)

    @staticmethod
    def assign_success(number: str, entry_id: str | None = None, **fields: Any) -> responses.Response:
        """The entry was changed."""
        return answer("PATCH", ENTRY, generate_entry(number, entry_id, **fields), 200)

    @staticmethod
    def assign_error(message: str = "Couldn't Find Assistant.", status: int = 400) -> responses.Response:
        """The change was refused."""
        return answer("PATCH", ENTRY, error_body(message, status), status)


def generate_entry(number: str, entry_id: str | None = None, **fields: Any) -> Record:
    """A number as Vapi answers it; its id is the same for the same number."""
    return {
        "id": entry_id or str(uuid.uuid5(uuid.NAMESPACE_URL, number)),
        "orgId": ORGANISATION,
        "provider": "twilio",
        "number": number,
        "twilioAccountSid": ACCOUNT_SID,
        "createdAt": CREATED,
        "updatedAt": CREATED,
        "status": "active",
        **fields,
    }


def error_body(message: str, status: int) -> Record:
    names = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 409: "Conflict"}
    return {"message": message, "error": names.get(status, "Error"), "statusCode": status}
