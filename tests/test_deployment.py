"""What hosts are told to run: every command exists, every setting is one, and what is listed is enough to start."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Mapping
from pathlib import Path

import click
import pytest

from gateway.cli import program
from gateway.settings import load
from gateway.settings.names import NAMES
from gateway.web.server import KILL_SECONDS
from tests.test_settings import LIVE

ROOT = Path(__file__).parents[1]
UNITS = sorted((ROOT / "deploy").glob("*.service"))
# PostgreSQL's own library reads this one.
KNOWN = {*NAMES, "PGSSLMODE"}
SECRETS = {
    **LIVE,
    "TWILIO_API_KEY": "SK" + "1" * 32,
    "TWILIO_API_SECRET": "0123456789abcdef0123456789abcdef",
    "VAPI_ASSISTANT_ID": "11111111-2222-4333-8444-555555555555",
    "SECRET_KEY": "0123456789abcdef",
}


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def check_command(line: str) -> None:
    """`… python -m gateway COMMAND --option …`: there is such a command, and it takes such an option."""
    words = shlex.split(line)
    assert [Path(words[0]).name, *words[1:3]] == ["python", "-m", "gateway"], line
    command = program.get_command(click.Context(program), words[3])
    assert command is not None, line
    options = {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
    wrong = [word for word in words[4:] if word.startswith("-") and word not in options]
    assert not wrong, f"{line}: {wrong}"


def procfile() -> dict[str, str]:
    return dict(line.split(": ", 1) for line in text("Procfile").splitlines())


def fenced(language: str = "") -> list[str]:
    """The blocks of docs/deploy.md that are marked as this language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text("docs/deploy.md"), re.M | re.S)


def assignments(block: str) -> dict[str, str]:
    return dict(re.findall(r"^([A-Z][A-Z0-9_]+)=(.*)$", block, re.M))


def starts(environ: Mapping[str, str]) -> None:
    """Whether live mode starts with these settings, once the secrets are filled in."""
    filled = {
        name: SECRETS.get(name, value) if "…" in value or not value else value for name, value in environ.items()
    }
    settings = load(filled)
    assert settings.is_live
    assert not settings.hints


@pytest.mark.parametrize("name", ["web", "worker", "release"])
def test_the_procfile_names_commands_that_exist(name: str) -> None:
    check_command(procfile()[name])


def test_the_procfile_in_the_documents_is_the_real_one() -> None:
    assert text("Procfile") in fenced()


def test_app_json_asks_for_settings_and_they_are_enough_on_heroku() -> None:
    app = json.loads(text("app.json"))

    assert set(app["env"]) <= KNOWN
    assert set(app["formation"]) == set(procfile()) - {"release"}
    required = {name: about.get("value", "") for name, about in app["env"].items() if about.get("required", True)}
    starts({**required, "DYNO": "web.1", "PORT": "5000", "DATABASE_URL": "postgres://u:p@db.example/d"})


def test_one_python_is_named_everywhere() -> None:
    version = text(".python-version").strip()

    assert re.findall(r"^FROM \S+/python:([\d.]+)-", text("Containerfile"), re.M) == [version, version]
    assert f'python_version = "{version}"' in text("pyproject.toml")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_units_start_commands_that_exist_and_wait_for_their_end(unit: Path) -> None:
    lines = dict(line.split("=", 1) for line in unit.read_text(encoding="utf-8").splitlines() if "=" in line)
    commands = [lines["ExecStart"], lines.get("ExecStartPre", "").lstrip("-")]

    for command in filter(None, commands):
        found = re.search(r"\S*python -m gateway [^'\"$]*", command)
        assert found is not None, command
        check_command(found.group())
        assert found.group().startswith(f"{lines['WorkingDirectory']}/.venv/bin/python ")
    assert unit.name in text("docs/deploy.md") or unit.stem in text("docs/deploy.md")
    if "TimeoutStopSec" in lines:
        assert int(lines["TimeoutStopSec"]) > KILL_SECONDS


def test_the_container_has_what_it_runs_and_runs_it_as_nobody() -> None:
    lines = text("Containerfile").replace("\\\n", " ").splitlines()
    said = {word: [line.split(" ", 1)[1] for line in lines if line.startswith(f"{word} ")] for word in
            ("COPY", "ENV", "USER", "CMD")}  # fmt: skip
    sources = {source for line in said["COPY"] if "--from" not in line for source in line.split()[:-1]}
    environ = dict(word.split("=", 1) for line in said["ENV"] for word in line.split())

    check_command(" ".join(json.loads(said["CMD"][0])))
    assert {"gateway", "migrations", "app.py", "requirements.txt"} <= sources
    assert all((ROOT / source).exists() for source in sources)
    assert {f"!{source}" for source in sources} <= set(text(".dockerignore").split())
    assert {name for name in environ if not name.startswith("PYTHON") and name != "PATH"} <= KNOWN
    assert environ["PYTHONDONTWRITEBYTECODE"] == "1"
    assert [user.split(":")[0].isdigit() and user[0] != "0" for user in said["USER"]] == [True]
    starts({**environ, **SECRETS})


def test_every_setting_that_a_host_is_told_is_one() -> None:
    page = text("docs/deploy.md")
    told = {name for block in fenced() for name in re.findall(r"\b([A-Z][A-Z0-9]*_[A-Z0-9_]+|PORT|HOST)=", block)}
    told |= set(re.findall(r"- key: (\S+)", page))

    assert told
    assert told <= KNOWN
    assert {name for name in re.findall(r"`([A-Z]+_[A-Z_]+)(?:=[^`]*)?`", page) if name != "X_"} <= KNOWN


def test_what_is_told_for_a_machine_with_systemd_is_enough_to_start() -> None:
    (block,) = [block for block in fenced() if "HOST=127.0.0.1" in block]

    starts(assignments(block))


def test_what_is_told_for_fly_is_enough_to_start() -> None:
    (block,) = fenced("toml")
    fly = tomllib.loads(block)
    (secrets,) = re.findall(r"fly secrets set (.*)", text("docs/deploy.md"))

    assert (ROOT / fly["build"]["dockerfile"]).exists()
    assert str(fly["http_service"]["internal_port"]) == fly["env"]["PORT"]
    assert fly["env"]["DATABASE_URL"].startswith(f"sqlite:///{fly['mounts']['destination']}/")
    starts({**fly["env"], **dict(word.split("=", 1) for word in secrets.split())})


def test_what_is_told_for_render_is_enough_to_start() -> None:
    (block,) = fenced("yaml")
    environ = {name: value or "" for name, value in re.findall(r"- key: (\S+)\n +(?:value: (\S+)|sync: false)", block)}
    (command,) = re.findall(r"startCommand: (.*)", block)

    check_command(command)
    starts(environ)


@pytest.mark.parametrize("name", ["Procfile", "app.json", "Containerfile", "deploy/"])
def test_what_is_for_hosts_is_in_the_documents(name: str) -> None:
    assert name in text("docs/deploy.md")
    assert name.rstrip("/") in text("CONTRIBUTING.md")
    assert "docs/deploy.md" in text("README.md")
