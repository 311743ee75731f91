"""What the machine sends of a new checkpoint before it is asked for: kept if it is likely wanted.

Until the machine knows its digest it goes by the name of a draft. One at a time, bounded; what
turns out not to be wanted is dropped. Nothing is decided here about what is fetched.
"""

from __future__ import annotations

from collections.abc import Callable, Container

from towline.core.entry import File
from towline.core.tree import Tree
from towline.core.wire.messages import AHEAD_MAX, PART_SIZE, Adopt, Ahead, Part
from towline.engine.local import Local

_SIZE = 1 << 50  # Bytes: a draft is a content without an end.


class Vanguard:
    """`is_wanted` says whether a new file of this path is to come to the laptop."""

    def __init__(self, local: Local, is_wanted: Callable[[str], bool]) -> None:
        self._local = local
        self._is_wanted = is_wanted
        self._path = ""
        self._draft: bytes | None = None
        self._digest: bytes | None = None  # What the draft became.
        self._stale: list[bytes] = []  # What is of no use any more, and is to be dropped.

    def begin_life(self) -> None:
        self._begin(None)

    async def take(self, ahead: Ahead) -> None:
        """Keep a stretch of a draft."""
        if ahead.offset == 0 and self._is_wanted(ahead.path):
            self._begin(ahead.draft)
            self._path = ahead.path
            await self._drop_stale()
        if ahead.draft == self._draft:
            await self._local.stage(ahead.draft, ahead.offset, ahead.data, _SIZE)

    async def adopt(self, adopt: Adopt) -> None:
        """The draft has a digest now, or is of no use."""
        if adopt.draft != self._draft:
            return
        self._draft, self._digest = None, adopt.digest if adopt.size else None
        await self._local.adopt(adopt.draft, adopt.digest, adopt.size)

    def give_up(self, digest: bytes) -> None:
        """The machine has this content no more: what still comes of it is not kept."""
        if digest == self._digest:
            self._digest = None

    def goes_on(self, part: Part) -> bool:
        """Whether this content, which nobody has asked for yet, is what the draft became."""
        is_bounded = part.size > PART_SIZE and part.offset + len(part.data) <= AHEAD_MAX
        return part.digest == self._digest and is_bounded

    async def look(self, told: Tree, wanted: Callable[[], Container[bytes]]) -> None:
        """Drop what has no place any more, by what the machine has told, and nobody waits for."""
        entry, digest = told.get(self._path), self._digest
        is_gone = entry is None or (isinstance(entry, File) and entry.digest != digest)
        if digest is not None and is_gone and digest not in wanted():
            self._digest = None
            await self._local.drop_staged(digest)

    def _begin(self, draft: bytes | None) -> None:
        """Another one begins. What the last became is by now asked for, or has gone."""
        if self._draft is not None:
            self._stale.append(self._draft)
        self._draft, self._digest = draft, None

    async def _drop_stale(self) -> None:
        stale, self._stale = self._stale, []
        for draft in stale:
            await self._local.drop_staged(draft)
