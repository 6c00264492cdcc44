"""The documents, compared with the code: every command, setting and code is in them, and nothing else is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from gateway.cli import COMMANDS
from gateway.cli.addresses import COMMANDS as ADDRESSES
from gateway.cli.clock import COMMANDS as CLOCK
from gateway.cli.events import COMMANDS as EVENTS
from gateway.cli.numbers import COMMANDS as NUMBERS
from gateway.cli.tenants import COMMANDS as TENANTS
from gateway.domain.model import Blocked, State
from gateway.settings import load
from gateway.settings.names import BASE_URLS, NAMES, SOURCE_SECRETS
from gateway.web.errors import ERRORS

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
SOURCES = sorted((ROOT / "gateway").rglob("*.py"))
GROUPS = {"tenants": TENANTS, "events": EVENTS, "numbers": NUMBERS, "addresses": ADDRESSES, "clock": CLOCK}
COMMAND = re.compile(r"python -m gateway ((?:[a-z-]+)(?: [a-z-]+)?)")


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def settings_table() -> dict[str, str]:
    """Name -> default, as docs/settings.md has them."""
    found: dict[str, str] = {}
    for line in text("docs/settings.md").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if line.startswith("| `"):
            for name in re.findall(r"`([A-Z][A-Z_]+)`", cells[0]):
                found[name] = cells[1]
    return found


def test_every_setting_is_documented_and_no_other() -> None:
    assert sorted(settings_table()) == sorted(NAMES)


def test_documented_defaults_are_the_real_ones() -> None:
    settings = load({})
    limits, times, signup = settings.limits, settings.times, settings.signup
    real = {
        "GATEWAY_ENV": settings.env,
        "PORT": settings.web.port,
        "HOST": settings.web.host,
        "WEB_THREADS": settings.web.threads,
        "TRUSTED_PROXIES": settings.web.trusted_proxies,
        "DEFAULT_COUNTRY": signup.default_country,
        "DEFAULT_NUMBER_TYPE": signup.default_number_type,
        "GRACE_DAYS": times.grace_days,
        "RELEASE_AFTER_DAYS": times.release_after_days,
        "LATE_AFTER_MINUTES": times.late_after_minutes,
        "MAX_PURCHASES_PER_HOUR": limits.max_purchases_per_hour,
        "MAX_PURCHASES_PER_DAY": limits.max_purchases_per_day,
        "MAX_RELEASES_PER_HOUR": limits.max_releases_per_hour,
        "MAX_RELEASE_SHARE": limits.max_release_share,
        "PROVIDER_TIMEOUT_SECONDS": times.provider_timeout_seconds,
        "LEASE_SECONDS": times.lease_seconds,
        "SETTLE_SECONDS": times.settle_seconds,
        "TAKEN_SETTLE_SECONDS": times.taken_settle_seconds,
        "STEP_THREADS": limits.step_threads,
        "TWILIO_CONCURRENCY": limits.twilio_concurrency,
        "VAPI_CONCURRENCY": limits.vapi_concurrency,
        "DB_POOL_MAX": settings.database.pool_max,
        "ENGINE": settings.engine,
        "BODY_KEEP_DAYS": times.body_keep_days,
        "LOG_LEVEL": settings.log.level,
        **BASE_URLS,
    }
    table = settings_table()

    wrong = {name: value for name, value in real.items() if not table[name].startswith(f"`{value}`")}

    assert not wrong
    assert signup.suspended_message in text("docs/settings.md")


def test_every_command_is_documented_and_no_other() -> None:
    documented = {
        command
        for line in text("docs/commands.md").splitlines()
        if line.startswith("| `")
        for command in re.findall(r"`([a-z]+(?: [a-z-]+)?)", line.split(" | ")[0])
    }
    documented = {name if name.split(" ")[0] in GROUPS else name.split(" ")[0] for name in documented}
    real = {name for name in COMMANDS if name not in GROUPS}
    real |= {f"{group} {name}" for group, commands in GROUPS.items() for name in commands}

    assert documented == real


@pytest.mark.parametrize("path", [*DOCUMENTS, *SOURCES], ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_that_anything_names_exists(path: Path) -> None:
    # Hints in the code are joined over lines: read them as the reader will.
    said = joined_strings(path) if path.suffix == ".py" else path.read_text(encoding="utf-8")

    for match in COMMAND.finditer(said):
        first, _, second = match.group(1).partition(" ")
        assert first in COMMANDS or first in {"password", "token"}, f"{path.name}: {match.group(0)}"
        if first in GROUPS and second:
            assert second in GROUPS[first], f"{path.name}: {match.group(0)}"


def joined_strings(path: Path) -> str:
    parts = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            parts.append(node.value)
        elif isinstance(node, ast.JoinedStr):
            parts.append("".join(str(v.value) if isinstance(v, ast.Constant) else "KEY" for v in node.values))
    return "\n".join(parts)


def test_every_error_code_is_documented() -> None:
    documented = text("docs/errors.md")

    missing = [code for code in sorted(ERRORS) if f"`{code}`" not in documented]

    assert not missing


@pytest.mark.parametrize("code", [*map(str, Blocked)])
def test_every_reason_to_be_blocked_is_documented(code: str) -> None:
    assert f"`{code}`" in text("docs/errors.md")


@pytest.mark.parametrize("state", [*map(str, State)])
def test_every_state_is_in_the_glossary(state: str) -> None:
    assert f"`{state}`" in text("docs/glossary.md")


def test_every_source_has_its_secret_in_the_settings() -> None:
    assert set(SOURCE_SECRETS) <= set(settings_table())
