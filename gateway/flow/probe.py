"""After a provider refused our credentials: ask it once a minute, and let everybody go on when it takes them again."""

from __future__ import annotations

import logging

from gateway.domain.model import Blocked
from gateway.errors import ProviderError
from gateway.steps.context import StepParts, in_flight
from gateway.store import leases, providers
from gateway.store.database import Transaction

log = logging.getLogger("gateway.providers")


def probe_refusing(parts: StepParts) -> list[str]:
    """Probe each provider whose turn it is; gives the names that take us again. One probe over all processes."""
    with parts.database.read() as tx:
        refusing = [state.name for state in providers.states(tx).values() if state.is_refusing]
    accepted = []
    for name in refusing:
        if probe_one(parts, name):
            accepted.append(name)
    return accepted


def probe_one(parts: StepParts, name: str) -> bool:
    now_ms = parts.clock.now_ms()
    if not parts.commit(lambda tx: take(tx, parts, name, now_ms)):
        return False
    if not is_accepted(parts, name):
        return False
    parts.commit(lambda tx: accept(tx, parts, name))
    return True


def take(tx: Transaction, parts: StepParts, name: str, now_ms: int) -> bool:
    return providers.take_probe(tx, name, now_ms, now_ms + parts.rules.probe_ms)


def is_accepted(parts: StepParts, name: str) -> bool:
    by_name = {port.provider: port.check_account for port in (parts.telephony, parts.assistants)}
    check = by_name.get(name)
    if check is None:
        return True
    with in_flight(parts, name) as deadline:
        try:
            check(deadline())
        except ProviderError as error:
            log.warning("provider.still_refuses", extra={"fields": {"provider": name, "reason": str(error)}})
            return False
    return True


def accept(tx: Transaction, parts: StepParts, name: str) -> None:
    now_ms = parts.clock.now_ms()
    providers.accept(tx, name, now_ms)
    woken = leases.wake_blocked(tx, Blocked.PROVIDER_CREDENTIALS, now_ms)
    log.info("provider.accepts", extra={"fields": {"provider": name, "tenants": woken}})
