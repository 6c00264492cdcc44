"""Settings become a working gateway: the one place that knows everybody. Which vendor is which: `vendors.py`.

One of the few that read the clock; everyone else is handed it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

from gateway.domain.rules import Papers, Rules
from gateway.errors import StorageUnavailable
from gateway.flow.apply import ApplyParts
from gateway.flow.health import Health
from gateway.flow.receive import Intake, Pressure, Rejections, StorageProbe
from gateway.flow.reconsider import options_changed, reconsider
from gateway.integrations.http import Http
from gateway.ports import Clock, Source
from gateway.scheduler import Scheduler, driving
from gateway.scheduler.embedded import EmbeddedScheduler
from gateway.scheduler.engine import EngineScheduler
from gateway.scheduler.lock import place_of
from gateway.settings import Settings
from gateway.steps.context import Slots, StepParts
from gateway.store import installation, wakeups, watermark
from gateway.store.database import Database, Transaction
from gateway.store.engines import open_database
from gateway.store.gate import ClockGate, open_gate
from gateway.store.group import GroupCommit, Job, run_each
from gateway.store.slot_keeper import SlotKeeper
from gateway.vendors import assistants_of, billing_of, papers_of, sources_of, telephony_of

T = TypeVar("T")

# Waiting a little lets steps that finish together share a commit; with few in flight it would only slow them down.
GATHER_SECONDS = 0.004
GATHER_FROM_STEPS = 8
# More of them only take turns in this process.
MOST_STEP_WRITERS = 3
STRIPE_CONCURRENCY = 8
# Beside its steps a worker lists what there is, and probes.
HOUSEKEEPING_CALLS = 2


class SystemClock:
    """The wall clock, as live mode has it."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        # Goes on while the machine sleeps, where the kernel has such a clock.
        if hasattr(time, "CLOCK_BOOTTIME"):
            return time.clock_gettime(time.CLOCK_BOOTTIME)
        return time.monotonic()


class DatabaseClock(SystemClock):
    """The database's time, one for all machines; this machine's where it keeps none."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def now_ms(self) -> int:
        at_ms = self._database.now_ms()
        return super().now_ms() if at_ms is None else at_ms


class SandboxClock(DatabaseClock):
    """That plus the offset that the database holds; a stamp on the gate's file says when it was moved."""

    def __init__(self, database: Database, gate: ClockGate) -> None:
        super().__init__(database)
        self._gate = gate
        self._seen: int | None = None
        self._offset_ms = 0

    def now_ms(self) -> int:
        stamp = self._gate.stamp()
        if stamp != self._seen:
            with self._database.read() as tx:
                self._offset_ms = installation.clock_offset_ms(tx)
            self._seen = stamp
        return super().now_ms() + self._offset_ms


@dataclass(frozen=True)
class Gateway:
    """Everything of one process, built and not started."""

    settings: Settings
    database: Database
    clock: Clock
    gate: ClockGate | None
    rules: Rules
    sources: Mapping[str, Source]
    intake: Intake
    rejections: Rejections
    health: Health
    news: ApplyParts
    steps: StepParts
    http: Http
    scheduler: Scheduler
    close_writer: Callable[[], None]

    def start(self) -> None:
        """Begin to work; the first call finds its slot."""
        self.scheduler.start()
        self.steps.slots.expect_calls()

    def close(self) -> None:
        """End the writers and close the database; only when nothing uses this gateway any more."""
        self.intake.close()
        self.rejections.flush()
        self.steps.slots.close()
        self.close_writer()
        self.http.close()
        self.database.close()


def rules_from(settings: Settings) -> Rules:
    times, limits, signup = settings.times, settings.limits, settings.signup
    return Rules(
        env=settings.env,
        default_country=signup.default_country,
        default_number_type=signup.default_number_type,
        default_assistant_id=settings.vapi.assistant_id,
        server_url_template=settings.vapi.server_url,
        suspended_message=signup.suspended_message,
        grace_ms=times.grace_ms,
        release_after_ms=times.release_after_ms,
        settle_ms=times.settle_ms,
        taken_settle_ms=times.taken_settle_ms,
        provider_timeout_ms=times.provider_timeout_ms,
        lease_ms=times.lease_ms,
        max_purchases_per_hour=limits.max_purchases_per_hour,
        max_purchases_per_day=limits.max_purchases_per_day,
        max_releases_per_hour=limits.max_releases_per_hour,
        max_release_share=limits.max_release_share,
        papers={
            kind: Papers(shown.address_sid, shown.bundle_sid) for kind, shown in settings.twilio.compliance.items()
        },
    )


def with_pretend_world(settings: Settings) -> Settings:
    """In sandbox mode: the settings with the pretend world's address, which is started when none answers."""
    if not settings.needs_world:
        return settings
    from gateway.settings import with_world
    from gateway.simulator.address import ensure_world

    world = ensure_world(settings.database.var_dir, **world_options(settings))
    return with_world(settings, world.url, world.id)


def world_options(settings: Settings) -> dict[str, Any]:
    """What the pretend world must accept so that these settings open it."""
    twilio = settings.twilio
    keys = {str(twilio.api_key): str(twilio.api_secret)} if twilio.api_key and twilio.api_secret else {}
    options: dict[str, Any] = {
        "account_sid": twilio.account_sid,
        "api_keys": keys,
        "vapi_key": str(settings.vapi.api_key),
        "stripe_secrets": [str(secret) for secret in settings.stripe.webhook_secrets],
    }
    if twilio.auth_token:
        options["auth_token"] = str(twilio.auth_token)
    if settings.stripe.api_key:
        options["stripe_api_key"] = str(settings.stripe.api_key)
    if settings.vapi.assistant_id:
        options["assistants"] = [settings.vapi.assistant_id]
    return options


