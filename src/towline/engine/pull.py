"""Changes on their way to the laptop: fetch what they need, then carry them out here.

Small files go many at a time; large ones one by one, staged part by part, in a queue of their own
so that they hold nothing up. Contents are believed only if they have the digest that was asked
for. What comes of each change is handed to `landed`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import anyio

from towline.core.change import Change, Result
from towline.core.delta import Stretch
from towline.core.entry import File, digest_of
from towline.core.wire.frames import ProtocolError
from towline.core.wire.messages import (
    HEADER_SIZE,
    PART_SIZE,
    Copy,
    Fetch,
    Part,
)
from towline.core.wire.records import Want
from towline.core.wire.telling import header_size_of
from towline.disk.versions import Basis
from towline.engine.bell import Bell
from towline.engine.flights import Flights, Way
from towline.engine.local import Local
from towline.engine.remote import Remote

BATCH_SIZE = 8 << 20  # Bytes held in memory at once.
BATCH_CHANGES = 1024

Landed = Callable[[Sequence[tuple[Change, Result]]], None]


@dataclass(frozen=True, slots=True)
class Queued:
    change: Change
    moment: int


class Puller:
    """`landed` is called in the loop with each batch of changes and what became of them."""

    def __init__(self, local: Local, flights: Flights, landed: Landed) -> None:
        self._local = local
        self._flights = flights
        self._landed = landed
        self._small: dict[str, Queued] = {}
        self._large: dict[str, Queued] = {}
        self._queued = Bell()
        self._awaited: set[bytes] = set()  # Digests asked for that have not come whole.
        self._contents: dict[bytes, bytes] = {}
        self._bases: dict[bytes, Basis] = {}  # Of what is asked for: what is here of it already.
        self._patched: set[bytes] = set()  # Contents asked for as changes of another: once.
        self._arrived = Bell()

    @property
    def waiting(self) -> tuple[int, int]:
        """How many changes wait, and their bytes of content."""
        queued = [*self._small.values(), *self._large.values()]
        return len(queued), sum(item.change.content_size for item in queued)

    def wanted(self) -> set[bytes]:
        """Return the digests of the contents that are asked for, or will be."""
        queued = (*self._small.values(), *self._large.values())
        return self._awaited | {
            item.change.new.digest for item in queued if isinstance(item.change.new, File)
        }

    def begin_life(self) -> None:
        self._small.clear()
        self._large.clear()
        self._awaited.clear()
        self._contents.clear()
        self._bases.clear()
        self._patched.clear()

    def queue(self, changes: Iterable[Change], moment: int) -> None:
        for change in changes:
            queue = self._large if change.content_size > PART_SIZE else self._small
            queue[change.path] = Queued(change, moment)
            self._flights.start(change.path, Way.PULL, change.new, moment)
        self._queued.ring()

    async def run(self, remote: Remote) -> None:
        """Fetch and carry out what is queued, for ever."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._run_queue, remote, self._small, BATCH_CHANGES)
            tasks.start_soon(self._run_queue, remote, self._large, 1)

    async def take_part(self, part: Part) -> None:
        """Take content that was asked for; drop what was not."""
        if part.digest not in self._awaited:
            return
        if part.size <= PART_SIZE:
            if len(part.data) == part.size and digest_of(part.data) == part.digest:
                self._contents[part.digest] = part.data
            self._is_here(part.digest)
        else:
            kept = await self._local.stage(part.digest, part.offset, part.data, part.size)
            if not kept or part.offset + len(part.data) == part.size:
                self._is_here(part.digest)

    async def take_copy(self, copy: Copy) -> None:
        """Take bytes of a content that was asked for from the file that was named with it."""
        basis = self._bases.get(copy.digest)
        if basis is None or basis != Basis(copy.path, copy.basis):
            return
        if copy.digest not in self._awaited:
            return
        stretch = Stretch(copy.offset, copy.length, copy.source)
        try:
            kept = await self._local.stage_copy(copy.digest, copy.size, basis, stretch)
        except ValueError as error:
            raise ProtocolError(f"a part of a content: {error}") from None
        if not kept or copy.offset + copy.length == copy.size:
            self._is_here(copy.digest)

    def give_up(self, digest: bytes) -> None:
        """The machine has this content no more."""
        self._is_here(digest)

    def _is_here(self, digest: bytes) -> None:
        self._awaited.discard(digest)
        self._bases.pop(digest, None)
        self._arrived.ring()

    async def _run_queue(self, remote: Remote, queue: dict[str, Queued], longest: int) -> None:
        while True:
            while queue:
                await self._pull(remote, self._take_batch(queue, longest))
            await self._queued.wait()

    def _take_batch(self, queue: dict[str, Queued], longest: int) -> list[Change]:
        batch: list[Change] = []
        size = 0
        header_size = 0
        for queued in list(itertools.islice(queue.values(), longest)):
            size += queued.change.content_size
            header_size += header_size_of(queued.change.path)
            if batch and (size > BATCH_SIZE or header_size > HEADER_SIZE):
                break
            batch.append(queue.pop(queued.change.path).change)
        return batch

    async def _pull(self, remote: Remote, batch: Sequence[Change]) -> None:
        wanted = {
            change.new.digest: change
            for change in batch
            if isinstance(change.new, File) and change.content_size
        }
        await self._fetch(remote, wanted)
        contents = {digest: self._contents.pop(digest, b"") for digest in wanted}
        held = {digest: content for digest, content in contents.items() if content}

        def landed(results: Sequence[Result]) -> None:
            self._landed(list(zip(batch, results, strict=True)))

        with anyio.CancelScope(shield=True):  # What is done on the disk must become known.
            await self._local.apply(batch, held, landed)

    async def _fetch(self, remote: Remote, wanted: Mapping[bytes, Change]) -> None:
        """Return once each content is here, or known not to come."""
        if not wanted:
            return
        self._awaited |= wanted.keys()
        wants = [await self._want(change) for change in wanted.values()]
        await remote.send(Fetch(tuple(want for want in wants if want is not None)))
        while not self._awaited.isdisjoint(wanted):
            await self._arrived.wait()

    async def _want(self, change: Change) -> Want | None:
        """Ask for a content: of a large one only for what is not staged, nor in the old version."""
        path, new, old = change.path, change.new, change.old
        if not isinstance(new, File):
            return None
        if new.size <= PART_SIZE:
            return Want(path, new)
        offset, basis = await self._local.staged(new.digest), None
        if isinstance(old, File) and new.digest not in self._patched:
            basis = old.digest
            self._patched.add(new.digest)
            self._bases[new.digest] = Basis(path, basis)
        return Want(path, new, offset, basis)
