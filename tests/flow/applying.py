"""A desk for tests of `apply`: a real database, a source that says what it is told, and a list of who was called."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from gateway.domain.model import Delivery, Event, News, Subscription
from gateway.domain.options import merge
from gateway.flow.apply import Applied, ApplyParts, apply_new
from gateway.ports import Source
from gateway.store import inbox, journal, subscriptions, tenants
from gateway.store.database import Row, Transaction
from gateway.store.inbox import InboxRow, Incoming
from tests import databases

NOW = 1_800_000_000_000
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000


class PlainSource:
    """Its bodies are the news themselves."""

    def __init__(self, name: str) -> None:
        self.name = name

    def verify(self, delivery: Delivery, now_ms: int) -> None:
        """Everybody is believed."""

    def read(self, delivery: Delivery) -> tuple[Event, ...]:
        return (event_of(msgspec.json.decode(delivery.body, type=News)),)

    def interpret(self, event: Event) -> News | None:
        if event.type == "unknown":
            return None
        if event.type == "poison":
            raise ValueError("the body said: whsec_secret and +14155550123")
        return msgspec.json.decode(event.body, type=News)


def event_of(news: News) -> Event:
    body = msgspec.json.encode(news)
    return Event(news.source, news.event_id, news.type, news.occurred_at_ms, hashlib.sha256(body).hexdigest(), body)


class Desk:
    """Put events in, apply them, look at what became of them."""

    def __init__(self, folder: Path, sources: Mapping[str, Source] | None = None) -> None:
        self.database = databases.open_database(folder)
        self.calls: list[tuple[str, int]] = []
        self.fails_for: set[str] = set()
        self.now_ms = NOW
        self.count = 0
        plain = {name: PlainSource(name) for name in ("stripe", "standard")}
        self.parts = ApplyParts(
            sources=plain if sources is None else sources,
            reconsider=self._reconsider,
            options_changed=self._options_changed,
        )

    def _reconsider(self, tx: Transaction, tenant_id: int, now_ms: int, cause: str) -> None:
        assert now_ms == self.now_ms
        self.calls.append(("reconsider", tenant_id))
        if tenants.get(tx, tenant_id).tenant_key in self.fails_for:
            raise RuntimeError("cannot be reconsidered")

    def _options_changed(self, tx: Transaction, tenant_id: int, now_ms: int) -> None:
        self.calls.append(("options_changed", tenant_id))

    def set(self, **changes: object) -> None:
        self.parts = replace(self.parts, **changes)  # type: ignore[arg-type]

    def close(self) -> None:
        self.database.close()

    # --- in ---

    def news(self, **said: object) -> News:
        """News of `sub_1` at `stripe`, told now; named fields say otherwise."""
        self.count += 1
        fields: dict[str, object] = {
            "source": "stripe",
            "event_id": f"evt_{self.count}",
            "type": "customer.subscription.updated",
            "occurred_at_ms": self.now_ms,
            "subscription_id": "sub_1",
            **said,
        }
        return News(**fields)  # type: ignore[arg-type]

    def receive(self, *events: Event, received_at_ms: int | None = None) -> None:
        at_ms = self.now_ms if received_at_ms is None else received_at_ms
        with self.database.transaction() as tx:
            inbox.put(tx, [Incoming((event,), at_ms) for event in events])

    def tell(self, *told: News) -> Applied:
        """Receive these and apply what is new."""
        self.receive(*map(event_of, told))
        return self.apply()

    def say(self, **said: object) -> Applied:
        return self.tell(self.news(**said))

    def apply(self, limit: int = 200) -> Applied:
        with self.database.transaction() as tx:
            return apply_new(tx, self.parts, self.now_ms, limit)

    # --- out ---

    def row(self, event_id: str | None = None, source: str = "stripe") -> InboxRow:
        """The inbox row of an event, by default the last one told."""
        with self.database.read() as tx:
            row = inbox.get_by_event_id(tx, source, event_id or f"evt_{self.count}")
        assert row is not None
        return row

    def rows(self) -> list[InboxRow]:
        with self.database.read() as tx:
            return inbox.list_events(tx, limit=5_000)

    def link(self, subscription_id: str = "sub_1", source: str = "stripe") -> tuple[str, Subscription]:
        """Whose a subscription is and its record."""
        with self.database.read() as tx:
            found = subscriptions.find(tx, source, subscription_id)
            assert found is not None
            return tenants.get(tx, found.tenant_id).tenant_key, found.record

    def owner(self, subscription_id: str = "sub_1", source: str = "stripe") -> str:
        return self.link(subscription_id, source)[0]

    def statuses(self, subscription_id: str = "sub_1", source: str = "stripe") -> list[str]:
        return [each.status for each in self.link(subscription_id, source)[1].statuses]

    def tenant_keys(self) -> list[str]:
        with self.database.read() as tx:
            return [tenant.tenant_key for tenant in tenants.list_page(tx)]

    def options(self, tenant_key: str) -> dict[str, str]:
        with self.database.read() as tx:
            tenant = tenants.by_key(tx, tenant_key)
            assert tenant is not None
            return merge(subscriptions.options_of(tx, tenant.id))

    def id_of(self, tenant_key: str) -> int:
        with self.database.read() as tx:
            tenant = tenants.by_key(tx, tenant_key)
        assert tenant is not None
        return tenant.id

    def journal(self, tenant_key: str) -> list[Row]:
        with self.database.read() as tx:
            return journal.of_tenant(tx, self.id_of(tenant_key))
