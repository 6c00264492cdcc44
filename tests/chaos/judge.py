"""At rest: does the pretend world agree with the tables, and with what the customers' stories must end in?

Reads the world's own state and log, and the database from outside; knows nothing of the gateway's code but its tables,
its tags and the states of its public interface.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.settings import SUSPENDED_MESSAGE
from gateway.simulator import defaults
from tests.chaos.customers import ACTIVE, NEW, RELEASED, SUSPENDED, Customer

Row = dict[str, Any]

UNCHANGED_TABLES = ("journal", "attempts", "attempt_outcomes", "ledger")


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken, and what shows it."""

    sentence: str
    evidence: Any

    def __str__(self) -> str:
        return f"{self.sentence}\n    {json.dumps(self.evidence, default=str)[:3000]}"


class Watcher:
    """Remembers the rows that must never change."""

    def __init__(self, rows: Callable[..., list[Row]]) -> None:
        """rows: asks the database, as `Installation.rows`."""
        self._rows = rows
        self._seen: dict[tuple[str, int], str] = {}
        self._last = dict.fromkeys(UNCHANGED_TABLES, 0)

    def look(self) -> None:
        for table in UNCHANGED_TABLES:
            for row in self._rows(f"SELECT * FROM {table} WHERE id > :after", after=self._last[table]):
                self._seen[table, row["id"]] = json.dumps(row)
                self._last[table] = max(self._last[table], row["id"])

    def changed(self) -> list[Violation]:
        found = []
        for table in UNCHANGED_TABLES:
            now = {row["id"]: json.dumps(row) for row in self._rows(f"SELECT * FROM {table}")}
            for (seen_table, row_id), text in self._seen.items():
                if seen_table == table and now.get(row_id) != text:
                    evidence = {"table": table, "before": text, "now": now.get(row_id)}
                    found.append(Violation("A row that is never changed was changed or is gone.", evidence))
        return found


@dataclass(frozen=True)
class Scene:
    """Everything at rest, read once."""

    customers: dict[str, Customer]
    tenants: dict[str, Row]
    holdings: dict[tuple[int, str], Row]
    intents: list[Row]
    ledger: list[Row]
    numbers: list[Row]
    entries: list[Row]
    log: list[Row]
    inbox: dict[str, Row]
    acknowledged: Mapping[str, str]
    refused: Sequence[tuple[str, int, bytes]]
    env: str

    def tag(self, key: str, generation: int) -> str:
        return f"rf:{self.env}:{hashlib.sha256(key.encode()).hexdigest()[:16]}:{generation}"

    def tags(self, tenant: Row) -> list[str]:
        return [self.tag(tenant["tenant_key"], number) for number in range(1, tenant["generation"] + 1)]

    def held(self, tenant: Row, step: str) -> Row:
        empty = {"held": "no", "ref": None, "detail": "{}"}
        return self.holdings.get((tenant["id"], step), empty)


def read_scene(
    rows: Callable[..., list[Row]],
    state: Mapping[str, Any],
    log: list[Row],
    customers: list[Customer],
    acknowledged: Mapping[str, str],
    refused: Sequence[tuple[str, int, bytes]] = (),
    env: str = "dev",
) -> Scene:
    """rows: asks the database.   state, log: the world's own.   acknowledged: event id -> tenant key."""
    tenants = {row["tenant_key"]: row for row in rows("SELECT * FROM tenants")}
    for alias in rows("SELECT a.alias_key, t.tenant_key FROM tenant_aliases a JOIN tenants t ON t.id = a.tenant_id"):
        tenants[alias["alias_key"]] = tenants[alias["tenant_key"]]
    return Scene(
        customers={customer.key: customer for customer in customers},
        tenants=tenants,
        holdings={(row["tenant_id"], row["step"]): row for row in rows("SELECT * FROM holdings")},
        intents=rows("SELECT * FROM intents ORDER BY id"),
        ledger=rows("SELECT * FROM ledger ORDER BY id"),
        numbers=state["numbers"],
        entries=state["entries"],
        log=log,
        inbox={row["event_id"]: row for row in rows("SELECT * FROM inbox")},
        acknowledged=acknowledged,
        refused=refused,
        env=env,
    )


