"""`move --to`: everything arrives, nothing happens twice, and never are both databases open."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gateway.domain.model import Held, Hold, Step
from gateway.errors import DatabaseRefused
from gateway.settings import load
from gateway.store import aftermath, copying, installation, tenants
from gateway.store.copying import content
from gateway.store.engines import open_database
from gateway.store.migrate import migrate
from gateway.store.postgres import PostgresDatabase
from gateway.store.sqlite import SqliteDatabase
from tests import databases
from tests.cli.conftest import Result, Run
from tests.stories.sandbox import Sandbox

pytestmark = [
    pytest.mark.sqlite_file,
    pytest.mark.skipif(not databases.POSTGRES_URL, reason="TEST_POSTGRES_URL is not set"),
]
STATES = {"new", "provisioning", "active", "suspending", "suspended", "resuming", "releasing", "released"}


@pytest.fixture
def url() -> str:
    """A PostgreSQL database with nothing in it."""
    return databases.url_of(databases.LENT.make(migrated=False))


@pytest.fixture
def target(url: str) -> Iterator[PostgresDatabase]:
    made = PostgresDatabase(url)
    yield made
    made.close()


Move = Callable[..., Result]


@pytest.fixture
def move(run: Run, url: str) -> Move:
    return lambda *more: run("move", "--to", url, *more)


def source_of(place: Path) -> SqliteDatabase:
    return SqliteDatabase(place / "gateway.db", is_alone=True)


def go_on(sandbox: Sandbox, url: str) -> None:
    """Start the gateway on the new database, in the same world."""
    found = load({"GATEWAY_MODE": "sandbox", "DATABASE_URL": url}).database
    database = replace(found, path=sandbox.settings.database.path)
    sandbox.settings = replace(sandbox.settings, database=database)
    sandbox.gateway = sandbox._open()


def ended(sandbox: Sandbox, key: str, days: float) -> None:
    for name in ("checkout.completed", "subscription.created"):
        sandbox.deliver(name, key)
    sandbox.settle(60)
    sandbox.deliver("subscription.deleted", key)
    sandbox.wait(days=days)


def in_every_state(sandbox: Sandbox) -> None:
    """A tenant in each state, those on the way stopped by a provider that does not answer."""
    ended(sandbox, "released", 31)
    ended(sandbox, "releasing", 29.9)
    ended(sandbox, "suspended", 0.01)
    for key in ("active", "suspending", "resuming"):
        sandbox.deliver("checkout.completed", key)
    sandbox.settle(60)
    sandbox.operate("hold", Hold.SUSPEND, key="resuming")
    sandbox.settle(60)
    sandbox.deliver("checkout.unpaid", "new")
    sandbox.fault("twilio.release", "lost_before", times=1000)
    sandbox.clock.at_ms += 8_640_000 + 60_000
    sandbox.settle(1)
    sandbox.fault("vapi.assign", "error_before", times=1000)
    sandbox.operate("hold", Hold.SUSPEND, key="suspending")
    sandbox.operate("hold", None, key="resuming")
    sandbox.settle(1)


def unclear_purchase(sandbox: Sandbox, key: str = "provisioning") -> str:
    """A purchase on its way, of which nobody knows yet; gives the number."""
    sandbox.fault("twilio.buy", "late_effect", seconds=300)
    sandbox.deliver("checkout.completed", key)
    sandbox.turn()
    held = sandbox.held(key)[Step.BUY_NUMBER]
    assert held.held is Held.MAYBE
    return str(held.detail["number"])


def calm(sandbox: Sandbox) -> None:
    sandbox.world_call("DELETE", "faults")


# --- what arrives ----------------------------------------------------------------------------------------------------


def test_tenants_in_every_state_go_on_and_an_unclear_purchase_is_finished_with_the_same_number(
    sandbox: Sandbox, move: Move, url: str
) -> None:
    in_every_state(sandbox)
    number = unclear_purchase(sandbox)
    before = {key: sandbox.export(key) for key in STATES}
    purchases = len(sandbox.purchases())
    sandbox.gateway.close()

    result = move()
    go_on(sandbox, url)
    after = {key: sandbox.export(key) for key in STATES}
    calm(sandbox)
    sandbox.wait(days=1)

    assert result.status == 0, result.err
    assert {line["state"] for line in before.values()} == STATES
    assert after == before
    assert (sandbox.export("provisioning")["state"], sandbox.export("provisioning")["phone_number"]) == (
        "active",
        number,
    )
    assert len(sandbox.purchases()) == purchases + 1
    states = {key: sandbox.export(key)["state"] for key in STATES}
    assert states == {
        "new": "new",
        "provisioning": "active",
        "active": "active",
        "suspending": "suspended",
        "suspended": "suspended",
        "resuming": "active",
        "releasing": "released",
        "released": "released",
    }
    held = [key for key in STATES if sandbox.export(key)["phone_number"]]
    assert len(sandbox.numbers()) == len(held) == 5


def test_every_row_of_every_table_arrives(acme: Sandbox, move: Move, place: Path, target: PostgresDatabase) -> None:
    acme.deliver("checkout.completed", "beta", set={"metadata.company_name": "Bäckerei Æther 漢字 🥐"})
    acme.settle(60)
    with acme.database.transaction() as tx:
        tx.do("INSERT INTO rejections VALUES ('stripe', 3, 1, 'signature_invalid', NULL, 12)")
        tx.do(
            """INSERT INTO inbox_conflicts (source, event_id, received_at_ms, says_hash, headers, body)
               VALUES ('stripe', 'evt_1', 9007199254740993, 'other', '{}', :body)""",
            body=bytes(range(256)),
        )
        tx.do("INSERT INTO tenant_aliases VALUES ('Zebra', 1), ('apple', 1), ('_', 1)")
    acme.gateway.close()

    (told,) = move("--json").json

    source = source_of(place)
    with source.read() as tx:
        tables = copying.tables_of(tx)
    different = [table.name for table in tables if content(target, table) != content(source, table)]
    with target.read() as tx:
        last = tx.all("SELECT name, actor FROM journal ORDER BY id DESC LIMIT 1")[0]
    assert different == ["journal"]
    assert (last["name"], last["actor"].split(":")[0]) == ("moved", "cli")
    assert told["copied"].keys() == {table.name for table in tables}
    assert min(told["copied"][name] for name in ("inbox", "tenants", "intents", "rejections", "tenant_aliases")) > 0
    assert told["rows"] == sum(content(source, table).rows for table in tables)
    source.close()


def test_new_rows_are_numbered_after_those_that_were_moved(acme: Sandbox, move: Move, url: str) -> None:
    acme.gateway.close()
    assert move().status == 0
    go_on(acme, url)

    acme.deliver("checkout.completed", "beta")
    acme.settle(60)

    assert acme.export("beta")["state"] == "active"
    assert acme.tenant("beta").id == acme.tenant("acme").id + 1


def test_more_rows_than_go_at_once_arrive_in_their_order(
    acme: Sandbox, move: Move, place: Path, target: PostgresDatabase
) -> None:
    with acme.database.transaction() as tx:
        for count in range(1203):
            tenants.add_alias(tx, acme_id(tx), f"alias-{count}")
            tx.do("INSERT INTO journal (at_ms, kind, name, detail) VALUES (:count, 'note', 'x', '{}')", count=count)
    acme.gateway.close()

    (told,) = move("--json").json

    assert told["copied"]["tenant_aliases"] == 1203
    with target.read() as tx:
        assert [row["at_ms"] for row in tx.all("SELECT at_ms FROM journal WHERE name = 'x' ORDER BY id")] == list(
            range(1203)
        )


def acme_id(tx: Any) -> int:
    found = tenants.by_key(tx, "acme")
    assert found is not None
    return found.id


def test_the_wait_after_a_restore_goes_on_on_the_new_side(acme: Sandbox, move: Move, url: str) -> None:
    with acme.database.transaction() as tx:
        aftermath.mark(tx, acme.clock.at_ms, "a backup was put back", "tester")
    acme.gateway.close()
    assert move().status == 0
    go_on(acme, url)

    acme.deliver("checkout.completed", "beta")
    acme.wait(seconds=3600)

    assert acme.export("beta")["phone_number"] is None


# --- the old one is closed, the new one is opened --------------------------------------------------------------------


def test_the_old_database_takes_nothing_any_more_and_says_where_it_went(
    acme: Sandbox, run: Run, move: Move, url: str, place: Path
) -> None:
    acme.gateway.close()
    assert move().status == 0
    password = psycopg.conninfo.conninfo_to_dict(url)["password"]

    with pytest.raises(DatabaseRefused, match="closed for good"):
        open_database(acme.settings)
    release = ["tenants", "release", "acme", "--yes", "--reason", "x"]
    for command in (["migrate"], ["tenants", "list"], release, ["restore", "--mark"]):
        result = run(*command)
        assert result.status == 1, command
        assert "closed for good" in result.err
        assert url.rsplit("/", 1)[1] in result.err
        assert f":{password}@" not in result.err + result.out
    go_on(acme, url)


def test_no_password_is_stored_or_shown(acme: Sandbox, run: Run, place: Path) -> None:
    name = databases.LENT.make(migrated=False)
    url = databases.url_of(name)
    acme.gateway.close()

    result = run("move", "--to", url)

    password = ":" + str(psycopg.conninfo.conninfo_to_dict(url)["password"])
    assert password not in result.out + result.err
    source = source_of(place)
    with source.read() as tx:
        stored = [row["value"] for row in tx.all("SELECT value FROM installation")]
    source.close()
    assert not [value for value in stored if password in value]
    go_on(acme, url)


def test_run_again_it_says_that_it_is_done(acme: Sandbox, move: Move, url: str) -> None:
    acme.gateway.close()
    assert move().status == 0
    go_on(acme, url)
    acme.deliver("checkout.completed", "beta")
    acme.settle(60)

    result = move()

    assert result.status == 0
    assert "was moved to" in result.out
    assert acme.export("beta")["state"] == "active"


def test_a_database_that_was_moved_is_never_moved_anywhere_else(acme: Sandbox, run: Run, move: Move, url: str) -> None:
    other = databases.url_of(databases.LENT.make(migrated=False))
    acme.gateway.close()
    assert move().status == 0

    result = run("move", "--to", other)

    assert result.status == 1
    assert "never moved anywhere else" in result.err
    go_on(acme, url)


def test_a_backup_from_before_the_move_is_not_put_over_the_closed_one(
    acme: Sandbox, run: Run, move: Move, url: str
) -> None:
    assert run("backup", "before.db").status == 0
    acme.gateway.close()
    assert move().status == 0

    assert "closed for good" in run("restore", "before.db").err
    go_on(acme, url)


def test_a_copy_of_the_closed_one_is_no_backup(acme: Sandbox, run: Run, move: Move, url: str, place: Path) -> None:
    acme.gateway.close()
    assert move().status == 0
    (place / "gateway.db").rename(place / "closed.db")

    result = run("restore", "closed.db")

    assert result.status == 1
    assert "closed for good" in result.err
    go_on(acme, url)


# --- half-way --------------------------------------------------------------------------------------------------------


def test_an_unfinished_copy_starts_nothing(
    acme: Sandbox, run: Run, url: str, target: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(target)
    with target.transaction() as tx:
        installation.put(tx, installation.UNFINISHED_MOVE, "another")
    monkeypatch.setenv("DATABASE_URL", url)

    with pytest.raises(DatabaseRefused, match="unfinished copy"):
        open_database(load({"GATEWAY_MODE": "sandbox", "DATABASE_URL": url}))
    for command in (["migrate"], ["tenants", "list"], ["doctor"]):
        result = run(*command)
        assert result.status == 1, command
        assert "unfinished copy" in result.err + result.out


def test_a_copy_that_differs_is_not_opened(acme: Sandbox, run: Run, move: Move, url: str, place: Path) -> None:
    acme.gateway.close()
    source, target = source_of(place), PostgresDatabase(url)
    migrate(target)
    with source.transaction() as tx:
        installation.put(tx, "move_id", "mine")
    with target.transaction() as tx:
        installation.put(tx, installation.UNFINISHED_MOVE, "mine")
        tx.do("INSERT INTO providers (name) VALUES ('somebody')")
    source.close()

    refused = move()
    with target.transaction() as tx:
        tx.do("DELETE FROM providers WHERE name = 'somebody'")
    target.close()
    mended = move()

    assert refused.status == 1
    assert "copy of providers differs" in refused.err
    assert mended.status == 0
    go_on(acme, url)


def test_run_again_it_copies_only_what_is_missing(acme: Sandbox, move: Move, url: str, place: Path) -> None:
    acme.gateway.close()
    source, target = source_of(place), PostgresDatabase(url)
    migrate(target)
    with source.transaction() as tx:
        installation.put(tx, "move_id", "mine")
        inbox_table = next(table for table in copying.tables_of(tx) if table.name == "inbox")
    with target.transaction() as tx:
        installation.put(tx, installation.UNFINISHED_MOVE, "mine")
    assert copying.copy(source, target, inbox_table) == 1
    source.close()
    target.close()

    (told,) = move("--json").json

    assert told["copied"]["inbox"] == 0
    assert told["copied"]["tenants"] == 1
    go_on(acme, url)


@pytest.mark.parametrize("what", ["a gateway", "half of another", "rows without an installation"])
def test_a_database_that_holds_anything_else_is_refused_and_the_old_one_stays_open(
    acme: Sandbox, run: Run, move: Move, url: str, what: str, target: PostgresDatabase, place: Path
) -> None:
    migrate(target)
    with target.transaction() as tx:
        if what == "a gateway":
            installation.bind(tx, "sandbox", "dev", acme.settings.twilio.account_sid)
        elif what == "half of another":
            installation.put(tx, installation.UNFINISHED_MOVE, "another")
        else:
            tx.do("INSERT INTO providers (name) VALUES ('somebody')")
    acme.gateway.close()

    result = move()
    acme.gateway = acme._open()

    assert result.status == 1
    assert "is not empty" in result.err
    assert acme.export()["state"] == "active"


def test_while_a_gateway_has_it_open_nothing_is_moved(acme: Sandbox, move: Move, target: PostgresDatabase) -> None:
    result = move()

    assert result.status == 1
    assert f"(process {os.getpid()})" in result.err
    assert target.applied_migrations() == []


def test_a_server_that_cannot_be_reached_leaves_everything_as_it_was(acme: Sandbox, run: Run) -> None:
    acme.gateway.close()

    result = run("move", "--to", "postgresql://nobody:secret@127.0.0.1:9/nothing")
    acme.gateway = acme._open()

    assert result.status == 1
    assert "secret" not in result.err + result.out
    assert acme.export()["state"] == "active"


def test_what_is_no_address_is_wrong_use(acme: Sandbox, run: Run, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    assert run("move").status == 2
    assert run("move", "--to", "sqlite:///other.db").status == 2
    assert run("move", "--to", "postgresql://host").status == 2
    monkeypatch.setenv("DATABASE_URL", url)
    assert run("move", "--to", url).status == 2


def test_without_a_database_there_is_nothing_to_move(run: Run, move: Move) -> None:
    result = move()

    assert result.status == 1
    assert "nothing to move" in result.err
