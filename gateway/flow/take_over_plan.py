"""What taking over a roster's numbers would do, and what stands in the way. Changes nothing.

Both providers' lists are read whole and once, never for each row. Whatever could have changed since is asked again,
under the tenant's lease, when a row is carried out (`take_over.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from urllib.parse import urlsplit

from gateway.domain import keys, options
from gateway.domain.model import Held, Hold, IntentStatus, State, Step, Tenant
from gateway.domain.recipe import Holdings
from gateway.domain.roster import Roster, Row
from gateway.domain.rules import Rules
from gateway.errors import OperatorError
from gateway.flow.operate import check_undecided
from gateway.flow.reconcile import list_entries, list_numbers
from gateway.ports import OTHER_TARGET, Entry, OwnedNumber
from gateway.steps.context import StepParts, in_flight
from gateway.store import holdings, intents, subscriptions, tenants
from gateway.store.database import Transaction


class Way(StrEnum):
    """What a row comes to: `take_over`, `go_on` (it was begun before), `done` already, or a `problem`."""

    TAKE_OVER = "take_over"
    GO_ON = "go_on"
    DONE = "done"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Intended:
    """One row, and what would be done about it.

    tag: what number and entry are to be called.   does: in words, for people.
    assistant_id: to be the operator's word on it; None leaves what was said before, or the default.
    """

    row: Row
    way: Way = Way.TAKE_OVER
    tenant_id: int | None = None
    number: OwnedNumber | None = None
    tag: str = ""
    entry: Entry | None = None
    assistant_id: str | None = None
    does: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    def but(self, *problems: str) -> Intended:
        return replace(self, way=Way.PROBLEM, problems=(*self.problems, *problems)) if problems else self


@dataclass(frozen=True, slots=True)
class Accounts:
    """Both providers as they were when they were listed. entries: those of our telephony account, by number."""

    by_sid: Mapping[str, OwnedNumber]
    by_number: Mapping[str, OwnedNumber]
    entries: Mapping[str, Sequence[Entry]]
    entries_by_id: Mapping[str, Entry]
    account_sid: str
    assistants: Collection[str] = field(default_factory=frozenset)


def plan(parts: StepParts, roster: Roster, account_sid: str) -> list[Intended]:
    """Every line of the file in order. Raises a ProviderError when a provider cannot be listed whole."""
    there = look(parts, account_sid, {row.assistant_id for row in roster.rows if row.assistant_id})
    with parts.database.read() as tx:
        found = [intended(tx, parts, there, row) for row in roster.rows]
    unread: dict[int, tuple[str, ...]] = {}
    for problem in roster.problems:
        unread[problem.line] = (*unread.get(problem.line, ()), problem.says)
    found = without_doubles(found)
    found += [Intended(Row(line, ""), Way.PROBLEM, problems=says) for line, says in unread.items()]
    return sorted(found, key=lambda each: each.row.line)


def look(parts: StepParts, account_sid: str, named: Collection[str]) -> Accounts:
    numbers, all_entries = list_numbers(parts), list_entries(parts)
    entries: dict[str, list[Entry]] = {}
    for entry in all_entries:
        if entry.account_sid == account_sid:
            entries.setdefault(entry.number, []).append(entry)
    wanted = {*named, parts.rules.default_assistant_id} - {None}
    return Accounts(
        {number.sid: number for number in numbers},
        {number.number: number for number in numbers},
        entries,
        {entry.id: entry for entry in all_entries},
        account_sid,
        frozenset(each for each in sorted(filter(None, wanted)) if exists(parts, each)),
    )


def exists(parts: StepParts, assistant_id: str) -> bool:
    with in_flight(parts, parts.assistants.provider) as deadline:
        return parts.assistants.assistant_exists(assistant_id, deadline())


def without_doubles(found: list[Intended]) -> list[Intended]:
    """Two lines may mean one number, entry or tenant under different names."""
    lines: dict[tuple[str, object], list[int]] = {}
    for each in found:
        for thing in meant(each):
            lines.setdefault(thing, []).append(each.row.line)
    told = []
    for each in found:
        same = [(thing[0], lines[thing]) for thing in meant(each) if len(lines[thing]) > 1]
        told.append(each.but(*(f"Lines {', '.join(map(str, at))} mean one {what}. Leave one." for what, at in same)))
    return told


def meant(each: Intended) -> Iterator[tuple[str, object]]:
    if each.tenant_id is not None:
        yield "tenant", each.tenant_id
    if each.number is not None:
        yield "number", each.number.sid
    if each.entry is not None:
        yield "Vapi entry", each.entry.id


# --- one row ---------------------------------------------------------------------------------------------------------


def intended(tx: Transaction, parts: StepParts, there: Accounts, row: Row) -> Intended:
    tenant = tenants.by_key(tx, row.key)
    found = Intended(row, tenant_id=tenant.id if tenant else None)
    number, problem = number_meant(there, row)
    if number is None:
        return found.but(problem)
    found = replace(found, number=number, tag=tag_for(tx, parts.rules, tenant, row.key))
    if tenant is not None and holds(tx, tenant, number):
        return begun(tx, parts.rules, there, tenant, found)
    found = found.but(*in_the_way(tx, tenant, number, found.tag))
    entry, problems = entry_meant(parts, there, found)
    return with_words(parts, there, replace(found, entry=entry).but(*problems), tenant)


def number_meant(there: Accounts, row: Row) -> tuple[OwnedNumber | None, str]:
    """The number of the account that a row means, or why there is none."""
    what = row.sid or row.number or ""
    number = there.by_sid.get(row.sid) if row.sid else there.by_number.get(row.number or "")
    if number is None:
        return None, f"There is no number {what} in the Twilio account. Correct it, or move the number there first."
    if row.number is not None and number.number != row.number:
        return None, f"{row.sid} is {number.number} at Twilio, and not {row.number}. Correct one of them."
    return number, ""


def holds(tx: Transaction, tenant: Tenant, number: OwnedNumber) -> bool:
    intent = intents.open_of(tx, tenant)
    owned = intent is not None and intent.status is IntentStatus.OWNED
    return owned and intent is not None and (intent.number, intent.sid) == (number.number, number.sid)


def begun(tx: Transaction, rules: Rules, there: Accounts, tenant: Tenant, found: Intended) -> Intended:
    """The tenant has this number already: by a run that was cut off perhaps, or by one that said less."""
    row, held = found.row, holdings.of_tenant(tx, tenant.id)
    ref = held[Step.IMPORT_NUMBER].ref or row.vapi_id
    if row.vapi_id is not None and row.vapi_id != ref:
        return found.but(f"{row.key} has this number already, with the Vapi entry {ref} and not {row.vapi_id}.")
    entry = there.entries_by_id.get(ref or "")
    if entry is not None and is_foreign(entry, found.tag):
        return found.but(foreign(entry))
    does = []
    if entry is not None and entry.tag != found.tag:
        does.append(f"tag the import, now {entry.tag!r}")
    answers = options.merge(subscriptions.options_of(tx, tenant.id)).get("assistant_id") or rules.default_assistant_id
    if row.assistant_id is not None and row.assistant_id != answers:
        does.append(f"assign assistant {row.assistant_id}")
        if row.assistant_id not in there.assistants:
            found = found.but(f"Vapi has no assistant {row.assistant_id}.")
        found = replace(found, assistant_id=row.assistant_id)
    found = replace(found, entry=entry, does=tuple(does) or ("go on where it was left",))
    if found.problems or does or not is_done(tenant, held):
        return replace(found, way=Way.PROBLEM if found.problems else Way.GO_ON)
    return replace(found, way=Way.DONE, does=("it is taken over already",))


def is_done(tenant: Tenant, held: Holdings) -> bool:
    """Whether the tenant holds its number and its entry, and nothing is under way."""
    has_both = held[Step.BUY_NUMBER].held is held[Step.IMPORT_NUMBER].held is Held.YES
    return has_both and tenant.state in (State.ACTIVE, State.SUSPENDED) and tenant.block is None


def tag_for(tx: Transaction, rules: Rules, tenant: Tenant | None, key: str) -> str:
    """The tag that the number will bear: after a proved release that of the next generation."""
    if tenant is None:
        return keys.tag(rules.env, key, 1)
    generation = tenant.generation + intents.was_released(tx, tenant)
    return keys.tag(rules.env, tenant.tenant_key, generation)


def in_the_way(tx: Transaction, tenant: Tenant | None, number: OwnedNumber, tag: str) -> Iterator[str]:
    """Why this tenant must not have this number."""
    if tenant is not None and tenant.hold is Hold.RELEASE:
        yield (
            f"{tenant.tenant_key} is to be released. First: "
            f'python -m gateway tenants resume {tenant.tenant_key} --reason "…"'
        )
    if tenant is not None:
        try:
            check_undecided(tx, tenant)
        except OperatorError as error:
            yield str(error)
    owner = intents.other_owner(tx, number.number, tenant.id if tenant else 0)
    owner_key = tenants.get(tx, owner).tenant_key if owner is not None else None
    if owner_key is not None and keys.is_spare(owner_key):
        yield f"{number.number} is spare stock of ours. Give it: python -m gateway tenants adopt KEY {number.sid}"
    elif owner_key is not None:
        yield f"{number.number} is {owner_key}'s. Leave this line, or release it there first."
    elif keys.is_tag(number.tag) and number.tag != tag:
        yield (
            f"{number.number} bears the tag {number.tag} of another tenant, generation or installation. If nobody "
            "uses it any more, give it another name at Twilio first."
        )


def entry_meant(parts: StepParts, there: Accounts, found: Intended) -> tuple[Entry | None, list[str]]:
    """The number's entry at Vapi, as it is named or as it is found, and what is wrong with it."""
    row, number = found.row, found.number
    assert number is not None
    known = there.entries.get(number.number, ())
    if row.vapi_id is None and len(known) > 1:
        ids = ", ".join(entry.id for entry in known)
        return None, [f"{number.number} has {len(known)} entries at Vapi ({ids}): name the one that is to be kept."]
    entry = there.entries_by_id.get(row.vapi_id) if row.vapi_id else next(iter(known), None)
    if entry is None and row.vapi_id:
        return None, [f"There is no entry {row.vapi_id} at Vapi. Leave the column empty to have it found or made."]
    problems = [foreign(each) for each in known if is_foreign(each, found.tag)]
    if entry is None or is_foreign(entry, found.tag):
        return entry, problems or [foreign(entry)] if entry else problems
    return entry, problems + list(wrong_with(parts, there, entry, number))


