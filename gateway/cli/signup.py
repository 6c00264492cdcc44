"""Watching one signup become a number: its milestones, read from the journal as they are written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gateway import display
from gateway.cli.opening import Opened
from gateway.store import journal, tenants


@dataclass(frozen=True, slots=True)
class Milestone:
    """took_ms: since the milestone before; the last one's is the whole way."""

    what: str
    detail: str
    took_ms: float


class Signup:
    """`news()` gives what happened since it was asked last."""

    def __init__(self, session: Opened, key: str, began_ms: int) -> None:
        self._session = session
        self._key = key
        self._began_ms = self._last_ms = began_ms
        self._after_id = 0
        self._tenant_id: int | None = None
        self.number: str | None = None
        self.blocked: str | None = None
        self.is_over = False

    def news(self) -> Iterator[Milestone]:
        with self._session.database.read() as tx:
            if self._tenant_id is None:
                tenant = tenants.by_key(tx, self._key)
                self._tenant_id = tenant.id if tenant else None
            rows = journal.of_tenant(tx, self._tenant_id) if self._tenant_id is not None else []
        for row in rows:
            if row["id"] <= self._after_id:
                continue
            self._after_id = row["id"]
            milestone = self._read(row["kind"], row["name"], row["detail"], row["at_ms"])
            if milestone is not None:
                yield milestone

    def _read(self, kind: str, name: str, detail: dict[str, object], at_ms: int) -> Milestone | None:
        if kind == "blocked":
            self.blocked, self.is_over = str(detail.get("message", name)), True
            return None
        if (kind, name) == ("state", "active"):
            self.is_over = True
            return Milestone("active", "all of it:", at_ms - self._began_ms)
        if kind == "note" and name == "number.chosen":
            self.number = str(detail["number"])
            return self._milestone("number chosen", display.phone_number(self.number), at_ms)
        known = {
            "buy_number.bought": ("bought", "sid"),
            "buy_number.adopted": ("bought", "sid"),
            "import_number.imported": ("imported", "entry"),
            "import_number.adopted": ("imported", "entry"),
            "assign_assistant.assigned": ("assistant assigned", "set"),
        }
        if kind == "outcome" and name in known:
            what, field = known[name]
            return self._milestone(what, str(detail.get(field) or self.number), at_ms)
        return None

    def _milestone(self, what: str, detail: str, at_ms: int) -> Milestone:
        took_ms, self._last_ms = at_ms - self._last_ms, at_ms
        return Milestone(what, detail, took_ms)
