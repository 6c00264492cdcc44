"""Put a backup in the place of a SQLite database: checked first; a crash leaves the old one or the new one.

The backup is copied beside the database and made ready there. The old file then gets a second name, and one rename
puts the copy in its place. Whoever calls holds the database's `.use` alone, or its processes would go on with a file
that has no name any more.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import DatabaseRefused, OtherInstallation, StorageUnavailable
from gateway.store import aftermath
from gateway.store.carried import Carried, carry_over
from gateway.store.closing import closed_for
from gateway.store.database import Transaction
from gateway.store.file import left_beside
from gateway.store.migrate import migrate
from gateway.store.sqlite import SqliteDatabase
from gateway.store.use import UseLock

UNFINISHED = ".restoring"
KEPT = ".before-restore-"
# What the engine keeps beside a file. Left beside another one it would be taken for a part of that.
COMPANIONS = ("-wal", "-shm", "-journal")


@dataclass(frozen=True, slots=True)
class Restored:
    """kept: the old file; None where there was none.   carried: what of it the backup lacked."""

    kept: Path | None
    carried: Carried
    restored_at_ms: int


def restore(
    backup: Path,
    place: Path,
    check: Callable[[Transaction], None],
    now_ms: Callable[[Transaction], int],
    day: str,
    actor: str,
) -> Restored:
    """Put `backup` where `place` is, which need not exist. Safe to repeat after a crash at any moment.

    check: raises OtherInstallation unless a database is ours.   now_ms: reads the gateway's clock, once the database
    is as it will be.   day: goes into the name of the file that is kept.
    Raises DatabaseRefused, OtherInstallation or StorageUnavailable with a sentence; the old database is as it was.
    """
    place = place.resolve()
    copy = Path(f"{place}{UNFINISHED}")
    remove(copy)
    forget_second_names(place)
    if place.exists() and backup.samefile(place):
        raise DatabaseRefused(f"{backup} is the database itself. Name a backup of it.")
    if backup.stat().st_size == 0:
        raise DatabaseRefused(f"{backup} cannot be put back: it is an empty file. Try an older backup.")
    kept = free_name(Path(f"{place}{KEPT}{day}"))
    try:
        with unused(backup):
            copy_with_companions(backup, copy)
        keep_journals(place, kept)
        restored_at_ms, carried = make_ready(copy, backup, place, check, now_ms, actor)
        if carried.is_whole:
            forget_journals(kept)
        own_like(copy, place)
        sync(copy)
        return Restored(put_in_place(copy, place, kept), carried, restored_at_ms)
    except OSError as error:
        clean_up(copy, place)
        raise StorageUnavailable(
            f"{backup} cannot be put back: {error.strerror or error}. The database was left as it was."
        ) from error
    except BaseException:
        clean_up(copy, place)
        raise


def clean_up(copy: Path, place: Path) -> None:
    with suppress(OSError):
        remove(copy)
        forget_second_names(place)


@contextmanager
def unused(backup: Path) -> Iterator[None]:
    """Raise DatabaseRefused where the backup is a database that somebody writes: half of it would be copied."""
    use = UseLock(backup)
    if use.path.exists():
        use.take_alone()
    try:
        yield
    finally:
        use.free()


def make_ready(
    copy: Path,
    backup: Path,
    place: Path,
    check: Callable[[Transaction], None],
    now_ms: Callable[[Transaction], int],
    actor: str,
) -> tuple[int, Carried]:
    """Check the copy, bring it up to date, and give it what only the old database knows. Leaves one file."""
    database = SqliteDatabase(copy, is_alone=True)
    try:
        try:
            check_sound(database)
            with database.read() as tx:
                check(tx)
            migrate(database)
        except OtherInstallation:
            raise
        except DatabaseRefused as error:
            raise DatabaseRefused(f"{backup} cannot be put back: {error} The database was left as it was.") from error
        # Without the file, what lies beside it is of no use, and all that is left of its newest commits.
        is_lost = not place.exists() and bool(left_beside(place))
        carried = carry_over(database, place, check) if place.exists() else Carried(is_whole=not is_lost)
        with database.transaction() as tx:
            restored_at_ms = now_ms(tx)
            aftermath.mark(tx, restored_at_ms, f"a backup was put back: {backup.name}", actor)
    finally:
        database.close()
    return restored_at_ms, carried


def check_sound(database: SqliteDatabase) -> None:
    """Raise DatabaseRefused unless this is a whole database of ours that may be used."""
    try:
        with database.read() as tx:
            answer = tx.run("PRAGMA integrity_check(1)", [])[0][0]
            moved_to = closed_for(tx)
            is_ours = tx.one("SELECT 1 AS one FROM sqlite_master WHERE name = 'installation'")
    except DatabaseRefused as error:
        raise DatabaseRefused("it is damaged, or no database at all. Try an older backup.") from error
    if answer != "ok":
        raise DatabaseRefused("it is damaged. Try an older backup.")
    if not is_ours:
        raise DatabaseRefused("it is no database of a gateway.")
    if moved_to is not None:
        raise DatabaseRefused(f"it was moved to {moved_to}, and is closed for good.")


# --- files -----------------------------------------------------------------------------------------------------------


def copy_with_companions(backup: Path, copy: Path) -> None:
    """With what the engine keeps beside it: a database that was cut off holds a part of itself there."""
    for suffix in ("", "-wal", "-journal"):
        source = Path(f"{backup}{suffix}")
        if not suffix or source.exists():
            shutil.copyfile(source, f"{copy}{suffix}")
            os.chmod(f"{copy}{suffix}", 0o600)


def keep_journals(place: Path, kept: Path) -> None:
    """Second names for what stands beside the old file: opened, a damaged one may lose it."""
    for suffix in ("-wal", "-journal"):
        with suppress(FileNotFoundError):
            link(Path(f"{place}{suffix}"), Path(f"{kept}{suffix}"))


def forget_journals(kept: Path) -> None:
    """All that was in them is in the file."""
    for file in beside(kept):
        file.unlink(missing_ok=True)


def put_in_place(copy: Path, place: Path, kept: Path) -> Path | None:
    """Give the old file another name and the copy its place, in one rename; gives the old one's new name."""
    is_there = place.exists()
    if is_there:
        link(place, kept)
    # Of a damaged file they are kept under its new name already. Here they would be taken for a part of the copy.
    for file in beside(place):
        file.unlink(missing_ok=True)
    sync_folder(place)
    os.replace(copy, place)
    sync_folder(place)
    return kept if is_there else None


