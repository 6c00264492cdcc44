"""A migrated database of each engine, and tenants to try things on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.model import Tenant
from gateway.store import tenants
from gateway.store.database import Database, Transaction
from tests.store.engines import ENGINES, Engine

NOW_MS = 1_795_000_000_000


@pytest.fixture(params=ENGINES, ids=lambda engine: engine.name)
def engine(request: pytest.FixtureRequest) -> Engine:
    chosen: Engine = request.param
    return chosen


@pytest.fixture
def another(engine: Engine, tmp_path: Path) -> Iterator[Callable[[], Database]]:
    """Opens the same database once more, with connections of its own, as another process would."""
    opened: list[Database] = []

    def open_again() -> Database:
        opened.append(engine.open(tmp_path))
        return opened[-1]

    yield open_again
    for database in opened:
        database.close()


@pytest.fixture
def database(another: Callable[[], Database]) -> Database:
    return another()


@pytest.fixture
def tx(database: Database) -> Iterator[Transaction]:
    """One open write transaction."""
    with database.transaction() as opened:
        yield opened


@pytest.fixture
def acme(tx: Transaction) -> Tenant:
    return tenants.create(tx, "acme", NOW_MS)


@pytest.fixture
def beta(tx: Transaction) -> Tenant:
    return tenants.create(tx, "beta", NOW_MS)


@pytest.fixture
def made(database: Database) -> Callable[..., Tenant]:
    """Makes a tenant in a transaction of its own; named fields are set on its row."""

    def make(key: str, **fields: Any) -> Tenant:
        with database.transaction() as tx:
            tenant = tenants.create(tx, key, NOW_MS)
            for name, value in fields.items():
                tx.do(f"UPDATE tenants SET {name} = :value WHERE id = :id", value=value, id=tenant.id)
            return tenants.get(tx, tenant.id)

    return make
