"""Logs: one line for each finished thing, a name and fields, with no secret and no whole phone number in it.

Everybody logs through the standard library: `log.info("attempt.finished", extra={"fields": {"tenant": "acme"}})`, or
`log_event(log, "attempt.finished", tenant="acme")`. What a line may hold is decided here, at the last moment, so
that no caller can forget it.
"""

from __future__ import annotations

import base64
import json
import logging
import math
import re
import sys
import threading
import traceback
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO
from urllib.parse import quote, quote_plus

from gateway.settings import Settings, masked

MAX_VALUE = 2000
MAX_FRAMES = 12
# Below this length a secret is hidden only where it is the whole value, or every `a` of a log would vanish.
SHORTEST_SUBSTRING = 6

NUMBER = re.compile(r"(\+|%2[Bb])([1-9](?:[ ().-]{0,2}\d){6,14})(?!\d)")
SECRET_NAME = re.compile(
    r"authorization|cookie|password|passwd|secret|auth_?token|api_?key|^token$|signature$|^body$|^headers$", re.I
)
# Control characters, line separators and the marks that turn text round.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
PLAIN = re.compile(r"[^\s\"=]+")


def log_event(logger: logging.Logger, event: str, level: int = logging.INFO, **fields: Any) -> None:
    """One finished thing: its name (`attempt.finished`) and what is worth knowing about it."""
    logger.log(level, event, extra={"fields": fields})


def mask_numbers(text: str) -> str:
    """`+14155550123` becomes `+1415***0123`, in any spelling that begins with a plus."""

    def mask(match: re.Match[str]) -> str:
        digits = re.sub(r"\D", "", match.group(2))
        last = 4 if len(digits) >= 11 else 2
        return f"+{digits[:4]}***{digits[-last:]}"

    return NUMBER.sub(mask, text)


class Redactor:
    """Takes secrets and phone numbers out of text, also where they are URL-encoded or in base64."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._shown: dict[str, str] = {}
        self._whole: dict[str, str] = {}
        for secret in secrets:
            if len(secret) < SHORTEST_SUBSTRING:
                self._whole[secret] = "…"
                continue
            for form in forms(secret):
                self._shown.setdefault(form, masked(secret))
        longest_first = sorted(self._shown, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def text(self, text: str) -> str:
        if text in self._whole:
            return self._whole[text]
        return mask_numbers(self._pattern.sub(lambda match: self._shown[match.group(0)], text))

    def value(self, value: Any, depth: int = 0) -> Any:
        """A value as it may be logged: plain JSON, cut to a sane length."""
        if value is None or isinstance(value, bool) or (isinstance(value, float) and math.isfinite(value)):
            return value
        if isinstance(value, int):
            return value if abs(value) < 2**63 else str(value)[:40]
        if isinstance(value, bytes | bytearray | memoryview):
            return f"[{len(value)} bytes]"
        if depth < 4 and isinstance(value, Mapping):
            return self.fields(value, depth + 1)
        if depth < 4 and isinstance(value, list | tuple | set | frozenset):
            return [self.value(each, depth + 1) for each in list(value)[:100]]
        text = UNPRINTABLE.sub(escaped, self.text(str(value)))
        return text if len(text) <= MAX_VALUE else text[:MAX_VALUE] + "…"

    def fields(self, fields: Mapping[Any, Any], depth: int = 0) -> dict[str, Any]:
        return {
            self.value(str(name), 9): "[hidden]" if SECRET_NAME.search(str(name)) else self.value(value, depth)
            for name, value in fields.items()
        }


def forms(secret: str) -> set[str]:
    """Every spelling in which a secret may turn up."""
    bare = secret.removeprefix("whsec_")
    found = {secret, quote(secret, safe=""), quote_plus(secret)}
    if len(bare) >= SHORTEST_SUBSTRING:
        found.add(bare)
    raw = secret.encode()
    if len(raw) >= 9:
        for before in range(3):
            # In base64 a text looks different by its place; the characters it shares with its neighbours are left out.
            coded = base64.b64encode(b"\0" * before + raw).decode()
            inner = coded[4 if before else 0 : len(coded) - (4 if coded.endswith("=") else 0)]
            found |= {inner, inner.replace("+", "-").replace("/", "_")}
    return found


def escaped(match: re.Match[str]) -> str:
    code = ord(match.group(0))
    return {10: "\\n", 13: "\\r", 9: "\\t"}.get(code) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


class LineFormatter(logging.Formatter):
    """One record, one line. A failure to format becomes a line too, for a log must never stop the work."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        try:
            return self.line(record, self.content(record))
        except Exception as error:
            return self.line(record, {"event": "log.unformattable", "error": type(error).__name__})

    def content(self, record: logging.LogRecord) -> dict[str, Any]:
        given = getattr(record, "fields", None)
        content: dict[Any, Any] = {"event": "", **(given if isinstance(given, Mapping) else {})}
        content["event"] = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            content.update(described(record.exc_info[1]))
        return self._redactor.fields(content)

    def line(self, record: logging.LogRecord, content: dict[str, Any]) -> str:
        raise NotImplementedError


