"""Whether a root takes names that differ in case, or in Unicode form, for one name.

There, what stands at a path may be spelled otherwise, and writing to it would change another file.
"""

from __future__ import annotations

from towline.core.path import OWN_DIRECTORY, collisions, name_of, parent_of, parents_of
from towline.disk.folder import Folder


class Spelling:
    """Knows how one folder spells its names. Asks once whether that matters there."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._folds: bool | None = None

    def other(self, path: str) -> str | None:
        """Return an existing name that this file system takes for one in `path`, if any."""
        if not self._root_folds():
            return None
        for part in (*reversed(list(parents_of(path))), path):
            if (other := self._other_name(part)) is not None:
                return other
        return None

    def _root_folds(self) -> bool:
        if self._folds is None:
            try:
                folded = self._folder.lstat(OWN_DIRECTORY.upper())
                self._folds = folded.st_ino == self._folder.lstat(OWN_DIRECTORY).st_ino
            except OSError:
                self._folds = False
        return self._folds

    def _other_name(self, path: str) -> str | None:
        wanted = name_of(path)
        try:
            names = [name for name, _ in self._folder.scan_directory(parent_of(path))]
        except OSError:
            return None
        if wanted in names:
            return None
        groups = [group for group in collisions([*names, wanted]) if wanted in group]
        return next((name for group in groups for name in group if name != wanted), None)