def judge(scene: Scene, before: Mapping[str, Any]) -> Iterator[Violation]:
    """Every broken promise. before: the world's state when nothing had begun: what is there is somebody else's."""
    yield from purchases(scene)
    yield from strangers(scene, before)
    yield from references(scene, before)
    yield from books(scene)
    yield from events(scene)
    yield from spare_stock(scene)
    for key, customer in scene.customers.items():
        tenant = scene.tenants.get(key)
        if tenant is None:
            yield Violation(f"{key} ({customer.story}) does not exist.", customer.events)
            continue
        yield from end_of(scene, customer, tenant)


def purchases(scene: Scene) -> Iterator[Violation]:
    """No generation ever has two purchases; nobody's number is taken over by buying it again."""
    bought: dict[str, list[Row]] = defaultdict(list)
    for entry in scene.log:
        if entry["what"] == "bought":
            bought[entry["tag"]].append(entry)
        if entry["what"] == "bought_again" and entry["was"] != entry["tag"]:
            yield Violation("A number was taken from its owner by buying it again.", entry)
    for tag, entries in bought.items():
        if len(entries) > 1:
            story = [e for e in scene.log if e.get("tag") == tag or e.get("subject") in {b["number"] for b in entries}]
            yield Violation(f"Two purchases for one generation, {tag}.", story)
        generations = {known for tenant in scene.tenants.values() for known in scene.tags(tenant)}
        if tag not in generations:
            yield Violation(f"A purchase under a tag of nobody, {tag}.", entries)


def strangers(scene: Scene, before: Mapping[str, Any]) -> Iterator[Violation]:
    """What was there before is as it was."""
    numbers = {number["sid"]: number for number in scene.numbers}
    for number in before["numbers"]:
        if numbers.get(number["sid"]) != number:
            yield Violation("A number of somebody else was touched.", [number, numbers.get(number["sid"])])
    entries = {entry["id"]: entry for entry in scene.entries}
    for entry in before["entries"]:
        if entries.get(entry["id"]) != entry:
            yield Violation("An entry of somebody else was touched.", [entry, entries.get(entry["id"])])


def references(scene: Scene, before: Mapping[str, Any]) -> Iterator[Violation]:
    """Every number and every entry belongs to exactly one tenant."""
    foreign = {thing["sid"] for thing in before["numbers"]} | {thing["id"] for thing in before["entries"]}
    owners: dict[str, list[int]] = defaultdict(list)
    for (tenant_id, step), held in scene.holdings.items():
        if step in ("buy_number", "import_number") and held["ref"] is not None:
            owners[held["ref"]].append(tenant_id)
    for ref, name, thing in (
        *((number["sid"], "number", number) for number in scene.numbers),
        *((entry["id"], "entry", entry) for entry in scene.entries),
    ):
        if ref not in foreign and len(owners[ref]) != 1:
            yield Violation(f"A {name} that {len(owners[ref])} tenants refer to.", [thing, owners[ref]])
    there = {number["sid"] for number in scene.numbers} | {entry["id"] for entry in scene.entries}
    for ref, tenant_ids in owners.items():
        if tenant_ids and ref not in there:
            concerned = [tenant for tenant in scene.tenants.values() if tenant["id"] in tenant_ids]
            yield Violation(f"{ref} is referred to and does not exist.", [story_of(scene, each) for each in concerned])
    by_number = Counter(entry["number"] for entry in scene.entries)
    for number, count in by_number.items():
        if count > 1:
            evidence = [entry for entry in scene.entries if entry["number"] == number]
            yield Violation(f"{number} has {count} entries at Vapi.", evidence)


