"""A tenant's story for people: what happened, oldest first, why it is where it is, and what happens next.

Read from the journal, from attempts that nobody has heard the end of, and from events that are not applied. It decides
nothing, and shows what was stored as it was stored.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.domain.model import CLEARS_ITSELF, Held, State, Tenant, Wanted
from gateway.domain.recipe import Holdings
from gateway.store import attempts, inbox, journal
from gateway.store.database import Row, Transaction

MOST_LINES = 500

STEP_WORDS = {
    "buy_number": "Number",
    "import_number": "Import",
    "assign_assistant": "Assistant",
    "billing": "Billing",
}
# What an outcome is called; `{…}` are fields of its detail. Others are shown by their own name.
OUTCOMES = {
    "buy_number.bought": "Bought {number}",
    "buy_number.generation_found": "Found {number}, bought for a later generation than we know of: it is taken over",
    "buy_number.put_down": "Did not take over {number}",
    "buy_number.adopted": "Took over {number}, which was there under our tag",
    "buy_number.still_there": "Looked: the number is there and ours",
    "buy_number.not_there": "Looked: nothing was bought",
    "buy_number.nothing_in_doubt": "Looked: nothing was in doubt",
    "buy_number.unclear": "The purchase of {number} has no clear answer",
    "buy_number.not_processed": "The purchase of {number} was not processed",
    "buy_number.proved_absent": "Proved that {number} was not bought",
    "buy_number.refused": "{number} cannot be had",
    "buy_number.dropped": "Let {number} go: it is no longer wanted",
    "buy_number.released": "Gave {number} back",
    "buy_number.not_proved_yet": "Whether it is gone cannot be proved yet",
    "buy_number.release_proved": "Proved that {number} is released",
    "buy_number.waits_after_restore": "Waits",
    "buy_number.needs_address": "An address is missing",
    "buy_number.needs_bundle": "An approved bundle is missing",
    "buy_number.address_unclear": "Registering the address has no clear answer",
    "buy_number.address_refused": "The address was not taken",
    "buy_number.still_waiting": "Nothing has changed about its papers",
    "buy_number.price_ceiling": "It would cost too much",
    "buy_number.renamed": "{number} was spare stock and bears this tenant's tag now",
    "buy_number.given": "{number} is a tenant's and no longer spare stock",
    "import_number.imported": "Imported",
    "import_number.entry_renamed": "Gave its entry our tag",
    "import_number.removed": "Removed the import",
    "import_number.renamed": "The entry of the spare number bears this tenant's tag now",
    "import_number.waits_after_restore": "Waits",
    "assign_assistant.assigned": "Callers hear {set}",
    "assign_assistant.silenced": "Callers hear the suspended sentence",
    "assign_assistant.already_set": "Looked: callers hear what they should",
}
# What a note is called, in the same way.
NOTES = {
    "number.chosen": "Chose {number}",
    "number.chosen_by_customer": "Its customer chose {number}",
    "number.fallback": "Nothing fitted as asked: looked in {where}, {found} found",
    "address.registered": "Registered the customer's address at Twilio: {sid}",
    "address.found": "The customer's address is on file at Twilio: {sid}",
    "address.gone": "The customer's address {sid} is not at Twilio any more",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened. kind: as in the journal, or `attempt`, or `waiting` for an event not applied."""

    at_ms: int
    kind: str
    name: str
    text: str
    actor: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


def timeline(tx: Transaction, tenant: Tenant, limit: int = MOST_LINES) -> list[Line]:
    """The newest `limit` lines, oldest first."""
    rows = journal.of_tenant(tx, tenant.id, limit)
    lines = [from_journal(row) for row in rows]
    told = {row["inbox_id"] for row in rows}
    # Where older lines were cut off, nothing older is told from elsewhere either.
    since_ms = rows[0]["at_ms"] if len(rows) == limit else 0
    lines += [from_attempt(row) for row in attempts.of_tenant(tx, tenant.id, limit) if is_open(row)]
    lines += [
        from_inbox(row) for row in inbox.list_events(tx, tenant_id=tenant.id, limit=limit) if is_untold(row, told)
    ]
    return sorted((line for line in lines if line.at_ms >= since_ms), key=lambda line: line.at_ms)[-limit:]


def is_untold(row: inbox.InboxRow, told: Collection[int | None]) -> bool:
    """Whether an event waits, and the journal has no line of it."""
    return row.status not in ("applied", "ignored") and row.id not in told


def from_journal(row: Row) -> Line:
    detail = row["detail"]
    return Line(
        row["at_ms"], row["kind"], row["name"], text_of(row["kind"], row["name"], detail), row["actor"], detail
    )


