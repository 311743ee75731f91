"""Reads what is to be sent to the other side, and only as the version that is meant.

What has another digest by now is not given out as what it was. Nothing here changes a file or a
tree; what is read to know the tree is read by `disk.look`.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from contextlib import suppress

from towline.core.entry import File, digest_of
from towline.core.path import check_path, parent_of
from towline.core.steps import Steps
from towline.disk.cache import Cache, Stamp, stamp_of
from towline.disk.folder import Folder
from towline.disk.look import Look

READ_MAX = 64 << 20  # Bytes that `read` returns at most; larger files are read in parts.


class Outgoing:
    """`look` tells what a file is of which `cache` does not know it."""

    def __init__(self, folder: Folder, cache: Cache, look: Look) -> None:
        self._folder = folder
        self._cache = cache
        self._look = look
        self._read_last: tuple[str, Stamp, bytes] | None = None

    def read_all(self, wanted: Iterable[tuple[str, File]]) -> list[bytes | None]:
        """Read several files, as `read` does."""
        read: list[bytes | None] = []
        try:
            for path, expected in wanted:
                with suppress(OSError):  # Whatever it is, reading the file tells it better.
                    self._folder.hold(parent_of(path))
                read.append(self.read(path, expected))
        finally:
            self._folder.release()
        return read

    def read(self, path: str, expected: File) -> bytes | None:
        """Return the content of a file of at most READ_MAX; None if it is not `expected` now."""
        try:
            content = self._read(check_path(path), expected.size)
        except OSError:
            return None
        return content if digest_of(content) == expected.digest else None

    def part_steps(self, path: str, expected: File, offset: int, size: int) -> Steps[bytes | None]:
        """Return up to `size` bytes from `offset`; None if the file is not `expected` now.

        Yield while it has to be read for that: it was written to, or another took its place.
        """
        try:
            return (yield from self._part_steps(check_path(path), expected, offset, size))
        except OSError:
            return None

    def read_unread(self, path: str, offset: int, size: int) -> bytes:
        """Return up to `size` bytes of a file of which nothing is known yet; none if it fails."""
        try:
            descriptor = self._folder.open(check_path(path))
        except OSError:
            return b""
        try:
            self._folder.seek(descriptor, offset)
            return self._read_exactly(descriptor, size)
        except OSError:
            return b""
        finally:
            self._folder.close_file(descriptor)

    def _read(self, path: str, size: int) -> bytes:
        """Read a file that is expected to be so large; one that is not is another."""
        if size > READ_MAX:
            raise OSError(errno.EFBIG, "too large to be read whole", path)
        descriptor = self._folder.open(path)
        try:
            content = self._folder.read(descriptor, size + 1)
            if len(content) < size:
                content += self._read_exactly(descriptor, size - len(content))
            return content
        finally:
            self._folder.close_file(descriptor)

    def _part_steps(self, path: str, expected: File, offset: int, size: int) -> Steps[bytes | None]:
        descriptor = self._folder.open(path)
        try:
            stamp = stamp_of(self._folder.fstat(descriptor))
            digest = yield from self._digest_steps(path, stamp)
            if digest != expected.digest:
                return None
            self._folder.seek(descriptor, offset)
            content = self._read_exactly(descriptor, size)
            return content if stamp_of(self._folder.fstat(descriptor)) == stamp else None
        finally:
            self._folder.close_file(descriptor)

    def _digest_steps(self, path: str, stamp: Stamp) -> Steps[bytes | None]:
        """Return the file's digest while it has this stamp.

        One just written has no settled stamp; its last digest serves nevertheless, since whoever
        receives the parts checks the whole.
        """
        digest = self._cache.digest(path, stamp)
        if digest is None and self._read_last and self._read_last[:2] == (path, stamp):
            digest = self._read_last[2]
        if digest is None:
            status = self._folder.lstat(path)
            entry = yield from self._look.entry_steps(path, status)
            if isinstance(entry, File) and stamp_of(status) == stamp:
                digest = entry.digest
                self._read_last = (path, stamp, digest)
        return digest

    def _read_exactly(self, descriptor: int, size: int) -> bytes:
        """Read `size` bytes, or what there is until the end."""
        pieces: list[bytes] = []
        while size > 0 and (piece := self._folder.read(descriptor, size)):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)
