"""A pretend Vapi: phone number entries and assistants of one organisation.

Shapes follow Vapi's OpenAPI (`fern/apis/api/openapi.json`, 2026-08-20). That document has no error answers; these are
the ones that public client code handles. As at the real one, an answer repeats the Twilio credentials it was given:
whoever stores or logs it whole is caught out. What an import does when the number is there already is a policy.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Protocol

from gateway.integrations.vapi.simulator_rules import PROVIDERS, Record, complaints_about, in_dates, whole

Answer = tuple[int, Any]

_NUMBER = "/phone-number"
_NUMBERS_V2 = "/v2/phone-number"
_ASSISTANT = "/assistant"
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Index(Protocol):
    """Records of a table by a value of theirs."""

    def exact(self, value: str, /) -> list[Record]: ...
    def starting(self, prefix: str, /) -> list[Record]: ...


class Tables(Protocol):
    """Where the world keeps what it knows; a record is assigned anew, never changed in place."""

    def __getitem__(self, name: str, /) -> MutableMapping[str, Record]: ...
    def index(self, name: str, key_of: Callable[[Record], str], /) -> Index: ...


class Route(Protocol):
    """Points a number at URLs, if the credentials own it: `route(number, account, (token, key, secret), urls)`."""

    def __call__(self, number: str, account_sid: str, secrets: tuple[str, ...], urls: Record, /) -> bool: ...


def fault(status: int, message: str | list[str]) -> Answer:
    names = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 409: "Conflict"}
    return status, {"message": message, "error": names.get(status, "Error"), "statusCode": status}


def iso(at_ms: int) -> str:
    moment = datetime.fromtimestamp(at_ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"


class PretendVapi:
    """One organisation. Not thread-safe: the world calls it under its lock."""

    def __init__(
        self,
        *,
        tables: Tables,
        api_key: str,
        base_url: str,
        policies: Mapping[str, Any],
        route: Route,
        new_uuid: Callable[[], str],
        record: Callable[..., None],
    ) -> None:
        """base_url: what an import writes into a number's URLs at Twilio, such as https://api.vapi.ai."""
        self._entries = tables["entries"]
        self._assistants = tables["assistants"]
        self._key = api_key
        self._base_url = base_url.rstrip("/")
        self._policies = policies
        self._route = route
        self._new_uuid = new_uuid
        self._record = record
        self._numbered = tables.index("entries", lambda entry: str(entry["public"].get("number", "")))
        self._named_plus = tables.index("entries", lambda entry: "yes" if "+" in _name(entry["public"]) else "no")
        self._order = max((entry["order"] for entry in self._entries.values()), default=0)
        self._org = "7c2f5d40-0000-4000-8000-000000000001"

    def operation(self, method: str, path: str) -> str | None:
        """`vapi.import`, `vapi.list`, …; None when the path is none of Vapi's."""
        if path == _NUMBER:
            return "vapi.import" if method == "POST" else "vapi.list"
        if path == _NUMBERS_V2:
            return "vapi.list"
        if path.startswith(_NUMBER + "/"):
            return {"PATCH": "vapi.assign", "DELETE": "vapi.delete"}.get(method, "vapi.get")
        if path == _ASSISTANT or path.startswith(_ASSISTANT + "/"):
            return "vapi.assistant"
        return None

    def answer(
        self,
        method: str,
        path: str,
        params: Mapping[str, str],
        body: bytes,
        authorization: str,
        now_ms: int,
        lag_ms: int = 0,
        quirk: str | None = None,
    ) -> Answer:
        """Status and body of one request.

        lag_ms: for how long lists do not show what this request did.
        quirk: `not_found_yet` (the number is not seen at Twilio yet) or `voice_url_unset` (imported, not routed).
        """
        if authorization != f"Bearer {self._key}":
            return fault(401, "Invalid Key. Hot tip, you may be using the private key instead of the public key.")
        given: Any = None
        if method in ("POST", "PATCH"):
            try:
                given = json.loads(body)
            except ValueError:
                given = None
            if not isinstance(given, dict):
                return fault(400, "Unexpected end of JSON input")
        try:
            return self._route_request(method, path, params, given, now_ms, lag_ms, quirk)
        except ValueError:
            return fault(400, ["createdAtGe must be a valid ISO 8601 date string"])

    def _route_request(
        self,
        method: str,
        path: str,
        params: Mapping[str, str],
        given: Any,
        now_ms: int,
        lag_ms: int,
        quirk: str | None,
    ) -> Answer:
        if path.startswith(_ASSISTANT):
            return self._assistant(method, path[len(_ASSISTANT) + 1 :], params, given, now_ms)
        if path == _NUMBERS_V2 and method == "GET":
            return self._search(params, now_ms)
        if path == _NUMBER:
            if method == "GET":
                return self._list(params, now_ms)
            if method == "POST":
                return self._import(given, now_ms, lag_ms, quirk)
        elif path.startswith(_NUMBER + "/"):
            return self._one(method, path[len(_NUMBER) + 1 :], given, now_ms, lag_ms)
        return fault(404, f"Cannot {method} {path}")

    def add_assistant(self, fields: Record, now_ms: int) -> Record:
        """A new assistant; `id` may be given."""
        made = {**fields, "orgId": self._org, "createdAt": iso(now_ms), "updatedAt": iso(now_ms)}
        made.setdefault("id", self._new_uuid())
        self._assistants[made["id"]] = made
        return made

    def put(self, fields: Record, now_ms: int, lag_ms: int = 0) -> Record:
        """Place an entry without any check: somebody else's, or one from before. Lists show it after `lag_ms`."""
        entry = {
            "id": self._new_uuid(),
            "orgId": self._org,
            "provider": "twilio",
            "status": "active",
            "createdAt": iso(now_ms),
            "updatedAt": iso(now_ms),
            **fields,
        }
        self._order += 1
        self._entries[entry["id"]] = {"public": entry, "listed_from_ms": now_ms + lag_ms, "order": self._order}
        return entry

    def remove(self, entry_id: str) -> bool:
        """The entry goes away as when somebody deletes it in Vapi's dashboard."""
        if entry_id not in self._entries:
            return False
        del self._entries[entry_id]
        return True

    def remove_assistant(self, assistant_id: str) -> bool:
        if assistant_id not in self._assistants:
            return False
        del self._assistants[assistant_id]
        return True

    # Phone numbers

    def _visible(self, entries: Iterable[Record], now_ms: int, params: Mapping[str, str]) -> Iterator[Record]:
        """Newest first, as lists show them."""
        for entry in sorted(entries, key=lambda entry: int(entry["order"]), reverse=True):
            if _is_listed(entry, now_ms) and in_dates(entry["public"], params):
                yield entry["public"]

    def _list(self, params: Mapping[str, str], now_ms: int) -> Answer:
        limit = whole(params.get("limit", "100"))
        if limit is None or limit > 1000:
            return fault(400, ["limit must not be greater than 1000"])
        return 200, list(islice(self._visible(self._entries.values(), now_ms, params), limit))

    def _search(self, params: Mapping[str, str], now_ms: int) -> Answer:
        limit, page = whole(params.get("limit", "100")), whole(params.get("page", "1"))
        if limit is None or limit > 1000:
            return fault(400, ["limit must not be greater than 1000"])
        if not page:
            return fault(400, ["page must not be less than 1"])
        text = params.get("search", "").lower()
        if len(text) > 100:
            return fault(400, ["search must be shorter than or equal to 100 characters"])
        perhaps: Iterable[Record] = self._entries.values()
        if text.startswith("+") and text[1:].isdigit():
            by_name = [e for e in self._named_plus.exact("yes") if not e["public"].get("number", "").startswith(text)]
            perhaps = [*self._numbered.starting(text), *by_name]
        shown = self._visible(perhaps, now_ms, params)
        found = [e for e in shown if not text or text in e.get("number", "") or text in _name(e)]
        order = params.get("sortOrder", "DESC")
        if order == "ASC":
            found.reverse()
        pages = math.ceil(len(found) / limit) if limit else 0
        metadata = {
            "itemsPerPage": limit,
            "totalItems": len(found),
            "currentPage": page,
            "totalPages": pages,
            "hasNextPage": page < pages,
            "sortOrder": order,
        }
        return 200, {"results": found[(page - 1) * limit : page * limit], "metadata": metadata}

    def _import(self, given: Record, now_ms: int, lag_ms: int, quirk: str | None) -> Answer:
        wrong = complaints_about(given)
        if given.get("provider") not in PROVIDERS.split(", "):
            wrong.append(f"provider must be one of the following values: {PROVIDERS}")
        wrong += [f"{name} must be a string" for name in ("number", "twilioAccountSid") if not given.get(name)]
        if wrong:
            return fault(400, wrong)
        if given["provider"] != "twilio":
            return fault(400, "Only numbers from Twilio are pretended here")
        number, account = given["number"], given["twilioAccountSid"]
        refused = self._refuse_second(number, account) or self._refuse_assistant(given)
        if refused is not None:
            return refused
        urls = {
            "voice_url": f"{self._base_url}/twilio/inbound_call",
            "voice_method": "POST",
            "status_callback": f"{self._base_url}/twilio/status",
            "status_callback_method": "POST",
        }
        if given.get("smsEnabled", True):
            urls |= {"sms_url": f"{self._base_url}/twilio/sms", "sms_method": "POST"}
        secrets = tuple(given.get(name) or "" for name in ("twilioAuthToken", "twilioApiKey", "twilioApiSecret"))
        routed = {} if quirk == "voice_url_unset" else urls
        if quirk == "not_found_yet" or not self._route(number, account, secrets, routed):
            return fault(400, f"Number Not Found on Twilio. Number: {number}, Account: {account}")
        kept = {name: value for name, value in given.items() if value is not None}
        entry = self.put({"smsEnabled": True, **kept}, now_ms, lag_ms)
        self._record("imported", number=number, id=entry["id"], tag=entry.get("name"))
        return 201, entry

    def _refuse_second(self, number: str, account: str) -> Answer | None:
        there = [e["public"] for e in self._numbered.exact(number) if "deleted_at_ms" not in e]
        policy = self._policies["import_twice"]
        if not there or policy == "allow":
            return None
        if policy == "other_org":
            return fault(400, f"Phone number {number} already in use by another org.")
        message = (
            f"Existing Phone Number {there[0]['id']} Has Identical `twilioAccountSid` {account} and `number` {number}"
        )
        return fault(409 if policy == "conflict" else 400, message)

    def _refuse_assistant(self, given: Record) -> Answer | None:
        wanted = given.get("assistantId")
        if wanted and wanted not in self._assistants:
            return fault(400, f"Couldn't Find Assistant. Assistant {wanted} does not exist.")
        return None

    def _one(self, method: str, entry_id: str, given: Record | None, now_ms: int, lag_ms: int) -> Answer:
        if not _UUID.fullmatch(entry_id):
            return fault(400, "Validation failed (uuid is expected)")
        stored = self._entries.get(entry_id)
        if stored is None or "deleted_at_ms" in stored:
            return fault(404, f"Couldn't Find Phone Number. Phone Number {entry_id} does not exist.")
        entry: Record = stored["public"]
        if method == "GET":
            return 200, entry
        if method == "DELETE":
            self._delete(entry, now_ms, lag_ms)
            return 200, entry
        if method != "PATCH" or given is None:
            return fault(404, f"Cannot {method} {_NUMBER}/{entry_id}")
        wrong = complaints_about(given)
        if given.get("provider") not in (None, entry["provider"]):
            wrong.append("provider cannot be changed")
        if wrong:
            return fault(400, wrong)
        refused = self._refuse_assistant(given)
        if refused is not None:
            return refused
        changed = {name: value for name, value in {**entry, **given}.items() if value is not None}
        changed["updatedAt"] = iso(now_ms)
        self._entries[entry_id] = {**stored, "public": changed}
        self._record("changed", number=entry["number"], id=entry_id, fields=sorted(set(given) - {"provider"}))
        return 200, changed

    def _delete(self, entry: Record, now_ms: int, lag_ms: int) -> None:
        stored = self._entries[entry["id"]]
        del self._entries[entry["id"]]
        if lag_ms:
            gone = {**stored, "deleted_at_ms": now_ms, "listed_until_ms": now_ms + lag_ms}
            self._entries[entry["id"]] = gone
        if self._policies["delete_clears_voice_url"]:
            secrets = tuple(entry.get(n) or "" for n in ("twilioAuthToken", "twilioApiKey", "twilioApiSecret"))
            self._route(entry["number"], entry["twilioAccountSid"], secrets, {"voice_url": "", "status_callback": ""})
        self._record("deleted", number=entry["number"], id=entry["id"], tag=entry.get("name"))

    # Assistants

    def _assistant(
        self, method: str, assistant_id: str, params: Mapping[str, str], given: Record | None, now_ms: int
    ) -> Answer:
        if not assistant_id:
            if method == "POST" and given is not None:
                made = self.add_assistant({k: v for k, v in given.items() if k != "id"}, now_ms)
                self._record("assistant_added", id=made["id"])
                return 201, made
            limit = whole(params.get("limit", "100"))
            if limit is None or limit > 1000:
                return fault(400, ["limit must not be greater than 1000"])
            return 200, [a for a in list(self._assistants.values())[::-1] if in_dates(a, params)][:limit]
        if not _UUID.fullmatch(assistant_id):
            return fault(400, "Validation failed (uuid is expected)")
        assistant = self._assistants.get(assistant_id)
        if assistant is None:
            return fault(404, f"Couldn't Find Assistant. Assistant {assistant_id} does not exist.")
        if method == "PATCH" and given is not None:
            assistant = {**assistant, **given, "id": assistant_id, "updatedAt": iso(now_ms)}
            self._assistants[assistant_id] = assistant
        elif method == "DELETE":
            del self._assistants[assistant_id]
            self._record("assistant_removed", id=assistant_id)
        return 200, assistant


def _name(entry: Record) -> str:
    """What the search compares, beside the number."""
    return str(entry.get("name") or "").lower()


def _is_listed(stored: Record, now_ms: int) -> bool:
    if "deleted_at_ms" in stored:
        return bool(stored["listed_until_ms"] > now_ms)
    return bool(stored["listed_from_ms"] <= now_ms)
