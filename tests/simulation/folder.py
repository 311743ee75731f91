"""A folder whose system calls fail, are overtaken by somebody else's, or never return.

Times of files are virtual: the kernel's own would stand still while the simulated days go by.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.simulation.weather import Crash
from towline.core.path import parent_of
from towline.disk.folder import Folder, is_own_path

if TYPE_CHECKING:
    from tests.simulation.side import Side


class Stat(NamedTuple):
    """What the disk code reads of an `os.stat_result`."""

    st_mode: int
    st_ino: int
    st_dev: int
    st_nlink: int
    st_size: int
    st_mtime_ns: int
    st_ctime_ns: int


class SimulatedFolder(Folder):
    """`side` is whose folder it is. After `kill`, every call ends in `Crash`."""

    def __init__(self, root: Path, side: Side) -> None:
        super().__init__(root)
        self._side = side
        self._killed = False
        self._files: set[int] = set()
        side.folders.append(self)

    def kill(self) -> None:
        """The process is gone; the kernel closes what it had open."""
        self._killed = True
        for descriptor in list(self._files):
            self.close_file(descriptor)
        self.close()

    def _enter(self, call: str, path: str = "") -> None:
        if self._killed:
            raise Crash
        self._side.about_to(self, call, path)

    def _virtual(self, status: os.stat_result) -> os.stat_result:
        mtime_ns, ctime_ns = self._side.times_of(status.st_ino)
        return Stat(  # type: ignore[return-value]
            status.st_mode,
            status.st_ino,
            status.st_dev,
            status.st_nlink,
            status.st_size,
            mtime_ns,
            ctime_ns,
        )

    def _stamp(self, path: str, *, content: bool = False) -> None:
        with suppress(OSError):
            self._side.stamp(super().lstat(path).st_ino, content=content)

    # Looking.

    def lstat_root(self) -> os.stat_result:
        self._enter("lstat_root")
        return super().lstat_root()

    def fstat_root(self) -> os.stat_result:
        self._enter("fstat_root")
        return super().fstat_root()

    def lstat(self, path: str) -> os.stat_result:
        self._enter("lstat", path)
        return self._virtual(super().lstat(path))

    def may_be(self, path: str) -> bool:
        self._enter("may_be", path)
        return super().may_be(path)

    def scan_directory(self, path: str) -> list[tuple[str, os.stat_result]]:
        self._enter("scan_directory", path)
        return [(name, self._virtual(status)) for name, status in super().scan_directory(path)]

    def readlink(self, path: str) -> str:
        self._enter("readlink", path)
        return super().readlink(path)

    # Open files.

    def open(self, path: str) -> int:
        self._enter("open", path)
        return self._opened(super().open(path))

    def open_for_writing(self, path: str) -> int:
        self._enter("open_for_writing", path)
        assert is_own_path(path), f"{path} opened for writing in its place"
        return self._opened(super().open_for_writing(path))

    def create(self, path: str, mode: int = 0o600) -> int:
        self._enter("create", path)
        assert is_own_path(path), f"{path} created in its place"
        self._side.files.names_changed(path)
        descriptor = self._opened(super().create(path, mode))
        self._stamp(path, content=True)
        self._side.unwritten.wrote(os.fstat(descriptor).st_ino)
        return descriptor

    def _opened(self, descriptor: int) -> int:
        self._files.add(descriptor)
        return descriptor

    def close_file(self, descriptor: int) -> None:
        if descriptor in self._files:
            self._files.discard(descriptor)
            super().close_file(descriptor)

    def fstat(self, descriptor: int) -> os.stat_result:
        self._enter("fstat")
        return self._virtual(super().fstat(descriptor))

    def read(self, descriptor: int, size: int) -> bytes:
        self._enter("read")
        return super().read(descriptor, size)

    def read_into(self, descriptor: int, buffer: memoryview) -> int:
        self._enter("read")
        return super().read_into(descriptor, buffer)

    def copy(self, source: int, target: int, size: int) -> int:
        self._enter("write")
        copied = super().copy(source, target, self._side.short_write(size))
        self._wrote(target)
        return copied

    def truncate(self, descriptor: int, size: int) -> None:
        self._enter("write")
        super().truncate(descriptor, size)
        self._wrote(descriptor)

    def write(self, descriptor: int, content: bytes | memoryview) -> int:
        self._enter("write")
        some = self._side.short_write(len(content))
        written = super().write(descriptor, memoryview(content)[:some])
        self._wrote(descriptor)
        return written

    def _wrote(self, descriptor: int) -> None:
        ino = os.fstat(descriptor).st_ino
        self._side.stamp(ino, content=True)
        self._side.unwritten.wrote(ino)

    def set_mode(self, descriptor: int, mode: int) -> None:
        self._enter("set_mode")
        super().set_mode(descriptor, mode)
        self._side.stamp(os.fstat(descriptor).st_ino)
        self._side.mode_changed(os.fstat(descriptor).st_ino)

    def set_mtime(self, path: str, mtime_ns: int) -> None:
        self._enter("set_mtime", path)
        super().set_mtime(path, mtime_ns)
        self._stamp(path)
        self._side.set_mtime(super().lstat(path).st_ino, mtime_ns)

    def set_file_mtime(self, descriptor: int, mtime_ns: int) -> None:
        self._enter("set_mtime")
        super().set_file_mtime(descriptor, mtime_ns)
        ino = os.fstat(descriptor).st_ino
        self._side.stamp(ino)
        self._side.set_mtime(ino, mtime_ns)

    def sync_file(self, descriptor: int) -> None:
        self._enter("sync_file")
        self._side.unwritten.content_is_safe(os.fstat(descriptor).st_ino)

    def sync_directory(self, path: str) -> None:
        self._enter("sync_directory", path)
        super().sync_directory(path)
        self._side.unwritten.directory_is_safe(path)

    def is_open_for_writing(self, descriptor: int) -> bool | None:
        self._enter("is_open_for_writing")
        return super().is_open_for_writing(descriptor)

    # Names.

    def exchange(self, staged: str, path: str) -> None:
        self._enter("exchange", path)
        self._side.files.names_changed(staged, path)
        super().exchange(staged, path)
        self._side.unwritten.exchanged(staged, path)
        self._stamp(staged)
        self._stamp(path)
        self._side.placed(path)

    def place(self, source: str, target: str) -> None:
        self._enter("place", source if is_own_path(target) else target)
        self._side.files.names_changed(source, target)
        super().place(source, target)
        self._side.unwritten.moved(source, target)
        self._stamp(target)
        for path in (source, target):
            if not is_own_path(path):
                self._side.placed(path)

    def unlink(self, path: str) -> None:
        self._enter("unlink", path)
        self._side.files.names_changed(path)
        super().unlink(path)
        self._side.unwritten.removed(path)
        if not is_own_path(path):
            self._side.placed(path)

    def symlink(self, target: str, path: str) -> None:
        self._enter("symlink", path)
        self._side.files.names_changed(path)
        super().symlink(target, path)

    def mkdir(self, path: str, mode: int = 0o777) -> None:
        self._enter("mkdir", path)
        self._side.files.names_changed(path)
        super().mkdir(path, mode)
        self._side.unwritten.made_directory(path)
        if not is_own_path(path):
            self._side.notify(path, "path")

    def rmdir(self, path: str) -> None:
        self._enter("rmdir", path)
        self._side.files.names_changed(path)
        super().rmdir(path)
        self._side.unwritten.removed_directory(path)
        if not is_own_path(path):
            self._side.notify(path, "path")


def parents(path: str) -> list[str]:
    found: list[str] = []
    while path := parent_of(path):
        found.append(path)
    return found
