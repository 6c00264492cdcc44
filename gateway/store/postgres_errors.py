"""What PostgreSQL's errors mean for us: repeat it, try later, or never use this database.

The server's own texts may hold values of ours, so none of them is passed on; names of rules are.
"""

from __future__ import annotations

import logging
import re

import psycopg

from gateway.errors import CommitUnknown, DatabaseRefused, StorageUnavailable, TransactionLost
from gateway.store.database import IntegrityError
from gateway.store.postgres_wire import NOT_AS_PREPARED

log = logging.getLogger("gateway.store")

# Classes and codes: PostgreSQL 15, appendix A.
LOST_TO_ANOTHER = {"40001", "40P01", "55P03"}
CORRUPT = {"XX001", "XX002"}
CANNOT_STORE = {
    "25006": "the server takes no writes",
    "53100": "the server's disk is full",
    "53200": "the server is out of memory",
    "53300": "the server takes no more connections",
    "57014": "it took too long",
}
NOT_REACHED = "The database cannot be reached."
# 28P01 and 28000 of the server, and what libpq and PgBouncer say in their place. While connecting, libpq tells the
# words only and no code (libpq 18); a server that speaks another language is one that cannot be reached.
REFUSES_LOGIN = re.compile(
    r"authentication failed|role .* does not exist|is not permitted to log in|no pg_hba\.conf entry|"
    r"pg_hba\.conf rejects|no password supplied|no such user"
)
LOGIN_REFUSED = (
    "The PostgreSQL server refuses the user or the password of DATABASE_URL (or lets nobody in from here, or not "
    "without TLS: pg_hba.conf). Put either right; nothing is stored meanwhile."
)


def translated(error: psycopg.Error) -> Exception:
    """Our error for one of a statement; the same error where it is a fault of the statement."""
    code = error.sqlstate or ""
    if isinstance(error, psycopg.IntegrityError):
        return IntegrityError(error.diag.constraint_name or "a rule of the schema")
    if code in LOST_TO_ANOTHER:
        return TransactionLost("The database gave this transaction up in favour of another one.")
    if code in NOT_AS_PREPARED:
        return TransactionLost("The tables were changed since this statement was prepared.")
    if code in CORRUPT:
        return DatabaseRefused(
            "PostgreSQL reports damaged data. Stop every process, and put the newest backup of the server in its "
            "place: numbers bought since then are found at Twilio by their tags, not bought again."
        )
    if code in CANNOT_STORE or code[:2] in ("53", "58"):
        why = CANNOT_STORE.get(code, "the server reports trouble with its system")
        return StorageUnavailable(f"The database cannot store anything now: {why}.")
    if is_broken(error):
        return TransactionLost("The connection to the database broke.")
    return error


def is_broken(error: psycopg.Error) -> bool:
    """Whether the connection is gone: the server ended it, or nothing was heard any more."""
    code = error.sqlstate or ""
    return code[:2] == "08" or code[:3] == "57P" or (isinstance(error, psycopg.OperationalError) and not code)


def of_commit(error: psycopg.Error, is_connected: bool) -> Exception:
    """Our error for one of a COMMIT. Only a server that still talks to us has said no."""
    if is_connected and not is_broken(error):
        return translated(error)
    return CommitUnknown("The connection to the database broke while storing: nobody knows whether it was stored.")


def unreachable(error: Exception) -> StorageUnavailable:
    """For a connection that cannot be made. What the library says goes into the log: it names host and user.

    A refused login is waited for like a server that is down: a pooler refuses everybody while it cannot ask its
    server, and while a password is being changed the server may have the new one first.
    """
    says = " ".join(str(error).split())
    log.warning("storage.unreachable", extra={"fields": {"reason": says}})
    return StorageUnavailable(LOGIN_REFUSED if REFUSES_LOGIN.search(says) else NOT_REACHED)
