"""Locks on files of a place, for processes that share it. The system frees them with the process.

A file of its own, since a laptop of any system reads keys and a Unix alone has such locks.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path) -> Generator[None]:
    """Hold a lock file, waiting for it. The system gives it up when the process dies."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def try_lock(path: Path) -> int | None:
    """Take the supervisor's lock for as long as the process lives; None if another has it.

    The number of its holder stands in it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    while not _takes(descriptor, fcntl.LOCK_EX):
        if not _takes(descriptor, fcntl.LOCK_SH):
            os.close(descriptor)
            return None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def holder(path: Path) -> int | None:
    """Return the process that holds the supervisor's lock, None if nobody does."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        if _takes(descriptor, fcntl.LOCK_SH):
            return None
        written = os.pread(descriptor, 32, 0).strip()
        return int(written) if written.isdigit() else None
    finally:
        os.close(descriptor)


def _takes(descriptor: int, kind: int) -> bool:
    """Take a lock if that is possible now. Who only looks takes it shared, beside all who look."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
