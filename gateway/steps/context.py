"""What a step is given to work with: the tenant under its lease, the outside, and the two ways to touch either.

`ask` makes a call that changes nothing. `effect` makes one that may: it commits that the call is about to be made
before it makes it, so that whatever happens afterwards there is a trace. No transaction is ever open during a call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, Generic, Protocol, TypeVar

from gateway.domain import keys
from gateway.domain.model import Blocked, Held, Holding, Step, Tenant, Work
from gateway.domain.recipe import Holdings
from gateway.domain.retry import pause_ms
from gateway.domain.rules import Rules
from gateway.errors import GatewayError, LeaseLost, ProviderError, Refused, TryLater
from gateway.ports import Assistants, Billing, Clock, Deadline, PaperOffice, PriceList, Regulation, Telephony
from gateway.steps.remembered import Remembered
from gateway.store import attempts, holdings, journal, leases
from gateway.store.attempts import Attempt
from gateway.store.database import Database, Transaction, in_read

T = TypeVar("T")

# How old the answer may be to whether the lease is ours and the provider takes calls.
STANDS_SECONDS = 0.1
# What is counted over all tenants is counted by one transaction at a time. One name for all, so that nobody holds one
# and waits for another.
BRAKES = "brakes"


class MindChanged(LeaseLost):
    """The tenant changed while a step was under way: nothing was sent; decide anew."""


class Stopping(GatewayError):
    """This process is to end: no new call starts."""


class Commit(Protocol):
    """Runs a function in a write transaction, together with others, and gives its result once it is on disk."""

    def __call__(self, job: Callable[[Transaction], T]) -> T: ...


class Slots(Protocol):
    """How many calls may be open at a provider, over all processes."""

    def hold(self, provider: str, gives_up: Callable[[], bool]) -> AbstractContextManager[Callable[[], bool]]:
        """Hold one for a call; gives what says whether it was lost since. Waits until `gives_up` says yes."""
        ...

    def expect_calls(self) -> None:
        """Calls are likely soon: have slots by then. At once, and nothing is promised."""
        ...

    def close(self) -> None:
        """Give back what is held; nobody makes calls any more."""
        ...


class MakeDeadline(Protocol):
    """The deadline of a call that is about to be made: now, and so many times the time that one call may take."""

    def __call__(self, times: int = 1) -> Deadline: ...


@dataclass(frozen=True)
class StepParts:
    """The outside and the store, as `wiring` put them together. Shared by all step threads.

    gate: held while a call is open; the sandbox's clock moves only when nobody holds it.
    is_stopping: no new call starts once it says yes.
    regulations, prices: what was asked lately, by (country, number type) and by country.
    """

    database: Database
    commit: Commit
    telephony: Telephony
    papers: PaperOffice
    assistants: Assistants
    billing: Billing | None
    clock: Clock
    rules: Rules
    slots: Slots
    gate: Callable[[], AbstractContextManager[None]]
    is_stopping: Callable[[], bool]
    random: Random
    regulations: Remembered[tuple[str, str], Regulation | None] = field(default_factory=Remembered)
    prices: Remembered[str, PriceList | None] = field(default_factory=Remembered)


@contextmanager
def in_flight(parts: StepParts, provider: str) -> Iterator[MakeDeadline]:
    """Hold while one call is open: the clock stands still, and others wait for its slot. Raises Stopping."""
    with parts.gate(), parts.slots.hold(provider, parts.is_stopping) as is_lost:
        if parts.is_stopping():
            raise Stopping("This process is stopping.")

        def deadline(times: int = 1) -> Deadline:
            ms = parts.rules.provider_timeout_ms * times
            return Deadline(parts.clock.monotonic() + ms / 1000, parts.clock.now_ms() + ms, is_lost)

        yield deadline


@dataclass(frozen=True, slots=True)
class Halt:
    """Why a step does not go on by itself, for the tenant's `blocked`. recheck_at_ms: when it tries by itself."""

    code: Blocked
    message: str
    recheck_at_ms: int | None = None


def store_nothing(tx: Transaction, now_ms: int) -> None:
    """For outcomes that leave no mark of their own."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step ended.

    name: one word for logs and the timeline.   store: what to write, in the transaction that decides what is next.
    wait_until_ms: look at the tenant again then; None: go on at once.   error: the provider's, where there was one.
    """

    name: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    store: Callable[[Transaction, int], None] = store_nothing
    wait_until_ms: int | None = None
    halt: Halt | None = None
    error: ProviderError | None = None
    duration_ms: int | None = None


