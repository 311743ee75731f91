"""What has changed in the folders of late, in order, as far back as there is room.

A kernel remembers a position and asks what came after it, so that a cell costs what changed and
not what there is. Changes made by the laptop and on the machine count alike. Pure bookkeeping:
what a change was, and whether it matters to anybody, is not known here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

PATHS_MAX = 10_000  # Beyond it looking at every module of a project is as cheap as the list.
TEXT_MAX = 256 << 10  # Characters of paths in one answer: an answer is one line of JSON.


class Changes:
    """`life` names this log: a position of any other life is worth nothing here."""

    def __init__(self, life: str) -> None:
        self._life = life
        # Each with its last number, the latest at the end. Of a plain dict the first is not found
        # at once any more when many were taken from its start.
        self._paths: OrderedDict[str, int] = OrderedDict()
        self._number = 0
        self._floor = 0  # What came up to here is forgotten.

    @property
    def position(self) -> str:
        return f"{self._life}:{self._number}"

    def note(self, paths: Iterable[str]) -> None:
        """These absolute paths hold something else now; what lies below them may, too."""
        for path in paths:
            self._number += 1
            self._paths[path] = self._number
            self._paths.move_to_end(path)
        while len(self._paths) > PATHS_MAX:
            _, self._floor = self._paths.popitem(last=False)

    def note_all(self) -> None:
        """Anything may have changed."""
        self._number += 1
        self._floor = self._number
        self._paths.clear()

    def since(self, position: object) -> list[str] | None:
        """Return the paths that changed after `position`; None if all have to be looked at."""
        life, _, number = position.partition(":") if isinstance(position, str) else ("", "", "")
        if life != self._life or not number.isdecimal() or len(number) > 18:
            return None
        if not self._floor <= int(number) <= self._number:
            return None
        found: list[str] = []
        room = TEXT_MAX
        for path, changed_at in reversed(self._paths.items()):
            if changed_at <= int(number):
                break
            found.append(path)
            room -= len(path)
            if room < 0:
                return None
        return found
