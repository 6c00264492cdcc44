"""What we ask of the outside, in words no vendor owns. Protocols and the values they speak in; no code.

Every provider call gets a `Deadline` for everything (connect, send, first byte, last byte) and raises one of the
three provider errors of `errors.py`; `Refused(kind="credentials")` is the only one that concerns all tenants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gateway.domain.model import Answering as Answering
from gateway.domain.model import Delivery, Event, News


class Clock(Protocol):
    """The only way to the time. Handed down by `wiring`."""

    def now_ms(self) -> int:
        """Wall clock plus the sandbox's offset, epoch milliseconds."""
        ...

    def monotonic(self) -> float:
        """Seconds that never run backwards and go on while the machine sleeps."""
        ...


def never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a call must have ended; past it not one byte of the request is sent.

    at_monotonic: by the monotonic clock, seconds.   at_ms: the same moment by `Clock.now_ms`, as stored.
    Both are checked: a machine that was asleep may have stopped either.
    is_void: whether the call must not begin any more for another reason; asked where the deadline is.
    """

    at_monotonic: float
    at_ms: int
    is_void: Callable[[], bool] = never


class Source(Protocol):
    """A system that sends webhooks."""

    name: str

    def verify(self, delivery: Delivery, now_ms: int) -> None:
        """Check the signature over the raw bytes and its age; raises SignatureInvalid. Touches no body."""
        ...

    def read(self, delivery: Delivery) -> tuple[Event, ...]:
        """The events of a verified delivery, as far as intake needs them; raises BodyUnreadable."""
        ...

    def interpret(self, event: Event) -> News | None:
        """What a stored event says of a subscription; None for types that say nothing to us.

        Raises BodyUnreadable when the body of a known type lacks what it must have.
        """
        ...


@dataclass(frozen=True, slots=True)
class NumberWish:
    """Which number to search. `locality`, `region` and `contains` are passed on as the customer wrote them.

    near_number: E.164; numbers near that one.   has_address: numbers that need an address are wanted too.
    is_only_asking: any number will do, also one that cannot be called: only its place is of interest.
    """

    country: str
    number_type: str = "local"
    area_code: str | None = None
    contains: str | None = None
    locality: str | None = None
    has_address: bool = False
    region: str | None = None
    near_number: str | None = None
    is_only_asking: bool = False


@dataclass(frozen=True, slots=True)
class AvailableNumber:
    number: str
    locality: str | None
    region: str | None
    country: str
    number_type: str
    address_requirements: str
    capabilities: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OwnedNumber:
    """A number in the telephony account. `tag` is its friendly name, ours or anybody's."""

    sid: str
    number: str
    tag: str
    voice_url: str | None = None


@dataclass(frozen=True, slots=True)
class PostalAddress:
    """Where a customer is, as a country's rules want to know it. country: ISO 3166, two letters."""

    customer_name: str
    street: str
    city: str
    region: str
    postal_code: str
    country: str


@dataclass(frozen=True, slots=True)
class RegisteredAddress:
    """An address on file at the telephony account. `tag` is its friendly name, ours or anybody's."""

    sid: str
    address: PostalAddress
    tag: str
    is_validated: bool


@dataclass(frozen=True, slots=True)
class Bundle:
    """Regulatory papers for one kind of number. status: as the provider spells it; only an approved one buys."""

    sid: str
    country: str
    number_type: str
    status: str
    is_approved: bool
    valid_until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Regulation:
    """What one kind of number wants to be shown. requirements: names of papers, for people."""

    country: str
    number_type: str
    needs_bundle: bool
    requirements: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Price:
    """A month of one kind of number, as received: text."""

    number_type: str
    base_price: str
    current_price: str


@dataclass(frozen=True, slots=True)
class PriceList:
    country: str
    country_name: str
    currency: str
    prices: tuple[Price, ...]


class PaperOffice(Protocol):
    """Where a customer's address and regulatory bundles are on file, at the same account as the numbers."""

    provider: str

    def list_addresses(
        self, deadline: Deadline, *, country: str | None = None, tag: str | None = None
    ) -> list[RegisteredAddress]:
        """Every address on file, all pages, newest first; a page that fails raises, never a partial list.

        country, tag: only those of this country, only those whose friendly name is exactly this.
        """
        ...

    def fetch_address(self, sid: str, deadline: Deadline) -> RegisteredAddress | None:
        """One address by its SID; None when there is none."""
        ...

    def register_address(self, address: PostalAddress, tag: str, deadline: Deadline) -> RegisteredAddress:
        """Put an address on file, exactly as given; one attempt. Nothing keeps a second one from being made: look
        for `tag` first. Raises Refused(`address_invalid`) when the address is not a real one, TryLater, Unclear.
        """
        ...

    def fetch_bundle(self, sid: str, deadline: Deadline) -> Bundle | None:
        """One bundle by its SID as it is now; None when there is none."""
        ...

    def list_bundles(self, country: str, number_type: str, deadline: Deadline) -> list[Bundle]:
        """Every bundle for this kind of number."""
        ...

    def regulation(self, country: str, number_type: str, deadline: Deadline) -> Regulation | None:
        """What this kind of number wants for a business; None when the provider does not say."""
        ...


