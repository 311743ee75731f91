"""Whose processor time a first copy costs, beside the reference's whole time in the same run.

    python -m bench.shares [--only django,small,large] [--copies N] [--write]

On one computer, where both ends share the processors: all that they use together, divided by how
many there are, is the least time that a copy can take. What the time is spent on is not known here.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench import page, sample, trees
from bench.__main__ import DOCS
from bench.acting import Scale, copied
from bench.ground import Place, place_at
from bench.peers.base import Peer, Running
from bench.peers.tar import Tar
from bench.peers.towline import Towline
from bench.processes import cpu_s

SCALE = Scale()
COPIES: dict[str, tuple[str, Callable[[Path], None], str]] = {  # Title, what is copied, reference.
    "django": ("Django", trees.put_django, "tar.zst"),
    "small": (
        f"{SCALE.small_files:,} files",
        lambda root: trees.put_small_files(root, SCALE.small_files),
        "tar",
    ),
    "large": (
        f"{SCALE.large_size >> 20} MB",
        lambda root: trees.put_large_file(root / "large.bin", SCALE.large_size),
        "tar",
    ),
}
WHO = ("engine", "agent", "ssh, both ends")
CORES = os.cpu_count() or 1


@dataclass(frozen=True)
class Copy:
    """One first copy: seconds by the clock, and of processor time, by who used it."""

    took: float
    used: Mapping[str, float]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.shares", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--only", default=",".join(COPIES))
    parser.add_argument("--copies", type=int, default=SCALE.copies)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args(argv)
    rows: list[str] = []
    with place_at("loopback", 0, 0) as place:
        for kind in options.only.split(","):
            title, fill, reference = COPIES[kind]
            ours = median([copy_of(place, Towline(), fill) for _ in range(options.copies)])
            theirs = median([copy_of(place, Tar(reference), fill) for _ in range(options.copies)])
            rows.append(row(title, ours, f"{reference} {sample.seconds(theirs.took)}"))
            print(rows[-1], file=sys.stderr)
    text = "\n".join([*head(), *rows])
    print(text)
    if options.write:
        page.write_blocks(DOCS / "performance.md", {"shares": text})
    return 0


def copy_of(place: Place, peer: Peer, fill: Callable[[Path], None]) -> Copy:
    with place.ground() as ground:
        fill(ground.near)
        running, figure = copied(place, peer, ground)
        try:
            return Copy(figure.samples[0], used_by(running))
        finally:
            running.stop()


def used_by(running: Running) -> dict[str, float]:
    """Return the processor time of what still runs; a stream's programs have ended by now."""
    near, far = apart(running.near()), apart(running.far())
    used = near["python"], far["python"], [*near["ssh"], *far["ssh"]]
    return dict(zip(WHO, map(cpu_s, used), strict=True))


def apart(pids: Iterable[int]) -> dict[str, list[int]]:
    """Return the processes of ssh and those of Python."""
    found: dict[str, list[int]] = {"ssh": [], "python": []}
    for pid in pids:
        with suppress(OSError):
            name = Path(f"/proc/{pid}/comm").read_text()
            found["ssh" if name.startswith("ssh") else "python"].append(pid)
    return found


def median(copies: Sequence[Copy]) -> Copy:
    """Return the medians, each on its own."""
    used = {who: statistics.median(copy.used[who] for copy in copies) for who in copies[0].used}
    return Copy(statistics.median(copy.took for copy in copies), used)


def head() -> list[str]:
    titles = ["first copy", "all there", *WHO, "together", f"{CORES} cores, at least", "reference"]
    return [f"| {' | '.join(titles)} |", f"|---|{'--:|' * (len(titles) - 1)}"]


def row(title: str, copy: Copy, reference: str) -> str:
    together = sum(copy.used.values())
    figures = [copy.took, *(copy.used[who] for who in WHO), together, together / CORES]
    return f"| {' | '.join([title, *map(sample.seconds, figures), reference])} |"


if __name__ == "__main__":
    sys.exit(main())
