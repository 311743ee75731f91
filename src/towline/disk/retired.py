"""What was taken out of its place and might still be written to: when to look at each again.

A program may have the file open; or it may be in the middle of opening it, which no system call
tells: it found the file under its name just before that was taken away, and has it open only some
instants later, a busy computer's later. So nothing is dropped on the first look. Nothing here looks
at a file, or decides what becomes of one; times are whatever clock the caller has, in seconds.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from towline.core.entry import Entry
from towline.disk.cache import Stamp

OPEN_MAX = 4096  # Files kept because somebody has them open; bounds the disk used.
PARTING_MAX = 4096  # Files kept for the grace; beyond it the oldest ones get less of it.
REVIEW_FIRST_S = 0.01  # Most programs that append to a file close it within a moment.
REVIEW_MAX_S = 1.0  # Between two looks at one file; each wait is twice the one before.
GRACE_S = 0.5  # From leaving its place to being dropped, at least.
AT_ONCE = 256  # Of those that nobody has open; to look at so many takes some 10 ms.


@dataclass(slots=True)
class Retired:
    """The file `name`, which was at `path`.

    `expected` None: already known to be somebody's edit that found no place so far.
    """

    name: str
    path: str
    expected: Entry | None
    stamp: Stamp | None
    is_open: bool | None  # For writing, when last looked at; None: cannot tell.
    since: float = 0.0  # When its time began to count.
    wait_s: float = REVIEW_FIRST_S  # From the next look to the one after.
    must_go: bool = False  # There is no room for it any more.
    is_left: bool = False  # By an earlier life, and could not be looked at yet.


class Retirement:
    """All that is retired of one folder."""

    def __init__(self) -> None:
        self._new: list[Retired] = []  # Added since `date`: their time does not count yet.
        self._open: list[tuple[float, int, Retired]] = []  # A heap: when due, age, which.
        self._parting: deque[Retired] = deque()
        self._count = 0

    def __len__(self) -> int:
        return len(self._new) + len(self._open) + len(self._parting)

    def __contains__(self, name: str) -> bool:
        return any(name == retired.name for retired in self._all())

    def add(self, retired: Retired) -> None:
        self._new.append(retired)

    def surplus(self) -> Iterator[Retired]:
        """Take the oldest of what nobody has open, if there is too much: two for each one added."""
        for _ in range(2):
            if len(self._parting) > PARTING_MAX:
                yield self._parting.popleft()

    def date(self, now: float) -> float | None:
        """Let time count for what is new; return when something has to be looked at again."""
        if not self:
            return None
        new, self._new = self._new, []
        for retired in new:
            retired.since = now
            if retired.is_open is False:
                self._parting.append(retired)
            else:
                self.again(retired, now)
        due = [self._open[0][0]] if self._open else []
        due += [self._parting[0].since + GRACE_S] if self._parting else []
        return min(due, default=None)

    def again(self, retired: Retired, now: float) -> None:
        """Keep it for another look, which comes later than the last one came."""
        self._count += 1
        heapq.heappush(self._open, (now + retired.wait_s, self._count, retired))
        retired.wait_s = min(2 * retired.wait_s, REVIEW_MAX_S)

    def take(self, now: float, *, at_once: bool) -> list[Retired]:
        """Take what is due; `at_once`: also what is not, of that which may have been written to."""
        self.date(now)
        taken = self._take_surplus()
        while self._open and (at_once or self._open[0][0] <= now):
            taken.append(heapq.heappop(self._open)[2])
        while self._parting and self._parting[0].since + GRACE_S <= now and len(taken) < AT_ONCE:
            taken.append(self._parting.popleft())
        return taken

    def take_all(self) -> list[Retired]:
        """Take everything: there is no later."""
        taken = self._all()
        self._new, self._open = [], []
        self._parting.clear()
        return taken

    def _all(self) -> list[Retired]:
        return [*self._new, *(retired for *_, retired in self._open), *self._parting]

    def _take_surplus(self) -> list[Retired]:
        """Take the oldest of what may be open, if there is too much; they must go."""
        surplus = len(self._open) - OPEN_MAX
        if surplus <= 0:
            return []
        self._open.sort(key=lambda kept: kept[2].since)
        taken, self._open = self._open[:surplus], self._open[surplus:]
        heapq.heapify(self._open)
        for _, _, retired in taken:
            retired.must_go = True
        return [retired for _, _, retired in taken]
