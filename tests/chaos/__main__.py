"""`bin/chaos`: as many kills as asked for, then what was done and what was broken; status 1 on any violation."""

from __future__ import annotations

import argparse
import logging
import secrets
import sys
import tempfile
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.chaos.installation import Shape
from tests.chaos.judge import Violation
from tests.chaos.run import Totals, run_world

KILLS_A_WORLD = 25


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bin/chaos", description=__doc__.split(":")[1].strip())
    parser.add_argument("--kills", type=int, default=100, help="SIGKILLs in all  [default: 100]")
    parser.add_argument("--seed", default=None, help="decides stories, faults and kills  [default: a random one]")
    parser.add_argument("--worlds-at-once", type=int, default=2, help="how many worlds run side by side  [default: 2]")
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--engine", choices=("embedded", "procrastinate"), default="embedded", help="on PostgreSQL")
    parser.add_argument("--webs", type=int, default=1, help="how many `serve`  [default: 1]")
    parser.add_argument(
        "--workers", type=int, default=0, help="how many `work`; with none the webs work  [default: 0]"
    )
    parser.add_argument("--checkout", type=Path, default=None, help="take an earlier release from its history")
    parser.add_argument("--keep", type=Path, default=None, help="keep each world's database and logs in this folder")
    options = parser.parse_args(arguments)
    # What the judge's own reconciling tells is part of the verdict, not of the output.
    for name in ("gateway", "psycopg.pool"):
        logging.getLogger(name).addHandler(logging.NullHandler())
    seed = options.seed or secrets.token_hex(4)
    print(f"seed                  {seed}", flush=True)
    shape = Shape(options.database, options.engine, options.webs, options.workers, options.checkout)
    worlds = max(1, round(options.kills / KILLS_A_WORLD))
    shares = [options.kills * (n + 1) // worlds - options.kills * n // worlds for n in range(worlds)]
    began = time.monotonic()
    totals = Totals()
    with ThreadPoolExecutor(options.worlds_at_once) as pool:
        runs = [pool.submit(one, f"{seed}-{n}", kills, shape, options.keep) for n, kills in enumerate(shares)]
        for run in runs:
            totals.add(run.result())
    for line in totals.lines():
        print(line)
    print(f"took                  {time.monotonic() - began:.0f} s")
    return 1 if totals.is_broken else 0


def one(seed: str, kills: int, shape: Shape, keep: Path | None) -> Totals:
    with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as temporary:
        folder = keep.resolve() / seed if keep else Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        try:
            found = run_world(seed, kills, folder, shape)
        except Exception:
            found = Totals(violations=[Violation("The run itself broke off.", traceback.format_exc())])
    print(f"  {seed}: {found.counts['kills']} kills, {found.tenants} tenants, {found.purchases} purchases, "
          f"{len(found.violations)} violations, {time.monotonic() - began:.0f} s", flush=True)  # fmt: skip
    for violation in found.violations:
        print(f"  VIOLATION in {seed}: {violation}", flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
