"""Which way a path is synced."""

from __future__ import annotations

import enum


class Direction(enum.Enum):
    BOTH = "both"  # Changes on either side reach the other.
    PUSH = "push"  # The laptop is the truth.
    PULL = "pull"  # The machine is the truth.
