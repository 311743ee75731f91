"""The old and the new version of a large file: what both have, and how that is copied here.

One side has the new version, and of the old one its signature: it says which stretches are the
same. The other side has the old version, and copies those. Nothing here knows a peer.
"""

from __future__ import annotations

from dataclasses import dataclass

from towline.core.delta import Stretch, delta
from towline.core.digest import BLOCK
from towline.core.entry import File
from towline.core.path import check_path
from towline.core.steps import Steps
from towline.disk.cache import Cache, stamp_of
from towline.disk.folder import Folder
from towline.disk.signatures import Known, Signatures
from towline.disk.stage import Source, Stage

STEP_BLOCKS = 64  # Compared between two yields: some milliseconds.


@dataclass(frozen=True, slots=True)
class Basis:
    """A file that the receiving side has: the old version, by its path and its digest."""

    path: str
    digest: bytes


class Versions:
    def __init__(self, folder: Folder, cache: Cache, signatures: Signatures, stage: Stage) -> None:
        self._folder = folder
        self._cache = cache
        self._signatures = signatures
        self._stage = stage

    def delta_steps(self, path: str, new: File, basis: bytes) -> Steps[list[Stretch] | None]:
        """Return how the file `new` at `path` is made of the content `basis`; None if unknown."""
        ours, old = self._signatures.get(new.digest), self._signatures.get(basis)
        if ours is None or old is None:
            return None
        end = 0
        # What moved by whole blocks is known by their digests; other moves have to be looked for.
        if (ours.signature.size - old.signature.size) % BLOCK:
            end = yield from self._common_end_steps(path, new, old)
        return delta(old.signature, ours.signature, end)

    def stage_copy(self, digest: bytes, size: int, basis: Basis, stretch: Stretch) -> bool:
        """Stage bytes of a content out of a file that is here; False if they cannot be had.

        The file must be what `basis` says, before and after. Raises ValueError for bytes that are
        part of neither.
        """
        try:
            descriptor = self._folder.open(check_path(basis.path))
        except OSError:
            return False
        try:
            return self._copy(descriptor, digest, size, basis, stretch)
        except OSError:
            return False
        finally:
            self._folder.close_file(descriptor)

    def _copy(
        self, descriptor: int, digest: bytes, size: int, basis: Basis, stretch: Stretch
    ) -> bool:
        stamp = stamp_of(self._folder.fstat(descriptor))
        if self._cache.digest(basis.path, stamp) != basis.digest:
            return False
        start = stretch.source or 0
        if start + stretch.size > stamp.size:
            raise ValueError(f"bytes up to {start + stretch.size} of a file of {stamp.size}")
        known = self._signatures.get(basis.digest)
        signature = known.signature if known is not None else None
        source = Source(descriptor, start, stretch.size, signature)
        kept = self._stage.copy(digest, stretch.offset, size, source)
        if kept and stamp_of(self._folder.fstat(descriptor)) != stamp:
            self._stage.discard(digest)  # It was written to while it was copied.
            return False
        return kept

    def _common_end_steps(self, path: str, new: File, old: Known) -> Steps[int]:
        """Return how many bytes at the end of the file are those of the old content."""
        try:
            descriptor = self._folder.open(check_path(path))
        except OSError:
            return 0
        try:
            if self._cache.digest(path, stamp_of(self._folder.fstat(descriptor))) != new.digest:
                return 0
            matched = 0
            for number in reversed(range(old.signature.count)):
                block = self._block_from_end(descriptor, old.signature.size - number * BLOCK, new)
                if not block or not old.has_block(number, block):
                    break
                matched = old.signature.size - number * BLOCK
                if number % STEP_BLOCKS == 0:
                    yield
            return matched
        except OSError:
            return 0
        finally:
            self._folder.close_file(descriptor)

    def _block_from_end(self, descriptor: int, before_end: int, file: File) -> bytes:
        """Read the block that begins so many bytes before the end of the file."""
        at = file.size - before_end
        if at < 0:
            return b""
        self._folder.seek(descriptor, at)
        return self._folder.read(descriptor, min(BLOCK, before_end))
