"""The job as a DBOS workflow: buy, import, assign, on SQLite or PostgreSQL.

usage: provision.py --tenants N --threads N --steps effect|call --api http://127.0.0.1:PORT --database URL
The backlog is enqueued first and not timed; the clock runs from the first call to the last workflow's end. Prints one
line of JSON. --steps effect: three steps a tenant, each with its looks; --steps call: every call is a step, as DBOS
asks for calls that must not be repeated after a crash.
DBOS's own settings but for a queue that is polled every 50 ms instead of every second. It is spared the protocol's own
commits: nothing is stored but its journal.
"""

import argparse
import json
import os
from types import SimpleNamespace

from dbos import DBOS, DBOSClient
from provider_calls import CALLS, Clock, Providers, assign_step, buy_step, import_step


def step_of(providers, name):
    method = getattr(providers, name)

    @DBOS.step(name=name)
    def step(*arguments):
        return method(*arguments)

    return step


def in_one(providers, made):
    @DBOS.step(name=made.__name__)
    def step(_, *arguments):
        return made(providers, *arguments)

    return step


def workflow_of(shape, providers, clock):
    if shape == "call":
        do = SimpleNamespace(**{name: step_of(providers, name) for name in CALLS})
        buy, put_in, assign = buy_step, import_step, assign_step
    else:
        do = None
        buy, put_in, assign = (in_one(providers, step) for step in (buy_step, import_step, assign_step))

    @DBOS.workflow()
    def provision(tenant):
        number, sid = buy(do, tenant)
        entry = put_in(do, tenant, number, sid)
        assign(do, entry)
        clock.tenant_done()

    return provision


def main(options):
    clock = Clock(options.tenants)
    DBOS(
        config={
            "name": "bench", "system_database_url": options.database, "run_admin_server": False,
            "log_level": "WARNING", "max_executor_threads": options.threads, "sys_db_pool_size": 20,
        }
    )  # fmt: skip
    provision = workflow_of(options.steps, Providers(options.api, clock.started), clock)
    DBOS.launch()
    client = DBOSClient(system_database_url=options.database)
    for tenant in range(options.tenants):
        client.enqueue(
            {"queue_name": "q", "workflow_name": provision.__qualname__, "workflow_id": f"t{tenant}"}, tenant
        )
    DBOS.register_queue("q", worker_concurrency=options.threads, polling_interval_sec=0.05)
    clock.finished.wait(options.limit)
    print("JSON " + json.dumps(clock.told()), flush=True)
    os._exit(0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--tenants", type=int, required=True)
    parser.add_argument("--threads", type=int, default=64)
    parser.add_argument("--steps", choices=["effect", "call"], default="effect")
    parser.add_argument("--api", required=True)
    parser.add_argument("--database", required=True)
    parser.add_argument("--limit", type=float, default=90)
    main(parser.parse_args())