def books(scene: Scene) -> Iterator[Violation]:
    """What the ledger says is held is held, and intents agree."""
    held: dict[tuple[str, str], int] = {}
    for row in scene.ledger:
        place = (row["thing"], row["ref"])
        if row["change"] == "gained":
            if place in held:
                yield Violation("The ledger gained one thing twice.", row)
            held[place] = row["tenant_id"]
        elif held.pop(place, None) is None:
            yield Violation("The ledger lost what it had not gained.", row)
    believed = {
        (thing, row["ref"]): tenant_id
        for (tenant_id, step), row in scene.holdings.items()
        for thing in [{"buy_number": "number", "import_number": "entry"}.get(step)]
        if thing is not None and row["ref"] is not None
    }
    if held != believed:
        odd = {str(k): (held.get(k), believed.get(k)) for k in held.keys() ^ believed.keys()}
        rows = [row for row in scene.ledger if any(row["ref"] in text for text in odd)]
        yield Violation("Ledger and holdings differ.", {"differs (ledger, holdings)": odd, "rows": rows})
    owned = {("number", row["sid"]): row["tenant_id"] for row in scene.intents if row["status"] == "owned"}
    numbers = {place: tenant_id for place, tenant_id in believed.items() if place[0] == "number"}
    if owned != numbers:
        yield Violation("Intents and holdings differ.", [str(owned), str(numbers)])


def events(scene: Scene) -> Iterator[Violation]:
    for event_id, key in scene.acknowledged.items():
        row = scene.inbox.get(event_id)
        if row is None:
            yield Violation("An acknowledged event is not in the inbox.", [event_id, key])
        elif row["status"] == "new" or (row["status"] not in ("applied", "ignored") and not row["reason"]):
            yield Violation("An acknowledged event was not applied, and nobody says why.", visible(row))
        elif row["status"] != "applied":
            yield Violation("An event that means something was not applied.", visible(row))
    for event_id, status, body in scene.refused[:5]:
        yield Violation(f"A good delivery was answered {status}.", [event_id, body.decode(errors="replace")])


def visible(row: Row) -> Row:
    return {name: value for name, value in row.items() if name not in ("body", "headers")}


def spare_stock(scene: Scene) -> Iterator[Violation]:
    """A spare number is held under its own tag and by its own row, or it is over; it is never both."""
    for key, tenant in scene.tenants.items():
        if not key.startswith("spare:") or tenant["blocked_code"] is not None:
            continue
        tags = scene.tags(tenant)
        numbers = [number for number in scene.numbers if number["tag"] in tags]
        evidence = {"numbers": numbers, "story": story_of(scene, tenant)}
        if tenant["state"] == ACTIVE:
            held = [number["sid"] for number in numbers] == [scene.held(tenant, "buy_number")["ref"]]
            if not held or numbers[0]["phone_number"] != key.removeprefix("spare:") or numbers[0]["tag"] != tags[-1]:
                yield Violation(f"{key} is active and does not hold just its number.", evidence)
        elif tenant["state"] != RELEASED or numbers:
            yield Violation(f"{key} is {tenant['state']} at rest and has {len(numbers)} numbers.", evidence)


# --- one tenant ------------------------------------------------------------------------------------------------------


def end_of(scene: Scene, customer: Customer, tenant: Row) -> Iterator[Violation]:
    name = f"{customer.key} ({customer.story})"
    if tenant["blocked_code"] is not None:
        if not is_explained(scene, customer, tenant):
            sentence = f"{name} is blocked as {tenant['blocked_code']}, which nothing explains."
            yield Violation(sentence, story_of(scene, tenant))
        return
    if customer.must_lose:
        yield Violation(f"{name} should be blocked as number_taken.", story_of(scene, tenant))
        return
    if tenant["state"] != customer.ends:
        yield Violation(f"{name} should be {customer.ends} and is {tenant['state']}.", story_of(scene, tenant))
        return
    tags = scene.tags(tenant)
    numbers = [number for number in scene.numbers if number["tag"] in tags]
    entries = [entry for entry in scene.entries if entry.get("name") in tags]
    if customer.ends in (RELEASED, NEW):
        if numbers or entries:
            yield Violation(f"{name} is {customer.ends} and still holds something.", [numbers, entries])
        return
    if customer.ends == SUSPENDED and not numbers and not entries:
        # It lapsed before anything was bought: there is nothing to suspend.
        return
    yield from wiring_of(scene, customer, tenant, numbers, entries)


