"""What a provider's answer means: one of our three provider errors, the same for every vendor.

Every message is a sentence of ours; no byte of an answer gets into it.
"""

from __future__ import annotations

import email.utils
from dataclasses import dataclass

from gateway.errors import ProviderError, Refused, TryLater, Unclear

LONGEST_RETRY_AFTER_SECONDS = 600.0
PROVIDER_NAMES = {"twilio": "Twilio", "vapi": "Vapi", "stripe": "Stripe"}


@dataclass(frozen=True, slots=True)
class Operation:
    """What is asked of whom. writes: it changes something there, so a lost answer leaves a doubt."""

    provider: str
    name: str
    writes: bool

    def fails(self, what: str) -> str:
        return f"{PROVIDER_NAMES.get(self.provider, self.provider)}, {self.name}: {what}"


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer. Its body stays here: only decoded, named fields leave the vendor's folder."""

    status: int
    retry_after: str | None
    body: bytes

    def __repr__(self) -> str:
        return f"Answer(status={self.status}, bytes={len(self.body)})"


@dataclass(frozen=True, slots=True)
class Complaint:
    """An error answer that is plainly the vendor's own, in our words.

    kind: as of `Refused`.   sentence: what is wrong and what can be done, without any text of the vendor's.
    decided: the vendor says that nothing was done, although the status alone (409) would not.
    gone: the vendor says that what was asked for does not exist; a proxy's own 404 never says so.
    """

    sentence: str
    kind: str = "other"
    code: int | str | None = None
    decided: bool = False
    gone: bool = False


def doubt(
    operation: Operation,
    what: str,
    status: int | None = None,
    code: int | str | None = None,
    wait_seconds: float | None = None,
) -> Unclear | TryLater:
    """What no answer, or one that cannot be believed, means: Unclear for a write, TryLater for a read."""
    message = operation.fails(what)
    provider, name = operation.provider, operation.name
    if operation.writes:
        return Unclear(message, provider=provider, operation=name, status=status, code=code)
    return TryLater(
        message, retry_after_seconds=wait_seconds, provider=provider, operation=name, status=status, code=code
    )


def refusal(
    operation: Operation, what: str, kind: str = "other", status: int | None = None, code: int | str | None = None
) -> Refused:
    return Refused(
        operation.fails(what if status is None else f"{what} (HTTP {status})"),
        kind=kind,
        provider=operation.provider,
        operation=operation.name,
        status=status,
        code=code,
    )


def problem(operation: Operation, answer: Answer, complaint: Complaint | None, now_ms: int) -> ProviderError:
    """What an answer other than the expected one means: the status first, the vendor's code as a hint."""
    status = answer.status
    code = complaint.code if complaint else None
    wait_seconds = retry_after_seconds(answer.retry_after, now_ms)
    if status == 429:
        return TryLater(
            operation.fails("too many requests at once; nothing was done"),
            retry_after_seconds=wait_seconds,
            rate_limited=True,
            provider=operation.provider,
            operation=operation.name,
            status=status,
            code=code,
        )
    if complaint and complaint.kind == "credentials":
        return refusal(operation, complaint.sentence, "credentials", status, code)
    if status in (401, 403):
        return refusal(operation, "our credentials are not accepted", "credentials", status, code)
    undecided = not 400 <= status < 500 or status in (408, 409, 425)
    if complaint and (complaint.decided or not undecided):
        return refusal(operation, complaint.sentence, complaint.kind, status, code)
    return doubt(operation, f"HTTP {status} instead of an answer", status, code, wait_seconds)


def retry_after_seconds(header: str | None, now_ms: int) -> float | None:
    """Retry-After, in seconds or as an HTTP date (RFC 9110, 10.2.3), at most ten minutes; None if neither."""
    text = (header or "").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - now_ms / 1000
        except (ValueError, OverflowError, OSError):
            return None
    if seconds != seconds:
        return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_SECONDS)
