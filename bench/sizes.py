"""The sizes in which the gateway comes: one file, or a PostgreSQL server with either driver."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import postgres, processes, product


@dataclass(frozen=True, slots=True)
class Size:
    """engine: on PostgreSQL, with this driver; None: on SQLite."""

    name: str
    engine: str | None


SQLITE = Size("SQLite", None)
EMBEDDED = Size("PostgreSQL, embedded", "embedded")
PROCRASTINATE = Size("PostgreSQL, procrastinate", "procrastinate")


@dataclass(frozen=True, slots=True)
class Installation:
    """An empty, migrated database and the settings of whoever uses it."""

    folder: Path
    settings: Mapping[str, str]

    def peek(self) -> product.Peek:
        return product.Peek(self.folder, self.settings["DATABASE_URL"])


@contextmanager
def installed(size: Size, name: str, providers: product.StandIn | None, **more: str) -> Iterator[Installation]:
    """Raises Unmeasurable where this size cannot be had, such as without a server."""
    folder = product.fresh_folder(name)
    with ExitStack() as stack:
        if size.engine is not None:
            url = stack.enter_context(postgres.fresh_database())
            more = {"DATABASE_URL": url, "ENGINE": size.engine, **more}
        settings = product.environment(folder, providers, **more)
        processes.run_to_end([processes.PYTHON, "-m", "gateway", "migrate"], settings, folder)
        yield Installation(folder, settings)
