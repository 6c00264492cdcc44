"""The job as plain Procrastinate tasks: buy, import, assign, each deferring the next; on PostgreSQL.

usage: provision.py --tenants N --threads N --api http://127.0.0.1:PORT --database URL
The backlog is deferred first and not timed; the clock runs from the first call to the end of the last job's work.
Prints one line of JSON. Synchronous tasks, which Procrastinate runs in threads; what a step found out is handed to the
next as its arguments. The worker listens, as by default, and runs as many jobs at once as there are threads.
It is spared the protocol's own commits: nothing is stored but its jobs.
"""

import argparse
import asyncio
import json
import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import procrastinate
from provider_calls import Clock, Providers, assign_step, buy_step, import_step

POOL = 20


def register(app, sync_app, providers, clock):
    def then(name, **arguments):
        sync_app.configure_task(name).defer(**arguments)

    @app.task(name="buy")
    def buy(tenant):
        number, sid = buy_step(providers, tenant)
        then("import", tenant=tenant, number=number, sid=sid)

    @app.task(name="import")
    def put_in(tenant, number, sid):
        then("assign", entry=import_step(providers, tenant, number, sid))

    @app.task(name="assign")
    def assign(entry):
        assign_step(providers, entry)
        clock.tenant_done()


async def work(app, threads):
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(threads))
    async with app.open_async():
        await app.run_worker_async(concurrency=threads, install_signal_handlers=False)


def main(options):
    logging.disable(logging.INFO)
    clock = Clock(options.tenants)
    sync_app = procrastinate.App(
        connector=procrastinate.SyncPsycopgConnector(conninfo=options.database, min_size=4, max_size=POOL)
    )
    sync_app.open()
    sync_app.schema_manager.apply_schema()
    app = procrastinate.App(
        connector=procrastinate.PsycopgConnector(conninfo=options.database, min_size=4, max_size=POOL)
    )
    register(app, sync_app, Providers(options.api, clock.started), clock)
    sync_app.configure_task("buy").batch_defer(*({"tenant": tenant} for tenant in range(options.tenants)))
    threading.Thread(target=lambda: asyncio.run(work(app, options.threads)), daemon=True).start()
    clock.finished.wait(options.limit)
    print("JSON " + json.dumps(clock.told()), flush=True)
    os._exit(0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--tenants", type=int, required=True)
    parser.add_argument("--threads", type=int, default=64)
    parser.add_argument("--api", required=True)
    parser.add_argument("--database", required=True)
    parser.add_argument("--limit", type=float, default=90)
    main(parser.parse_args())
