"""`restore`: what is put back, what is refused, what is kept, and what people are told."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.scheduler.lock import WorkerLock
from gateway.store import aftermath, inbox
from gateway.store.migrate import migrate, migration_files
from gateway.store.sqlite import SqliteDatabase
from tests.cli.conftest import Run
from tests.stories.sandbox import Sandbox

SETTLE_SECONDS = 600
only_a_file = pytest.mark.sqlite_file


@pytest.fixture
def backup(acme: Sandbox, run: Run, place: Path) -> Path:
    """From when `acme` was all there was."""
    assert run("backup", "backup.db").status == 0
    return place / "backup.db"


@contextmanager
def stopped(sandbox: Sandbox) -> Iterator[None]:
    """With no process of the gateway."""
    sandbox.gateway.close()
    yield
    sandbox.gateway = sandbox._open()


def kept(place: Path) -> list[Path]:
    return sorted(place.glob("gateway.db.before-restore-*"))


def make_older(path: Path, scratch: Path) -> None:
    """As a release left it that knew the first two migrations only."""
    files = migration_files()
    first = {file.stem: file.read_text(encoding="utf-8") for file in files[:2]}
    older, database = SqliteDatabase(scratch), SqliteDatabase(path, is_alone=True)
    older.apply_migrations(first, lambda applied: None)
    known = columns(older)
    with database.transaction() as tx:
        for table, names in columns(database).items():
            if table not in known:
                tx.do(f"DROP TABLE {table}")
            for name in names - known.get(table, names):
                tx.do(f"ALTER TABLE {table} DROP COLUMN {name}")
        for file in files[2:]:
            tx.do("DELETE FROM _sqlite_migrations WHERE name = :name", name=file.stem)
    older.close()
    database.close()


def columns(database: SqliteDatabase) -> dict[str, set[str]]:
    """By table, those that others refer to last."""
    sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid DESC"
    with database.read() as tx:
        tables = [row["name"] for row in tx.all(sql) if not row["name"].startswith("_")]
        return {table: {row["name"] for row in tx.all(f"PRAGMA table_info({table})")} for table in tables}


def tenants_in(path: Path) -> list[str]:
    database = SqliteDatabase(path, is_alone=True)
    with database.read() as tx:
        found = [row["tenant_key"] for row in tx.all("SELECT tenant_key FROM tenants ORDER BY id")]
    database.close()
    return found


def copy(source: Path, target: Path) -> None:
    """By another process: to open a database in this one would drop its locks."""
    subprocess.run(["cp", str(source), str(target)], check=True)


def overwrite_the_middle(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * 20_000)


# --- what is put back ------------------------------------------------------------------------------------------------


@only_a_file
def test_the_backup_is_put_back_the_old_file_kept_and_acknowledged_events_carried_over(
    acme: Sandbox, backup: Path, run: Run, place: Path
) -> None:
    acme.deliver("checkout.completed", "beta")
    acme.settle(60)
    with stopped(acme):
        result = run("restore", str(backup))

    (old,) = kept(place)
    assert result.status == 0, result.err
    assert f"kept as {old}" in result.out
    assert "to be applied again: 1 events" in result.out
    assert "nothing is bought or given back until a full reconcile" in result.out
    assert tenants_in(old) == ["acme", "beta"]
    acme.settle(60)
    assert acme.export("beta")["state"] == "active"
    assert len(acme.purchases()) == 2


@only_a_file
def test_the_report_for_scripts(acme: Sandbox, backup: Path, run: Run, place: Path) -> None:
    acme.deliver("checkout.completed", "beta")
    with stopped(acme):
        (told,) = run("restore", str(backup), "--json").json

    assert told == {
        "kept": str(kept(place)[0]),
        "carried_over": 1,
        "expired": 0,
        "old_was_whole": True,
        "restored_at_ms": acme.clock.at_ms,
        "held_back": told["held_back"],
    }
    assert told["held_back"].startswith("A backup was put back")


@only_a_file
def test_what_the_backup_knows_is_not_carried_over_again_and_what_it_lacks_only_once(
    acme: Sandbox, backup: Path, run: Run, place: Path
) -> None:
    event = acme.event("checkout.completed", "beta")
    acme.send(event)
    acme.send(event)
    for _ in range(2):
        with stopped(acme):
            assert run("restore", str(backup)).status == 0

    rows = acme.query(lambda tx: inbox.list_events(tx))
    assert sorted(row.event_id for row in rows) == sorted({row.event_id for row in rows})
    assert [row.status for row in rows] == ["new", "applied"]
    assert (rows[0].event_id, rows[0].body) == (event["event_id"], event["body"].encode())


@only_a_file
def test_contradicting_events_are_carried_over_too(acme: Sandbox, backup: Path, run: Run) -> None:
    with acme.database.transaction() as tx:
        tx.do(
            """INSERT INTO inbox_conflicts (source, event_id, received_at_ms, says_hash, headers, body)
               VALUES ('stripe', 'evt_1', 1, 'other', '{}', x'00')"""
        )
    with stopped(acme):
        assert run("restore", str(backup)).status == 0

    assert acme.query(lambda tx: inbox.backlog(tx)).unread_conflicts == 1


@only_a_file
def test_an_event_whose_body_is_forgotten_is_counted_and_left_for_the_sender_to_repeat(
    acme: Sandbox, backup: Path, run: Run
) -> None:
    event = acme.event("checkout.completed", "beta")
    acme.send(event)
    acme.settle(60)
    with acme.database.transaction() as tx:
        inbox.expire_bodies(tx, acme.clock.at_ms + 1, 100)
    with stopped(acme):
        result = run("restore", str(backup))

    assert "bodies are forgotten already: 1 events" in result.out
    assert acme.send(event)["accepted"] == 1


@only_a_file
def test_what_operators_did_after_the_backup_is_listed(acme: Sandbox, backup: Path, run: Run) -> None:
    acme.clock.at_ms += 60_000
    assert run("tenants", "suspend", "acme", "--reason", "fraud").status == 0
    with stopped(acme):
        result = run("restore", str(backup))

    assert "Operators did this after the backup" in result.out
    assert "acme: suspend, by cli:" in result.out


@only_a_file
def test_where_there_is_no_database_the_backup_becomes_it(acme: Sandbox, backup: Path, run: Run, place: Path) -> None:
    with stopped(acme):
        for file in place.glob("gateway.db*"):
            file.unlink()
        result = run("restore", str(backup))

    assert result.status == 0, result.err
    assert kept(place) == []
    assert acme.export()["state"] == "active"


@only_a_file
def test_what_is_committed_beside_the_file_after_a_crash_is_in_the_kept_one(
    acme: Sandbox, backup: Path, run: Run, place: Path
) -> None:
    acme.deliver("checkout.completed", "beta")
    for suffix in ("", "-wal"):
        copy(place / f"gateway.db{suffix}", place / f"crashed{suffix}")
    acme.gateway.close()
    for suffix in ("", "-wal"):
        copy(place / f"crashed{suffix}", place / f"gateway.db{suffix}")

    result = run("restore", str(backup))

    assert "to be applied again: 1 events" in result.out
    assert [file.name for file in kept(place)] == [kept(place)[0].name]
    database = SqliteDatabase(kept(place)[0], is_alone=True)
    with database.read() as tx:
        assert len(inbox.list_events(tx)) == 2
    database.close()
    acme.gateway = acme._open()


@only_a_file
def test_a_backup_with_a_journal_beside_it_is_put_back_with_what_is_in_there(
    acme: Sandbox, run: Run, place: Path
) -> None:
    (place / "copies").mkdir()
    acme.deliver("checkout.completed", "beta")
    for suffix in ("", "-wal"):
        copy(place / f"gateway.db{suffix}", place / "copies" / f"copy.db{suffix}")
    with stopped(acme):
        for file in place.glob("gateway.db*"):
            file.unlink()
        assert run("restore", "copies/copy.db").status == 0

    acme.settle(60)
    assert acme.export("beta")["state"] == "provisioning"


@only_a_file
def test_owner_and_mode_stay_and_the_backup_is_not_touched(acme: Sandbox, backup: Path, run: Run, place: Path) -> None:
    (place / "gateway.db").chmod(0o640)
    before = backup.read_bytes(), backup.stat().st_mtime_ns
    with stopped(acme):
        assert run("restore", str(backup)).status == 0

    assert stat.S_IMODE((place / "gateway.db").stat().st_mode) == 0o640
    assert (backup.read_bytes(), backup.stat().st_mtime_ns) == before
    assert not list(place.glob("*.restoring*"))


@only_a_file
def test_a_backup_of_an_older_release_is_brought_up_to_date(
    acme: Sandbox, backup: Path, run: Run, place: Path
) -> None:
    make_older(backup, place / "scratch.db")

    with stopped(acme):
        result = run("restore", str(backup))

    assert result.status == 0, result.err


# --- damage ----------------------------------------------------------------------------------------------------------


@only_a_file
def test_from_a_damaged_database_as_much_is_carried_over_as_can_be_read(
    acme: Sandbox, backup: Path, run: Run, place: Path
) -> None:
    for count in range(300):
        acme.deliver("checkout.completed", f"tenant-{count}")
    with stopped(acme):
        overwrite_the_middle(place / "gateway.db")
        (told,) = run("restore", str(backup), "--json").json

    assert told["old_was_whole"] is False
    assert 100 < told["carried_over"] < 300
    acme.database.quick_check()
    assert kept(place)[0].stat().st_size > 100_000


@only_a_file
@pytest.mark.parametrize("content", [b"", b"x" * 9000, b"SQLite format 3\x00" + b"\xff" * 8000])
def test_a_database_that_cannot_be_read_at_all_is_replaced_and_kept_with_all_that_is_beside_it(
    acme: Sandbox, backup: Path, run: Run, place: Path, content: bytes
) -> None:
    with stopped(acme):
        (place / "gateway.db").write_bytes(content)
        (place / "gateway.db-wal").write_bytes(b"what nobody can read")
        result = run("restore", str(backup))

    assert result.status == 0, result.err
    assert "not all of it could be read" in result.out
    assert (place / f"{kept(place)[0].name}").read_bytes() == content
    assert Path(f"{kept(place)[0]}-wal").read_bytes() == b"what nobody can read"
    assert acme.export()["state"] == "active"


@only_a_file
def test_the_journal_of_a_file_that_cannot_be_read_does_not_become_the_backups(
    acme: Sandbox, backup: Path, run: Run, place: Path
) -> None:
    acme.deliver("checkout.completed", "beta")
    acme.settle(60)
    copy(place / "gateway.db-wal", place / "journal")
    acme.gateway.close()
    (place / "gateway.db").write_bytes(b"")
    copy(place / "journal", place / "gateway.db-wal")

    result = run("restore", str(backup))

    assert result.status == 0, result.err
    assert tenants_in(place / "gateway.db") == ["acme"]
    assert Path(f"{kept(place)[0]}-wal").read_bytes() == (place / "journal").read_bytes()
    acme.gateway = acme._open()


@only_a_file
def test_a_database_of_a_newer_release_is_replaced_and_its_events_carried_over(
    acme: Sandbox, backup: Path, run: Run
) -> None:
    acme.deliver("checkout.completed", "beta")
    with acme.database.transaction() as tx:
        tx.do("INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('gateway', '0999_later', '')")
    with stopped(acme):
        result = run("restore", str(backup))

    assert "to be applied again: 1 events" in result.out


# --- what is refused -------------------------------------------------------------------------------------------------


@only_a_file
@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda path: path.write_bytes(b"x" * 9000), "damaged, or no database"),
        (overwrite_the_middle, "damaged"),
        (lambda path: path.write_bytes(b""), "empty file"),
        (lambda path: path.write_bytes(path.read_bytes()[:20_000]), "damaged"),
    ],
    ids=["no database", "damage in the middle", "empty", "cut off"],
)
def test_a_backup_that_is_not_whole_is_refused_and_nothing_changes(
    acme: Sandbox, backup: Path, run: Run, place: Path, spoil: object, says: str
) -> None:
    assert callable(spoil)
    spoil(backup)
    with stopped(acme):
        before = (place / "gateway.db").read_bytes()
        result = run("restore", str(backup))

        assert result.status == 1
        assert says in result.err
        assert "cannot be put back" in result.err
        assert (place / "gateway.db").read_bytes() == before
        assert not kept(place)
        assert not list(place.glob("*.restoring*"))


@only_a_file
def test_a_backup_of_a_newer_release_is_refused(acme: Sandbox, backup: Path, run: Run) -> None:
    database = SqliteDatabase(backup, is_alone=True)
    with database.transaction() as tx:
        tx.do("INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('gateway', '0999_later', '')")
    database.close()

    with stopped(acme):
        result = run("restore", str(backup))

    assert result.status == 1
    assert "newer release (it has 0999_later" in result.err


@only_a_file
@pytest.mark.parametrize("whose", ["the backup", "the database"])
def test_another_installations_database_is_neither_put_back_nor_replaced(
    acme: Sandbox, backup: Path, run: Run, place: Path, whose: str
) -> None:
    with stopped(acme):
        path = backup if whose == "the backup" else place / "gateway.db"
        database = SqliteDatabase(path, is_alone=True)
        with database.transaction() as tx:
            tx.do("UPDATE installation SET value = 'other' WHERE name = 'env'")
        database.close()
        result = run("restore", str(backup))

        assert result.status == 2
        assert "belongs to another installation" in result.err
        assert not kept(place)
        database = SqliteDatabase(path, is_alone=True)
        with database.transaction() as tx:
            tx.do("UPDATE installation SET value = 'dev' WHERE name = 'env'")
        database.close()


@only_a_file
def test_the_database_itself_is_no_backup_of_it(acme: Sandbox, run: Run, place: Path) -> None:
    with stopped(acme):
        os.link(place / "gateway.db", place / "same.db")

        assert "is the database itself" in run("restore", "gateway.db").err
        assert "is the database itself" in run("restore", "same.db").err


@only_a_file
def test_while_a_gateway_has_it_open_nothing_is_put_back(acme: Sandbox, backup: Path, run: Run, place: Path) -> None:
    result = run("restore", str(backup))

    assert result.status == 1
    assert "is in use by python" in result.err or "is in use by pytest" in result.err
    assert f"(process {os.getpid()})" in result.err
    assert not kept(place)


@only_a_file
def test_a_worker_that_knows_no_such_lock_is_noticed(acme: Sandbox, backup: Path, run: Run, place: Path) -> None:
    with stopped(acme):
        older = WorkerLock(place / "gateway.db")
        assert older.take()

        assert "A worker has this database" in run("restore", str(backup)).err
        older.free()


@only_a_file
def test_a_program_that_has_the_file_open_without_a_lock_is_noticed(
    acme: Sandbox, backup: Path, run: Run, place: Path
) -> None:
    with stopped(acme):
        browser = SqliteDatabase(place / "gateway.db", is_alone=True)
        with browser.read() as tx:
            tx.one("SELECT 1 AS one FROM tenants")
        result = run("restore", str(backup))
        browser.close()

    assert result.status == 1
    assert "Another program has" in result.err


def test_one_says_either_which_file_or_that_it_is_done(run: Run, place: Path) -> None:
    (place / "backup.db").write_bytes(b"")

    assert run("restore").status == 2
    assert run("restore", "backup.db", "--mark").status == 2
    assert run("restore", "nowhere.db").status == 2


# --- what people see -------------------------------------------------------------------------------------------------


def test_a_database_that_was_put_back_by_other_means_is_marked(acme: Sandbox, run: Run) -> None:
    result = run("restore", "--mark")
    acme.deliver("checkout.completed", "beta")
    acme.settle(60)

    assert result.status == 0, result.err
    assert "nothing is bought or given back until a full reconcile" in result.out
    assert acme.export("beta")["state"] == "provisioning"


def test_doctor_reconcile_and_health_say_so_until_it_is_settled(acme: Sandbox, run: Run) -> None:
    acme.wait(seconds=3600)
    with acme.database.transaction() as tx:
        aftermath.mark(tx, acme.clock.at_ms, "a backup was put back", "tester")

    doctor = run("doctor")
    health = acme.gateway.health.degraded()
    acme.clock.at_ms += SETTLE_SECONDS * 1000
    report = acme.reconcile(apply=False)
    acme.reconcile()

    assert doctor.status == 1
    assert "A backup was put back" in doctor.out
    assert "A backup was put back" in health["restore"]
    assert report.held_back is not None
    assert run("doctor").status == 0
    assert "restore" not in acme.gateway.health.degraded()


def test_on_postgres_a_file_is_not_put_back(acme: Sandbox, run: Run, place: Path, database_kind: str) -> None:
    if database_kind == "sqlite":
        return
    (place / "backup.db").write_bytes(b"")

    result = run("restore", "backup.db")

    assert result.status == 2
    assert "restore --mark" in result.err


@only_a_file
def test_where_only_a_journal_of_the_database_is_left_it_is_kept(
    acme: Sandbox, backup: Path, run: Run, place: Path
) -> None:
    with stopped(acme):
        (place / "gateway.db").unlink()
        (place / "gateway.db-wal").write_bytes(b"the newest commits")
        result = run("restore", str(backup))

    assert result.status == 0, result.err
    assert [file.read_bytes() for file in kept(place)] == [b"the newest commits"]
    assert acme.export()["state"] == "active"


@only_a_file
def test_a_database_that_somebody_uses_is_no_backup(acme: Sandbox, run: Run, place: Path) -> None:
    other = SqliteDatabase(place / "other.db")
    migrate(other)
    with stopped(acme):
        result = run("restore", "other.db")
    other.close()

    assert result.status == 1
    assert "other.db is in use by" in result.err


@only_a_file
def test_a_full_disk_leaves_everything_as_it_was(acme: Sandbox, backup: Path, place: Path) -> None:
    script = f"""
import resource, sys
from gateway.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
sys.exit(main(["restore", {str(backup)!r}]))
"""
    with stopped(acme):
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=with_path())

    assert done.returncode == 1
    assert "cannot be put back: File too large. The database was left as it was." in done.stderr
    assert not kept(place)
    assert not list(place.glob("*.restoring*"))
    assert acme.export()["state"] == "active"


def with_path() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
