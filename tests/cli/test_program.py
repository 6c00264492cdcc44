"""The program as a whole: what it offers, how fast it says so, and how a command ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import gateway
from gateway.cli import COMMANDS
from gateway.cli.clock import COMMANDS as CLOCK
from gateway.cli.events import COMMANDS as EVENTS
from gateway.cli.tenants import COMMANDS as TENANTS
from tests.cli.conftest import Run

# How commands are named, explained and refused: no matter of the database.
pytestmark = pytest.mark.sqlite_file

ROOT = Path(gateway.__file__).parents[1]
GROUPS = {"tenants": TENANTS, "events": EVENTS, "clock": CLOCK}
ALL = [
    *((name,) for name in COMMANDS),
    *((group, name) for group, commands in GROUPS.items() for name in commands),
]


def test_help_names_every_command(run: Run) -> None:
    result = run("--help")

    assert result.status == 0
    for name, (_, help_text) in COMMANDS.items():
        assert f"  {name} " in result.out
        assert help_text in " ".join(result.out.split())


@pytest.mark.parametrize("command", ALL, ids=" ".join)
def test_every_command_explains_itself(command: tuple[str, ...], run: Run) -> None:
    result = run(*command, "--help")

    assert result.status == 0
    assert result.out.startswith(f"Usage: python -m gateway {' '.join(command)}")


def test_help_imports_nothing_heavy() -> None:
    heavy = "{'flask', 'requests', 'sqlite_utils', 'apscheduler', 'granian', 'phonenumbers', 'msgspec', 'asyncio'}"
    code = f"from gateway.cli import main; main(['--help']); import sys; assert not {heavy} & set(sys.modules)"

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={"PATH": os.defpath}, capture_output=True, text=True, timeout=30
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["nothing"], id="no such command"),
        pytest.param(["tenants", "show"], id="argument missing"),
        pytest.param(["tenants", "list", "--state", "happy"], id="no such state"),
        pytest.param(["serve", "--fast"], id="no such option"),
        pytest.param(["tenants", "suspend", "acme"], id="no reason"),
        pytest.param(["trigger"], id="neither name nor scenario"),
        pytest.param(["trigger", "checkout.sneezed"], id="no such event"),
        pytest.param(["trigger", "--scenario", "sneeze"], id="no such story"),
        pytest.param(["clock", "advance", "soon"], id="no duration"),
        pytest.param(["tenants", "retry"], id="nobody to retry"),
    ],
)
def test_wrong_use_is_status_2_and_says_how(arguments: list[str], run: Run) -> None:
    result = run(*arguments)

    assert result.status == 2
    assert "Usage: python -m gateway" in result.err
    assert result.out == ""


@pytest.mark.parametrize("command", [["doctor"], ["migrate"], ["serve"], ["work"], ["tenants", "list"], ["sandbox"]])
def test_wrong_settings_are_status_2_and_all_named(
    command: list[str], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", "x")
    monkeypatch.setenv("LEASE_SECONDS", "1")

    result = run(*command)

    assert result.status == 2
    assert "2 settings are wrong" in result.err
    assert "PORT" in result.err
    assert "LEASE_SECONDS" in result.err
    assert "Traceback" not in result.err


def test_a_database_that_is_not_there_is_said_with_what_to_do(run: Run) -> None:
    result = run("tenants", "list")

    assert result.status == 1
    assert "python -m gateway migrate" in result.err


@pytest.mark.parametrize("command", [["serve"], ["work"], ["migrate"], ["sandbox"]], ids=" ".join)
@pytest.mark.parametrize("place_of_the_folder", ["/proc/x", "a file/x"])
def test_a_folder_that_cannot_be_made_is_wrong_settings(
    command: list[str], place_of_the_folder: str, run: Run, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "a file").touch()
    folder = place / place_of_the_folder
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{folder}/gateway.db")

    result = run(*command)

    assert result.status == 2, result.err
    assert f"DATABASE_URL names {folder}/gateway.db, and its folder cannot be made" in result.err
    assert "Traceback" not in result.err
    assert "should not have happened" not in result.err


def test_a_database_of_another_installation_is_wrong_settings(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("migrate").status == 0
    monkeypatch.setenv("GATEWAY_ENV", "other")

    result = run("tenants", "list")

    assert result.status == 2
    assert "GATEWAY_ENV is other" in result.err


@pytest.mark.parametrize("command", [["serve"], ["work"], ["tenants", "list"], ["backup", "b.db"], ["migrate"]])
def test_a_damaged_database_is_refused_with_a_sentence_that_helps(command: list[str], run: Run, place: Path) -> None:
    (place / "gateway.db").write_bytes(b"This is not a database. " * 400)

    result = run(*command)

    assert result.status == 1
    assert "damaged" in result.err
    assert "backup" in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize("command", [["serve"], ["work"], ["migrate"], ["doctor"]], ids=" ".join)
def test_what_lies_beside_a_damaged_database_is_named_and_nothing_is_touched(
    command: list[str], run: Run, place: Path
) -> None:
    run("migrate")
    (place / "gateway.db").write_bytes((place / "gateway.db").read_bytes()[:4096] + b"\xff" * 8192)
    (place / "gateway.db-wal").write_bytes(b"left by the file before")
    before = (place / "gateway.db").read_bytes()

    result = run(*command)

    assert result.status == 1
    assert "Beside it lies gateway.db-wal" in result.err + result.out
    assert (place / "gateway.db").read_bytes() == before


@pytest.mark.parametrize("command", [["serve"], ["work"], ["tenants", "list"], ["backup", "b.db"], ["migrate"]])
def test_an_empty_file_is_no_database_and_no_first_start(command: list[str], run: Run, place: Path) -> None:
    (place / "gateway.db").touch()

    result = run(*command)

    assert result.status == 1
    assert "is an empty file" in result.err
    assert "backup" in result.err
    assert "Traceback" not in result.err
    assert (place / "gateway.db").stat().st_size == 0


def test_a_database_of_a_newer_release_is_refused(run: Run, place: Path) -> None:
    from gateway.store.sqlite import SqliteDatabase

    run("migrate")
    database = SqliteDatabase(place / "gateway.db")
    with database.transaction() as tx:
        tx.do("UPDATE _sqlite_migrations SET name = '9999_later' WHERE name LIKE '0003%'")
    database.close()

    result = run("tenants", "list")

    assert result.status == 1
    assert "newer release" in result.err


def test_a_fault_of_ours_is_one_line_without_values(run: Run, monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    run("migrate")
    # A broken terminal size stands for any surprise in a command.
    monkeypatch.setattr("shutil.get_terminal_size", lambda *_: 1 / 0)
    run("tenants", "add", "acme", "--reason", "test")

    result = run("tenants", "list")

    assert result.status == 1
    assert result.err.count("\n") == 1
    assert "ZeroDivisionError at gateway.cli.output" in result.err
