"""Stripe's part of the world: customers' lives, their signed events, and what its API says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.integrations.stripe.simulator import SCENARIOS, Life, SignedEvent, deliver, our_name
from gateway.integrations.stripe.simulator_shapes import subscription
from gateway.simulator.tables import Record, Tables

_SUBSCRIPTIONS = "/v1/subscriptions"
_EVENTS = "/v1/events"


@dataclass(frozen=True, slots=True)
class Order:
    """What a delivery should be, as asked for in JSON; see POST /_world/stripe/deliveries."""

    name: str
    tenant: str
    overrides: Mapping[str, Any]
    shape: str | None
    carry: tuple[str, ...] | None
    metadata: Mapping[str, str]
    livemode: bool | None
    at_ms: int | None
    timestamp_s: int | None
    secrets: tuple[str, ...] | None


def read_order(given: Mapping[str, Any]) -> Order:
    """Raises ValueError with what is expected."""
    known = set(Order.__dataclass_fields__) - {"overrides"} | {"set"}
    if unknown := set(given) - known:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}")
    if given.get("shape") not in (None, "old", "new"):
        raise ValueError("shape is old or new")
    return Order(
        name=str(given.get("name", "checkout.completed")),
        tenant=str(given.get("tenant", "acme")),
        overrides=dict(given.get("set") or {}),
        shape=given.get("shape"),
        carry=tuple(given["carry"]) if given.get("carry") is not None else None,
        metadata={name: str(value) for name, value in (given.get("metadata") or {}).items()},
        livemode=given.get("livemode"),
        at_ms=given.get("at_ms"),
        timestamp_s=given.get("timestamp_s"),
        secrets=tuple(given["secrets"]) if given.get("secrets") is not None else None,
    )


def next_event(life: Life, order: Order, now_ms: int) -> Record:
    """The ordered event of this life, which moves on. Raises ValueError for an unknown name."""
    life.shape = order.shape or life.shape
    life.carry = order.carry if order.carry is not None else life.carry
    life.livemode = life.livemode if order.livemode is None else order.livemode
    life.metadata.update(order.metadata)
    return life.event(order.name, now_ms if order.at_ms is None else order.at_ms, order.overrides)


def one_delivery(given: Mapping[str, Any], secrets: Iterable[str], now_ms: int, seed: str = "") -> Record:
    """A delivery without a world to remember the life: ids follow from the tenant, so that several fit together.

    given: as for POST /_world/stripe/deliveries. Raises ValueError.
    """
    order = read_order(given)
    event = next_event(Life(tenant=order.tenant, seed=seed), order, now_ms)
    stamp = now_ms // 1000 if order.timestamp_s is None else order.timestamp_s
    return shown(deliver(event, secrets if order.secrets is None else order.secrets, stamp))


class Billing:
    """One Stripe account. Not thread-safe: the world calls it under its lock."""

    def __init__(
        self, tables: Tables, secrets: Iterable[str], api_key: str, seed: str, record: Callable[..., None]
    ) -> None:
        self._lives = tables["lives"]
        self._subscriptions = tables["subscriptions"]
        self._events = tables["events"]
        self._secrets = tuple(secrets)
        self._api_key = api_key
        self._seed = seed
        self._record = record

    def operation(self, method: str, path: str) -> str | None:
        if path == _SUBSCRIPTIONS or path.startswith(_SUBSCRIPTIONS + "/"):
            return "stripe.subscription"
        if path == _EVENTS or path.startswith(_EVENTS + "/"):
            return "stripe.events"
        return None

    def deliver(self, given: Mapping[str, Any], now_ms: int) -> Record:
        """A signed event, built and kept for `/v1/events`, not sent."""
        order = read_order(given)
        stored = self._lives.get(order.tenant)
        life = Life(**stored) if stored else Life(tenant=order.tenant, seed=self._seed)
        event = next_event(life, order, now_ms)
        self._lives[order.tenant] = life.to_record()
        self._subscriptions[life.subscription_id] = subscription(life)
        self._events[event["id"]] = {"event": event, "delivered": False}
        self._record("event_made", event_id=event["id"], type=event["type"], tenant=order.tenant)
        stamp = now_ms // 1000 if order.timestamp_s is None else order.timestamp_s
        return shown(deliver(event, self._secrets if order.secrets is None else order.secrets, stamp))

    def mark_delivered(self, event_id: str, success: bool) -> None:
        """Raises KeyError for an event that was never made."""
        self._events[event_id] = {**self._events[event_id], "delivered": success}

    def answer(self, path: str, params: Mapping[str, str], authorization: str, now_ms: int) -> tuple[int, Any]:
        if authorization != f"Bearer {self._api_key}":
            return 401, {"error": {"message": "Invalid API Key provided", "type": "invalid_request_error"}}
        if path.startswith(_EVENTS):
            return self._list_events(path[len(_EVENTS) + 1 :], params)
        wanted = path[len(_SUBSCRIPTIONS) + 1 :]
        if not wanted:
            found = [s for s in self._subscriptions.values() if _matches(s, params)]
            return 200, _list(_SUBSCRIPTIONS, found[::-1], params)
        if wanted not in self._subscriptions:
            return 404, _missing("subscription", wanted)
        return 200, self._subscriptions[wanted]

    def _list_events(self, wanted: str, params: Mapping[str, str]) -> tuple[int, Any]:
        if wanted:
            stored = self._events.get(wanted)
            return (200, stored["event"]) if stored else (404, _missing("event", wanted))
        delivered = {"true": True, "false": False}.get(params.get("delivery_success", ""))
        found = [
            stored["event"]
            for stored in self._events.values()
            if (delivered is None or stored["delivered"] == delivered)
            and params.get("type", stored["event"]["type"]) == stored["event"]["type"]
            and int(params.get("created[gte]", 0)) <= stored["event"]["created"]
            and stored["event"]["created"] < int(params.get("created[lt]", 1 << 62))
        ]
        return 200, _list(_EVENTS, found[::-1], params)


def shown(signed: SignedEvent) -> Record:
    """A delivery as JSON: the body as text, to be sent as UTF-8 without any change."""
    return {
        "event_id": signed.event_id,
        "type": signed.type,
        "headers": signed.headers,
        "body": signed.body.decode(),
    }


def scenario(name: str) -> list[tuple[int, str, dict[str, str]]]:
    """(seconds after the one before, event name, overrides) of a story. Raises ValueError for an unknown one."""
    if name not in SCENARIOS:
        raise ValueError(f"no scenario {name!r}; known: {', '.join(SCENARIOS)}")
    return SCENARIOS[name]


def check_name(name: str) -> None:
    """Raise ValueError for an event that does not exist."""
    our_name(name)


def _matches(thing: Record, params: Mapping[str, str]) -> bool:
    status = params.get("status")
    if status in (None, ""):
        # Stripe leaves canceled ones out unless asked ("List subscriptions").
        return bool(thing["status"] != "canceled") and params.get("customer", thing["customer"]) == thing["customer"]
    return status in ("all", thing["status"]) and params.get("customer", thing["customer"]) == thing["customer"]


def _list(url: str, newest_first: list[Record], params: Mapping[str, str]) -> Record:
    limit = min(int(params.get("limit", 10)), 100)
    after = params.get("starting_after")
    if after is not None:
        ids = [thing["id"] for thing in newest_first]
        newest_first = newest_first[ids.index(after) + 1 :] if after in ids else []
    return {"object": "list", "data": newest_first[:limit], "has_more": len(newest_first) > limit, "url": url}


def _missing(kind: str, wanted: str) -> Record:
    error = {
        "code": "resource_missing",
        "doc_url": "https://stripe.com/docs/error-codes/resource-missing",
        "message": f"No such {kind}: '{wanted}'",
        "param": "id",
        "type": "invalid_request_error",
    }
    return {"error": error}
