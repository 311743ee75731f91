"""What stands at one path: lstat, the cache, and the content only where these cannot tell.

Reading is cooperative: generators yield after each piece hashed. Nothing here walks directories or
knows what is ignored.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from mmap import mmap
from typing import NamedTuple, cast

from towline.core.delta import Stretch
from towline.core.digest import BLOCK, digest_of
from towline.core.entry import DIRECTORY, Entry, File, Symlink, Unsynced
from towline.core.ignore import NO_CHECKPOINTS
from towline.core.path import join, name_of, parent_of, shared
from towline.core.problem import ProblemKind
from towline.core.steps import Steps, run_to_end
from towline.disk.cache import Cache, Stamp, digest_in, packed_stamp_of, stamp_of
from towline.disk.folder import UNKNOWN, Folder
from towline.disk.settle import Settling
from towline.disk.signatures import LARGE, BlockReader, Known, Signatures

PIECE = 1 << 20  # Bytes hashed between two yields: about a millisecond.
SMALL_MAX = 64 << 10  # Bytes; up to this size a file is read at once.
KEPT_MAX = 16 << 20  # Bytes of contents kept from one round of looks, until they are sent.
KEPT_FILE_MAX = 256 << 10  # Larger ones travel in parts, which are read as they go.
ATTEMPTS_MAX = 4  # Tries to read a file that is being written before it is left for later.

_TYPE = stat.S_IFMT(0o777777)  # The bits of a mode that say what kind of thing it is.

UNSETTLED = Unsynced(ProblemKind.UNSETTLED)

Postpone = Callable[[str, os.stat_result], Entry | None]


class _Read(NamedTuple):
    """What a small file held, and when it was read at the earliest."""

    digest: bytes
    content: bytes
    at_ns: int


class Look:
    """Looks at single paths of one folder. `size_max` (bytes): what is larger is not read."""

    def __init__(
        self,
        folder: Folder,
        cache: Cache,
        now_ns: Callable[[], int],
        signatures: Signatures | None = None,
    ) -> None:
        self.folder = folder
        self.cache = cache
        self.now_ns = now_ns
        self.signatures = signatures or Signatures()
        self.size_max: int | None = None
        self.checkpoints = NO_CHECKPOINTS
        self.settling = Settling(folder)
        self._postpone: Postpone | None = None
        self._buffer = mmap(-1, PIECE)  # One for all: new memory for each piece costs more.
        self.moved: dict[bytes, bytes] = {}  # Rows of the cache, of files whose directory is gone.
        self._contents: dict[bytes, bytes] | None = None
        self._room = 0  # Bytes that `_contents` may still get.
        self._ahead: dict[tuple[str, bytes], _Read] = {}  # By path and stamp.

    @contextmanager
    def keeping(
        self, contents: dict[bytes, bytes] | None, room: int = KEPT_MAX
    ) -> Generator[None, None, None]:
        """Put what is read of small files meanwhile into `contents`, by digest, up to `room`."""
        self._contents, self._room = contents, room
        try:
            yield
        finally:
            self._contents = None

    @contextmanager
    def postponing(self, postpone: Postpone) -> Generator[None, None, None]:
        """Ask `postpone` meanwhile what to take a large file for that would have to be read."""
        self._postpone = postpone
        try:
            yield
        finally:
            self._postpone = None

    def at(self, path: str) -> tuple[Entry | None, os.stat_result | None]:
        """Return the shallow entry at `path` and its lstat. Raises OSError but for absence."""
        try:
            status = self.folder.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None, None
        if stat.S_ISREG(status.st_mode) and (file := self.at_once(path, status)) is not None:
            return file, status
        return run_to_end(self.entry_steps(path, status)), status

    def at_once(self, path: str, status: os.stat_result) -> File | None:
        """Return a regular file as far as one look tells; None where it takes `entry_steps`."""
        size = status.st_size
        if self._is_too_large(path, size):
            return None
        digest = self.cache.digest(path, stamp_of(status)) or self._moved_here(path, status)
        if digest is None:
            stamp = packed_stamp_of(status)
            digest = self._read_at_once(parent_of(path), name_of(path), status, stamp)
        return None if digest is None else File(digest, is_executable(status.st_mode), size)

    def stamp_of_known(self, path: str, file: File) -> Stamp | None:
        """Return the stamp under which `file` is known to stand at `path`, without a look.

        None: it is not, or takes more than a stamp to know.
        """
        stamp = self.cache.stamp(path, file.digest)
        if stamp is None or self._is_too_large(path, file.size):
            return None
        is_it = stamp.size == file.size and is_executable(stamp.mode) == file.executable
        return stamp if is_it else None

    def files_in(
        self, directory: str, found: Iterable[tuple[str, os.stat_result]]
    ) -> dict[str, File]:
        """Return the files of a directory, by name, that one look suffices for.

        They are known by their stamps, or small.
        """
        try:
            return self._files_in(directory, found)
        finally:
            self.folder.release()  # What is done meanwhile finds its own way.

    def _files_in(
        self, directory: str, found: Iterable[tuple[str, os.stat_result]]
    ) -> dict[str, File]:
        known, size_max = self.cache.known_in(directory), self.size_max
        files: dict[str, File] = {}
        for name, status in found:
            size = status.st_size
            if status.st_mode & _TYPE != stat.S_IFREG or (size_max is not None and size > size_max):
                continue
            stamp = packed_stamp_of(status)
            row = known.get(name, b"")
            if row.startswith(stamp):
                digest: bytes | None = row[len(stamp) :]
            elif (row := self.moved.get(stamp, b"")) != b"":
                digest = row[len(stamp) :]
                self.cache.put_row(directory, name, row)
            else:
                with suppress(OSError):  # Whatever it is, reading the file tells it better.
                    self.folder.hold(directory)
                digest = self._read_at_once(directory, name, status, stamp)
            if digest is not None:
                files[shared(name)] = File(digest, is_executable(status.st_mode), size)
        return files

    def entry_steps(self, path: str, status: os.stat_result) -> Steps[Entry | None]:
        """Yield while reading; return the shallow entry, None if it vanished meanwhile."""
        try:
            return (yield from self._entry_steps(path, status))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            return Unsynced(ProblemKind.UNREADABLE, error.strerror or str(error))

    def _entry_steps(self, path: str, status: os.stat_result) -> Steps[Entry | None]:
        if stat.S_ISREG(status.st_mode):
            return (yield from self._file_steps(path, status))
        if stat.S_ISDIR(status.st_mode):
            return DIRECTORY
        if stat.S_ISLNK(status.st_mode):
            return link_entry(path, self.folder.readlink(path))
        if status is UNKNOWN:
            return Unsynced(ProblemKind.UNREADABLE, "it cannot be looked at")
        return Unsynced(ProblemKind.SPECIAL)

    def _file_steps(self, path: str, status: os.stat_result) -> Steps[Entry | None]:
        if self._is_too_large(path, status.st_size):
            return Unsynced(ProblemKind.TOO_LARGE)
        digest = self.cache.digest(path, stamp_of(status)) or self._moved_here(path, status)
        if digest is not None:
            return File(digest, is_executable(status.st_mode), status.st_size)
        if not self._is_settled(path, status):
            return UNSETTLED
        if self._postpone is not None and status.st_size > LARGE:
            return self._postpone(path, status)
        reading = self.read_steps(path)
        while True:
            try:
                next(reading)
            except StopIteration as end:
                return cast("Entry", end.value)
            yield

    def read_steps(self, path: str) -> Generator[BlockReader, None, Entry]:
        """Read the file at `path`, whatever the cache says; yield how far that is. Raises OSError.

        A file that changes all the time is tried a few times, then unsynced for now.
        """
        for _ in range(ATTEMPTS_MAX):
            read_at_ns, known = self.now_ns(), self.cache.row(path)
            digest, status = yield from self._hash_steps(path)
            if self._is_too_large(path, status.st_size):  # It grew since it was looked at.
                return Unsynced(ProblemKind.TOO_LARGE)
            # Another row: it was written to meanwhile, be it through a map.
            if digest is not None and self.cache.row(path) is known:
                self.cache.put(path, stamp_of(status), digest, read_at_ns=read_at_ns)
                return File(digest, is_executable(status.st_mode), status.st_size)
        return Unsynced(ProblemKind.CHANGING)

    def _is_too_large(self, path: str, size: int) -> bool:
        if self.size_max is None or size <= self.size_max:
            return False
        size_max = self.checkpoints.size_max
        is_within = size_max is None or size <= size_max
        return not (is_within and self.checkpoints.covers(path))

    def _is_settled(self, path: str, status: os.stat_result) -> bool:
        return self.settling.is_settled(path, status, self.now_ns())

    def _read_at_once(
        self, directory: str, name: str, status: os.stat_result, stamp: bytes
    ) -> bytes | None:
        """Hash a small file in one piece; None if it is not, or not at rest, or unreadable."""
        path = join(directory, name)
        if status.st_size > SMALL_MAX or not self._is_settled(path, status):
            return None
        read = self._ahead.pop((path, stamp), None) or self._read_small(path, status.st_size, stamp)
        if read is None:
            return None
        self.cache.put_read(directory, name, status, stamp + read.digest, read.at_ns)
        self._keep(read.digest, read.content)
        return read.digest

    def read_ahead(self, path: str) -> None:
        """Read a small file now that is to be looked at in an instant.

        Only the watch can say that what is read is still there then, for its stamp may be another
        one's, too, that comes so soon: until it was read, and had told nothing, `forget_ahead`.
        """
        with suppress(OSError):
            status = self.folder.lstat(path)
            if stat.S_ISREG(status.st_mode) and status.st_size <= SMALL_MAX:
                stamp = packed_stamp_of(status)
                if (read := self._read_small(path, status.st_size, stamp)) is not None:
                    self._ahead[path, stamp] = read

    def forget_ahead(self) -> None:
        self._ahead.clear()

    def _read_small(self, path: str, size: int, stamp: bytes) -> _Read | None:
        """Read a file that has this size and stamp; None if it has not, or cannot be read."""
        folder, read_at_ns = self.folder, self.now_ns()
        try:
            descriptor = folder.open(path)
            try:
                content = folder.read(descriptor, size + 1)
                after = packed_stamp_of(folder.fstat(descriptor))
            finally:
                folder.close_file(descriptor)
        except OSError:
            return None
        if len(content) != size or after != stamp:
            return None
        return _Read(digest_of(content), content, read_at_ns)

    def _moved_here(self, path: str, status: os.stat_result) -> bytes | None:
        """Return the digest of a file that came with its directory: nothing of its stamp differs.

        The stamp holds the inode, and the ctime of any write or rename of the file itself.
        """
        row = self.moved.get(packed_stamp_of(status)) if self.moved else None
        if row is None:
            return None
        self.cache.put_row(parent_of(path), name_of(path), row)
        return digest_in(row)

    def _hash_steps(
        self, path: str
    ) -> Generator[BlockReader, None, tuple[bytes | None, os.stat_result]]:
        """Hash the file; None instead of a digest if another stands there by then."""
        folder = self.folder
        descriptor = folder.open(path)
        try:
            before = folder.fstat(descriptor)
            content = b""
            if before.st_size > LARGE:
                digest = yield from self._large_steps(path, descriptor, before.st_size)
            else:
                content = self._read(descriptor, before.st_size)
                digest = digest_of(content) if len(content) == before.st_size else None
            after = folder.lstat(path)
        finally:
            folder.close_file(descriptor)
        if digest is None or stamp_of(before) != stamp_of(after):
            return None, after
        if content:
            self._keep(digest, content)
        return digest, after

    def _large_steps(
        self, path: str, descriptor: int, size: int
    ) -> Generator[BlockReader, None, bytes | None]:
        """Hash `size` bytes; None if there are fewer. What comes after them is not read."""
        last_digest = self.cache.last_digest(path)
        before = self.signatures.get(last_digest) if last_digest else None
        reader = BlockReader(before)
        if before is not None:
            reader.in_blocks = (size - before.signature.size) % BLOCK == 0
            reader.tail = self._tail(descriptor, before, size)
        left = size
        while left:
            filled = self._fill(descriptor, min(PIECE, left))
            if not filled:
                return None
            reader.update(memoryview(self._buffer).toreadonly()[:filled])
            left -= filled
            yield reader
        known = reader.known()
        self.signatures.put(known.signature.digest, known)
        return known.signature.digest

    def _tail(self, descriptor: int, before: Known, size: int) -> Stretch | None:
        """Return what was appended, if the last whole block before it is in place."""
        tail = before.signature.size // BLOCK * BLOCK
        if size <= before.signature.size:
            return None
        self.folder.seek(descriptor, tail - BLOCK)
        filled = self._fill(descriptor, BLOCK)
        self.folder.seek(descriptor, 0)
        block = memoryview(self._buffer).toreadonly()[:filled]
        is_in_place = before.has_block(tail // BLOCK - 1, block)
        return Stretch(tail, size - tail, None) if is_in_place else None

    def _fill(self, descriptor: int, size: int) -> int:
        """Read `size` bytes, or what there is until the end, into the buffer."""
        buffer, filled = memoryview(self._buffer), 0
        while filled < size and (more := self.folder.read_into(descriptor, buffer[filled:size])):
            filled += more
        return filled

    def _read(self, descriptor: int, size: int) -> bytes:
        """Read `size` bytes, or what there is until the end."""
        content = self.folder.read(descriptor, size)
        while len(content) < size and (more := self.folder.read(descriptor, size - len(content))):
            content += more
        return content

    def _keep(self, digest: bytes, content: bytes) -> None:
        if self._contents is not None and len(content) <= min(KEPT_FILE_MAX, self._room):
            self._contents[digest] = content
            self._room -= len(content)


def is_executable(mode: int) -> bool:
    """Whether the owner may execute it; Windows has no such bit."""
    return sys.platform != "win32" and bool(mode & stat.S_IXUSR)


def link_entry(path: str, target: str) -> Entry:
    """Return the link at `path`; unsynced if its text leads out of the root."""
    if leads_out(path, target):
        return Unsynced(ProblemKind.LINK, target)
    return Symlink(target)


def leads_out(path: str, target: str) -> bool:
    """Whether a link at `path` is absolute or climbs above the root by its text alone."""
    if target.startswith(("/", "\\")) or target[1:2] == ":":
        return True
    depth = len(parent_of(path).split("/")) if parent_of(path) else 0
    for name in target.split("/"):
        if name == "..":
            depth -= 1
        elif name not in ("", "."):
            depth += 1
        if depth < 0:
            return True
    return False
