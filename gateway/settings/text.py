"""Turn a setting's text into a value, or into a sentence that says what is wrong, what is expected and where to look.

Pure: it knows neither the environment nor what a setting is for. Secrets never appear in a sentence.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Collection, Mapping
from urllib.parse import SplitResult, urlsplit

INTEGER = re.compile(r"[0-9]{1,15}")
DECIMAL = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
SECRET_PREFIX = re.compile(r"(whsec_|(?:sk|rk)_(?:live|test)_|SK|v1,)?")
LOOPBACK_NAMES = frozenset({"localhost", "ip6-localhost"})


class Secret(str):
    """Text that must not be shown: its repr is masked, so that a dataclass or a list of them can be printed."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"'{masked(self)}'"


def masked(secret: str) -> str:
    """`whsec_…3f`: the kind and the last two characters; short secrets show nothing of themselves."""
    prefix = match.group(0) if (match := SECRET_PREFIX.match(secret)) else ""
    rest = secret[len(prefix) :]
    return f"{prefix}…{rest[-2:]}" if len(rest) >= 12 else f"{prefix}…"


def is_loopback(host: str | None) -> bool:
    """Whether a host name or address is this very machine, without asking DNS."""
    if host is None:
        return False
    if host.lower() in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Reader:
    """Reads one setting after another and collects every fault.

    A faulty setting gives its default, so that one fault does not hide the others; the caller raises at the end.
    Text that is empty counts as not set, except for secrets: an empty secret would let anybody in.
    """

    def __init__(self, values: Mapping[str, str], where: Mapping[str, str]) -> None:
        self._values = values
        self._where = where
        self.problems: list[str] = []

    def fault(self, name: str, sentence: str) -> None:
        """Note a fault of `name`; `sentence` goes on after the name."""
        hint = self._where.get(name)
        self.problems.append(f"{name} {sentence}" + (f" {hint}" if hint else ""))

    def is_set(self, name: str) -> bool:
        return bool(self._values.get(name, "").strip())

    def is_given(self, name: str) -> bool:
        """Whether it is there at all, be it empty."""
        return name in self._values

    def text(self, name: str, default: str = "") -> str:
        value = self._values.get(name, "").strip()
        if CONTROL.search(value):
            self.fault(name, "holds a line break or another control character: expected one line of text.")
            return default
        return value or default

    def matching(self, name: str, pattern: str, expected: str, default: str = "") -> str:
        value = self.text(name)
        if value and not re.fullmatch(pattern, value):
            self.fault(name, f"is {quoted(value)}: expected {expected}.")
            return default
        return value or default

    def choice(self, name: str, allowed: Collection[str], default: str) -> str:
        value = self.text(name).lower()
        if value and value not in {word.lower() for word in allowed}:
            self.fault(name, f"is {quoted(value)}: expected {one_of(allowed)}.")
            return default
        return value or default

    def integer(self, name: str, default: int, least: int = 0, most: int = 1_000_000_000) -> int:
        value = self.text(name)
        if not value:
            return default
        if not INTEGER.fullmatch(value) or not least <= int(value) <= most:
            self.fault(name, f"is {quoted(value)}: expected a whole number from {least} to {most}.")
            return default
        return int(value)

    def number(self, name: str, default: float, most: float, is_zero_allowed: bool = True) -> float:
        """A finite decimal, never negative."""
        value = self.text(name)
        if not value:
            return default
        if not DECIMAL.fullmatch(value) or float(value) > most:
            self.fault(name, f"is {quoted(value)}: expected a number from 0 to {most:g}, such as 7 or 0.5.")
            return default
        if not is_zero_allowed and float(value) == 0:
            self.fault(name, "is 0: expected more than nothing.")
            return default
        return float(value)

    def switch(self, name: str) -> bool:
        return self.choice(name, ("1", "0"), "0") == "1"

    def secret(self, name: str) -> Secret | None:
        """One secret; None when not set. Set but empty is a fault."""
        if name not in self._values:
            return None
        value = self._values[name].strip()
        if not value:
            self.fault(name, "is set but empty: give it its value, or remove it.")
            return None
        if re.search(r"\s", value) or CONTROL.search(value) or not value.isascii():
            self.fault(name, "holds a space, a line break or a letter that no such secret has: copy it again.")
            return None
        return Secret(value)

    def secrets(self, name: str) -> tuple[Secret, ...]:
        """A comma separated list, newest first; an empty entry is a fault, for an empty secret fits any forgery."""
        if name not in self._values:
            return ()
        given = [part.strip() for part in self._values[name].split(",")]
        if not all(given):
            self.fault(name, "has an empty entry: expected one secret, or several with single commas between them.")
            return ()
        if any(re.search(r"\s", part) or CONTROL.search(part) or not part.isascii() for part in given):
            self.fault(name, "holds a space, a line break or a letter that no such secret has: copy it again.")
            return ()
        return tuple(dict.fromkeys(Secret(part) for part in given))

    def url(self, name: str, default: str, *, is_plain_http_allowed: bool = False) -> str:
        """An absolute URL without query, user or trailing slash; `http://` for loopback only, unless allowed."""
        value = self.text(name)
        if not value:
            return default
        parts = split_url(value)
        if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
            self.fault(name, "is not a web address: expected something like https://api.example.com.")
            return default
        if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
            self.fault(name, "has a user, a query or a fragment: expected scheme, host and path only.")
            return default
        if parts.scheme == "http" and not is_plain_http_allowed and not is_loopback(parts.hostname):
            self.fault(name, "begins with http://: expected https://; http:// is accepted for 127.0.0.1 only.")
            return default
        return value.rstrip("/")


def split_url(value: str) -> SplitResult | None:
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return None
    return parts


def base64_length(text: str) -> int:
    """How many bytes this base64 text stands for; 0 when it is none."""
    try:
        return len(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return 0


def quoted(value: str) -> str:
    """A value as shown in a sentence. Long ones are cut, for a secret may have been put under the wrong name."""
    kind = SECRET_PREFIX.match(value)
    if kind and kind.group(0):
        return repr(masked(value))
    return repr(value if len(value) <= 24 else value[:4] + "…")


def one_of(allowed: Collection[str]) -> str:
    words = list(allowed)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
