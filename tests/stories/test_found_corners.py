"""What once broke a promise in a corner: adoptions after a release, blocks that opened by themselves, lost news."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from gateway.domain.model import Hold
from gateway.flow import operate
from gateway.settings import load, with_world
from tests import databases
from tests.stories.sandbox import WORLD_URL, Sandbox

WHO = operate.Operator("tester", "a story")


def released(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed")
    sandbox.deliver("subscription.created")
    sandbox.settle(60)
    sandbox.deliver("subscription.deleted")
    sandbox.wait(days=32)
    assert sandbox.export()["state"] == "released"


def place(sandbox: Sandbox) -> str:
    sandbox.world.place_numbers({"friendly_name": "front desk", "count": 1})
    return str(sandbox.numbers()[0]["sid"])


def test_adopt_into_a_released_tenant_works(sandbox: Sandbox) -> None:
    released(sandbox)
    operate.adopt(sandbox.gateway.steps, "acme", place(sandbox), WHO)
    sandbox.settle(3600)
    assert sandbox.export()["state"] == "active", sandbox.export()


def test_nothing_is_called_released_that_is_still_there(sandbox: Sandbox) -> None:
    released(sandbox)
    sid = place(sandbox)
    operate.adopt(sandbox.gateway.steps, "acme", sid, WHO)
    sandbox.settle(3600)
    sandbox.operate("hold", Hold.RELEASE)  # what the block's own advice and the runbook say
    sandbox.wait(days=2)
    assert not (sandbox.export()["state"] == "released" and [n["sid"] for n in sandbox.numbers()] == [sid])


def test_a_return_after_that_does_not_hold_two_numbers(sandbox: Sandbox) -> None:
    released(sandbox)
    operate.adopt(sandbox.gateway.steps, "acme", place(sandbox), WHO)
    sandbox.settle(3600)
    sandbox.operate("hold", Hold.RELEASE)
    sandbox.wait(days=2)
    sandbox.operate("hold", None)
    sandbox.wait(days=2)
    assert len(sandbox.numbers()) == 1, [(n["phone_number"], n["friendly_name"]) for n in sandbox.numbers()]


def test_adopt_under_a_release_hold_does_not_give_the_number_away(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed")
    sandbox.settle(60)
    sandbox.operate("hold", Hold.RELEASE)
    sandbox.wait(days=1)
    sid = place(sandbox)
    with contextlib.suppress(Exception):
        operate.adopt(sandbox.gateway.steps, "acme", sid, WHO)
    sandbox.settle(600)
    assert [n["sid"] for n in sandbox.numbers()] == [sid]


def test_the_brake_holds_until_somebody_says_yes(sandbox: Sandbox) -> None:
    keys = [f"tenant-{count}" for count in range(8)]
    for key in keys:
        sandbox.deliver("checkout.completed", key)
    sandbox.settle(600)
    for key in keys:
        sandbox.deliver("subscription.deleted", key)
    sandbox.wait(days=31)
    blocked = [key for key in keys if sandbox.export(key)["blocked"] == "release_brake"]
    assert len(blocked) == 3
    for _ in range(30):  # nobody says yes; reconcile runs as it does every five minutes
        sandbox.wait(seconds=3600)
        sandbox.reconcile()
        sandbox.settle(60)
    assert {sandbox.export(key)["blocked"] for key in blocked} == {"release_brake"}


@pytest.mark.parametrize("wait", ["429", "cap"])
def test_no_number_is_bought_for_an_assistant_that_is_gone(tmp_path: Path, wait: str) -> None:
    s = Sandbox(tmp_path, {"MAX_PURCHASES_PER_HOUR": "1"} if wait == "cap" else {})
    bought = 0
    if wait == "cap":
        s.deliver("checkout.completed", "first")
        s.settle(30)
        bought = 1
    else:
        s.fault("twilio.buy", "rate_limit", times=1, retry_after=300)
    s.deliver("checkout.completed", "acme")
    s.settle(30)
    s.world_call("DELETE", f"assistants/{s.settings.vapi.assistant_id}")
    s.wait(seconds=2 * 3600)
    made = len(s.purchases())
    s.close()
    assert made == bought


def test_a_cap_of_zero_stops_all_purchases(tmp_path: Path) -> None:
    s = Sandbox(tmp_path)
    s.fault("twilio.buy", "rate_limit", times=1, retry_after=120)  # clearly not processed: nothing in doubt
    s.deliver("checkout.completed")
    s.settle(1)
    s.gateway.close()
    environ = {
        "GATEWAY_MODE": "sandbox",
        "DATABASE_URL": databases.database_url(tmp_path),
        "MAX_PURCHASES_PER_HOUR": "0",
    }
    s.settings = with_world(load(environ), WORLD_URL, "test")
    s.gateway = s._open()
    s.settle(7200)
    made = len(s.purchases())
    s.close()
    assert made == 0


def test_an_entry_whose_number_was_edited_ends_in_a_block(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed")
    sandbox.settle(60)
    sandbox.change_entry(sandbox.export()["vapi_id"], number="+14155550199")
    sandbox.wait(seconds=700)
    sandbox.reconcile()
    sandbox.wait(days=1)
    assert sandbox.export()["blocked"] is not None, sandbox.calls("vapi.get")


def test_what_is_ambiguous_is_looked_at_before_its_block_goes(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed")
    sandbox.fault("vapi.import", "rate_limit", times=1, retry_after=30)
    sandbox.settle(2)
    sandbox.rename_number(str(sandbox.export()["twilio_sid"]), "front desk")
    sandbox.settle(60)
    assert sandbox.export()["blocked"] == "ambiguous"
    calls = sum(sandbox.world.calls().values())
    sandbox.operate("hold", Hold.SUSPEND)
    sandbox.settle(60)
    assert sandbox.export()["blocked"] == "ambiguous" or sum(sandbox.world.calls().values()) > calls
