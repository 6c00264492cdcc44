"""Slots: together never more than the limit, shared among the processes that want some, never held for ever."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from random import Random

from gateway.store import slots
from gateway.store.database import Database, Transaction
from gateway.store.processes import is_gone, name_of_this_process, this_machine
from gateway.store.slots import TURN_MS, Held, Wish
from tests.store.conftest import NOW_MS

LEASE_MS = 20_000
LIMIT = 8


def nobody_is_gone(name: str) -> bool:
    return False


def take(
    tx: Transaction,
    owner: str,
    *,
    in_use: int = 0,
    wanted: int = LIMIT,
    limit: int = LIMIT,
    now_ms: int = NOW_MS,
    is_gone: Callable[[str], bool] = nobody_is_gone,
    provider: str = "twilio",
) -> Held:
    wish = Wish(provider, limit, wanted, in_use)
    return slots.take(tx, owner, wish, now_ms, now_ms + LEASE_MS, is_gone)


def test_who_is_alone_holds_all_there_are(tx: Transaction) -> None:
    assert take(tx, "a") == Held(held=8, usable=8, is_anew=True)
    assert take(tx, "a", in_use=8) == Held(held=8, usable=8, is_anew=False)


def test_a_newcomer_gets_nothing_before_somebody_gives_back(tx: Transaction) -> None:
    take(tx, "a")

    assert take(tx, "b") == Held(held=0, usable=0, is_anew=True)


def test_who_holds_more_than_its_share_begins_nothing_on_it_and_gives_back_what_is_not_in_use(tx: Transaction) -> None:
    take(tx, "a")
    take(tx, "b")

    busy = take(tx, "a", in_use=8)
    less_busy = take(tx, "a", in_use=5)

    assert (busy.held, busy.usable) == (8, 4)
    assert (less_busy.held, less_busy.usable) == (5, 4)
    assert take(tx, "b").held == 3
    assert take(tx, "a", in_use=4).held == 4
    assert take(tx, "b", in_use=3).held == 4


def test_a_command_that_wants_one_leaves_the_rest_to_the_worker(tx: Transaction) -> None:
    take(tx, "worker")
    take(tx, "command", wanted=1)

    assert take(tx, "worker", in_use=7).held == 7
    assert take(tx, "command", wanted=1).held == 1


def test_providers_are_counted_apart(tx: Transaction) -> None:
    take(tx, "a")

    assert take(tx, "b", provider="vapi").held == LIMIT


def test_a_lease_that_ran_out_leaves_its_slots_to_others_and_its_owner_with_nothing(tx: Transaction) -> None:
    take(tx, "frozen")
    later_ms = NOW_MS + LEASE_MS

    assert take(tx, "b", now_ms=later_ms - 1).held == 0
    assert take(tx, "b", now_ms=later_ms).held == LIMIT
    assert take(tx, "frozen", in_use=LIMIT, now_ms=later_ms) == Held(held=0, usable=0, is_anew=True)


def test_an_owner_whose_lease_ran_out_begins_anew_although_nobody_took_its_slots(tx: Transaction) -> None:
    take(tx, "a")

    assert take(tx, "a", in_use=LIMIT, now_ms=NOW_MS + LEASE_MS) == Held(LIMIT, LIMIT, is_anew=True)


def test_what_a_process_held_that_is_gone_for_certain_is_free_at_once(tx: Transaction) -> None:
    take(tx, "killed")
    take(tx, "alive")

    assert take(tx, "b", is_gone=lambda name: name == "killed").held == 4
    assert take(tx, "killed").is_anew


def test_what_was_given_back_is_free(tx: Transaction) -> None:
    take(tx, "a")
    take(tx, "a", provider="vapi")

    slots.give_back(tx, "a")

    assert take(tx, "b").held == take(tx, "b", provider="vapi").held == LIMIT


def test_with_fewer_slots_than_processes_each_has_its_turn(tx: Transaction) -> None:
    served: set[str] = set()
    for turn in range(6):
        for owner in ("a", "b", "c", "a", "b", "c"):
            held = take(tx, owner, limit=1, now_ms=NOW_MS + turn * TURN_MS)
            served.update({owner} if held.usable else ())

    assert served == {"a", "b", "c"}


def test_a_limit_that_was_lowered_holds_as_soon_as_calls_end(tx: Transaction) -> None:
    take(tx, "a", limit=8)

    assert take(tx, "a", limit=3, in_use=8).usable == 3
    assert take(tx, "b", limit=3).held == 0
    assert take(tx, "a", limit=3, in_use=2).held == 2


def test_many_processes_at_once_never_hold_more_than_there_are(
    database: Database, another: Callable[[], Database]
) -> None:
    sums: list[int] = []

    def be_busy(seed: int, own: Database) -> None:
        random = Random(seed)
        held = Held(0, 0, True)
        for round_ in range(12):
            in_use = random.randint(0, held.usable)
            with own.transaction() as tx:
                held = take(tx, f"p{seed}", in_use=in_use, wanted=random.randint(1, 8), now_ms=NOW_MS + round_ * 300)
                row = tx.one("SELECT SUM(held) AS held FROM provider_slots WHERE provider = 'twilio'")
                sums.append(row["held"] if row else 0)

    workers = [threading.Thread(target=be_busy, args=(seed, another())) for seed in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)

    assert len(sums) == 6 * 12
    assert max(sums) <= LIMIT


def test_a_process_is_gone_only_when_the_kernel_of_this_very_machine_says_so() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(30)
    mine = name_of_this_process()

    assert is_gone(f"{this_machine()}/{ended.pid}/0a0b") is bool(this_machine())
    assert not is_gone(mine)
    assert not is_gone(f"{this_machine()}/1/0a0b")
    assert not is_gone(f"another/{this_machine()}/{ended.pid}/0a0b")
    assert not any(map(is_gone, ("", "/", "//", "worker", f"/{ended.pid}/0a0b", f"{this_machine()}/0x1/0a0b")))


def test_two_names_of_one_process_differ() -> None:
    first, second = name_of_this_process(), name_of_this_process()

    assert first != second
    assert f"/{os.getpid()}/" in first
