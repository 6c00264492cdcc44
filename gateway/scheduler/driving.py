"""What schedulers call, put together from `flow`: one account for the embedded driver, one for the engine."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from functools import partial

from gateway.flow.advance import advance
from gateway.flow.apply import ApplyParts
from gateway.flow.probe import probe_refusing
from gateway.flow.reconcile import reconcile, reconcile_if_restored
from gateway.flow.turn import EVENTS_A_TURN, LEFT_PAUSE_MS, apply_some, claim, take_turn
from gateway.scheduler.embedded import Driving, Housekeeping, Turn
from gateway.scheduler.engine import EngineDriving
from gateway.settings import Settings
from gateway.steps.context import StepParts
from gateway.store import inbox, wakeups, watermark
from gateway.store.database import Database, in_transaction
from gateway.store.leases import TenantBusy

RECONCILE_SECONDS = 300.0
RESTORE_SECONDS = 15.0
PROBE_SECONDS = 5.0
EXPIRE_SECONDS = 600.0
WATERMARK_SECONDS = 60.0
EXPIRE_ROWS = 2000
BUSY_PAUSE_SECONDS = 0.01


def owner() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def embedded(settings: Settings, steps: StepParts, news: ApplyParts, is_pressed: Callable[[], bool]) -> Driving:
    me = owner()

    def turn(free_threads: int) -> Turn:
        found = take_turn(steps, news, me, free_threads)
        return Turn(found.claims, found.next_due_at_ms, found.has_more)

    return Driving(
        turn=turn,
        advance=partial(advance, steps),
        changed_elsewhere=steps.database.changed_elsewhere,
        now_ms=steps.clock.now_ms,
        threads=settings.limits.step_threads,
        is_pressed=is_pressed,
        housekeeping=housekeeping(settings, steps),
    )


def engine(settings: Settings, steps: StepParts, news: ApplyParts) -> EngineDriving:
    assert settings.database.conninfo is not None, "Procrastinate needs PostgreSQL"
    database, now_ms = steps.database, steps.clock.now_ms
    return EngineDriving(
        work_for=partial(work_for, steps, owner()),
        apply=partial(apply_all, steps, news),
        sweep=lambda: sweep(database, now_ms),
        housekeeping=housekeeping(settings, steps),
        threads=settings.limits.step_threads,
        conninfo=str(settings.database.conninfo),
        is_pooled=not database.has_sessions,
    )


def housekeeping(settings: Settings, steps: StepParts) -> tuple[Housekeeping, ...]:
    def expire() -> None:
        before_ms = steps.clock.now_ms() - settings.times.body_keep_ms
        steps.commit(lambda tx: inbox.expire_bodies(tx, before_ms, EXPIRE_ROWS))

    return (
        Housekeeping("reconcile", RECONCILE_SECONDS, lambda: logged_reconcile(steps)),
        Housekeeping("restore", RESTORE_SECONDS, lambda: reconcile_if_restored(steps)),
        Housekeeping("probe", PROBE_SECONDS, lambda: logged_probe(steps)),
        Housekeeping("expire", EXPIRE_SECONDS, expire),
        Housekeeping("watermark", WATERMARK_SECONDS, lambda: watermark.rise(steps.database, steps.clock.now_ms())),
    )


def logged_reconcile(steps: StepParts) -> None:
    reconcile(steps, apply=True)


def logged_probe(steps: StepParts) -> None:
    probe_refusing(steps)


def work_for(steps: StepParts, me: str, tenant_id: int) -> None:
    """Work for one tenant until it has to wait: also when news came meanwhile, whose job waits for this one to end."""
    while not steps.is_stopping():
        try:
            claimed = claim(steps, me, tenant_id)
        except TenantBusy:
            time.sleep(BUSY_PAUSE_SECONDS)
            continue
        if claimed is None:
            return
        advance(steps, claimed)


def apply_all(steps: StepParts, news: ApplyParts) -> None:
    """Apply news until none is left, whoever else applies meanwhile."""
    wakeups.await_announced(steps.database)
    while not steps.is_stopping():
        applied = apply_some(steps.database, news, steps.clock.now_ms)
        if applied.is_left:
            time.sleep(LEFT_PAUSE_MS / 1000)
        elif len(applied.events) < EVENTS_A_TURN:
            return


def sweep(database: Database, now_ms: Callable[[], int]) -> None:
    in_transaction(database, lambda tx: wakeups.sweep(tx, now_ms()))
