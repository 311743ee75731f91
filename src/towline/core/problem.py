"""Trouble with one path: data, not an exception. It is shown, and it stops nothing else."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class ProblemKind(enum.Enum):
    """Why a path cannot be synced for now. The value is what a person reads."""

    UNREADABLE = "cannot be read"
    UNWRITABLE = "cannot be written"
    DISK_FULL = "no space left on the disk"
    SPECIAL = "is neither a file, a directory nor a link"
    NAME = "has a name the other side cannot hold"
    LINK = "is a link that leads out of the project"
    TOO_LARGE = "is larger than the limit"
    UNASKED = "is not taken from the machine unasked"
    CHANGING = "changes faster than it can be read"
    UNSETTLED = "is being written"  # A checkpoint: it is carried once it is settled. No trouble.


@dataclass(frozen=True, slots=True)
class Problem:
    path: str
    kind: ProblemKind
    detail: str = ""

    @property
    def reason(self) -> str:
        """What is wrong, without the path."""
        return f"{self.kind.value} ({self.detail})" if self.detail else self.kind.value

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"
