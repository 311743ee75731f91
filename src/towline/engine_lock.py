"""The lock that a workspace's engine holds, from before it opens anything until all is closed.

By it there is one engine for each, and a command sees when it has ended: that is later than when
it answers nobody any more. The system gives the lock up when the process dies, however it does.
Nothing here asks an engine anything.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import IO

from towline.errors import ExitCode, UserError
from towline.places import Places

LOCKED_BYTE = 1 << 30  # Windows locks bytes against reading too; this one is never read.


@contextmanager
def only_engine(places: Places) -> Generator[None]:
    """Be the only engine of a workspace. Raises UserError if another one is."""
    descriptor = os.open(places.lock, os.O_RDWR | os.O_CREAT, 0o600)
    with open(descriptor, "r+", encoding="utf-8") as file:
        if not try_lock(file):
            raise UserError(
                f"this workspace is linked already, by process {file.read().strip() or 'unknown'}",
                hint="`towline stop` ends it; if that finds none, end that process",
                exit_code=ExitCode.TRY_AGAIN,
            )
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def engine_of(places: Places) -> str:
    """Return the number of the process that is the engine, and nothing once that has ended."""
    try:
        file = places.lock.open("r+", encoding="utf-8")
    except FileNotFoundError:
        return ""
    with file:
        # One that ends empties it. To try takes it for a moment, and one that starts could find
        # it taken: so only what a killed one may have left is tried.
        told = file.read().strip()
        return "" if not told or try_lock(file) else told


if sys.platform == "win32":
    import msvcrt

    def try_lock(file: IO[str]) -> bool:
        os.lseek(file.fileno(), LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(file.fileno(), 0, os.SEEK_SET)
        return True

else:
    import fcntl

    def try_lock(file: IO[str]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
