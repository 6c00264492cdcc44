"""The `/_world` calls: moving the clock, scripting faults, reading the truth. The package's docstring lists them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gateway.integrations.stripe.simulator import SCENARIOS
from gateway.simulator.wire import Reply, Request, json_reply

if TYPE_CHECKING:
    from gateway.simulator.world import World


class Control:
    """JSON over the world's own methods."""

    def __init__(self, world: World) -> None:
        self._world = world

    def answer(self, request: Request) -> Reply:
        try:
            given = json.loads(request.body) if request.body else {}
            return self._route(request.method, request.path.removeprefix("/_world").strip("/"), given, request)
        except (ValueError, KeyError, TypeError) as exc:
            return json_reply(400, {"error": f"{type(exc).__name__}: {exc}"})

    def _route(self, method: str, path: str, given: Any, request: Request) -> Reply:
        world = self._world
        match method, path.split("/"):
            case "GET", [""]:
                return json_reply(200, self._about())
            case "GET", ["state"]:
                return json_reply(200, world.state())
            case "GET", ["log"]:
                entries = world.log(int(request.queried().get("after", 0)))
                next_one = entries[-1]["n"] if entries else int(request.queried().get("after", 0))
                return json_reply(200, {"entries": entries, "next": next_one})
            case "POST", ["clock"]:
                if "offset_ms" in given:
                    world.set_offset(int(given["offset_ms"]))
                world.advance(float(given.get("advance_seconds", 0)))
                return json_reply(200, self._about())
            case _, ["faults"]:
                return self._faults(method, given)
            case _, ["hold", *rest]:
                return self._hold(method, rest, given, request)
            case "POST", ["reset"]:
                world.reset()
                return json_reply(200, self._about())
            case "POST", ["leave"]:
                world.on_leave()
                return json_reply(200, self._about())
            case "POST", ["policies"]:
                world.set_policies(given)
                return json_reply(200, world.policies)
            case "POST", ["account"]:
                world.set_account(str(given["status"]))
                return json_reply(200, world.state()["account"])
            case "GET", ["stripe", "scenarios"]:
                return json_reply(200, SCENARIOS)
            case "POST", ["stripe", "deliveries"]:
                return json_reply(200, world.delivery(given))
            case "POST", ["stripe", "delivered"]:
                success = bool(given.get("success", True))
                world.change(lambda now_ms: world.billing.mark_delivered(given["event_id"], success))
                return json_reply(200, {})
        return self._acts(method, path.split("/"), given)

    def _acts(self, method: str, parts: list[str], given: Mapping[str, Any]) -> Reply:
        world = self._world
        match method, parts:
            case "POST", ["numbers"]:
                return json_reply(201, world.place_numbers(given))
            case "POST", ["entries"]:
                return json_reply(201, world.place_entry(given))
            case "POST", ["assistants"]:
                return json_reply(201, world.add_assistant(given))
            case _, ["bundles" | "addresses", *_]:
                return self._papers(method, parts, given)
            case "POST", ["sold_out"]:
                world.change(lambda now_ms: world.twilio.sell_out(str(given["prefix"])))
                return json_reply(200, {})
            case "POST", ["taken"]:
                world.change(lambda now_ms: world.twilio.take(given["phone_number"]))
                return json_reply(200, {})
            case "DELETE", ["numbers", sid]:
                return _gone(world.change(lambda now_ms: world.twilio.remove(sid, now_ms)))
            case "DELETE", ["entries", entry_id]:
                return _gone(world.change(lambda now_ms: world.vapi.remove(entry_id)))
            case "DELETE", ["assistants", assistant_id]:
                return _gone(world.change(lambda now_ms: world.vapi.remove_assistant(assistant_id)))
        return json_reply(404, {"error": "no such control call"})

    def _papers(self, method: str, parts: list[str], given: Mapping[str, Any]) -> Reply:
        """What people do at the console, and reviewers at Twilio."""
        world = self._world
        addresses, papers = world.twilio.addresses, world.twilio.papers
        match method, parts:
            case "POST", ["bundles"]:
                return json_reply(201, world.change(lambda now_ms: papers.add_bundle(dict(given), now_ms)))
            case "POST", ["bundles", sid]:
                changed = world.change(lambda now_ms: papers.change_bundle(sid, dict(given), now_ms))
                return json_reply(200 if changed else 404, changed or {})
            case "DELETE", ["bundles", sid]:
                return _gone(world.change(lambda now_ms: papers.remove_bundle(sid)))
            case "POST", ["addresses", sid]:
                changed = world.change(lambda now_ms: addresses.change(sid, dict(given)))
                return json_reply(200 if changed else 404, changed or {})
            case "DELETE", ["addresses", sid]:
                return _gone(world.change(lambda now_ms: addresses.remove(sid)))
        return json_reply(404, {"error": "no such control call"})

    def _about(self) -> dict[str, Any]:
        world = self._world
        return {
            "id": world.id,
            "now_ms": world.now_ms(),
            "offset_ms": world.offset_ms,
            "calls": world.calls(),
            "most_open": world.open_calls.most(),
        }

    def _faults(self, method: str, given: Any) -> Reply:
        world = self._world
        if method == "POST":
            for fault in given if isinstance(given, list) else [given]:
                world.add_fault(fault)
        elif method == "DELETE":
            world.clear_faults()
        shown = [
            {
                "operation": fault.operation,
                "kinds": list(fault.kinds),
                "times": fault.times,
                "probability": fault.probability,
                "after_calls": fault.after_calls,
                "seen": fault.seen,
                "struck": fault.struck,
                **fault.options,
            }
            for fault in world.faults.faults
        ]
        return json_reply(200, shown)

    def _hold(self, method: str, rest: list[str], given: Mapping[str, Any], request: Request) -> Reply:
        holds = self._world.holds
        if method == "POST" and rest == ["release"]:
            return json_reply(200, {"released": holds.release(bool(given.get("drop", False)))})
        if method == "POST" and not rest:
            when = given.get("when", "before")
            if when not in ("before", "after"):
                raise ValueError("when must be before or after")
            holds.arm(str(given.get("operation", "*")), when, int(given.get("after_calls", 0)))
        elif method == "DELETE":
            holds.clear()
        return json_reply(200, holds.look(float(request.queried().get("wait_seconds", 0))))


def _gone(found: bool) -> Reply:
    return json_reply(200 if found else 404, {})
