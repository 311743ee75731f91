"""Whose turn it is among the changes that wait to be fetched from the machine.

Small files go in the order in which they came. Of the large ones checkpoints go first, the newest
before all others. What marks a checkpoint waits until the checkpoints that were coming when the
mark was queued have come or are gone; it is fetched before, for by then the machine may have
another one. Pure bookkeeping: nothing is fetched here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field

from towline.core.change import Change
from towline.core.checkpoint import Checkpoints
from towline.core.entry import File, Symlink
from towline.core.path import is_below, parent_of


@dataclass(frozen=True, slots=True)
class Queued:
    change: Change
    number: int  # Of the call that queued it: the higher, the newer.
    awaits: frozenset[str] = field(default=frozenset())  # Of a mark: what has to come before.


class Turns:
    """`large`: beyond so many bytes a file is a large one.

    `coming` returns the checkpoints below a directory, without marks, that are on their way or will
    be; and directories of which nobody knows yet what is in them.
    """

    def __init__(
        self, checkpoints: Checkpoints, coming: Callable[[str], Collection[str]], large: int
    ) -> None:
        self._checkpoints = checkpoints
        self._coming = coming
        self._large_size = large
        self._small: dict[str, Queued] = {}
        self._large: dict[str, Queued] = {}
        self._marks: dict[str, Queued] = {}
        self._held: set[str] = set()  # Marks whose content is here: they no longer change.
        self._number = 0

    def __bool__(self) -> bool:
        return bool(self._small or self._large or self._marks)

    def __iter__(self) -> Iterator[Change]:
        for queue in (self._small, self._large, self._marks):
            yield from (queued.change for queued in queue.values())

    def clear(self) -> None:
        for queue in (self._small, self._large, self._marks):
            queue.clear()
        self._held.clear()

    def put(self, changes: Iterable[Change]) -> None:
        """Queue changes. Those of one call are taken for equally new."""
        self._number += 1
        marks: list[Change] = []
        for change in changes:
            if self._is_mark(change):
                marks.append(change)
            else:
                self._queue(Queued(change, self._number))
        for mark in marks:  # Now that it is known what comes with them.
            awaits = frozenset(self._coming(parent_of(mark.path)))
            self._marks[mark.path] = Queued(mark, self._number, awaits)

    def drop(self, path: str) -> list[str]:
        """Forget what waits at `path` and below it, to be fetched; return where that was."""
        dropped: list[str] = []
        for queue in (self._small, self._large, self._marks):
            for at in [at for at in queue if _is_at_or_below(at, path)]:
                if at not in self._held:
                    del queue[at]
                    dropped.append(at)
        return dropped

    def mark_to_hold(self) -> Change | None:
        """Return a small mark that waits, and whose content is not here."""
        self._free_marks()
        for path, queued in self._marks.items():
            if path not in self._held and queued.change.content_size <= self._large_size:
                return queued.change
        return None

    def hold(self, mark: Change) -> None:
        """The content of this mark is here."""
        self._held.add(mark.path)

    def has(self, change: Change) -> bool:
        """Whether it is this change that waits at its path."""
        return any(change is waiting for waiting in self)

    def small(self) -> list[Change]:
        """Return the small ones whose turn it is, in order."""
        self._free_marks()
        return [queued.change for queued in self._small.values()]

    def large(self) -> list[Change]:
        """Return the large one whose turn it is, if there is one."""
        self._free_marks()
        covers = self._checkpoints.covers
        checkpoints = [queued for path, queued in self._large.items() if covers(path)]
        if checkpoints:
            return [max(checkpoints, key=_newness).change]
        return [queued.change for queued in list(self._large.values())[:1]]

    def take(self, path: str) -> Change:
        """The change at this path has its turn now."""
        self._held.discard(path)
        queue = next(q for q in (self._small, self._large, self._marks) if path in q)
        return queue.pop(path).change

    def _queue(self, queued: Queued) -> None:
        path, is_large = queued.change.path, queued.change.content_size > self._large_size
        (self._large if is_large else self._small)[path] = queued

    def _is_mark(self, change: Change) -> bool:
        is_file = isinstance(change.new, File | Symlink)
        return is_file and self._checkpoints.is_mark(change.path)

    def _free_marks(self) -> None:
        for path, queued in list(self._marks.items()):
            coming = self._coming(parent_of(path)) if queued.awaits else ()
            if not any(_is_at_or_below(at, awaited) for at in coming for awaited in queued.awaits):
                self._queue(self._marks.pop(path))


def _is_at_or_below(path: str, other: str) -> bool:
    return path == other or is_below(path, other)


def _newness(queued: Queued) -> tuple[int, tuple[tuple[int, str], ...]]:
    return queued.number, _as_people_count(queued.change.path)


def _as_people_count(path: str) -> tuple[tuple[int, str], ...]:
    """Return what sorts `epoch_9` before `epoch_10`."""
    parts: list[str] = re.findall(r"[0-9]+|[^0-9]+", path)
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in parts)
