"""DATABASE_URL and what belongs to it, read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from gateway.settings.text import Reader, Secret, is_loopback, split_url
from gateway.settings.types import DatabaseSettings


def read_database(reader: Reader, mode: str, *, is_dyno: bool, is_tls_said: bool) -> DatabaseSettings:
    """is_tls_said: PGSSLMODE is set, which PostgreSQL's own library heeds where the URL has no sslmode."""
    default = "sqlite:///var/gateway.db" if mode == "live" else "sqlite:///var/sandbox.db"
    url = reader.text("DATABASE_URL", default)
    is_allowed = reader.switch("ALLOW_EPHEMERAL_SQLITE")
    pool_max = reader.integer("DB_POOL_MAX", 4, least=2, most=1000)
    if re.match(r"postgres(ql)?://", url):
        return read_postgres(reader, url, pool_max, is_tls_said)
    path = unquote(url.removeprefix("sqlite:///"))
    if not url.startswith("sqlite:///") or not path or "?" in path or path.startswith(":memory:"):
        reader.fault(
            "DATABASE_URL",
            "is not understood: expected sqlite:///path, such as sqlite:///var/gateway.db, or "
            "postgresql://user:password@host/database.",
        )
        return DatabaseSettings(default, Path(default.removeprefix("sqlite:///")))
    if mode == "live" and is_dyno and not is_allowed:
        reader.fault(
            "DATABASE_URL",
            "is SQLite on a platform whose files vanish at every restart (DYNO is set): numbers would be forgotten. "
            "Put the database on a lasting disk and set ALLOW_EPHEMERAL_SQLITE=1, or run on a machine that has one.",
        )
    return DatabaseSettings(url, Path(path))


def read_postgres(reader: Reader, url: str, pool_max: int, is_tls_said: bool) -> DatabaseSettings:
    parts = split_url(url)
    name = unquote(parts.path.lstrip("/")) if parts else ""
    understood = conninfo_of(url)
    if parts is None or not name or understood is None:
        reader.fault(
            "DATABASE_URL",
            "is no address of a PostgreSQL database: expected postgresql://user:password@host/database, with "
            "?sslmode=require and the like after it; special characters in a password are written as %40.",
        )
        return DatabaseSettings("postgresql://…", Path("var/postgres"))
    user = f"{parts.username}@" if parts.username else ""
    host = parts.netloc.rpartition("@")[2]
    local = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
    is_unsaid = is_elsewhere(understood) and not (understood.get("sslmode") or is_tls_said)
    shown, path = f"postgresql://{user}{host}/{name}", Path(f"var/postgres-{local}")
    return DatabaseSettings(shown, path, Secret(url), pool_max, is_unsaid)


def conninfo_of(url: str) -> dict[str, str] | None:
    """What PostgreSQL's own library understands; its complaint may quote a password, so it is not passed on."""
    from psycopg import Error
    from psycopg.conninfo import conninfo_to_dict

    try:
        return {name: str(value) for name, value in conninfo_to_dict(url).items()}
    except Error:
        return None


def is_elsewhere(conninfo: Mapping[str, str]) -> bool:
    """Whether the way to any of its servers leaves this machine; a path is a socket here."""
    hosts = (conninfo.get("hostaddr") or conninfo.get("host") or "/").split(",")
    return any(not (host.startswith(("/", "@")) or is_loopback(host)) for host in hosts)
