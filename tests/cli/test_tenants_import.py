"""`tenants import`: first told, then done, one line for each row; nobody's file makes a terminal or a sheet obey."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.settings.names import BASE_URLS
from gateway.simulator.server import Server
from tests.cli.conftest import Run
from tests.stories.sandbox import Sandbox

pytestmark = pytest.mark.sockets
VAPI_URL = "https://api.vapi.ai/twilio/inbound_call"
NOBODY = "+14155550199"


@pytest.fixture(autouse=True)
def served(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The sandbox's own world, where a command can reach it."""
    server = Server(sandbox.world).start()
    for name in BASE_URLS:
        monkeypatch.setenv(name, server.url)
    yield
    server.shutdown()
    server.server_close()


def by_hand(sandbox: Sandbox, name: str = "Reception") -> dict[str, Any]:
    placed = sandbox.world.place_numbers({"friendly_name": name, "voice_url": VAPI_URL})[0]
    made = sandbox.world.place_entry(
        {
            "number": placed["phone_number"],
            "name": name[:40],
            "twilioAccountSid": sandbox.settings.twilio.account_sid,
            "assistantId": str(sandbox.settings.vapi.assistant_id),
        }
    )
    return {"sid": placed["sid"], "number": placed["phone_number"], "vapi_id": made["id"]}


def file_of(place: Path, *rows: str) -> str:
    path = place / "numbers.csv"
    path.write_text("key,number\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return str(path)


def test_it_is_told_first_and_done_when_it_is_meant(sandbox: Sandbox, run: Run, place: Path) -> None:
    hand = by_hand(sandbox)
    file = file_of(place, f"acme,{hand['number']}")

    told = run("tenants", "import", file)
    names = [each["friendly_name"] for each in sandbox.numbers()]
    done = run("tenants", "import", file, "--apply", "--reason", "moving in")
    again = run("tenants", "import", file, "--yes", "--reason", "moving in")

    assert (told.status, names) == (0, ["Reception"])
    assert "make the tenant; tag the number, now 'Reception'; keep the import and tag it" in told.out
    assert "1 row: 1 to be taken over." in told.out
    assert "Nothing was changed. To do it: python -m gateway tenants import" in told.out
    assert done.status == 0
    assert f"line 2: acme {hand['number']} taken over" in done.out
    assert sandbox.export()["state"] == "active"
    assert (again.status, again.out.splitlines()[-1]) == (0, "1 row: 1 taken over already.")
    assert "Operator: adopting" in run("tenants", "show", "acme").out


def test_problems_are_told_by_line_with_what_to_do_and_the_status_says_so(
    sandbox: Sandbox, run: Run, place: Path
) -> None:
    hand = by_hand(sandbox)
    file = file_of(place, f"acme,{hand['number']}", f"beta,{NOBODY}", "-x,12")

    told = run("tenants", "import", file)
    done = run("tenants", "import", file, "--apply", "--reason", "moving in")

    assert (told.status, done.status) == (1, 1)
    assert f"line 3: There is no number {NOBODY} in the Twilio account." in told.out
    assert "line 4: '-x' is no legal key" in told.out
    assert "line 4: '12' is no phone number" in told.out
    assert "3 rows: 1 to be taken over, 2 with problems." in told.out
    assert "3 rows: 1 taken over, 2 with problems, left alone." in done.out
    assert sandbox.export()["state"] == "active"


def test_for_scripts_there_is_one_object_a_row(sandbox: Sandbox, run: Run, place: Path) -> None:
    hand = by_hand(sandbox)
    file = file_of(place, f"acme,{hand['sid']}", f"beta,{NOBODY}")

    told = run("tenants", "import", file, "--json").json
    done = run("tenants", "import", file, "--json", "--apply", "--reason", "moving in").json

    about = {
        "line": 2, "tenant_key": "acme", "phone_number": hand["number"], "twilio_sid": hand["sid"],
        "vapi_id": hand["vapi_id"], "assistant_id": str(sandbox.settings.vapi.assistant_id),
    }  # fmt: skip
    assert told[0] == {**about, "status": "take_over", "does": told[0]["does"], "problems": []}
    assert [row["status"] for row in told] == ["take_over", "problem"]
    assert done[0] == {**about, "status": "taken_over", "message": None}
    assert done[1]["status"] == "problem"


def test_names_from_outside_make_no_terminal_obey(sandbox: Sandbox, run: Run, place: Path) -> None:
    hand = by_hand(sandbox, "=cmd|' /C calc'!A0\x1b[2J\x07")
    file = file_of(place, f"acme,{hand['number']}", "=1+1,\x1b]0;x\x07")

    told = run("tenants", "import", file)
    run("tenants", "import", file, "--apply", "--reason", "moving in")
    shown = run("tenants", "show", "acme")

    for printed in (told.out, shown.out):
        assert "\x1b[2J" not in printed
        assert "\x07" not in printed
        assert not [line for line in printed.splitlines() if line.startswith(("=", "@", "\t="))]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--apply"], "--apply needs --reason"),
        (["--apply", "--reason", "  "], "--apply needs --reason"),
    ],
)
def test_whoever_does_it_says_why(sandbox: Sandbox, run: Run, place: Path, arguments: list[str], says: str) -> None:
    result = run("tenants", "import", file_of(place, f"acme,{NOBODY}"), *arguments)

    assert (result.status, result.out) == (2, "")
    assert says in result.err


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"who,what\na,b\n", "the column 'who' is not known"), (b"key,number\n\xff\xfe", "Line 2 is not UTF-8")],
)
def test_a_file_that_is_no_roster_is_wrong_use(run: Run, place: Path, content: bytes, says: str) -> None:
    (place / "numbers.csv").write_bytes(content)

    result = run("tenants", "import", "numbers.csv")

    assert result.status == 2
    assert says in result.err


def test_a_file_without_rows_is_no_mistake(run: Run, place: Path) -> None:
    result = run("tenants", "import", file_of(place))

    assert (result.status, result.out.splitlines()[0]) == (0, "The file has no rows.")


def test_a_list_that_cannot_be_had_whole_ends_it_before_anything(sandbox: Sandbox, run: Run, place: Path) -> None:
    hand = by_hand(sandbox)
    sandbox.fault("vapi.list", "error_before", times=1)

    result = run("tenants", "import", file_of(place, f"acme,{hand['number']}"), "--apply", "--reason", "moving in")

    assert result.status == 1
    assert "nothing was changed" in result.err
    assert [each["friendly_name"] for each in sandbox.numbers()] == ["Reception"]
