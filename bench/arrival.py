"""When something has arrived on the far side: watched by a tight loop, in this process.

The far side's files are on this computer too, whatever lies between, so one clock serves both.
All times returned are of `time.perf_counter`; `NEVER` if it did not happen in time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from bench.ground import Ground, Listing, entry_at, listing
from bench.results import NEVER

POLL_S = 0.00015
TREE_POLL_S = 0.002  # A copy takes a second, and the processors with it.
EXTRA_S = 0.05


def when(holds: Callable[[], bool], timeout_s: float, poll_s: float = POLL_S) -> float:
    """Return when `holds()` was first seen to be true."""
    ends_at = time.perf_counter() + timeout_s
    while not holds():
        if time.perf_counter() > ends_at:
            return NEVER
        time.sleep(poll_s)
    return time.perf_counter()


def holds(path: Path, content: bytes) -> bool:
    """Return whether the file at `path` holds exactly `content`."""
    name, size = os.fspath(path), len(content)
    try:
        if os.stat(name).st_size != size:
            return False
        with open(name, "rb", buffering=0) as file:
            return file.read(size + 1) == content
    except OSError:
        return False


def of_content(path: Path, content: bytes, timeout_s: float) -> float:
    """Return when the file at `path` was seen to hold exactly `content`."""
    return when(lambda: holds(path, content), timeout_s)


def with_another(
    arrived: Callable[[], bool], other: Callable[[], bool], timeout_s: float
) -> tuple[float, float]:
    """Return when the first was seen, and when the other was if not later; else `NEVER`."""
    other_at = NEVER

    def both() -> bool:
        nonlocal other_at
        if other_at == NEVER and other():
            other_at = time.perf_counter()
        return arrived()

    return when(both, timeout_s), other_at


def of_contents(files: Iterable[tuple[Path, bytes]], timeout_s: float) -> float:
    """Return when all of these files had been seen to hold what they should."""
    ends_at = time.perf_counter() + timeout_s
    seen_at = NEVER
    for path, content in files:
        seen_at = of_content(path, content, max(0.0, ends_at - time.perf_counter()))
        if seen_at == NEVER:
            break
    return seen_at


def of_tree(ground: Ground, wanted: Listing, used_before: int, timeout_s: float) -> float:
    """Return when the far side held this tree, by names and sizes.

    It is walked only once its file system counts enough files. What a walk did not find is then
    looked at on its own, so that walking neither slows the copy nor blurs the time.
    """
    ends_at = time.perf_counter() + timeout_s
    if os.path.ismount(ground.far.parent):
        least = used_before + len(wanted)
        when(lambda: ground.files_used() >= least, timeout_s, TREE_POLL_S)
    seen_at = time.perf_counter()
    while seen_at < ends_at:
        found = listing(ground.far)
        if found == wanted:
            return seen_at
        lacking = [path for path, entry in wanted.items() if found.get(path) != entry]
        seen_at = _of_entries(ground.far, wanted, lacking, ends_at - time.perf_counter())
        if not lacking:  # There is more than there should be: names of a copy under way.
            time.sleep(EXTRA_S)
    return NEVER


def _of_entries(root: Path, wanted: Listing, paths: list[str], timeout_s: float) -> float:
    """Return when each of these paths had been seen to be as wanted."""
    waiting = list(paths)

    def none_waits() -> bool:
        while waiting and entry_at(root / waiting[-1]) == wanted[waiting[-1]]:
            waiting.pop()
        return not waiting

    return when(none_waits, timeout_s, TREE_POLL_S)
