"""`python -m bench`: measure every ratio and print it with its baseline, its target and whether it was reached.

Nothing here fails: figures depend on the machine, so a missed target is a line to look at and not an error. Status 1
only when something could not be measured at all.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import platform
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench import (
    calls,
    claim,
    engines,
    footprint,
    intake,
    intake_sizes,
    postgres,
    processes,
    report,
    signup,
    stalls,
    wake,
    workers,
)
from bench.processes import HOME
from bench.report import Missing, Ratio

BUSY_SHARE = 0.1

Measure = Callable[[int, float], Iterator[Ratio | Missing]]


@dataclass(frozen=True, slots=True)
class Part:
    """needs_server: it is about PostgreSQL altogether."""

    name: str
    what: str
    measure: Measure
    needs_server: bool = False


PARTS = (
    Part("intake", "webhooks a second, 16 clients", intake.measure),
    Part("one-client", "one client alone", intake.measure_one_client),
    Part("stalls", "intake while the providers hang", stalls.measure),
    Part("signup", "signup to active on an idle system", signup.measure),
    Part("calls", "provider calls a second, providers of 0 ms", calls.measure),
    Part("slow-calls", "provider calls a second, providers of 200 ms", calls.measure_slow),
    Part("intake-sizes", "webhooks a second on both databases", intake_sizes.measure, needs_server=True),
    Part("wake", "from a webhook in one process to the first step in another", wake.measure, needs_server=True),
    Part("engines", "provider calls a second on PostgreSQL, beside peers", engines.measure, needs_server=True),
    Part("workers", "several workers beside one", workers.measure, needs_server=True),
    Part("claim", "a claim with a million tenants", claim.measure),
    Part("start", "start to ready, and --help", footprint.measure_start),
    Part("memory", "memory after 100,000 events", footprint.measure_memory),
)


def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    rounds, seconds = (1, 1.0) if arguments.quick else (arguments.rounds, arguments.seconds)
    # So that Ctrl-C and a plain kill both run every `finally`, and no server outlives the bench.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    HOME.mkdir(parents=True, exist_ok=True)
    if not is_alone():
        print("Another bench is running; two would measure each other.", file=sys.stderr)
        return 2
    results: list[Ratio | Missing] = []
    print(f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    print(f"{rounds} rounds, loads of {seconds:g} s; medians over the rounds, [least-greatest]", flush=True)
    in_use = processes.cpu_share_in_use()
    if in_use > BUSY_SHARE:
        print(f"WARNING: others use {in_use:.0%} of this machine's CPU; what is compared here suffers unequally.")
    print(flush=True)
    for part in PARTS:
        if arguments.only and part.name not in arguments.only:
            continue
        print(f"{part.name}: {part.what} ...", file=sys.stderr, flush=True)
        began = time.monotonic()
        for result in measured(part, rounds, seconds):
            results.append(result)
            print(report.line_of(result), flush=True)
        print(f"  took {time.monotonic() - began:.0f} s, load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)
    path = HOME / "results" / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    report.save(results, path)
    print(f"\n{report.summary(results)}\nKept in {path}")
    return 1 if any(isinstance(result, Missing) and not result.is_skipped for result in results) else 0


def measured(part: Part, rounds: int, seconds: float) -> Iterator[Ratio | Missing]:
    """The part's ratios; a part that breaks must not take the others with it."""
    if part.needs_server and not postgres.is_named():
        yield postgres.skipped(part.name, part.what)
        return
    try:
        yield from part.measure(rounds, seconds)
    except Exception:
        traceback.print_exc()
        yield Missing(part.name, part.what, "This part broke; the traceback is above.")


def is_alone() -> bool:
    """Take the lock of this checkout's bench, for the life of this process."""
    lock = os.open(HOME / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    made.add_argument("--only", action="append", metavar="NAME", choices=[part.name for part in PARTS],
                      help="one part; may be repeated: " + ", ".join(part.name for part in PARTS))  # fmt: skip
    made.add_argument("--rounds", type=int, default=3, help="rounds of every part (3)")
    made.add_argument("--seconds", type=float, default=3.0, help="length of one load (3)")
    made.add_argument("--quick", action="store_true", help="one round, loads of 1 s: does it run at all?")
    return made


if __name__ == "__main__":
    sys.exit(main())
