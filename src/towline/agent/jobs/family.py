"""The processes of a job, from /proc: which they are, what they use, and which catch a signal.

A job's supervisor adopts what its processes leave behind, so all of them descend from it. Where
there is no /proc nothing is known, and that is what is returned.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Use:
    """What some processes use together. Times include children that were waited for."""

    processes: int = 0
    cpu_s: float = 0.0
    memory: int = 0  # Bytes resident; what they share is counted for each.


def descendants(root: int, parents: dict[int, int] | None = None) -> list[int]:
    """Return all that descend from a process, parents first, without itself."""
    parents = all_parents() if parents is None else parents
    children: dict[int, list[int]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    family = [root]
    for member in family:  # Grows while it is walked.
        family += children.pop(member, [])
    return family[1:]


def all_parents() -> dict[int, int]:
    """Return the parent of every process that can be seen."""
    parents: dict[int, int] = {}
    for pid in all_processes():
        if fields := _fields(pid):
            parents[pid] = int(fields[1])
    return parents


def all_processes() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def use_of(pids: Iterable[int]) -> Use:
    count, ticks, pages = 0, 0, 0
    for pid in pids:
        if fields := _fields(pid):
            count += 1
            ticks += sum(map(int, fields[11:15]))
            pages += int(fields[21])
    return Use(count, ticks / TICKS, pages * PAGE)


def catches(pid: int, number: int) -> bool:
    """Whether a process has a function for the signal: to all others it may be the end."""
    with (
        suppress(OSError, ValueError),
        open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file,
    ):
        for line in file:
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


def _fields(pid: int) -> list[str]:
    """Return a process's figures from its state on; none if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()  # The name may hold anything.
    except OSError:
        return []
    return fields if fields[:1] != ["Z"] else []
