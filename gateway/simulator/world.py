"""The pretend world: one Twilio account, one Vapi organisation, one Stripe account, one clock.

`world.wsgi` is the application; `handle` is the same without WSGI. State changes under one lock, requests wait for
each other only while they have their effect. The package's docstring lists paths, control calls and faults.
"""

from __future__ import annotations

import hashlib
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway.integrations.twilio.simulator import PretendTwilio
from gateway.integrations.vapi.simulator import PretendVapi
from gateway.simulator import defaults
from gateway.simulator.billing import Billing
from gateway.simulator.control import Control
from gateway.simulator.faults import FaultScript, Holds, Strike, read_fault
from gateway.simulator.open_calls import OpenCalls
from gateway.simulator.outcomes import refusal, subject_of, travel
from gateway.simulator.policies import POLICIES, check_policies
from gateway.simulator.stock import Stock
from gateway.simulator.tables import Record, Tables
from gateway.simulator.truth import truth
from gateway.simulator.wire import DROPPED, REASONS, WIRE_KEY, Reply, Request, Wire, json_reply


class World:
    """Everything the gateway can reach from here. Thread-safe."""

    def __init__(
        self,
        *,
        seed: str = defaults.SEED,
        account_sid: str = defaults.ACCOUNT_SID,
        auth_token: str = defaults.AUTH_TOKEN,
        api_keys: Mapping[str, str] | None = None,
        vapi_key: str = defaults.VAPI_KEY,
        vapi_base_url: str = defaults.VAPI_BASE_URL,
        stripe_secrets: Iterable[str] = (defaults.STRIPE_WEBHOOK_SECRET,),
        stripe_api_key: str = defaults.STRIPE_API_KEY,
        assistants: Iterable[str] = (defaults.ASSISTANT_ID,),
        prices: Mapping[str, tuple[str, dict[str, str]]] | None = None,
        policies: Mapping[str, Any] | None = None,
        now: Callable[[], int] | None = None,
        state_path: Path | None = None,
    ) -> None:
        """seed: decides stock, ids and random faults.   assistants: ids that exist from the start.

        vapi_base_url: what imports write into a number's voice URL.   prices: see `Stock`.
        policies: some of `POLICIES`.
        now: epoch milliseconds; given, it is the whole clock and nothing else moves it. Without it: the wall clock
        plus an offset.   state_path: where the state is kept for the next process; None for memory only.
        """
        self.id = uuid.uuid4().hex
        self.seed = seed
        self.on_leave: Callable[[], None] = lambda: None
        self.account_sid = account_sid
        self._auth_token = auth_token
        self._api_keys = {defaults.API_KEY: defaults.API_SECRET} if api_keys is None else dict(api_keys)
        self._vapi_key, self._vapi_base_url = vapi_key, vapi_base_url
        self._stripe_secrets, self._stripe_api_key = tuple(stripe_secrets), stripe_api_key
        self._first_assistants = tuple(assistants)
        self._stock = Stock(seed, prices)
        check_policies(policies or {})
        self._first_policies = {**POLICIES, **(policies or {})}
        self._now = now
        self._lock = threading.RLock()
        self._tables = Tables(state_path)
        self._is_kept = state_path is not None
        self.holds = Holds()
        self.open_calls = OpenCalls()
        self._control = Control(self)
        self._build()

    def _build(self) -> None:
        self._meta = self._tables["meta"]
        self._log = self._tables["log"]
        self._late = self._tables["late"]
        is_new = "born" not in self._meta
        if is_new:
            # A world whose state was thrown away must not hand out the ids of the one before it.
            self._meta["born"] = {"salt": uuid.uuid4().hex if self._is_kept else self.seed}
        self._calls: Counter[str] = Counter()
        self._doing: dict[str, Any] = {}
        self._at_ms: int | None = None
        self.faults = FaultScript(self.seed)
        self.policies = dict(self._first_policies)
        if "policies" in self._meta:
            self.policies.update(self._meta["policies"])
        self._counter = int(self._meta.get("ids", {}).get("next", 0))
        self._offset_ms = int(self._meta.get("clock", {}).get("offset_ms", 0))
        self.twilio = PretendTwilio(
            tables=self._tables,
            stock=self._stock,
            account_sid=self.account_sid,
            auth_token=self._auth_token,
            api_keys=self._api_keys,
            policies=self.policies,
            new_hex=self._new_hex,
            record=self.record,
        )
        self.vapi = PretendVapi(
            tables=self._tables,
            api_key=self._vapi_key,
            base_url=self._vapi_base_url,
            policies=self.policies,
            route=self.twilio.route,
            new_uuid=lambda: str(uuid.UUID(self._new_hex(), version=4)),
            record=self.record,
        )
        self.billing = Billing(self._tables, self._stripe_secrets, self._stripe_api_key, self.seed, self.record)
        for assistant_id in self._first_assistants if is_new else ():
            self.vapi.add_assistant({"id": assistant_id, "name": "Front desk"}, self.now_ms())
        if is_new:
            self.twilio.papers.put_bundle(defaults.BUNDLE, self.now_ms())
        self._tables.commit()

    # The clock

    def now_ms(self) -> int:
        """The world's time, epoch milliseconds."""
        if self._now is not None:
            return self._now()
        return time.time_ns() // 1_000_000 + self._offset_ms

    @property
    def offset_ms(self) -> int:
        return self._offset_ms

    def set_offset(self, offset_ms: int) -> None:
        """Move the clock; late effects that are due happen at once. A clock handed in is not moved."""
        with self._lock:
            if self._now is None:
                self._offset_ms = offset_ms
                self._meta["clock"] = {"offset_ms": offset_ms}
            self._catch_up()
            self._tables.commit()

    def advance(self, seconds: float) -> None:
        self.set_offset(self._offset_ms + round(seconds * 1000))

    # The script

    def add_fault(self, given: Mapping[str, Any]) -> None:
        """See `faults.py` for the form. Raises FaultInvalid."""
        fault = read_fault(given)
        with self._lock:
            self.faults.faults.append(fault)

    def clear_faults(self) -> None:
        with self._lock:
            self.faults.faults.clear()

    def set_policies(self, given: Mapping[str, Any]) -> None:
        """Raises ValueError for a policy or value that does not exist."""
        check_policies(given)
        with self._lock:
            self.policies.update(given)
            self._meta["policies"] = dict(self.policies)
            self._tables.commit()

    # The truth, and acts of other people

    def calls(self) -> dict[str, int]:
        """How many requests of each operation arrived since the start of this process."""
        with self._lock:
            return dict(self._calls)

    def log(self, after: int = 0) -> list[Record]:
        """What happened, oldest first, from entry number `after` + 1 on."""
        with self._lock:
            return [self._log[str(n)] for n in range(after + 1, len(self._log) + 1)]

    def purchases(self) -> list[Record]:
        """The log's purchases: each is a number that began to cost money."""
        return [entry for entry in self.log() if entry["what"] == "bought"]

    def state(self) -> dict[str, Any]:
        """Everything as it really is. Without credentials."""
        with self._lock:
            self._catch_up()
            self._tables.commit()
            return {"now_ms": self.now_ms(), **truth(self._tables, self.account_sid), "policies": dict(self.policies)}

    def change(self, act: Callable[[int], Any]) -> Any:
        """Run `act(now_ms)` as one change of the world, under its lock, kept on disk."""
        with self._lock:
            self._catch_up()
            self._doing = {"operation": "world"}
            done = act(self.now_ms())
            self._tables.commit()
            return done

    def place_numbers(self, given: Mapping[str, Any]) -> list[Record]:
        """Numbers in the account that nobody here bought; see POST /_world/numbers."""

        def place(now_ms: int) -> list[Record]:
            fields = {name: value for name, value in given.items() if name in ("friendly_name", "voice_url", "sid")}
            number = given.get("phone_number")
            if number is not None:
                chosen = [str(number)]
            else:
                country, count = str(given.get("country", "US")), int(given.get("count", 1))
                params = {"AreaCode": str(given["area_code"])} if given.get("area_code") else {}
                offers = self._stock.search(country, "local", params, count, len(self._log), self.twilio.is_free)
                chosen = [offer.number for offer in offers]
            placed = [self.twilio.put(one, dict(fields), now_ms) for one in chosen]
            for record in placed:
                self.record("placed", number=record["phone_number"], sid=record["sid"], tag=record["friendly_name"])
            return placed

        return list(self.change(place))

    def place_entry(self, fields: Mapping[str, Any]) -> Record:
        """An entry at Vapi that nobody here imported; without any check."""
        return dict(self.change(lambda now_ms: self.vapi.put(dict(fields), now_ms)))

    def add_assistant(self, fields: Mapping[str, Any]) -> Record:
        return dict(self.change(lambda now_ms: self.vapi.add_assistant(dict(fields), now_ms)))

    def delivery(self, given: Mapping[str, Any]) -> Record:
        """A signed Stripe event, built and not sent; see POST /_world/stripe/deliveries. Raises ValueError."""
        return dict(self.change(lambda now_ms: self.billing.deliver(given, now_ms)))

    def set_account(self, status: str) -> None:
        """`active` or `suspended`: a suspended account refuses everything."""

        def keep(now_ms: int) -> None:
            account = self._tables["account"]
            account["account"] = {**account["account"], "status": status}

        self.change(keep)

    def reset(self) -> None:
        """As on the first day: nothing bought, no faults, the clock back."""
        with self._lock:
            self.holds.clear()
            self._tables.clear()
            self._build()

    def close(self) -> None:
        with self._lock:
            self._tables.close()

    # Requests

    def wsgi(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """The application. Faults that WSGI cannot express are left in `gateway.wire` for servers that ask for it."""
        length = environ.get("CONTENT_LENGTH") or 0
        reply = self.handle(
            Request(
                method=environ["REQUEST_METHOD"],
                path=environ["PATH_INFO"],
                query=environ.get("QUERY_STRING", ""),
                body=environ["wsgi.input"].read(int(length)) if length else b"",
                authorization=environ.get("HTTP_AUTHORIZATION", ""),
            )
        )
        if reply.wire is not None:
            if WIRE_KEY in environ:
                environ[WIRE_KEY] = reply.wire
            else:
                time.sleep(reply.wire.wait_seconds)
                if reply.wire.drop:
                    reply = Reply(502, b"dropped", "text/plain")
        headers = list(reply.headers)
        if reply.status != 204:
            headers += [("Content-Type", reply.content_type), ("Content-Length", str(len(reply.body)))]
        start_response(f"{reply.status} {REASONS.get(reply.status, 'Status')}", headers)
        return [reply.body]

    def handle(self, request: Request) -> Reply:
        """One request from outside, faults and holds included."""
        if request.path.startswith("/_world"):
            return self._control.answer(request)
        operation = self._operation(request)
        if operation is None:
            return json_reply(404, {"message": f"Cannot {request.method} {request.path}", "statusCode": 404})
        subject = subject_of(operation, request)
        with self._lock:
            self._catch_up()
            self._calls[operation] += 1
            strike = self.faults.draw(operation)
            if strike is not None:
                self._doing = {"operation": operation}
                self.record("fault", kind=strike.kind, subject=subject)
                self._tables.commit()
        if not self.holds.stop_here(operation, "before", subject):
            return DROPPED
        reply = self._perform(operation, request) if strike is None else self._struck(operation, request, strike)
        if not self.holds.stop_here(operation, "after", subject):
            return DROPPED
        if reply.wire is None and self.policies["latency_ms"]:
            return replace(reply, wire=Wire(wait_seconds=self.policies["latency_ms"] / 1000))
        return reply

    def operation(self, *asked: str) -> str | None:
        """Which operation of which vendor (method, path) asks for; None for none of theirs."""
        return self.twilio.operation(*asked) or self.vapi.operation(*asked) or self.billing.operation(*asked)

    def _operation(self, request: Request) -> str | None:
        return self.operation(request.method, request.path)

    def _perform(self, operation: str, request: Request, lag_ms: int = 0, quirk: str | None = None) -> Reply:
        with self._lock:
            reply = self._answer(operation, request, self.now_ms(), lag_ms, quirk)
            self._tables.commit()
            return reply

    def _answer(self, operation: str, request: Request, now_ms: int, lag_ms: int, quirk: str | None = None) -> Reply:
        self._doing = {"operation": operation}
        vendor = operation.partition(".")[0]
        if vendor == "twilio":
            status, answer = self.twilio.answer(
                request.method, request.path, request.params(), request.authorization, now_ms, lag_ms
            )
        elif vendor == "vapi":
            status, answer = self.vapi.answer(
                request.method,
                request.path,
                request.queried(),
                request.body,
                request.authorization,
                now_ms,
                lag_ms,
                quirk,
            )
        else:
            status, answer = self.billing.answer(request.path, request.queried(), request.authorization, now_ms)
        return json_reply(status, answer)

    def _struck(self, operation: str, request: Request, strike: Strike) -> Reply:
        kind = strike.kind
        if kind in ("rate_limit", "unauthorized", "suspended", "error_before"):
            return refusal(operation, kind, strike)
        if kind == "lost_before":
            return Reply(500, wire=Wire(drop=True, reset=strike.reset))
        if kind == "late_effect":
            self._postpone(operation, request, strike)
            if strike.status_given:
                return refusal(operation, "error_after", strike)
            return Reply(500, wire=Wire(drop=True, reset=strike.reset))
        if not strike.effect and kind in ("hang", "slow", "trickle", "truncated", "html", "empty"):
            reply = refusal(operation, "error_before", strike)
        else:
            if kind == "taken":
                self.change(lambda now_ms: self.twilio.take(request.params().get("PhoneNumber", "")))
            if kind == "twice":
                self._perform(operation, request, strike.lag_ms)
            quirk = kind if kind in ("not_found_yet", "voice_url_unset") else None
            reply = self._perform(operation, request, strike.lag_ms, quirk)
        return travel(operation, reply, strike)

    def _postpone(self, operation: str, request: Request, strike: Strike) -> None:
        def keep(now_ms: int) -> None:
            self._late[self._new_hex()] = {
                "due_ms": now_ms + round(strike.seconds * 1000),
                "lag_ms": strike.lag_ms,
                "operation": operation,
                "request": [request.method, request.path, request.query, request.body.decode("latin-1")],
                "authorization": request.authorization,
            }

        self.change(keep)

    def _catch_up(self) -> None:
        """Let late effects happen that are due by now, each at its own time."""
        if not self._late:
            return
        now_ms = self.now_ms()
        due = sorted((r["due_ms"], key) for key, r in self._late.items() if r["due_ms"] <= now_ms)
        for due_ms, key in due:
            record = self._late[key]
            del self._late[key]
            method, path, query, body = record["request"]
            request = Request(method, path, query, body.encode("latin-1"), record["authorization"])
            self._at_ms = due_ms
            self._answer(record["operation"], request, due_ms, record["lag_ms"])
            self._at_ms = None

    # What the parts of the world use

    def record(self, what: str, **fields: Any) -> None:
        """One line of the log."""
        number = len(self._log) + 1
        at_ms, late = (self.now_ms(), {}) if self._at_ms is None else (self._at_ms, {"late": True})
        self._log[str(number)] = {"n": number, "at_ms": at_ms, "what": what, **self._doing, **late, **fields}

    def _new_hex(self) -> str:
        self._counter += 1
        self._meta["ids"] = {"next": self._counter}
        salt = self._meta["born"].get("salt", self.seed)
        return hashlib.md5(f"{salt}/{self._counter}".encode(), usedforsecurity=False).hexdigest()
