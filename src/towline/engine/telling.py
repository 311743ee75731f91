"""What a machine tells in several messages: it counts once all of it is there.

Before, what has yet to be told would look deleted. Nothing is believed or decided here; how much
may be told at once is limited.
"""

from __future__ import annotations

from collections.abc import Sequence

from towline.core.tree import Tree
from towline.core.wire.messages import Observed, TreePart
from towline.engine.trees import check_size


class Telling:
    """What has been told in one life of a Line, and is not whole yet."""

    def __init__(self) -> None:
        self._tree = Tree()
        self._observed: list[Observed] = []
        self._observed_size = 0  # Paths, rows and problems in these, and one for each.

    def add_to_tree(self, part: TreePart) -> None:
        """Raises `ProtocolError` for more than any folder holds, as does `observed`."""
        for path, entry in part.rows:
            self._tree.put_shallow(path, entry)
        check_size(len(self._tree))

    def take_tree(self) -> Tree:
        """All of the tree has been told: return it."""
        tree, self._tree = self._tree, Tree()
        return tree

    def observed(self, part: Observed) -> Sequence[Observed]:
        """Take a part of what happened; return all parts if it is the last one, else none."""
        self._observed.append(part)
        self._observed_size += 1 + len(part.replaced) + len(part.rows) + len(part.problems)
        check_size(self._observed_size)
        if part.more:
            return ()
        parts, self._observed, self._observed_size = self._observed, [], 0
        return parts
