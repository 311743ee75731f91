"""The digest of a content, and the signature that says which part of it has which digest.

A content is cut into blocks of `BLOCK` bytes, the last one shorter. Each block has a digest; the
content's own is that of its only block, or one made of all the blocks' digests in order. So what
stayed the same from one version to the next need be neither sent nor hashed again. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

try:
    from _blake2 import blake2b as blake2b  # The same: `hashlib` would load OpenSSL, too (4 MB).
except ImportError:  # A Python that has it elsewhere.
    from hashlib import blake2b as blake2b

DIGEST_SIZE = 16  # Bytes. 128 bits of BLAKE2b: no accidental collision in any number of files.
BLOCK = 64 << 10  # Bytes. A small change costs at most two of these; 1 MB of digests name 4 GB.
_ROOT = b"towline blocks"  # Keeps a list of digests apart from a content of the same bytes.


@dataclass(frozen=True, slots=True)
class Signature:
    """A content's size and the digests of its blocks, one after the other."""

    size: int
    leaves: bytes

    def leaf(self, number: int) -> bytes:
        return self.leaves[number * DIGEST_SIZE : (number + 1) * DIGEST_SIZE]

    @property
    def count(self) -> int:
        return len(self.leaves) // DIGEST_SIZE

    @property
    def digest(self) -> bytes:
        return root_of(self.leaves)


class Hasher:
    """Makes the digest of a content that comes piece by piece, of any sizes."""

    __slots__ = ("_block", "_filled", "_leaves", "size")

    def __init__(self, leaves: bytes = b"") -> None:
        """`leaves`: of whole blocks that are known already and will not be passed in."""
        self._leaves = bytearray(leaves)
        self._block = blake2b(digest_size=DIGEST_SIZE)
        self._filled = 0  # Bytes of the block under way.
        self.size = len(leaves) // DIGEST_SIZE * BLOCK

    def update(self, content: bytes | bytearray | memoryview) -> None:
        left = memoryview(content)
        self.size += len(left)
        while left:
            piece = left[: BLOCK - self._filled]
            self._block.update(piece)
            self._filled += len(piece)
            left = left[len(piece) :]
            if self._filled == BLOCK:
                self._leaves += self._block.digest()
                self._block, self._filled = blake2b(digest_size=DIGEST_SIZE), 0

    def skip(self, leaves: bytes, size: int) -> None:
        """Take the next `size` bytes by the digests of their blocks, instead of the bytes.

        Only between two blocks; and nothing may follow if the last of them is not whole.
        """
        if self._filled or len(leaves) != -(-size // BLOCK) * DIGEST_SIZE:
            raise ValueError("digests can be taken only for whole blocks")
        self._leaves += leaves
        self.size += size

    def leaves(self) -> bytes:
        """Return the digests of all blocks so far, the one under way included."""
        return bytes(self._leaves) + (self._block.digest() if self._filled else b"")

    def last_leaf(self) -> bytes | None:
        """Return the digest of the last block, if that is whole."""
        return None if self._filled else bytes(self._leaves[-DIGEST_SIZE:])

    def signature(self) -> Signature:
        return Signature(self.size, self.leaves())

    def digest(self) -> bytes:
        return root_of(self.leaves())


def root_of(leaves: bytes) -> bytes:
    """Return the digest of the content whose blocks have these digests."""
    if len(leaves) == DIGEST_SIZE:
        return leaves
    if not leaves:
        return blake2b(digest_size=DIGEST_SIZE).digest()
    return blake2b(leaves, digest_size=DIGEST_SIZE, person=_ROOT).digest()


def digest_of(content: bytes | bytearray | memoryview) -> bytes:
    if len(content) <= BLOCK:
        return blake2b(content, digest_size=DIGEST_SIZE).digest()
    hasher = Hasher()
    hasher.update(content)
    return hasher.digest()
