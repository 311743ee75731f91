"""Digests of files already read, each with the stamp under which it was true.

A digest is believed only if its stamp can vouch for it: a file written in the same instant as it
was hashed could change again without a trace in its times (git's "racy" rule), and so could one
that is mapped into memory. Such a digest is in doubt: it is the last one known, no more. Nothing
here reads a file of the root.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Container, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from towline.core.entry import DIGEST_SIZE, digest_of
from towline.core.path import join, shared

GRANULARITY_NS = 20_000_000  # The kernel's clock for file times ticks at up to 10 ms.
COARSE_GRANULARITY_NS = 2_000_000_000  # FAT keeps times to 2 s; HFS+ and old ext3 to 1 s.
FILE_MAX = 512 << 20  # Bytes when unpacked: some 4 million entries; more is not one of ours.

_MAGIC = b"towline cache 3\n"
_STAMP = struct.Struct(">QqqQI")
_KNOWN_SIZE = _STAMP.size + DIGEST_SIZE
_HEAD = struct.Struct(">HII")  # Bytes of the path, bytes of the names, how many.
_UNSIGNED = struct.Struct(">4QI")  # The same, of what may not fit: files can be dated beyond 2262.
_MASK = (1 << 64) - 1
_INODE = slice(24, 32)  # In a row.
_DOUBT = b"\xff" * 8  # In place of the size in a row: no file is so large.


class Stamp(NamedTuple):
    """What of an lstat changes when content does."""

    size: int
    mtime_ns: int
    ctime_ns: int
    ino: int
    mode: int


def stamp_of(status: os.stat_result) -> Stamp:
    return Stamp(*_STAMP.unpack(packed_stamp_of(status)))


def is_settled(stamp: Stamp, now_ns: int) -> bool:
    """Whether any write after `now_ns` would leave another stamp than this one.

    An mtime in the future was set by hand, and a write would change it; a ctime in the future
    means that the clock went back, and nothing is certain.
    """
    return _are_settled(stamp.mtime_ns, stamp.ctime_ns, now_ns)


def _are_settled(mtime_ns: int, ctime_ns: int, now_ns: int) -> bool:
    coarse = mtime_ns % 1_000_000_000 == 0 and ctime_ns % 1_000_000_000 == 0
    limit = now_ns - (COARSE_GRANULARITY_NS if coarse else GRANULARITY_NS)
    return ctime_ns < limit and not limit <= mtime_ns <= now_ns


_NOTHING: dict[str, bytes] = {}


def packed_stamp_of(status: os.stat_result) -> bytes:
    """Return a stamp as a row of the cache begins with it."""
    return _UNSIGNED.pack(
        status.st_size,
        status.st_mtime_ns & _MASK,
        status.st_ctime_ns & _MASK,
        status.st_ino & _MASK,
        status.st_mode,
    )


def inode_in(stamp: bytes) -> bytes:
    return stamp[_INODE]


def digest_in(row: bytes) -> bytes:
    return row[_STAMP.size :]


def _doubted(row: bytes) -> bytes:
    return _DOUBT + row[len(_DOUBT) :]


class Cache:
    """Path → stamp and digest, for files only: a row.

    Kept packed, as they are saved, and by directory: a project may have a hundred thousand, whose
    names the tree has already.
    """

    def __init__(self) -> None:
        self._known: dict[str, dict[str, bytes]] = {}  # Directory → name → stamp and digest.

    def __len__(self) -> int:
        return sum(map(len, self._known.values()))

    def digest(self, path: str, stamp: Stamp) -> bytes | None:
        known = self.row(path)
        if known is None or not known.startswith(_STAMP.pack(*stamp)):
            return None
        return known[_STAMP.size :]

    def stamp(self, path: str, digest: bytes) -> Stamp | None:
        """Return the stamp that vouches for this digest of the file, if one does."""
        known = self.row(path)
        if known is None or not known.endswith(digest) or known.startswith(_DOUBT):
            return None
        return Stamp(*_STAMP.unpack_from(known))

    def known_in(self, directory: str) -> Mapping[str, bytes]:
        """Return the rows of the files in a directory, by name: what is looked at as a whole."""
        return self._known.get(directory, _NOTHING)

    def rows_by_stamp(self, directory: str) -> Iterator[tuple[bytes, bytes]]:
        """Yield the row of each file in a directory, and before it its packed stamp."""
        for row in self.known_in(directory).values():
            yield row[: _STAMP.size], row

    def put_row(self, directory: str, name: str, row: bytes) -> None:
        """Remember a file by its row: one that was moved here, say."""
        names = self._known.get(directory)
        if names is None:
            names = self._known[directory] = {}
        names[shared(name)] = row

    def put_read(
        self, directory: str, name: str, status: os.stat_result, row: bytes, read_at_ns: int
    ) -> None:
        """As `put`, for what has just been looked at and read."""
        if not _are_settled(status.st_mtime_ns, status.st_ctime_ns, read_at_ns):
            row = _doubted(row)
        self.put_row(directory, name, row)

    def last_digest(self, path: str) -> bytes | None:
        """Return the digest last known of the file, whether it is still true or not."""
        known = self.row(path)
        return None if known is None else known[_STAMP.size :]

    def put(self, path: str, stamp: Stamp, digest: bytes, *, read_at_ns: int) -> None:
        """Remember a digest that was read not before `read_at_ns`; it is in doubt if its stamp is
        not settled."""
        row = _STAMP.pack(*stamp) + digest
        self._put(path, row if is_settled(stamp, read_at_ns) else _doubted(row))

    def put_own(self, path: str, stamp: Stamp, digest: bytes) -> None:
        """Remember a file written here whose mtime was set by hand: any write would change it."""
        self._put(path, _STAMP.pack(*stamp) + digest)

    def move(self, source: str, target: str) -> None:
        """A directory above has another name: the file at `source` is at `target` now, the same."""
        if (known := self._pop(source)) is not None:
            self._put(target, known)

    def doubt(self, path: str) -> None:
        """Let no stamp vouch for what is known of the file."""
        if (known := self.row(path)) is not None:
            self._put(path, _doubted(known))

    def paths_of(self, inodes: set[bytes]) -> list[str]:
        """Return the paths that were these inodes (`inode_in`) when last looked at."""
        return [
            join(directory, name)
            for directory, names in self._known.items()
            for name, row in names.items()
            if row[_INODE] in inodes
        ]

    def forget(self, path: str) -> None:
        self._pop(path)

    def keep_only(self, names_in: Callable[[str], Container[str]]) -> None:
        """Drop what is not among the names in its directory: what a scan no longer found."""
        for directory, names in [*self._known.items()]:
            kept = names_in(directory)
            for gone in [name for name in names if name not in kept]:
                self._pop(join(directory, gone))

    def forget_in(self, directory: str) -> None:
        """Drop what is known of the files in a directory; not of those further below."""
        self._known.pop(directory, None)

    def row(self, path: str) -> bytes | None:
        directory, _, name = path.rpartition("/")
        names = self._known.get(directory)
        return None if names is None else names.get(name)

    def _put(self, path: str, known: bytes) -> None:
        directory, _, name = path.rpartition("/")
        self.put_row(directory, name, known)

    def _pop(self, path: str) -> bytes | None:
        directory, _, name = path.rpartition("/")
        names = self._known.get(directory)
        if names is None:
            return None
        known = names.pop(name, None)
        if not names:
            del self._known[directory]
        return known

    def save(self, file: Path) -> None:
        """Write all to `file` in one step. Raises OSError."""
        body = zlib.compress(b"".join(self._packed()), 1)
        temporary = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            temporary.write_bytes(_MAGIC + digest_of(body) + body)
            temporary.replace(file)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def take(self, body: bytes) -> None:
        """Take in what was saved. Raises `struct.error` or `ValueError` where it is cut short."""
        at = 0
        while at < len(body):
            directory_size, names_size, count = _HEAD.unpack_from(body, at)
            names_at = at + _HEAD.size + directory_size
            known_at = names_at + names_size
            directory = os.fsdecode(body[names_at - directory_size : names_at])
            names = os.fsdecode(body[names_at:known_at]).split("\0")
            at = known_at + count * _KNOWN_SIZE
            known = [body[one : one + _KNOWN_SIZE] for one in range(known_at, at, _KNOWN_SIZE)]
            self._known[directory] = dict(zip(map(shared, names), known, strict=True))

    def _packed(self) -> Iterator[bytes]:
        """Yield directory after directory: its path, its names, then what is known of each."""
        for directory, known in self._known.items():
            path, names = os.fsencode(directory), os.fsencode("\0".join(known))
            yield _HEAD.pack(len(path), len(names), len(known)) + path + names
            yield from known.values()


def load_cache(file: Path) -> Cache:
    """Read a saved cache; a missing, damaged or foreign file is an empty one. Never raises."""
    cache = Cache()
    try:
        content = file.read_bytes()
        body = content[len(_MAGIC) + DIGEST_SIZE :]
        if content[: len(_MAGIC) + DIGEST_SIZE] == _MAGIC + digest_of(body):
            unpacker = zlib.decompressobj()
            cache.take(unpacker.decompress(body, FILE_MAX))
    except (OSError, ValueError, struct.error, zlib.error):
        return Cache()
    return cache
