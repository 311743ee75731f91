"""Memory and descriptors of the two programs over time, and whether they keep growing."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bench.processes import resident


@dataclass(frozen=True)
class Vitals:
    """One look. Memory in bytes."""

    at_s: float
    engine_memory: int
    engine_descriptors: int
    agent_memory: int
    agent_descriptors: int
    files: int  # In the project.
    rests: bool  # Nothing is on its way: what is held now is held for good.


NUMBERS = ("engine_memory", "engine_descriptors", "agent_memory", "agent_descriptors")


def vitals_of(engine: int, agent: int, at_s: float, files: int, *, rests: bool) -> Vitals:
    return Vitals(
        at_s,
        resident([engine]),
        _descriptors(engine),
        resident([agent]),
        _descriptors(agent),
        files,
        rests,
    )


def growth(looks: Sequence[Vitals]) -> dict[str, tuple[float, float]]:
    """Return, for each number, its median at rest in the second and in the last quarter.

    In the first one everything is met for the first time.
    """
    rests = [asdict(look) for look in looks if look.rests]
    quarter = max(1, len(rests) // 4)
    early, late = rests[quarter : 2 * quarter] or rests[:1], rests[-quarter:]
    return {
        name: (
            statistics.median(look[name] for look in early),
            statistics.median(look[name] for look in late),
        )
        for name in NUMBERS
        if rests
    }


def _descriptors(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0
