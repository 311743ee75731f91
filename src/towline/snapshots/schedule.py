"""When the next snapshot is due, and when old ones go. Pure; times are arguments.

A snapshot is made an interval after the last one, if something changed since. What failed is tried
again later and later. Old snapshots are forgotten now and then, what they alone held once a day:
that reads much of the repository.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

FORGET_EVERY = 30  # Snapshots; it costs about as much as one.
FORGET_EVERY_S = 6 * 3600.0
PRUNE_EVERY_S = 24 * 3600.0
RETRY_MAX_S = 1800.0


@dataclass(frozen=True, slots=True)
class Retention:
    """How many are kept: the last ones, and one for each hour, day and week."""

    last: int = 20
    hourly: int = 24
    daily: int = 14
    weekly: int = 8

    def arguments(self) -> list[str]:
        return [
            word
            for name in ("last", "hourly", "daily", "weekly")
            if (count := int(getattr(self, name)))
            for word in (f"--keep-{name}", str(count))
        ]


@dataclass(frozen=True, slots=True)
class Record:
    """What is remembered of one repository between engines. Times are Unix times."""

    made: bool = False  # It was there once: it is never made anew behind the person's back.
    snapshot: str = ""
    at: float = 0.0
    since_forgotten: int = 0  # Snapshots.
    forgotten: float = 0.0
    pruned: float = 0.0


class Upkeep(enum.Enum):
    NONE = "none"
    FORGET = "forget"
    PRUNE = "forget and prune"


def wait_s(record: Record, interval_s: float, now: float, failures: int = 0) -> float:
    """Return how long to wait before the next snapshot, at most one interval.

    After failures that is the interval, then twice, and so on.
    """
    if failures:
        return min(interval_s * float(2 ** (failures - 1)), max(interval_s, RETRY_MAX_S))
    left = record.at + interval_s - now
    return min(max(left, 0.0), interval_s)  # A clock that was set back must not stop it.


def upkeep(record: Record, now: float) -> Upkeep:
    """Say what is to be done after a snapshot."""
    if abs(now - record.pruned) >= PRUNE_EVERY_S:
        return Upkeep.PRUNE
    is_due = abs(now - record.forgotten) >= FORGET_EVERY_S
    return Upkeep.FORGET if is_due or record.since_forgotten >= FORGET_EVERY else Upkeep.NONE