def link(place: Path, kept: Path) -> None:
    """A second name for the same file, or, where the file system has none, a copy."""
    try:
        os.link(place, kept)
    except OSError:
        # Nothing has it open by now, so that no lock is dropped by reading it.
        shutil.copyfile(place, kept)
        own_like(kept, place)
        sync(kept)


def forget_second_names(place: Path) -> None:
    """A run that was cut off has left second names of the file that is in use, or of its journal."""
    for other in place.parent.glob(f"{place.name}{KEPT}*"):
        if any(each.exists() and other.samefile(each) for each in (place, *beside(place))):
            other.unlink()


def beside(file: Path) -> list[Path]:
    return [Path(f"{file}{suffix}") for suffix in COMPANIONS]


def free_name(wanted: Path) -> Path:
    name, count = wanted, 1
    while name.exists():
        count += 1
        name = Path(f"{wanted}-{count}")
    return name


def own_like(file: Path, model: Path) -> None:
    """Give a file the owner and the mode that the gateway's own had, for somebody else may have made it."""
    with suppress(OSError):
        like = (model if model.exists() else model.parent).stat()
        os.chown(file, like.st_uid, like.st_gid)
    with suppress(OSError):
        os.chmod(file, model.stat().st_mode & 0o777 if model.exists() else 0o600)


def sync(file: Path) -> None:
    handle = os.open(file, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(place: Path) -> None:
    sync(place.parent)


def remove(file: Path) -> None:
    for each in (file, *beside(file)):
        each.unlink(missing_ok=True)
