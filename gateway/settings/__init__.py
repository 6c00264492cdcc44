"""The environment, or a `.env` file, becomes one frozen `Settings`; every fault is reported at once.

The only file that reads the environment. What each setting means: docs/settings.md.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from gateway.errors import SettingsError
from gateway.settings.choosing import read_ceilings, read_fallback
from gateway.settings.compliance import NUMBER_TYPES, read_compliance
from gateway.settings.database import read_database
from gateway.settings.names import BASE_URLS, NAMES, OUR_PREFIXES, PROVIDER_SECRETS, REAL_HOSTS, SOURCE_SECRETS, WHERE
from gateway.settings.text import Reader, Secret, base64_length, masked, split_url
from gateway.settings.types import (
    ROLES,
    ApiToken,
    BrandSettings,
    Compliance,
    DatabaseSettings,
    Limits,
    LogSettings,
    Settings,
    SignupSettings,
    StandardSettings,
    StripeSettings,
    Times,
    TwilioSettings,
    VapiSettings,
    WebSettings,
)
from gateway.settings.web import read_brand, read_web

__all__ = [
    "ROLES",
    "ApiToken",
    "BrandSettings",
    "Compliance",
    "DatabaseSettings",
    "Limits",
    "LogSettings",
    "Secret",
    "Settings",
    "SettingsError",
    "SignupSettings",
    "StandardSettings",
    "StripeSettings",
    "Times",
    "TwilioSettings",
    "VapiSettings",
    "WebSettings",
    "environment_for_child",
    "forget_secrets",
    "load",
    "load_for_script",
    "load_from_process",
    "masked",
    "said_in_process",
    "sandbox_environment",
    "secret_names",
    "with_world",
]

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
# `SayPhoneNumberHookAction.exact` in Vapi's OpenAPI document, read 2026-11-22.
MOST_SPOKEN_CHARACTERS = 4000
SUSPENDED_MESSAGE = "Hello. This number is not in service at the moment. Please try again later. Goodbye."

# The pretend world takes these and no real service does; `gateway/simulator/defaults.py` has the same.
SANDBOX_STRIPE_WEBHOOK_SECRET = Secret("whsec_pretend_" + "4b" * 12)
SANDBOX_STANDARD_WEBHOOKS_SECRET = Secret("whsec_cmluZ2ZlbmNlLXNhbmRib3gtc2VjcmV0")
SANDBOX_TWILIO_ACCOUNT_SID = "AC" + "5a" * 16
SANDBOX_TWILIO_AUTH_TOKEN = Secret("pretend-twilio-token-" + "0f" * 8)
SANDBOX_VAPI_API_KEY = Secret("pretend-vapi-key-" + "2d" * 8)
SANDBOX_ASSISTANT_ID = "a5515700-0000-4000-8000-000000000001"


def load_from_process() -> Settings:
    """The settings of this process: its environment, then `.env` of the working folder. Raises SettingsError."""
    return load(os.environ, Path(".env"))


def load_for_script(given: Mapping[str, str]) -> Settings:
    """The settings of a script that is no gateway: what was given to it, then this process's for what it lacks.

    Credentials, mode, environment and database are only those that were given. Raises SettingsError.
    """
    own = (*PROVIDER_SECRETS, *SOURCE_SECRETS, "TWILIO_ACCOUNT_SID", "GATEWAY_MODE", "GATEWAY_ENV", "DATABASE_URL")
    known = {**read_dotenv(Path(".env")), **os.environ}
    return load({**{name: value for name, value in known.items() if name not in own}, **given}, is_gateway=False)


def said_in_process(name: str) -> str | None:
    """One setting as this process was given it; None when it was not."""
    return (os.environ.get(name) or read_dotenv(Path(".env")).get(name) or "").strip() or None


def secret_names() -> tuple[str, ...]:
    """Names that a server process removes from its environment once they are read, for servers hand that around."""
    return (*PROVIDER_SECRETS, *SOURCE_SECRETS, "SECRET_KEY", "API_TOKENS", "DATABASE_URL")


def forget_secrets() -> None:
    """Remove every secret from this process's environment. Only where nothing will load the settings again."""
    for name in secret_names():
        os.environ.pop(name, None)


