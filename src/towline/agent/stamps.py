"""Files that an installation changes, watched for the laptop: their times are told once they rest.

A channel says in one line what it knows, `{"stamps": {PATH: ns or null}, "python": EXECUTABLE}`,
and is told once: `{"stamps": {PATH: ns or null}}`, when these are others and two looks have found
the same; or when a kernel of another Python than that runs, if one is named. What was installed is
not looked at here: that takes a process of its own, which is gone again until the next time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from towline.agent.watches import Watches
from towline.core.wire.line import Line

LOOK_S = 2.0  # Between two looks; some twenty calls of stat. Network homes have no events.
KERNEL_LOOK_S = 60.0  # Between two looks through all processes for a kernel.
LINE_MAX = 64 << 10  # Bytes. A Python has some twenty folders of packages.

Times = dict[str, int | None]  # When each file was changed last, in ns; None if it is not there.


@dataclass(slots=True)
class _Watched:
    line: bytearray = field(default_factory=bytearray)  # What it knows, as far as that has come.
    known: Times | None = None  # None: nothing is to be looked at, or it is told already.
    python: str = ""
    seen: Times | None = None  # By the last look.
    kernels_at: float | None = None


class Stamps(Watches[_Watched]):
    """All channels of one Line that wait for an installation."""

    def __init__(self, line: Line) -> None:
        super().__init__(line)
        self._looks_at = 0.0

    def wants(self, greeting: Mapping[str, Any]) -> bool:
        return "stamps" in greeting

    def begin(self) -> _Watched:
        return _Watched()

    def put(self, channel: int, data: bytes) -> None:
        self._line.consumed(channel, len(data))
        watched = self._asked[channel]
        watched.line += data
        try:
            if len(watched.line) > LINE_MAX:
                raise ValueError("too long")
            if b"\n" in watched.line:
                watched.known, watched.python = _read(watched.line)
                watched.line.clear()
        except (ValueError, KeyError, TypeError, RecursionError):
            self.closed(channel)
            self._line.close_channel(channel, "these are no times of files")

    def deadline(self) -> float | None:
        waits = any(watched.known is not None for watched in self._asked.values())
        return self._looks_at if waits else None

    def look(self, now: float) -> None:
        if self._asked and now >= self._looks_at:
            self._looks_at = now + LOOK_S
            for channel, watched in self._asked.items():
                if watched.known is not None and self._line.sendable(channel) > 0:
                    self._look(channel, watched, watched.known, now)

    def _look(self, channel: int, watched: _Watched, known: Times, now: float) -> None:
        seen = times_of(known)
        rests, watched.seen = seen == watched.seen, seen
        if (rests and seen != known) or _is_another(watched, now):
            self._line.send(channel, json.dumps({"stamps": seen}).encode() + b"\n")
            watched.known = None


def times_of(paths: Collection[str]) -> Times:
    return {path: _time_of(path) for path in paths}


def _time_of(path: str) -> int | None:
    try:
        return os.stat(path).st_mtime_ns
    except (OSError, ValueError):
        return None


def _is_another(watched: _Watched, now: float) -> bool:
    """Whether it is time to look for a kernel, and one of another Python runs."""
    if not watched.python or now < (watched.kernels_at or 0):
        return False
    is_first, watched.kernels_at = watched.kernels_at is None, now + KERNEL_LOOK_S
    if is_first:  # The laptop has just looked.
        return False
    from towline.agent.environment.python import of_a_kernel  # Once a minute, where it is wanted.

    kernel = of_a_kernel()
    return kernel is not None and kernel[0] != watched.python


def _read(line: bytes | bytearray) -> tuple[Times, str]:
    """Return what the laptop knows. Raises `ValueError`, `KeyError`, `TypeError`."""
    plain: Any = json.loads(line)
    known, python = plain["stamps"], plain["python"]
    if not isinstance(known, dict) or not isinstance(python, str):
        raise TypeError
    if not all(type(time) in (int, type(None)) for time in cast("Times", known).values()):
        raise TypeError
    return cast("Times", known), python