class Telephony(Protocol):
    """Where numbers are bought."""

    provider: str

    def check_account(self, deadline: Deadline) -> None:
        """Raise unless the credentials open an active account. Free; used as the breaker's probe."""
        ...

    def search(self, wish: NumberWish, limit: int, deadline: Deadline) -> list[AvailableNumber]:
        """Numbers for sale; `[]` when there are none. No hold is placed on them."""
        ...

    def find_by_tag(self, tag: str, deadline: Deadline) -> list[OwnedNumber]:
        """Every number of the account whose friendly name is exactly `tag`."""
        ...

    def find_by_number(self, number: str, deadline: Deadline) -> OwnedNumber | None:
        """The account's own number that is exactly `number`."""
        ...

    def fetch(self, sid: str, deadline: Deadline) -> OwnedNumber | None:
        """One number by its SID; None when it is gone."""
        ...

    def buy(
        self,
        number: str,
        tag: str,
        deadline: Deadline,
        address_sid: str | None = None,
        bundle_sid: str | None = None,
    ) -> OwnedNumber:
        """Buy exactly `number` and mark it with `tag`; one attempt, never repeated by the client.

        tag: at most 40 characters, one per tenant and generation. Safe to repeat with the same number; never call
        it with another while this one is undecided.
        Raises TryLater (429, nothing was sent), Refused (`unavailable` for 21421 and 21422, `address`, `bundle`,
        `credentials`, `other`), Unclear (it may have been bought; prove it).
        """
        ...

    def release(self, sid: str, deadline: Deadline) -> bool:
        """Give a number back, for good. True: released now; False: it was already gone. Safe to repeat."""
        ...

    def rename(self, sid: str, tag: str, deadline: Deadline) -> OwnedNumber:
        """Set the friendly name. Safe to repeat."""
        ...

    def list_all(self, deadline: Deadline) -> list[OwnedNumber]:
        """Every number of the account, all pages; a page that fails raises, never a partial list."""
        ...

    def monthly_price(self, country: str, number_type: str, deadline: Deadline) -> tuple[str, str] | None:
        """(price as received, currency), for reports; None when not listed."""
        ...

    def price_list(self, country: str, deadline: Deadline) -> PriceList | None:
        """What each kind of number costs there a month; None when nothing is sold there."""
        ...


# Stands in an entry's `answering` where a setting of other people's decides over its calls: as the assistant, and as
# the sentence. Never equal to anything we would set.
OTHER_TARGET = "<squad or workflow>"
OTHER_HOOK = "<other hook>"


@dataclass(frozen=True, slots=True)
class Entry:
    """A number as the assistants' platform knows it. `tag` is its name there."""

    id: str
    number: str
    tag: str
    account_sid: str | None
    answering: Answering
    created_at_ms: int = 0


class Assistants(Protocol):
    """The voice-AI platform that answers the numbers."""

    provider: str

    def check_account(self, deadline: Deadline) -> None:
        """Raise unless the credentials work. Free; used as the breaker's probe."""
        ...

    def assistant_exists(self, assistant_id: str, deadline: Deadline) -> bool:
        """Whether this assistant can be assigned."""
        ...

    def find(self, number: str, deadline: Deadline) -> list[Entry]:
        """Every entry for exactly `number` of our telephony account; more than one is possible."""
        ...

    def get(self, entry_id: str, deadline: Deadline) -> Entry | None:
        """One entry; None when it is gone."""
        ...

    def import_number(self, number: str, tag: str, deadline: Deadline) -> Entry:
        """Make an entry for a number we own. One attempt.

        Raises Refused(`exists`) when the platform says it knows the number, Refused(`not_found_at_telephony`) when
        it cannot see it yet, TryLater, Unclear.
        """
        ...

    def assign(self, entry_id: str, answering: Answering, deadline: Deadline) -> Entry:
        """Set what callers meet; safe to repeat. None leaves assistant or server as they are; `says` None ends it."""
        ...

    def rename(self, entry_id: str, tag: str, deadline: Deadline) -> Entry:
        """Set the entry's name and nothing else. Safe to repeat."""
        ...

    def remove(self, entry_id: str, deadline: Deadline) -> bool:
        """Delete the entry. True: deleted now; False: it was already gone. Safe to repeat."""
        ...

    def list_all(self, deadline: Deadline) -> list[Entry]:
        """Every entry, all pages; a page that fails raises."""
        ...

    def answers_at(self, voice_url: str | None) -> bool:
        """Whether a number with this voice URL sends its calls to this platform."""
        ...


@dataclass(frozen=True, slots=True)
class BillingRecord:
    """A subscription as the billing system states it now; replaces all news about it."""

    subscription_id: str
    status: str
    started_at_ms: int
    ended_at_ms: int | None
    ends_at_ms: int | None
    metadata: Mapping[str, str]
    customer_id: str | None
    latest_invoice_paid: bool | None = None


class Billing(Protocol):
    """Where a subscription can be read again before anything is done about it."""

    provider: str

    def read_subscription(self, subscription_id: str, deadline: Deadline) -> BillingRecord | None:
        """The subscription as it is now; None when the billing system does not know it."""
        ...