def environment_for_child(changes: Mapping[str, str | None]) -> dict[str, str]:
    """This process's environment for a child process, with `changes`; None removes a name."""
    merged = {**os.environ, **{name: value for name, value in changes.items() if value is not None}}
    return {name: value for name, value in merged.items() if changes.get(name, "") is not None}


def sandbox_environment() -> dict[str, str | None]:
    """What `sandbox` changes in its environment so that nothing real comes near the pretend world.

    Somebody who says GATEWAY_MODE=sandbox means the values beside it; anything else was set for real services.
    """
    if os.environ.get("GATEWAY_MODE", "").strip() == "sandbox":
        return {}
    real = (*PROVIDER_SECRETS, *SOURCE_SECRETS, *BASE_URLS, "TWILIO_ACCOUNT_SID", "VAPI_ASSISTANT_ID")
    own = ("GATEWAY_ENV", "DATABASE_URL") if os.environ.get("GATEWAY_MODE", "").strip() else ()
    return dict.fromkeys((*real, *own))


def load(environ: Mapping[str, str], dotenv_path: Path | None = None, *, is_gateway: bool = True) -> Settings:
    """Settings from `environ`, then from the file for what it lacks. is_gateway: signups come in, so a source must be.

    Raises SettingsError with every fault at once; each names the setting, what is wrong, and what is expected.
    """
    from_file = read_dotenv(dotenv_path)
    mode_said = environ.get("GATEWAY_MODE", "").strip()
    if mode_said and from_file.get("GATEWAY_MODE", mode_said).strip() != mode_said:
        # Written for the other mode: mixed with this one, it would lend real keys to a sandbox or the reverse.
        from_file = {}
    values = {**from_file, **environ}
    reader = Reader(values, WHERE)
    mode = read_mode(reader)
    times = read_times(reader)
    database = read_database(
        reader, mode, is_dyno=bool(values.get("DYNO")), is_tls_said=bool(environ.get("PGSSLMODE"))
    )
    settings = Settings(
        mode=mode,
        env=read_env(reader, mode),
        database=database,
        web=read_web(reader, is_dyno=bool(values.get("DYNO"))),
        brand=read_brand(reader),
        stripe=read_stripe(reader, mode),
        standard=read_standard(reader, mode),
        twilio=read_twilio(reader, mode),
        vapi=read_vapi(reader, mode),
        signup=read_signup(reader),
        limits=read_limits(reader),
        times=times,
        log=LogSettings(
            reader.choice("LOG_FORMAT", ("json", "text"), "json" if mode == "live" else "text"),
            reader.choice("LOG_LEVEL", LOG_LEVELS, "INFO").upper(),
        ),
        engine=read_engine(reader, is_postgres=database.conninfo is not None),
        hints=tuple(misspelt(values)),
    )
    if is_gateway and mode == "live" and not any(reader.is_given(name) for name in SOURCE_SECRETS):
        reader.fault(
            "STRIPE_WEBHOOK_SECRET",
            "is missing: live mode needs at least one source of signups, so expected one or more whsec_… "
            "(or STANDARD_WEBHOOKS_SECRET for a system of your own).",
        )
    if reader.problems:
        # In the order of the documentation, where there is one.
        raise SettingsError(sorted(reader.problems, key=lambda problem: NAMES.index(problem.split(" ", 1)[0])))
    return settings


