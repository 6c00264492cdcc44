"""A fast stand-in for Twilio and Vapi: just enough state for a tenant to become active, and a count of every call.

It is not the project's simulator: that one is faithful, this one is quick, so that it never is what limits a run.
A program of its own without dependencies (`python bench/standin.py PORT`; uvloop is used when installed), shared by
the gateway and the peers. Paths and fields: Twilio OpenAPI twilio_api_v2010.json, 2026-04-14, and Vapi OpenAPI,
2026-08-20.

Besides the providers' own paths:
    POST /stand-in/reset?delay_ms=N&hang=0|1&keep=0|1   forget all calls (keep=1: but not the numbers); from now on
                                                        answer after N ms, or never
    GET  /stand-in/report                               calls by operation, those open now, when each began and ended
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

Answer = tuple[int, dict[str, Any] | list[Any] | None]
Fields = dict[str, Any]
INBOUND_URL = "https://api.vapi.ai/twilio/inbound_call"
REASONS = {200: "OK", 201: "Created", 204: "No Content", 404: "Not Found"}
SEARCH_PAGE = 20


class World:
    """Numbers and entries, by their ids and by number."""

    def __init__(self) -> None:
        self.delay_s = 0.0
        self.hangs = False
        self.operations: Counter[str] = Counter()
        self.spans: list[tuple[float, float]] = []
        self.open = 0
        self.next_number = 2_000_000
        self.numbers: dict[str, Fields] = {}
        self.by_number: dict[str, Fields] = {}
        self.by_tag: dict[str, list[Fields]] = {}
        self.entries: dict[str, Fields] = {}
        self.entry_of: dict[str, Fields] = {}

    # Twilio

    def account(self, sid: str) -> Answer:
        return 200, {"sid": sid, "status": "active", "type": "Full", "friendly_name": "bench"}

    def search(self, country: str, query: Fields) -> Answer:
        wanted = min(int(query.get("PageSize") or SEARCH_PAGE), SEARCH_PAGE)
        area = query.get("AreaCode") or "415"
        first, self.next_number = self.next_number, self.next_number + wanted
        found = [
            {
                "friendly_name": f"({area}) {n}", "phone_number": f"+1{area}{n:07d}", "lata": "722",
                "rate_center": "SNFC", "locality": "San Francisco", "region": "CA", "postal_code": "94105",
                "latitude": "37.78", "longitude": "-122.41", "iso_country": country, "address_requirements": "none",
                "beta": False, "capabilities": {"voice": True, "SMS": True, "MMS": True, "sms": True, "mms": True},
            }
            for n in range(first, first + wanted)
        ]  # fmt: skip
        return 200, {"available_phone_numbers": found, "uri": "/"}

    def list_numbers(self, query: Fields) -> Answer:
        if query.get("PhoneNumber"):
            one = self.by_number.get(query["PhoneNumber"])
            found = [one] if one else []
            if query.get("FriendlyName"):
                found = [number for number in found if number["friendly_name"] == query["FriendlyName"]]
        elif query.get("FriendlyName"):
            found = self.by_tag.get(query["FriendlyName"], [])
        else:
            found = list(self.numbers.values())[:1000]
        return 200, {
            "incoming_phone_numbers": found, "page": 0, "page_size": 50, "start": 0, "end": len(found), "uri": "/",
            "first_page_uri": "/", "next_page_uri": None, "previous_page_uri": None,
        }  # fmt: skip

    def buy(self, account: str, form: Fields) -> Answer:
        number = form["PhoneNumber"]
        held = self.by_number.get(number)
        if held is None:
            sid = f"PN{len(self.numbers) + 1:032x}"
            held = {
                "sid": sid, "account_sid": account, "phone_number": number, "friendly_name": number,
                "address_requirements": "none", "address_sid": None, "bundle_sid": None, "identity_sid": None,
                "beta": False, "capabilities": {"voice": True, "sms": True, "mms": True, "fax": False},
                "date_created": "Sun, 22 Nov 2026 10:00:00 +0000", "date_updated": "Sun, 22 Nov 2026 10:00:00 +0000",
                "origin": "twilio", "status": "in-use", "type": "local", "api_version": "2010-04-01",
                "voice_url": "", "voice_method": "POST", "voice_application_sid": None, "sms_url": "",
                "status_callback": "", "trunk_sid": None, "emergency_status": "Inactive",
                "uri": f"/2010-04-01/Accounts/{account}/IncomingPhoneNumbers/{sid}.json",
            }  # fmt: skip
            self.numbers[sid] = self.by_number[number] = held
        self.update_number(held["sid"], form)
        return 201, held

    def update_number(self, sid: str, form: Fields) -> Answer:
        held = self.numbers.get(sid)
        if held is None:
            return 404, {"code": 20404, "message": "not found", "status": 404}
        if form.get("FriendlyName"):
            if held in self.by_tag.get(held["friendly_name"], []):
                self.by_tag[held["friendly_name"]].remove(held)
            held["friendly_name"] = form["FriendlyName"]
            self.by_tag.setdefault(form["FriendlyName"], []).append(held)
        return 200, held

    def fetch_number(self, sid: str) -> Answer:
        held = self.numbers.get(sid)
        return (200, held) if held else (404, {"code": 20404, "message": "not found", "status": 404})

    def release(self, sid: str) -> Answer:
        held = self.numbers.pop(sid, None)
        if held is None:
            return 404, {"code": 20404, "message": "not found", "status": 404}
        del self.by_number[held["phone_number"]]
        self.by_tag[held["friendly_name"]].remove(held)
        return 204, None

    # Vapi

    def assistant(self, assistant_id: str) -> Answer:
        return 200, {"id": assistant_id, "orgId": "bench", "name": "Bench"}

    def find_entries(self, query: Fields) -> Answer:
        """Vapi's search is partial; a whole number, which is all that is asked here, finds its own entry."""
        entry = self.entry_of.get(query.get("search", ""))
        found = [entry] if entry else []
        page = {"itemsPerPage": 100, "totalItems": len(found), "currentPage": 1, "totalPages": 1, "hasNextPage": False}
        return 200, {"results": found, "metadata": page}

    def import_number(self, body: Fields) -> Answer:
        entry = {
            "id": f"00000000-0000-4000-8000-{len(self.entries) + 1:012x}", "orgId": "bench", "provider": "twilio",
            "status": "active", "createdAt": "2026-11-22T10:00:00.000Z", "updatedAt": "2026-11-22T10:00:00.000Z",
            **{name: value for name, value in body.items() if not name.startswith("twilioA") or name.endswith("Sid")},
        }  # fmt: skip
        self.entries[entry["id"]] = self.entry_of[body["number"]] = entry
        if body["number"] in self.by_number:
            self.by_number[body["number"]]["voice_url"] = INBOUND_URL
        return 201, entry

    def entry(self, method: str, entry_id: str, body: Fields) -> Answer:
        entry = self.entries.get(entry_id)
        if entry is None:
            return 404, {"message": "Not Found", "statusCode": 404}
        if method == "PATCH":
            entry.update(body)
        if method == "DELETE":
            del self.entries[entry_id], self.entry_of[entry["number"]]
        return 200, entry


