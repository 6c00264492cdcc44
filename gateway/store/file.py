"""The database as a file: how it comes to be, and what is said of one that must not be used.

Nothing here opens it: closing a second descriptor of a SQLite file drops the locks of the first.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from gateway.errors import DatabaseRefused, SettingsError


def size_of(path: Path) -> int | None:
    """How many bytes the file has; None when there is none, or it cannot be seen."""
    try:
        return path.stat().st_size
    except OSError:
        return None


def identity_of(path: Path) -> tuple[int, int] | None:
    """Which file this is, whatever it is called; None when there is none, or it cannot be seen."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def make_folder(path: Path) -> None:
    """The folder of the database `path`, if there is none. Raises SettingsError when it cannot be made."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError([misplaced(path, "its folder", error)]) from error


def why_not_made(path: Path) -> str | None:
    """Why no database can be made at `path`; None when one can. Nothing stays of the attempt."""
    try:
        nearest = next(folder for folder in path.absolute().parents if folder.exists())
        os.rmdir(tempfile.mkdtemp(prefix=".ringfence-", dir=nearest))
    except OSError as error:
        return misplaced(path, "it", error)
    return None


def misplaced(path: Path, what: str, error: OSError) -> str:
    return (
        f"DATABASE_URL names {path}, and {what} cannot be made: {error.strerror}. "
        "Expected a path in a folder that this account may write to: correct DATABASE_URL, or make the folder."
    )


def put_in_place(path: Path, make: Callable[[Path], None]) -> None:
    """Have a new file made under another name, and linked to `path` once it holds something.

    So whoever finds an empty file there knows that it was cut off, even while several processes start at once.
    Safe in several processes: the first one's file stays. Raises DatabaseRefused where newer commits of a file that
    is gone lie beside it: the engine would take them for the new file's, and throw them away.
    """
    place = path.resolve()
    if beside := left_beside(path):
        raise DatabaseRefused(orphaned(path, beside))
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


def orphaned(path: Path, beside: Sequence[str]) -> str:
    return (
        f"The database {path} is missing, and {' and '.join(beside)} of it, with its newest commits, lies there. "
        "Nothing was started and nothing was changed. Put the file back where it was, beside that. If it is lost: "
        f"move everything named {path.name}* away, put the newest backup there, and start again. See docs/runbook.md."
    )


def replaced() -> str:
    """Without the path: whoever asks `readyz` is told so too."""
    return (
        "The database file was moved or replaced while this process had it open, so nothing more is stored. "
        "Put the very same file back, or stop every process, put the right file there, and start again."
    )


def emptied(path: Path) -> str:
    return (
        f"The database {path} is an empty file: it was cut off, or made by something else, so nothing was started and "
        "nothing was changed. If it ever knew a tenant, put the newest backup in its place: docs/runbook.md. "
        "If this is a first start, remove the file, then start again."
    )


def left_beside(path: Path) -> list[str]:
    """Names of the files with the newest commits, or the oldest pages, of whatever process used `path` last."""
    beside = (path.with_name(path.name + suffix) for suffix in ("-journal", "-wal"))
    return [each.name for each in beside if size_of(each)]


def damaged(path: Path, beside: Sequence[str]) -> str:
    """What to do about a damaged file. beside: what lies beside it, which may be another file's."""
    advice = (
        f"Beside it lies {' and '.join(beside)}. If you have just put a backup there, that was left by the file "
        f"before it and has spoilt this one: stop every process, move everything named {path.name}* away, "
        "copy the backup there once more, then start again. Otherwise put"
        if beside
        else "Put"
    )
    return (
        f"The database {path} is damaged, so nothing was started and nothing was changed. {advice} "
        "the newest backup in its place (keep the damaged file), then start again: "
        "numbers bought since that backup are found at Twilio by their tags, not bought again. See docs/runbook.md."
    )
