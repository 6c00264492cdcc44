"""Who wakes tenants when Procrastinate does: its jobs, written in the transaction that makes somebody due.

Our tables say what is due and stay the truth; a job only says when to look. So a job too many costs one look, and one
that is missing is made by the sweep. Jobs are written straight into Procrastinate's table, in one statement that
passes over those that wait already: its own function would undo the whole transaction for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gateway.store import inbox
from gateway.store.database import Database, Transaction, Wakes

# What each waits for: a tenant that is due, one that is due soon, and what there is one of.
DUE, SOON, SINGLE = "tenants", "tenants_soon", "gateway"
APPLY, ADVANCE = "apply", "advance"
FIRST, NOW, LATER = 100, 10, 0

# A pause that is longer needs no job: the sweep finds who is due.
SOON_MS = 60_000
# Procrastinate's search for the next job grows with the queue, and with its square until the server has analysed the
# table. Past this many a tenant is left to the sweep, who fills up from those that wait longest.
MOST_DUE = 500
MOST_SWEPT = 1000
# Two heartbeats may be late.
SEEN_SECONDS = 10
# Held from before a job is found waiting until the commit, shared; whoever has taken that job waits for its holders.
NEWS = "news"


def last_words(now_ms: Callable[[], int]) -> Callable[[Wakes], str]:
    """What a transaction says just before its COMMIT so that somebody looks at what it made due."""

    def words(wakes: Wakes) -> str:
        at_ms = now_ms()
        parts = []
        if any(due_ms <= at_ms for due_ms in wakes.tenants.values()):
            parts.append(wake_now(wakes.tenants, at_ms))
        if any(at_ms < due_ms <= at_ms + SOON_MS for due_ms in wakes.tenants.values()):
            parts.append(wake_later(wakes.tenants, at_ms))
        if wakes.has_news:
            parts.append(WAKE_APPLY)
        return "; ".join(parts)

    return words


def listed(tenant_ids: Iterable[int]) -> str:
    return ", ".join(str(int(each)) for each in tenant_ids)


def job_of(tenant: str, kind: str) -> str:
    """The columns lock, queueing_lock and args of a tenant's job."""
    name = f"'tenant:' || {tenant}"
    return f"{name}, {name} || ':{kind}', jsonb_build_object('tenant_id', {tenant})"


# Who writes several takes them by ascending id, so that two of them never wait for each other.
def wake_now(tenant_ids: Iterable[int], now_ms: int) -> str:
    """Jobs for those of these tenants that are due, as the table says; no more than the queue takes."""
    return f"""INSERT INTO procrastinate_jobs (queue_name, task_name, priority, lock, queueing_lock, args)
        SELECT '{DUE}', '{ADVANCE}', {NOW}, {job_of("id", "now")}
        FROM tenants WHERE id IN ({listed(tenant_ids)}) AND next_run_at_ms <= {now_ms}
          AND {MOST_DUE} > ({waiting(DUE, MOST_DUE)})
        ORDER BY id ON CONFLICT (queueing_lock) WHERE status = 'todo' DO NOTHING"""  # noqa: S608


def wake_later(tenant_ids: Iterable[int], now_ms: int) -> str:
    """Jobs for those that nobody has and that are due soon; one that waits already is brought forward."""
    return f"""INSERT INTO procrastinate_jobs
          (queue_name, task_name, priority, lock, queueing_lock, args, scheduled_at)
        SELECT '{SOON}', '{ADVANCE}', {LATER}, {job_of("id", "later")},
          statement_timestamp() + (next_run_at_ms - {now_ms}) * interval '1 millisecond'
        FROM tenants WHERE id IN ({listed(tenant_ids)}) AND lease_owner IS NULL
          AND next_run_at_ms > {now_ms} AND next_run_at_ms <= {now_ms + SOON_MS}
          AND {MOST_DUE} > ({waiting(SOON, MOST_DUE)})
        ORDER BY id ON CONFLICT (queueing_lock) WHERE status = 'todo'
        DO UPDATE SET scheduled_at = EXCLUDED.scheduled_at
          WHERE procrastinate_jobs.scheduled_at > EXCLUDED.scheduled_at"""  # noqa: S608


def waiting(queue: str, most: int) -> str:
    """How many wait in a queue, counted no further than `most`."""
    return (
        f"SELECT count(*) FROM (SELECT 1 FROM procrastinate_jobs "  # noqa: S608
        f"WHERE status = 'todo' AND queue_name = '{queue}' LIMIT {most}) AS counted"
    )


WAKE_APPLY = f"""INSERT INTO procrastinate_jobs (queue_name, task_name, priority, queueing_lock)
    SELECT '{SINGLE}', '{APPLY}', {FIRST}, '{APPLY}'
    FROM (SELECT pg_advisory_xact_lock_shared(hashtextextended(current_schema() || '.{NEWS}', 0))) AS announced
    ON CONFLICT (queueing_lock) WHERE status = 'todo' DO NOTHING"""  # noqa: S608


def await_announced(database: Database) -> None:
    """Wait for every transaction that brought news and left it to the job that is being done now.

    Such a transaction saw the job wait, and has not committed yet: without this its news would be read by nobody.
    """
    with database.transaction() as tx:
        tx.lock(NEWS)


def sweep(tx: Transaction, now_ms: int) -> int:
    """Jobs for whoever is due and has none, longest waiting first, as many as the queue takes; how many tenants."""
    woken = tx.do(
        f"""INSERT INTO procrastinate_jobs (queue_name, task_name, priority, lock, queueing_lock, args)
        SELECT '{DUE}', '{ADVANCE}', {NOW}, {job_of("due.id", "now")}
        FROM (SELECT id FROM (SELECT id, next_run_at_ms FROM tenants WHERE next_run_at_ms <= :now_ms
                              ORDER BY next_run_at_ms, id LIMIT {2 * MOST_SWEPT}) AS longest
              WHERE NOT EXISTS (SELECT 1 FROM procrastinate_jobs
                                WHERE lock = 'tenant:' || longest.id AND status = 'doing')
                AND NOT EXISTS (SELECT 1 FROM procrastinate_jobs
                                WHERE queueing_lock = 'tenant:' || longest.id || ':now' AND status = 'todo')
              ORDER BY next_run_at_ms, id LIMIT {MOST_SWEPT} - ({waiting(DUE, MOST_SWEPT)})) AS due
        ORDER BY due.id ON CONFLICT (queueing_lock) WHERE status = 'todo' DO NOTHING""",  # noqa: S608
        now_ms=now_ms,
    )
    if inbox.is_due(tx, now_ms):
        tx.wakes.has_news = True
    return woken


def are_workers_seen(tx: Transaction) -> bool:
    """Whether any worker gave a sign of life lately."""
    row = tx.one(
        "SELECT 1 AS seen FROM procrastinate_workers "
        "WHERE last_heartbeat > now() - make_interval(secs => :seconds) LIMIT 1",
        seconds=SEEN_SECONDS,
    )
    return row is not None
