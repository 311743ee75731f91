"""The machine's tree as it is being told, and how much of it we are ready to hold.

A peer that never ends, or that invents paths, costs bounded memory and ends in a `ProtocolError`.
What the entries mean is not looked at here.
"""

from __future__ import annotations

from collections.abc import Sequence

from towline.core.entry import Directory
from towline.core.path import parent_of
from towline.core.tree import Tree
from towline.core.wire.frames import ProtocolError
from towline.core.wire.messages import Row

ENTRIES_MAX = 1_000_000  # Some 400 bytes each. Ten times what a large project has.


class Telling:
    """Takes a tree in parts, parents before what is in them."""

    def __init__(self) -> None:
        self.tree = Tree()
        self.count = 0  # No fewer than the tree has entries.

    def take(self, rows: Sequence[Row]) -> None:
        self.count += len(rows)
        if self.count > ENTRIES_MAX:
            raise too_many()
        for path, entry in rows:
            parent = parent_of(path)
            if parent and not isinstance(self.tree.get(parent), Directory):
                raise ProtocolError(f"{path[:80]!r} is told before the directory it lies in")
            self.tree.put_shallow(path, entry)


class Growth:
    """Watches a tree that is added to row by row; counts it anew only when it must."""

    def __init__(self, count: int) -> None:
        self._count_max = count  # The tree has no more entries than this.

    def note(self, tree: Tree, rows: Sequence[Row]) -> None:
        """These rows were put into the tree, with the directories they lie in."""
        self._count_max += sum(path.count("/") + 1 for path, _ in rows)
        if self._count_max > ENTRIES_MAX:
            self._count_max = sum(1 for _ in tree.walk())
            if self._count_max > ENTRIES_MAX:
                raise too_many()


def too_many() -> ProtocolError:
    return ProtocolError(f"the machine's folder has more than {ENTRIES_MAX:,} entries")
