"""The notebook platforms that lend machines: what they call them, allow, and when they end them.

What is said here is what they publish, and no more; how much of its time a machine has lived is
read from the system.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Platform:
    alias: str = ""  # What to call a machine of theirs: its host's name is of no use.
    folder: str = ""  # Where its notebooks have their files; empty: the home folder.
    terms: str = ""  # What they allow, where that matters for a way in.
    life_s: float = 0.0  # After that they end it; 0: nobody says.
    life: str = ""


NONE = Platform()
COLAB = Platform(
    "colab",
    "/content",
    "Colab's terms do not allow SSH on its free machines; with compute units it is allowed",
    12 * HOUR_S,
    "Colab promises 12 hours at most, some plans more, and less to a notebook that nobody uses",
)
KAGGLE = Platform(
    "kaggle",
    "/kaggle/working",
    life_s=12 * HOUR_S,
    life="Kaggle ends a machine after 12 hours, and a week's GPU time after 30",
)


def platform_of(environment: Mapping[str, str]) -> Platform:
    if "COLAB_RELEASE_TAG" in environment:
        return COLAB
    return KAGGLE if "KAGGLE_KERNEL_RUN_TYPE" in environment else NONE


def expected_end(platform: Platform, began: float | None) -> float:
    """Return the Unix time until which the machine may be expected to live; 0: not known."""
    return began + platform.life_s if began is not None and platform.life_s else 0.0


def machine_began(proc: Path = Path("/proc")) -> float | None:
    """Return when this machine's first process began: in a container, the container."""
    with suppress(OSError, ValueError, IndexError):
        ticks = int((proc / "1/stat").read_text().rpartition(")")[2].split()[19])
        up_s = float((proc / "uptime").read_text().split()[0])
        return time.time() - up_s + ticks / os.sysconf("SC_CLK_TCK")
    return None
