"""`migrate`, `backup`, `clock` and `doctor`."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import gateway
from gateway.cli.clock import Duration
from gateway.settings import load
from gateway.store import rejections
from gateway.store.engines import open_database
from gateway.store.rejections import Rejection
from gateway.store.sqlite import SqliteDatabase
from tests import databases
from tests.cli.conftest import Result, Run
from tests.stories.sandbox import Sandbox
from tests.test_settings import LIVE

ROOT = Path(gateway.__file__).parents[1]


def bad_findings(result: Result) -> dict[str, str]:
    return {finding["what"]: finding["says"] for finding in result.json[0]["findings"] if finding["is_well"] is False}


@pytest.mark.sqlite_file
def test_migrate_is_safe_to_repeat_and_says_what_it_did(run: Run) -> None:
    first, second = run("migrate", "--json").json[0], run("migrate", "--json").json[0]

    assert first["applied"][0] == "0001_inbox"
    assert first["bound"] is True
    assert second == {**first, "applied": [], "bound": False}


@pytest.mark.sqlite_file
def test_programs_that_start_together_on_a_new_path_all_find_one_database(place: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "gateway", "migrate", "--json"]
    together = [
        subprocess.Popen(command, cwd=place, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(4)
    ]

    ends = [(process.communicate(timeout=60), process.returncode) for process in together]

    assert [status for _, status in ends] == [0, 0, 0, 0], ends
    assert sorted(json.loads(out)["bound"] for (out, _), _ in ends) == [False, False, False, True]
    assert sorted(file.name for file in place.iterdir()) == ["gateway.db", "gateway.db.use"]


@pytest.mark.sqlite_file
def test_a_backup_holds_everything_and_the_gateway_goes_on(acme: Sandbox, run: Run, place: Path) -> None:
    result = run("backup", "copy.db", "--json")
    acme.deliver("checkout.completed", "bob")

    assert result.status == 0
    copy = SqliteDatabase(place / "copy.db", is_alone=True)
    with copy.read() as tx:
        assert tx.all("SELECT tenant_key FROM tenants") == [{"tenant_key": "acme"}]
    copy.close()
    assert stat.S_IMODE((place / "copy.db").stat().st_mode) == 0o600
    assert not list(place.glob("copy.db.*"))


@pytest.mark.sqlite_file
def test_a_backup_never_overwrites(acme: Sandbox, run: Run, place: Path) -> None:
    (place / "copy.db").write_text("precious")

    assert run("backup", "copy.db").status == 2
    assert run("backup", "nowhere/copy.db").status == 2
    assert (place / "copy.db").read_text() == "precious"


def test_a_release_step_leaves_a_sqlite_file_alone_and_brings_a_server_up_to_date(run: Run, place: Path) -> None:
    result = run("migrate", "--release")
    again = run("migrate", "--release", "--json")

    assert result.status == again.status == 0
    if databases.is_postgres():
        assert result.out.count("\n") == 2, "migrated, and bound"
        assert run("tenants", "list").status == 0
    else:
        assert "left to `serve` and `work`" in result.out
        assert list(place.iterdir()) == []
    assert again.json[0]["applied"] == []


def test_a_release_step_fails_where_settings_are_wrong(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_MODE", "live")

    result = run("migrate", "--release")

    assert result.status == 2
    assert "TWILIO_ACCOUNT_SID is missing" in result.err


def test_a_live_installation_on_postgresql_keeps_nothing_on_this_machine(
    run: Run, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in LIVE.items():
        monkeypatch.setenv(name, value)

    assert run("migrate").status == 0
    open_database(load(LIVE | {"DATABASE_URL": databases.database_url(place)})).close()

    kept = {each.name for each in place.iterdir()}
    assert kept == (set() if databases.is_postgres() else {"gateway.db", "gateway.db.use"})


def test_doctor_says_that_all_is_well(acme: Sandbox, run: Run) -> None:
    result = run("doctor")

    assert result.status == 0, result.out
    assert "All is well." in result.out
    assert "1 active" in result.out


@pytest.mark.sqlite_file
def test_doctor_before_the_first_start_finds_no_fault(run: Run) -> None:
    result = run("doctor")

    assert result.status == 0
    assert "does not exist yet" in result.out


@pytest.mark.parametrize("path", ["/proc/x/gateway.db", "/proc/gateway.db", "a file/x/y/gateway.db"])
@pytest.mark.sqlite_file
def test_doctor_names_a_place_where_no_database_can_be_made(
    path: str, run: Run, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "a file").touch()
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{place / path}")

    result = run("doctor", "--json")

    assert result.status == 1
    assert f"DATABASE_URL names {place / path}, and" in bad_findings(result)["database"]


@pytest.mark.sqlite_file
def test_doctor_of_a_place_where_a_database_can_be_made_leaves_nothing_there(
    run: Run, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{place}/new/folder/gateway.db")

    assert run("doctor").status == 0
    assert list(place.iterdir()) == []


def test_doctor_notices_what_is_wrong(sandbox: Sandbox, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox.deliver("checkout.completed", set={"metadata.area_code": "1"})
    sandbox.settle(60)
    monkeypatch.setenv("TWILIO_ACOUNT_SID", "AC1")

    result = run("doctor", "--json")

    assert result.status == 1
    bad = bad_findings(result)
    assert "1 blocked" in bad["tenants"]
    assert "TWILIO_ACCOUNT_SID" in bad["settings"]


def test_doctor_names_events_that_are_parked_and_the_command_that_tries_them_again(sandbox: Sandbox, run: Run) -> None:
    for _ in range(2):
        sandbox.deliver("subscription.created", set={"status": None})
        sandbox.clock.at_ms += 1000
    sandbox.settle(6 * 3600)

    result = run("doctor", "--json")

    assert result.status == 1
    says = bad_findings(result)["parked events"]
    assert says.startswith("2 events failed and are parked; the newest is 2, a customer.subscription.created of")
    assert "It failed 8 of 8 times" in says
    assert "python -m gateway events replay 2 --reason" in says
    assert "python -m gateway events list --status failed" in says
    assert run("events", "replay", "2", "--reason", "mended").status == 0
    assert bad_findings(run("doctor", "--json"))["parked events"].startswith("1 event failed and is parked")


def reject(sandbox: Sandbox, code: str) -> None:
    """Five requests of the last minute whose time was an hour off."""
    at_ms = sandbox.clock.at_ms - 60_000
    with sandbox.database.transaction() as tx:
        rejections.write(tx, "stripe", [Rejection(at_ms + n, code, 3_600_000, 10) for n in range(5)])


def test_doctor_warns_of_a_way_to_the_database_that_may_not_be_encrypted(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Looks like another machine, is this one; nobody listens there.
    monkeypatch.setenv("DATABASE_URL", "postgresql://me@127.1:9/main")
    unsaid = bad_findings(run("doctor", "--json"))
    monkeypatch.setenv("DATABASE_URL", "postgresql://me@127.1:9/main?sslmode=require")
    said = bad_findings(run("doctor", "--json"))

    assert "sslmode" in unsaid["DATABASE_URL"]
    assert "DATABASE_URL" not in said


def test_doctor_doubts_the_clock_when_genuine_signatures_are_off(acme: Sandbox, run: Run) -> None:
    reject(acme, "timestamp_out_of_tolerance")

    result = run("doctor", "--json")

    assert "5 signatures were off by about 60 min" in bad_findings(result)["clock"]


def test_forged_times_say_nothing_of_the_clock(acme: Sandbox, run: Run) -> None:
    reject(acme, "signature_invalid")

    result = run("doctor")

    assert result.status == 0, result.out


def test_doctor_warns_of_a_dotenv_that_others_can_read(run: Run, place: Path) -> None:
    (place / ".env").write_text("LOG_LEVEL=INFO\n")
    (place / ".env").chmod(0o644)

    assert "chmod 600" in run("doctor").out


@pytest.mark.sqlite_file
def test_doctor_of_a_damaged_database_says_so(run: Run, place: Path) -> None:
    (place / "gateway.db").write_bytes(b"x" * 9000)

    result = run("doctor")

    assert result.status == 1
    assert "damaged" in result.out


@pytest.mark.sqlite_file
def test_doctor_of_a_database_that_was_cut_to_nothing_says_so(run: Run, place: Path) -> None:
    (place / "gateway.db").touch()

    result = run("doctor")

    assert result.status == 1
    assert "is an empty file" in result.out


def test_the_clock_moves_forward_and_says_how_far(sandbox: Sandbox, run: Run) -> None:
    assert run("clock", "advance", "1d12h").status == 0

    (shown,) = run("clock", "show", "--json").json
    assert abs(129_600_000 - shown["ahead_ms"]) < 60_000


@pytest.mark.sqlite_file
@pytest.mark.parametrize(
    ("text", "ms"), [("90s", 90_000), ("1.5h", 5_400_000), ("8d", 691_200_000), ("1d12h", 129_600_000)]
)
def test_durations_are_read_as_people_write_them(text: str, ms: int) -> None:
    assert Duration().convert(text, None, None) == ms


def test_a_live_clock_cannot_be_moved(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    live = {
        "GATEWAY_MODE": "live",
        "GATEWAY_ENV": "prod",
        "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
        "TWILIO_AUTH_TOKEN": "t" * 32,
        "VAPI_API_KEY": "v" * 32,
        "STRIPE_WEBHOOK_SECRET": "whsec_" + "s" * 32,
    }
    for name, value in live.items():
        monkeypatch.setenv(name, value)
    assert run("migrate").status == 0

    assert run("clock", "advance", "1d").status == 1
    assert run("trigger", "checkout.completed").status == 2
