"""What stands below a root, looked at again only where somebody has changed something.

Whoever changes names or a content says so: `names_changed`, `content_changed`. `is_true` compares
with the disk, so that a change nobody told of is found. What lies in towline's own directory is not
remembered.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from towline.core.path import OWN_DIRECTORY
from towline.disk.folder import is_own_path

Found = dict[str, os.stat_result]


class Files:
    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._found: Found | None = None
        self._beside: Found = {}  # What is towline's own, but not in its own directory.
        self._contents: dict[int, bytes] = {}  # By inode.

    def names_changed(self) -> None:
        self._found = None

    def content_changed(self, ino: int) -> None:
        self._contents.pop(ino, None)

    def forget(self) -> None:
        self._found = None
        self._contents.clear()

    def found(self) -> Found:
        """Return every path with its lstat, of which kind and inode are sure to be current."""
        if self._found is None:
            below = _below(self._root, skip=OWN_DIRECTORY)
            self._beside = {path: below.pop(path) for path in list(below) if is_own_path(path)}
            self._found = below
        return self._found

    def contents(self) -> dict[str, bytes]:
        """Return the content of every regular file."""
        return self._contents_of(self.found())

    def own_contents(self) -> dict[str, bytes]:
        """Return the content of every regular file that is towline's own."""
        self.found()
        inside = _below(self._root, OWN_DIRECTORY)
        return {**self._contents_of(self._beside), **_read_all(self._root, inside)}

    def content_of(self, ino: int, place: str) -> bytes:
        """Return the content of the file with this inode, which is to be found at `place`."""
        content = self._contents.get(ino)
        if content is None:
            content = self._contents[ino] = read(place)
        return content

    def is_true(self) -> bool:
        """Whether what is remembered is what is there."""
        there = {path: s for path, s in _below(self._root).items() if not is_own_path(path)}
        is_same_names = _kinds(self.found()) == _kinds(there)
        return is_same_names and self.contents() == _read_all(self._root, there)

    def _contents_of(self, found: Found) -> dict[str, bytes]:
        contents: dict[str, bytes] = {}
        for path, status in found.items():
            if stat.S_ISREG(status.st_mode):
                with suppress(OSError):
                    contents[path] = self.content_of(status.st_ino, f"{self._root}/{path}")
        return contents


def read(place: str) -> bytes:
    """Return what a file holds; it is not for large ones."""
    descriptor = os.open(place, os.O_RDONLY)
    try:
        pieces = [piece := os.read(descriptor, 1 << 17)]
        while piece:
            pieces.append(piece := os.read(descriptor, 1 << 17))
        return b"".join(pieces)
    finally:
        os.close(descriptor)


def _below(root: str, at: str = "", skip: str = "") -> Found:
    """Return every path below `at` with its lstat; not what is below `skip`, nor that itself."""
    found: Found = {}
    waiting = [at]
    while waiting:
        at = waiting.pop()
        try:
            entries = list(os.scandir(f"{root}/{at}"))
        except OSError:
            continue
        for entry in entries:
            path = f"{at}/{entry.name}" if at else entry.name
            if path == skip:
                continue
            found[path] = entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                waiting.append(path)
    return found


def _read_all(root: str, found: Found) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    for path, status in found.items():
        if stat.S_ISREG(status.st_mode):
            with suppress(OSError):
                contents[path] = read(f"{root}/{path}")
    return contents


def _kinds(found: Found) -> dict[str, tuple[int, int]]:
    return {path: (s.st_ino, stat.S_IFMT(s.st_mode)) for path, s in found.items()}
