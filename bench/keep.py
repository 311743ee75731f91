"""What a snapshot of a workspace costs, beside restic called bare on the same tree.

    python -m bench.keep                 # 20,000 files, five snapshots each, in two minutes
    python -m bench.keep --write         # and into docs/performance.md

Processor time of all processes is what counts: it is what a save on the same computer feels, and it
does not depend on what else runs. Where the two differ is what towline adds: it walks the folder
for what the project's rules leave out, and looks whether the snapshot was needed.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import anyio

from bench.page import write_blocks
from bench.trees import put_small_files
from towline.config import load
from towline.keep import Keep
from towline.snapshots import restic

DOCS = Path(__file__).parents[1] / "docs"
FILES = 20_000
EDITS = 3  # Files saved between two snapshots.
TIMES = 5
LIMIT_S = 3.0  # Of one core, for a snapshot each minute.


@dataclass(frozen=True, slots=True)
class Cost:
    cpu_s: float
    wall_s: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.keep", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--files", type=int, default=FILES)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="towline-bench-") as directory:
        block = table(measured(Path(directory), options.files), options.files)
    print(block)
    if options.write:
        write_blocks(DOCS / "performance.md", {"keep": block})


def measured(base: Path, files: int) -> dict[str, tuple[Cost, Cost]]:
    """Return by what was done what it cost towline, and bare restic."""
    os.environ |= {
        "RESTIC_PASSWORD": "bench",
        "XDG_CACHE_HOME": str(base / "cache"),
        "XDG_STATE_HOME": str(base / "state"),
    }
    project = base / "proj"
    project.mkdir()
    put_small_files(project, files)
    (project / "towline.toml").write_text(f'[keep]\nto = "{base}/ours"\n')
    keep = Keep(project, load(project, os.environ))
    ours, bare = _taker(keep), _bare(base, project)
    _bare(base, project, "init")()
    found = {"the first": (cost(ours), cost(bare))}
    pairs = [(_after_edits(project, ours), _after_edits(project, bare)) for _ in range(TIMES)]
    found[f"after {EDITS} saves"] = _middle(pairs)
    found["nothing changed"] = _middle([(cost(ours), cost(bare)) for _ in range(TIMES)])
    return found


def cost(call: Callable[[], object]) -> Cost:
    before, began = _cpu_s(), time.monotonic()
    call()
    return Cost(_cpu_s() - before, time.monotonic() - began)


def _cpu_s() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _taker(keep: Keep) -> Callable[[], object]:
    async def take() -> None:
        await keep.take(gentle=True)

    return lambda: anyio.run(take)


def _bare(base: Path, project: Path, *words: str) -> Callable[[], object]:
    argv = [restic.program(), "-r", str(base / "bare"), "--quiet", *(words or ("backup", "."))]
    return lambda: subprocess.run(argv, cwd=project, check=True)


def _after_edits(project: Path, call: Callable[[], object]) -> Cost:
    paths = sorted(path for path in project.rglob("*") if path.is_file())[:EDITS]
    for path in paths:
        path.write_bytes(os.urandom(2000))
    return cost(call)


def _middle(pairs: list[tuple[Cost, Cost]]) -> tuple[Cost, Cost]:
    """Return the medians of either side."""

    def of(costs: list[Cost]) -> Cost:
        return Cost(
            statistics.median(each.cpu_s for each in costs),
            statistics.median(each.wall_s for each in costs),
        )

    return of([ours for ours, _ in pairs]), of([bare for _, bare in pairs])


def table(found: dict[str, tuple[Cost, Cost]], files: int) -> str:
    lines = [
        f"| snapshot of {files:,} files | towline, core s | restic, core s | × | towline, s |",
        "|---|--:|--:|--:|--:|",
    ]
    for name, (ours, bare) in found.items():
        ratio = ours.cpu_s / bare.cpu_s
        lines.append(
            f"| {name} | {ours.cpu_s:.2f} | {bare.cpu_s:.2f} | {ratio:.2f} | {ours.wall_s:.2f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
