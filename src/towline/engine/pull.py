"""Changes on their way to the laptop: fetch what they need, then carry them out here.

Small files go many at a time; large ones one by one, staged part by part, so that they hold nothing
up; whose turn it is says `turns`. What is large is on the disk before it gets its name. Contents
are believed only if they have the digest that was asked for. What comes of each change is handed to
`landed`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import anyio

from towline.core.change import Change, Outcome, Result
from towline.core.delta import Stretch
from towline.core.entry import File, digest_of
from towline.core.problem import Problem, ProblemKind
from towline.core.tree import Tree
from towline.core.wire.frames import ProtocolError
from towline.core.wire.messages import (
    HEADER_SIZE,
    PART_SIZE,
    Adopt,
    Ahead,
    Copy,
    Fetch,
    Message,
    Part,
)
from towline.core.wire.records import Want
from towline.core.wire.telling import header_size_of
from towline.disk.versions import Basis
from towline.engine.ahead import Vanguard
from towline.engine.bell import Bell
from towline.engine.coming import Coming
from towline.engine.flights import Flights, Way
from towline.engine.folder import Guard
from towline.engine.local import Local
from towline.engine.remote import Remote
from towline.engine.turns import Turns

BATCH_SIZE = 8 << 20  # Bytes held in memory at once.
BATCH_CHANGES = 1024

Landed = Callable[[Sequence[tuple[Change, Result]]], None]


class Puller:
    """`landed` is called in the loop with each batch of changes and what became of them;
    `is_wanted` is for what comes before it is asked for (`engine/ahead.py`); what `guard` refuses
    fails, as what the disk refuses does.
    """

    def __init__(
        self,
        local: Local,
        flights: Flights,
        landed: Landed,
        coming: Coming,
        is_wanted: Callable[[str], bool],
        guard: Guard | None = None,
    ) -> None:
        self._local = local
        self._flights = flights
        self._landed = landed
        self._guard = guard
        self._vanguard = Vanguard(local, is_wanted)
        self._turns = Turns(coming.checkpoints, coming.below, PART_SIZE)
        self._under_way: dict[str, Change] = {}
        self._received: dict[bytes, int] = {}  # Bytes of large contents that are here.
        self._queued = Bell()
        self._awaited: set[bytes] = set()  # Digests asked for that have not come whole.
        self._contents: dict[bytes, bytes] = {}
        self._bases: dict[bytes, Basis] = {}  # Of what is asked for: what is here of it already.
        self._patched: set[bytes] = set()  # Contents asked for as changes of another: once.
        self._asked: dict[bytes, bool] = {}  # Large contents; whether they were asked for before.
        self._arrived = Bell()
        self.received = 0  # Bytes of content, in all.
        self._given_up = set[bytes]()  # Large contents that were asked for, and are gone there.

    @property
    def left(self) -> int:
        """How many bytes of content have yet to come."""
        queued = sum(change.content_size for change in self._turns)
        return queued + sum(map(self._left_of, self._under_way.values()))

    @property
    def waiting(self) -> list[str]:
        """The paths of what has yet to come."""
        return [*self._under_way, *(change.path for change in self._turns)]

    def wanted(self) -> set[bytes]:
        """Return the digests of the contents that are asked for, or will be."""
        return self._awaited | {
            change.new.digest for change in self._turns if isinstance(change.new, File)
        }

    def to_come(self) -> set[bytes]:
        """Return the digests of the contents that are not in their places yet."""
        changes = (*self._under_way.values(), *self._turns)
        return {change.new.digest for change in changes if isinstance(change.new, File)}

    def begin_life(self) -> None:
        self._turns.clear()
        self._under_way.clear()
        self._received.clear()
        self._awaited.clear()
        self._contents.clear()
        self._bases.clear()
        self._patched.clear()
        self._asked.clear()
        self._given_up.clear()
        self._vanguard.begin_life()

    def queue(self, changes: Iterable[Change], moment: int) -> None:
        changes = list(changes)
        for change in changes:
            self._flights.start(change.path, Way.PULL, change.new, moment)
        self._turns.put(changes)
        self.look()

    def drop(self, path: str) -> None:
        """Something else is at `path` on the machine: what waits there, or below, is not sent."""
        for at in self._turns.drop(path):
            self._flights.land(at)

    def look(self) -> None:
        """Look again at whose turn it is: what a mark waits for may have come, or be gone."""
        if self._turns:
            self._queued.ring()

    async def run(self, remote: Remote) -> None:
        """Fetch and carry out what is queued, for ever."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._run_small, remote)
            tasks.start_soon(self._run_large, remote)

    async def take(self, message: Message) -> None:
        """Take what comes on the lane for content."""
        match message:
            case Part():
                await self._take_part(message)
            case Copy():
                await self._take_copy(message)
            case Ahead():
                await self._vanguard.take(message)
            case Adopt():
                await self._vanguard.adopt(message)
            case _:
                raise ProtocolError(f"{type(message).__name__} on the lane for content")

    async def look_at_told(self, told: Tree) -> None:
        """The machine has told something: what came ahead may be of no use any more."""
        await self._vanguard.look(told, self.wanted)

    async def _take_part(self, part: Part) -> None:
        """Take content that was asked for, or goes ahead; drop other."""
        is_awaited = part.digest in self._awaited
        if not is_awaited and not self._vanguard.goes_on(part):
            return
        self.received += len(part.data)
        if part.size <= PART_SIZE:
            if len(part.data) == part.size and digest_of(part.data) == part.digest:
                self._contents[part.digest] = part.data
            self._is_here(part.digest)
        elif not (is_awaited and await self._is_late(part)):
            kept = await self._local.stage(part.digest, part.offset, part.data, part.size)
            if is_awaited:
                self._note_received(part.digest, part.offset + len(part.data), part.size, kept=kept)

    async def _is_late(self, part: Part) -> bool:
        """Whether a part was on its way when its content was asked for again, from before it.

        It comes once more: what is asked for again is sent from there. At the end nothing does.
        """
        is_end = part.offset + len(part.data) == part.size
        if is_end or not self._asked.get(part.digest):
            return False
        return part.offset > await self._local.staged(part.digest)

    async def _take_copy(self, copy: Copy) -> None:
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
        self._note_received(copy.digest, copy.offset + copy.length, copy.size, kept=kept)

    def give_up(self, digest: bytes) -> None:
        """The machine has this content no more."""
        if digest in self._asked:  # Of any other nothing was received.
            self._given_up.add(digest)
        self._vanguard.give_up(digest)
        self._is_here(digest)

    def _note_received(self, digest: bytes, end: int, size: int, *, kept: bool) -> None:
        self._received[digest] = end
        if not kept or end == size:
            self._is_here(digest)

    def _is_here(self, digest: bytes) -> None:
        self._awaited.discard(digest)
        self._bases.pop(digest, None)
        self._arrived.ring()

    def _left_of(self, change: Change) -> int:
        received = self._received.get(change.new.digest, 0) if isinstance(change.new, File) else 0
        return max(0, change.content_size - received)

    async def _run_small(self, remote: Remote) -> None:
        while True:
            while batch := self._take_batch():
                await self._pull(remote, batch)
            if mark := self._turns.mark_to_hold():
                await self._hold(remote, mark)
            else:
                await self._queued.wait()

    async def _hold(self, remote: Remote, mark: Change) -> None:
        """Fetch what is to come after others: by then the machine may have another."""
        wanted = _wanted([mark])
        await self._fetch(remote, wanted)
        if not self._turns.has(mark):  # There is another already, which was told.
            for digest in wanted:
                self._contents.pop(digest, None)
        elif wanted.keys() <= self._contents.keys():
            self._turns.hold(mark)
        else:  # It is to be planned anew.
            self._turns.take(mark.path)
            self._landed([(mark, Result(mark.path, Outcome.LACKING))])

    async def _run_large(self, remote: Remote) -> None:
        while True:
            while large := self._turns.large():
                self._turns.take(large[0].path)
                await self._pull(remote, large)
                await self._drop_given_up()
            await self._queued.wait()

    def _take_batch(self) -> list[Change]:
        batch: list[Change] = []
        size = 0
        header_size = 0
        for change in self._turns.small()[:BATCH_CHANGES]:
            size += change.content_size
            header_size += header_size_of(change.path)
            if batch and (size > BATCH_SIZE or header_size > HEADER_SIZE):
                break
            batch.append(self._turns.take(change.path))
        return batch

    async def _drop_given_up(self) -> None:
        """Free what was received of contents that are gone there, and come from nowhere else."""
        given_up, self._given_up = self._given_up, set[bytes]()
        for digest in given_up.difference(self.wanted()):
            await self._local.drop_staged(digest)

    async def _pull(self, remote: Remote, batch: Sequence[Change]) -> None:
        wanted = _wanted(batch)
        self._under_way.update((change.path, change) for change in batch)
        await self._fetch(remote, wanted)
        for digest, change in wanted.items():
            if change.content_size > PART_SIZE:  # Here, where nobody has to wait for the disk.
                await self._local.sync_staged(digest)
        contents = {digest: self._contents.pop(digest, b"") for digest in wanted}
        held = {digest: content for digest, content in contents.items() if content}
        refused = await self._refused(batch, held)
        able = [change for change in batch if change.path not in refused]

        def landed(results: Sequence[Result]) -> None:
            for change in batch:
                self._under_way.pop(change.path, None)
            for digest in wanted:
                self._received.pop(digest, None)
            done = {result.path: result for result in (*results, *refused.values())}
            self._landed([(change, done[change.path]) for change in batch])

        with anyio.CancelScope(shield=True):  # What is done on the disk must become known.
            await self._local.apply(able, held, landed)
        self._queued.ring()  # A mark may have waited for it.

    async def _refused(
        self, batch: Sequence[Change], contents: Mapping[bytes, bytes]
    ) -> dict[str, Result]:
        """Return what becomes of those changes that are not to be carried out here."""
        guard = self._guard
        if guard is None or not (judged := [c for c in batch if guard.concerns(c.path)]):
            return {}
        why = await self._local.run_blocking(lambda: guard.refusals(judged, contents))
        return {
            path: Result(path, Outcome.FAILED, problem=Problem(path, ProblemKind.UNASKED, detail))
            for path, detail in why.items()
        }

    async def _fetch(self, remote: Remote, wanted: Mapping[bytes, Change]) -> None:
        """Return once each content is here, or known not to come."""
        lacking = {d: change for d, change in wanted.items() if d not in self._contents}
        if not lacking:
            return
        self._awaited |= lacking.keys()
        wants = [await self._want(change) for change in lacking.values()]
        await remote.send(Fetch(tuple(want for want in wants if want is not None)))
        while not self._awaited.isdisjoint(lacking):
            await self._arrived.wait()

    async def _want(self, change: Change) -> Want | None:
        """Ask for a content: of a large one only for what is not staged, nor in the old version."""
        path, new, old = change.path, change.new, change.old
        if not isinstance(new, File):
            return None
        if new.size <= PART_SIZE:
            return Want(path, new)
        offset, basis = await self._local.staged(new.digest), None
        self._received[new.digest] = offset
        self._asked[new.digest] = new.digest in self._asked
        if isinstance(old, File) and new.digest not in self._patched:
            basis = old.digest
            self._patched.add(new.digest)
            self._bases[new.digest] = Basis(path, basis)
        return Want(path, new, offset, basis)


def _wanted(changes: Iterable[Change]) -> dict[bytes, Change]:
    """Return the contents that these changes need."""
    return {
        change.new.digest: change
        for change in changes
        if isinstance(change.new, File) and change.content_size
    }