def with_world(settings: Settings, world_url: str, world_id: str) -> Settings:
    """The settings with the pretend world's address where no base URL was given, and a key that lives as long as it.

    world_id: random, known to those who can read the world's folder.
    """
    if settings.is_live:
        raise SettingsError(["GATEWAY_MODE is live: the pretend world is for sandbox mode only."])
    url = world_url.rstrip("/")
    twilio, vapi, stripe = settings.twilio, settings.vapi, settings.stripe
    key = Secret(hashlib.sha256(f"ringfence sandbox {world_id}".encode()).hexdigest())
    return replace(
        settings,
        twilio=replace(
            twilio,
            base_url=twilio.base_url or url,
            pricing_base_url=twilio.pricing_base_url or url,
            numbers_base_url=twilio.numbers_base_url or url,
        ),
        vapi=replace(vapi, base_url=vapi.base_url or url),
        stripe=replace(stripe, base_url=stripe.base_url or url),
        web=replace(settings.web, secret_keys=settings.web.secret_keys or (key,)),
    )


def read_dotenv(path: Path | None) -> dict[str, str]:
    if path is None or not path.is_file():
        return {}
    from dotenv import dotenv_values

    try:
        # No interpolation: a `$` in a secret is a `$`.
        found = dotenv_values(path, interpolate=False, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path.name} cannot be read: expected a text file of NAME=value lines."]) from error
    return {name: value or "" for name, value in found.items()}


def read_mode(reader: Reader) -> str:
    found = [name for name in (*PROVIDER_SECRETS, *SOURCE_SECRETS) if reader.is_set(name)]
    if not reader.is_set("GATEWAY_MODE") and found:
        reader.fault(
            "GATEWAY_MODE",
            f"is missing: {', '.join(found)} {'is' if len(found) == 1 else 'are'} set, so say which is meant, "
            "live (real numbers, real money) or sandbox (pretend services, no money).",
        )
    return reader.choice("GATEWAY_MODE", ("sandbox", "live"), "sandbox")


def read_env(reader: Reader, mode: str) -> str:
    env = reader.matching("GATEWAY_ENV", r"[a-z0-9-]{1,16}", "1 to 16 of a-z, 0-9 and -", "dev")
    if mode == "live" and not reader.is_set("GATEWAY_ENV"):
        reader.fault(
            "GATEWAY_ENV",
            "is missing: expected a name for this installation such as prod, 1 to 16 of a-z, 0-9 and -. It becomes "
            "part of every number's tag; never change it afterwards, and never use one twice on one Twilio account.",
        )
    return env


def read_base_url(reader: Reader, mode: str, name: str) -> str:
    url = reader.url(name, BASE_URLS[name] if mode == "live" else "")
    host = (split_url(url) or split_url("")).hostname or ""  # type: ignore[union-attr]
    if mode == "sandbox" and any(host == real or host.endswith("." + real) for real in REAL_HOSTS):
        reader.fault(name, "is the real service, in sandbox mode: remove it, or say GATEWAY_MODE=live.")
    return url


def read_stripe(reader: Reader, mode: str) -> StripeSettings:
    secrets = reader.secrets("STRIPE_WEBHOOK_SECRET")
    if not all(re.fullmatch(r"whsec_.+", secret) for secret in secrets):
        reader.fault("STRIPE_WEBHOOK_SECRET", "holds something else than signing secrets: expected whsec_….")
    key = reader.secret("STRIPE_API_KEY")
    if mode == "live" and key and not re.fullmatch(r"[sr]k_(live|test)_.+", key):
        reader.fault("STRIPE_API_KEY", "is no secret key: expected sk_live_…, rk_live_…, or the same with test.")
    return StripeSettings(
        webhook_secrets=secrets or (() if mode == "live" else (SANDBOX_STRIPE_WEBHOOK_SECRET,)),
        livemode=reader.choice("STRIPE_LIVEMODE", ("true", "false", "any"), "true" if mode == "live" else "any"),
        api_key=key,
        base_url=read_base_url(reader, mode, "STRIPE_BASE_URL"),
    )


