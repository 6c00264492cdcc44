"""`move`, killed anywhere: never are both databases open, and running it again finishes with everything."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gateway.errors import DatabaseRefused
from gateway.store import copying, installation
from gateway.store.copying import Content, Table, content
from gateway.store.engines import refuse_old
from gateway.store.postgres import PostgresDatabase
from gateway.store.sqlite import SqliteDatabase
from tests import databases
from tests.cli.crashing import AT_LINES, crashing
from tests.stories.sandbox import Sandbox

pytestmark = [
    pytest.mark.sqlite_file,
    pytest.mark.skipif(not databases.POSTGRES_URL, reason="TEST_POSTGRES_URL is not set"),
]
KILLED = -9


def is_open_sqlite(sandbox: Sandbox) -> bool:
    database = SqliteDatabase(sandbox.settings.database.path)
    try:
        with database.transaction() as tx:
            installation.check(tx, "sandbox", "dev", sandbox.settings.twilio.account_sid)
        return True
    except DatabaseRefused:
        return False
    finally:
        database.close()


def is_open_postgres(sandbox: Sandbox, url: str) -> bool:
    """Whether a start would take it. An empty one that nobody has migrated is none."""
    database = PostgresDatabase(url)
    try:
        refuse_old(database, sandbox.settings.database)
        with database.read() as tx:
            installation.check(tx, "sandbox", "dev", sandbox.settings.twilio.account_sid)
            return installation.value(tx, "mode") is not None
    except DatabaseRefused:
        return False
    finally:
        database.close()


def whole(path: Path) -> dict[Table, Content]:
    database = SqliteDatabase(path, is_alone=True)
    with database.read() as tx:
        tables = copying.tables_of(tx)
    found = {table: content(database, table) for table in tables}
    database.close()
    return found


@pytest.mark.parametrize("step", [73, pytest.param(23, marks=pytest.mark.chaos)], ids=["some", "many"])
def test_killed_anywhere_never_are_both_open_and_run_again_it_finishes(
    acme: Sandbox, place: Path, tmp_path_factory: pytest.TempPathFactory, step: int
) -> None:
    acme.deliver("checkout.completed", "beta")
    acme.gateway.close()
    name = databases.LENT.make(migrated=False)
    url = databases.url_of(name)
    scene = tmp_path_factory.mktemp("scene") / "gateway.db"
    shutil.copy2(place / "gateway.db", scene)
    expected = whole(scene)
    seen = set()

    def look() -> None:
        seen.add((is_open_sqlite(acme), is_open_postgres(acme, url)))

    with crashing(AT_LINES) as command:
        assert command.run("move", "--to", url) == 0
        points = command.points
        for point in sorted({*range(1, points, step), *range(points - 18, points, 2)}):
            shutil.copy2(scene, place / "gateway.db")
            databases.empty(name)
            assert command.run("move", "--to", url, until=point) == KILLED
            look()
            # Once more on the way, for what is half done twice is not done either.
            command.run("move", "--to", url, until=point // 2)
            look()
            assert command.run("move", "--to", url) == 0
            assert (is_open_sqlite(acme), is_open_postgres(acme, url)) == (False, True)
            target = PostgresDatabase(url)
            different = [table.name for table, held in expected.items() if content(target, table) != held]
            target.close()
            assert different == ["journal"], point

    assert points > 200
    assert seen == {(True, False), (False, False), (False, True)}
