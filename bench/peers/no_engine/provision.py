"""The calls alone: threads that make them and store nothing. What no engine can pass with plain `requests`.

usage: provision.py --tenants N --threads N --api http://127.0.0.1:PORT
"""

import argparse
import json
import os
from concurrent.futures import ThreadPoolExecutor

from provider_calls import Clock, Providers, assign_step, buy_step, import_step


def main(options):
    clock = Clock(options.tenants)
    providers = Providers(options.api, clock.started)

    def provision(tenant):
        number, sid = buy_step(providers, tenant)
        assign_step(providers, import_step(providers, tenant, number, sid))
        clock.tenant_done()

    ThreadPoolExecutor(options.threads).map(provision, range(options.tenants))
    clock.finished.wait(options.limit)
    print("JSON " + json.dumps(clock.told()), flush=True)
    os._exit(0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--tenants", type=int, required=True)
    parser.add_argument("--threads", type=int, default=64)
    parser.add_argument("--api", required=True)
    parser.add_argument("--limit", type=float, default=90)
    main(parser.parse_args())
