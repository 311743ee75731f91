"""Gathers paths that change together into one group, so that they become one revision.

It knows no clock and no disk: time (seconds, any monotonic origin) is passed in, paths come out
when their group is complete. A path is in at most once, however often it changes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

_PARTS_LONGEST = 4  # Times as long a group may go on of which parts are taken.
QUEUE_MAX = 100_000  # Paths. Beyond it a scan is cheaper than looking at each.


@dataclass(slots=True)
class _Written:
    """When a file that is being written was first and last seen to change."""

    first: float
    last: float


class Gather:
    """Paths on their way from the watch to whoever looks at them.

    A lone path goes after `quiet_lone_s`, and so do the two names of a rename. Several form a
    group, which goes after `quiet_burst_s` without a new one, and `longest_s` after its first at
    the latest. While held (git is at work) nothing goes, for at most `hold_longest_s`. A file that
    is being written goes after `writing_quiet_s` without a write, or `hold_longest_s` after the
    first if it never pauses.
    """

    def __init__(
        self,
        *,
        quiet_lone_s: float = 0.001,
        quiet_burst_s: float = 0.005,
        longest_s: float = 0.05,
        hold_longest_s: float = 2.0,
        writing_quiet_s: float = 0.1,
    ) -> None:
        self._quiet_lone_s = quiet_lone_s
        self._quiet_burst_s = quiet_burst_s
        self._longest_s = longest_s
        self._hold_longest_s = hold_longest_s
        self._writing_quiet_s = writing_quiet_s
        self._ready: dict[str, float] = {}  # Path → when it was last noted.
        self._first = 0.0  # When the group began, and when it last grew: if there is one.
        self._last = 0.0
        self._is_whole = False  # The group came at once, and nothing is to follow.
        self._is_part = False  # Some of the group were taken ahead.
        self._writing: dict[str, _Written] = {}
        self._writing_due = math.inf  # Not later than any of them is due.
        self._held_since: float | None = None
        self._overflowed = False

    @property
    def overflowed(self) -> bool:
        """Whether more than `QUEUE_MAX` paths came: they are forgotten, and all must be scanned.

        Nothing is gathered any more until `take_all`, to be called before that scan.
        """
        return self._overflowed

    @property
    def is_part(self) -> bool:
        """Whether some of a group were taken ahead, and the rest is still to come."""
        return self._is_part

    @property
    def lone(self) -> str | None:
        """The path that waits for others, if it is the only one."""
        return next(iter(self._ready)) if len(self._ready) == 1 else None

    def note(self, paths: Iterable[str], now: float, *, whole: bool = False) -> None:
        """Note paths that are to be looked at; one that was being written no longer is.

        `whole`: they are known to be all that changed, as the two names of a rename.
        """
        paths = list(paths)
        if paths:
            self._is_whole = whole and self._ready.keys() <= {*paths}
        for path in paths:
            is_first = not self._ready
            self._first = now if is_first else min(self._first, now)
            self._last = now if is_first else max(self._last, now)
            self._ready[path] = max(now, self._ready.get(path, now))
            written = self._writing.get(path)
            if written is not None and written.last <= now:
                del self._writing[path]
        self._check_size()

    def note_writing(self, paths: Iterable[str], now: float) -> None:
        """Note paths that were written to and may be written to again at once."""
        for path in paths:
            if path in self._ready and self._ready[path] >= now:
                continue  # It will be looked at after this write anyway.
            written = self._writing.setdefault(path, _Written(now, now))
            written.first, written.last = min(written.first, now), max(written.last, now)
            self._writing_due = min(self._writing_due, self._due(written))
        self._check_size()

    def hold(self, now: float) -> None:
        """Keep the group open until `release`. A hold that is on goes on from when it began."""
        if self._held_since is None:
            self._held_since = now

    def release(self) -> None:
        self._held_since = None

    def deadline(self) -> float | None:
        """Return when to call `take`, or None if there is nothing to come.

        Early, though not twice in a row, for a file that was written to again in the meantime.
        """
        due = min(self._group_due(), self._writing_due)
        return None if due == math.inf else max(due, self._hold_ends())

    def take(self, now: float) -> frozenset[str]:
        """Return the paths that are due, which are then no longer in: most often none."""
        if now < self._hold_ends():
            return frozenset()
        taken: set[str] = set()
        if now >= self._writing_due:
            taken.update(
                path for path, written in self._writing.items() if self._due(written) <= now
            )
            for path in taken:
                del self._writing[path]
            self._writing_due = min(map(self._due, self._writing.values()), default=math.inf)
        if now >= self._group_due():
            taken.update(self._ready)
            self._ready.clear()
            self._is_part = False
        return frozenset(taken)

    def take_ahead(self, paths: Iterable[str], now: float) -> frozenset[str]:
        """Return those of the paths that are in the group, which goes on without them.

        One always stays in: so the group has an end. While held nothing goes, nor from a group
        that has gone on for too long: its end is due.
        """
        if now < self._hold_ends() or now >= self._first + _PARTS_LONGEST * self._longest_s:
            return frozenset()
        stays = next(reversed(self._ready), None)
        taken = frozenset(path for path in paths if path in self._ready and path != stays)
        for path in taken:
            del self._ready[path]
        self._is_part |= bool(taken)
        return taken

    def take_all(self) -> frozenset[str]:
        """Return everything at once, also what is held or being written. Ends an overflow."""
        taken = frozenset([*self._ready, *self._writing])
        self._clear()
        self._overflowed = False
        return taken

    def _group_due(self) -> float:
        if not self._ready:
            return math.inf
        if (len(self._ready) == 1 or self._is_whole) and not self._is_part:
            return self._first + self._quiet_lone_s
        return min(self._last + self._quiet_burst_s, self._first + self._longest_s)

    def _due(self, written: _Written) -> float:
        return min(written.last + self._writing_quiet_s, written.first + self._hold_longest_s)

    def _hold_ends(self) -> float:
        return -math.inf if self._held_since is None else self._held_since + self._hold_longest_s

    def _check_size(self) -> None:
        if len(self._ready) + len(self._writing) > QUEUE_MAX:
            self._overflowed = True
        if self._overflowed:
            self._clear()

    def _clear(self) -> None:
        self._ready.clear()
        self._is_part = False
        self._writing.clear()
        self._writing_due = math.inf
