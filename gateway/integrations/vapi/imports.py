"""How each telephony provider's numbers are described to Vapi, one function a provider.

Fields: Vapi OpenAPI, CreateTwilioPhoneNumberDTO, 2026-08-20.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Describe = Callable[[str, str], dict[str, Any]]


def twilio_import(
    account_sid: str, *, auth_token: str | None = None, api_key: str | None = None, api_secret: str | None = None
) -> Describe:
    """What describes (number, tag) of one Twilio account to Vapi: the account's token, or an API key with its secret.

    smsEnabled is false because its default, true, lets Vapi take over the number's messages at Twilio as well.
    """
    if auth_token:
        secret = {"twilioAuthToken": auth_token}
    elif api_key and api_secret:
        secret = {"twilioApiKey": api_key, "twilioApiSecret": api_secret}
    else:
        raise ValueError("importing needs the Twilio auth token, or an API key with its secret")

    def describe(number: str, tag: str) -> dict[str, Any]:
        return {
            "provider": "twilio",
            "number": number,
            "twilioAccountSid": account_sid,
            **secret,
            "name": tag,
            "smsEnabled": False,
        }

    return describe
