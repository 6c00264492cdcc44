"""A backup is put back: nothing is bought or given back until everything was compared, and then nothing is missed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.domain import keys
from gateway.domain.model import Held, Step
from gateway.errors import ProviderError
from gateway.flow import timeline
from gateway.integrations.stripe.simulator import sign
from gateway.store import aftermath, installation, leases
from gateway.store.restore import Restored, restore
from gateway.store.use import UseLock
from tests.stories.sandbox import DAY, Sandbox

SETTLE_SECONDS = 600


@pytest.fixture
def at_once(tmp_path: Path) -> Any:
    """Who ends is released at once, so that lives are short."""
    made = Sandbox(tmp_path, {"RELEASE_AFTER_DAYS": "0"})
    yield made
    made.close()


def put_back(sandbox: Sandbox, backup: str) -> None:
    """The machine is lost, and the backup all that is left."""
    sandbox.put_back(backup)
    with sandbox.database.transaction() as tx:
        aftermath.mark(tx, sandbox.clock.at_ms, "a backup was put back", "tester")


def restore_over(sandbox: Sandbox, backup: str) -> Restored:
    """As the command does, over the old file."""
    sandbox.gateway.close()
    path = sandbox.settings.database.path
    use = UseLock(path)
    use.take_alone()
    done = restore(Path(backup), path, lambda tx: None, lambda tx: sandbox.clock.at_ms, "20261122T134001Z", "tester")
    use.free()
    sandbox.gateway = sandbox._open()
    return done


def send_again(sandbox: Sandbox, *events: dict[str, Any]) -> None:
    """The sender repeats them, signed anew."""
    secrets = [str(secret) for secret in sandbox.settings.stripe.webhook_secrets]
    for event in events:
        stamp = sandbox.clock.at_ms // 1000
        headers = {**event["headers"], "Stripe-Signature": sign(event["body"].encode(), secrets, stamp)}
        sandbox.send({**event, "headers": headers})


def settle_restore(sandbox: Sandbox) -> None:
    """What the scheduler does as soon as it may."""
    sandbox.wait(seconds=SETTLE_SECONDS)
    sandbox.reconcile()
    sandbox.settle(3600)


def says(sandbox: Sandbox, key: str = "acme") -> list[str]:
    tenant = sandbox.tenant(key)
    return [line.text for line in sandbox.query(lambda tx: timeline.timeline(tx, tenant))]


def is_held_back(sandbox: Sandbox) -> bool:
    return sandbox.query(aftermath.restored_at_ms) is not None


def life_with_a_return(sandbox: Sandbox) -> list[dict[str, Any]]:
    """Signed up, released, back again with another number; gives the events."""
    events = []
    for name in ("checkout.completed", "subscription.created", "subscription.deleted", "checkout.completed"):
        events.append(sandbox.event(name))
        sandbox.send(events[-1])
        sandbox.settle(3600)
    return events


# --- purchases and releases are off ----------------------------------------------------------------------------------


def test_nothing_is_bought_until_a_full_reconcile_that_started_late_enough_has_finished(sandbox: Sandbox) -> None:
    put_back(sandbox, sandbox.back_up())
    sandbox.deliver("checkout.completed")
    sandbox.wait(seconds=SETTLE_SECONDS - 1)
    early = sandbox.reconcile()
    sandbox.wait(seconds=300)
    waiting = sandbox.export()

    report = sandbox.reconcile()
    before = len(sandbox.purchases())
    sandbox.settle(120)

    assert (waiting["state"], waiting["blocked"]) == ("provisioning", None)
    assert early.held_back is not None
    assert report.held_back is None
    assert before == 0
    assert sandbox.export()["state"] == "active"
    assert len(sandbox.purchases()) == 1
    assert any("nothing is bought or given back until a full reconcile" in line for line in says(sandbox))


def test_a_reconcile_that_began_too_early_settles_nothing_however_late_it_ends(sandbox: Sandbox) -> None:
    put_back(sandbox, sandbox.back_up())
    sandbox.clock.at_ms += (SETTLE_SECONDS - 1) * 1000

    def the_list_takes_long() -> None:
        sandbox.clock.at_ms += 5000

    sandbox.meanwhile("twilio.list", the_list_takes_long)
    sandbox.reconcile()
    assert is_held_back(sandbox)

    sandbox.reconcile()
    assert not is_held_back(sandbox)


@pytest.mark.parametrize("operation", ["twilio.list", "vapi.list"])
def test_half_a_list_settles_nothing(sandbox: Sandbox, operation: str) -> None:
    put_back(sandbox, sandbox.back_up())
    sandbox.clock.at_ms += SETTLE_SECONDS * 1000
    sandbox.fault(operation, "error_before", times=1)

    with pytest.raises(ProviderError):
        sandbox.reconcile()

    assert is_held_back(sandbox)


def test_a_comparison_that_changes_nothing_settles_nothing(sandbox: Sandbox) -> None:
    put_back(sandbox, sandbox.back_up())
    sandbox.clock.at_ms += SETTLE_SECONDS * 1000

    sandbox.reconcile(apply=False)

    assert is_held_back(sandbox)


def test_another_restore_meanwhile_begins_the_wait_anew(sandbox: Sandbox) -> None:
    backup = sandbox.back_up()
    put_back(sandbox, backup)
    sandbox.clock.at_ms += SETTLE_SECONDS * 1000

    def put_back_again() -> None:
        with sandbox.database.transaction() as tx:
            aftermath.mark(tx, sandbox.clock.at_ms, "again", "tester")

    sandbox.meanwhile("vapi.list", put_back_again)
    sandbox.reconcile()

    assert is_held_back(sandbox)


def test_nothing_is_removed_or_released_meanwhile_and_all_of_it_afterwards(at_once: Sandbox) -> None:
    sandbox = at_once
    sandbox.deliver("checkout.completed")
    sandbox.deliver("subscription.created")
    sandbox.settle(60)
    put_back(sandbox, sandbox.back_up())

    sandbox.deliver("subscription.deleted")
    sandbox.wait(seconds=SETTLE_SECONDS)
    calls = sandbox.calls("vapi.delete"), sandbox.calls("twilio.release")
    state = sandbox.export()["state"]
    sandbox.reconcile()
    sandbox.settle(3600)

    assert calls == (0, 0)
    assert state == "releasing"
    assert sandbox.export()["state"] == "released"
    assert (sandbox.numbers(), sandbox.entries()) == ([], [])


def test_a_number_whose_entry_is_gone_already_is_not_given_back_meanwhile(at_once: Sandbox) -> None:
    sandbox = at_once
    sandbox.deliver("checkout.completed")
    sandbox.deliver("subscription.created")
    sandbox.settle(60)
    sandbox.fault("twilio.fetch", "error_before", times=1000)
    sandbox.deliver("subscription.deleted")
    sandbox.settle(5)
    assert sandbox.held()[Step.IMPORT_NUMBER].held is Held.NO
    put_back(sandbox, sandbox.back_up())
    sandbox.world_call("DELETE", "faults")

    sandbox.wait(seconds=SETTLE_SECONDS)
    meanwhile = sandbox.calls("twilio.release"), len(sandbox.numbers())
    sandbox.reconcile()
    sandbox.settle(3600)

    assert meanwhile == (0, 1)
    assert sandbox.export()["state"] == "released"


def test_a_release_that_was_under_way_deletes_nothing_again_meanwhile(at_once: Sandbox) -> None:
    sandbox = at_once
    sandbox.deliver("checkout.completed")
    sandbox.deliver("subscription.created")
    sandbox.settle(60)
    sandbox.fault("twilio.release", "lost_before", times=1)
    sandbox.deliver("subscription.deleted")
    sandbox.settle(5)
    assert sandbox.held()[Step.BUY_NUMBER].held is Held.MAYBE
    put_back(sandbox, sandbox.back_up())
    before = sandbox.calls("twilio.release")

    sandbox.wait(seconds=SETTLE_SECONDS)
    meanwhile = sandbox.calls("twilio.release")
    sandbox.reconcile()
    sandbox.settle(3600)

    assert meanwhile == before
    assert sandbox.export()["state"] == "released"
    assert sandbox.numbers() == []


def test_a_purchase_that_lands_after_the_restore_is_taken_over_and_not_made_again(sandbox: Sandbox) -> None:
    backup = sandbox.back_up()
    signup = sandbox.event("checkout.completed")
    sandbox.send(signup)
    sandbox.fault("twilio.buy", "late_effect", seconds=400)
    assert sandbox.turn() == 1

    put_back(sandbox, backup)
    send_again(sandbox, signup)
    sandbox.wait(seconds=300)
    assert sandbox.numbers() == []
    settle_restore(sandbox)

    assert sandbox.export()["state"] == "active"
    assert [number["phone_number"] for number in sandbox.numbers()] == [sandbox.export()["phone_number"]]
    assert len(sandbox.purchases()) == 1


def test_what_a_tenant_has_under_its_own_tag_is_taken_over_without_waiting(sandbox: Sandbox) -> None:
    backup = sandbox.back_up()
    signup = sandbox.event("checkout.completed")
    sandbox.send(signup)
    sandbox.settle(60)

    put_back(sandbox, backup)
    send_again(sandbox, signup)
    sandbox.settle(60)

    assert sandbox.export()["state"] == "active"
    assert len(sandbox.purchases()) == 1
    assert is_held_back(sandbox)


def test_a_tenant_that_waits_makes_no_calls(sandbox: Sandbox) -> None:
    put_back(sandbox, sandbox.back_up())
    sandbox.deliver("checkout.completed")
    sandbox.settle(1)
    before = sandbox.calls("twilio.list"), sandbox.calls("twilio.search")

    sandbox.wait(seconds=2 * SETTLE_SECONDS)

    assert (sandbox.calls("twilio.list"), sandbox.calls("twilio.search")) == before


# --- generations that the backup does not know -----------------------------------------------------------------------


def assert_second_number_kept(sandbox: Sandbox, number: str) -> None:
    line = sandbox.export()
    assert (line["state"], line["blocked"], line["phone_number"]) == ("active", None, number), says(sandbox)
    assert [each["phone_number"] for each in sandbox.numbers()] == [number]
    assert [each["number"] for each in sandbox.entries()] == [number]
    assert sandbox.tenant().generation == 2
    assert len(sandbox.purchases()) == 2


def test_a_tenant_of_the_backup_is_raised_to_the_generation_its_number_bears(at_once: Sandbox) -> None:
    sandbox = at_once
    sandbox.deliver("checkout.completed")
    sandbox.deliver("subscription.created")
    sandbox.settle(60)
    backup = sandbox.back_up()
    rest = [sandbox.event("subscription.deleted")]
    sandbox.send(rest[0])
    sandbox.settle(3600)
    rest.append(sandbox.event("checkout.completed"))
    sandbox.send(rest[1])
    sandbox.settle(3600)
    number = sandbox.export()["phone_number"]

    put_back(sandbox, backup)
    send_again(sandbox, *rest)
    settle_restore(sandbox)

    assert_second_number_kept(sandbox, number)


@pytest.mark.parametrize(
    "told", [slice(None), slice(-1, None), slice(None, None, -1)], ids=["all", "last", "reversed"]
)
def test_a_tenant_that_the_backup_does_not_know_is_raised_as_well(at_once: Sandbox, told: slice) -> None:
    sandbox = at_once
    backup = sandbox.back_up()
    events = life_with_a_return(sandbox)
    number = sandbox.export()["phone_number"]

    put_back(sandbox, backup)
    send_again(sandbox, *events[told])
    settle_restore(sandbox)

    assert_second_number_kept(sandbox, number)


def test_a_tenant_that_comes_only_after_the_reconcile_waits_for_the_next_one(at_once: Sandbox) -> None:
    sandbox = at_once
    backup = sandbox.back_up()
    events = life_with_a_return(sandbox)
    number = sandbox.export()["phone_number"]
    put_back(sandbox, backup)
    settle_restore(sandbox)
    assert not is_held_back(sandbox)

    send_again(sandbox, events[-1])
    sandbox.wait(seconds=1000)
    assert sandbox.export()["phone_number"] is None
    sandbox.reconcile()
    sandbox.settle(3600)

    assert_second_number_kept(sandbox, number)
    assert sandbox.query(aftermath.strays) == {}


def test_a_number_that_nobody_claims_and_that_is_given_up_at_the_provider_is_forgotten(sandbox: Sandbox) -> None:
    tag = keys.tag(sandbox.gateway.rules.env, "nobody", 3)
    placed = sandbox.world.place_numbers({"friendly_name": tag})[0]
    put_back(sandbox, sandbox.back_up())
    settle_restore(sandbox)
    assert list(sandbox.query(aftermath.strays)) == [tag]

    sandbox.delete_number(placed["sid"])
    sandbox.reconcile()

    assert sandbox.query(aftermath.strays) == {}


def test_who_ended_again_is_suspended_with_the_number_it_has_now_and_gives_it_back_in_the_end(
    sandbox: Sandbox,
) -> None:
    sandbox.deliver("checkout.completed")
    sandbox.deliver("subscription.created")
    sandbox.settle(60)
    backup = sandbox.back_up()
    rest = [sandbox.event("subscription.deleted")]
    sandbox.send(rest[0])
    sandbox.wait(days=31)
    assert sandbox.export()["state"] == "released"
    for name in ("checkout.completed", "subscription.created", "subscription.deleted"):
        rest.append(sandbox.event(name))
        sandbox.send(rest[-1])
        sandbox.settle(60)
    number = sandbox.export()["phone_number"]

    put_back(sandbox, backup)
    send_again(sandbox, *rest)
    settle_restore(sandbox)
    suspended = sandbox.export()
    sandbox.wait(days=70)

    assert (suspended["state"], suspended["phone_number"]) == ("suspended", number), says(sandbox)
    assert (sandbox.numbers(), sandbox.entries()) == ([], [])
    assert len(sandbox.purchases()) == 2


@pytest.mark.parametrize("is_late", [False, True], ids=["before the reconcile", "after it"])
def test_who_came_back_in_time_is_not_taken_for_released_when_all_is_told_at_once(
    sandbox: Sandbox, is_late: bool
) -> None:
    backup = sandbox.back_up()
    events = []
    for name in ("checkout.completed", "subscription.created", "subscription.deleted", "checkout.completed"):
        events.append(sandbox.event(name))
        sandbox.send(events[-1])
        sandbox.wait(days=5)
    line = sandbox.export()
    assert line["state"] == "active"

    put_back(sandbox, backup)
    if is_late:
        settle_restore(sandbox)
    send_again(sandbox, *events)
    settle_restore(sandbox)

    assert sandbox.export() == line, says(sandbox)
    assert len(sandbox.purchases()) == 1


def test_a_number_of_its_own_that_is_still_there_is_kept_and_the_other_one_is_reported(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed")
    sandbox.settle(60)
    own = sandbox.export()["phone_number"]
    tag = keys.tag(sandbox.gateway.rules.env, "acme", 2)
    other = sandbox.world.place_numbers({"friendly_name": tag})[0]["phone_number"]

    put_back(sandbox, sandbox.back_up())
    sandbox.wait(seconds=SETTLE_SECONDS)
    report = sandbox.reconcile()
    sandbox.settle(3600)

    assert (sandbox.export()["state"], sandbox.export()["phone_number"]) == ("active", own)
    assert [(drift.code, drift.number) for drift in report.drifts] == [("number_unreferenced", other)]
    assert not is_held_back(sandbox)


def test_several_numbers_of_one_later_generation_are_for_a_person_to_choose_from(sandbox: Sandbox) -> None:
    sandbox.world.place_numbers({"friendly_name": keys.tag(sandbox.gateway.rules.env, "acme", 2), "count": 2})
    put_back(sandbox, sandbox.back_up())
    sandbox.deliver("checkout.completed")
    settle_restore(sandbox)

    assert sandbox.export()["blocked"] == "ambiguous"
    assert sandbox.purchases() == []


def test_a_tenant_that_somebody_works_for_is_held_back_until_the_next_reconcile(at_once: Sandbox) -> None:
    sandbox = at_once
    backup = sandbox.back_up()
    events = life_with_a_return(sandbox)
    number = sandbox.export()["phone_number"]
    put_back(sandbox, backup)
    send_again(sandbox, events[-1])
    sandbox.wait(seconds=SETTLE_SECONDS)
    tenant = sandbox.tenant()
    with sandbox.database.transaction() as tx:
        leased = leases.claim_one(tx, tenant.id, sandbox.clock.at_ms, 60_000, "somebody")
        assert leased is not None

    sandbox.reconcile()
    sandbox.settle(200)
    between = sandbox.export()["phone_number"], len(sandbox.purchases())
    sandbox.reconcile()
    sandbox.settle(3600)

    assert between == (None, 2)
    assert_second_number_kept(sandbox, number)


# --- other names -----------------------------------------------------------------------------------------------------


def self_named_life(sandbox: Sandbox) -> list[dict[str, Any]]:
    """A tenant that is named after its subscription, because its own key came too late."""
    events = [sandbox.event("checkout.completed", carry=[])]
    sandbox.send(events[0])
    sandbox.settle(120)
    events.append(sandbox.event("subscription.updated", carry=["subscription"]))
    sandbox.send(events[1])
    sandbox.settle(60)
    assert sandbox.tenant("acme").tenant_key.startswith("sub_")
    assert sandbox.export("acme")["state"] == "active"
    return events


def test_a_tenant_that_had_another_name_takes_that_name_back_with_its_number(sandbox: Sandbox) -> None:
    backup = sandbox.back_up()
    events = self_named_life(sandbox)
    before = sandbox.export("acme")

    put_back(sandbox, backup)
    send_again(sandbox, *reversed(events))
    settle_restore(sandbox)

    assert sandbox.export("acme") == before
    assert len(sandbox.purchases()) == 1


def test_a_tenant_whose_name_must_not_change_buys_nothing_until_a_person_has_looked(sandbox: Sandbox) -> None:
    backup = sandbox.back_up()
    events = self_named_life(sandbox)
    number = sandbox.export("acme")["phone_number"]
    sid = sandbox.export("acme")["twilio_sid"]

    put_back(sandbox, backup)
    send_again(sandbox, events[1])
    sandbox.work()
    with sandbox.database.transaction() as tx:
        tenant = sandbox.tenant()
        tx.do(
            """INSERT INTO subscriptions (source, subscription_id, tenant_id, linked_by, record, updated_at_ms)
               SELECT 'standard', 'acme', tenant_id, linked_by, replace(record, subscription_id, 'acme'), updated_at_ms
               FROM subscriptions WHERE tenant_id = :id""",
            id=tenant.id,
        )
    settle_restore(sandbox)
    sandbox.operate("retry")
    sandbox.wait(seconds=3600)
    asked = sandbox.export()
    purchases = len(sandbox.purchases())
    # The person does as the message says.
    sandbox.rename_number(sid, keys.tag(sandbox.gateway.rules.env, "acme", 1))
    for entry in sandbox.entries():
        sandbox.change_entry(entry["id"], name=keys.tag(sandbox.gateway.rules.env, "acme", 1))
    sandbox.reconcile()
    sandbox.operate("retry")
    sandbox.settle(3600)

    assert purchases == 1
    assert asked["phone_number"] is None
    assert (sandbox.export()["state"], sandbox.export()["phone_number"]) == ("active", number), says(sandbox)
    assert len(sandbox.purchases()) == 1


# --- over the old file -----------------------------------------------------------------------------------------------


@pytest.mark.sqlite_file
def test_what_was_acknowledged_after_the_backup_is_applied_again_by_itself(at_once: Sandbox) -> None:
    sandbox = at_once
    backup = sandbox.back_up()
    life_with_a_return(sandbox)
    sandbox.deliver("checkout.completed", "beta")
    sandbox.settle(60)
    lines = sandbox.export(), sandbox.export("beta")

    done = restore_over(sandbox, backup)
    settle_restore(sandbox)

    assert done.carried.events == 5
    assert done.carried.is_whole
    assert (sandbox.export()["phone_number"], sandbox.export("beta")) == (lines[0]["phone_number"], lines[1])
    assert sandbox.tenant().generation == 2
    assert len(sandbox.purchases()) == 3
    assert len(sandbox.numbers()) == 2


@pytest.mark.sqlite_file
def test_an_event_that_was_acknowledged_and_not_applied_yet_is_not_lost(sandbox: Sandbox) -> None:
    backup = sandbox.back_up()
    event = sandbox.event("checkout.completed")
    sandbox.send(event)

    restore_over(sandbox, backup)

    assert sandbox.send(event)["duplicates"] == 1
    settle_restore(sandbox)
    assert sandbox.export()["state"] == "active"


@pytest.mark.sqlite_file
def test_waiting_times_count_from_when_we_were_first_told(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed")
    sandbox.deliver("subscription.created")
    sandbox.settle(60)
    backup = sandbox.back_up()
    sandbox.deliver("subscription.deleted")
    sandbox.wait(days=29)

    restore_over(sandbox, backup)
    settle_restore(sandbox)
    suspended = sandbox.export()["state"]
    sandbox.wait(days=2)

    assert suspended == "suspended"
    assert sandbox.export()["state"] == "released"


@pytest.mark.sqlite_file
def test_a_backup_put_back_again_and_again_loses_and_doubles_nothing(sandbox: Sandbox) -> None:
    backup = sandbox.back_up()
    sandbox.deliver("checkout.completed")
    sandbox.settle(60)
    line = sandbox.export()

    for _ in range(3):
        restore_over(sandbox, backup)
        sandbox.settle(30)
    settle_restore(sandbox)

    assert sandbox.export() == line
    assert len(sandbox.purchases()) == 1


@pytest.mark.sqlite_file
def test_a_sandbox_never_goes_back_in_time(sandbox: Sandbox) -> None:
    backup = sandbox.back_up()
    with sandbox.database.transaction() as tx:
        installation.move_clock(tx, DAY * 1000)

    restore_over(sandbox, backup)

    assert sandbox.query(installation.clock_offset_ms) == DAY * 1000
