"""Every error we raise.

GatewayError
├── SettingsError             wrong settings, all at once; the process ends with status 2
├── DatabaseRefused           this database must not be opened, or cannot be trusted
│   └── OtherInstallation     it belongs to another mode, environment or account; wrong settings, status 2
├── RequestRefused            a request we answer with a 4xx of our own
│   ├── SignatureInvalid      401
│   └── BodyUnreadable        400
├── StorageUnavailable        nothing can be stored now; the sender must try again (503)
│   ├── TransactionLost       it lost against another one, or its connection broke: nothing was stored, repeat it
│   └── CommitUnknown         the connection broke while committing: it may have been stored
├── EventWaits                an event cannot be applied yet, and why
├── OptionsInvalid            a signup's option makes no sense; names the key
├── ChoiceRefused             a customer's choice of a number that cannot be held; says why
├── LeaseLost                 another worker owns the tenant, or its record changed: stop, store nothing
├── OperatorError             an operator asked for something that cannot be done; says what can
│   ├── WrongUse              it makes no sense whatever the state of things
│   └── InHand                somebody works for this tenant just now; in a moment it can be done
└── ProviderError             named by what to do next
    ├── TryLater              nothing happened; wait
    ├── Refused               nothing happened; a person must change something
    └── Unclear               it may have happened; look before trying again
"""

from __future__ import annotations

from collections.abc import Sequence


class GatewayError(Exception):
    """Base of every error of ours."""


class SettingsError(GatewayError):
    """Settings that are wrong or missing, reported all at once.

    problems: one sentence each, beginning with the setting's name. Never holds a secret.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class DatabaseRefused(GatewayError):
    """The database belongs to another installation, is damaged, or has an unknown schema."""


class OtherInstallation(DatabaseRefused):
    """The settings name another mode, environment or Twilio account than the one this database was made for."""


class RequestRefused(GatewayError):
    """A request answered with a 4xx; `code` is listed in docs/errors.md."""

    status = 400

    def __init__(self, code: str, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        if status is not None:
            self.status = status


class SignatureInvalid(RequestRefused):
    """Signature missing, wrong, or outside its time window.

    skew_ms: how far the sender's timestamp lies from our clock, where it could be read.
    """

    status = 401

    def __init__(self, code: str, message: str, skew_ms: int | None = None) -> None:
        super().__init__(code, message)
        self.skew_ms = skew_ms


class BodyUnreadable(RequestRefused):
    """The body is not what this source sends."""

    status = 400


class StorageUnavailable(GatewayError):
    """The event could not be stored; the sender's own retry brings it back.

    retry_after_seconds: what we tell the sender.
    """

    def __init__(self, message: str, retry_after_seconds: int = 5) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class TransactionLost(StorageUnavailable):
    """Nothing of this transaction was stored, and the same one may succeed at once: it may be repeated as a whole."""


class CommitUnknown(StorageUnavailable):
    """Nobody knows whether this was stored: never take it for not done. Repeat only what does no harm twice."""


class EventWaits(GatewayError):
    """An event that stays in the inbox, unapplied.

    status: `waiting`, `tenant_key_invalid`, `link_conflict`, `time_invalid` or `wrong_mode`.
    try_at_ms: when to look at it again by itself; None waits for a link or an operator.
    """

    def __init__(self, status: str, reason: str, try_at_ms: int | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.try_at_ms = try_at_ms


class OptionsInvalid(GatewayError):
    """An option of a signup that makes no sense; `key` names it."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


class ChoiceRefused(GatewayError):
    """A customer's choice that cannot be held; nothing was changed.

    reason: `gone` (somebody else has the number, or is getting it), `decided` (a number is on its way or held
    already, or an operator chose one), `superseded` (the link is of an earlier time of this tenant), `not_wanted`
    (no number is wanted now).
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class LeaseLost(GatewayError):
    """The lease ran out, was taken over, or the tenant changed meanwhile: stop at once and store nothing."""


class OperatorError(GatewayError):
    """An operator's wish that cannot be carried out; the message says what can be done instead."""


class InHand(OperatorError):
    """Somebody works for this tenant just now: in a moment it can be done."""


class WrongUse(OperatorError):
    """A wish that makes no sense whatever the state of things: an illegal key, an unknown option."""


class ProviderError(GatewayError):
    """An answer, or none, from Twilio, Vapi or Stripe. Holds named fields only, never a body.

    provider: `twilio`, `vapi`, `stripe`.     operation: such as `buy`.
    status:   HTTP status, None when no answer came.     code: the vendor's own code, where it has one.
    """

    def __init__(
        self,
        message: str,
        *,
        provider: str = "",
        operation: str = "",
        status: int | None = None,
        code: int | str | None = None,
    ) -> None:
        super().__init__(message)
        self.provider = provider
        self.operation = operation
        self.status = status
        self.code = code


class TryLater(ProviderError):
    """Nothing happened: rate limited, or no byte of the request was sent.

    retry_after_seconds: what the provider asked for, None when it did not say.
    rate_limited: True for a 429, which all workers honour together.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after_seconds: float | None = None,
        rate_limited: bool = False,
        provider: str = "",
        operation: str = "",
        status: int | None = None,
        code: int | str | None = None,
    ) -> None:
        super().__init__(message, provider=provider, operation=operation, status=status, code=code)
        self.retry_after_seconds = retry_after_seconds
        self.rate_limited = rate_limited


class Refused(ProviderError):
    """Nothing happened, and repeating will not help.

    kind: `credentials` (401, 403, account closed or suspended), `unavailable` (the number is not for sale: 21421,
    21422), `address` (wants an address), `address_invalid` (this is not a real address, or not as it is written),
    `bundle` (wants an approved bundle), `exists` (already imported), `not_found_at_telephony` (the assistants'
    platform does not see the number yet), `other`.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: str = "other",
        provider: str = "",
        operation: str = "",
        status: int | None = None,
        code: int | str | None = None,
    ) -> None:
        super().__init__(message, provider=provider, operation=operation, status=status, code=code)
        self.kind = kind


class Unclear(ProviderError):
    """The request may have been carried out: timeout, reset, 5xx, or an answer that cannot be trusted."""
