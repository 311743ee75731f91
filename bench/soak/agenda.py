"""What is to be done when, by one clock and one after the other."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable

Action = Callable[[], None]


class Agenda:
    def __init__(self) -> None:
        self._queue: list[tuple[float, int, bool, Action]] = []
        self._order = itertools.count()

    def after(self, seconds: float, action: Action, *, owed: bool = False) -> None:
        """Do this in so many seconds. `owed`: and, if all ends before, then at the end."""
        due = time.monotonic() + seconds
        heapq.heappush(self._queue, (due, next(self._order), owed, action))

    def work_until(self, ends_at: float) -> None:
        """Do what falls due until then, and at once what is owed after that."""
        while self._queue and self._queue[0][0] < ends_at:
            due, _, _, action = heapq.heappop(self._queue)
            time.sleep(max(0.0, due - time.monotonic()))
            action()
        for _, _, owed, action in sorted(self._queue):
            if owed:
                action()
        self._queue.clear()
