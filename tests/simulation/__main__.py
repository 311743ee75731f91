"""Run seeds: `python -m tests.simulation SEED[:END] [--trace]`."""

# ruff: noqa: S606, T201 - It talks to a person, and starts itself again.
from __future__ import annotations

import argparse
import faulthandler
import gc
import os
import sys
import time
from contextlib import nullcontext

from tests.simulation.mutations import MUTATIONS
from tests.simulation.run import simulate

GARBAGE = 50_000  # Objects; a world makes many and keeps few, so that looking for them costs.
HANGS_S = 60  # Real seconds; a world takes less than one.


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seeds", help="a seed, or FIRST:END")
    parser.add_argument("--trace", action="store_true", help="print all that happened")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at a failure")
    parser.add_argument("--mutation", choices=sorted(MUTATIONS), help="with this fault put in")
    given = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":  # The order of sets must be the same again.
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])
    first, _, end = given.seeds.partition(":")
    gc.set_threshold(GARBAGE)
    failed = 0
    began = time.perf_counter()
    seeds = range(int(first), int(end) if end else int(first) + 1)
    for seed in seeds:
        faulthandler.dump_traceback_later(HANGS_S, exit=True)
        with MUTATIONS[given.mutation]() if given.mutation else nullcontext():
            report = simulate(seed)
        if report.violations:
            failed += 1
            if given.keep_going:
                print(f"seed {seed}: {report.violations[0][:300]}", flush=True)
                continue
            print(report.text)
            return 1
        if given.trace:
            print(report.text)
    took_s = time.perf_counter() - began
    print(f"{len(seeds)} seeds, {failed} failed, {took_s:.1f} s")
    return 1 if failed else 0


sys.exit(main())
