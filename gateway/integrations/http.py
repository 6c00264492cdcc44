"""The client all providers share: one request, one deadline, and an answer or one of our three provider errors.

What an answer means is decided in `answers.py`, the same for every vendor; how a vendor spells its errors is its own
folder's business (`Complaint`). Every message is a sentence of ours: a vendor may quote our own secrets back at us, so
no byte of an answer, no URL and no foreign exception gets into a log line, an error or its cause.
"""

from __future__ import annotations

import logging
import ssl
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec
import requests
import requests.adapters
import requests.structures
import urllib3.exceptions

from gateway.errors import ProviderError, TryLater
from gateway.integrations.answers import Answer, Complaint, Operation, doubt, problem, refusal
from gateway.integrations.plain_answer import LARGEST_ANSWER_BYTES
from gateway.integrations.transport import (
    Broken,
    DeadlineAdapter,
    NotSent,
    TimeLimit,
    Untrusted,
)
from gateway.ports import Clock, Deadline

logging.getLogger("urllib3").setLevel(logging.WARNING)
_log = logging.getLogger(__name__)

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"

T = TypeVar("T")
Params = Sequence[tuple[str, str]]


class Http:
    """Sends prepared requests: a transport per thread, no redirects, no repeats, certificates always verified.

    Without a `requests.Session`, whose cookies, hooks and redirects are not wanted here and cost as much as the call.
    """

    def __init__(self, clock: Clock, adapter: Callable[[], requests.adapters.BaseAdapter] = DeadlineAdapter) -> None:
        """adapter: makes the transport of each thread; stories put the pretend world here."""
        self.clock = clock
        self._make_adapter = adapter
        self._local = threading.local()
        self._adapters: weakref.WeakSet[requests.adapters.BaseAdapter] = weakref.WeakSet()
        self._lock = threading.Lock()

    def send(self, operation: Operation, request: requests.PreparedRequest, deadline: Deadline) -> Answer:
        """One attempt. Raises TryLater (nothing was sent; or a read failed), Refused (certificate), Unclear."""
        began = self.clock.monotonic()
        limit = TimeLimit.until(deadline, self.clock)
        result = NotSent("deadline_passed") if limit.is_over() else self._attempt(request, limit)
        if _log.isEnabledFor(logging.DEBUG):
            fields = {
                "provider": operation.provider,
                "operation": operation.name,
                "outcome": result.status if isinstance(result, Answer) else result.reason,
                "duration_ms": round((self.clock.monotonic() - began) * 1000),
            }
            _log.debug("provider.called", extra={"fields": fields})
        if isinstance(result, Answer):
            return result
        # Raised here and not where it was caught, so that no foreign exception hangs on it as its context.
        raise _unanswered(operation, result)

    def close(self) -> None:
        """Close every thread's connections; those threads may go on and open new ones."""
        with self._lock:
            adapters = list(self._adapters)
        for adapter in adapters:
            adapter.close()

    def _adapter(self) -> requests.adapters.BaseAdapter:
        adapter: requests.adapters.BaseAdapter | None = getattr(self._local, "adapter", None)
        if adapter is None:
            adapter = self._local.adapter = self._make_adapter()
            with self._lock:
                self._adapters.add(adapter)
        return adapter

    def _attempt(self, request: requests.PreparedRequest, limit: TimeLimit) -> Answer | NotSent | Broken:
        try:
            response = self._adapter().send(request, stream=False, timeout=limit, verify=True, proxies={})
            body = response.content
        except (NotSent, Broken) as exc:
            return exc
        except requests.exceptions.RequestException as exc:
            return _foreign(exc)
        except Exception:
            return Broken("failed")
        if len(body) > LARGEST_ANSWER_BYTES:
            return Broken("answer_too_large", response.status_code)
        return Answer(response.status_code, response.headers.get("Retry-After"), body)


