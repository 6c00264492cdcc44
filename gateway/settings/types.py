"""What settings look like once they are read: frozen sections, secrets masked in every repr."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from gateway.settings.text import Secret

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
ROLES = ("viewer", "operator", "admin")  # Each may do what those before it may.


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """url: as given, a password in it masked.   conninfo: how PostgreSQL is reached; None for SQLite.

    path: of a SQLite file, as given, relative to the working folder; with PostgreSQL what this machine keeps for
    itself is named after it.   pool_max: PostgreSQL connections of one process, besides the one that listens.
    is_tls_unsaid: the server is on another machine, and nobody said whether the way there is to be encrypted.
    """

    url: str
    path: Path
    conninfo: Secret | None = None
    pool_max: int = 4
    is_tls_unsaid: bool = False

    @property
    def shown(self) -> str:
        """Which one it is, for people."""
        return str(self.path) if self.conninfo is None else self.url

    @property
    def secrets(self) -> tuple[str, ...]:
        if self.conninfo is None:
            return ()
        parts = urlsplit(self.conninfo)
        passwords = [parts.password or "", unquote(parts.password or ""), *parse_qs(parts.query).get("password", [])]
        return (self.conninfo, *(password for password in passwords if password))

    @property
    def var_dir(self) -> Path:
        """The folder of the database: the pretend world keeps its state there too."""
        return self.path.parent


@dataclass(frozen=True, slots=True)
class ApiToken:
    """Who may use the API. role: one of `ROLES`.   digest: SHA-256 of the token, hexadecimal; nobody has the token."""

    name: str
    role: str
    digest: Secret


@dataclass(frozen=True, slots=True)
class WebSettings:
    """trusted_proxies: how many may set X-Forwarded-*.   secret_keys: newest first; empty in live when not set."""

    host: str
    port: int
    threads: int
    public_url: str | None
    trusted_proxies: int
    secret_keys: tuple[Secret, ...]
    api_tokens: tuple[ApiToken, ...] = ()


@dataclass(frozen=True, slots=True)
class BrandSettings:
    """What customers see on the choice page. color: `#rrggbb`.   logo_url: https."""

    name: str
    color: str
    logo_url: str | None


@dataclass(frozen=True, slots=True)
class StripeSettings:
    """webhook_secrets: none means that there is no such source.   livemode: `true`, `false` or `any`."""

    webhook_secrets: tuple[Secret, ...]
    livemode: str
    api_key: Secret | None
    base_url: str


@dataclass(frozen=True, slots=True)
class StandardSettings:
    """Standard Webhooks. webhook_secrets: none means that there is no such source."""

    webhook_secrets: tuple[Secret, ...]


@dataclass(frozen=True, slots=True)
class Compliance:
    """What Twilio wants to see for one kind of number; None where it is not configured."""

    address_sid: str | None
    bundle_sid: str | None


@dataclass(frozen=True, slots=True)
class TwilioSettings:
    """Either `auth_token`, or `api_key` with `api_secret`; with both, the key is for calls of ours.

    compliance: by (country, number type).   Base URLs are empty in sandbox until the world's address is known.
    """

    account_sid: str
    auth_token: Secret | None
    api_key: Secret | None
    api_secret: Secret | None
    base_url: str
    pricing_base_url: str
    numbers_base_url: str
    compliance: Mapping[tuple[str, str], Compliance]


@dataclass(frozen=True, slots=True)
class VapiSettings:
    """assistant_id: of tenants whose signup names none.   server_url: may hold `{tenant}`."""

    api_key: Secret
    assistant_id: str | None
    server_url: str | None
    base_url: str


@dataclass(frozen=True, slots=True)
class SignupSettings:
    """What a signup gets that does not say.

    number_fallback: where to look, in this order, when there is no number as asked: `region`, `any`.
    price_ceilings: (text, currency) by number type: the most that a number may cost a month.
    """

    default_country: str
    default_number_type: str
    suspended_message: str
    number_fallback: tuple[str, ...] = ()
    price_ceilings: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Limits:
    max_purchases_per_hour: int
    max_purchases_per_day: int
    max_releases_per_hour: int
    max_release_share: float
    step_threads: int
    twilio_concurrency: int
    vapi_concurrency: int


@dataclass(frozen=True, slots=True)
class Times:
    grace_days: float
    release_after_days: float
    settle_seconds: float
    taken_settle_seconds: float
    provider_timeout_seconds: float
    lease_seconds: float
    late_after_minutes: float
    body_keep_days: float

    @property
    def grace_ms(self) -> int:
        return round(self.grace_days * DAY_MS)

    @property
    def release_after_ms(self) -> int:
        return round(self.release_after_days * DAY_MS)

    @property
    def settle_ms(self) -> int:
        return round(self.settle_seconds * 1000)

    @property
    def taken_settle_ms(self) -> int:
        return round(self.taken_settle_seconds * 1000)

    @property
    def provider_timeout_ms(self) -> int:
        return round(self.provider_timeout_seconds * 1000)

    @property
    def lease_ms(self) -> int:
        return round(self.lease_seconds * 1000)

    @property
    def late_after_ms(self) -> int:
        return round(self.late_after_minutes * 60_000)

    @property
    def body_keep_ms(self) -> int:
        return round(self.body_keep_days * DAY_MS)


@dataclass(frozen=True, slots=True)
class LogSettings:
    format: str
    level: str


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. Its repr masks every secret. hints: names that look like misspelt settings; a sentence each."""

    mode: str
    env: str
    database: DatabaseSettings
    web: WebSettings
    brand: BrandSettings
    stripe: StripeSettings
    standard: StandardSettings
    twilio: TwilioSettings
    vapi: VapiSettings
    signup: SignupSettings
    limits: Limits
    times: Times
    log: LogSettings
    engine: str
    hints: tuple[str, ...] = ()

    @property
    def is_live(self) -> bool:
        return self.mode == "live"

    @property
    def has_jobs(self) -> bool:
        """Whether tenants are woken by jobs of an engine, which only `work` carries out."""
        return self.engine == "procrastinate"

    @property
    def keeps_files(self) -> bool:
        """Whether anything is kept on this machine: a SQLite file, or a sandbox's clock and world."""
        return self.database.conninfo is None or not self.is_live

    @property
    def needs_world(self) -> bool:
        """Whether a provider's address is still open: the pretend world must be running before anything is built."""
        urls = (self.twilio.base_url, self.twilio.pricing_base_url, self.twilio.numbers_base_url)
        return not all((*urls, self.vapi.base_url, self.stripe.base_url))

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every secret text, for redaction; never for showing."""
        digests = tuple(token.digest for token in self.web.api_tokens)
        lists = (self.stripe.webhook_secrets, self.standard.webhook_secrets, self.web.secret_keys, digests)
        single = (self.stripe.api_key, self.twilio.auth_token, self.twilio.api_secret, self.vapi.api_key)
        return tuple(
            str(text) for text in (*(each for many in lists for each in many), *single, *self.database.secrets) if text
        )
