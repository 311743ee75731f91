"""What is measured: scenes, each one peer with one project, and what is done in them.

A scene starts its peer, waits until both sides hold the same, and does its workloads one after
another. A workload that did not arrive in time is a figure, too: never.
"""

from __future__ import annotations

import json
import math
import os
import random
import socket
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench import arrival, choice, cores, trees
from bench.ground import Ground, Place, listing
from bench.peers.base import Edit, Inserted, Moved, Peer, Running, Written
from bench.peers.towline import Link
from bench.processes import cpu_s, resident
from bench.results import NEVER, Figure, Results
from lab.wan import Link as WanLink

SOURCE_SIZE = 28_000  # Bytes of the file that is saved.
PAUSE_S = (0.03, 0.08)  # Between two saves: nobody saves in a rhythm.
COPY_TIMEOUT_S = 300.0
BUDGET_S = 8.0  # A workload of many saves ends here, if it has `FEW` at least.
FEW = 5
READY_TIMEOUT_S = 20.0
BULK_PATIENCE_S = 15.0  # For a save beside a file that takes a minute and a half.
BURST_FILES = 500
RENAMED_FILES = 300
APPENDED = 1 << 20
INSERTED = 64 << 10
REGION = 4096  # Bytes compared at each place of a large file that shows whether it is the new one.
CUT_S = 5.0
STEADY_S = 3.0  # Between two cuts: nobody is still recovering from the last one.
CUT_FILE = 32 << 20  # Bytes that are on their way when the network goes: some three seconds' worth.
LIVE_TIMEOUT_S = 60.0
RESTING = 0.01  # Of a core.
REST_MAX_S = 60.0
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


# Scenes


def django(bench: Bench, place: Place, peer: Peer) -> None:
    """Django's tree: first copy, saves, many files at once, a directory renamed, bulk beside."""
    copies = bench.scale.copies
    with scene(bench, place, peer, trees.put_django, "first: django", copies) as acting:
        if acting is None:
            return
        near = acting.ground.near
        paths = [str(path.relative_to(near)) for path in trees.of_about(near, SOURCE_SIZE)]
        if bench.wants("save"):
            save_hot_and_cold(acting, paths)
        if bench.wants("burst"):
            burst(acting, paths[:BURST_FILES])
        if bench.wants("rename"):
            rename(acting)
        if bench.wants("flush") and isinstance(acting.running, Link):
            flush(acting, acting.running)
        if bench.wants("bulk") and peer.name not in choice.NOT_BULK:
            beside_bulk(acting, paths[0])


def small_files(bench: Bench, place: Place, peer: Peer) -> None:
    """50,000 small files: first copy, rest, and linking again."""

    def fill(root: Path) -> None:
        trees.put_small_files(root, bench.scale.small_files)

    copies = min(2, bench.scale.copies)
    with scene(bench, place, peer, fill, "first: small files", copies) as acting:
        if acting is None:
            return
        if bench.wants("idle") and place.link is None:
            idle(acting)
        if bench.wants("relink") and isinstance(acting.running, Link):
            relink(acting, acting.running)


def large_file(bench: Bench, place: Place, peer: Peer) -> None:
    """A file of 512 MB: first copy, something appended, something put in."""
    size = bench.scale.large_size

    def fill(root: Path) -> None:
        trees.put_large_file(root / "large.bin", size)

    with scene(bench, place, peer, fill, "first: large file") as acting:
        if acting is None:
            return
        append(acting, size)
        insert(acting, size + APPENDED)


