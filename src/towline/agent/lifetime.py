"""Which life of the machine this is, and how long it is: by its environment, by its provider.

Nothing is asked over a network, and nothing is remembered here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress

from towline.core.deadline import Deadline

HOURS_12 = 12 * 3600.0
RULES = (
    ("COLAB_RELEASE_TAG", HOURS_12, "Colab ends a machine after 12 hours at most"),
    ("KAGGLE_KERNEL_RUN_TYPE", HOURS_12, "Kaggle ends a notebook after 12 hours"),
)
SLURM_END = "SLURM_JOB_END_TIME"
FIRST = "/proc/1"  # Of a container its own first process: it began with the machine.


def deadline_of(lives_s: float, environment: Mapping[str, str], age_s: float) -> Deadline | None:
    """Return when this machine ends, in Unix time. What the laptop says (`lives_s`) counts most.

    Who says for how long a machine lives that is older than that means: from now on.
    """
    now = time.time()
    if lives_s:
        left_s = lives_s - age_s if age_s < lives_s else lives_s
        return Deadline(now + left_s, f"it lives for {_time_text(lives_s)}, as was said")
    with suppress(KeyError, ValueError):
        return Deadline(float(environment[SLURM_END]), "SLURM ends the job")
    for variable, limit_s, why in RULES:
        if variable in environment and age_s < limit_s:
            return Deadline(now + limit_s - age_s, why)
    return None


def environment() -> dict[str, str]:
    """Return our environment, and that of the machine's first process where it can be read."""
    found: dict[str, str] = {}
    with suppress(OSError), open(f"{FIRST}/environ", "rb") as file:
        for item in file.read().split(b"\0"):
            name, _, value = os.fsdecode(item).partition("=")
            found[name] = value
    return {**found, **os.environ}


def boot_id() -> str:
    """Return what names this start of the machine; empty where nothing does.

    Containers have the one of their host: ending one loses nothing that was written.
    """
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def age_s() -> float:
    """Return since when the machine, or the container, has been running; 0 if nobody knows."""
    try:
        with open("/proc/uptime") as file:
            uptime_s = float(file.read().split()[0])
        with open(f"{FIRST}/stat") as file:
            started_s = int(file.read().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return 0.0
    # In some containers the first is the container's, the second the host's.
    return uptime_s - started_s if started_s <= uptime_s else uptime_s


def _time_text(seconds: float) -> str:
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
