"""What the pretend Vapi's validator lets through, and its date filters.

Field names and limits from Vapi's OpenAPI (2026-08-20). That document lets unknown fields pass; the service does not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

Record = dict[str, Any]

PROVIDERS = "byo-phone-number, twilio, vonage, vapi, telnyx"
_FIELDS: dict[str, type | tuple[type, ...]] = {
    "provider": str,
    "number": str,
    "twilioAccountSid": str,
    "twilioAuthToken": str,
    "twilioApiKey": str,
    "twilioApiSecret": str,
    "name": str,
    "assistantId": str,
    "squadId": str,
    "workflowId": str,
    "server": dict,
    "fallbackDestination": dict,
    "hooks": list,
    "smsEnabled": bool,
}
_SERVER_FIELDS = {
    "url",
    "timeoutSeconds",
    "credentialId",
    "headers",
    "staticIpAddressesEnabled",
    "encryptedPaths",
    "backoffPlan",
}
_DATES = re.compile(r"(createdAt|updatedAt)(Gt|Lt|Ge|Le)")


def complaints_about(given: Record) -> list[str]:
    """What is wrong with a body, in the words of the real service's validator."""
    wrong = [f"property {name} should not exist" for name in given if name not in _FIELDS]
    for name, kind in _FIELDS.items():
        value = given.get(name)
        if value is not None and not isinstance(value, kind):
            wrong.append(f"{name} must be a {getattr(kind, '__name__', 'value')}")
    title = given.get("name")
    if isinstance(title, str) and len(title) > 40:
        wrong.append("name must be shorter than or equal to 40 characters")
    server = given.get("server")
    if isinstance(server, dict):
        wrong += [f"server.property {key} should not exist" for key in server if key not in _SERVER_FIELDS]
    hooks = given.get("hooks")
    for hook in hooks if isinstance(hooks, list) else []:
        if not isinstance(hook, dict) or hook.get("on") not in ("call.ringing", "call.ending"):
            wrong.append("hooks.0.on must be one of the following values: call.ringing, call.ending")
            continue
        actions = hook.get("do")
        for action in actions if isinstance(actions, list) else []:
            exact = action.get("exact", "") if isinstance(action, dict) else ""
            if isinstance(exact, str) and len(exact) > 4000:
                wrong.append("hooks.0.do.0.exact must be shorter than or equal to 4000 characters")
    return wrong


def whole(text: str) -> int | None:
    return int(text) if text.isdigit() else None


def in_dates(entry: Record, params: Mapping[str, str]) -> bool:
    for name, asked in params.items():
        named = _DATES.fullmatch(name)
        if named is None:
            continue
        have, want = _moment(entry[named[1]]), _moment(asked)
        held = {"Gt": have > want, "Lt": have < want, "Ge": have >= want, "Le": have <= want}
        if not held[named[2]]:
            return False
    return True


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
