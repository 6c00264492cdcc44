"""Giving back: never by mistake, never too many, and called released only once that is proved."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.domain.model import Hold, Step
from gateway.store import attempts, journal, ledger
from tests.stories.sandbox import Sandbox

Install = Callable[..., Sandbox]
HOUR, DAY = 3600, 86_400
SETTLE_SECONDS = 600


def state(sandbox: Sandbox, key: str = "acme") -> tuple[str, str | None]:
    line = sandbox.export(key)
    return line["state"], line["blocked"]


def sign_up(sandbox: Sandbox, *names: str) -> None:
    for name in names or ("acme",):
        sandbox.deliver("checkout.completed", name)
    sandbox.settle(600)
    assert {sandbox.export(name)["state"] for name in names or ("acme",)} == {"active"}


def release(sandbox: Sandbox, *names: str) -> None:
    for name in names or ("acme",):
        sandbox.operate("hold", Hold.RELEASE, key=name)


def counted(sandbox: Sandbox, names: list[str]) -> dict[tuple[str, str | None], int]:
    found = [state(sandbox, name) for name in names]
    return {each: found.count(each) for each in found}


# --- the proof -------------------------------------------------------------------------------------------------------


def test_a_number_is_called_released_only_after_a_look_that_began_the_settle_time_after_the_last_call(
    sandbox: Sandbox,
) -> None:
    sign_up(sandbox)
    release(sandbox)
    sandbox.settle(60)
    assert sandbox.numbers() == []
    last_end_ms = sandbox.query(lambda tx: attempts.last_end_at_ms(tx, sandbox.tenant(), ["release", "remove"]))
    proof_ms = last_end_ms + SETTLE_SECONDS * 1000

    sandbox.wait(seconds=(proof_ms - 1 - sandbox.clock.at_ms) / 1000)
    before = state(sandbox), sandbox.export()["twilio_sid"]
    sandbox.settle(1)

    assert before[0] == ("releasing", None)
    assert before[1] is not None
    assert state(sandbox) == ("released", None)
    assert sandbox.clock.at_ms == proof_ms
    rows = sandbox.query(lambda tx: ledger.of_tenant(tx, sandbox.tenant().id))
    assert [(row["thing"], row["change"]) for row in rows] == [
        ("number", "gained"), ("entry", "gained"), ("entry", "lost"), ("number", "lost"),
    ]  # fmt: skip


def test_a_purchase_that_lands_after_the_delete_is_released_too(sandbox: Sandbox) -> None:
    """The answer to a repeat was lost, and the repeat itself comes much later."""
    sandbox.fault("twilio.buy", "lost_after", times=1, lag_seconds=30)
    sandbox.fault("twilio.buy", "late_effect", times=1, seconds=400)
    sandbox.deliver("checkout.completed")
    sandbox.settle(30)
    release(sandbox)

    sandbox.wait(days=1)

    assert state(sandbox) == ("released", None)
    assert sandbox.numbers() == []


def test_a_list_that_still_shows_the_number_is_waited_for_and_the_delete_repeated_with_pauses(
    sandbox: Sandbox,
) -> None:
    sign_up(sandbox)
    sandbox.fault("twilio.release", "list_lag", seconds=120)
    release(sandbox)

    sandbox.wait(days=1)

    assert state(sandbox) == ("released", None)
    assert 1 < sandbox.calls("twilio.release") < 12


def test_an_entry_that_lists_still_show_is_waited_for(sandbox: Sandbox) -> None:
    sign_up(sandbox)
    sandbox.fault("vapi.delete", "list_lag", seconds=120)
    release(sandbox)

    sandbox.wait(days=1)

    assert state(sandbox) == ("released", None)
    assert sandbox.calls("vapi.delete") < 20


def test_an_entry_that_turns_up_after_the_delete_is_removed_before_the_release_is_proved(sandbox: Sandbox) -> None:
    sign_up(sandbox)
    line = sandbox.export()
    release(sandbox)
    sandbox.settle(60)
    account = sandbox.settings.twilio.account_sid
    sandbox.world.place_entry(
        {"number": line["phone_number"], "name": line["friendly_names"][0], "provider": "twilio",
         "twilioAccountSid": account}
    )  # fmt: skip

    sandbox.wait(days=1)

    assert state(sandbox) == ("released", None)
    assert sandbox.entries() == []


def test_a_number_that_another_tenant_bought_since_is_none_of_ours(sandbox: Sandbox) -> None:
    sign_up(sandbox)
    line = sandbox.export()
    release(sandbox)
    sandbox.settle(60)
    theirs = "rf:prod:0123456789abcdef:1"
    sandbox.world.place_numbers({"friendly_name": theirs, "phone_number": line["phone_number"]})
    account = sandbox.settings.twilio.account_sid
    sandbox.world.place_entry(
        {"number": line["phone_number"], "name": theirs, "provider": "twilio", "twilioAccountSid": account}
    )

    sandbox.wait(days=1)

    assert state(sandbox) == ("released", None)
    assert [number["friendly_name"] for number in sandbox.numbers()] == [theirs]
    assert [entry["name"] for entry in sandbox.entries()] == [theirs]


def test_a_second_number_under_our_tag_is_given_back_with_the_first(sandbox: Sandbox) -> None:
    sign_up(sandbox)
    release(sandbox)
    sandbox.settle(60)
    sandbox.world.place_numbers({"friendly_name": sandbox.export()["friendly_names"][0]})

    sandbox.wait(days=1)

    assert state(sandbox) == ("released", None)
    assert sandbox.numbers() == []


def test_a_number_under_a_strange_name_after_the_delete_is_left_to_a_person(sandbox: Sandbox) -> None:
    sign_up(sandbox)
    line = sandbox.export()
    sandbox.fault("twilio.release", "lost_before", times=1)
    release(sandbox)
    sandbox.turn()
    sandbox.rename_number(line["twilio_sid"], "front desk")

    sandbox.wait(days=1)

    assert state(sandbox) == ("releasing", "ambiguous")
    assert [number["friendly_name"] for number in sandbox.numbers()] == ["front desk"]


@pytest.mark.parametrize("kind", ["rate_limit", "error_before", "lost_before"])
def test_an_entry_that_turned_up_is_removed_although_that_takes_several_tries(sandbox: Sandbox, kind: str) -> None:
    sign_up(sandbox)
    line = sandbox.export()
    release(sandbox)
    sandbox.settle(60)
    account = sandbox.settings.twilio.account_sid
    sandbox.world.place_entry(
        {"number": line["phone_number"], "name": line["friendly_names"][0], "provider": "twilio",
         "twilioAccountSid": account}
    )  # fmt: skip
    sandbox.fault("vapi.delete", kind, times=2)

    sandbox.wait(days=1)

    assert state(sandbox) == ("released", None)
    assert sandbox.entries() == []


# --- refusals --------------------------------------------------------------------------------------------------------


def test_a_refused_delete_says_that_it_still_costs_money_and_can_be_tried_again(sandbox: Sandbox) -> None:
    sign_up(sandbox)
    sandbox.fault("twilio.release", "error_before", times=1, status=400)
    release(sandbox)
    sandbox.wait(days=1)
    block = sandbox.tenant().block
    assert block is not None
    assert state(sandbox) == ("releasing", "provider_refused")
    assert "It still costs money" in block.message
    assert sandbox.held()[Step.BUY_NUMBER].held == "yes"

    sandbox.operate("retry")
    sandbox.wait(days=1)

    assert state(sandbox) == ("released", None)


def test_after_a_refused_delete_a_return_keeps_the_number(sandbox: Sandbox) -> None:
    sign_up(sandbox)
    number = sandbox.export()["phone_number"]
    sandbox.fault("twilio.release", "error_before", times=1, status=400)
    release(sandbox)
    sandbox.settle(HOUR)

    sandbox.operate("hold", None)
    sandbox.settle(HOUR)

    assert state(sandbox) == ("active", None)
    assert sandbox.export()["phone_number"] == number
    assert len(sandbox.purchases()) == 1


def test_a_return_after_a_delete_in_doubt_finishes_the_release_whatever_became_of_its_repeat(
    sandbox: Sandbox,
) -> None:
    """The first DELETE lands late, the repeat is clearly not processed: to keep the number would be to lose it."""
    sign_up(sandbox)
    sandbox.fault("twilio.release", "late_effect", times=1, seconds=300)
    sandbox.fault("twilio.release", "rate_limit", times=1, retry_after=60)
    release(sandbox)
    sandbox.settle(30)
    assert sandbox.calls("twilio.release") == 2
    sandbox.operate("hold", None)

    sandbox.wait(days=1)

    line = sandbox.export()
    assert (line["state"], line["blocked"]) == ("active", None)
    assert [number["phone_number"] for number in sandbox.numbers()] == [line["phone_number"]]
    assert len(line["friendly_names"]) == 2


def test_a_number_that_is_gone_when_its_delete_is_due_needs_none(sandbox: Sandbox) -> None:
    sign_up(sandbox)
    sandbox.delete_number(sandbox.export()["twilio_sid"])
    release(sandbox)

    sandbox.wait(days=1)

    assert state(sandbox) == ("released", None)
    assert sandbox.calls("twilio.release") == 0


# --- the brake -------------------------------------------------------------------------------------------------------


def test_a_share_of_the_held_numbers_may_be_released_in_a_day_and_no_more(installed: Install) -> None:
    sandbox = installed(MAX_RELEASE_SHARE="0.5", MAX_PURCHASES_PER_HOUR="50")
    names = [f"tenant-{count:02}" for count in range(16)]
    sign_up(sandbox, *names)
    release(sandbox, *names)

    sandbox.wait(days=0.5)

    assert counted(sandbox, names) == {("released", None): 8, ("releasing", "release_brake"): 8}
    assert len(sandbox.numbers()) == 8


def test_the_share_holds_too_when_all_of_them_begin_before_the_first_is_done(installed: Install) -> None:
    sandbox = installed(MAX_RELEASE_SHARE="0.5", MAX_PURCHASES_PER_HOUR="50")
    names = [f"tenant-{count:02}" for count in range(16)]
    sign_up(sandbox, *names)
    release(sandbox, *names)
    sandbox.fault("twilio.fetch", "error_before", times=40)

    sandbox.wait(days=0.5)

    assert counted(sandbox, names) == {("released", None): 8, ("releasing", "release_brake"): 8}


def test_five_a_day_may_always_be_released(installed: Install) -> None:
    sandbox = installed(MAX_RELEASE_SHARE="0")
    names = [f"tenant-{count}" for count in range(7)]
    sign_up(sandbox, *names)
    release(sandbox, *names)

    sandbox.wait(days=0.5)

    assert counted(sandbox, names) == {("released", None): 5, ("releasing", "release_brake"): 2}


def test_the_hourly_limit_stops_releases_too(installed: Install) -> None:
    sandbox = installed(MAX_RELEASES_PER_HOUR="2")
    names = [f"tenant-{count}" for count in range(4)]
    sign_up(sandbox, *names)
    release(sandbox, *names)

    sandbox.wait(days=0.5)

    assert counted(sandbox, names) == {("released", None): 2, ("releasing", "release_brake"): 2}


def test_the_brake_does_not_lift_itself_and_a_person_lifts_it_for_those_it_holds(installed: Install) -> None:
    sandbox = installed(MAX_RELEASES_PER_HOUR="2")
    names = [f"tenant-{count}" for count in range(4)]
    sign_up(sandbox, *names)
    release(sandbox, *names)
    sandbox.wait(days=3)
    assert counted(sandbox, names)["releasing", "release_brake"] == 2
    held = [name for name in names if state(sandbox, name)[1]]

    sandbox.retry_blocked("release_brake")
    sandbox.wait(days=0.5)

    assert counted(sandbox, names) == {("released", None): 4}
    for name in held:
        assert sandbox.timeline(name).count(f"operator {journal.BRAKE_LIFTED}") == 1


def test_a_brake_that_was_lifted_lets_its_tenants_through_at_once(installed: Install) -> None:
    sandbox = installed(MAX_RELEASES_PER_HOUR="1")
    names = [f"tenant-{count}" for count in range(4)]
    sign_up(sandbox, *names)
    release(sandbox, *names)
    sandbox.settle(60)
    assert len(sandbox.numbers()) == 3

    sandbox.retry_blocked("release_brake")
    sandbox.settle(60)

    assert sandbox.numbers() == []


def test_a_release_under_the_brake_touches_neither_number_nor_entry(installed: Install) -> None:
    sandbox = installed(MAX_RELEASES_PER_HOUR="0")
    sign_up(sandbox)
    before = sandbox.numbers(), [entry["id"] for entry in sandbox.entries()]
    release(sandbox)

    sandbox.wait(days=1)

    assert state(sandbox) == ("releasing", "release_brake")
    assert (sandbox.numbers(), [entry["id"] for entry in sandbox.entries()]) == before
    assert sandbox.calls("vapi.delete") == sandbox.calls("twilio.release") == 0


def test_a_number_that_never_was_imported_is_under_the_brake_too(installed: Install) -> None:
    sandbox = installed(MAX_RELEASES_PER_HOUR="0")
    sandbox.fault("vapi.list", "error_before", times=1)
    sandbox.deliver("checkout.completed")
    sandbox.turn()
    release(sandbox)

    sandbox.wait(days=1)

    assert state(sandbox) == ("releasing", "release_brake")
    assert (len(sandbox.numbers()), sandbox.calls("twilio.release")) == (1, 0)


def test_a_release_that_has_begun_is_finished_whatever_the_brake_says(installed: Install) -> None:
    sandbox = installed(MAX_RELEASES_PER_HOUR="1")
    sign_up(sandbox, "acme", "beta")
    sandbox.fault("twilio.fetch", "error_before", times=None)
    release(sandbox, "acme")
    sandbox.wait(seconds=HOUR + 60)
    release(sandbox, "beta")
    sandbox.settle(60)
    sandbox.world.clear_faults()

    sandbox.settle(HOUR / 2)

    assert [state(sandbox, name) for name in ("acme", "beta")] == [("released", None)] * 2


def test_a_return_under_the_brake_keeps_everything(installed: Install) -> None:
    sandbox = installed(MAX_RELEASES_PER_HOUR="0")
    sign_up(sandbox)
    line = sandbox.export()
    release(sandbox)
    sandbox.settle(HOUR)

    sandbox.operate("hold", None)
    sandbox.settle(60)

    assert sandbox.export() == line


def test_releases_spread_over_days_never_meet_the_brake(sandbox: Sandbox) -> None:
    names = [f"tenant-{count}" for count in range(8)]
    sign_up(sandbox, *names)

    for name in names:
        release(sandbox, name)
        sandbox.wait(days=0.3)

    assert counted(sandbox, names) == {("released", None): 8}


@pytest.mark.parametrize("thing", ["number", "entry"])
def test_what_was_released_is_no_longer_in_the_ledger(sandbox: Sandbox, thing: str) -> None:
    sign_up(sandbox, "acme", "beta")
    release(sandbox, "acme")

    sandbox.wait(days=1)

    left = {"number": "twilio_sid", "entry": "vapi_id"}[thing]
    assert list(sandbox.query(lambda tx: ledger.refs(tx, thing))) == [sandbox.export("beta")[left]]
