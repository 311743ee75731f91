"""What a flush must wait for, though it is neither dirty nor in flight."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import anyio
import pytest

from towline.core.direction import Direction
from towline.core.entry import Directory, Entry, File, digest_of
from towline.core.ignore import NO_CHECKPOINTS
from towline.core.tree import Tree
from towline.core.wire.messages import Apply, Message
from towline.engine.ancestor import Store
from towline.engine.barrier import Barrier, FlushError
from towline.engine.bell import Bell
from towline.engine.coming import Coming
from towline.engine.draft import Drafts
from towline.engine.flights import Flights
from towline.engine.notices import Notices
from towline.engine.plan import Planner
from towline.engine.pull import Puller
from towline.engine.push import HOT_SIZE_MAX, Pusher
from towline.engine.trees import Trees

pytestmark = pytest.mark.anyio


class SlowDisk:
    """A project folder whose files are read only once `may_read` is set."""

    awaits_more = False

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.reading: set[str] = set()  # Nothing so large that it is read in steps.
        self._found_large: list[Callable[[], None]] = []
        self.may_read = anyio.Event()
        self.reads = anyio.Event()
        self.unread: Callable[[], None] | None = None  # Notices what has become readable.

    async def settle(self, timeout_s: float) -> None:
        """All that was saved, and all that was found large before, has been noticed."""
        for notice in self._found_large:
            notice()
        self._found_large.clear()

    async def look_at_unread(self) -> bool:
        """What can be read now is large: it is noticed once it has been read."""
        if self.unread is None:
            return False
        self._found_large.append(self.unread)
        return True

    async def read(self, wanted: Sequence[tuple[str, File]]) -> list[bytes | None]:
        self.reads.set()
        await self.may_read.wait()
        return [self.contents[path] for path, _ in wanted]


class Machine:
    """Keeps what it is sent, and answers nothing."""

    def __init__(self) -> None:
        self.sent: list[Message] = []

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def send_bulk(self, message: Message, *, more: bool = False) -> None:
        self.sent.append(message)


async def never_read(path: str, offset: int, size: int) -> bytes:
    raise AssertionError(path)


class Laptop:
    """The engine's parts, as `Live` puts them together, over a disk and a machine of ours."""

    def __init__(self) -> None:
        self.disk, self.machine = SlowDisk(), Machine()
        store = Store(":memory:")
        self.trees = Trees(store, 0, lambda _: Direction.BOTH)
        self.trees.remote = Tree(Directory())
        self.flights, self.landed = Flights(), Bell()
        self.pusher = Pusher(
            cast(Any, self.disk), self.trees, self.flights, Drafts(lambda *_: False, never_read)
        )
        notices = Notices(store, lambda _: None)
        coming = Coming(NO_CHECKPOINTS, self.trees, self.flights, notices, lambda: ())
        self.planner = Planner(
            self.trees,
            self.flights,
            self.pusher,
            Puller(cast(Any, self.disk), self.flights, lambda _: None, coming, lambda _: False),
            store,
            direction_of=lambda _: Direction.BOTH,
            hosts=lambda: ("laptop", "machine"),
            wall_clock=lambda: 0.0,
        )
        self.barrier = Barrier(
            cast(Any, self.disk),
            self.flights,
            self.pusher,
            self.planner,
            self.landed,
            is_known=lambda: True,
            is_connected=lambda: True,
            why_not=lambda: "",
        )

    def saves(self, path: str, content: bytes) -> None:
        self.disk.contents[path] = content
        entries: dict[str, Entry] = {p: file_of(c) for p, c in self.disk.contents.items()}
        self.trees.local = Tree(Directory(entries))
        self.flights.note([path])

    async def plan(self) -> None:
        await self.planner.plan(cast(Any, self.machine))
        self.landed.ring()

    def applied(self) -> list[tuple[list[str], int, bool]]:
        """Return paths, revision and whether it was the last of it, for each message sent."""
        sent = [message for message in self.machine.sent if isinstance(message, Apply)]
        return [([c.path for c in apply.changes], apply.revision, apply.last) for apply in sent]

    async def flush(self) -> int:
        """Return how much had been sent when it was told that all of it had."""
        await self.barrier.flush(5.0, until_sent=True)
        return len(self.machine.sent)


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


def file_of(content: bytes) -> File:
    return File(digest_of(content), size=len(content))


async def test_a_flush_waits_for_what_is_still_being_read() -> None:
    laptop = Laptop()
    laptop.saves("a", b"new")
    await flushed_only_after_a_read(laptop)


