"""What the gateway adds to a signup: from the delivery sent to the tenant active, less the providers' own time."""

from __future__ import annotations

import time
from collections.abc import Iterator

from bench import events, load, product
from bench.processes import Unmeasurable
from bench.report import Missing, Ratio, at_most, median, number

PART = "signup"
NAME = "signup to active, less the providers' own time (idle)"
SIGNUPS = 12
PROVIDER_DELAY_MS = 20.0


def measure(rounds: int, seconds: float) -> Iterator[Ratio | Missing]:
    """`seconds` is not used: the same number of signups each round, one after the other."""
    medians, totals, providers_own = [], [], []
    for _ in range(rounds):
        try:
            added, whole, own = one_round()
        except Unmeasurable as error:
            yield Missing(PART, NAME, str(error))
            return
        medians.append(median(added))
        totals.append(median(whole))
        providers_own.append(median(own))
    yield Ratio(
        PART, NAME, tuple(medians), "ms", at_most(50),
        f"{number(median(totals))} ms in all",
        f"{number(median(providers_own))} ms in calls of {PROVIDER_DELAY_MS:.0f} ms each",
    )  # fmt: skip


def one_round() -> tuple[list[float], list[float], list[float]]:
    """For each signup, in milliseconds: what was added, the whole, and the providers' own."""
    folder = product.fresh_folder("signup")
    added, whole, own = [], [], []
    with product.stand_in(folder) as providers:
        providers.reset(delay_ms=PROVIDER_DELAY_MS)
        with product.serve(folder, product.environment(folder, providers), worker=True) as server:
            peek = product.Peek(folder)
            for delivery in events.signed(SIGNUPS + 1):
                providers.reset(delay_ms=PROVIDER_DELAY_MS, keep_numbers=True)
                began = time.time()
                load.post_all(server.port, product.WEBHOOK, [delivery])
                wait_until_active(peek, events.tenant_key(delivery))
                total_ms = (time.time() - began) * 1e3
                busy_ms = providers.report().busy_s * 1e3
                added.append(total_ms - busy_ms)
                whole.append(total_ms)
                own.append(busy_ms)
                time.sleep(0.2)
            peek.close()
    # The first pays for imports and connections of a process that has just started.
    return added[1:], whole[1:], own[1:]


def wait_until_active(peek: product.Peek, tenant_key: str, limit_seconds: float = 20.0) -> None:
    end = time.monotonic() + limit_seconds
    while peek.state(tenant_key) != "active":
        if time.monotonic() > end:
            raise Unmeasurable(f"{tenant_key} is not active after {limit_seconds:.0f} s: {peek.troubles()}")
        time.sleep(0.002)
