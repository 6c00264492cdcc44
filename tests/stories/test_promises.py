"""The promises as people put them: the same again, in any order, from an old backup, beside other people's numbers."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from gateway.domain import keys
from gateway.errors import DatabaseRefused
from gateway.store.sqlite import SqliteDatabase
from tests import databases
from tests.stories.sandbox import DAY, Sandbox

LIFE = (
    (0, "checkout.completed"),
    (0, "subscription.created"),
    (1, "invoice.paid"),
    (30 * DAY, "invoice.paid"),
    (60 * DAY, "invoice.payment_failed"),
    (62 * DAY, "invoice.paid"),
    (90 * DAY, "invoice.paid"),
)


def test_the_same_delivery_a_thousand_times_buys_one_number(sandbox: Sandbox) -> None:
    event = sandbox.event("checkout.completed")

    receipts = [sandbox.send(event) for _ in range(1000)]
    sandbox.settle(600)

    assert [receipt["accepted"] for receipt in receipts] == [1] + [0] * 999
    assert len(sandbox.purchases()) == 1
    assert sandbox.export()["state"] == "active"


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("last", [None, "subscription.deleted"], ids=["paying", "canceled"])
def test_a_life_in_random_order_with_repeats_ends_in_the_right_state(
    sandbox: Sandbox, seed: int, last: str | None
) -> None:
    chance = random.Random(seed)
    start_ms = sandbox.clock.at_ms
    told = [*LIFE, *([(95 * DAY, last)] if last else [])]
    sandbox.clock.at_ms = start_ms + 96 * DAY * 1000
    events = [sandbox.event(name, at_ms=start_ms + seconds * 1000) for seconds, name in told]
    deliveries = [chance.choice(events) for _ in range(1000 - len(events))] + events
    chance.shuffle(deliveries)

    for count, event in enumerate(deliveries):
        sandbox.send(event)
        if count % 50 == 0:
            sandbox.work()
    sandbox.settle(600)

    bought = len(sandbox.purchases())
    if last is None:
        assert (sandbox.export()["state"], bought) == ("active", 1), sandbox.timeline()
    else:
        # Told of its end before anything was bought, it is released at once; else its number waits.
        assert (sandbox.export()["state"], bought) in (("suspended", 1), ("released", 0)), sandbox.timeline()


def test_a_backup_from_before_the_last_ten_purchases_buys_none_of_them_twice(sandbox: Sandbox) -> None:
    names = [f"tenant-{count}" for count in range(10)]
    signups = [sandbox.event("checkout.completed", key) for key in names]
    for event in signups:
        sandbox.send(event)
    backup = sandbox.back_up()
    sandbox.settle(600)
    numbers = {key: sandbox.export(key)["phone_number"] for key in names}

    sandbox.put_back(backup)
    sandbox.settle(3600)

    assert {key: sandbox.export(key)["phone_number"] for key in names} == numbers
    assert len(sandbox.purchases()) == 10
    assert len(sandbox.entries()) == 10


def test_a_backup_from_before_the_signups_adopts_when_the_sender_repeats_them(sandbox: Sandbox) -> None:
    names = [f"tenant-{count}" for count in range(10)]
    backup = sandbox.back_up()
    signups = [sandbox.event("checkout.completed", key) for key in names]
    for event in signups:
        sandbox.send(event)
    sandbox.settle(600)
    numbers = {key: sandbox.export(key)["phone_number"] for key in names}

    sandbox.put_back(backup)
    for event in signups:
        sandbox.send(event)
    sandbox.settle(3600)

    assert {key: sandbox.export(key)["phone_number"] for key in names} == numbers
    assert len(sandbox.purchases()) == 10


def test_a_backup_from_before_a_release_and_a_return_takes_over_what_was_bought_for_the_return(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, {"RELEASE_AFTER_DAYS": "0"})
    for name in ("checkout.completed", "subscription.created"):
        sandbox.deliver(name)
    backup = sandbox.back_up()
    sandbox.settle(600)
    sandbox.deliver("subscription.deleted")
    sandbox.settle(7200)
    for name in ("checkout.completed", "subscription.created"):
        sandbox.deliver(name)
    sandbox.settle(7200)
    bought = sandbox.export()["phone_number"]
    assert len(sandbox.purchases()) == 2

    sandbox.put_back(backup)
    sandbox.settle(7200)
    sandbox.reconcile_and_settle()

    assert (sandbox.export()["state"], sandbox.export()["phone_number"]) == ("active", bought)
    assert len(sandbox.purchases()) == 2
    assert sandbox.tenant().generation == 2
    sandbox.close()


@pytest.mark.parametrize("naming", ["subscription.updated", "invoice.paid"])
@pytest.mark.parametrize("is_repeated", [True, False], ids=["told again", "fresh news"])
def test_a_backup_from_before_a_nameless_signup_buys_nothing_when_the_name_comes_first_this_time(
    sandbox: Sandbox, naming: str, is_repeated: bool
) -> None:
    backup = sandbox.back_up()
    nameless = sandbox.event("checkout.completed", carry=[])
    sandbox.send(nameless)
    sandbox.settle(600)
    sandbox.wait(seconds=120)
    named = sandbox.event(naming, carry=["subscription"])
    sandbox.send(named)
    sandbox.settle(600)
    bought = sandbox.export()["phone_number"]

    sandbox.put_back(backup)
    sandbox.wait(seconds=120)
    for event in (named, nameless) if is_repeated else (sandbox.event(naming),):
        sandbox.send(event)
    sandbox.settle(3600)
    sandbox.reconcile_and_settle()
    if databases.is_postgres():
        # Nothing tells an old copy from a new one there, unless somebody says so: a person has to settle it.
        assert sandbox.export()["blocked"] == "ambiguous"
        sandbox.rename_number(sandbox.numbers()[0]["sid"], keys.tag("dev", "acme", 1))
        sandbox.change_entry(sandbox.entries()[0]["id"], name=keys.tag("dev", "acme", 1))
        sandbox.operate("retry")
        sandbox.settle(3600)

    assert (sandbox.export()["state"], sandbox.export()["phone_number"]) == ("active", bought)
    assert len(sandbox.purchases()) == 1


@pytest.mark.sqlite_file
def test_a_damaged_database_refuses_to_start_with_a_sentence_that_helps(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    path.write_bytes(b"SQLite format 3\x00" + b"\xff" * 8000)
    database = SqliteDatabase(path)

    with pytest.raises(DatabaseRefused, match="newest backup"):
        database.quick_check()


def test_numbers_of_other_people_in_the_account_are_never_touched(sandbox: Sandbox) -> None:
    sandbox.world.place_numbers({"friendly_name": "front desk", "count": 3})
    sandbox.world.place_numbers({"friendly_name": "rf:other:0123456789abcdef:1", "count": 2})
    before = {number["sid"]: number for number in sandbox.numbers()}

    sandbox.deliver("checkout.completed")
    sandbox.settle(600)
    sandbox.deliver("subscription.deleted")
    sandbox.wait(days=32)
    sandbox.reconcile_and_settle()

    assert {number["sid"]: number for number in sandbox.numbers()} == before


@pytest.mark.sqlite_file
def test_no_secret_reaches_the_database(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed")
    sandbox.fault("vapi.import", "error_after", times=1)
    sandbox.settle(3600)
    copy = sandbox.folder / "copy.db"
    assert isinstance(sandbox.database, SqliteDatabase)
    sandbox.database.vacuum_into(copy)

    content = copy.read_bytes()

    for secret in sandbox.settings.secrets:
        assert secret.encode() not in content


def test_two_tenants_that_ask_for_the_same_number_get_one_purchase(sandbox: Sandbox) -> None:
    number = sandbox.for_sale()
    for key in ("acme", "beta"):
        sandbox.deliver("checkout.completed", key, metadata={"phone_number": number})
    sandbox.settle(3600)

    states = sorted((sandbox.export(key)["state"], str(sandbox.export(key)["blocked"])) for key in ("acme", "beta"))
    assert states == [("active", "None"), ("provisioning", "number_taken")]
    assert len(sandbox.purchases()) == 1


def test_many_releases_at_once_stop_at_the_brake_until_somebody_says_yes(sandbox: Sandbox) -> None:
    names = [f"tenant-{count}" for count in range(8)]
    for key in names:
        sandbox.deliver("checkout.completed", key)
    sandbox.settle(600)
    for key in names:
        sandbox.deliver("subscription.deleted", key)
    sandbox.wait(days=31)
    blocked = [key for key in names if sandbox.export(key)["blocked"] == "release_brake"]
    assert len(blocked) == 3

    sandbox.retry_blocked("release_brake")
    sandbox.settle(4000)

    assert {sandbox.export(key)["state"] for key in names} == {"released"}
    assert sandbox.numbers() == []
