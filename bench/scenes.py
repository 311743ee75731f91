"""The scenes: each one peer with one project, and the workloads that follow each other in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench import choice, cores, trees
from bench.acting import Bench, scene
from bench.ground import Place
from bench.peers.base import Peer
from bench.peers.towline import Link
from bench.workloads import (
    APPENDED,
    append,
    beside_bulk,
    burst,
    cut_while_sending,
    flush,
    idle,
    insert,
    relink,
    rename,
    save_during_cut,
    save_hot_and_cold,
)

SOURCE_SIZE = 28_000  # Bytes of the file that is saved.
BURST_FILES = 500


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


SCENES: dict[str, tuple[Callable[[Bench, Place, Peer], None], tuple[str, ...]]] = {
    "django": (django, ("first: django", "save", "burst", "rename", "flush", "bulk")),
    "small": (small_files, ("first: small files", "idle", "relink")),
    "large": (large_file, ("first: large file", "large")),
    "sizes": (tree_sizes, ("sizes",)),
    "hog": (hog, ("hog",)),
    "resume": (resume, ("resume",)),
}