class JsonFormatter(LineFormatter):
    def line(self, record: logging.LogRecord, content: dict[str, Any]) -> str:
        head = {"at": stamp(record.created), "level": record.levelname.lower(), "logger": record.name}
        # Twice, so that it comes first and a field of that name cannot forge it.
        return json.dumps(
            {**head, **content, **head}, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=str
        )


class TextFormatter(LineFormatter):
    def line(self, record: logging.LogRecord, content: dict[str, Any]) -> str:
        event = content.pop("event")
        pairs = "".join(f" {name}={shown(value)}" for name, value in content.items() if value is not None)
        return f"{stamp(record.created)} {record.levelname:<7} {event}{pairs}"


def shown(value: Any) -> str:
    if isinstance(value, str) and PLAIN.fullmatch(value):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def described(error: BaseException) -> dict[str, Any]:
    """An exception in one line: its type and text, what caused it, and the innermost places; never local values."""
    causes: list[str] = []
    cause = error.__cause__ or error.__context__
    while cause is not None and len(causes) < 5:
        causes.append(f"{type(cause).__name__}: {cause}")
        cause = cause.__cause__ or cause.__context__
    frames = traceback.extract_tb(error.__traceback__)[-MAX_FRAMES:]
    found: dict[str, Any] = {
        "error": f"{type(error).__name__}: {error}",
        "trace": [f"{short_path(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames],
    }
    return {**found, "caused_by": causes} if causes else found


def short_path(path: str) -> str:
    """`gateway/flow/advance.py`: enough to find it, without where it is installed."""
    parts = path.replace("\\", "/").split("/")
    for root in ("gateway", "site-packages", "tests"):
        if root in parts:
            return "/".join(parts[parts.index(root) + (root == "site-packages") :])
    return "/".join(parts[-2:])


def set_up(settings: Settings, stream: TextIO | None = None) -> None:
    """Send every log of this process to `stream` (standard error) in the configured form. Safe to repeat."""
    redactor = Redactor(settings.secrets)
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter(redactor) if settings.log.format == "json" else TextFormatter(redactor))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("gateway").setLevel(settings.log.level)
    # Their debug lines hold whole requests; its warnings only say that a tick was skipped, which is normal here.
    for name in ("requests", "urllib3", "stripe", "twilio", "werkzeug", "_granian", "granian", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    logging.getLogger("apscheduler.scheduler").setLevel(logging.ERROR)
    logging.raiseExceptions = False
    logging.captureWarnings(True)
    sys.excepthook = log_uncaught
    threading.excepthook = log_uncaught_in_thread


def log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("gateway").critical("uncaught", exc_info=(kind, error, trace))


def log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is None or issubclass(args.exc_type, SystemExit):
        return
    logging.getLogger("gateway").critical(
        "uncaught",
        exc_info=(args.exc_type, args.exc_value, args.exc_traceback),
        extra={"fields": {"thread": args.thread.name if args.thread else None}},
    )