def is_foreign(entry: Entry, tag: str) -> bool:
    return keys.is_tag(entry.tag) and entry.tag != tag


def foreign(entry: Entry) -> str:
    return (
        f"The Vapi entry {entry.id} of {entry.number} bears the tag {entry.tag} of another tenant, generation or "
        "installation. If nobody uses it any more, delete or rename it at Vapi first."
    )


def wrong_with(parts: StepParts, there: Accounts, entry: Entry, number: OwnedNumber) -> Iterator[str]:
    if entry.number != number.number:
        yield f"The Vapi entry {entry.id} is for {entry.number or 'no number'}, and not for {number.number}."
    elif entry.account_sid != there.account_sid:
        yield f"The Vapi entry {entry.id} takes {entry.number} from another Twilio account. Import it anew at Vapi."
    if entry.answering.assistant_id == OTHER_TARGET:
        yield f"The Vapi entry {entry.id} answers with a squad or a workflow. Give it an assistant at Vapi first."
    if entry.answering.says is not None:
        yield f"The Vapi entry {entry.id} has hooks of its own, which would be lost. Take them off at Vapi first."
    if not parts.assistants.answers_at(number.voice_url):
        where = host_of(number.voice_url)
        if where is not None:
            yield (
                f"{number.number} is imported at Vapi, and Twilio sends its calls to {where}. Point its voice URL at "
                "Vapi, or delete the entry there: then it is imported anew."
            )


