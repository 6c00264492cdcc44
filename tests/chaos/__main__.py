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
    options = parsed(arguments)
    # What the judge's own reconciling tells is part of the verdict, not of the output.
    for name in ("gateway", "psycopg.pool"):
        logging.getLogger(name).addHandler(logging.NullHandler())
    seed = options.seed or secrets.token_hex(4)
    print(f"seed                  {seed}", flush=True)
    shape = shape_of(options)
    worlds = max(1, round(options.kills / KILLS_A_WORLD))
    shares = [options.kills * (n + 1) // worlds - options.kills * n // worlds for n in range(worlds)]
    began = time.monotonic()
    totals = Totals()
    with ThreadPoolExecutor(options.worlds_at_once or (1 if shape.is_postgres else 2)) as pool:
        runs = [pool.submit(one, f"{seed}-{n}", kills, shape, options.keep) for n, kills in enumerate(shares)]
        for run in runs:
            totals.add(run.result())
    for line in totals.lines():
        print(line)
    print(f"took                  {time.monotonic() - began:.0f} s")
    return 1 if totals.is_broken else 0


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bin/chaos", description=__doc__.split(":")[1].strip())
    add = parser.add_argument
    add("--kills", type=int, default=100, help="SIGKILLs in all  [default: 100]")
    add("--seed", default=None, help="decides stories, faults and kills  [default: a random one]")
    add("--database", choices=("sqlite", "postgres"), default="sqlite", help="[default: sqlite]")
    add("--engine", choices=("procrastinate", "embedded"), default="procrastinate", help="on PostgreSQL")
    add("--webs", type=int, help="how many `serve`  [default: 1, on PostgreSQL 2]")
    add("--workers", type=int, help="how many `work`; with none `serve` works  [default: 0, on PostgreSQL 3]")
    add("--worlds-at-once", type=int, help="how many run side by side  [default: 2, on PostgreSQL 1]")
    add("--checkout", type=Path, help="on PostgreSQL half of all starts are of an earlier release in its history")
    add("--keep", type=Path, default=None, help="keep each world's database and logs in this folder")
    return parser.parse_args(arguments)


def shape_of(options: argparse.Namespace) -> Shape:
    if options.database == "sqlite":
        return Shape(webs=given(options.webs, 1), workers=given(options.workers, 0))
    webs, workers = given(options.webs, 2), given(options.workers, 3)
    return Shape("postgres", options.engine, webs, workers, options.checkout)


def given(number: int | None, otherwise: int) -> int:
    return otherwise if number is None else number


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
