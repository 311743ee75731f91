"""A mutable tree of entries, addressed by path: cost grows with depth, not with the tree.

A `Tree` owns its directories. What is put in is copied; a `Directory` that is taken out is a view
of the living tree, to be used before the next `put`. Nothing here compares trees.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

from towline.core.entry import Directory, Entry
from towline.core.path import join


class Tree:
    """The entries below one root. An absent root and an empty one are different things."""

    def __init__(self, root: Entry | None = None) -> None:
        self._root: Directory | None = None
        self._count = 0
        if root is not None:
            self.put("", root)

    def __len__(self) -> int:
        """The number of entries, directories among them, without the root."""
        return self._count

    def __bool__(self) -> bool:
        """Whether there is a root, be it empty."""
        return self._root is not None

    @property
    def root(self) -> Directory | None:
        return self._root

    def get(self, path: str) -> Entry | None:
        """Return the entry at `path`, or None if it or a directory on the way is absent."""
        entry: Entry | None = self._root
        for name in path.split("/") if path else ():
            if not isinstance(entry, Directory):
                return None
            entry = entry.children.get(name)
        return entry

    def put(self, path: str, entry: Entry | None) -> None:
        """Set or, with None, remove what is at `path`, with everything below it.

        Missing directories on the way are made, and what stood in their place is replaced.
        """
        owned = _copy(entry) if isinstance(entry, Directory) else entry
        self._count += _count_of(owned) - _count_of(self.get(path))
        if not path:
            self._count -= (owned is not None) - (self._root is not None)
            if owned is not None and not isinstance(owned, Directory):
                raise TypeError("the root of a tree is a directory")
            self._root = owned
            return
        parent, _, name = path.rpartition("/")
        if owned is None:
            directory = self.get(parent)
            if isinstance(directory, Directory):
                _own(directory).pop(name, None)
        else:
            self._make(parent)[name] = owned

    def put_shallow(self, path: str, entry: Entry | None) -> None:
        """As `put`, but a directory that is already there keeps its children."""
        if not (isinstance(entry, Directory) and isinstance(self.get(path), Directory)):
            self.put(path, entry)

    def walk(self, path: str = "") -> Iterator[tuple[str, Entry]]:
        """Yield (path, entry) for everything below `path`, parents before children, sorted."""
        entry = self.get(path)
        if isinstance(entry, Directory):
            for name in sorted(entry.children):
                child = entry.children[name]
                at = join(path, name)
                yield at, child
                if isinstance(child, Directory):
                    yield from self.walk(at)

    def _make(self, path: str) -> dict[str, Entry]:
        if self._root is None:
            self._root = Directory({})
        children = _own(self._root)
        for name in path.split("/") if path else ():
            child = children.get(name)
            if not isinstance(child, Directory):
                self._count += child is None
                child = children[name] = Directory({})
            children = _own(child)
        return children


def _own(directory: Directory) -> dict[str, Entry]:
    """Return the children of a directory that a tree made itself, to be changed in place."""
    return cast("dict[str, Entry]", directory.children)


def _count_of(entry: Entry | None) -> int:
    if isinstance(entry, Directory):
        return 1 + sum(map(_count_of, entry.children.values()))
    return entry is not None


def _copy(directory: Directory) -> Directory:
    children: Mapping[str, Entry] = directory.children
    return Directory(
        {
            name: _copy(child) if isinstance(child, Directory) else child
            for name, child in children.items()
        }
    )