def text_of(kind: str, name: str, detail: Mapping[str, Any]) -> str:
    """One sentence for a line of the journal."""
    if kind == "event":
        said = ", ".join(str(detail[key]) for key in ("status", "payment") if detail.get(key))
        options = f"; says {', '.join(detail['options'])}" if detail.get("options") else ""
        kept = (
            f"; not applied ({detail['not_applied']}): {detail.get('reason', '')}" if "not_applied" in detail else ""
        )
        return f"Event {name} from {detail.get('source', '?')}{f' ({said})' if said else ''}{options}{kept}"
    if kind == "wanted":
        return f"Wanted: {name} (was {detail.get('before')}). {detail.get('reason', '')}".strip()
    if kind == "state":
        return f"State: {name} (was {detail.get('before')})"
    if kind == "generation":
        return f"Generation {name}: {detail.get('reason', '')}"
    if kind == "blocked":
        return f"Blocked as {name}: {detail.get('message', '')}"
    if kind == "unblocked":
        return f"No longer blocked as {name}: {detail.get('why', '')}"
    if kind == "operator":
        rest = {key: value for key, value in detail.items() if key != "reason"}
        return f"Operator: {name}{listed(rest)}: {detail.get('reason', '')}"
    if kind in ("outcome", "look"):
        return outcome_text(name, detail)
    if name in NOTES:
        return NOTES[name].format_map(Missing({key: str(value) for key, value in detail.items()}))
    if name == "entry_renamed":
        return f"Its entry {detail.get('entry')} was called {detail.get('former_name')!r} until now"
    return f"{name}{listed(detail)}"


def outcome_text(name: str, detail: Mapping[str, Any]) -> str:
    shown = {key: str(value) for key, value in detail.items()}
    template = OUTCOMES.get(name)
    step, _, outcome = name.partition(".")
    if template is not None:
        text = template.format_map(Missing(shown))
    else:
        text = f"{STEP_WORDS.get(step, step)}: {outcome.replace('_', ' ')}"
        if "number" in shown:
            text += f", {shown['number']}"
    if "why" in shown:
        text += f". {shown['why']}"
    return text


class Missing(dict[str, str]):
    """Fields that a line lacks read as `?`, for the journal outlives every version of this table."""

    def __missing__(self, key: str) -> str:
        return "?"


def listed(detail: Mapping[str, Any]) -> str:
    pairs = [f"{key}={in_words(value)}" for key, value in detail.items() if value not in (None, "", [], {})]
    return f" ({', '.join(pairs)})" if pairs else ""


def in_words(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key}={each}" for key, each in value.items())
    return " ".join(str(each) for each in value) if isinstance(value, list) else str(value)


def is_open(row: Row) -> bool:
    """Whether nobody has heard how this attempt ended."""
    return row["outcome"] in (None, attempts.UNCLEAR)


def from_attempt(row: Row) -> Line:
    operation = str(row["operation"]).replace("_", " ")
    what = f"{STEP_WORDS.get(row['step'], row['step'])}: {operation} {row['number'] or ''}".rstrip()
    ending = "no answer is known" if row["outcome"] is None else "the answer was unclear"
    detail = {"attempt": row["id"], "deadline_ms": row["deadline_at_ms"], "outcome": row["outcome"]}
    return Line(row["began_at_ms"], "attempt", row["operation"], f"{what} was sent; {ending}", None, detail)


def from_inbox(row: inbox.InboxRow) -> Line:
    reason = f": {row.reason}" if row.reason else ""
    text = f"Event {row.type} from {row.source} is {row.status}{reason}"
    return Line(row.received_at_ms, "waiting", row.type, text, None, {"event": row.id, "event_id": row.event_id})


@dataclass(frozen=True, slots=True)
class Outlook:
    """why: why the tenant is where it is.   next: what happens next, and when; a sentence each."""

    why: str
    next: str
    next_at_ms: int | None


def outlook(tenant: Tenant, held: Holdings, now_ms: int) -> Outlook:
    """Why a tenant is where it is and what happens next."""
    why = tenant.block.message if tenant.block else tenant.reason
    return Outlook(why or "Nothing was heard of it yet.", *what_next(tenant, held, now_ms))


def what_next(tenant: Tenant, held: Holdings, now_ms: int) -> tuple[str, int | None]:
    if tenant.lease_until_ms is not None and tenant.lease_until_ms > now_ms:
        return "A worker has it in hand right now.", tenant.lease_until_ms
    later = after_that(tenant)
    due_ms = tenant.next_run_at_ms
    if due_ms is not None and due_ms <= now_ms:
        return "It is due: a running worker takes it within a second.", due_ms
    if due_ms is None:
        if tenant.block is not None:
            return f"Nothing by itself: a person has to act. {unblocking(tenant)}{later}", None
        return f"Nothing: it is as it should be.{later}", None
    if tenant.block is not None and tenant.block.code in CLEARS_ITSELF:
        return f"It looks again by itself, and goes on once the cause is gone.{later}", due_ms
    if tenant.block is not None:
        return f"A person has to act. {unblocking(tenant)}{later}", due_ms
    if due_ms == tenant.changes_at_ms:
        return later.strip(), due_ms
    doubtful = [STEP_WORDS[step].lower() for step, holding in held.items() if holding.held is Held.MAYBE]
    if doubtful:
        return f"It looks again at what is in doubt ({', '.join(doubtful)}).{later}", due_ms
    return f"It goes on.{later}", due_ms


def unblocking(tenant: Tenant) -> str:
    key = tenant.tenant_key
    return f'When the cause is gone: python -m gateway tenants retry {key} --reason "…".'


def after_that(tenant: Tenant) -> str:
    """What changes by itself later on, if nothing is heard until then."""
    if tenant.hold is not None:
        return f" The operator's hold stays until: python -m gateway tenants resume {tenant.tenant_key}."
    if tenant.changes_at_ms is None:
        return ""
    if tenant.wanted is Wanted.ACTIVE:
        return " Unless it is paid until then, it is suspended."
    if tenant.state is not State.RELEASED:
        return " Unless it comes back until then, its number is given back."
    return ""
