"""What is done in a scene, and measured. What did not arrive in time is a figure, too: never."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import arrival, trees
from bench.acting import BUDGET_S, COPY_TIMEOUT_S, FEW, PAUSE_S, Scene
from bench.peers.base import Edit, Inserted, Moved, Written
from bench.peers.towline import Link
from bench.processes import cpu_s, resident
from bench.results import NEVER, Figure
from lab.wan import Link as WanLink

BULK_PATIENCE_S = 15.0  # For a save beside a file that takes a minute and a half.
RENAMED_FILES = 300
APPENDED = 1 << 20
INSERTED = 64 << 10
REGION = 4096  # Bytes compared at each place of a large file that shows whether it is the new one.
CUT_S = 5.0
STEADY_S = 3.0  # Between two cuts: nobody is still recovering from the last one.
CUT_FILE = 32 << 20  # Bytes that are on their way when the network goes: some three seconds' worth.
RESTING = 0.01  # Of a core.
REST_MAX_S = 60.0


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
    """Wait until what follows a first copy is done, for `REST_MAX_S` at most.

    It is where two looks in a row see nothing: the past is written down after a pause.
    """
    ends_at = time.perf_counter() + REST_MAX_S
    looks: list[float] = []
    while time.perf_counter() < ends_at and not (looks[1:] and max(looks[-2:]) <= RESTING):
        before = cpu_s(pids)
        time.sleep(2.0)
        looks.append((cpu_s(pids) - before) / 2.0)


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