TWILIO = re.compile(r"/2010-04-01/Accounts/(AC\w+)(?:/(\w+))?(?:/(\w+))?(?:/(\w+))?\.json$")
VAPI = re.compile(r"(?:/v2)?/(phone-number|assistant)(?:/([\w-]+))?$")


def answer(world: World, method: str, target: str, body: bytes) -> tuple[str, Answer]:
    """The operation's name, and what the provider says."""
    url = urlsplit(target)
    query = dict(parse_qsl(url.query))
    path = unquote(url.path)
    if found := TWILIO.match(path):
        return twilio(world, method, found.groups(), query, dict(parse_qsl(body.decode())))
    if found := VAPI.match(path):
        return vapi(world, method, path, found.groups(), query, json.loads(body) if body else {})
    return "unknown", (404, {"message": f"no {method} {path} here"})


def twilio(
    world: World, method: str, parts: tuple[str | None, ...], query: Fields, form: Fields
) -> tuple[str, Answer]:
    account, kind, first, _ = (part or "" for part in parts)
    if not kind:
        return "read account", world.account(account)
    if kind == "AvailablePhoneNumbers":
        return "search", world.search(first, query)
    if kind != "IncomingPhoneNumbers":
        return "unknown", (404, {"code": 20404, "message": "not found", "status": 404})
    if not first.startswith("PN"):
        if method == "POST":
            return "buy", world.buy(account, form)
        by = "tag" if "FriendlyName" in query else "number" if "PhoneNumber" in query else "all"
        return f"list by {by}", world.list_numbers(query)
    if method == "DELETE":
        return "release", world.release(first)
    if method == "POST":
        return "update number", world.update_number(first, form)
    return "fetch number", world.fetch_number(first)