class Api:
    """One vendor's HTTP API: where it is, how we prove who we are, and how its errors read."""

    def __init__(
        self,
        http: Http,
        *,
        provider: str,
        base_url: str,
        headers: Mapping[str, str],
        complaint: Callable[[Operation, Answer], Complaint | None],
    ) -> None:
        """complaint: what an answer of 4xx says; None when it is not the vendor's own (a proxy's page, say)."""
        parts = urlsplit(base_url)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS):
            raise ValueError(f"the base URL of {provider} must be https, or http on this machine")
        self.base_url = base_url.rstrip("/")
        self._http = http
        self._provider = provider
        self._complaint = complaint
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "ringfence",
            **headers,
        }

    def read(self, name: str, target: str, deadline: Deadline, kind: type[T]) -> T:
        """GET a document of this shape."""
        operation = Operation(self._provider, name, writes=False)
        return decode(operation, self._expect(operation, "GET", target, deadline, 200), kind)

    def read_or_none(self, name: str, target: str, deadline: Deadline, kind: type[T]) -> T | None:
        """GET a document of this shape; None when the vendor itself says that there is none."""
        operation = Operation(self._provider, name, writes=False)
        answer = self._exchange(operation, "GET", target, deadline)
        if self._is_gone(operation, answer):
            return None
        return decode(operation, self._require(operation, answer, 200), kind)

    def write(
        self,
        name: str,
        method: str,
        target: str,
        deadline: Deadline,
        kind: type[T],
        *,
        status: int,
        form: Params | None = None,
        json: object = None,
    ) -> T:
        """Change something, once; the answer must have this status and shape, else it is Unclear."""
        operation = Operation(self._provider, name, writes=True)
        return decode(operation, self._expect(operation, method, target, deadline, status, form, json), kind)

    def delete(self, name: str, target: str, deadline: Deadline, *, status: int) -> Answer | None:
        """The answer to a deletion made now, its body still to be checked; None when the vendor says: already gone."""
        operation = Operation(self._provider, name, writes=True)
        answer = self._exchange(operation, "DELETE", target, deadline)
        if self._is_gone(operation, answer):
            return None
        return self._require(operation, answer, status)

    def _expect(
        self,
        operation: Operation,
        method: str,
        target: str,
        deadline: Deadline,
        status: int,
        form: Params | None = None,
        json: object = None,
    ) -> Answer:
        return self._require(operation, self._exchange(operation, method, target, deadline, form, json), status)

    def _exchange(
        self,
        operation: Operation,
        method: str,
        target: str,
        deadline: Deadline,
        form: Params | None = None,
        json: object = None,
    ) -> Answer:
        request = requests.PreparedRequest()
        request.method = method
        request.url = self.base_url + target
        request.headers = requests.structures.CaseInsensitiveDict(self._headers)
        if form is not None or json is not None:
            request.body = _body(operation, form, json)
            request.headers["Content-Type"] = JSON if form is None else FORM
            request.headers["Content-Length"] = str(len(request.body))
        return self._http.send(operation, request, deadline)

    def _is_gone(self, operation: Operation, answer: Answer) -> bool:
        complaint = self._complaint(operation, answer) if answer.status == 404 else None
        return complaint is not None and complaint.gone

    def _require(self, operation: Operation, answer: Answer, status: int) -> Answer:
        if answer.status == status:
            return answer
        complaint = self._complaint(operation, answer) if 400 <= answer.status < 500 else None
        raise problem(operation, answer, complaint, self._http.clock.now_ms())


def encoded(params: Params) -> str:
    """A query. Everything but letters, digits and `_.-~` is escaped: no value can add a field or a line."""
    return urlencode(params, quote_via=quote, errors="replace")


def _body(operation: Operation, form: Params | None, json: object) -> bytes:
    """A body exactly as meant; Refused for text that has no UTF-8, such as half of a surrogate pair."""
    try:
        if form is not None:
            return urlencode(form, quote_via=quote, errors="strict").encode("ascii")
        return msgspec.json.encode(json)
    except UnicodeEncodeError:
        unsendable = refusal(operation, "a value contains characters that cannot be sent; nothing was sent")
    raise unsendable


def decode(operation: Operation, answer: Answer, kind: type[T]) -> T:
    """The answer's named fields; Unclear (a read: TryLater) when it is not of this shape."""
    try:
        return _decoder(kind).decode(answer.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        shapeless = doubt(operation, "its answer is not what this operation answers", answer.status)
    raise shapeless


def _unanswered(operation: Operation, failure: NotSent | Broken) -> ProviderError:
    if isinstance(failure, Untrusted):
        what = "the other side could not prove by its certificate who it is; nothing was sent"
        return refusal(operation, f"{what}. Check the base URL and this machine's clock", code=failure.reason)
    if isinstance(failure, NotSent):
        return TryLater(
            operation.fails(f"nothing was sent ({failure.reason})"),
            provider=operation.provider,
            operation=operation.name,
            code=failure.reason,
        )
    if failure.status in (401, 403, 429):
        return problem(operation, Answer(failure.status, None, b""), None, 0)
    return doubt(operation, f"no complete answer ({failure.reason})", failure.status, failure.reason)


def _foreign(exc: requests.exceptions.RequestException) -> NotSent | Broken:
    """The same distinction for transports that are not ours; in doubt, it was sent."""
    cause = getattr(exc.args[0], "reason", exc.args[0]) if exc.args else None
    if isinstance(exc, requests.exceptions.ConnectTimeout):
        return NotSent("connect_timeout")
    if isinstance(cause, urllib3.exceptions.NewConnectionError):
        return NotSent("connect_failed")
    if any(isinstance(part, ssl.SSLCertVerificationError) for part in getattr(cause, "args", ())):
        return Untrusted("certificate_untrusted")
    return Broken("timeout" if isinstance(exc, requests.exceptions.Timeout) else "closed")


def _decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    found = _decoders.get(kind)
    if found is None:
        with _decoders_lock:
            found = _decoders[kind] = msgspec.json.Decoder(kind)
    return found


_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}
# Two threads that meet a type for the first time together crash the interpreter: one decodes by what the other has
# half described (msgspec 0.22.0). Whoever waits here uses a type only once it is whole.
_decoders_lock = threading.Lock()
