"""The directories a watch looks after, by path and by watch descriptor. No I/O."""

from __future__ import annotations

from collections.abc import Iterator

from towline.core.path import join, name_of, parent_of


class Directories:
    """Each directory has a descriptor, or None if it is polled. Removal takes the subtree along."""

    def __init__(self) -> None:
        self._wds: dict[str, int | None] = {}
        self._paths: dict[int, str] = {}  # In the order of use: the longest unused first.
        self._inside: dict[str, set[str]] = {}  # Names of the directories below each.

    def __len__(self) -> int:
        return len(self._wds)

    def __iter__(self) -> Iterator[str]:
        return iter(self._wds)

    def __contains__(self, path: str) -> bool:
        return path in self._wds

    @property
    def watched(self) -> int:
        return len(self._paths)

    def wd_of(self, path: str) -> int | None:
        return self._wds.get(path)

    def path_of(self, wd: int) -> str | None:
        return self._paths.get(wd)

    def use(self, wd: int) -> None:
        """Note that something happened there."""
        self._paths[wd] = self._paths.pop(wd)

    def longest_unused(self) -> tuple[str, int] | None:
        """Return the watched directory, other than the root, where nothing happened longest."""
        return next(((path, wd) for wd, path in self._paths.items() if path), None)

    def put(self, path: str, wd: int | None) -> None:
        """Set what stands for a path. A descriptor seen under another path has moved here."""
        before = self._wds.get(path)
        if before is not None and before != wd:
            self._paths.pop(before, None)
        if wd is not None:
            elsewhere = self._paths.pop(wd, None)
            if elsewhere is not None:  # Still linked there, so that `remove` finds what is below.
                self._wds.pop(elsewhere, None)
            self._paths[wd] = path
        self._wds[path] = wd
        if path:
            self._inside.setdefault(parent_of(path), set()).add(name_of(path))

    def remove(self, path: str) -> list[tuple[str, int | None]]:
        """Remove a directory and all below it; return them with their descriptors."""
        removed: list[tuple[str, int | None]] = []
        pending = [path]
        while pending:
            directory = pending.pop()
            pending += [join(directory, name) for name in self._inside.pop(directory, ())]
            if directory in self._wds:
                wd = self._wds.pop(directory)
                removed.append((directory, wd))
                if wd is not None:
                    self._paths.pop(wd, None)
        if path:
            self._inside.get(parent_of(path), set()).discard(name_of(path))
        return removed