def read_standard(reader: Reader, mode: str) -> StandardSettings:
    secrets = reader.secrets("STANDARD_WEBHOOKS_SECRET")
    # 24 bytes is the specification's least ("Signature scheme", standardwebhooks.com, read 2026-11-22).
    if any(base64_length(secret.removeprefix("whsec_")) < 24 for secret in secrets):
        reader.fault("STANDARD_WEBHOOKS_SECRET", "is no such secret: expected whsec_ and base64 of at least 24 bytes.")
    return StandardSettings(secrets or (() if mode == "live" else (SANDBOX_STANDARD_WEBHOOKS_SECRET,)))


def read_twilio(reader: Reader, mode: str) -> TwilioSettings:
    sid = reader.matching("TWILIO_ACCOUNT_SID", r"AC[0-9a-fA-F]{32}", "AC and 32 hexadecimal digits")
    token, key, secret = (reader.secret(f"TWILIO_{name}") for name in ("AUTH_TOKEN", "API_KEY", "API_SECRET"))
    if key and not re.fullmatch(r"SK[0-9a-fA-F]{32}", key):
        reader.fault("TWILIO_API_KEY", "is not the SID of a key: expected SK and 32 hexadecimal digits.")
    for missing, given in (("TWILIO_API_SECRET", "TWILIO_API_KEY"), ("TWILIO_API_KEY", "TWILIO_API_SECRET")):
        if reader.is_set(given) and not reader.is_given(missing):
            reader.fault(missing, f"is missing: {given} is set, and the two are a pair.")
    if mode == "live":
        if not reader.is_set("TWILIO_ACCOUNT_SID"):
            reader.fault("TWILIO_ACCOUNT_SID", "is missing: expected AC and 32 hexadecimal digits.")
        if not any(reader.is_given(f"TWILIO_{name}") for name in ("AUTH_TOKEN", "API_KEY", "API_SECRET")):
            reader.fault("TWILIO_AUTH_TOKEN", "is missing (or TWILIO_API_KEY with TWILIO_API_SECRET).")
    elif not token and not key:
        token = SANDBOX_TWILIO_AUTH_TOKEN
    return TwilioSettings(
        account_sid=sid or SANDBOX_TWILIO_ACCOUNT_SID,
        auth_token=token,
        api_key=key,
        api_secret=secret,
        base_url=read_base_url(reader, mode, "TWILIO_BASE_URL"),
        pricing_base_url=read_base_url(reader, mode, "TWILIO_PRICING_BASE_URL"),
        numbers_base_url=read_base_url(reader, mode, "TWILIO_NUMBERS_BASE_URL"),
        compliance=read_compliance(reader),
    )


def read_vapi(reader: Reader, mode: str) -> VapiSettings:
    key = reader.secret("VAPI_API_KEY")
    if mode == "live" and not reader.is_given("VAPI_API_KEY"):
        reader.fault("VAPI_API_KEY", "is missing: expected Vapi's private key.")
    assistant_id = reader.matching("VAPI_ASSISTANT_ID", r"[A-Za-z0-9_-]{1,64}", "an assistant's id")
    server_url = reader.url("VAPI_SERVER_URL", "")
    if re.search(r"[{}]", server_url.replace("{tenant}", "")):
        reader.fault("VAPI_SERVER_URL", "has a placeholder that is not known: expected {tenant} and no other.")
    host = (split_url(server_url) or split_url("")).hostname or ""  # type: ignore[union-attr]
    if "{" in host:
        reader.fault("VAPI_SERVER_URL", "has {tenant} in its host name: expected it in the path.")
    if not assistant_id and mode == "sandbox":
        assistant_id = SANDBOX_ASSISTANT_ID
    return VapiSettings(
        api_key=key or SANDBOX_VAPI_API_KEY,
        assistant_id=assistant_id or None,
        server_url=server_url or None,
        base_url=read_base_url(reader, mode, "VAPI_BASE_URL"),
    )