def vapi(
    world: World, method: str, path: str, parts: tuple[str | None, ...], query: Fields, body: Fields
) -> tuple[str, Answer]:
    kind, ident = parts
    if kind == "assistant":
        return "read assistant", world.assistant(ident) if ident else (200, [])
    if ident:
        return f"{method.lower()} entry", world.entry(method, ident, body)
    if method == "POST":
        return "import", world.import_number(body)
    if path.startswith("/v2"):
        return "find entry", world.find_entries(query)
    return "list entries", (200, list(world.entries.values())[:1000])


class Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive; bodies by Content-Length only."""

    def __init__(self, state: dict[str, World]) -> None:
        self.state = state
        self.buffer = b""
        self.transport: Any = None
        self.waiting = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self.state["world"].open -= self.waiting

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end]
            found = re.search(rb"(?i)\r\ncontent-length:\s*(\d+)", head)
            length = int(found[1]) if found else 0
            if len(self.buffer) < end + 4 + length:
                return
            method, target, _ = head.split(b" ", 2)
            body = self.buffer[end + 4 : end + 4 + length]
            self.buffer = self.buffer[end + 4 + length :]
            self.handle(method.decode(), target.decode(), body)

    def handle(self, method: str, target: str, body: bytes) -> None:
        if target.startswith("/stand-in/"):
            self.write(*control(self.state, target))
            return
        world, began = self.state["world"], time.time()
        operation, (status, said) = answer(world, method, target, body)
        world.operations[operation] += 1
        self.waiting += 1
        world.open += 1
        if world.hangs:
            return

        def reply() -> None:
            world.spans.append((began, time.time()))
            if not self.transport.is_closing():
                self.waiting -= 1
                world.open -= 1
                self.write(status, said)

        if world.delay_s:
            asyncio.get_running_loop().call_later(world.delay_s, reply)
        else:
            reply()

    def write(self, status: int, said: Any) -> None:
        body = b"" if said is None else json.dumps(said, separators=(",", ":")).encode()
        head = f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Type: application/json\r\n"
        self.transport.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)


def control(state: dict[str, World], target: str) -> Answer:
    url = urlsplit(target)
    if url.path == "/stand-in/reset":
        query = dict(parse_qsl(url.query))
        world = state["world"] if query.get("keep") == "1" else World()
        world.delay_s, world.hangs = float(query.get("delay_ms", 0)) / 1e3, query.get("hang") == "1"
        world.operations, world.spans = Counter(), []
        state["world"] = world
        return 200, {}
    world = state["world"]
    return 200, {
        "operations": dict(world.operations),
        "open": world.open,
        "spans": world.spans,
        "cpu_s": time.process_time(),
    }


async def serve(port: int) -> None:
    state = {"world": World()}
    make: Callable[[], asyncio.Protocol] = lambda: Connection(state)  # noqa: E731
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


def main(port: int) -> None:
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve(port))
    else:
        uvloop.run(serve(port))


if __name__ == "__main__":
    main(int(sys.argv[1]))
