"""Linux's inotify through ctypes: one instance, its watch descriptors and its records.

It knows nothing of trees; what a descriptor stands for is its user's business.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from functools import lru_cache
from typing import NamedTuple

MODIFY, ATTRIB, CLOSE_WRITE = 0x2, 0x4, 0x8
MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x40, 0x80, 0x100, 0x200
DELETE_SELF, MOVE_SELF = 0x400, 0x800
UNMOUNT, Q_OVERFLOW, IGNORED = 0x2000, 0x4000, 0x8000
ONLYDIR, DONT_FOLLOW, EXCL_UNLINK, ISDIR = 0x1000000, 0x2000000, 0x4000000, 0x40000000

_RECORD = struct.Struct("iIII")  # Descriptor, mask, cookie, length of the name that follows.
_LONGEST = _RECORD.size + 256  # Bytes; a name has up to 255, and its end.
_CHUNK = 1 << 16  # Bytes. More than the longest record, less than the stack minds.


class Event(NamedTuple):
    wd: int
    mask: int
    name: str  # Of the entry in the watched directory; empty: the directory itself.
    rename: int = 0  # The same number for the two ends of one rename.


class Inotify:
    """One inotify instance. `limit` lets `add` run out early, as the system's own limit would."""

    def __init__(self, limit: int | None = None) -> None:
        """Raises `OSError` (EMFILE, ENOSPC) if the system lends no more instances."""
        self._limit = limit
        self._wds: set[int] = set()
        self._fd = _checked(_libc().inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify")

    @property
    def limit(self) -> int | None:
        """How many watches are to be had in all, as far as is known."""
        return self._limit if self._limit is not None else limit_of("max_user_watches")

    def fileno(self) -> int:
        return self._fd

    def add(self, path: str, mask: int) -> int:
        """Watch a directory and return its descriptor, the same one if it is watched already.

        Raises `OSError`: ENOSPC if there are no more watches to be had.
        """
        wd = _checked(_libc().inotify_add_watch(self._fd, os.fsencode(path), mask), path)
        if self._limit is not None and wd not in self._wds and len(self._wds) >= self._limit:
            _libc().inotify_rm_watch(self._fd, wd)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        self._wds.add(wd)
        return wd

    def remove(self, wd: int) -> None:
        """Stop watching. Records already queued still come, then one with `IGNORED`."""
        self._wds.discard(wd)
        _libc().inotify_rm_watch(self._fd, wd)  # Fails if the directory is gone: as wanted.

    def read(self, size_max: int) -> list[Event]:
        """Return what is queued now, in order; stop after about `size_max` bytes of it.

        What comes meanwhile is left for the next time: somebody who writes a thousand files would
        keep us here until all are written.
        """
        events: list[Event] = []
        size = 0
        while size < size_max:
            try:
                records = os.read(self._fd, _CHUNK)
            except BlockingIOError:
                break
            size += len(records)
            self._parse(records, events)
            if len(records) <= _CHUNK - _LONGEST and not events[-1].mask & MOVED_FROM:
                break  # There was room for more, and the other half of a rename is here, too.
        return events

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _parse(self, records: bytes, events: list[Event]) -> None:
        at = 0
        while at < len(records):
            wd, mask, rename, length = _RECORD.unpack_from(records, at)
            at += _RECORD.size + length
            name = os.fsdecode(records[at - length : at].rstrip(b"\0"))
            if mask & IGNORED:
                self._wds.discard(wd)
            events.append(Event(wd, mask, name, rename))


def is_out_of(error: OSError) -> bool:
    """Whether the system has no more watches or instances to lend."""
    return error.errno in (errno.ENOSPC, errno.ENOMEM, errno.EMFILE, errno.ENFILE)


def limit_of(name: str) -> int | None:
    """Return the system's limit `fs.inotify.NAME`, or None where it cannot be read."""
    try:
        with open(f"/proc/sys/fs/inotify/{name}", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


@lru_cache(maxsize=1)
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.inotify_add_watch.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)
    libc.inotify_rm_watch.argtypes = (ctypes.c_int, ctypes.c_int)
    return libc


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result