def host_of(url: str | None) -> str | None:
    """Where calls go, without what else an address may hold; None: nowhere."""
    if not url:
        return None
    try:
        return urlsplit(url).hostname or "an address that cannot be read"
    except ValueError:
        return "an address that cannot be read"


def with_words(parts: StepParts, there: Accounts, found: Intended, tenant: Tenant | None) -> Intended:
    """Which assistant is to answer, and all of it in words."""
    number, entry, rules = found.number, found.entry, parts.rules
    assert number is not None
    now = entry.answering.assistant_id if entry else None
    chosen = found.row.assistant_id or now
    answers = chosen or rules.default_assistant_id
    if answers is None:
        found = found.but("No assistant is to answer it: name one, or set VAPI_ASSISTANT_ID.")
    elif answers != now and answers not in there.assistants:
        found = found.but(f"Vapi has no assistant {answers}.")
    does = ["make the tenant" if tenant is None else f"the tenant is {tenant.state}"]
    does.append("it bears our tag" if number.tag == found.tag else f"tag the number, now {number.tag!r}")
    if entry is not None:
        does.append("keep the import" + ("" if entry.tag == found.tag else f" and tag it, now {entry.tag!r}"))
    else:
        where = None if parts.assistants.answers_at(number.voice_url) else host_of(number.voice_url)
        does.append("import it at Vapi" + (f", so that its calls go to {where} no longer" if where else ""))
    does.append(f"{'keep' if answers == now else 'assign'} assistant {answers}")
    if rules.server_url_template is not None:
        does.append("set its server by VAPI_SERVER_URL")
    return replace(found, assistant_id=chosen, does=tuple(does))
