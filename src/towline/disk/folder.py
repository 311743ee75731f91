"""Every system call on a root, one method each: the seam between deciding and the disk.

Each operation walks from the root's descriptor without following links, so that a directory
replaced by a link cannot lead out of the root. Errors are OSErrors, as the system gives them.
Nothing here decides anything; a simulator overrides methods to fill the disk or to let somebody
else edit between two of them. Callers give paths that passed `core.path.check_path`, or own ones.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from towline.core.path import OWN_DIRECTORY
from towline.disk import rename
from towline.disk.descend import DIRECTORY, WALK, descend

if sys.platform != "win32":
    import fcntl

STAGE = f"{OWN_DIRECTORY}/stage"
BESIDE_PREFIX = ".towline-stage-"
"""Names staged beside their target, where it lies on another device. Never synced."""

COPY_PIECE = 1 << 20  # Bytes read at a time where the system does not copy by itself.
_NO_COPY = (errno.ENOSYS, errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM)
_HAS_AT = os.open in os.supports_dir_fd and hasattr(os, "O_DIRECTORY")
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)  # A fifo in a file's place must not stall the opener.
_BINARY = getattr(os, "O_BINARY", 0)
_READ = os.O_RDONLY | _NO_FOLLOW | _NONBLOCK | _BINARY
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_FOLLOW | _BINARY

UNKNOWN = os.stat_result((0,) * 10)
"""In place of the lstat of what is there and cannot be looked at: it is nothing that is synced."""


class Folder:
    """One root, held open: a root put in its place later is not touched by mistake.

    Raises OSError if the root cannot be opened.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self._descriptor = os.open(root, DIRECTORY & ~_NO_FOLLOW) if _HAS_AT else -1
        self._stage = -1
        self._held = -1  # A directory kept open for reading, and which one it is.
        self._held_path: str | None = None
        self.umask = os.umask(0o077)
        os.umask(self.umask)

    def own_path(self, name: str) -> Path:
        """Return where a file of towline's own lies in this root."""
        return self.root / OWN_DIRECTORY / name

    def close(self) -> None:
        self.release()
        for descriptor in (self._descriptor, self._stage):
            if descriptor >= 0:
                os.close(descriptor)
        self._descriptor = self._stage = -1

    def hold_stage(self) -> bool:
        """Keep the stage's directory open, as it is now, if this system can; return whether."""
        if _HAS_AT:
            before, self._stage = self._stage, descend(self._descriptor, STAGE, WALK)
            if before >= 0:
                os.close(before)
        return _HAS_AT

    def hold(self, directory: str) -> None:
        """Keep a directory open until `release`: what is done in it needs no walk.

        For reading, or in the stage, or for one change: it may be moved away while it is held.
        """
        if _HAS_AT and directory != self._held_path:
            self.release()
            self._held = descend(self._descriptor, directory or ".", WALK)
            self._held_path = directory

    def release(self) -> None:
        """Let go of the directory that is held, if one is."""
        if self._held >= 0:
            os.close(self._held)
        self._held, self._held_path = -1, None

    # Looking.

    def lstat_root(self) -> os.stat_result:
        """What is at the root's path now, which may be another directory than this one."""
        return os.stat(self.root)

    def fstat_root(self) -> os.stat_result:
        return os.fstat(self._descriptor) if _HAS_AT else os.stat(self.root)

    def identity_of_root(self) -> str:
        """What no copy has: its inode, and its file system, for any root of one has that inode."""
        ino = self.fstat_root().st_ino
        return f"{ino} {os.fstatvfs(self._descriptor).f_fsid:x}" if _HAS_AT else f"{ino}"

    def lstat(self, path: str) -> os.stat_result:
        directory, _, name = path.rpartition("/")
        if directory == self._held_path:
            return os.lstat(name, dir_fd=self._held)
        with self._at(path) as (parent, name):
            return os.lstat(name, dir_fd=parent)

    def may_be(self, path: str) -> bool:
        """Whether something can be found there, be it by way of a link: True is no certainty."""
        root = self._descriptor if _HAS_AT else None
        at = path if _HAS_AT else os.path.join(self.root, path)
        return os.access(at, os.F_OK, dir_fd=root)

    def scan_directory(self, path: str) -> list[tuple[str, os.stat_result]]:
        """Return names with their lstat, sorted. What vanishes meanwhile is left out.

        That of a mount that does not answer, say, is `UNKNOWN`.
        """
        with self._opened_directory(path) as directory:
            try:
                found = _listing(directory)
            except OSError as error:  # Of one of them, if not of the directory.
                found = _listing_one_by_one(directory)
                is_all = bool(found) and all(status is UNKNOWN for _, status in found)
                if is_all and not isinstance(error, FileNotFoundError):
                    raise  # It may be listed and not searched.
        found.sort()
        return found

    def readlink(self, path: str) -> str:
        with self._at(path) as (parent, name):
            return os.readlink(name, dir_fd=parent)

    # Open files.

    def open(self, path: str) -> int:
        directory, _, name = path.rpartition("/")
        if directory == self._held_path:
            return os.open(name, _READ, dir_fd=self._held)
        if directory == STAGE and self._stage >= 0:
            return os.open(name, _READ, dir_fd=self._stage)
        with self._at(path) as (parent, name):
            return os.open(name, _READ, dir_fd=parent)

    def open_for_writing(self, path: str) -> int:
        with self._at(path) as (parent, name):
            return os.open(name, os.O_WRONLY | _NO_FOLLOW | _BINARY, dir_fd=parent)

    def create(self, path: str, mode: int = 0o600) -> int:
        """Make a new file and return it open for reading and writing."""
        directory, _, name = path.rpartition("/")
        if directory == self._held_path:
            return os.open(name, _CREATE, mode, dir_fd=self._held)
        if directory == STAGE and self._stage >= 0:
            return os.open(name, _CREATE, mode, dir_fd=self._stage)
        with self._at(path) as (parent, name):
            return os.open(name, _CREATE, mode, dir_fd=parent)

    def close_file(self, descriptor: int) -> None:
        os.close(descriptor)

    def fstat(self, descriptor: int) -> os.stat_result:
        return os.fstat(descriptor)

    def read(self, descriptor: int, size: int) -> bytes:
        return os.read(descriptor, size)

    def read_into(self, descriptor: int, buffer: memoryview) -> int:
        """Fill `buffer` from where the file is; return how many bytes there were."""
        if hasattr(os, "readv"):
            return os.readv(descriptor, [buffer])
        content = os.read(descriptor, len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def seek(self, descriptor: int, offset: int) -> None:
        os.lseek(descriptor, offset, os.SEEK_SET)

    def write(self, descriptor: int, content: bytes | memoryview) -> int:
        """Write some of `content`; return how many bytes."""
        return os.write(descriptor, content)

    def copy(self, source: int, target: int, size: int) -> int:
        """Copy up to `size` bytes between two open files, from where each is; return how many.

        The system does it, without copying at all where the file system can share blocks.
        """
        if sys.platform == "linux":
            try:
                return os.copy_file_range(source, target, size)
            except OSError as error:
                if error.errno not in _NO_COPY:
                    raise
        piece = os.read(source, min(size, COPY_PIECE))
        left = memoryview(piece)
        while left:
            left = left[os.write(target, left) :]
        return len(piece)

    def truncate(self, descriptor: int, size: int) -> None:
        os.ftruncate(descriptor, size)

    def set_mode(self, descriptor: int, mode: int) -> None:
        if hasattr(os, "fchmod"):
            os.fchmod(descriptor, mode)

    def set_file_mtime(self, descriptor: int, mtime_ns: int) -> None:
        os.utime(descriptor, ns=(mtime_ns, mtime_ns))

    def set_mtime(self, path: str, mtime_ns: int) -> None:
        with self._at(path) as (parent, name):
            follow = os.utime not in os.supports_follow_symlinks
            os.utime(name, ns=(mtime_ns, mtime_ns), dir_fd=parent, follow_symlinks=follow)

    def sync_file(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def is_open_for_writing(self, descriptor: int) -> bool | None:
        """Whether anybody may still write to this file, opened for reading; None: cannot tell.

        Linux grants a read lease only if nobody has the file open for writing. It is given back
        at once: breaking a lease would send a signal.
        """
        if sys.platform != "linux":
            return None
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        except OSError as error:
            return True if error.errno == errno.EAGAIN else None
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        return False

    # Names.

    def exchange(self, staged: str, path: str) -> None:
        """Swap what two names stand for in one step; errno in `rename.UNSUPPORTED` if it cannot."""
        directory, _, target_name = path.rpartition("/")
        source_directory, _, name = staged.rpartition("/")
        if directory == self._held_path and source_directory == STAGE and self._stage >= 0:
            return rename.exchange(self._stage, name, self._held, target_name)
        with self._at(staged) as (source, name), self._at(path) as (target, target_name):
            return rename.exchange(_number(source), name, _number(target), target_name)

    def place(self, source: str, target: str) -> None:
        """Move `source` to a free name; FileExistsError if it is taken."""
        with self._at(source) as (parent, name), self._at(target) as (target_parent, target_name):
            try:
                rename.rename_to_free(_number(parent), name, _number(target_parent), target_name)
            except OSError as error:
                if error.errno not in rename.UNSUPPORTED:
                    raise
                _place_without_flag(parent, name, target_parent, target_name)

    def unlink(self, path: str) -> None:
        with self._at(path) as (parent, name):
            os.unlink(name, dir_fd=parent)

    def symlink(self, target: str, path: str) -> None:
        with self._at(path) as (parent, name):
            os.symlink(target, name, dir_fd=parent)

    def mkdir(self, path: str, mode: int = 0o777) -> None:
        with self._at(path) as (parent, name):
            os.mkdir(name, mode, dir_fd=parent)

    def rmdir(self, path: str) -> None:
        with self._at(path) as (parent, name):
            os.rmdir(name, dir_fd=parent)

    def sync_directory(self, path: str) -> None:
        """Make the names in a directory durable; does nothing where a directory has no fsync."""
        if _HAS_AT:
            with self._opened_directory(path) as directory:
                os.fsync(int(directory))

    # The walk.

    def _at(self, path: str) -> _At:
        """Enter (descriptor of the parent, name); (None, whole path) where no *at calls exist."""
        parent, _, name = path.rpartition("/")
        if not _HAS_AT:
            self._refuse_links(parent)
            return _At(None, os.path.join(self.root, path))
        if not parent:
            return _At(self._descriptor, name)
        if parent == self._held_path:
            return _At(self._held, name)
        if parent == STAGE and self._stage >= 0:
            return _At(self._stage, name)
        return _At(descend(self._descriptor, parent, WALK), name, closes=True)

    @contextmanager
    def _opened_directory(self, path: str) -> Generator[int | str, None, None]:
        if not _HAS_AT:
            self._refuse_links(path)
            yield os.path.join(self.root, path)
            return
        descriptor = descend(self._descriptor, path or ".", os.O_RDONLY | DIRECTORY)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _refuse_links(self, directory: str) -> None:
        at = os.fspath(self.root)
        for name in directory.split("/") if directory else ():
            at = os.path.join(at, name)
            if not stat.S_ISDIR(os.lstat(at).st_mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), at)


class _At:
    """A name in an open directory, which is closed afterwards if it `closes`.

    A class, since it is entered some ten times for each file: `contextmanager` takes four times as
    long.
    """

    __slots__ = ("_closes", "_name", "_parent")

    def __init__(self, parent: int | None, name: str, *, closes: bool = False) -> None:
        self._parent = parent
        self._name = name
        self._closes = closes

    def __enter__(self) -> tuple[int | None, str]:
        return self._parent, self._name

    def __exit__(self, *_: object) -> None:
        if self._closes and self._parent is not None:
            os.close(self._parent)


def _listing(directory: int | str) -> list[tuple[str, os.stat_result]]:
    with os.scandir(directory) as entries:
        return [(entry.name, entry.stat(follow_symlinks=False)) for entry in entries]


def _listing_one_by_one(directory: int | str) -> list[tuple[str, os.stat_result]]:
    with os.scandir(directory) as entries:
        looked_at = [(entry.name, _status_of(entry)) for entry in entries]
    return [(name, status) for name, status in looked_at if status is not None]


def _status_of(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    except OSError:
        return UNKNOWN


def _number(descriptor: int | None) -> int:
    return -1 if descriptor is None else descriptor


def _place_without_flag(parent: int | None, name: str, target_parent: int | None, to: str) -> None:
    """Take a free name by linking, which never replaces; a directory by looking first."""
    try:
        os.link(
            name, to, src_dir_fd=parent, dst_dir_fd=target_parent, follow_symlinks=os.name == "nt"
        )
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in (errno.EPERM, *rename.UNSUPPORTED):
            raise
        _rename_if_free(parent, name, target_parent, to)
    else:
        os.unlink(name, dir_fd=parent)


def _rename_if_free(parent: int | None, name: str, target_parent: int | None, to: str) -> None:
    try:
        os.lstat(to, dir_fd=target_parent)
    except FileNotFoundError:
        os.rename(name, to, src_dir_fd=parent, dst_dir_fd=target_parent)
    else:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), to)


def mode_of_new(umask: int, *, executable: bool) -> int:
    """Return the mode of a file that replaces none."""
    mode = 0o666 & ~umask
    return mode | (mode & 0o444) >> 2 if executable else mode


def is_own_name(name: str, *, at_top: bool) -> bool:
    """Whether a name in a directory is towline's own and so never part of a tree."""
    return name.startswith(BESIDE_PREFIX) or (at_top and name == OWN_DIRECTORY)


def is_own_path(path: str) -> bool:
    is_own = path == OWN_DIRECTORY or path.startswith(f"{OWN_DIRECTORY}/")
    return is_own or path.startswith(BESIDE_PREFIX) or f"/{BESIDE_PREFIX}" in path