def build(
    settings: Settings,
    database: Database,
    *,
    clock: Clock | None = None,
    adapter: Callable[[], Any] | None = None,
    seed: int | None = None,
    slots: Slots | None = None,
) -> Gateway:
    """A gateway on an opened database. Starts no scheduler; opens no connection to anybody.

    clock, adapter, seed, slots: for tests: a clock by hand, a transport in this process, reproducible choices, and
    slots without a thread that keeps them.
    """
    gate = None if settings.is_live else ClockGate(settings.database.path)
    clock = clock or (SandboxClock(database, gate) if gate else DatabaseClock(database))
    watermark.rise(database, clock.now_ms())
    http = Http(clock, adapter) if adapter else Http(clock)
    rules = rules_from(settings)
    sources = sources_of(settings)
    billing = billing_of(settings, http)
    running: list[Scheduler] = []

    def wake() -> None:
        for scheduler in running:
            scheduler.wake()

    writer: GroupCommit[Job, Any] = GroupCommit(
        database,
        run_each,
        name="steps",
        pause_seconds=lambda: gather_seconds(running),
        threads=step_writers(settings),
    )

    def commit(job: Callable[[Transaction], T]) -> T:
        result: T = writer.call(job)
        return result

    steps = StepParts(
        database=database,
        commit=commit,
        telephony=telephony_of(settings, http),
        papers=papers_of(settings, http),
        assistants=assistants_of(settings, http),
        billing=billing,
        clock=clock,
        rules=rules,
        slots=slots or slot_keeper(settings, database, running),
        gate=gate.call_open if gate else open_gate,
        is_stopping=lambda: any(scheduler.is_stopping for scheduler in running),
        random=Random(seed),  # noqa: S311
    )
    news = news_parts(settings, sources, rules)

    def on_news() -> None:
        wake()
        if any(scheduler.was_started for scheduler in running):
            # While the news is applied, not after it.
            steps.slots.expect_calls()

    intake = Intake(database, on_news=on_news)
    pressure = Pressure(intake, clock.monotonic)
    scheduler: Scheduler
    if settings.has_jobs:
        database.last_words = wakeups.last_words(clock.now_ms)
        scheduler = EngineScheduler(driving.engine(settings, steps, news))
    else:
        scheduler = EmbeddedScheduler(driving.embedded(settings, steps, news, pressure), place_of(settings, database))
        database.on_change = wake
    running.append(scheduler)
    problem = scheduler_problem(settings, database, running)
    return Gateway(
        settings=settings,
        database=database,
        clock=clock,
        gate=gate,
        rules=rules,
        sources=sources,
        intake=intake,
        rejections=Rejections(database),
        health=Health(database, StorageProbe(database, clock.monotonic), clock, problem),
        news=news,
        steps=steps,
        http=http,
        scheduler=scheduler,
        close_writer=writer.close,
    )


def step_writers(settings: Settings) -> int:
    """A server takes several transactions at once, and half of our connections are left for everybody else."""
    if settings.database.conninfo is None:
        return 1
    return max(1, min(MOST_STEP_WRITERS, settings.database.pool_max // 2))


def gather_seconds(running: list[Scheduler]) -> float:
    return GATHER_SECONDS if any(scheduler.in_flight >= GATHER_FROM_STEPS for scheduler in running) else 0.0


def news_parts(settings: Settings, sources: Mapping[str, Source], rules: Rules) -> ApplyParts:
    livemode = {"true": True, "false": False}.get(settings.stripe.livemode)

    def consider(tx: Transaction, tenant_id: int, now_ms: int, cause: str) -> object:
        return reconsider(tx, tenant_id, rules, now_ms, cause)

    return ApplyParts(
        sources=sources,
        reconsider=consider,
        options_changed=options_changed,
        livemode=livemode,
        rereads_subscriptions=frozenset({"stripe"} if settings.stripe.api_key else ()),
    )


def scheduler_problem(settings: Settings, database: Database, running: list[Scheduler]) -> Callable[[], str | None]:
    def problem() -> str | None:
        for scheduler in running:
            if scheduler.was_started and not scheduler.is_alive:
                return "The worker has stopped; tenants do not go on until this process is started anew."
        if settings.has_jobs and not are_workers_seen(database):
            return "No worker has been seen lately; tenants do not go on until one is started: python -m gateway work"
        return None

    return problem


def are_workers_seen(database: Database) -> bool:
    """Whether any process works; also where nobody can say, for that is another complaint."""
    try:
        with database.read() as tx:
            return wakeups.are_workers_seen(tx)
    except StorageUnavailable:
        return True


def slot_keeper(settings: Settings, database: Database, running: list[Scheduler]) -> SlotKeeper:
    """A worker may use all there are; a command makes one call after the other."""
    limits = settings.limits

    def wanted() -> int:
        return limits.step_threads + HOUSEKEEPING_CALLS if any(each.was_started for each in running) else 1

    return SlotKeeper(
        database,
        # Moving a sandbox's clock must not end a lease.
        DatabaseClock(database),
        {"twilio": limits.twilio_concurrency, "vapi": limits.vapi_concurrency, "stripe": STRIPE_CONCURRENCY},
        wanted=wanted,
        call_seconds=settings.times.provider_timeout_seconds,
    )


def open_gateway(settings: Settings) -> Gateway:
    """What `serve`, `work` and the operator's commands start from."""
    settings = with_pretend_world(settings)
    return build(settings, open_database(settings))
