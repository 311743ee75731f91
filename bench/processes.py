"""What processes use: processor time and memory, as Linux counts them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def cpu_s(pids: Iterable[int]) -> float:
    """Return the seconds of processor time that these processes have used so far."""
    total_ns = 0
    for pid in pids:
        with suppress(OSError):
            for thread in os.listdir(f"/proc/{pid}/task"):
                told = Path(f"/proc/{pid}/task/{thread}/schedstat").read_text()
                total_ns += int(told.split()[0])
    return total_ns / 1e9


def resident(pids: Iterable[int]) -> int:
    """Return the bytes of memory these processes hold, shared pages counted in each."""
    pages = 0
    for pid in pids:
        with suppress(OSError):
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE")