def wiring_of(
    scene: Scene, customer: Customer, tenant: Row, numbers: list[Row], entries: list[Row]
) -> Iterator[Violation]:
    """One number under the last tag, one entry for it, and calls that go where they should."""
    name = f"{customer.key} ({customer.story})"
    evidence = {"numbers": numbers, "entries": entries, "story": story_of(scene, tenant)}
    is_bought_only = customer.ends == SUSPENDED and not entries
    if len(numbers) != 1 or (len(entries) != 1 and not is_bought_only):
        yield Violation(f"{name} has {len(numbers)} numbers and {len(entries)} entries.", evidence)
        return
    number = numbers[0]
    if number["tag"] != scene.tags(tenant)[-1]:
        yield Violation(f"{name} holds a number of an earlier generation.", evidence)
    if customer.number is not None and number["phone_number"] != customer.number:
        yield Violation(f"{name} asked for {customer.number} and got another one.", evidence)
    if number["sid"] != scene.held(tenant, "buy_number")["ref"]:
        yield Violation(f"{name} believes in another number.", evidence)
    if is_bought_only:
        return
    entry = entries[0]
    if entry["number"] != number["phone_number"] or entry["id"] != scene.held(tenant, "import_number")["ref"]:
        yield Violation(f"{name} has an entry that does not fit.", evidence)
    if "vapi.ai" not in (number.get("voice_url") or ""):
        yield Violation(f"{name}: its number's calls do not go to Vapi.", evidence)
    spoken = [action.get("exact") for hook in entry.get("hooks") or [] for action in hook["do"]]
    wanted = [SUSPENDED_MESSAGE] if customer.ends == SUSPENDED else []
    if spoken != wanted:
        yield Violation(f"{name} is {customer.ends} and callers hear {spoken}.", evidence)
    if customer.ends == ACTIVE and entry.get("assistantId") != defaults.ASSISTANT_ID:
        yield Violation(f"{name} is answered by {entry.get('assistantId')}.", evidence)


def is_explained(scene: Scene, customer: Customer, tenant: Row) -> bool:
    """Whether the customer's own wish, or the faults that really struck, lead to this block."""
    code = tenant["blocked_code"]
    mine = [row for row in scene.intents if row["tenant_id"] == tenant["id"]]
    chosen = {row["number"] for row in mine}
    taken = [entry for entry in scene.log if entry.get("kind") == "taken" and entry.get("subject") in chosen]
    if code == "number_taken" and customer.number is not None:
        others = [
            entry
            for entry in scene.log
            if entry["what"] in ("bought", "placed")
            and entry["number"] == customer.number
            and entry["tag"] not in scene.tags(tenant)
        ]
        rivals = [
            row for row in scene.intents if row["number"] == customer.number and row["tenant_id"] != tenant["id"]
        ]
        return bool(customer.must_lose or others or taken or rivals)
    if code == "provider_refused" and customer.number is not None:
        # Two rounds of purchases of exactly this number were lost on the way.
        lost = [e for e in scene.log if e["what"] == "fault" and e.get("subject") == customer.number]
        return bool(lost) and any(row["round"] > 1 for row in mine)
    if code == "no_numbers":
        return len(taken) >= 3
    return False


def story_of(scene: Scene, tenant: Row) -> dict[str, Any]:
    tags = scene.tags(tenant)
    mine = [row for row in scene.intents if row["tenant_id"] == tenant["id"]]
    chosen = {row["number"] for row in mine}
    return {
        "tenant": tenant,
        "holdings": [row for (tenant_id, _), row in scene.holdings.items() if tenant_id == tenant["id"]],
        "intents": mine,
        "world": [e for e in scene.log if e.get("tag") in tags or {e.get("number"), e.get("subject")} & chosen],
    }
