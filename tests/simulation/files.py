"""What stands below a root, looked at again only where somebody has changed something.

Whoever changes names or a content says so: `names_changed`, `content_changed`. `is_true` compares
with the disk, so that a change nobody told of is found. What lies in towline's own directory is not
remembered.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from towline.core.path import OWN_DIRECTORY, is_below, parent_of
from towline.disk.folder import BESIDE_PREFIX, is_own_path

Found = dict[str, os.stat_result]
Listed = tuple[str, os.stat_result]
Listing = list[Listed]


class Files:
    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._found: Found | None = None
        self._beside: Found = {}  # What is towline's own, but not in its own directory.
        self._listings: dict[str, Listing] = {}  # By directory.
        self._contents: dict[int, bytes] = {}  # By inode.

    def names_changed(self, *paths: str) -> None:
        """Something else stands at these paths, or nothing, or something again."""
        self._found = None
        for path in paths:
            self._listings.pop(parent_of(path), None)
            for gone in [at for at in self._listings if at == path or is_below(at, path)]:
                del self._listings[gone]

    def content_changed(self, ino: int) -> None:
        self._contents.pop(ino, None)

    def forget(self) -> None:
        self._found = None
        self._listings.clear()
        self._contents.clear()

    def found(self) -> Found:
        """Return every path with its lstat, of which kind and inode are sure to be current."""
        if self._found is None:
            self._found, self._beside = {}, {}
            for path, status in _below(self._listing):
                (self._beside if BESIDE_PREFIX in path else self._found)[path] = status
        return self._found

    def _listing(self, directory: str) -> Listing:
        listing = self._listings.get(directory)
        if listing is None:
            listing = _listed(self._root, directory)
            if not directory:
                listing = [item for item in listing if item[0] != OWN_DIRECTORY]
            self._listings[directory] = listing
        return listing

    def contents(self) -> dict[str, bytes]:
        """Return the content of every regular file."""
        return self._contents_of(self.found())

    def own_contents(self) -> dict[str, bytes]:
        """Return the content of every regular file that is towline's own."""
        self.found()
        inside = dict(_below(lambda at: _listed(self._root, at), OWN_DIRECTORY))
        return {**self._contents_of(self._beside), **_read_all(self._root, inside)}

    def content_of(self, ino: int, place: str) -> bytes:
        """Return the content of the file with this inode, which is to be found at `place`."""
        content = self._contents.get(ino)
        if content is None:
            content = self._contents[ino] = read(place)
        return content

    def is_true(self) -> bool:
        """Whether what is remembered is what is there."""
        all_there = _below(lambda at: _listed(self._root, at))
        there = {path: status for path, status in all_there if not is_own_path(path)}
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


def _listed(root: str, directory: str) -> Listing:
    """Return what is in a directory, by its path; nothing if it cannot be read."""
    try:
        with os.scandir(f"{root}/{directory}") as entries:
            start = f"{directory}/" if directory else ""
            return [(start + entry.name, entry.stat(follow_symlinks=False)) for entry in entries]
    except OSError:
        return []


def _below(listing: Callable[[str], Listing], directory: str = "") -> Iterator[Listed]:
    """Yield every path below a directory with its lstat."""
    waiting = [directory]
    while waiting:
        for path, status in listing(waiting.pop()):
            yield path, status
            if stat.S_ISDIR(status.st_mode):
                waiting.append(path)


def _read_all(root: str, found: Found) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    for path, status in found.items():
        if stat.S_ISREG(status.st_mode):
            with suppress(OSError):
                contents[path] = read(f"{root}/{path}")
    return contents


def _kinds(found: Found) -> dict[str, tuple[int, int]]:
    return {path: (s.st_ino, stat.S_IFMT(s.st_mode)) for path, s in found.items()}
