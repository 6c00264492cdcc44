"""Settings: every fault at once, by name, with what is expected; and no secret ever shown."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import settings as module
from gateway.settings import SettingsError, load, secret_names, with_world
from gateway.settings.names import NAMES
from gateway.simulator import defaults

SID = "AC" + "0" * 32
KEY = "SK" + "1" * 32
STANDARD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
LIVE = {
    "GATEWAY_MODE": "live",
    "GATEWAY_ENV": "prod",
    "TWILIO_ACCOUNT_SID": SID,
    "TWILIO_AUTH_TOKEN": "0123456789abcdef0123456789abcdef",
    "VAPI_API_KEY": "11111111-2222-4333-8444-555555555555",
    "STRIPE_WEBHOOK_SECRET": "whsec_abcdefghijklmnop",
}


def problems(values: Mapping[str, str]) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load(values)
    return caught.value.problems


def names(found: tuple[str, ...]) -> list[str]:
    return [problem.split(" ", 1)[0] for problem in found]


def complaint_about(values: Mapping[str, str]) -> str:
    try:
        load(values)
    except SettingsError as error:
        return str(error)
    return ""


def test_with_nothing_set_it_is_a_sandbox_that_needs_its_world() -> None:
    settings = load({})

    assert (settings.mode, settings.env, settings.web.host, settings.web.port) == ("sandbox", "dev", "127.0.0.1", 8000)
    assert settings.database.path == Path("var/sandbox.db")
    assert settings.needs_world
    assert settings.twilio.account_sid
    assert settings.vapi.assistant_id
    assert settings.stripe.webhook_secrets


def test_live_with_nothing_else_lists_all_that_is_missing() -> None:
    found = problems({"GATEWAY_MODE": "live"})

    expected = ["GATEWAY_ENV", "STRIPE_WEBHOOK_SECRET", "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "VAPI_API_KEY"]
    assert names(found) == expected
    assert all("is missing" in problem for problem in found)


def test_live_with_everything_uses_the_real_services_and_json_logs() -> None:
    settings = load(LIVE)

    assert settings.is_live
    assert not settings.needs_world
    assert settings.twilio.base_url == "https://api.twilio.com"
    assert settings.vapi.base_url == "https://api.vapi.ai"
    assert settings.stripe.livemode == "true"
    assert settings.log.format == "json"
    assert settings.database.path == Path("var/gateway.db")
    assert settings.standard.webhook_secrets == ()


def test_live_is_content_with_a_source_of_your_own() -> None:
    values = {name: value for name, value in LIVE.items() if name != "STRIPE_WEBHOOK_SECRET"}

    settings = load({**values, "STANDARD_WEBHOOKS_SECRET": STANDARD})

    assert settings.stripe.webhook_secrets == ()
    assert settings.standard.webhook_secrets == (STANDARD,)


def test_live_takes_an_api_key_instead_of_the_auth_token() -> None:
    values = {name: value for name, value in LIVE.items() if name != "TWILIO_AUTH_TOKEN"}

    settings = load({**values, "TWILIO_API_KEY": KEY, "TWILIO_API_SECRET": "s3cr3t"})

    assert settings.twilio.auth_token is None
    assert settings.twilio.api_secret == "s3cr3t"


DIGEST = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("changes", "name", "says"),
    [
        pytest.param({"GATEWAY_MODE": "prod"}, "GATEWAY_MODE", "sandbox or live", id="unknown mode"),
        pytest.param({"GATEWAY_ENV": "Prod"}, "GATEWAY_ENV", "a-z", id="env with a capital"),
        pytest.param({"GATEWAY_ENV": "a" * 17}, "GATEWAY_ENV", "1 to 16", id="env too long"),
        pytest.param({"DATABASE_URL": "mysql://x/y"}, "DATABASE_URL", "sqlite:///path", id="unknown database"),
        pytest.param({"DATABASE_URL": "sqlite://"}, "DATABASE_URL", "sqlite:///path", id="sqlite without a path"),
        pytest.param({"DATABASE_URL": "sqlite:///:memory:"}, "DATABASE_URL", "sqlite:///path", id="in memory"),
        pytest.param({"DATABASE_URL": "postgres://u:hunter2@db"}, "DATABASE_URL", "@host/database", id="no database"),
        pytest.param({"DATABASE_URL": "postgres://u:a@b@db/x?p=1"}, "DATABASE_URL", "@host/database", id="pg options"),
        pytest.param({"DATABASE_URL": "postgresql+psycopg://db/x"}, "DATABASE_URL", "sqlite:///path", id="a dialect"),
        pytest.param({"PORT": "eighty"}, "PORT", "whole number", id="port in words"),
        pytest.param({"PORT": "70000"}, "PORT", "65535", id="port too large"),
        pytest.param({"HOST": "a b"}, "HOST", "127.0.0.1", id="host with a space"),
        pytest.param({"WEB_THREADS": "0"}, "WEB_THREADS", "from 1", id="no threads"),
        pytest.param({"TRUSTED_PROXIES": "-1"}, "TRUSTED_PROXIES", "whole number", id="negative proxies"),
        pytest.param({"PUBLIC_URL": "example.com"}, "PUBLIC_URL", "web address", id="url without a scheme"),
        pytest.param({"SECRET_KEY": "short"}, "SECRET_KEY", "16 characters", id="short key"),
        pytest.param({"API_TOKENS": ""}, "API_TOKENS", "empty", id="no tokens"),
        pytest.param({"API_TOKENS": f"ci:viewer:{DIGEST},"}, "API_TOKENS", "empty", id="tokens with a gap"),
        pytest.param({"API_TOKENS": f"ci:{DIGEST}"}, "API_TOKENS", "name:role:", id="token without a role"),
        pytest.param({"API_TOKENS": f"ci:root:{DIGEST}"}, "API_TOKENS", "viewer", id="token with an unknown role"),
        pytest.param({"API_TOKENS": "ci:viewer:abc"}, "API_TOKENS", "sha256", id="token that is no digest"),
        pytest.param({"API_TOKENS": f"C I:viewer:{DIGEST}"}, "API_TOKENS", "space", id="token's name with a space"),
        pytest.param(
            {"API_TOKENS": f"ci:viewer:{DIGEST},ci:admin:{DIGEST}"},
            "API_TOKENS",
            "twice",
            id="one name for two tokens",
        ),
        pytest.param({"STRIPE_WEBHOOK_SECRET": ""}, "STRIPE_WEBHOOK_SECRET", "empty", id="empty secret"),
        pytest.param({"STRIPE_WEBHOOK_SECRET": "whsec_a,"}, "STRIPE_WEBHOOK_SECRET", "empty", id="empty in a list"),
        pytest.param({"STRIPE_WEBHOOK_SECRET": "whsec_a,,whsec_b"}, "STRIPE_WEBHOOK_SECRET", "empty", id="gap"),
        pytest.param({"STRIPE_WEBHOOK_SECRET": "whsec_"}, "STRIPE_WEBHOOK_SECRET", "whsec_", id="prefix alone"),
        pytest.param({"STRIPE_WEBHOOK_SECRET": "pk_test_x"}, "STRIPE_WEBHOOK_SECRET", "whsec_", id="not a secret"),
        pytest.param({"STRIPE_WEBHOOK_SECRET": "whsec_a b"}, "STRIPE_WEBHOOK_SECRET", "space", id="space within"),
        pytest.param({"STRIPE_LIVEMODE": "yes"}, "STRIPE_LIVEMODE", "true, false or any", id="livemode"),
        pytest.param({"STRIPE_API_KEY": "pk_live_abc"}, "STRIPE_API_KEY", "sk_live", id="publishable key"),
        pytest.param({"STANDARD_WEBHOOKS_SECRET": "whsec_c2hvcnQ="}, "STANDARD_WEBHOOKS_SECRET", "24", id="short"),
        pytest.param({"STANDARD_WEBHOOKS_SECRET": "whsec_%%%"}, "STANDARD_WEBHOOKS_SECRET", "base64", id="no base64"),
        pytest.param({"TWILIO_BASE_URL": "http://api.twilio.com"}, "TWILIO_BASE_URL", "https", id="plain http"),
        pytest.param({"VAPI_BASE_URL": "https://u:p@api.vapi.ai"}, "VAPI_BASE_URL", "user", id="user in a url"),
        pytest.param({"TWILIO_ACCOUNT_SID": "AC12"}, "TWILIO_ACCOUNT_SID", "32 hexadecimal", id="short sid"),
        pytest.param({"TWILIO_API_KEY": KEY}, "TWILIO_API_SECRET", "pair", id="key without secret"),
        pytest.param({"TWILIO_API_SECRET": "x"}, "TWILIO_API_KEY", "pair", id="secret without key"),
        pytest.param({"TWILIO_API_KEY": "AC12", "TWILIO_API_SECRET": "x"}, "TWILIO_API_KEY", "SK", id="not a key"),
        pytest.param({"VAPI_API_KEY": ""}, "VAPI_API_KEY", "empty", id="empty vapi key"),
        pytest.param({"VAPI_SERVER_URL": "https://a.example/{id}"}, "VAPI_SERVER_URL", "{tenant}", id="placeholder"),
        pytest.param({"VAPI_SERVER_URL": "https://{tenant}.example"}, "VAPI_SERVER_URL", "path", id="tenant as host"),
        pytest.param({"DEFAULT_COUNTRY": "usa"}, "DEFAULT_COUNTRY", "two capital letters", id="country"),
        pytest.param({"DEFAULT_NUMBER_TYPE": "fax"}, "DEFAULT_NUMBER_TYPE", "local", id="number type"),
        pytest.param({"GRACE_DAYS": "-1"}, "GRACE_DAYS", "number from 0", id="negative days"),
        pytest.param({"GRACE_DAYS": "nan"}, "GRACE_DAYS", "number from 0", id="not a number"),
        pytest.param({"RELEASE_AFTER_DAYS": "inf"}, "RELEASE_AFTER_DAYS", "number from 0", id="infinite"),
        pytest.param({"RELEASE_AFTER_DAYS": "1e400"}, "RELEASE_AFTER_DAYS", "number from 0", id="overflow"),
        pytest.param({"MAX_RELEASE_SHARE": "1.5"}, "MAX_RELEASE_SHARE", "0 to 1", id="share above one"),
        pytest.param({"MAX_PURCHASES_PER_DAY": "1.5"}, "MAX_PURCHASES_PER_DAY", "whole number", id="half a purchase"),
        pytest.param({"PROVIDER_TIMEOUT_SECONDS": "0"}, "PROVIDER_TIMEOUT_SECONDS", "more than", id="no time at all"),
        pytest.param({"LEASE_SECONDS": "49.9"}, "LEASE_SECONDS", "at least 50", id="lease below three calls"),
        pytest.param({"PROVIDER_TIMEOUT_SECONDS": "19"}, "LEASE_SECONDS", "at least 62", id="timeout too long"),
        pytest.param({"SETTLE_SECONDS": "74"}, "SETTLE_SECONDS", "at least 75", id="settle below lease and call"),
        pytest.param({"ENGINE": "procrastinate"}, "ENGINE", "needs PostgreSQL", id="jobs in a file"),
        pytest.param({"LOG_LEVEL": "LOUD"}, "LOG_LEVEL", "DEBUG", id="log level"),
        pytest.param({"LOG_FORMAT": "xml"}, "LOG_FORMAT", "json or text", id="log format"),
        pytest.param({"SUSPENDED_MESSAGE": "a\nb"}, "SUSPENDED_MESSAGE", "line break", id="line break"),
        pytest.param({"SUSPENDED_MESSAGE": "a" * 4001}, "SUSPENDED_MESSAGE", "at most 4,000", id="too long to say"),
        pytest.param({"DYNO": "web.1"}, "DATABASE_URL", "ALLOW_EPHEMERAL_SQLITE", id="disk that vanishes"),
        pytest.param({"TWILIO_COMPLIANCE_FILE": "/nowhere.toml"}, "TWILIO_COMPLIANCE_FILE", "read", id="no file"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_expected(changes: dict[str, str], name: str, says: str) -> None:
    found = problems({**LIVE, **changes})

    assert names(found) == [name]
    assert says in found[0]


def test_what_callers_hear_may_be_as_long_as_vapi_takes() -> None:
    assert len(load({"SUSPENDED_MESSAGE": "é" * 4000}).signup.suspended_message) == 4000


def test_faults_come_all_at_once_in_the_order_of_the_documentation() -> None:
    found = problems({**LIVE, "LOG_LEVEL": "x", "PORT": "x", "GATEWAY_ENV": "!", "LEASE_SECONDS": "1"})

    assert names(found) == ["GATEWAY_ENV", "PORT", "LEASE_SECONDS", "LOG_LEVEL"]


@pytest.mark.parametrize("name", ["TWILIO_AUTH_TOKEN", "TWILIO_API_KEY", "VAPI_API_KEY", "STRIPE_WEBHOOK_SECRET"])
def test_with_a_real_secret_the_mode_must_be_said(name: str) -> None:
    found = problems({name: LIVE.get(name, KEY)})

    assert "GATEWAY_MODE" in names(found)
    assert name in found[0]


def test_a_port_given_by_a_platform_opens_to_all_addresses() -> None:
    assert load({"PORT": "5000"}).web.host == "0.0.0.0"
    assert load({"PORT": "5000", "HOST": "127.0.0.1"}).web.host == "127.0.0.1"
    assert load({"DYNO": "web.1"}).web.trusted_proxies == 1
    assert load({"DYNO": "web.1", "TRUSTED_PROXIES": "2"}).web.trusted_proxies == 2


def test_lists_keep_their_order_and_spaces_round_commas_do_not_matter() -> None:
    settings = load({**LIVE, "STRIPE_WEBHOOK_SECRET": " whsec_new , whsec_old,whsec_new"})

    assert settings.stripe.webhook_secrets == ("whsec_new", "whsec_old")


def test_a_lasting_disk_on_a_dyno_is_the_operators_word() -> None:
    assert load({**LIVE, "DYNO": "web.1", "ALLOW_EPHEMERAL_SQLITE": "1"}).is_live
    assert load({"DYNO": "web.1"}).mode == "sandbox"


def test_loopback_may_be_plain_http_in_any_spelling() -> None:
    for host in ("127.0.0.1", "127.9.9.9", "localhost", "[::1]"):
        assert load({**LIVE, "TWILIO_BASE_URL": f"http://{host}:9/"}).twilio.base_url == f"http://{host}:9"


def test_a_sandbox_never_speaks_to_the_real_services() -> None:
    for host in ("api.twilio.com", "twilio.com", "API.TWILIO.COM"):
        assert names(problems({"TWILIO_BASE_URL": f"https://{host}"})) == ["TWILIO_BASE_URL"]


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///var/x.db", "var/x.db"),
        ("sqlite:////srv/x.db", "/srv/x.db"),
        ("sqlite:///my%20files/x.db", "my files/x.db"),
    ],
)
def test_a_sqlite_path_is_relative_with_three_slashes_and_absolute_with_four(url: str, path: str) -> None:
    assert load({"DATABASE_URL": url}).database.path == Path(path)


def test_postgresql_is_shown_without_its_password_and_reached_with_it() -> None:
    settings = load({"DATABASE_URL": "postgres://me:hunter%402hunter@db.example:6432/main?sslmode=require"})

    assert settings.database.shown == "postgresql://me@db.example:6432/main"
    assert settings.database.conninfo == "postgres://me:hunter%402hunter@db.example:6432/main?sslmode=require"
    assert "hunter" not in repr(settings)
    assert "hunter@2hunter" in settings.secrets


@pytest.mark.parametrize(
    ("url", "more", "is_unsaid"),
    [
        ("postgres://me@db.example/main", {}, True),
        ("postgres://me@10.0.0.7:6432/main", {}, True),
        ("postgres://me@db.example/main", {"PGSSLMODE": "require"}, False),
        ("postgres://me@db.example/main?sslmode=verify-full", {}, False),
        ("postgres://me@db.example/main?sslmode=disable", {}, False),
        ("postgres://me@127.0.0.1/main", {}, False),
        ("postgres://me@[::1]:5432/main", {}, False),
        ("postgres://localhost/main", {}, False),
        ("postgres:///main", {}, False),
        ("postgres:///main?host=/run/postgresql", {}, False),
        ("postgres://%2Frun%2Fpostgresql/main", {}, False),
        ("postgres://127.0.0.1,db.example/main", {}, True),
        ("postgres:///main?host=db.example", {}, True),
        ("postgres://localhost/main?hostaddr=10.0.0.7", {}, True),
        ("sqlite:///var/x.db", {}, False),
    ],
)
def test_tls_is_to_be_spoken_of_where_the_database_is_on_another_machine(
    url: str, more: dict[str, str], is_unsaid: bool
) -> None:
    assert load({"DATABASE_URL": url, **more}).database.is_tls_unsaid is is_unsaid


def test_times_take_decimals_and_say_milliseconds() -> None:
    times = load({"GRACE_DAYS": "0.5", "SETTLE_SECONDS": "75.25", "LATE_AFTER_MINUTES": "1.5"}).times

    assert (times.grace_ms, times.settle_ms, times.late_after_ms) == (43_200_000, 75_250, 90_000)


def test_dotenv_fills_in_and_never_overrides(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("# ours\nGATEWAY_ENV=from-file\nPORT=9000\nSUSPENDED_MESSAGE='We owe $5 ${HOME}'\n")

    settings = load({"GATEWAY_ENV": "from-shell"}, file)

    assert (settings.env, settings.web.port) == ("from-shell", 9000)
    assert settings.signup.suspended_message == "We owe $5 ${HOME}"


def test_a_dotenv_for_the_other_mode_lends_nothing(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("".join(f"{name}={value}\n" for name, value in LIVE.items()))

    sandbox = load({"GATEWAY_MODE": "sandbox"}, file)

    assert sandbox.twilio.auth_token == defaults.AUTH_TOKEN
    assert sandbox.env == "dev"
    assert load({}, file).env == "prod"


def test_a_dotenv_that_is_no_text_is_a_fault_and_not_a_stack_trace(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(SettingsError, match=r"\.env cannot be read"):
        load({}, file)


def test_the_compliance_file_gives_sids_by_country_and_type(tmp_path: Path) -> None:
    file = tmp_path / "compliance.toml"
    file.write_text(f'[DE.local]\naddress_sid = "AD{"0" * 32}"\n[GB.mobile]\nbundle_sid = "BU{"1" * 32}"\n')

    compliance = load({"TWILIO_COMPLIANCE_FILE": str(file)}).twilio.compliance

    assert compliance["DE", "local"].address_sid == "AD" + "0" * 32
    assert compliance["GB", "mobile"].address_sid is None


@pytest.mark.parametrize(
    "text",
    ["not toml", 'DE = "x"', "[germany.local]", "[DE.fax]", '[DE.local]\naddress_sid = "x"', "[DE.local]\nadress = 1"],
)
def test_a_wrong_compliance_file_is_a_fault(text: str, tmp_path: Path) -> None:
    file = tmp_path / "compliance.toml"
    file.write_text(text)

    assert names(problems({"TWILIO_COMPLIANCE_FILE": str(file)})) == ["TWILIO_COMPLIANCE_FILE"]


CANARIES = {
    "STRIPE_WEBHOOK_SECRET": "whsec_canarycanarycanary1",
    "STRIPE_API_KEY": "sk_live_canarycanarycanary2",
    "TWILIO_AUTH_TOKEN": "canarycanarycanarycanarycanary03",
    "TWILIO_API_KEY": KEY,
    "TWILIO_API_SECRET": "canarycanarycanarycanarycanary04",
    "VAPI_API_KEY": "canary-canary-canary-canary-0005",
    "SECRET_KEY": "canarycanarycanarycanarycanary06",
    "STANDARD_WEBHOOKS_SECRET": STANDARD,
}


def test_printing_the_settings_shows_no_secret() -> None:
    shown = repr(load({**LIVE, **CANARIES}))

    assert "canary" not in shown
    assert STANDARD not in shown
    assert "whsec_…y1" in shown


def test_api_tokens_have_a_name_a_role_and_a_masked_digest() -> None:
    settings = load({"API_TOKENS": f"ci:viewer:{DIGEST}, ops:admin:{DIGEST.upper()[::-1]}"})

    assert [(token.name, token.role) for token in settings.web.api_tokens] == [("ci", "viewer"), ("ops", "admin")]
    assert settings.web.api_tokens[1].digest == DIGEST[::-1]
    assert DIGEST not in repr(settings)
    assert DIGEST in settings.secrets
    assert "API_TOKENS" in secret_names()


@pytest.mark.parametrize("name", sorted(NAMES))
@pytest.mark.parametrize("secret", sorted({*CANARIES.values(), "postgres://me:canarycanary@db.example/x"}))
def test_a_secret_under_the_wrong_name_is_not_shown_in_the_complaint(name: str, secret: str) -> None:
    complaint = complaint_about({**LIVE, name: secret})

    assert secret not in complaint
    assert "canarycanary" not in complaint


@given(st.dictionaries(st.sampled_from(NAMES), st.text(max_size=40)))
def test_any_text_in_any_setting_is_settings_or_a_settings_error(values: dict[str, str]) -> None:
    complaint = complaint_about(values)

    assert complaint.count("\n") < 2 * len(NAMES)
    if not complaint:
        times = load(values).times
        assert times.lease_seconds >= 3 * times.provider_timeout_seconds + 5
        assert times.settle_seconds >= times.lease_seconds + times.provider_timeout_seconds


def test_the_worlds_address_fills_what_was_not_given() -> None:
    settings = load({"VAPI_BASE_URL": "http://127.0.0.1:7"})

    filled = with_world(settings, "http://127.0.0.1:9/", "3f9c")

    assert settings.needs_world
    assert not filled.needs_world
    assert filled.vapi.base_url == "http://127.0.0.1:7"
    assert filled.twilio.pricing_base_url == filled.stripe.base_url == "http://127.0.0.1:9"


def test_a_world_keeps_its_key_and_another_has_another() -> None:
    keys = [with_world(load({}), "http://127.0.0.1:9", world).web.secret_keys for world in ("a", "a", "b")]

    assert keys[0] == keys[1] != keys[2]
    assert with_world(load({"SECRET_KEY": "k" * 16}), "http://127.0.0.1:9", "a").web.secret_keys == ("k" * 16,)


def test_live_has_no_world() -> None:
    with pytest.raises(SettingsError):
        with_world(load(LIVE), "http://127.0.0.1:9", "a")


def test_a_sandbox_opens_the_pretend_world_and_nothing_else() -> None:
    settings = load({})

    assert settings.twilio.account_sid == defaults.ACCOUNT_SID
    assert settings.twilio.auth_token == defaults.AUTH_TOKEN
    assert settings.vapi.api_key == defaults.VAPI_KEY
    assert settings.vapi.assistant_id == defaults.ASSISTANT_ID
    assert settings.stripe.webhook_secrets == (defaults.STRIPE_WEBHOOK_SECRET,)


def test_a_misspelt_name_is_pointed_out() -> None:
    assert load({"TWILIO_ACOUNT_SID": "x", "STRIPE_CLI_PATH": "x"}).hints == (
        "TWILIO_ACOUNT_SID is not a setting: did you mean TWILIO_ACCOUNT_SID?",
    )


def test_secrets_for_redaction_are_all_of_them() -> None:
    found = load({**LIVE, **CANARIES}).secrets

    assert {value for name, value in CANARIES.items() if name != "TWILIO_API_KEY"} <= set(found)


def test_a_process_reads_its_environment_once_and_can_forget_the_secrets(tmp_path: Path) -> None:
    code = (
        "import os; from gateway.settings import *; s = load_from_process(); forget_secrets();"
        "assert s.is_live and s.env == 'shop', s; assert 'TWILIO_AUTH_TOKEN' not in os.environ;"
        "assert environment_for_child({'A': '1', 'GATEWAY_ENV': None}).get('A') == '1';"
        "assert 'GATEWAY_ENV' not in environment_for_child({'GATEWAY_ENV': None}); print('ok')"
    )
    (tmp_path / ".env").write_text("GATEWAY_ENV=shop\n")
    given = {name: value for name, value in LIVE.items() if name != "GATEWAY_ENV"}
    root = str(Path(module.__file__).parents[2])

    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": os.defpath, "PYTHONPATH": root, **given},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert done.stdout == "ok\n", done.stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", ()), ("region", ("region",)), (" Region , ANY ", ("region", "any")), ("any", ("any",))],
)
def test_fall_backs_are_read_in_their_order(text: str, expected: tuple[str, ...]) -> None:
    assert load({"NUMBER_FALLBACK": text}).signup.number_fallback == expected


@pytest.mark.parametrize("text", ["any,region", "region,region", "near", "region,,any", ","])
def test_fall_backs_that_make_no_sense_are_refused(text: str) -> None:
    assert names(problems({"NUMBER_FALLBACK": text})) == ["NUMBER_FALLBACK"]


def test_price_ceilings_are_read_as_text_with_their_currency() -> None:
    ceilings = load({"PRICE_CEILING": "local=2.00 USD, toll_free = 3 eur"}).signup.price_ceilings

    assert ceilings == {"local": ("2.00", "USD"), "toll_free": ("3", "EUR")}


@pytest.mark.parametrize(
    "text",
    ["2.00 USD", "local=2.00", "local=-1 USD", "local=1e3 USD", "landline=1 USD", "local=1 USD,local=2 USD", ","],
)
def test_price_ceilings_that_make_no_sense_are_refused(text: str) -> None:
    assert set(names(problems({"PRICE_CEILING": text}))) == {"PRICE_CEILING"}
