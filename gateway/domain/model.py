"""The nouns of the domain: frozen values that pass between layers.

Times are epoch milliseconds, UTC (`…_at_ms`). Phone numbers are E.164 text. Nothing here computes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class State(StrEnum):
    NEW = "new"
    PROVISIONING = "provisioning"
    ACTIVE = "active"
    SUSPENDING = "suspending"
    SUSPENDED = "suspended"
    RESUMING = "resuming"
    RELEASING = "releasing"
    RELEASED = "released"


class Wanted(StrEnum):
    """What all subscriptions of a tenant together ask for."""

    NOTHING = "nothing"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    RELEASED = "released"


class Held(StrEnum):
    NO = "no"
    MAYBE = "maybe"
    YES = "yes"


class Step(StrEnum):
    BUY_NUMBER = "buy_number"
    IMPORT_NUMBER = "import_number"
    ASSIGN_ASSISTANT = "assign_assistant"


class Extent(StrEnum):
    """How much a tenant gets. Whoever pays gets all of it; made by hand it may be less, and more later on."""

    NUMBER = "number"  # Only the number.
    ENTRY = "entry"  # It is imported too; an assistant answers if one is named.
    FULL = "full"


class Verb(StrEnum):
    LOOK = "look"
    MAKE = "make"
    UNDO = "undo"


class Hold(StrEnum):
    """An operator's word that beats every subscription until `resume`."""

    SUSPEND = "suspend"
    RELEASE = "release"


class Blocked(StrEnum):
    """Why a tenant does not go on. Those in CLEARS_ITSELF go on when their cause is gone."""

    NEEDS_ADDRESS = "needs_address"
    NEEDS_BUNDLE = "needs_bundle"
    NEEDS_ASSISTANT = "needs_assistant"
    AWAITING_CHOICE = "awaiting_choice"
    NO_NUMBERS = "no_numbers"
    NUMBER_TAKEN = "number_taken"
    OPTIONS_INVALID = "options_invalid"
    PRICE_CEILING = "price_ceiling"
    SPEND_CAP = "spend_cap"
    PROVIDER_CREDENTIALS = "provider_credentials"
    PROVIDER_REFUSED = "provider_refused"
    RELEASE_BRAKE = "release_brake"
    AMBIGUOUS = "ambiguous"


CLEARS_ITSELF = frozenset(
    {
        Blocked.NEEDS_ADDRESS,
        Blocked.NEEDS_BUNDLE,
        Blocked.NEEDS_ASSISTANT,
        Blocked.AWAITING_CHOICE,
        Blocked.SPEND_CAP,
        Blocked.PROVIDER_CREDENTIALS,
    }
)
CLEARED_BY_OPTIONS = CLEARS_ITSELF | {
    Blocked.NO_NUMBERS,
    Blocked.NUMBER_TAKEN,
    Blocked.OPTIONS_INVALID,
    Blocked.PRICE_CEILING,
}


@dataclass(frozen=True, slots=True)
class Delivery:
    """One time we were told something: the raw bytes, and the headers by lower-case name.

    Never stored or logged whole: headers may hold credentials. What is kept of them is the event's.
    peer: the address of whoever opened the connection, a proxy perhaps.
    """

    source: str
    headers: Mapping[str, str]
    body: bytes
    received_at_ms: int
    peer: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """What happened, as far as intake must know it to store it once.

    event_id: the sender's own id, unique in its source.   says_hash: over what the event says, not how it was sent.
    """

    source: str
    event_id: str
    type: str
    occurred_at_ms: int
    says_hash: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Payment(StrEnum):
    PAID = "paid"
    FAILED = "failed"
    UNPAID = "unpaid"


@dataclass(frozen=True, slots=True)
class News:
    """What one event says about a subscription, in words no vendor owns.

    tenant_key: the key the event names (metadata first, then the sender's reference field), not yet checked.
    status: the subscription's status as the sender spells it; None when the event does not say.
    payment: what it says about money; `unpaid` is a completed checkout that still waits for its money.
    subscription_issued: the sender made the id; False where the tenant key stands for the subscription.
    makes_tenant: a completed checkout: may make a tenant by itself when no key is given.
    options: of contract section 5, unchecked text.   options_level: `session`, `subscription` or `customer`.
    options_at_ms: when the options held, where that was before `occurred_at_ms` (an invoice's frozen copy).
    livemode: None when the source has no such thing.
    """

    source: str
    event_id: str
    type: str
    occurred_at_ms: int
    subscription_id: str | None = None
    subscription_issued: bool = True
    customer_id: str | None = None
    tenant_key: str | None = None
    status: str | None = None
    payment: Payment | None = None
    makes_tenant: bool = False
    ends_at_ms: int | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    options_level: str = "subscription"
    options_at_ms: int | None = None
    livemode: bool | None = None


