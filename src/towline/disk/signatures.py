"""What is known of the large contents that were here lately: the digests of their blocks.

So the next version of a file is told apart from the last one block by block, although only one of
them is on the disk. Marks tell sooner than digests whether a block of a file is the one it was: 64
bits of a hash under a key that this process alone has. They never leave it; digests alone travel.
"""

from __future__ import annotations

import os
import struct
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from towline.core.delta import Matching, Stretch
from towline.core.digest import BLOCK, DIGEST_SIZE, Hasher, Signature, digest_of

LARGE = 1 << 20  # Bytes. Up to here a file is read within a millisecond, and sent whole.
TOTAL_MAX = 64 << 20  # Bytes of digests and marks: those of some 170 GB.
_MAGIC = b"towline signatures 1\n"
_ENTRY = struct.Struct(">QI")  # Size of the content, number of its blocks.
_HAS_MARKS = sys.hash_info.algorithm.startswith("siphash")


@dataclass(frozen=True, slots=True)
class Known:
    """A content that was here. `marks`: of each block, if this process has read it."""

    signature: Signature
    marks: array[int] = field(default_factory=lambda: array("q"))

    def has_block(self, number: int, block: bytes | memoryview) -> bool:
        """Whether this is the content's block of that number."""
        if self.marks:
            return self.marks[number] == hash(block)
        return self.signature.leaf(number) == digest_of(block)

    @property
    def held(self) -> int:
        """Bytes that it takes."""
        return len(self.signature.leaves) + 8 * len(self.marks)


class Signatures:
    """Digest → what is known of that content. The longest unused are forgotten."""

    def __init__(self, total_max: int = TOTAL_MAX) -> None:
        self._total_max = total_max
        self._known: dict[bytes, Known] = {}
        self._total = 0

    def get(self, digest: bytes) -> Known | None:
        known = self._known.pop(digest, None)
        if known is not None:
            self._known[digest] = known
        return known

    def put(self, digest: bytes, known: Known) -> None:
        """Remember a large content. One whose marks are known already keeps them."""
        before = self._known.pop(digest, None)
        if before is not None:
            self._total -= before.held
            known = known if known.marks or not before.marks else before
        self._known[digest] = known
        self._total += known.held
        while self._total > self._total_max:
            self._total -= self._known.pop(next(iter(self._known))).held

    def save(self, file: Path) -> None:
        """Write the signatures to `file` in one step; marks are this process's own. Raises OSError.

        The latest come last, as they are put again when they are loaded.
        """
        temporary = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            with temporary.open("wb") as written:
                written.write(_MAGIC)
                for known in self._known.values():
                    signature = known.signature
                    written.write(_ENTRY.pack(signature.size, signature.count) + signature.leaves)
            temporary.replace(file)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def load(self, file: Path) -> None:
        """Take up what was saved; of a missing or damaged file what can be read. Never raises."""
        try:
            content = file.read_bytes()
        except OSError:
            return
        if content.startswith(_MAGIC) and len(content) <= 2 * self._total_max:
            for signature in _unpacked(content, len(_MAGIC)):
                self.put(signature.digest, Known(signature))


def _unpacked(content: bytes, at: int) -> Iterator[Signature]:
    """Yield the signatures from `at` on. Each is its own proof: its digest is made of it."""
    while at + _ENTRY.size <= len(content):
        size, count = _ENTRY.unpack_from(content, at)
        at += _ENTRY.size
        leaves = content[at : at + count * DIGEST_SIZE]
        at += count * DIGEST_SIZE
        if len(leaves) != count * DIGEST_SIZE or count != -(-size // BLOCK):
            return
        yield Signature(size, leaves)


class BlockReader:
    """Makes the signature of a file that is read from its start, `before` being the last one.

    A block with the mark of one of the old version is that block: its digest is taken, not made.
    `matching` tells how what is read so far is made of the old version. `tail` and `in_blocks` are
    for whoever knows the file: see `Progress`.
    """

    def __init__(self, before: Known | None = None) -> None:
        self.matching: Matching | None = None
        self.tail: Stretch | None = None
        self.in_blocks = True
        self._hasher = Hasher()
        self._marks = array("q")
        self.marked: dict[int, bytes] = {}
        if before is not None:
            self.matching = Matching(before.signature)
            leaves = map(before.signature.leaf, range(before.signature.count))
            self.marked = dict(zip(before.marks, leaves, strict=False))

    def update(self, piece: memoryview) -> None:
        """Take the next bytes, read-only: whole blocks, but for the last call."""
        for start in range(0, len(piece), BLOCK):
            self._take_block(piece[start : start + BLOCK])

    def known(self) -> Known:
        return Known(self._hasher.signature(), self._marks)

    def leaves(self) -> bytes:
        return self._hasher.leaves()

    def _take_block(self, block: memoryview) -> None:
        leaf = None
        if _HAS_MARKS:
            mark = hash(block)
            self._marks.append(mark)
            leaf = self.marked.get(mark)
        if leaf is None:
            self._hasher.update(block)
            leaf = None if self.marked else self._hasher.last_leaf()
        else:
            self._hasher.skip(leaf, len(block))
        if self.matching is not None:
            self.matching.add(leaf, len(block))
