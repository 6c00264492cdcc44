"""SQLite's primary result codes that mean something to us (sqlite.org/rescode.html, 2026)."""

from __future__ import annotations

BUSY, LOCKED, READ_ONLY, IO_ERROR, FULL, CANNOT_OPEN = 5, 6, 8, 10, 13, 14
CORRUPT, NOT_A_DATABASE = 11, 26

# Nothing is wrong with what is stored; it can be tried again.
CANNOT_STORE = {
    BUSY: "it is locked by another process",
    LOCKED: "a table is locked",
    FULL: "the disk is full",
    IO_ERROR: "the disk reports an I/O error",
    READ_ONLY: "the file is read-only",
    CANNOT_OPEN: "the file cannot be opened",
}


def error_code(error: Exception) -> int:
    """The engine's primary code; 0 where it gave none."""
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
