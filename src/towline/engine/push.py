"""Changes on their way to the machine: small groups at once, the rest in the background.

A group that is small enough goes out whole on the sync lane. What is larger waits in a queue, one
change per path, and is sent in batches on the bulk lane; what has changed again meanwhile is left
out there and planned anew. Contents are read as they are sent, so the queue holds no bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

from towline.core.change import Change, holds, is_moved, moved_contents
from towline.core.delta import Stretch, from_offset, pieces
from towline.core.entry import DIRECTORY, Directory, Entry, File
from towline.core.path import is_below
from towline.core.problem import Problem, ProblemKind
from towline.core.rename import Rename
from towline.core.summary import digest_of_directory
from towline.core.wire import messages
from towline.core.wire.messages import (
    COPY_SIZE,
    HEADER_SIZE,
    PART_SIZE,
    Apply,
    Copy,
    Part,
)
from towline.core.wire.telling import header_size_of
from towline.engine.bell import Bell
from towline.engine.draft import Drafts
from towline.engine.flights import Flights, Way
from towline.engine.history import PENDING_MAX
from towline.engine.local import Local
from towline.engine.order import large_apart
from towline.engine.remote import Remote
from towline.engine.trees import Trees

HOT_SIZE_MAX = 1 << 20  # Bytes. 80 ms of a 100 Mbit/s line: as long as a save may be held up.
HOT_CHANGES_MAX = 2000  # Renames of so many files take the machine some 50 ms.
PATHS_SHOWN = 8  # Of a revision.
BATCH_SIZE = 256 << 10  # Bytes of content per message on the bulk lane.
BATCH_CHANGES = 512
LARGE_SIZE = BATCH_SIZE  # A larger file travels in parts and is staged before it is applied.


@dataclass(slots=True)
class Group:
    """One `Apply` that is not answered yet."""

    revision: int
    last: bool
    changes: Sequence[Change]
    rename: Rename | None = None  # What its one change stands for.


@dataclass(slots=True)
class OpenRevision:
    """A revision of which not all is on the machine yet."""

    began: float  # By the loop's clock: when the first of its changes was noticed.
    queued: int = 0
    groups: int = 0
    changes: int = 0
    paths: list[str] = field(default_factory=list[str])  # The first few, for people.
    bulk: bool = False  # Something of it goes by the lane that others overtake.
    size: int = 0  # Bytes of content that were queued for it.
    grows: bool = False  # More is to come that belongs to it.

    @property
    def is_sent(self) -> bool:
        """Whether nothing of it waits, and nothing more will."""
        return not self.queued and not self.grows


class Queued(NamedTuple):
    change: Change
    revision: int
    moment: int
    size: int  # Bytes of content.


class Pusher:
    """`keep` is handed the contents that were sent, where it can take a whole revision's."""

    def __init__(
        self,
        local: Local,
        trees: Trees,
        flights: Flights,
        drafts: Drafts,
        keep: Callable[[Mapping[bytes, bytes]], None] = lambda _: None,
    ) -> None:
        self._keep = keep
        self._local = local
        self._trees = trees
        self._flights = flights
        self._drafts = drafts
        self._queue: dict[str, Queued] = {}
        self._queue_size = 0
        self._groups: dict[int, Group] = {}
        self._next_group = 0
        self._revisions: dict[int, OpenRevision] = {}
        self._emptied: list[int] = []  # Revisions whose last queued change fell away unsent.
        self._queued = Bell()
        self._partials: dict[bytes, int] = {}  # What the machine has staged of which content.
        self._patched: set[bytes] = set()  # Contents sent as changes of another: once.
        self._left_there: dict[str, bytes] = {}  # Large contents of changes that failed.

    @property
    def waiting(self) -> tuple[int, int]:
        """How many changes wait in the queue, and their bytes of content."""
        return len(self._queue), self._queue_size

    @property
    def awaits_more(self) -> bool:
        """Whether what was noticed last is part of a group that goes on."""
        return self._local.awaits_more

    def begin_life(self, partials: Iterable[tuple[bytes, int]]) -> None:
        """A new life of the Line: nothing is queued or under way any more."""
        self._queue.clear()
        self._queue_size = 0
        self._groups.clear()
        self._revisions.clear()
        self._emptied.clear()
        self._patched.clear()
        self._left_there.clear()
        self._partials = dict(partials)

    def failed(self, change: Change, problem: Problem) -> None:
        """The machine could not carry a change out."""
        if isinstance(change.new, File) and _is_left_staged(change, problem):
            self._left_there[change.path] = change.new.digest

    def moved_aside(self) -> Iterator[Entry]:
        """Yield what the machine is told to keep under another name, and has not said it did."""
        queued = (queued.change for queued in self._queue.values())
        sent = (change for group in self._groups.values() for change in group.changes)
        for change in chain(queued, sent):
            if change.keep is not None and change.old is not None:
                yield change.old

    def is_done(self, moment: int) -> bool:
        """Whether nothing noted up to `moment` waits in the queue."""
        return all(queued.moment > moment for queued in self._queue.values())

    def revision_sent(self, newest: int) -> int:
        """Return the revision up to which all is there for whoever hears of it on the sync lane.

        `newest` is the last one that was begun.
        """
        bulk = (number for number, revision in self._revisions.items() if revision.bulk)
        return min(bulk, default=newest + 1) - 1

    def is_small(self, changes: Sequence[Change]) -> bool:
        if len(changes) > HOT_CHANGES_MAX:
            return False
        moved = moved_contents(changes)
        size = sum(c.content_size for c in changes if not is_moved(c, moved))
        return size <= HOT_SIZE_MAX and sum(map(_header_size, changes)) <= HEADER_SIZE

    def apart(self, changes: Sequence[Change]) -> tuple[Sequence[Change], Sequence[Change]]:
        """Return what may go at once, and what has to wait for its turn."""
        if self.is_small(changes):
            return changes, ()
        rest, large = self.without_large(changes)
        return (rest, large) if self.is_small(rest) else ((), changes)

    def without_large(self, changes: Sequence[Change]) -> tuple[Sequence[Change], Sequence[Change]]:
        """Return the changes that no large file holds up, and the others."""
        return large_apart(changes, LARGE_SIZE)

    def open_revision(
        self, number: int, began: float, changes: Sequence[Change], *, grows: bool = False
    ) -> None:
        """`grows`: until `end_revision`, more may come."""
        self._revisions[number] = OpenRevision(began, grows=grows)
        self._add_to(number, changes)

    def grow_revision(self, number: int, changes: Sequence[Change], moment: int) -> None:
        """Queue changes as part of a revision that grows."""
        self._add_to(number, changes)
        self.queue(changes, number, moment)

    def end_revision(self, number: int) -> None:
        """Nothing more belongs to a revision that grew."""
        self._revisions[number].grows = False
        if not self._revisions[number].queued:
            self._emptied.append(number)
            self._queued.ring()

    def _add_to(self, number: int, changes: Sequence[Change]) -> None:
        revision = self._revisions[number]
        revision.changes += len(changes)
        room = PATHS_SHOWN - len(revision.paths)
        revision.paths += [change.path for change in changes[:room]]

    async def send_small(
        self, remote: Remote, changes: Sequence[Change], revision: int, moment: int
    ) -> None:
        """Send a group at once, as a whole. What cannot be read as planned is left out."""
        for change in changes:  # Before anything is awaited: they are not at rest.
            self._flights.start(change.path, Way.HOT, change.new, moment)
        ready, contents = await self._with_contents(changes, moment)
        for path in {c.path for c in changes}.difference(c.path for c in ready):
            self._flights.land(path)
        group = self._open_group(ready, revision, last=True)
        await remote.send(Apply(group, revision, True, tuple(ready), contents))
        self._keep(contents)

    async def send_rename(self, remote: Remote, rename: Rename, revision: int, moment: int) -> None:
        """Send a rename at once. Something else has to be the last of its revision."""
        self._flights.start(rename.target, Way.HOT, rename.entry, moment)
        self._flights.start(rename.source, Way.HOT, None, moment)
        changes = [rename_as_change(rename)]
        group = self._open_group(changes, revision, last=False, rename=rename)
        digest = digest_of_directory(rename.entry)
        await remote.send(messages.Rename(group, revision, rename.source, rename.target, digest))

    def queue(self, changes: Iterable[Change], revision: int, moment: int) -> None:
        opened = self._revisions[revision]
        for change in changes:
            if change.path in self._queue:
                self._unqueue(change.path)
            size = change.content_size
            self._queue[change.path] = Queued(change, revision, moment, size)
            self._queue_size += size
            opened.queued += 1
            opened.size += size
            opened.bulk = True
        self._queued.ring()

    def drop(self, paths: Iterable[str]) -> int | None:
        """Forget what is queued at `paths`, and below them where directories are concerned.

        Return the oldest moment of it, which whoever plans it anew must keep: a flush may wait.
        """
        if not self._queue:
            return None
        moments: list[int] = []
        for path in paths:
            for doomed in self._queued_at(path):
                moments.append(self._queue[doomed].moment)
                self._unqueue(doomed)
        if moments:
            self._queued.ring()
        return min(moments, default=None)

    def _queued_at(self, path: str) -> list[str]:
        found = [path] if path in self._queue else []
        here = (self._trees.local.get(path), self._trees.remote.get(path))
        if any(not isinstance(entry, File) for entry in here):
            found += [other for other in self._queue if is_below(other, path)]
        return found

    async def run(self, remote: Remote) -> None:
        """Send what is queued, for ever."""
        while True:
            while self._queue or self._emptied:
                await self._send_batch(remote)
            await self._queued.wait()

    def answered(self, group: int) -> tuple[Group | None, tuple[int, OpenRevision] | None]:
        """A group is answered: return it, and the revision if that is whole now."""
        known = self._groups.pop(group, None)
        if known is None:
            return None, None
        revision = self._revisions.get(known.revision)
        if revision is None:
            return known, None
        revision.groups -= 1
        if revision.groups or revision.queued or not known.last:
            return known, None
        del self._revisions[known.revision]
        return known, (known.revision, revision)

    async def _send_batch(self, remote: Remote) -> None:
        if not self._queue:
            revision = self._emptied.pop()
            group = self._open_group([], revision, last=True)
            await remote.send_bulk(Apply(group, revision, True, ()))
            return
        batch = self._next_batch()
        revision, moment = batch[0].revision, min(queued.moment for queued in batch)
        changes = [queued.change for queued in batch]
        if len(batch) == 1 and changes[0].content_size > LARGE_SIZE:
            await self._send_stretches(remote, batch[0])
            ready, contents = changes, dict[bytes, bytes]()
        else:
            ready, contents = await self._with_contents(changes, moment)
        # Only now do they leave the queue: until here a newer plan could still drop them, or put
        # others in their place.
        current = {queued.change.path for queued in batch if self._is_queued(queued)}
        for path in current:
            self._unqueue(path, sent=True)
        ready = [change for change in ready if change.path in current]
        last, size = self._revisions[revision].is_sent, self._revisions[revision].size
        for change in ready:
            self._flights.start(change.path, Way.BULK, change.new, moment)
        group = self._open_group(ready, revision, last=last)
        message = Apply(group, revision, last, tuple(ready), contents)
        await remote.send_bulk(message, more=bool(self._queue))
        if size <= PENDING_MAX:  # Of a larger one, such as a first copy, most would be dropped.
            self._keep(contents)

    def _is_queued(self, queued: Queued) -> bool:
        return self._queue.get(queued.change.path) is queued

    def _next_batch(self) -> list[Queued]:
        """Return what fits one message from the head of the queue: one revision's."""
        head = next(iter(self._queue.values()))
        batch: list[Queued] = []
        size = header_size = 0
        for queued in self._queue.values():
            size += queued.size
            header_size += _header_size(queued.change)
            full = len(batch) == BATCH_CHANGES or size > BATCH_SIZE or header_size > HEADER_SIZE
            if batch and queued.revision != head.revision:
                break
            if batch and full:
                return _to_whole_directories([*batch, queued])
            batch.append(queued)
        return batch

    async def _send_stretches(self, remote: Remote, queued: Queued) -> None:
        """Have the machine stage a large content, from where it has it already.

        What is in the version that stands there is copied from it, the rest is sent.
        """
        path, old, new = queued.change.path, queued.change.old, queued.change.new
        if not isinstance(new, File):
            return None
        if self._left_there.pop(path, None) == new.digest:
            return await self._begin_anew(remote, path, new)
        stretches = await self._delta(path, old, new)
        drafted = await self._drafts.settle(remote, path, new.digest if stretches else b"")
        offset = max(self._partials.pop(new.digest, 0), drafted)
        for stretch in from_offset(stretches or [Stretch(0, new.size, None)], offset):
            for piece in pieces(stretch, COPY_SIZE, PART_SIZE):
                if not self._is_queued(queued):
                    return None
                message = await self._stretch(path, old, new, piece)
                if message is None:
                    return await self._local.look_again([path])
                await remote.send_bulk(message, more=True)
        return None

    async def _begin_anew(self, remote: Remote, path: str, new: File) -> None:
        """Have the machine look what it has of a content: it will say so if that is not all."""
        await self._drafts.settle(remote, path, b"")
        await remote.send_bulk(Part(new.digest, new.size, 0, b""), more=True)

    async def _delta(self, path: str, old: Entry | None, new: File) -> list[Stretch] | None:
        """Return how a content is made of the old one. If that went wrong once, all is sent."""
        if not isinstance(old, File) or new.digest in self._patched:
            return None
        self._patched.add(new.digest)
        return await self._local.delta(path, new, old.digest)

    async def _stretch(
        self, path: str, old: Entry | None, new: File, piece: Stretch
    ) -> Copy | Part | None:
        """Return a stretch as a message; None if the file is another by now."""
        if piece.source is not None and isinstance(old, File):
            at = piece.offset, piece.size
            return Copy(new.digest, new.size, *at, path, old.digest, piece.source)
        data = await self._local.read_part(path, new, piece.offset, piece.size)
        if data is None or len(data) < piece.size:
            return None
        return Part(new.digest, new.size, piece.offset, data)

    async def _with_contents(
        self, changes: Sequence[Change], moment: int
    ) -> tuple[list[Change], dict[bytes, bytes]]:
        """Read what the machine lacks. Changes whose file is another by now stay dirty."""
        moved = moved_contents(changes)
        wanted = [
            (c.path, c.new)
            for c in changes
            if c.content_size and isinstance(c.new, File) and not is_moved(c, moved)
        ]
        read = await self._local.read(wanted) if wanted else []
        contents: dict[bytes, bytes] = {}
        stale: list[str] = []
        for (path, file), content in zip(wanted, read, strict=True):
            if content is None:
                stale.append(path)
            else:
                contents[file.digest] = content
        if stale:
            await self._local.look_again(stale)
        gone = {c.path for c in changes if c.path in stale or not self._is_current(c)}
        self._flights.restore(dict.fromkeys(gone, moment))
        return [c for c in changes if c.path not in gone], contents

    def _is_current(self, change: Change) -> bool:
        return holds(self._trees.local.get(change.path), change.new)

    def _open_group(
        self, changes: Sequence[Change], revision: int, *, last: bool, rename: Rename | None = None
    ) -> int:
        self._next_group += 1
        self._groups[self._next_group] = Group(revision, last, changes, rename)
        if revision in self._revisions:
            self._revisions[revision].groups += 1
        return self._next_group

    def _unqueue(self, path: str, *, sent: bool = False) -> None:
        queued = self._queue.pop(path)
        self._queue_size -= queued.size
        revision = self._revisions[queued.revision]
        revision.queued -= 1
        if not sent and revision.is_sent:
            self._emptied.append(queued.revision)


def _to_whole_directories(batch: Sequence[Queued]) -> list[Queued]:
    """Leave out the last, and what belongs to a new directory that goes on after it.

    The machine makes a new directory with what comes along by one rename, and one by one whatever
    comes later. So a directory is not divided if that leaves half of the batch.
    """
    last = len(batch) - 1
    for at in range(last, last // 2, -1):
        if isinstance(batch[at].change.new, Directory):
            return list(batch[:at])
    return list(batch[:last])


def rename_as_change(rename: Rename) -> Change:
    return Change(rename.target, None, DIRECTORY)


def size_again(change: Change, problem: Problem) -> int:
    """Return about how many bytes it takes to try a change again that has failed."""
    content = 0 if _is_left_staged(change, problem) else change.content_size
    return _header_size(change) + content


def _is_left_staged(change: Change, problem: Problem) -> bool:
    """Whether the side that could not carry a change out has most likely kept its content."""
    return change.content_size > HOT_SIZE_MAX and problem.kind is not ProblemKind.DISK_FULL


def _header_size(change: Change) -> int:
    return header_size_of(change.path, change.old) + header_size_of(change.keep or "", change.new)
