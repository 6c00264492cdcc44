"""`events`: what was received and what became of it."""

from __future__ import annotations

from tests.cli.conftest import Run
from tests.stories.sandbox import Sandbox


def test_the_list_shows_what_became_of_each(acme: Sandbox, run: Run) -> None:
    acme.deliver("unknown")
    acme.settle(1)

    lines = run("events", "list", "--json").json

    assert [(line["type"], line["status"]) for line in lines] == [
        ("ringfence.made_up", "ignored"),
        ("checkout.session.completed", "applied"),
    ]
    assert lines[1]["tenant_key"] == "acme"
    assert "checkout.session.completed" in run("events", "list").out


def test_the_list_can_be_narrowed(acme: Sandbox, run: Run) -> None:
    assert len(run("events", "list", "--tenant", "acme", "--status", "applied", "--json").json) == 1
    assert run("events", "list", "--status", "waiting", "--json").json == []
    assert run("events", "list", "--source", "standard", "--json").json == []
    assert run("events", "list", "--tenant", "nobody").status == 1


def test_show_finds_an_event_by_number_and_by_the_senders_id(acme: Sandbox, run: Run) -> None:
    (listed,) = run("events", "list", "--json").json

    for name in (str(listed["id"]), listed["event_id"]):
        (shown,) = run("events", "show", name, "--json").json
        assert shown["body"]["type"] == "checkout.session.completed"
    assert '"type": "checkout.session.completed"' in run("events", "show", str(listed["id"])).out
    assert run("events", "show", "evt_nothing").status == 1


def test_stored_headers_hold_no_signature(acme: Sandbox, run: Run) -> None:
    (shown,) = run("events", "show", "1", "--json").json

    assert not {"authorization", "cookie", "stripe-signature"} & set(shown["headers"])


def test_replay_looks_again_and_nothing_happens_twice(acme: Sandbox, run: Run) -> None:
    assert run("events", "replay", "1", "--reason", "to be sure").status == 0
    acme.settle(60)

    assert run("events", "list", "--json").json[0]["status"] == "applied"
    assert len(acme.purchases()) == 1
    assert "Operator: replay" in run("tenants", "show", "acme").out


def test_contradictions_are_listed_and_can_be_marked_read(acme: Sandbox, run: Run) -> None:
    event = acme.event(
        "checkout.completed", "other", set={"event.id": run("events", "list", "--json").json[0]["event_id"]}
    )
    assert acme.send(event)["conflicts"] == 1

    listed = run("events", "list", "--conflicts", "--mark-read", "--json").json

    assert len(listed) == 1
    assert run("events", "list", "--conflicts", "--json").json == []
    assert "No unread contradictions" in run("events", "list", "--conflicts").out
