"""How a new version of a content is made of the old one: what is copied, and what is sent.

Works on signatures alone. What moved by whole blocks is found anywhere; what moved by any other
distance is found at the end only, where the caller has compared it (`end`). Nothing is read here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from towline.core.digest import BLOCK, DIGEST_SIZE, Signature


@dataclass(frozen=True, slots=True)
class Stretch:
    """`size` bytes of the new content at `offset`: at `source` of the old one, or to be sent."""

    offset: int
    size: int
    source: int | None


class Matching:
    """Finds a new content's blocks in the old one, as they become known one after the other.

    The first `start` bytes, whole blocks, are known to be the same.
    """

    __slots__ = ("_done", "_follower", "_places", "_run", "old", "size")

    def __init__(self, old: Signature, start: int = 0) -> None:
        self.old = old
        self._places = {old.leaf(number): number for number in reversed(range(old.count))}
        self._follower = start // BLOCK  # Where the old content goes on after what was found in it.
        self._done: list[Stretch] = []
        self._run: tuple[int, int | None] = (0, 0)  # Where the stretch under way begins, in both.
        self.size = start  # Bytes of the new content.

    def add(self, leaf: bytes | None, size: int) -> None:
        """Take the next block, by its digest; None if it is known not to be one of the old ones."""
        at = self._place_of(leaf)
        offset, source = self._run
        expected = None if source is None else source + self.size - offset
        found = None if at is None else at * BLOCK
        if found != expected:
            if self.size > offset:
                self._done.append(Stretch(offset, self.size - offset, source))
            self._run = self.size, found
        self._follower = 0 if at is None else at + 1
        self.size += size

    def stretches(self) -> list[Stretch]:
        """Return what is known so far, in order and without a gap."""
        offset, source = self._run
        if self.size == offset:
            return []
        return [*self._done, Stretch(offset, self.size - offset, source)]

    def _place_of(self, leaf: bytes | None) -> int | None:
        if leaf is None:
            return None
        if self.old.leaf(self._follower) == leaf:
            return self._follower
        return self._places.get(leaf)


def delta(old: Signature, new: Signature, end: int = 0) -> list[Stretch]:
    """Return the stretches of the new content, in order and without a gap.

    `end`: how many of its last bytes are known to be those of the old content.
    """
    limit = new.size - end
    start = min(common_start(old, new.leaves), limit)
    matching = Matching(old, start)
    for number in range(-(-start // BLOCK), -(-limit // BLOCK)):
        matching.add(new.leaf(number), min(BLOCK, limit - number * BLOCK))
    stretches = matching.stretches()
    if end:
        stretches.append(Stretch(new.size - end, end, old.size - end))
    return stretches


def common_start(old: Signature, leaves: bytes) -> int:
    """Return how many whole blocks at the start of the old content have these digests, in bytes."""
    if old.leaves.startswith(leaves):
        same = len(leaves) // DIGEST_SIZE
    else:
        same = next(n for n in range(old.count + 1) if old.leaf(n) != _leaf(leaves, n))
    return min(same, old.size // BLOCK) * BLOCK


def from_offset(stretches: Iterable[Stretch], offset: int) -> Iterator[Stretch]:
    """Yield what is left of the stretches from `offset` on."""
    for stretch in stretches:
        skipped = max(0, offset - stretch.offset)
        if skipped < stretch.size:
            source = None if stretch.source is None else stretch.source + skipped
            yield Stretch(stretch.offset + skipped, stretch.size - skipped, source)


def pieces(stretch: Stretch, copied_max: int, sent_max: int) -> Iterator[Stretch]:
    """Cut a stretch into what goes into one message."""
    largest = sent_max if stretch.source is None else copied_max
    for skipped in range(0, stretch.size, largest):
        size = min(largest, stretch.size - skipped)
        source = None if stretch.source is None else stretch.source + skipped
        yield Stretch(stretch.offset + skipped, size, source)


def _leaf(leaves: bytes, number: int) -> bytes:
    return leaves[number * DIGEST_SIZE : (number + 1) * DIGEST_SIZE]
