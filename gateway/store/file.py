"""The database as a file: how it comes to be, and what is said of one that must not be used.

Nothing here opens it: closing a second descriptor of a SQLite file drops the locks of the first.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def size_of(path: Path) -> int | None:
    """How many bytes the file has; None when there is none, or it cannot be seen."""
    try:
        return path.stat().st_size
    except OSError:
        return None


def put_in_place(path: Path, make: Callable[[Path], None]) -> None:
    """Have a new file made under another name, and linked to `path` once it holds something.

    So whoever finds an empty file there knows that it was cut off, even while several processes start at once.
    Safe in several processes: the first one's file stays.
    """
    place = path.resolve()
    new = place.with_name(f"{place.name}.new-{secrets.token_hex(4)}")
    try:
        make(new)
        try:
            os.link(new, place)
        except FileExistsError:
            return
        except OSError:
            # A file system without links: for a moment the file is empty, and a process that starts just then refuses.
            make(place)
    finally:
        with suppress(OSError):
            new.unlink()


def emptied(path: Path) -> str:
    return (
        f"The database {path} is an empty file: it was cut off, or made by something else, so nothing was started and "
        "nothing was changed. If it ever knew a tenant, put the newest backup in its place: docs/runbook.md. "
        "If this is a first start, remove the file, then start again."
    )