async def test_a_flush_waits_for_a_save_that_follows_one_in_flight() -> None:
    laptop = Laptop()
    laptop.saves("a", b"first")
    laptop.disk.may_read.set()
    await laptop.plan()
    laptop.disk.may_read, laptop.disk.reads = anyio.Event(), anyio.Event()
    laptop.saves("a", b"second")
    await flushed_only_after_a_read(laptop)
    assert [type(message) for message in laptop.machine.sent] == [Apply, Apply]


async def test_a_save_too_large_to_follow_at_once_waits_and_so_does_a_flush() -> None:
    """On the lane for content it would not arrive before what is said later."""
    laptop = Laptop()
    laptop.saves("a", b"first")
    laptop.disk.may_read.set()
    await laptop.plan()
    laptop.saves("a", b"x" * (HOT_SIZE_MAX + 1))
    await laptop.plan()
    assert laptop.pusher.waiting == (0, 0)
    with pytest.raises(FlushError, match="not done within 0 s: a"):
        await laptop.barrier.flush(0, until_sent=True)
    assert len(laptop.machine.sent) == 1


async def test_a_save_noticed_together_with_a_large_file_goes_at_once_but_a_flush_waits() -> None:
    laptop = Laptop()
    laptop.saves("large", b"x" * (HOT_SIZE_MAX + 1))
    laptop.saves("save", b"new")
    laptop.disk.may_read.set()
    await laptop.plan()
    (sent,) = laptop.machine.sent
    assert isinstance(sent, Apply)
    assert [change.path for change in sent.changes] == ["save"]
    assert laptop.pusher.waiting == (1, HOT_SIZE_MAX + 1)
    with pytest.raises(FlushError, match="not done within 0 s"):
        await laptop.barrier.flush(0, until_sent=True)


async def test_what_waits_to_be_sent_and_is_planned_anew_is_as_old_as_before() -> None:
    laptop = Laptop()
    laptop.saves("large", b"x" * (HOT_SIZE_MAX + 1))
    await laptop.plan()
    saved = laptop.flights.moment
    laptop.flights.note(["large"])  # The machine has told of something there.
    assert laptop.flights.moment > saved
    await laptop.plan()
    assert laptop.pusher.waiting == (1, HOT_SIZE_MAX + 1)
    assert not laptop.pusher.is_done(saved)


async def test_a_flush_waits_for_what_is_large_in_a_directory_that_can_be_read_again() -> None:
    laptop = Laptop()
    laptop.disk.unread = lambda: laptop.saves("large", b"was not seen before")
    with pytest.raises(FlushError, match="not done within 0 s: large"):
        await laptop.barrier.flush(0, until_sent=True)


async def flushed_only_after_a_read(laptop: Laptop) -> None:
    before, told = len(laptop.machine.sent), []

    async def flush() -> None:
        told.append(await laptop.flush())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(laptop.plan)
        await laptop.disk.reads.wait()
        tasks.start_soon(flush)
        laptop.landed.ring()  # Something else has landed meanwhile.
        await anyio.wait_all_tasks_blocked()
        laptop.landed.ring()
        await anyio.wait_all_tasks_blocked()
        assert told == []
        laptop.disk.may_read.set()
    assert told == [before + 1]


@asynccontextmanager
async def sent_a_first_part() -> AsyncIterator[Laptop]:
    """A laptop that has sent `a`, and reads something large that was saved together with it."""
    laptop = Laptop()
    laptop.disk.may_read.set()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(laptop.pusher.run, laptop.machine)
        laptop.disk.awaits_more = True
        laptop.saves("a", b"first part")
        await laptop.plan()
        await anyio.wait_all_tasks_blocked()
        assert laptop.applied() == [(["a"], 1, False)]
        yield laptop
        tasks.cancel_scope.cancel()


async def test_parts_of_a_group_are_sent_as_they_come_and_are_one_revision() -> None:
    async with sent_a_first_part() as laptop:
        laptop.saves("b", b"the rest")
        laptop.disk.awaits_more = False
        await laptop.plan()
        await anyio.wait_all_tasks_blocked()
        assert laptop.applied()[1:] == [(["b"], 1, True)]


async def test_a_group_whose_rest_is_no_change_ends_its_revision_all_the_same() -> None:
    async with sent_a_first_part() as laptop:
        assert not laptop.planner.is_whole
        laptop.disk.awaits_more = False
        assert laptop.planner.is_whole, "so that whoever sees it plans once more"
        await laptop.plan()
        await anyio.wait_all_tasks_blocked()
        assert laptop.applied()[1:] == [([], 1, True)]