def read_signup(reader: Reader) -> SignupSettings:
    message, most = reader.text("SUSPENDED_MESSAGE", SUSPENDED_MESSAGE), MOST_SPOKEN_CHARACTERS
    if len(message) > most:
        said = f"is {len(message):,} characters long: expected at most {most:,}, as Vapi takes no more."
        reader.fault("SUSPENDED_MESSAGE", said)
    return SignupSettings(
        default_country=reader.matching("DEFAULT_COUNTRY", r"[A-Z]{2}", "two capital letters such as US", "US"),
        default_number_type=reader.choice("DEFAULT_NUMBER_TYPE", NUMBER_TYPES, "local"),
        suspended_message=message,
        number_fallback=read_fallback(reader),
        price_ceilings=read_ceilings(reader),
    )


def read_limits(reader: Reader) -> Limits:
    return Limits(
        max_purchases_per_hour=reader.integer("MAX_PURCHASES_PER_HOUR", 20),
        max_purchases_per_day=reader.integer("MAX_PURCHASES_PER_DAY", 100),
        max_releases_per_hour=reader.integer("MAX_RELEASES_PER_HOUR", 20),
        max_release_share=reader.number("MAX_RELEASE_SHARE", 0.05, most=1),
        step_threads=reader.integer("STEP_THREADS", 64, least=1, most=1024),
        twilio_concurrency=reader.integer("TWILIO_CONCURRENCY", 64, least=1, most=1024),
        vapi_concurrency=reader.integer("VAPI_CONCURRENCY", 64, least=1, most=1024),
    )


def read_times(reader: Reader) -> Times:
    times = Times(
        grace_days=reader.number("GRACE_DAYS", 7, most=36_500),
        release_after_days=reader.number("RELEASE_AFTER_DAYS", 30, most=36_500),
        settle_seconds=reader.number("SETTLE_SECONDS", 600, most=2_592_000),
        taken_settle_seconds=reader.number("TAKEN_SETTLE_SECONDS", 30, most=2_592_000),
        provider_timeout_seconds=reader.number("PROVIDER_TIMEOUT_SECONDS", 15, most=600, is_zero_allowed=False),
        lease_seconds=reader.number("LEASE_SECONDS", 60, most=86_400, is_zero_allowed=False),
        late_after_minutes=reader.number("LATE_AFTER_MINUTES", 10, most=525_600),
        body_keep_days=reader.number("BODY_KEEP_DAYS", 90, most=36_500),
    )
    timeout, lease, settle = times.provider_timeout_seconds, times.lease_seconds, times.settle_seconds
    if lease < 3 * timeout + 5:
        reader.fault(
            "LEASE_SECONDS",
            f"is {lease:g}: expected at least {3 * timeout + 5:g} (3 × PROVIDER_TIMEOUT_SECONDS + 5), "
            "or a call could outlive its lease.",
        )
    if settle < lease + timeout:
        reader.fault(
            "SETTLE_SECONDS",
            f"is {settle:g}: expected at least {lease + timeout:g} (LEASE_SECONDS + PROVIDER_TIMEOUT_SECONDS), "
            "or a purchase that is still on its way could be taken for one that never happened.",
        )
    return times


def read_engine(reader: Reader, is_postgres: bool) -> str:
    engine = reader.choice("ENGINE", ("embedded", "procrastinate"), "procrastinate" if is_postgres else "embedded")
    if engine == "procrastinate" and not is_postgres:
        reader.fault("ENGINE", "is procrastinate, which needs PostgreSQL: expected embedded, or such a DATABASE_URL.")
    return engine


def misspelt(values: Mapping[str, str]) -> list[str]:
    """A sentence for each name that looks like a setting of ours and is none."""
    unknown = sorted(name for name in values if name.startswith(OUR_PREFIXES) and name not in NAMES)
    close = ((name, difflib.get_close_matches(name, NAMES, 1, 0.85)) for name in unknown)
    return [f"{name} is not a setting: did you mean {found[0]}?" for name, found in close if found]