@dataclass(frozen=True, slots=True)
class StatusNews:
    """One status a subscription was said to have. Waiting times count from the later of the two times."""

    occurred_at_ms: int
    status: str
    stored_at_ms: int


@dataclass(frozen=True, slots=True)
class Money:
    """The newest word on money of one kind; waiting times count from the later of the two times."""

    occurred_at_ms: int
    stored_at_ms: int


@dataclass(frozen=True, slots=True)
class Subscription:
    """All we were told of one subscription, in a form that does not depend on the order we were told it.

    issued: the sender made the id, so an ended subscription never comes back to life.
    linked_by: `name` (an event named the tenant; written once) or `customer` (last resort, yields to a name).
    ends_at_ms: a scheduled end, only remembered; ends_said_at_ms: when we were told so, or told that there is none.
    """

    source: str
    subscription_id: str
    issued: bool
    linked_by: str
    statuses: tuple[StatusNews, ...] = ()
    paid: Money | None = None
    failed: Money | None = None
    checkout_unpaid: bool = False
    ends_at_ms: int | None = None
    ends_said_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What is wanted now, until when, and why (a sentence for people)."""

    wanted: Wanted
    reason: str
    changes_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Holding:
    """What a tenant holds of one step.

    ref: the provider's own id (PN… SID, entry id), or for `assign_assistant` the target that was set.
    doubt_at_ms: from then on it is looked at again before anything else, although it counts as held meanwhile.
    """

    step: Step
    held: Held
    ref: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    doubt_at_ms: int | None = None


def unknown_import(number: str) -> Holding:
    """Of a number that was taken over: it may be imported and answer calls already, suspended or not."""
    return Holding(Step.IMPORT_NUMBER, Held.MAYBE, None, {"number": number})


@dataclass(frozen=True, slots=True)
class Block:
    """Why a tenant does not go on, in a code and a sentence."""

    code: Blocked
    message: str
    step: Step | None
    wanted: Wanted
    at_ms: int


@dataclass(frozen=True, slots=True)
class Tenant:
    """One row of `tenants`. `version` rises with each change of mind, `fence` with each lease."""

    id: int
    tenant_key: str
    state: State
    wanted: Wanted
    reason: str
    changes_at_ms: int | None
    generation: int
    version: int
    fence: int
    lease_owner: str | None
    lease_until_ms: int | None
    next_run_at_ms: int | None
    hold: Hold | None
    block: Block | None
    tries: int
    self_named: bool
    created_at_ms: int
    updated_at_ms: int
    extent: Extent = Extent.FULL


@dataclass(frozen=True, slots=True)
class Options:
    """What a signup said about its number, checked. Every field None or empty means: the default."""

    country: str | None = None
    number_type: str | None = None
    area_code: str | None = None
    contains: str | None = None
    locality: str | None = None
    phone_number: str | None = None
    choose: bool = False
    assistant_id: str | None = None
    address: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Work:
    """The one thing to do next for a tenant."""

    verb: Verb
    step: Step


@dataclass(frozen=True, slots=True)
class Answering:
    """What a number does with a call.

    says: the sentence callers hear instead of the assistant; None lets the assistant answer.
    server_url: where the platform sends this number's events; None: none is set, or none is asked for.
    """

    assistant_id: str | None
    server_url: str | None = None
    says: str | None = None


class IntentStatus(StrEnum):
    """The purchase protocol's states of one chosen number. The first four are open: they exclude every other."""

    CHOSEN = "chosen"
    SENT = "sent"
    UNKNOWN = "unknown"
    OWNED = "owned"
    REFUSED = "refused"
    DROPPED = "dropped"
    RELEASED = "released"
    GIVEN = "given"  # A spare number that is a tenant's now.


@dataclass(frozen=True, slots=True)
class Intent:
    """One number this tenant's generation is committed to.

    round: 1, or 2 after an absence was proved and the same number started again.
    looks: since the last POST.   taken_at_ms: when a clean "not available" was received.
    address_sid, bundle_sid: the papers that every purchase of this number shows.
    """

    id: int
    tenant_id: int
    generation: int
    number: str
    tag: str
    status: IntentStatus
    is_exact: bool
    round: int
    looks: int
    first_sent_at_ms: int | None
    round_sent_at_ms: int | None
    taken_at_ms: int | None
    sid: str | None
    country: str
    number_type: str
    address_sid: str | None = None
    bundle_sid: str | None = None
