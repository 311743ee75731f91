"""One peer with one project, in a scene: how it saves, waits, and writes down what it took.

A scene starts its peer and waits until both sides hold the same. What is done then is not known
here.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench import arrival, trees
from bench.ground import Ground, Place, listing
from bench.peers.base import Peer, Running, Written
from bench.results import NEVER, Figure, Results

PAUSE_S = (0.03, 0.08)  # Between two saves: nobody saves in a rhythm.
COPY_TIMEOUT_S = 300.0
BUDGET_S = 8.0  # A workload of many saves ends here, if it has `FEW` at least.
FEW = 5
READY_TIMEOUT_S = 20.0
LIVE_TIMEOUT_S = 60.0
MARK = b"\n# save "


@dataclass(frozen=True)
class Scale:
    """How much of everything. The defaults are those of the page."""

    saves: int = 60
    bursts: int = 5
    copies: int = 3  # First copies of Django's tree, of towline and of the references.
    small_files: int = 50_000
    large_size: int = 512 << 20
    bulk_size: int = 1 << 30
    idle_s: float = 10.0
    lost_after_s: float = 30.0  # What is not visible by then counts as lost.
    sizes: tuple[int, ...] = (1_000, 10_000, 100_000, 200_000)
    relinks: int = 3
    cuts: int = 3


QUICK = Scale(
    saves=15,
    bursts=2,
    copies=1,
    small_files=5_000,
    large_size=64 << 20,
    bulk_size=256 << 20,
    idle_s=3.0,
    lost_after_s=10.0,
    sizes=(1_000, 5_000),
    relinks=1,
    cuts=1,
)


@dataclass
class Bench:
    """One run: what is wanted of it, and what it found."""

    results: Results
    scale: Scale
    wanted: frozenset[str]
    chance: random.Random = field(default_factory=lambda: random.Random(trees.SEED))  # noqa: S311

    def wants(self, *workloads: str) -> bool:
        return not self.wanted.isdisjoint(workloads)


class Scene:
    """A running peer with its project, in step."""

    def __init__(
        self, bench: Bench, place: Place, peer: Peer, ground: Ground, running: Running
    ) -> None:
        self.bench = bench
        self.place = place
        self.peer = peer
        self.ground = ground
        self.running = running
        self._probes = 0

    def add(
        self,
        workload: str,
        samples: Sequence[float],
        wire: int | None = None,
        patience_s: float | None = None,
    ) -> None:
        """Record the figure of a workload; `wire` is of all samples together."""
        each = None if wire is None or not self.place.link else wire / len(samples)
        figure = Figure(tuple(samples), wire=each, patience_s=patience_s or self.lost_after_s)
        self.bench.results.add(self.place.name, workload, self.peer.name, figure)

    def write(self, path: str, content: bytes) -> None:
        """Save in place, as most editors do."""
        with open(self.ground.near / path, "wb", buffering=0) as file:
            file.write(content)

    @property
    def lost_after_s(self) -> float:
        return self.bench.scale.lost_after_s

    def save(self, path: str, content: bytes, timeout_s: float | None = None) -> float:
        """Save; return the seconds until it is visible there."""
        timeout_s = self.lost_after_s if timeout_s is None else timeout_s
        began = time.perf_counter()
        self.write(path, content)
        self.running.told([Written(path)])
        return arrival.of_content(self.ground.far / path, content, timeout_s) - began

    def saves(self, paths: Sequence[str], count: int) -> list[float]:
        """Save these files in turn, `count` times, or fewer if that takes long."""
        took: list[float] = []
        ends_at = time.perf_counter() + BUDGET_S
        while len(took) < count and (len(took) < FEW or time.perf_counter() < ends_at):
            path = paths[len(took) % len(paths)]
            self.pause()
            took.append(self.save(path, self.next_content(path)))
            if took[-1] == NEVER:
                break
        return took

    def pause(self, seconds: float | None = None) -> None:
        """Wait as a person does between two saves, and until the peer listens again."""
        time.sleep(self.bench.chance.uniform(*PAUSE_S) if seconds is None else seconds)
        arrival.when(self.running.listens, READY_TIMEOUT_S)

    def next_content(self, path: str) -> bytes:
        """Return the file with another last line, and never twice in a row of the same size.

        rsync and all that build on it lose a second save of equal size within one second.
        """
        self._probes += 1
        text = (self.ground.near / path).read_bytes().partition(MARK)[0]
        return text + MARK + b"%08d%s\n" % (self._probes, b"." * (self._probes % 50))

    def wait_live(self) -> bool:
        """Save a file of no interest until one arrives: only then everything is watched."""
        ends_at = time.perf_counter() + LIVE_TIMEOUT_S
        while time.perf_counter() < ends_at:
            self._probes += 1
            content = b"%d" % self._probes
            if self.save("probe.txt", content, timeout_s=5.0) != NEVER:
                time.sleep(0.2)
                return True
        return False


def copied(place: Place, peer: Peer, ground: Ground) -> tuple[Running, Figure]:
    """Start the peer; return it with the figure of its first copy."""
    wanted = listing(ground.near)
    used, wire = ground.files_used(), ground.wire_bytes()
    began = time.perf_counter()
    running = peer.start(ground)
    took = arrival.of_tree(ground, wanted, used, COPY_TIMEOUT_S) - began
    carried = ground.wire_bytes() - wire
    return running, Figure((took,), wire=carried if place.link else None, patience_s=COPY_TIMEOUT_S)


def copied_before(
    place: Place, peer: Peer, fill: Callable[[Path], None], count: int
) -> list[float]:
    """Return the times of so many first copies, each by a peer of its own."""
    took: list[float] = []
    for _ in range(count):
        with place.ground() as ground:
            fill(ground.near)
            running, figure = copied(place, peer, ground)
            running.stop()
            took += figure.samples
    return took


@contextmanager
def scene(
    bench: Bench,
    place: Place,
    peer: Peer,
    fill: Callable[[Path], None],
    workload: str,
    copies: int = 1,
) -> Generator[Scene | None]:
    """Yield a peer in step with what `fill` put into the project; None if it cannot be had."""
    before: list[float] = []
    if bench.wants(workload) and (peer.copies_only or peer.name == "towline"):
        before = copied_before(place, peer, fill, copies - 1)
    with place.ground() as ground:
        fill(ground.near)
        running, figure = copied(place, peer, ground)
        try:
            if bench.wants(workload):
                figure = replace(figure, samples=(*before, *figure.samples))
                bench.results.add(place.name, workload, peer.name, figure)
            if NEVER in figure.samples:
                told = ground.told()[-500:]
                bench.results.note(f"{place.name}: {peer.name} did not finish {workload} {told}")
                yield None
                return
            acting = Scene(bench, place, peer, ground, running)
            live = not peer.copies_only and acting.wait_live()
            if not live and not peer.copies_only:
                bench.results.note(f"{place.name}: {peer.name} did not follow after {workload}")
            yield acting if live else None
        finally:
            running.stop()
