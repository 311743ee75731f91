"""A mutable tree of entries, addressed by path: cost grows with depth, not with the tree.

A `Tree` owns its directories. What is put in is copied; a `Directory` that is taken out is a view
of the living tree, to be used before the next `put`. Nothing here compares trees.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

from towline.core.entry import Directory, Entry, Unsynced
from towline.core.path import join, shared


class Tree:
    """The entries below one root. An absent root and an empty one are different things."""

    def __init__(self, root: Entry | None = None) -> None:
        self._root: Directory | None = None
        self._count = 0
        self._last: str | None = None  # The directory whose children are kept at hand:
        self._children: dict[str, Entry] = {}  # what comes next is most often in the same one.
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
        parent, _, name = path.rpartition("/")
        if not name:
            return self._root
        children = self._children_of(parent)
        return None if children is None else children.get(name)

    def children_in(self, directory: str) -> Mapping[str, Entry] | None:
        """Return what is in a directory, by name; None if it is absent or no directory."""
        return self._children_of(directory)

    def put(self, path: str, entry: Entry | None) -> None:
        """Set or, with None, remove what is at `path`, with everything below it.

        Missing directories on the way are made, and what stood in their place is replaced: but for
        what is not synced. Nothing is put below that, as a directory of it alone would say that
        there is nothing else, and what is missing from a tree was deleted.
        """
        owned = _copy(entry) if isinstance(entry, Directory) else entry
        parent, _, name = path.rpartition("/")
        if not name:
            self._put_root(owned)
            return
        children = self._children_of(parent) if owned is None else self._make(parent)
        if children is None:
            return
        before = children.get(name)
        if isinstance(before, Directory):
            self._last = None
        self._count += _count_of(owned) - _count_of(before)
        if owned is None:
            children.pop(name, None)
        else:
            children[shared(name)] = owned

    def put_shallow(self, path: str, entry: Entry | None) -> None:
        """As `put`, but a directory that is already there keeps its children."""
        if not (isinstance(entry, Directory) and isinstance(self.get(path), Directory)):
            self.put(path, entry)

    def add(self, directory: str, entries: Mapping[str, Entry]) -> None:
        """As `put` for each name in a directory, where these names are new; no directories."""
        children = self._make(directory)
        if children is not None:
            children.update(zip(map(shared, entries), entries.values(), strict=True))
            self._count += len(entries)

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

    def _put_root(self, owned: Entry | None) -> None:
        if not isinstance(owned, Directory | None):
            raise TypeError("the root of a tree is a directory")
        self._root, self._last = owned, None
        self._count = 0 if owned is None else _count_of(owned) - 1

    def _children_of(self, path: str) -> dict[str, Entry] | None:
        """Return what is in a directory; None if it is absent or no directory."""
        if path == self._last:
            return self._children
        entry: Entry | None = self._root
        for name in path.split("/") if path else ():
            if not isinstance(entry, Directory):
                return None
            entry = entry.children.get(name)
        if not isinstance(entry, Directory):
            return None
        self._last, self._children = path, _own(entry)
        return self._children

    def _make(self, path: str) -> dict[str, Entry] | None:
        """Return what is in a directory, made with those above it where they are missing.

        None if one of them is not synced.
        """
        if (found := self._children_of(path)) is not None:
            return found
        if self._root is None:
            self._root = Directory({})
        children = _own(self._root)
        for name in path.split("/") if path else ():
            child = children.get(name)
            if isinstance(child, Unsynced):
                return None
            if not isinstance(child, Directory):
                self._count += child is None
                child = children[shared(name)] = Directory({})
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
