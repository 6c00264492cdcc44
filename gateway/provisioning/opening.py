"""Which database a script works on, and under which name: its own, or the gateway's.

In a database of its own its tags bear an environment of its own, so that it and a gateway on the same Twilio account
never touch each other's numbers. On the gateway's database it is one more hand at work, under the gateway's name.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from gateway.errors import DatabaseRefused, OtherInstallation, SettingsError
from gateway.ports import Clock
from gateway.settings import Settings, load_for_script, said_in_process
from gateway.steps.context import Slots
from gateway.store import installation
from gateway.store.database import Database, in_transaction
from gateway.store.engines import database_of, open_database, refuse_old
from gateway.store.file import size_of
from gateway.store.migrate import migrate, pending
from gateway.wiring import Gateway, build, with_pretend_world

DEFAULT_DATABASE = "sqlite:///var/provisioner.db"
DEFAULT_ENVIRONMENT = "scripts"
LEGAL_ENVIRONMENT = re.compile(r"[a-z0-9-]{1,16}")
# Written into a database that a script has made: it is no gateway's, whatever they are called.
MADE_BY, SCRIPT = "made_by", "provisioner"
LOOPBACK = re.compile(r"https?://(127\.0\.0\.1|localhost|\[::1\])[:/]?.*")


@dataclass(frozen=True, slots=True)
class Given:
    """What a script was given. Base URLs and server URL: None means what the environment says, else the real ones."""

    account_sid: str
    auth_token: str
    vapi_api_key: str
    database_url: str | None = None
    environment: str | None = None
    twilio_base_url: str | None = None
    twilio_pricing_base_url: str | None = None
    twilio_numbers_base_url: str | None = None
    vapi_base_url: str | None = None
    vapi_server_url: str | None = None


@dataclass(frozen=True, slots=True)
class Outside:
    """For tests: a clock by hand, a transport in this process, slots without a thread, and how to wait."""

    clock: Clock | None = None
    adapter: Callable[[], Any] | None = None
    slots: Slots | None = None
    pause: Callable[[float], None] = time.sleep
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Bound:
    """Whose a database is. is_scripts: a script has made it, no gateway."""

    mode: str
    env: str
    is_scripts: bool


def open_gateway(given: Given, outside: Outside) -> Gateway:
    """All that a step needs, on the database that was given, else DATABASE_URL, else one of its own.

    Raises SettingsError, DatabaseRefused, OtherInstallation or StorageUnavailable.
    """
    require_credentials(given)
    url = given.database_url or said_in_process("DATABASE_URL") or DEFAULT_DATABASE
    bound = whose(load_for_script(values(given, url, "live", DEFAULT_ENVIRONMENT)))
    mode = bound.mode if bound else said_in_process("GATEWAY_MODE") or mode_of(given)
    env = environment(given, bound)
    settings = load_for_script(values(given, url, mode, env))
    is_own = bound is None or bound.is_scripts
    if is_own:
        # A sandbox's stand-in for VAPI_ASSISTANT_ID is for signups; a script says whom it means.
        settings = replace(settings, vapi=replace(settings.vapi, assistant_id=said_in_process("VAPI_ASSISTANT_ID")))
    if not settings.is_live and not outside.adapter:
        settings = with_pretend_world(settings)
    database = open_own(settings) if is_own else open_gateways(settings)
    return build(
        settings,
        database,
        clock=outside.clock,
        adapter=outside.adapter,
        seed=outside.seed,
        slots=outside.slots,
    )


def require_credentials(given: Given) -> None:
    wanted = {
        "twilio_account_sid": given.account_sid,
        "twilio_auth_token": given.auth_token,
        "vapi_api_key": given.vapi_api_key,
    }
    missing = [name for name, value in wanted.items() if not value]
    if missing:
        raise SettingsError([f"{name} is missing: the provisioner was given none." for name in missing])


def values(given: Given, url: str, mode: str, env: str) -> dict[str, str]:
    """Settings by their names, as `load` reads them."""
    urls = base_urls(given, mode)
    own = {
        "GATEWAY_MODE": mode,
        "GATEWAY_ENV": env,
        "DATABASE_URL": url,
        "TWILIO_ACCOUNT_SID": given.account_sid,
        "TWILIO_AUTH_TOKEN": given.auth_token,
        "VAPI_API_KEY": given.vapi_api_key,
        "VAPI_SERVER_URL": given.vapi_server_url,
        **urls,
    }
    return {name: value for name, value in own.items() if value is not None}


def base_urls(given: Given, mode: str) -> Mapping[str, str | None]:
    """Where Twilio and Vapi are. The pretend world has them all at one address."""
    named = {
        "TWILIO_BASE_URL": given.twilio_base_url,
        "TWILIO_PRICING_BASE_URL": given.twilio_pricing_base_url,
        "TWILIO_NUMBERS_BASE_URL": given.twilio_numbers_base_url,
        "VAPI_BASE_URL": given.vapi_base_url,
    }
    named = {name: url or said_in_process(name) for name, url in named.items()}
    world = named["TWILIO_BASE_URL"]
    if mode == "sandbox" and world:
        return {"STRIPE_BASE_URL": world, **{name: url or world for name, url in named.items()}}
    return named


def mode_of(given: Given) -> str:
    """Pretend services are on this machine, and what they sell is no number: such a database is a sandbox's."""
    url = given.twilio_base_url or said_in_process("TWILIO_BASE_URL") or ""
    return "sandbox" if LOOPBACK.fullmatch(url) else "live"


