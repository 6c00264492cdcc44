"""Who may ask: bearer tokens with roles, compared in constant time; nobody else, but in a sandbox on this machine.

Guesses are counted for each address in this process. A right token is let in all the same: whoever shares an address
with a guesser must not be shut out, and 256 random bits are not guessed.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from gateway.logs import log_event
from gateway.settings import ROLES, ApiToken
from gateway.web import errors
from gateway.web.errors import Answer
from gateway.web.parts import WebParts
from gateway.web.proxies import is_loopback_address

FORWARDING = re.compile(r"HTTP_(X_FORWARDED(_\w+)?|X_REAL_IP|FORWARDED|VIA)")
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
LONGEST_TOKEN = 512
CHALLENGE = (("www-authenticate", 'Bearer realm="ringfence"'),)
WRONG_TOKEN = (("www-authenticate", 'Bearer realm="ringfence", error="invalid_token"'),)
MOST_GUESSES = 10
GUESS_SECONDS = 60.0
MOST_GUESSERS = 1000

Environ = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Caller:
    """name: for the tenants' stories, `api:NAME`."""

    name: str
    role: str

    def may(self, role: str) -> bool:
        return ROLES.index(self.role) >= ROLES.index(role)


SANDBOX_CALLER = Caller("api:sandbox", "admin")


@dataclass
class Guesses:
    """When wrong tokens came from each address, lately."""

    _at: OrderedDict[str, deque[float]] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def note(self, client: str, now: float) -> bool:
        """One more; False when it was one too many."""
        with self._lock:
            times = self._at.setdefault(client, deque(maxlen=MOST_GUESSES))
            self._at.move_to_end(client)
            if len(self._at) > MOST_GUESSERS:
                self._at.popitem(last=False)
            while times and times[0] <= now - GUESS_SECONDS:
                times.popleft()
            if len(times) == MOST_GUESSES:
                return False
            times.append(now)
            return True


def admit(parts: WebParts, guesses: Guesses, tokens: tuple[ApiToken, ...], is_live: bool, environ: Environ) -> Any:
    """The caller, or the answer that refuses one: an `Answer`."""
    if not tokens and is_live:
        return errors.error_answer("api_off")
    given = environ.get("HTTP_AUTHORIZATION")
    if given is None:
        if not tokens and is_direct(environ):
            return SANDBOX_CALLER
        return errors.error_answer("token_missing", headers=CHALLENGE)
    caller = known(tokens, given)
    return caller if caller is not None else refuse(parts, guesses, environ)


def known(tokens: tuple[ApiToken, ...], given: str) -> Caller | None:
    """Whose token this is. Every one is compared, so that the time taken says nothing."""
    scheme, _, token = given.partition(" ")
    token = token.strip(" ")
    if scheme.lower() != "bearer" or not token or len(token) > LONGEST_TOKEN:
        return None
    digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
    found: ApiToken | None = None
    for each in tokens:
        if hmac.compare_digest(digest, str(each.digest)):
            found = each
    return Caller(f"api:{found.name}", found.role) if found is not None else None


def refuse(parts: WebParts, guesses: Guesses, environ: Environ) -> Answer:
    client = str(environ.get("REMOTE_ADDR", ""))
    if not guesses.note(client, parts.clock.monotonic()):
        return errors.error_answer("too_many_attempts", headers=errors.retry_after(int(GUESS_SECONDS)))
    answer = errors.error_answer("token_invalid", headers=WRONG_TOKEN)
    log_event(
        parts.log, "api.token_refused", logging.WARNING, client=client, request_id=answer.request_id, code=answer.code
    )
    return answer


def is_direct(environ: Environ) -> bool:
    """Whether it comes from this very machine, through no proxy, and to a name of this machine.

    The name matters: a page in a browser here can send requests to any address, under its own host's name.
    """
    if any(FORWARDING.fullmatch(name) for name in environ):
        return False
    host = environ.get("HTTP_HOST") or str(environ.get("SERVER_NAME", ""))
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    return is_loopback_address(str(environ.get("REMOTE_ADDR", ""))) and name.lower() in LOOPBACK_NAMES