def tree_sizes(bench: Bench, place: Place, peer: Peer) -> None:
    """What a save costs against the number of files."""
    for count in bench.scale.sizes:

        def fill(root: Path, count: int = count) -> None:
            trees.put_small_files(root, count)

        with scene(bench, place, peer, fill, "") as acting:
            if acting is None:
                return
            near = acting.ground.near
            some = sorted(near.rglob("f*.py"))[:: max(1, count // 20)]
            took = acting.saves([str(p.relative_to(near)) for p in some], bench.scale.saves // 2)
            acting.add(f"save among {count:,}", took)


def hog(bench: Bench, place: Place, peer: Peer) -> None:
    """Saves while the machine's processor is busy with work of its own."""
    with cores.apart(place) as far_cores, scene(bench, place, peer, trees.put_django, "") as acting:
        if acting is None:
            return
        near = acting.ground.near
        path = str(trees.of_about(near, SOURCE_SIZE)[0].relative_to(near))
        with cores.busy(far_cores):
            acting.add("save, far cores busy", acting.saves([path], bench.scale.saves))


def resume(bench: Bench, place: Place, peer: Peer) -> None:
    """What a cut of 5 s costs: a save made during it, and a file that was on its way."""
    if place.link is None:
        return
    with scene(bench, place, peer, trees.put_django, "") as acting:
        if acting is None:
            return
        near = acting.ground.near
        path = str(trees.of_about(near, SOURCE_SIZE)[0].relative_to(near))
        save_during_cut(acting, place.link, path)
        if peer.name != "floor":
            cut_while_sending(acting, place.link)


# Workloads


def save_hot_and_cold(acting: Scene, paths: Sequence[str]) -> None:
    count = acting.bench.scale.saves
    for workload, chosen in (("save, hot", paths[:1]), ("save, cold", paths[1 : count + 1])):
        wire = acting.ground.wire_bytes()
        took = acting.saves(chosen, count)
        acting.add(workload, took, acting.ground.wire_bytes() - wire)


def burst(acting: Scene, paths: Sequence[str]) -> None:
    """Many files changed at once, from the first write until the last one is visible."""
    took: list[float] = []
    wire = acting.ground.wire_bytes()
    ends_at = time.perf_counter() + BUDGET_S
    while len(took) < acting.bench.scale.bursts and time.perf_counter() < ends_at:
        contents = [(path, acting.next_content(path)) for path in paths]
        acting.pause(0.3)
        began = time.perf_counter()
        for path, content in contents:
            acting.write(path, content)
        acting.running.told([Written(path) for path in paths])
        wanted = [(acting.ground.far / path, content) for path, content in contents]
        took.append(arrival.of_contents(wanted, acting.lost_after_s) - began)
        if took[-1] == NEVER:
            break
    acting.add("burst of 500", took, acting.ground.wire_bytes() - wire)


def rename(acting: Scene) -> None:
    near, far = acting.ground.near, acting.ground.far
    at = "renamed0"
    (near / at).mkdir()
    contents = [
        (f"{at}/r{number:03}.py", os.urandom(2000).hex().encode())
        for number in range(RENAMED_FILES)
    ]
    for path, content in contents:
        acting.write(path, content)
    edits: list[Edit] = [Written(path) for path, _ in contents]
    acting.running.told(edits)
    arrival.of_contents([(far / path, content) for path, content in contents], acting.lost_after_s)
    took: list[float] = []
    wire = acting.ground.wire_bytes()
    for number in range(1, acting.bench.scale.bursts + 1):
        to = f"renamed{number}"
        acting.pause(1.0)
        began = time.perf_counter()
        (near / at).rename(near / to)
        acting.running.told([Moved(at, to)])
        took.append(_when_moved(far / at, far / to, acting.lost_after_s) - began)
        if took[-1] == NEVER:
            break
        at = to
    acting.add("directory renamed", took, acting.ground.wire_bytes() - wire)


def _when_moved(old: Path, new: Path, timeout_s: float) -> float:
    def moved() -> bool:
        try:
            return len(os.listdir(new)) == RENAMED_FILES and not old.exists()
        except OSError:
            return False

    return arrival.when(moved, timeout_s)


def flush(acting: Scene, link: Link) -> None:
    """`flush` with nothing pending, asked over the control socket as the command does."""
    took: list[float] = []
    time.sleep(1.0)
    for _ in range(acting.bench.scale.saves):
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(link.socket())
            began = time.perf_counter()
            control.sendall(json.dumps({"op": "flush", "timeout_s": 10}).encode() + b"\n")
            reply = json.loads(control.makefile().readline())
            took.append(time.perf_counter() - began)
            assert "revision" in reply["reply"], reply
        time.sleep(acting.bench.chance.uniform(*PAUSE_S))
    acting.add("flush", took)


def beside_bulk(acting: Scene, path: str) -> None:
    """Saves while a large file is being sent; those after its arrival do not count."""
    scale = acting.bench.scale
    trees.put_large_file(acting.ground.state / "bulk.bin", scale.bulk_size)
    time.sleep(0.5)
    there = acting.ground.far / "bulk.bin"
    (acting.ground.state / "bulk.bin").rename(acting.ground.near / "bulk.bin")
    time.sleep(0.5)
    took: list[float] = []
    while len(took) < scale.saves and not there.exists():
        time.sleep(acting.bench.chance.uniform(*PAUSE_S))
        took.append(acting.save(path, acting.next_content(path), BULK_PATIENCE_S))
        if took[-1] == NEVER:
            break
    if took:
        acting.add("save beside bulk", took, patience_s=BULK_PATIENCE_S)
    else:
        acting.bench.results.note(
            f"{acting.place.name}: {acting.peer.name} had sent the large file within half a second"
        )


def save_during_cut(acting: Scene, link: WanLink, path: str) -> None:
    """From the network's return, and from a new transport's where it tells of one, to the save."""
    since_network: list[float] = []
    since_transport: list[float] = []
    for _ in range(acting.bench.scale.cuts):
        acting.saves([path], FEW)
        time.sleep(STEADY_S)
        link.set(cut="on")
        time.sleep(CUT_S / 2)
        content = acting.next_content(path)
        acting.write(path, content)
        acting.running.told([Written(path)])
        time.sleep(CUT_S / 2)
        told = acting.running.connections()
        link.set(cut="off")
        back = time.perf_counter()
        there, up = arrival.with_another(
            lambda content=content: arrival.holds(acting.ground.far / path, content),
            lambda told=told: acting.running.connections() > told,
            acting.lost_after_s,
        )
        since_network.append(there - back)
        if up != NEVER:
            since_transport.append(max(0.0, there - up))
    acting.add("after a cut", since_network)
    if since_transport:
        acting.add("after a cut, from the new transport", since_transport)


def cut_while_sending(acting: Scene, link: WanLink) -> None:
    """How much more is carried for a file in whose middle the network was away for 5 s."""
    plain = _wire_of_file(acting, link, "plain.bin", cut=False)
    carried = _wire_of_file(acting, link, "cut.bin", cut=True)
    if plain is not None and carried is not None:
        figure = Figure((max(0, carried - plain),), unit="bytes")
        acting.bench.results.add(acting.place.name, "sent again", acting.peer.name, figure)


def _wire_of_file(acting: Scene, link: WanLink, name: str, *, cut: bool) -> int | None:
    """Return the bytes that went over the link until a new file was there; None: never."""
    trees.put_large_file(acting.ground.state / name, CUT_FILE)
    time.sleep(STEADY_S)
    wire = acting.ground.wire_bytes()
    (acting.ground.state / name).rename(acting.ground.near / name)
    acting.running.told([Written(name)])
    if cut:
        half = wire + CUT_FILE // 2
        arrival.when(lambda: acting.ground.wire_bytes() >= half, acting.lost_after_s)
        link.set(cut="on")
        time.sleep(CUT_S)
        link.set(cut="off")
    there = acting.ground.far / name
    found = arrival.when(lambda: size_of(there) == CUT_FILE, 2 * acting.lost_after_s)
    time.sleep(0.5)  # For what is acknowledged after the fact.
    return None if found == NEVER else acting.ground.wire_bytes() - wire


def size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def wait_at_rest(pids: Sequence[int]) -> None:
    """Wait until what follows a first copy is done, for `REST_MAX_S` at most."""
    ends_at = time.perf_counter() + REST_MAX_S
    used = math.inf
    while used > RESTING and time.perf_counter() < ends_at:
        before = cpu_s(pids)
        time.sleep(2.0)
        used = (cpu_s(pids) - before) / 2.0


def idle(acting: Scene) -> None:
    """Processor time of both sides while nothing happens, and the memory they hold."""
    sides = {"near": acting.running.near(), "far": acting.running.far()}
    wait_at_rest([pid for pids in sides.values() for pid in pids])
    memory: list[int] = []
    before = {side: cpu_s(pids) for side, pids in sides.items()}
    time.sleep(acting.bench.scale.idle_s)
    for side, pids in sides.items():
        used = (cpu_s(pids) - before[side]) / acting.bench.scale.idle_s * 100
        figures = acting.bench.results
        name, peer = acting.place.name, acting.peer.name
        figures.add(name, f"idle, {side}", peer, Figure((used,), unit="%"))
        memory.append(resident(pids))
        figures.add(name, f"memory, {side}", peer, Figure((memory[-1],), unit="bytes"))
    figures.add(name, "memory, both", peer, Figure((sum(memory),), unit="bytes"))


def relink(acting: Scene, link: Link) -> None:
    """The engine started again on an unchanged tree, until both sides are known to be alike."""
    took: list[float] = []
    for _ in range(acting.bench.scale.relinks):
        link.end()
        began = time.perf_counter()
        link.begin()
        link.wait_for("ready", COPY_TIMEOUT_S)
        took.append(time.perf_counter() - began)
    acting.add("relink", took)


def append(acting: Scene, size: int) -> None:
    data = os.urandom(APPENDED)
    acting.pause(1.0)
    wire = acting.ground.wire_bytes()
    began = time.perf_counter()
    with (acting.ground.near / "large.bin").open("ab") as file:
        file.write(data)
    acting.running.told([Inserted("large.bin", size, data)])
    regions = [(size, data[:REGION]), (size + APPENDED - REGION, data[-REGION:])]
    _add_large(acting, "large: 1 MB appended", size + APPENDED, regions, began, wire)


def insert(acting: Scene, size: int) -> None:
    """Bytes put into the middle, as by a program that writes the file anew and renames it."""
    data, offset = os.urandom(INSERTED), size // 2
    beside = acting.ground.state / "large.new"
    with (acting.ground.near / "large.bin").open("rb") as old, beside.open("wb") as new:
        _copy(old.read, new.write, offset)
        new.write(data)
        after = old.read(REGION)
        new.write(after)
        _copy(old.read, new.write, size)
    acting.pause(1.0)
    wire = acting.ground.wire_bytes()
    began = time.perf_counter()
    beside.rename(acting.ground.near / "large.bin")
    acting.running.told([Inserted("large.bin", offset, data)])
    regions = [(offset, data[:REGION]), (offset + INSERTED, after)]
    _add_large(acting, "large: 64 kB inserted", size + INSERTED, regions, began, wire)


def _copy(read: Callable[[int], bytes], write: Callable[[bytes], int], size: int) -> None:
    while size > 0 and (piece := read(min(size, 1 << 20))):
        write(piece)
        size -= len(piece)


def _add_large(
    acting: Scene,
    workload: str,
    size: int,
    regions: Sequence[tuple[int, bytes]],
    began: float,
    wire: int,
) -> None:
    there = acting.ground.far / "large.bin"

    def holds() -> bool:
        try:
            with there.open("rb", buffering=0) as file:
                return os.fstat(file.fileno()).st_size == size and all(
                    file.seek(offset) == offset and file.read(len(data)) == data
                    for offset, data in regions
                )
        except OSError:
            return False

    took = arrival.when(holds, COPY_TIMEOUT_S) - began
    acting.add(workload, [took], acting.ground.wire_bytes() - wire)


SCENES: dict[str, tuple[Callable[[Bench, Place, Peer], None], tuple[str, ...]]] = {
    "django": (django, ("first: django", "save", "burst", "rename", "flush", "bulk")),
    "small": (small_files, ("first: small files", "idle", "relink")),
    "large": (large_file, ("first: large file", "large")),
    "sizes": (tree_sizes, ("sizes",)),
    "hog": (hog, ("hog",)),
    "resume": (resume, ("resume",)),
}
