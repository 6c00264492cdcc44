"""From a webhook in one process to the first step in another: how long nobody hears of it."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg

from bench import events, load, postgres, product
from bench.processes import Unmeasurable
from bench.report import Missing, Ratio, at_most, median, number
from bench.signup import wait_until_active
from bench.sizes import EMBEDDED, PROCRASTINATE, SQLITE, Size, installed

PART = "wake"
SIGNUPS = 16
FLOORS = 40
STEP_LIMIT_SECONDS = 20.0
CASES = ((PROCRASTINATE, at_most(50)), (EMBEDDED, at_most(50)), (SQLITE, None))


@dataclass(frozen=True, slots=True)
class Wake:
    """Medians in milliseconds. to_answer: from the webhook sent to its answer.   to_call: to the first step's call."""

    to_answer_ms: float
    to_call_ms: float


def measure(rounds: int, seconds: float) -> Iterator[Ratio | Missing]:
    """`seconds` is not used: the same number of signups each round, one after the other."""
    wakes: dict[Size, list[Wake]] = {size: [] for size, _ in CASES}
    floors: list[float] = []
    try:
        for _ in range(rounds):
            floors.append(floor_ms())
            for size, found in wakes.items():
                found.append(one_round(size))
    except Unmeasurable as error:
        yield Missing(PART, "webhook in one process to first step in another", str(error))
        return
    for size, target in CASES:
        answer = number(median([one.to_answer_ms for one in wakes[size]]))
        yield Ratio(
            PART, f"webhook in one process to first step in another, {size.name}",
            tuple(one.to_call_ms for one in wakes[size]), "ms", target,
            f"answered after {answer} ms,", f"{number(median(floors))} ms for a bare commit and NOTIFY to be heard",
        )  # fmt: skip


def one_round(size: Size) -> Wake:
    """`serve --no-worker` takes the signups, `work` works; every tenant is finished before the next one comes."""
    with (
        product.stand_in(product.fresh_folder("stand-in")) as providers,
        installed(size, "wake", providers) as installation,
        product.serve(installation.folder, dict(installation.settings), worker=False) as server,
        product.work(installation.folder, dict(installation.settings)),
    ):
        peek = installation.peek()
        answers, calls = [], []
        for delivery in events.signed(SIGNUPS + 1):
            providers.reset(keep_numbers=True)
            began = time.time()
            load.post_all(server.port, product.WEBHOOK, [delivery])
            answers.append((time.time() - began) * 1e3)
            wait_until_active(peek, events.tenant_key(delivery), STEP_LIMIT_SECONDS)
            calls.append((min(start for start, _ in providers.report().spans) - began) * 1e3)
            # Not in step with anybody who looks every so often.
            time.sleep(0.1 + random.random() * 0.2)
        peek.close()
    # The first pays for imports and connections of processes that have just started.
    return Wake(median(answers[1:]), median(calls[1:]))


def floor_ms() -> float:
    """The median from before a commit with one row and a NOTIFY until another connection has heard of it."""
    spent: list[float] = []
    with (
        postgres.fresh_database() as url,
        psycopg.connect(url, autocommit=True) as writer,
        psycopg.connect(url, autocommit=True) as listener,
    ):
        writer.execute("CREATE TABLE news (id BIGINT PRIMARY KEY, body BYTEA NOT NULL)")
        listener.execute("LISTEN news")
        heard = threading.Semaphore(0)

        def listen() -> None:
            for _ in listener.notifies(stop_after=FLOORS):
                heard.release()

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        for index in range(FLOORS):
            began = time.perf_counter()
            with writer.transaction():
                writer.execute("INSERT INTO news VALUES (%s, %s)", [index, b"x" * 1800])
                writer.execute("NOTIFY news")
            if not heard.acquire(timeout=STEP_LIMIT_SECONDS):
                raise Unmeasurable("A NOTIFY was not heard.")
            spent.append((time.perf_counter() - began) * 1e3)
        thread.join(STEP_LIMIT_SECONDS)
    return median(spent)
