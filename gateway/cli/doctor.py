"""`doctor`: is everything as it should be? Looks at much and changes nothing."""

from __future__ import annotations

import shutil
import stat
import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from gateway import display
from gateway.cli.opening import Opened, opened, settings_with_logs, wall_clock_ms
from gateway.cli.output import as_json_option, print_json, printable
from gateway.errors import GatewayError
from gateway.flow.after_restore import sentence
from gateway.scheduler.lock import WorkerLock, place_of
from gateway.settings import Settings
from gateway.settings.text import is_loopback, split_url
from gateway.store import conflicts, file, inbox, installation, providers, rejections, tenants, wakeups
from gateway.store.database import Database
from gateway.store.engines import NOT_LASTING, database_of
from gateway.store.inbox import InboxRow
from gateway.store.rejections import Rejection

LEAST_FREE_BYTES = 200 * 1024 * 1024
LATE_MS = 60_000
MOST_SKEW_MS = 30_000
RECENT_MS = 24 * 3_600_000
# This program was written in it; a clock before that is not set.
EARLIEST_MS = 1_767_225_600_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. is_well: None where there is nothing to say against it, and nothing was proved either."""

    what: str
    is_well: bool | None
    says: str


TLS_UNSAID = (
    "says nothing of TLS, so passwords and data may cross the network in the clear: add ?sslmode=verify-full (or "
    "require) to it, or set PGSSLMODE; say sslmode=disable where the network between is yours alone."
)
Check = Callable[[Opened], Iterator[Finding]]


@click.command()
@click.option("--live", is_flag=True, help="Ask the providers too: one search, one assistant, one list. Buys nothing.")
@as_json_option
def doctor(live: bool, as_json: bool) -> None:
    """Check settings, database and clock. Status 0 only if all is well, 2 if settings are wrong."""
    settings = settings_with_logs()
    findings = list(about_settings(settings))
    findings += about_this_machine(settings)
    findings += about_database(settings)
    if live:
        from gateway.cli.doctor_live import about_providers

        findings += about_providers(settings)
    is_well = all(finding.is_well is not False for finding in findings)
    if as_json:
        print_json({"well": is_well, "findings": [asdict(finding) for finding in findings]})
    else:
        show(findings, is_well)
    click.get_current_context().exit(0 if is_well else 1)


def show(findings: list[Finding], is_well: bool) -> None:
    marks = {True: ("✓", "green"), False: ("✗", "red"), None: ("·", None)}
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        mark, colour = marks[finding.is_well]
        click.echo(f"{click.style(mark, fg=colour)} {finding.what.ljust(width)}  {printable(finding.says)}")
    click.echo()
    click.echo("All is well." if is_well else "Not all is well: see the lines marked ✗.")


def about_settings(settings: Settings) -> Iterator[Finding]:
    sources = [
        name
        for name, section in (("stripe", settings.stripe), ("standard", settings.standard))
        if section.webhook_secrets
    ]
    yield Finding("settings", True, f"{settings.mode}, GATEWAY_ENV={settings.env}; sources: {', '.join(sources)}")
    for hint in settings.hints:
        yield Finding("settings", False, hint)
    env_file = Path(".env")
    if env_file.is_file() and env_file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        yield Finding("settings", False, ".env can be read by others on this machine. Put it right: chmod 600 .env")
    if settings.database.is_tls_unsaid:
        yield Finding("DATABASE_URL", False, TLS_UNSAID)
    if settings.is_live and settings.vapi.assistant_id is None:
        says = "not set: a tenant whose signup names no assistant waits as needs_assistant."
        yield Finding("VAPI_ASSISTANT_ID", None, says)
    if settings.is_live and is_pretend(settings):
        yield Finding("settings", None, "A base URL leads to this machine instead of the real service.")


def is_pretend(settings: Settings) -> bool:
    urls = (settings.twilio.base_url, settings.vapi.base_url)
    return any((parts := split_url(url)) is not None and is_loopback(parts.hostname) for url in urls)


def about_this_machine(settings: Settings) -> Iterator[Finding]:
    now_ms = wall_clock_ms()
    is_set = now_ms > EARLIEST_MS
    yield Finding("clock", is_set, f"{display.moment(now_ms)} UTC{'' if is_set else ': it is not set.'}")
    folder = settings.database.path.parent
    if folder.exists():
        free = shutil.disk_usage(folder).free
        yield Finding("disk", free > LEAST_FREE_BYTES, f"{free / 1e9:.1f} GB free in {folder}")


def about_database(settings: Settings) -> Iterator[Finding]:
    path = settings.database.path
    is_file = settings.database.conninfo is None
    if is_file and file.size_of(path) is None:
        problem = file.why_not_made(path)
        says = problem or f"{path} does not exist yet; the first start makes it."
        yield Finding("database", False if problem else None, says)
        return
    try:
        if is_file:
            # First of all, for it changes nothing where something is wrong.
            check(settings)
        else:
            yield from about_server(settings)
        with opened(settings) as session:
            if is_file:
                yield from about_file(session.database, path)
            for look in CHECKS:
                yield from look(session)
    except GatewayError as error:
        yield Finding("database", False, str(error))


def check(settings: Settings) -> None:
    """Raise DatabaseRefused when what is stored cannot be trusted."""
    database = database_of(settings.database)
    try:
        database.quick_check()
    finally:
        database.close()


def about_file(database: Database, path: Path) -> Iterator[Finding]:
    size = path.stat().st_size / 1e6
    yield Finding("database", True, f"{path}, {size:.1f} MB, sound; {database.describe()}")


def about_server(settings: Settings) -> Iterator[Finding]:
    """What can be said of a PostgreSQL server before anything in it is ours."""
    database = database_of(settings.database)
    try:
        database.quick_check()
        yield Finding("database", True, f"{settings.database.shown}; {database.describe()}")
        if not database.is_lasting():
            yield Finding("database", False, NOT_LASTING)
        skew_ms = (database.now_ms() or 0) - wall_clock_ms()
        if abs(skew_ms) > MOST_SKEW_MS:
            says = (
                f"This machine's is {display.duration(abs(skew_ms))} off the database's, which is the one that counts."
            )
            yield Finding("clock", None, says)
    finally:
        database.close()


def about_storing(session: Opened) -> Iterator[Finding]:
    with session.database.transaction() as tx:
        inbox.probe(tx, session.now_ms())
    yield Finding("storing", True, "an event can be stored")


def about_clock(session: Opened) -> Iterator[Finding]:
    """Senders sign their time: where many are off the same way, it is our clock that is wrong."""
    with session.database.read() as tx:
        offset_ms = installation.clock_offset_ms(tx)
        recent = [
            rejection.skew_ms or 0
            for source in ("stripe", "standard")
            for rejection in rejections.of_source(tx, source)
            if is_genuine(rejection) and rejection.at_ms > session.now_ms() - RECENT_MS
        ]
    if offset_ms:
        yield Finding("clock", None, f"The sandbox's clock is {display.duration(offset_ms)} ahead.")
    if len(recent) >= 3 and abs(statistics.median(recent)) > MOST_SKEW_MS:
        skew = display.duration(statistics.median(recent))
        yield Finding(
            "clock", False, f"{len(recent)} signatures were off by about {skew}: is this machine's clock right?"
        )


def is_genuine(rejection: Rejection) -> bool:
    """Whether its sender had the secret. Anybody can send a wrong time with a wrong signature."""
    return rejection.code == "timestamp_out_of_tolerance"


def about_worker(session: Opened) -> Iterator[Finding]:
    if session.settings.has_jobs:
        yield about_engine(session)
        return
    place = place_of(session.settings, session.database)
    is_free = (isinstance(place, WorkerLock) and not place.path.exists()) or place.take()
    place.free()
    if not session.database.has_sessions:
        yield Finding("worker", None, "through a pooler nobody can know whether one is running: run one `work` only")
    elif is_free:
        yield Finding("worker", None, "none is running now (python -m gateway serve, or work)")
    else:
        yield Finding("worker", True, "one is running")


def about_engine(session: Opened) -> Finding:
    with session.database.read() as tx:
        is_seen = wakeups.are_workers_seen(tx)
    if is_seen:
        return Finding("worker", True, "at least one is running")
    return Finding("worker", None, "none has been seen lately: start one, or several (python -m gateway work)")


def about_inbox(session: Opened) -> Iterator[Finding]:
    with session.database.read() as tx:
        backlog = inbox.backlog(tx)
        unread = conflicts.count_unread(tx)
        parked, newest = inbox.parked(tx)
    oldest_ms = backlog.oldest_received_at_ms
    is_late = oldest_ms is not None and session.now_ms() - oldest_ms > LATE_MS
    says = f"{backlog.new} new, {backlog.waiting} waiting for a link or a time"
    if is_late:
        says += ". The oldest new one is over a minute old: is a worker running?"
    yield Finding("events", not is_late, says)
    if newest is not None:
        yield Finding("parked events", False, about_parked(parked, newest))
    if unread:
        says = f"{unread} events contradict stored ones; see: python -m gateway events list --conflicts"
        yield Finding("events", False, says)


def about_parked(count: int, newest: InboxRow) -> str:
    what = "1 event failed and is parked" if count == 1 else f"{count} events failed and are parked"
    which = f"{newest.id}, a {newest.type} of {newest.source}, {display.moment(newest.received_at_ms)} UTC"
    return (
        f"{what}; the newest is {which}. {newest.reason} Mend the cause, then: "
        f"python -m gateway events replay {newest.id} --reason …; all: python -m gateway events list --status failed"
    )


def about_tenants(session: Opened) -> Iterator[Finding]:
    with session.database.read() as tx:
        counts = tenants.count_by_state(tx)
        blocked = len(tenants.list_page(tx, blocked="any", limit=1000))
    says = ", ".join(f"{count} {state}" for state, count in counts.items()) or "none yet"
    yield Finding("tenants", True, says)
    if blocked:
        says = f"{blocked} blocked; see: python -m gateway tenants list --blocked any"
        yield Finding("tenants", False, says)


def about_provider_states(session: Opened) -> Iterator[Finding]:
    with session.database.read() as tx:
        states = providers.states(tx)
    now_ms = session.now_ms()
    for state in states.values():
        if state.is_refusing:
            yield Finding(state.name, False, f"refuses us: {state.reason}")
        elif state.paused_until_ms > now_ms:
            wait = display.distance(state.paused_until_ms, now_ms)
            yield Finding(state.name, None, f"asked us to slow down; calls go on {wait}")


def about_restore(session: Opened) -> Iterator[Finding]:
    with session.database.read() as tx:
        says = sentence(tx, session.rules.settle_ms)
    if says is not None:
        yield Finding("restore", False, says)


CHECKS: tuple[Check, ...] = (
    about_storing,
    about_clock,
    about_worker,
    about_inbox,
    about_tenants,
    about_provider_states,
    about_restore,
)
