"""How much of what the machine holds is safe on the laptop: up to when, and what is missing.

Safe is a version of a file that comes to the laptop by the direction rules once its content and
its name are on the laptop's disk. What is still being written there is no version yet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Safety:
    """`at`: Unix time up to which everything is safe; None: it never was, while this engine ran."""

    at: float | None
    behind: int  # Bytes of content that have yet to come.
    being_written: int  # Checkpoints that are no version yet.


class Safe:
    """`is_all_here` says whether all that the machine has told of is on the laptop's disk.

    `heard_at` is when it last said anything, as a Unix time, less the time on the way.
    """

    def __init__(self, is_all_here: Callable[[], bool], heard_at: Callable[[], float]) -> None:
        self._is_all_here = is_all_here
        self._heard_at = heard_at
        self.at: float | None = None

    def note(self) -> None:
        """To be called before anything is taken in that may make it untrue, and when asked."""
        if self._is_all_here():
            self.at = max(self._heard_at(), self.at or 0.0)


def together(parts: list[Safety]) -> Safety:
    """Return what is true of several folders as one."""
    times = [part.at for part in parts if part.at is not None]
    return Safety(
        at=min(times) if len(times) == len(parts) else None,
        behind=sum(part.behind for part in parts),
        being_written=sum(part.being_written for part in parts),
    )
