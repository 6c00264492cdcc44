"""The databases that the contract of the store is held to: one entry an engine, and every test of it runs on each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.store.database import Database
from tests import databases


@dataclass(frozen=True)
class Engine:
    """open: the database of this folder, migrated; opened again it is the same one, as another process sees it."""

    name: str
    open: Callable[[Path], Database]


def of_kind(kind: str) -> Engine:
    def open_it(folder: Path) -> Database:
        databases.LENT.kind = kind
        return databases.open_database(folder)

    return Engine(kind, open_it)


ENGINES = tuple(of_kind(kind) for kind in databases.KINDS)
# For what only a file has, or is asked in SQLite's own words.
sqlite_only = pytest.mark.parametrize("engine", ENGINES[:1], ids=["sqlite"])
