"""The files that a group of changes is about to put in place, written whole beforehand.

Each lies in the stage under its final mode, one rename away from its path. What is not used in the
end is dropped, or goes back to the contents on their way. Decides nothing about paths.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from towline.core.entry import Entry, File, Symlink, digest_of
from towline.disk.displaced import HALF_WRITTEN_MODE, Displaced, Verdict
from towline.disk.folder import Folder, mode_of_new
from towline.disk.look import PIECE, is_executable
from towline.disk.stage import Stage

_EMPTY = digest_of(b"")


@dataclass(slots=True)
class Staged:
    """Something new for `path` under the staged `name`. `part`: it was a part, to be given back."""

    path: str
    name: str
    entry: File | Symlink
    ino: int = 0
    mtime_ns: int = 0
    size: int = 0
    part: bytes | None = None


class LackingError(Exception):
    """The content is not at hand, or is not what it claims to be."""


class Supply:
    """Staged files by path, for one group. What writes raises OSError, leaving nothing behind."""

    def __init__(
        self, folder: Folder, stage: Stage, displaced: Displaced, *, durable: bool
    ) -> None:
        self._folder = folder
        self._stage = stage
        self._displaced = displaced
        self._durable = durable
        self._ready: dict[str, Staged] = {}
        self._used: set[bytes] = set()

    def prepare(
        self,
        path: str,
        old: Entry | None,
        new: File | Symlink,
        status: os.stat_result | None,
        contents: Mapping[bytes, bytes],
        *,
        is_last_use: bool = True,
    ) -> None:
        """Stage `new` for `path`, where a file of `status` stands. Raises LackingError, OSError.

        `is_last_use`: no other change of the group needs this content.
        """
        if path in self._ready:
            return
        name = self._displaced.staged_name(path, old, new, out=False)
        if isinstance(new, Symlink):
            self._folder.symlink(new.target, name)
            self._ready[path] = Staged(path, name, new)
            return
        mode = self.final_mode(status, executable=new.executable)
        content = self._content(new, contents)
        if content is not None:
            self._ready[path] = self._write(path, name, new, [content], mode)
        elif not self._stage.has_part(new.digest, new.size):
            raise self._stage.trouble(new.digest) or LackingError
        elif is_last_use:
            self._ready[path] = self._from_part(path, name, new, mode)
        else:
            self._ready[path] = self._copy(self._stage.open_part(new.digest), path, name, new, mode)

    def prepare_known(
        self, path: str, old: File, new: File, old_mode: int, content: bytes, mtime_ns: int
    ) -> None:
        """Stage `content`, known to be that of `new`, for `path`, where `old` of that mode stands.

        With its mtime: for as long as that file is the one to be replaced. Raises OSError.
        """
        name = self._displaced.staged_name(path, old, new, out=False)
        mode = _mode_after(old_mode, executable=new.executable)
        self._ready[path] = self._write(path, name, new, [content], mode, mtime_ns)

    def has(self, path: str) -> bool:
        """Whether something is staged for `path`."""
        return path in self._ready

    def put_back(self, staged: Staged) -> None:
        """Give back what was taken and is as it was; `finish` drops it if nobody takes it again."""
        self._ready[staged.path] = staged

    def take(self, path: str) -> Staged:
        """Return what was staged for `path`. It is the caller's from now on, to place or drop."""
        return self._ready.pop(path)

    def placed(self, staged: Staged) -> None:
        """Note that this content reached its path."""
        if isinstance(staged.entry, File):
            self._used.add(staged.entry.digest)

    def drop(self, staged: Staged) -> None:
        """Take back what found no place. Trouble is left to a later cleaning of the stage."""
        try:
            if staged.part is not None:
                self._stage.give_back(staged.part, staged.name, staged.size)
            else:
                self._folder.unlink(staged.name)
        except FileNotFoundError:
            return
        except OSError:
            maybe_open = Verdict(as_expected=True, is_open=None)
            self._displaced.let_go(staged.name, staged.path, staged.entry, maybe_open)

    def finish(self) -> None:
        """Drop what was not taken, and the contents that reached their place."""
        for path in list(self._ready):
            self.drop(self._ready.pop(path))
        for digest in self._used:
            self._stage.discard(digest)
        self._used.clear()

    def set_mtime(self, staged: Staged, mtime_ns: int) -> None:
        staged.mtime_ns = mtime_ns
        self._folder.set_mtime(staged.name, mtime_ns)

    def move_beside(self, staged: Staged) -> None:
        """Copy to a name beside the path, which lies on another device, and drop the first."""
        name = self._displaced.staged_name(staged.path, None, staged.entry, out=False, beside=True)
        first = replace(staged)
        if isinstance(staged.entry, Symlink):
            self._folder.symlink(staged.entry.target, name)
        else:
            source = self._folder.open(staged.name)
            mode = stat.S_IMODE(self._folder.fstat(source).st_mode)
            staged.ino = self._copy(source, staged.path, name, staged.entry, mode).ino
            self._folder.set_mtime(name, staged.mtime_ns)
        staged.name, staged.part = name, None
        self.drop(first)

    def final_mode(self, status: os.stat_result | None, *, executable: bool) -> int:
        """Return the mode for a file that replaces one of `status`: its bits, but for execution."""
        if status is None or not stat.S_ISREG(status.st_mode):
            return mode_of_new(self._folder.umask, executable=executable)
        return _mode_after(status.st_mode, executable=executable)

    def _content(self, new: File, contents: Mapping[bytes, bytes]) -> bytes | None:
        if new.digest == _EMPTY:
            return b""
        content = contents.get(new.digest)
        if content is None:
            return self._stage.content(new.digest)
        if digest_of(content) != new.digest:
            raise LackingError
        return content

    def _write(
        self,
        path: str,
        name: str,
        new: File,
        pieces: Iterable[bytes],
        mode: int,
        mtime_ns: int = 0,
    ) -> Staged:
        descriptor = self._folder.create(name, HALF_WRITTEN_MODE)
        try:
            try:
                for piece in pieces:
                    self._write_all(descriptor, piece)
                if mtime_ns:
                    self._folder.set_file_mtime(descriptor, mtime_ns)
                staged = Staged(path, name, new, mtime_ns=mtime_ns)
                return self._completed(descriptor, staged, mode)
            finally:
                self._folder.close_file(descriptor)
        except OSError:
            with suppress(OSError):
                self._folder.unlink(name)
            raise

    def _copy(self, source: int, path: str, name: str, new: File, mode: int) -> Staged:
        """Copy the rest of an open file, which is closed."""
        try:
            pieces = iter(lambda: self._folder.read(source, PIECE), b"")
            return self._write(path, name, new, pieces, mode)
        finally:
            self._folder.close_file(source)

    def _from_part(self, path: str, name: str, new: File, mode: int) -> Staged:
        descriptor = self._stage.open_part(new.digest)
        try:
            staged = self._completed(descriptor, Staged(path, name, new, part=new.digest), mode)
        finally:
            self._folder.close_file(descriptor)
        self._stage.take_part(new.digest, name)
        return staged

    def _write_all(self, descriptor: int, content: bytes) -> None:
        written = self._folder.write(descriptor, content) if content else 0
        while written < len(content):
            written += self._folder.write(descriptor, memoryview(content)[written:])

    def _completed(self, descriptor: int, staged: Staged, mode: int) -> Staged:
        self._folder.set_mode(descriptor, mode)
        if self._durable:
            self._folder.sync_file(descriptor)
        status = self._folder.fstat(descriptor)
        staged.ino, staged.size = status.st_ino, status.st_size
        return staged


def _mode_after(before: int, *, executable: bool) -> int:
    """Return the mode for what replaces a file of the mode `before`."""
    mode = before & 0o777
    if is_executable(before) == executable:
        return mode
    mode &= ~0o111
    return mode | (mode & 0o444) >> 2 if executable else mode