def whose(settings: Settings) -> Bound | None:
    """Whose database it is; None for one that nobody has made yet."""
    if settings.database.conninfo is None and size_of(settings.database.path) is None:
        return None
    database = database_of(settings.database)
    try:
        if any(name.startswith("0001_") for name in pending(database)):
            return None
        with database.read() as tx:
            mode, env = installation.value(tx, "mode"), installation.value(tx, "env")
            is_scripts = installation.value(tx, MADE_BY) == SCRIPT
    finally:
        database.close()
    return Bound(mode, env, is_scripts) if mode and env else None


def environment(given: Given, bound: Bound | None) -> str:
    """The name in our tags. Raises SettingsError for one that is another's."""
    env = given.environment or DEFAULT_ENVIRONMENT
    if not LEGAL_ENVIRONMENT.fullmatch(env):
        raise SettingsError([f"environment is {env[:40]!r}: expected 1 to 16 of a-z, 0-9 and -."])
    if bound is not None and given.environment is not None and bound.env != env:
        raise OtherInstallation(
            f"This database was made for the environment {bound.env}, and environment={env!r} was given. "
            "Leave it out, or name another database."
        )
    if bound is not None and not bound.is_scripts:
        return bound.env
    env, gateways = bound.env if bound else env, said_in_process("GATEWAY_ENV")
    if env == gateways:
        raise SettingsError(
            [
                f"environment is {env!r}, as GATEWAY_ENV is: two databases under one name would take each other's "
                "numbers for their own. Expected another name, or the gateway's own database as database_url."
            ]
        )
    if bound is None and gateways and given.database_url is None and said_in_process("DATABASE_URL"):
        raise DatabaseRefused(
            f"DATABASE_URL is the database of the gateway {gateways}, which has not been made yet. Start the gateway "
            f"once, or give the provisioner a database of its own: database_url={DEFAULT_DATABASE!r}"
        )
    return env


def open_own(settings: Settings) -> Database:
    """A script's database, made and brought up to date when need be."""
    if settings.database.conninfo is not None:
        database = database_of(settings.database)
        try:
            migrate(database)
        finally:
            database.close()
    database = open_database(settings)
    in_transaction(database, lambda tx: installation.put(tx, MADE_BY, SCRIPT))
    return database


def open_gateways(settings: Settings) -> Database:
    """A gateway's database: never brought up to date here, for the gateway may be at work on it."""
    database = database_of(settings.database)
    try:
        refuse_old(database, settings.database)
    finally:
        database.close()
    return open_database(settings)
