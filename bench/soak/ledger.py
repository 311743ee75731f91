"""Every content that anybody ever saved, and where each of them must be found at the end.

No two contents are alike. What a user overwrites or deletes is not destroyed but laid aside, out of
reach of what keeps the folders in step. So everything ever saved lies in one of the two folders or
aside, or else it was lost: there is nothing to argue about.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

LAID_ASIDE_S = 10.0  # Then nobody writes any more into what was moved away under his hands.


class Ledger:
    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._saved: dict[bytes, str] = {}  # Digest → who saved it where.
        self._given_up: set[bytes] = set()
        self._aside: list[tuple[float, Path]] = []
        self.count = 0

    def fresh(self, size: int) -> bytes:
        """Return a content that never was before."""
        self.count += 1
        return b"%08d %s\n" % (self.count, self._chance.randbytes(size // 2).hex().encode())

    def saved(self, content: bytes, where: str) -> None:
        self._saved[_digest(content)] = where

    def gave_up(self, content: bytes) -> None:
        """A user who had this before his eyes wrote over it."""
        self._given_up.add(_digest(content))

    def laid_aside(self, path: Path) -> None:
        """A user did away with what now lies here."""
        self._aside.append((time.monotonic(), path))

    def sweep(self) -> None:
        """Note what lies aside for long enough, and remove it."""
        due = time.monotonic() - LAID_ASIDE_S
        while self._aside and self._aside[0][0] < due:
            _, path = self._aside.pop(0)
            self._given_up.update(digests_in(path))
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def missing(self, *roots: Path) -> list[str]:
        """Say which contents are neither in these folders nor were given up."""
        known = set(self._given_up)
        for path in (*roots, *(path for _, path in self._aside)):
            known.update(digests_in(path))
        return [where for digest, where in self._saved.items() if digest not in known]


def digests_in(path: Path) -> Iterator[bytes]:
    """Yield the digest of each regular file at or below a path."""
    with suppress(OSError):
        if stat.S_ISDIR(path.lstat().st_mode):
            for entry in os.scandir(path):
                yield from digests_in(Path(entry.path))
        elif stat.S_ISREG(path.lstat().st_mode):
            yield _digest(path.read_bytes())


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()
