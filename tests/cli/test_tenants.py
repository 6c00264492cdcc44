"""`tenants`: what is shown of them, and what an operator can do to one."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Run
from tests.stories.sandbox import Sandbox


def test_the_list_shows_state_number_and_why(acme: Sandbox, run: Run) -> None:
    number = acme.export()["phone_number"]

    result = run("tenants", "list")

    assert result.status == 0
    cells = result.out.splitlines()[1].split("  ")
    assert [cell.strip() for cell in cells if cell][:3] == ["acme", "active", f"+1 (415) {number[5:8]}-{number[8:]}"]


def test_an_empty_list_says_what_to_do(run: Run) -> None:
    run("migrate")

    assert "tenants add KEY" in run("tenants", "list").out


def test_the_list_can_be_narrowed(acme: Sandbox, run: Run) -> None:
    run("tenants", "add", "bob", "--reason", "test")

    assert [line["tenant_key"] for line in run("tenants", "list", "--json").json] == ["acme", "bob"]
    assert [line["tenant_key"] for line in run("tenants", "list", "--state", "active", "--json").json] == ["acme"]
    assert [line["tenant_key"] for line in run("tenants", "list", "--contains", "ob", "--json").json] == ["bob"]
    assert run("tenants", "list", "--blocked", "any", "--json").json == []


def test_a_list_that_is_narrowed_to_nobody_does_not_say_that_there_is_nobody(acme: Sandbox, run: Run) -> None:
    assert run("tenants", "list", "--blocked", "any").out == "No tenant is like that.\n"


def test_an_empty_list_says_how_tenants_come_to_be(sandbox: Sandbox, run: Run) -> None:
    assert "python -m gateway tenants add" in run("tenants", "list").out


def test_export_is_one_object_a_line_with_the_promised_fields(acme: Sandbox, run: Run) -> None:
    result = run("tenants", "export")

    (line,) = result.json
    assert list(line) == [
        *("tenant_key", "state", "blocked", "phone_number", "twilio_sid", "vapi_id", "assistant_id", "friendly_names"),
    ]
    assert line == acme.export()


def test_export_is_the_same_when_json_is_asked_for(acme: Sandbox, run: Run) -> None:
    plain, asked = run("tenants", "export"), run("tenants", "export", "--json")

    assert asked == plain
    assert asked.status == 0


def test_show_tells_the_story_newest_last_and_what_happens_next(acme: Sandbox, run: Run) -> None:
    number = acme.export()["phone_number"]

    result = run("tenants", "show", "acme")

    texts = ["Event checkout.session.completed", "Wanted: active", f"Chose {number}", f"Bought {number}"]
    texts += ["Imported", "Callers hear assistant", "State: active (was provisioning)", "Why:", "Next:"]
    places = [result.out.index(text) for text in texts]
    assert places == sorted(places)
    assert "Nothing: it is as it should be." in result.out


def test_show_for_scripts_has_everything(acme: Sandbox, run: Run) -> None:
    (shown,) = run("tenants", "show", "acme", "--json").json

    assert shown["state"] == "active"
    assert shown["options"] == {"area_code": "415"}
    assert [attempt["operation"] for attempt in shown["attempts"]] == ["buy", "import", "assign"]
    assert shown["timeline"][-1]["text"] == "State: active (was provisioning)"
    assert shown["next"].startswith("Nothing")


def test_show_answers_why_a_tenant_is_not_live(sandbox: Sandbox, run: Run) -> None:
    sandbox.deliver("checkout.completed", set={"metadata.area_code": "1"})
    sandbox.settle(60)

    result = run("tenants", "show", "acme")

    assert "blocked: options_invalid" in result.out
    assert "area_code" in result.out.split("Why:")[1]
    assert "A person has to act" in result.out or "a person has to act" in result.out
    assert 'tenants retry acme --reason "…"' in result.out


def test_an_unknown_tenant_is_status_1_and_close_ones_are_named(acme: Sandbox, run: Run) -> None:
    result = run("tenants", "show", "acm")

    assert result.status == 1
    assert "There is no tenant acm. Close: acme." in result.err


def test_a_tenant_added_by_hand_gets_a_number(sandbox: Sandbox, run: Run) -> None:
    result = run("tenants", "add", "bob", "area_code=212", "--reason", "a friend")
    sandbox.settle(60)

    assert result.status == 0
    exported = sandbox.export("bob")
    assert exported["state"] == "active"
    assert exported["phone_number"].startswith("+1212")
    assert "Operator: add" in run("tenants", "show", "bob").out
    assert ": a friend  by cli:" in run("tenants", "show", "bob").out


def test_suspend_and_resume_hold_and_lift(acme: Sandbox, run: Run) -> None:
    assert run("tenants", "suspend", "acme", "--reason", "complaint").status == 0
    acme.settle(60)
    assert acme.export()["state"] == "suspended"

    assert run("tenants", "resume", "acme", "--reason", "settled").status == 0
    acme.settle(60)
    assert acme.export()["state"] == "active"


def test_resume_of_one_that_is_not_held_is_refused(acme: Sandbox, run: Run) -> None:
    result = run("tenants", "resume", "acme", "--reason", "x")

    assert result.status == 1
    assert "not held" in result.err


def test_release_wants_yes_and_gives_the_number_back(acme: Sandbox, run: Run) -> None:
    refused = run("tenants", "release", "acme", "--reason", "closed")
    assert refused.status == 2
    assert acme.tenant().hold is None

    assert run("tenants", "release", "acme", "--yes", "--reason", "closed").status == 0
    acme.settle(3600)
    assert acme.export()["state"] == "released"
    assert acme.numbers() == []


def test_set_changes_an_option_and_unblocks(sandbox: Sandbox, run: Run) -> None:
    sandbox.deliver("checkout.completed", set={"metadata.area_code": "1"})
    sandbox.settle(60)

    result = run("tenants", "set", "acme", "area_code=406", "--reason", "none left", "--json")
    sandbox.settle(60)

    assert result.status == 0
    assert sandbox.export()["phone_number"].startswith("+1406")


@pytest.mark.parametrize("option", ["area_code", "=1", "colour=red", "area_code=x"])
def test_an_option_that_makes_no_sense_is_wrong_use_and_changes_nothing(acme: Sandbox, run: Run, option: str) -> None:
    before = acme.tenant()

    result = run("tenants", "set", "acme", option, "--reason", "test")

    assert result.status == 2
    assert acme.tenant() == before


def test_retry_tries_one_or_all_that_are_blocked(sandbox: Sandbox, run: Run) -> None:
    for key in ("a", "b"):
        sandbox.deliver("checkout.completed", key, set={"metadata.area_code": "1"})
    sandbox.settle(60)

    one = run("tenants", "retry", "a", "--reason", "again", "--json")
    unasked = run("tenants", "retry", "--blocked", "options_invalid")
    both = run("tenants", "retry", "--blocked", "options_invalid", "--yes", "--json")

    assert one.json[0]["blocked"] is None
    assert unasked.status == 2
    assert both.json == [{"blocked": "options_invalid", "retried": ["b"]}]


def test_redo_looks_at_everything_again(acme: Sandbox, run: Run) -> None:
    looks = acme.calls("twilio.fetch")

    assert run("tenants", "redo", "acme", "--reason", "sure?").status == 0
    acme.settle(60)

    assert acme.calls("twilio.fetch") > looks
    assert len(acme.purchases()) == 1


def test_a_reason_must_say_something(acme: Sandbox, run: Run) -> None:
    assert run("tenants", "suspend", "acme", "--reason", "  ").status == 2


def test_text_from_outside_cannot_paint_the_terminal(sandbox: Sandbox, run: Run) -> None:
    assert run("tenants", "add", "bob", "--reason", "\x1b[2Jgone\u202ebob\n2026-01-01 forged").status == 0

    shown = run("tenants", "show", "bob").out

    assert "gone" in shown
    assert not {"\x1b", "\u202e"} & set(shown)
    assert not any(line.strip().startswith("2026-01-01 forged") for line in shown.splitlines())