class Halted(Exception):
    """Leaves a step from deep inside with an outcome."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.name)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Effect(Generic[T]):
    """What came of a call that may have changed something: a value or an error, never both."""

    attempt: Attempt
    value: T | None
    error: ProviderError | None
    duration_ms: int

    def finish(self, tx: Transaction, outcome: str, now_ms: int) -> None:
        """Write down how the attempt ended."""
        code = str(self.error.code or self.error.status or "") if self.error else ""
        detail = str(self.error) if self.error else None
        attempts.finish(tx, self.attempt.id, outcome, now_ms, self.duration_ms, code=code or None, detail=detail)


class Context:
    """One tenant's work under one lease. Used by one thread."""

    def __init__(self, parts: StepParts, tenant: Tenant, held: Holdings, work: Work) -> None:
        self.parts = parts
        self.tenant = tenant
        self.held = held
        self.work = work
        self.rules = parts.rules.for_tenant(tenant.tenant_key)
        self.telephony = parts.telephony
        self.papers = parts.papers
        self.assistants = parts.assistants
        # Until when each provider need not be asked about again, by the monotonic clock.
        self._stands_until: dict[str, float] = {}

    @property
    def tag(self) -> str:
        """This generation's tag, at both providers."""
        return keys.tag(self.rules.env, self.tenant.tenant_key, self.tenant.generation)

    @property
    def retry_command(self) -> str:
        """What to type once something was put right, for messages to operators."""
        return f'python -m gateway tenants retry {self.tenant.tenant_key} --reason "…"'

    def now_ms(self) -> int:
        return self.parts.clock.now_ms()

    def read(self, question: Callable[[Transaction], T]) -> T:
        """Ask the database one consistent question."""
        return in_read(self.parts.database, question)

    def read_one(self, question: Callable[[Transaction], T]) -> T:
        """Ask the database a question of one statement."""
        return in_read(self.parts.database, question, is_single=True)

    def commit(self, job: Callable[[Transaction], T]) -> T:
        """Write under this lease's fence; raises LeaseLost, or MindChanged when the tenant changed meanwhile."""

        def fenced(tx: Transaction) -> T:
            tenant = leases.check(tx, self.tenant.id, self.tenant.fence)
            if tenant.version != self.tenant.version:
                raise MindChanged(f"{self.tenant.tenant_key} changed meanwhile.")
            return job(tx)

        return self.parts.commit(fenced)

    def ask(self, provider: str, call: Callable[[Deadline], T]) -> T:
        """Make a call that changes nothing."""
        with self._in_flight(provider) as deadline:
            return call(deadline())

    def effect(
        self,
        provider: str,
        operation: str,
        number: str,
        call: Callable[[Deadline], T],
        before: Callable[[Transaction, int], None],
    ) -> Effect[T]:
        """Commit `before` and the attempt, then make the call once; gives its value or its error, never raises it.

        The deadline begins before the commit: a process paused in between sends nothing when it wakes up.
        """
        with self._in_flight(provider) as make_deadline:
            deadline = make_deadline()
            now_ms = self.now_ms()

            def begin(tx: Transaction) -> Attempt:
                before(tx, now_ms)
                return attempts.begin(tx, self.tenant, self.work.step, operation, number, now_ms, deadline.at_ms)

            attempt = self.commit(begin)
            started = self.parts.clock.monotonic()
            value: T | None = None
            error: ProviderError | None = None
            try:
                value = call(deadline)
            except ProviderError as failure:
                error = failure
            duration_ms = int((self.parts.clock.monotonic() - started) * 1000)
        return Effect(attempt, value, error, duration_ms)

    def put(self, tx: Transaction, holding: Holding, now_ms: int) -> None:
        """Store a holding of this tenant."""
        holdings.put(tx, self.tenant.id, holding, now_ms)

    def note(self, tx: Transaction, now_ms: int, name: str, **detail: Any) -> None:
        """A line for the timeline."""
        journal.write(tx, self.tenant.id, now_ms, "note", name, detail)

    def pause_ms(self, tries: int) -> int:
        """A growing pause, spread at random."""
        return pause_ms(tries, self.parts.random.random())

    @contextmanager
    def _in_flight(self, provider: str) -> Iterator[MakeDeadline]:
        with in_flight(self.parts, provider) as deadline:
            self._stand(provider)
            yield deadline

    def _stand(self, provider: str) -> None:
        """Just before a call: the lease is ours and long enough, the provider takes calls.

        Seen by the database a moment ago is seen: what a call may do to others is bounded by its deadline.
        """
        began = self.parts.clock.monotonic()
        if began < self._stands_until.get(provider, 0.0):
            return
        now_ms = self.now_ms()
        found = self.read_one(lambda tx: leases.look(tx, self.tenant.id, self.tenant.fence, provider))
        if found.lease_until_ms - now_ms < 2 * self.rules.provider_timeout_ms:
            self.parts.commit(
                lambda tx: leases.renew(tx, self.tenant.id, self.tenant.fence, now_ms, self.rules.lease_ms)
            )
        if found.is_refusing:
            raise Refused(
                found.reason or f"{provider} refuses our credentials.", kind="credentials", provider=provider
            )
        if found.paused_until_ms > now_ms:
            raise TryLater(
                f"{provider} asked us to slow down.",
                retry_after_seconds=(found.paused_until_ms - now_ms) / 1000,
                provider=provider,
            )
        self._stands_until[provider] = began + STANDS_SECONDS


def ambiguous(message: str) -> Outcome:
    """Only a person can say whose this is. Everything stays as it is until a look shows otherwise."""
    return Outcome("ambiguous", {"why": message}, halt=Halt(Blocked.AMBIGUOUS, message))


def no(step: Step) -> Holding:
    return Holding(step, Held.NO)
