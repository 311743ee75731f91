"""The start of a large file's new version, copied on the machine while the laptop still reads it.

What is read to be the same as before is copied there from the version before, under a name that
the two agree on without knowing the new content's digest: that of a draft. Once the digest is known
the draft becomes the start of the content, or is dropped. One file at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import anyio

from towline.core.delta import Stretch, pieces
from towline.core.digest import digest_of
from towline.core.path import encode_path
from towline.core.wire.messages import COPY_SIZE, PART_SIZE, Adopt, Copy
from towline.disk.reading import Progress
from towline.engine.bell import Bell
from towline.engine.remote import Remote

_SIZE = 1 << 50  # Bytes: a draft is a content without an end.


@dataclass(slots=True)
class Draft:
    path: str
    basis: bytes
    same: int  # Bytes read here that are the same there.
    copied: int = 0  # Bytes that the machine was asked to copy.

    @property
    def name(self) -> bytes:
        return digest_of(b"draft\0" + encode_path(self.path) + self.basis)


class Drafts:
    """`is_wanted` says whether a file of this path will go to where that content stands."""

    def __init__(self, is_wanted: Callable[[str, bytes], bool]) -> None:
        self._is_wanted = is_wanted
        self._draft: Draft | None = None
        self._stale: list[Draft] = []
        self._grown = Bell()
        self._turn = anyio.Lock()

    def begin_life(self) -> None:
        self._draft = None
        self._stale.clear()

    def note(self, progress: Progress) -> None:
        """A large file is being read."""
        draft = self._draft
        if draft is None or (draft.path, draft.basis) != (progress.path, progress.basis):
            if not self._is_wanted(progress.path, progress.basis):
                return
            if draft is not None:
                self._stale.append(draft)
            draft = self._draft = Draft(progress.path, progress.basis, 0)
        draft.same = progress.same
        self._grown.ring()

    async def run(self, remote: Remote) -> None:
        """Have the machine copy what is the same, for ever."""
        while True:
            while self._stale:
                stale = self._stale.pop()
                await self._adopt(remote, stale, stale.name, 0)
            while (draft := self._draft) is not None and draft.copied < draft.same:
                await self._copy(remote, draft)
            await self._grown.wait()

    async def settle(self, remote: Remote, path: str, digest: bytes, same: int) -> int:
        """The file is read: of its draft `same` bytes are of use. Return how many are there.

        Nothing more is copied for it.
        """
        draft = self._draft
        if draft is None or draft.path != path:
            return 0
        self._draft = None
        same = min(same, draft.copied)
        await self._adopt(remote, draft, digest, same)
        return same

    async def _copy(self, remote: Remote, draft: Draft) -> None:
        async with self._turn:  # What is copied and what becomes of it arrive in this order.
            left = Stretch(draft.copied, draft.same - draft.copied, draft.copied)
            piece = next(pieces(left, COPY_SIZE, PART_SIZE))
            draft.copied += piece.size
            at = piece.offset, piece.size, draft.path, draft.basis, piece.offset
            await remote.send_bulk(Copy(draft.name, _SIZE, *at))

    async def _adopt(self, remote: Remote, draft: Draft, digest: bytes, size: int) -> None:
        async with self._turn:
            if draft.copied:
                await remote.send_bulk(Adopt(draft.name, digest, size))
