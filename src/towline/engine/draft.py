"""A large file's new version, made on the machine while the laptop still reads it.

What is read to be the same as before is copied there from the version before, what is new is sent,
under a name that the two agree on without knowing the new content's digest: that of a draft. Once
the digest is known the draft becomes the start of the content, or is dropped. One file at a time.

What little seems to be appended goes beside that, as a draft of its own and like a save of that
size, but bit by bit: it arrives while the rest is read, and holds up no copies.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio

from towline.core.delta import Stretch, from_offset, pieces
from towline.core.digest import digest_of
from towline.core.path import encode_path
from towline.core.wire.messages import AHEAD_MAX, COPY_SIZE, PART_SIZE, Adopt, Copy, Part
from towline.disk.reading import Progress
from towline.engine.bell import Bell
from towline.engine.remote import Remote

TAIL_MAX = 1 << 20  # Bytes, on the sync lane: as much as the largest group of small saves.
TAIL_STEP = 128 << 10  # Bytes of it for each step of reading: both take some 10 ms at 100 Mbit/s.
SENT_MAX = AHEAD_MAX  # Bytes of what is new: it may have moved after all, by less than a block.
_SIZE = 1 << 50  # Bytes: a draft is a content without an end.

Read = Callable[[str, int, int], Awaitable[bytes]]


@dataclass(slots=True)
class Draft:
    """How far the draft of a file is that was read as far as `progress`."""

    progress: Progress
    size: int = 0  # Bytes that the machine was asked to stage.
    sent: int = 0  # Of them those that went over the line.
    tail_sent: int = 0
    tail_room: int = 0  # Bytes of the tail that may be sent by now.
    is_begun: bool = False
    is_broken: bool = False  # The file has become shorter, say. It will be read anew.
    _at: int = 0  # The stretch under way.

    @property
    def name(self) -> bytes:
        return self._name(b"draft")

    @property
    def tail_name(self) -> bytes:
        return self._name(b"tail")

    def next_of_tail(self) -> Stretch | None:
        """Return what to send next of what was appended, if it may go by now."""
        tail = self._tail
        if tail is None or self.is_broken or self.tail_sent >= self.tail_room:
            return None
        left = next(from_offset([tail], tail.offset + self.tail_sent), None)
        return None if left is None else next(pieces(left, COPY_SIZE, TAIL_STEP))

    def next(self) -> Stretch | None:
        """Return what to copy or send next of what is read."""
        stretches = self.progress.stretches
        while self._at < len(stretches) - 1 and _end(stretches[self._at]) <= self.size:
            self._at += 1  # The last one may grow.
        left = next(from_offset(stretches[self._at : self._at + 1], self.size), None)
        if left is None or self.is_broken:
            return None
        piece = next(pieces(left, COPY_SIZE, PART_SIZE))
        return piece if piece.source is not None or self._may_send(piece) else None

    def in_tail(self, piece: Stretch) -> int | None:
        """Return where in the tail a piece is that goes with it."""
        tail = self._tail
        if tail is None or piece.offset < tail.offset:
            return None
        return piece.offset - tail.offset

    @property
    def _tail(self) -> Stretch | None:
        """What was appended, if it is sent as a draft of its own."""
        tail = self.progress.tail
        return tail if tail is not None and tail.size <= TAIL_MAX else None

    def _may_send(self, piece: Stretch) -> bool:
        if (tail := self._tail) is not None and piece.offset >= tail.offset:
            return self.tail_sent == tail.size
        is_new = self.progress.in_blocks or self.progress.tail is not None
        return is_new and self.sent + piece.size <= SENT_MAX

    def _name(self, kind: bytes) -> bytes:
        path, number = encode_path(self.progress.path), self.progress.number
        return digest_of(b"%s\0%d\0" % (kind, number) + path + self.progress.basis)


class Drafts:
    """`is_wanted` says whether a file of this path will go to where that content stands. `read`
    returns what stands now at a place of a file, if so much is there."""

    def __init__(self, is_wanted: Callable[[str, bytes], bool], read: Read) -> None:
        self._is_wanted = is_wanted
        self._read = read
        self._draft: Draft | None = None
        self._stale: list[Draft] = []
        self._grown = Bell()
        self._turn = anyio.Lock()

    def begin_life(self) -> None:
        self._draft = None
        self._stale.clear()

    def note(self, progress: Progress) -> None:
        """A large file is being read, or has been."""
        draft = self._draft
        if progress.digest == progress.basis:  # It was touched, or written as it was.
            return self._drop()
        if draft is None or draft.progress.number != progress.number:
            if not self._is_wanted(progress.path, progress.basis):
                return None
            self._drop()
            self._draft = draft = Draft(progress)
        else:
            draft.progress = progress
        draft.tail_room += TAIL_STEP
        self._grown.ring()
        return None

    async def run(self, remote: Remote) -> None:
        """Have the machine make what is read, for ever."""
        while True:
            while self._stale:
                await self._adopt(remote, self._stale.pop(), None, 0)
            while (draft := self._draft) is not None and await self._go_on(remote, draft):
                pass
            if not self._stale:
                await self._grown.wait()

    async def settle(self, remote: Remote, path: str, digest: bytes) -> int:
        """The file is read, and is this content. Return how many bytes of it are there.

        Nothing more is sent for the draft.
        """
        draft = self._draft
        if draft is None or draft.progress.path != path:
            return 0
        if draft.progress.digest != digest:
            self._drop()
            return 0
        draft.tail_room = TAIL_MAX
        while await self._go_on(remote, draft):
            pass
        self._draft = None
        await self._adopt(remote, draft, digest, draft.size)
        return draft.size

    def _drop(self) -> None:
        if self._draft is not None:
            self._stale.append(self._draft)
            self._draft = None
            self._grown.ring()

    async def _go_on(self, remote: Remote, draft: Draft) -> bool:
        """Take the next step; False if there is none for now."""
        async with self._turn:  # What is staged and what becomes of it arrive in this order.
            if self._draft is not draft:
                return False
            if not draft.is_begun:
                draft.is_begun = True
                await self._clear(remote, draft)
            if (piece := draft.next()) is not None:
                return await self._stage(remote, draft, piece)
            tail = draft.next_of_tail()
            return tail is not None and await self._send_tail(remote, draft, tail)

    async def _clear(self, remote: Remote, draft: Draft) -> None:
        """Drop what an earlier life has left under the draft's names."""
        await remote.send(Adopt(draft.tail_name, draft.tail_name, 0))
        await remote.send_bulk(Adopt(draft.name, draft.name, 0))

    async def _stage(self, remote: Remote, draft: Draft, piece: Stretch) -> bool:
        message = await self._message(draft, piece)
        if message is None:
            return False
        draft.size += piece.size
        if isinstance(message, Part):
            draft.sent += piece.size
        await remote.send_bulk(message)
        return True

    async def _message(self, draft: Draft, piece: Stretch) -> Copy | Part | None:
        at = draft.name, _SIZE, piece.offset, piece.size
        if piece.source is not None:
            return Copy(*at, draft.progress.path, draft.progress.basis, piece.source)
        if (source := draft.in_tail(piece)) is not None:
            return Copy(*at, "", draft.tail_name, source)
        data = await self._data(draft, piece)
        return None if data is None else Part(draft.name, _SIZE, piece.offset, data)

    async def _send_tail(self, remote: Remote, draft: Draft, piece: Stretch) -> bool:
        data = await self._data(draft, piece)
        if data is None:
            return False
        offset = draft.tail_sent
        draft.tail_sent += piece.size
        await remote.send(Part(draft.tail_name, _SIZE, offset, data))
        return True

    async def _data(self, draft: Draft, piece: Stretch) -> bytes | None:
        data = await self._read(draft.progress.path, piece.offset, piece.size)
        draft.is_broken |= len(data) < piece.size
        return None if draft.is_broken else data

    async def _adopt(self, remote: Remote, draft: Draft, digest: bytes | None, size: int) -> None:
        """Let the draft be the start of a content, or nothing; its tail was copied or is of no use.

        What is read of a file before its end is whole blocks.
        """
        async with self._turn:
            if draft.size:
                await remote.send_bulk(Adopt(draft.name, digest or draft.name, size))
            if draft.tail_sent:
                await remote.send_bulk(Adopt(draft.tail_name, draft.tail_name, 0))


def _end(stretch: Stretch) -> int:
    return stretch.offset + stretch.size
