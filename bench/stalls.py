"""How steady intake is while the providers hang and every step thread waits for them."""

from __future__ import annotations

import time
from collections.abc import Iterator

from bench import disk, events, load, product
from bench.processes import Unmeasurable
from bench.report import Missing, Ratio, at_most, median, number

PART = "stalls"
NAME = f"intake p99 / median, {product.THREADS} steps hanging"
CLIENTS = 16
BACKLOG = 200


def measure(rounds: int, seconds: float) -> Iterator[Ratio | Missing]:
    loads: list[load.Load] = []
    stalls: list[disk.Latencies] = []
    hanging: list[int] = []
    for _ in range(rounds):
        try:
            one, stall, least = one_round(seconds)
        except Unmeasurable as error:
            yield Missing(PART, NAME, str(error))
            return
        loads.append(one)
        stalls.append(stall)
        hanging.append(least)
    p99 = number(median([one.p99_ms for one in loads]))
    p50 = number(median([one.p50_ms for one in loads]))
    disk_p99 = number(median([one.p99_ms for one in stalls]))
    disk_max = number(max(one.max_ms for one in stalls))
    yield Ratio(
        PART, NAME, tuple(one.p99_ms / one.p50_ms for one in loads), "x", at_most(10),
        f"p99 {p99} ms, at least {min(hanging)} calls open,",
        f"p50 {p50} ms; the disk's own: p99 {disk_p99}, longest {disk_max} ms",
    )  # fmt: skip


def one_round(seconds: float) -> tuple[load.Load, disk.Latencies, int]:
    """The load, the disk's stalls beside it, and how many provider calls were open before and after it, at least."""
    folder = product.fresh_folder("stalls")
    with product.stand_in(folder) as providers:
        providers.reset(hangs=True)
        settings = product.environment(folder, providers)
        with product.serve(folder, settings, worker=True) as server:
            load.post_all(server.port, product.WEBHOOK, events.signed(BACKLOG))
            wait_for_calls(providers)
            before = providers.report().open
            with disk.watching_stalls(folder, seconds + 0.5) as stalls:
                one = load.drive(
                    server, product.WEBHOOK, clients=CLIENTS, seconds=seconds, pool_size=int(12_000 * seconds)
                )
            after = providers.report().open
    return one, stalls[0], min(before, after)


def wait_for_calls(providers: product.StandIn, limit_seconds: float = 10.0) -> None:
    """Until every step thread is in a call; Unmeasurable when that does not happen."""
    end = time.monotonic() + limit_seconds
    while (found := providers.report().open) < product.THREADS:
        if time.monotonic() > end:
            raise Unmeasurable(
                f"only {found} of {product.THREADS} provider calls are open after {limit_seconds:.0f} s"
            )
        time.sleep(0.05)
