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


def delta(old: Signature, new: Signature, end: int = 0) -> list[Stretch]:
    """Return the stretches of the new content, in order and without a gap.

    `end`: how many of its last bytes are known to be those of the old content.
    """
    stretches = _joined(_blocks(old, new, new.size - end))
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


def _blocks(old: Signature, new: Signature, limit: int) -> Iterator[Stretch]:
    """Yield what the new content's blocks are made of, the last one cut off at `limit`."""
    start = min(common_start(old, new.leaves), limit)
    if start:
        yield Stretch(0, start, 0)
    places = {old.leaf(number): number for number in reversed(range(old.count))}
    follower = 0  # Where the old content goes on after the last block found in it.
    for number in range(-(-start // BLOCK), -(-limit // BLOCK)):
        leaf = new.leaf(number)
        at = follower if old.leaf(follower) == leaf else places.get(leaf)
        offset = number * BLOCK
        yield Stretch(offset, min(BLOCK, limit - offset), None if at is None else at * BLOCK)
        follower = 0 if at is None else at + 1


def _joined(blocks: Iterable[Stretch]) -> list[Stretch]:
    joined: list[Stretch] = []
    for block in blocks:
        last = joined[-1] if joined else None
        if last is not None and _follows(last, block):
            joined[-1] = Stretch(last.offset, last.size + block.size, last.source)
        else:
            joined.append(block)
    return joined


def _follows(last: Stretch, block: Stretch) -> bool:
    if last.source is None or block.source is None:
        return last.source is block.source
    return last.source + last.size == block.source


def _leaf(leaves: bytes, number: int) -> bytes:
    return leaves[number * DIGEST_SIZE : (number + 1) * DIGEST_SIZE]
