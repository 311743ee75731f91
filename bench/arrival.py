"""When something has arrived on the far side: watched by a tight loop, in this process.

The far side's files are on this computer too, whatever lies between, so one clock serves both.
All times returned are of `time.perf_counter`; `NEVER` if it did not happen in time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from bench.ground import Ground, Listing, listing
from bench.results import NEVER

POLL_S = 0.00015
WALK_SHARE = 4  # A walk over the far side is followed by a pause of so many times its length.


def when(holds: Callable[[], bool], timeout_s: float) -> float:
    """Return when `holds()` was first seen to be true."""
    ends_at = time.perf_counter() + timeout_s
    while not holds():
        if time.perf_counter() > ends_at:
            return NEVER
        time.sleep(POLL_S)
    return time.perf_counter()


def of_content(path: Path, content: bytes, timeout_s: float) -> float:
    """Return when the file at `path` was seen to hold exactly `content`."""
    name, size = os.fspath(path), len(content)

    def holds() -> bool:
        try:
            if os.stat(name).st_size != size:
                return False
            with open(name, "rb", buffering=0) as file:
                return file.read(size + 1) == content
        except OSError:
            return False

    return when(holds, timeout_s)


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

    It is walked only once its file system counts enough files, and then not all the time.
    """
    ends_at = time.perf_counter() + timeout_s
    least = used_before + len(wanted)
    own_system = os.path.ismount(ground.far.parent)
    while time.perf_counter() < ends_at:
        if not own_system or ground.files_used() >= least:
            began = time.perf_counter()
            if listing(ground.far) == wanted:
                return began
            time.sleep(WALK_SHARE * (time.perf_counter() - began))
        time.sleep(POLL_S)
    return NEVER
