"""Notebooks in step: is a cell ever stale, and what does it cost? `nox -s bench-notebook`.

    python -m bench.notebook                 # all of it, 1,000 edits a place; some ten minutes
    python -m bench.notebook --edits 50      # a short one; with 0 what a cell costs, alone
    python -m bench.notebook --write         # and into docs/guide-notebook.md

A save on the laptop and the cell at once, at several distances: random edits of several files, of
one size, by rename and in place. Beside it lsyncd with `%autoreload 2`, the usual pair. Then what
a cell costs when nothing changed, against `%autoreload 2` in the same kernel.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.ground import Ground
from bench.peers.lsyncd import Lsyncd
from lab.wan import wan
from lab.wan import why_not as why_no_wan
from tests.end_to_end.laptop import laptop_in, save
from tests.end_to_end.sshd import Machine, machine_in
from tests.end_to_end.test_notebook import NAMES, edit, notebook, numbers
from tests.notebook.kernel import Kernel, kernel_in

PAGE = Path(__file__).parents[1] / "docs/guide-notebook.md"
MARKS = re.compile(r"(<!-- figures: begin -->\n).*?(<!-- figures: end -->)", re.DOTALL)
DISTANCES_MS = (0, 20, 100)
LSYNCD_EDITS = 50
MODULES = (100, 1000, 3000)
CELLS = 60  # Of each kind, taking turns.
SEED = 20261125


@dataclass
class Count:
    """What cells saw of the edits before them."""

    edits: int = 0
    stale: int = 0  # Something that had been saved was missing.
    mixed: int = 0  # Some of what was saved together was there, and some was not.
    not_run: int = 0  # Stopped, with the reason said.
    times_ms: list[float] | None = None

    def row(self, name: str, rtt_ms: int) -> str:
        p50 = statistics.median(self.times_ms or [0.0])
        counts = f"{self.edits:,} | {self.stale:,} | {self.mixed:,} | {self.not_run:,}"
        return f"| {name} | {rtt_ms} ms | {counts} | {p50:.1f} ms |"


@contextmanager
def machine_at(rtt_ms: int) -> Generator[tuple[Machine, Path]]:
    directory = Path(tempfile.mkdtemp(prefix="tow-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        link = stack.enter_context(wan(rtt_ms=rtt_ms)) if rtt_ms else None
        machine = stack.enter_context(machine_in(directory / "machine", link=link))
        yield machine, directory


def prepare(project: Path) -> None:
    (project / "deep").mkdir(exist_ok=True)
    (project / "deep/__init__.py").touch()
    for name in NAMES:
        save(project / f"{name.replace('.', '/')}.py", "NUMBER = 10000\n")


def count_edits(kernel: Kernel, project: Path, edits: int) -> Count:
    """Edit and run at once; look at what the cell saw."""
    chance = random.Random(SEED)  # noqa: S311 - Not for secrets.
    count = Count(times_ms=[])
    kernel.run(f"import {', '.join(NAMES)}")
    cell = f"[{', '.join(f'{name}.NUMBER' for name in NAMES)}]"
    before = numbers(project)
    for number in range(10_001, 10_001 + edits):
        edit(project, chance, number)
        wanted = numbers(project)
        began = time.perf_counter()
        ran = kernel.run(cell)
        assert count.times_ms is not None
        count.times_ms.append((time.perf_counter() - began) * 1000)
        count.edits += 1
        if ran.status != "ok":
            count.not_run += 1
            continue
        seen = [int(text) for text in ran.result.strip("[]").split(",")]
        changed = [at for at, value in enumerate(wanted) if value != before[at]]
        fresh = [at for at in changed if seen[at] == wanted[at]]
        count.stale += len(fresh) < len(changed)
        count.mixed += 0 < len(fresh) < len(changed)
        before = wanted
    return count


def towline_at(rtt_ms: int, edits: int) -> Count:
    with (
        machine_at(rtt_ms) as (machine, directory),
        laptop_in(directory / "laptop", machine) as laptop,
    ):
        prepare(laptop.project)
        with laptop.linked(timeout_s=60), notebook(laptop) as kernel:
            return count_edits(kernel, laptop.project, edits)


def lsyncd_at(rtt_ms: int, edits: int, delay_s: int) -> Count:
    peer = Lsyncd("lsyncd", delay_s=delay_s, shared=delay_s == 0)
    with machine_at(rtt_ms) as (machine, directory):
        near, state = directory / "near", directory / "state"
        near.mkdir()
        state.mkdir()
        prepare(near)
        ground = Ground(machine, None, near, machine.home / "far", state)
        running = peer.start(ground)
        try:
            wait_for(lambda: (ground.far / "deep/four.py").exists(), "lsyncd's first copy")
            with plain_kernel(ground.far, machine) as kernel:
                kernel.run("%load_ext autoreload\n%autoreload 2")
                return count_edits(kernel, near, edits)
        finally:
            running.stop()


@contextmanager
def plain_kernel(directory: Path, machine: Machine) -> Generator[Kernel]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(machine.home)}
    with kernel_in(directory, environment) as kernel:
        yield kernel


def wait_for(holds: Callable[[], bool], what: str) -> None:
    ends_at = time.monotonic() + 60
    while not holds():
        if time.monotonic() > ends_at:
            raise TimeoutError(what)
        time.sleep(0.05)


# What a cell costs.


def costs_at(rtt_ms: int) -> Iterator[str]:
    with (
        machine_at(rtt_ms) as (machine, directory),
        laptop_in(directory / "laptop", machine) as laptop,
    ):
        prepare(laptop.project)
        with laptop.linked(timeout_s=60), notebook(laptop) as kernel:
            kernel.run(f"import {', '.join(NAMES)}\n%load_ext autoreload")
            for modules in MODULES:
                load_modules(kernel, machine, modules)
                times = cell_times(kernel)
                bare = times["bare"]
                added = [f"{times[name] - bare:.1f} ms" for name in ("towline", "%autoreload 2")]
                yield f"| {rtt_ms} ms | {modules:,} | {bare:.1f} ms | {' | '.join(added)} |"


def load_modules(kernel: Kernel, machine: Machine, count: int) -> None:
    """Have at least `count` modules in `sys.modules`, of files outside the project."""
    place = machine.home / "library"
    place.mkdir(exist_ok=True)
    for number in range(count):
        (place / f"stub{number}.py").write_text("VALUE = 1\n")
    said = kernel.run(
        "import sys, importlib\n"
        f"sys.path.append({str(place)!r})\n"
        "number = 0\n"
        f"while len(sys.modules) < {count} or number == 0:\n"
        "    importlib.import_module(f'stub{number}'); number += 1"
    )
    assert said.status == "ok", said


def cell_times(kernel: Kernel) -> dict[str, float]:
    """Return the median time of an empty cell in ms, taking turns with each way."""
    ways = {
        "bare": "%towline off\n%autoreload 0",
        "towline": "%autoreload 0\n%towline on",
        "%autoreload 2": "%towline off\n%autoreload 2",
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(CELLS // 10):
        for name, set_up in ways.items():
            kernel.run(set_up)
            kernel.run("pass")
            for _ in range(10):
                began = time.perf_counter()
                kernel.run("pass")
                times[name].append((time.perf_counter() - began) * 1000)
    return {name: statistics.median(values) for name, values in times.items()}


def tables(edits: int, distances: list[int]) -> Iterator[str]:
    """Yield the lines of both tables; without edits only the second."""
    if edits:
        yield from counts(edits, distances)
        yield ""
    yield "| round trip | modules loaded | a bare cell | towline adds | `%autoreload 2` adds |"
    yield "| --- | --- | --- | --- | --- |"
    for rtt_ms in distances:
        yield from costs_at(rtt_ms)


def counts(edits: int, distances: list[int]) -> Iterator[str]:
    yield "| | round trip | edits | stale | mixed | not run | cell, p50 |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for rtt_ms in distances:
        yield towline_at(rtt_ms, edits).row("towline", rtt_ms)
    if shutil.which("lsyncd"):
        for rtt_ms in distances:
            for delay_s in (0, 1):
                count = lsyncd_at(rtt_ms, min(edits, LSYNCD_EDITS), delay_s)
                yield count.row(f"lsyncd, delay {delay_s} s, `%autoreload 2`", rtt_ms)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.notebook", description=__doc__)
    parser.add_argument("--edits", type=int, default=1000)
    parser.add_argument("--distances", default=",".join(map(str, DISTANCES_MS)))
    parser.add_argument("--write", action="store_true", help="into docs/guide-notebook.md")
    options = parser.parse_args(argv)
    distances = [int(text) for text in options.distances.split(",")]
    if reason := why_no_wan():
        print(f"no WAN link: {reason}", file=sys.stderr)
        distances = [0]
    lines: list[str] = []
    for line in tables(options.edits, distances):
        print(line, flush=True)
        lines.append(line)
    if options.write:
        text = "\n".join(lines)
        PAGE.write_text(MARKS.sub(lambda m: f"{m[1]}{text}\n{m[2]}", PAGE.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
