"""Vapi's phone numbers and assistants. The port `Assistants` in Vapi's dialect.

Paths, fields and answers: Vapi OpenAPI, 2026-08-20. An answer may repeat the Twilio token that Vapi was given, so
only the fields named here are ever decoded. Each method is one attempt (lists: one per page).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec

from gateway.errors import Refused
from gateway.integrations.answers import Operation, doubt, refusal
from gateway.integrations.http import Api, Http, Params, decode, encoded
from gateway.integrations.vapi.complaints import read_complaint
from gateway.ports import OTHER_HOOK, OTHER_TARGET, Answering, Deadline, Entry

ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
MOST_PAGES = 1000
PAGE_ENTRIES = 250


class _Server(msgspec.Struct):
    url: str | None = None


class _Entry(msgspec.Struct, rename="camel"):
    id: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]
    provider: str | None = None
    number: str | None = None
    name: str | None = None
    twilio_account_sid: str | None = None
    assistant_id: str | None = None
    squad_id: str | None = None
    workflow_id: str | None = None
    server: _Server | None = None
    hooks: Any = None
    created_at: str | None = None

    def entry(self) -> Entry:
        return Entry(
            id=self.id,
            number=self.number or "",
            tag=self.name or "",
            account_sid=self.twilio_account_sid,
            answering=Answering(
                assistant_id=OTHER_TARGET if self.squad_id or self.workflow_id else self.assistant_id,
                server_url=(self.server.url or None) if self.server else None,
                says=_spoken(self.hooks),
            ),
            created_at_ms=_epoch_ms(self.created_at),
        )


class _Metadata(msgspec.Struct, rename="camel"):
    current_page: int
    total_items: int
    has_next_page: bool | None = None


class _Page(msgspec.Struct):
    results: list[_Entry]
    metadata: _Metadata


class _Assistant(msgspec.Struct):
    id: str


class VapiClient:
    """One Vapi organisation, and the numbers of one telephony account in it.

    account_sid: entries of other accounts are not ours.   describe: (number, tag) -> the body of an import.
    """

    provider = "vapi"

    def __init__(
        self,
        http: Http,
        *,
        base_url: str,
        api_key: str,
        account_sid: str,
        describe: Callable[[str, str], dict[str, Any]],
    ) -> None:
        self._api = Api(
            http,
            provider=self.provider,
            base_url=base_url,
            headers={"Authorization": f"Bearer {api_key}"},
            complaint=read_complaint,
        )
        self._origin = urlsplit(base_url)[:2]
        self._account_sid = account_sid
        self._describe = describe

    def check_account(self, deadline: Deadline) -> None:
        """Raise unless the credentials work."""
        self._api.read("check_account", "/v2/phone-number?limit=1", deadline, _Page)

    def assistant_exists(self, assistant_id: str, deadline: Deadline) -> bool:
        """Whether Vapi has this assistant; an id that cannot be one is not even asked for."""
        if not ID.fullmatch(assistant_id):
            return False
        try:
            found = self._api.read_or_none("assistant_exists", f"/assistant/{assistant_id}", deadline, _Assistant)
        except Refused as exc:
            # An id in another form than Vapi's is a 400 there.
            if exc.status == 400:
                return False
            raise
        return found is not None and found.id == assistant_id

    def find(self, number: str, deadline: Deadline) -> list[Entry]:
        """Every entry for exactly `number` of our telephony account; Vapi's search alone matches parts."""
        entries = self._list("find", [("search", number), ("limit", "100")], deadline)
        return [entry for entry in entries if entry.number == number and entry.account_sid == self._account_sid]

    def list_all(self, deadline: Deadline) -> list[Entry]:
        """Every entry, all pages; raises when a page fails or the list shrank while it was being read."""
        return self._list("list_all", [("limit", str(PAGE_ENTRIES))], deadline)

    def get(self, entry_id: str, deadline: Deadline) -> Entry | None:
        """One entry; None when Vapi says that it is gone."""
        operation = Operation(self.provider, "get", writes=False)
        record = self._api.read_or_none("get", _path(operation, entry_id), deadline, _Entry)
        return None if record is None else _same(operation, record, entry_id)

    def import_number(self, number: str, tag: str, deadline: Deadline) -> Entry:
        """Make an entry for a number we own, without an assistant. One attempt."""
        operation = Operation(self.provider, "import_number", writes=True)
        body = self._describe(number, tag)
        record = self._api.write("import_number", "POST", "/phone-number", deadline, _Entry, status=201, json=body)
        entry = record.entry()
        if (entry.number, entry.tag, entry.account_sid) != (number, tag, self._account_sid):
            raise doubt(operation, "Vapi answered about another number, name or account", 201)
        return entry

    def assign(self, entry_id: str, answering: Answering, deadline: Deadline) -> Entry:
        """Set assistant, server and spoken sentence to exactly this; gives them as Vapi has them afterwards."""
        operation = Operation(self.provider, "assign", writes=True)
        says = answering.says
        body: dict[str, Any] = {
            # Without it Vapi cannot tell which kind of number is meant (changelog 2025-01-11).
            "provider": "twilio",
            "hooks": [{"on": "call.ringing", "do": [{"type": "say", "exact": says}]}] if says else [],
        }
        # Left out rather than null: the document types both as never null (Vapi OpenAPI, 2026-08-20).
        if answering.assistant_id:
            body["assistantId"] = answering.assistant_id
        if answering.server_url:
            body["server"] = {"url": answering.server_url}
        path = _path(operation, entry_id)
        record = self._api.write("assign", "PATCH", path, deadline, _Entry, status=200, json=body)
        return _same(operation, record, entry_id)

    def rename(self, entry_id: str, tag: str, deadline: Deadline) -> Entry:
        """Set the name and nothing else. Safe to repeat."""
        operation = Operation(self.provider, "rename", writes=True)
        path = _path(operation, entry_id)
        body = {"provider": "twilio", "name": tag}
        record = self._api.write("rename", "PATCH", path, deadline, _Entry, status=200, json=body)
        entry = _same(operation, record, entry_id)
        if entry.tag != tag:
            raise doubt(operation, "Vapi answered about another name", 200)
        return entry

    def remove(self, entry_id: str, deadline: Deadline) -> bool:
        """Delete the entry. True: deleted now; False: Vapi says that it was already gone."""
        operation = Operation(self.provider, "remove", writes=True)
        answer = self._api.delete("remove", _path(operation, entry_id), deadline, status=200)
        if answer is None:
            return False
        _same(operation, decode(operation, answer, _Entry), entry_id)
        return True

    def answers_at(self, voice_url: str | None) -> bool:
        """Whether a number with this voice URL sends its calls to Vapi."""
        try:
            parts = urlsplit(voice_url or "")
        except ValueError:
            return False
        host = parts.hostname or ""
        is_vapi = parts.scheme == "https" and (host == "vapi.ai" or host.endswith(".vapi.ai"))
        return is_vapi or parts[:2] == self._origin

    def _list(self, name: str, params: Params, deadline: Deadline) -> list[Entry]:
        """All pages, oldest first: what is added meanwhile comes at the end, what is removed is noticed."""
        operation = Operation(self.provider, name, writes=False)
        found: dict[str, Entry] = {}
        total = 0
        for number in range(1, MOST_PAGES + 1):
            query = [*params, ("sortBy", "createdAt"), ("sortOrder", "ASC"), ("page", str(number))]
            page = self._api.read(name, f"/v2/phone-number?{encoded(query)}", deadline, _Page)
            if page.metadata.current_page != number or page.metadata.total_items < total:
                raise doubt(operation, "the list changed while it was being read")
            total = page.metadata.total_items
            found.update((record.id, record.entry()) for record in page.results)
            if not found and total:
                raise doubt(operation, "the list says that it has entries, and shows none")
            if not _has_more(page, len(found)):
                return list(found.values())
            if not page.results:
                break
        raise doubt(operation, "the list does not come to an end")


def _path(operation: Operation, entry_id: str) -> str:
    if not ID.fullmatch(entry_id):
        raise refusal(operation, "this is not the id of a Vapi entry; nothing was sent")
    return f"/phone-number/{entry_id}"


def _same(operation: Operation, record: _Entry, entry_id: str) -> Entry:
    if record.id != entry_id:
        raise doubt(operation, "Vapi answered about another entry", 200)
    return record.entry()


def _has_more(page: _Page, found: int) -> bool:
    more = page.metadata.has_next_page
    return found < page.metadata.total_items if more is None else more


def _spoken(hooks: Any) -> str | None:
    """The sentence of our own kind of hook; a marker for any other; None for none."""
    if not hooks:
        return None
    match hooks:
        case [{"on": "call.ringing", "do": [{"type": "say", "exact": str(sentence), **action}], **hook}]:
            # Fields that Vapi adds with nothing in them (`filters: []`) do not make it another hook.
            if sentence and not any(action.values()) and not any(hook.values()):
                return sentence
    return OTHER_HOOK


def _epoch_ms(text: str | None) -> int:
    try:
        return round(datetime.fromisoformat(text or "").timestamp() * 1000)
    except ValueError:
        return 0
