"""What goes wrong, how often, and until when: one value per seed, drawn at its beginning."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from random import Random

FULL_DISK_CALLS = frozenset({"create", "write", "mkdir", "symlink", "set_mtime"})
DENIED_CALLS = frozenset(
    {"open", "exchange", "place", "unlink", "mkdir", "rmdir", "scan_directory", "set_mode"}
)
BROKEN_CALLS = frozenset({"read", "write", "sync_file", "open"})


class Crash(BaseException):
    """The process is gone at this very point."""


@dataclass
class Weather:
    """Probabilities are per event. `is_over`: nothing goes wrong any more."""

    random: Random
    watch_delay_s: float
    reorders: bool
    overflow_at: int
    cookie_failure: float
    full: float
    denied: float
    broken: float
    intrusion: float
    crash: float
    latency_s: float
    cut_after: int
    stall: float
    connect_failure: float
    is_over: bool = False

    @property
    def has_faults(self) -> bool:
        """Whether system calls fail, in this world."""
        return bool(self.full or self.denied or self.broken)

    def event_delay_s(self) -> float:
        return self.random.random() * self.watch_delay_s if not self.is_over else 0.0005

    def overflows(self, pending: int) -> bool:
        return not self.is_over and pending >= self.overflow_at

    def maybe_fail_cookie(self) -> None:
        if not self.is_over and self.random.random() < self.cookie_failure:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fault(self, call: str) -> int:
        """Return an errno for this system call, 0 for none. Raises `Crash`."""
        if self.is_over:
            return 0
        draw = self.random.random()
        if draw < self.crash:
            raise Crash
        draw = self.random.random()
        if call in FULL_DISK_CALLS and draw < self.full:
            return errno.ENOSPC
        if call in DENIED_CALLS and draw < self.denied:
            return errno.EACCES
        if call in BROKEN_CALLS and draw < self.broken:
            return errno.EIO
        return 0

    def intrudes(self) -> bool:
        return not self.is_over and self.random.random() < self.intrusion


def draw_weather(random: Random) -> Weather:
    """Each seed has some of the troubles, and none of the others: so that they are told apart."""

    def sometimes(share: float, value: float) -> float:
        return value if random.random() < share else 0.0

    return Weather(
        random=random,
        watch_delay_s=random.choice([0.0005, 0.003, 0.05]),
        reorders=random.random() < 0.3,
        overflow_at=random.choice([5, 20]) if random.random() < 0.2 else 1_000_000,
        cookie_failure=sometimes(0.1, 0.1),
        full=sometimes(0.2, 0.05),
        denied=sometimes(0.2, 0.01),
        broken=sometimes(0.15, 0.01),
        intrusion=sometimes(0.5, random.choice([0.002, 0.01])),
        crash=sometimes(0.3, 0.0005),
        latency_s=random.choice([0.0005, 0.02, 0.2]),
        cut_after=random.choice([0, 0, 3000, 30000]),
        stall=sometimes(0.3, 0.002),
        connect_failure=sometimes(0.5, 0.3),
    )
