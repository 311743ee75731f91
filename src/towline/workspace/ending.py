"""The end of the machine: warned of before it comes, with all sent while there is time.

When that is the machine says; nothing is ended here.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import anyio

from towline.core.deadline import WARNINGS_S, Countdown, Deadline
from towline.engine import events
from towline.engine.barrier import FlushError
from towline.engine.bell import Bell
from towline.engine.live import Live
from towline.engine.safe import together

LAST_FLUSH_S = 10.0  # What takes longer before the end of the machine is told as not safe.
PATHS_SHOWN = 8


class Ending:
    """`touched` rings when a folder may have heard of another end."""

    def __init__(
        self, lives: Sequence[Live], report: Callable[[events.Event], None], touched: Bell
    ) -> None:
        self._lives = lives
        self._report = report
        self._touched = touched

    @property
    def deadline(self) -> Deadline | None:
        """The earliest that the machine knows of."""
        known = [live.deadline for live in self._lives if live.deadline is not None]
        return min(known, key=lambda deadline: deadline.at, default=None)

    async def run(self) -> None:
        """Warn, each time that it is due, for ever."""
        countdown = Countdown()
        while True:
            if countdown.set(self.deadline):
                self._touched.ring()
            if countdown.deadline is not None and countdown.due(time.time()):
                await self._warn(countdown.deadline)
            next_at = countdown.next_at()
            with anyio.move_on_after(math.inf if next_at is None else next_at - time.time()):
                await self._touched.wait()

    async def _warn(self, deadline: Deadline) -> None:
        if 0 < deadline.at - time.time() <= WARNINGS_S[-1]:
            for live in self._lives:
                with suppress(FlushError):  # Whatever did not get there is told by the status.
                    await live.flush(min(LAST_FLUSH_S, max(0.0, deadline.at - time.time())))
        safety = together([live.safe.now() for live in self._lives])
        paths = tuple(path for live in self._lives for path in live.safe.missing())[:PATHS_SHOWN]
        left_s = round(max(0.0, deadline.at - time.time()), 1)
        self._report(events.DeadlineNear(left_s, deadline.why, safety.at, safety.behind, paths))
