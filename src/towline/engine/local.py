"""The laptop's side: the project folder, followed and changed from the engine's loop.

The replica's work blocks, so it is done in a worker thread, one piece at a time; what it brings
to light is handed over in the loop, in order. Nothing here knows the other side.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Collection, Generator, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar

import anyio
import anyio.lowlevel

from towline.core.change import Change, Result
from towline.core.delta import Stretch
from towline.core.entry import File
from towline.core.ignore import Rules
from towline.core.problem import Problem
from towline.core.tree import Tree
from towline.disk.follow import INSTANT_S, Follower, News
from towline.disk.versions import Basis
from towline.disk.watch.base import ModeKind, Watch
from towline.engine.blocking import RunBlocking, in_thread
from towline.engine.events import LeftOut

TURNS_FIRST = 2  # Of the loop, before the next wait is prepared: to plan, and to write to the line.
TIMER_S = 0.0001  # A sleep takes so much longer than it is asked to: a shorter one is left out.
SCANNED_S = 30.0  # How long contents that the first scan read are kept for a copy to begin.

T = TypeVar("T")


WaitReadable = Callable[[Watch], Awaitable[None]]


async def wait_readable(watch: Watch) -> None:
    await anyio.wait_readable(watch.fileno())


class Local:
    """`absorb` gets all news, in the loop, before anything else is done to the folder.

    `awaits_more`: what was absorbed last is part of a group, the rest of which is still to come.
    """

    def __init__(
        self,
        follower: Follower,
        absorb: Callable[[News], None],
        *,
        run: RunBlocking = in_thread,
        readable: WaitReadable = wait_readable,
        rest: Callable[[float], None] | None = time.sleep,
    ) -> None:
        self._follower = follower
        self._replica = follower.replica
        self._absorb = absorb
        self._run = self.run_blocking = run
        self._readable = readable
        self._rest = rest
        self.awaits_more = False
        self._turn = anyio.Lock(fast_acquire=True)
        self._scanning = anyio.Event()  # The first scan, which begins to watch, has its turn.
        self._idle: anyio.CancelScope | None = None  # Around the wait for news.
        self._fresh: dict[bytes, bytes] = {}  # Contents of the last group, by digest.
        self._scanned: dict[bytes, bytes] = {}  # Contents that the first scan read, by digest.
        self._scanned_until = math.inf
        self._token = 0
        self._settled: dict[int, anyio.Event] = {}

    @property
    def problems(self) -> Mapping[str, Problem]:
        return self._replica.problems

    @property
    def reading(self) -> Collection[str]:
        """Large files that have changed and have yet to be read."""
        return self._replica.reading.paths

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        return tuple(
            LeftOut(item.path, item.size, item.reason, item.at_least)
            for item in self._replica.left_out
        )

    @property
    def watching(self) -> str:
        """How changes are noticed, where it is not simply by notification."""
        mode = self._follower.watch.mode
        return "" if mode.kind is ModeKind.NOTIFIED else mode.sentence

    async def scan(self) -> Tree:
        """Look at the whole folder; return a tree that is the caller's.

        What the first scan reads is kept for a while: a new machine lacks all of it.
        """
        is_first = not self._scanning.is_set()
        contents: dict[bytes, bytes] | None = {} if is_first else None

        def work() -> Tree:
            for _ in self._follower.scan_steps(contents):
                pass
            return Tree(self._replica.tree.root)

        async with self._turn:
            self._scanning.set()
            tree = await self._run(work)
            self._scanned = contents or {}
            self._scanned_until = anyio.current_time() + SCANNED_S
            return tree

    def let_go(self) -> None:
        """All is sent: what is kept of it is of no use any more."""
        self._scanned = {}

    async def follow(self) -> None:
        """Absorb what happens in the folder, for ever."""
        while True:
            await self._wait_for_news()
            await self._look()
            for _ in range(TURNS_FIRST):
                await anyio.lowlevel.checkpoint()

    async def settle(self, timeout_s: float) -> None:
        """Return once every change made before this call is absorbed.

        Raises `TimeoutError` if the watch does not answer in time, `OSError` if the folder
        cannot be written.
        """
        self._token += 1
        token, arrived = self._token, anyio.Event()
        self._settled[token] = arrived
        try:
            with anyio.fail_after(timeout_s):
                await self._scanning.wait()
            async with self._turn:
                now = anyio.current_time()
                await self._run(lambda: self._follower.settle(token, now))
            with anyio.fail_after(timeout_s):
                await self._look()  # The event is often there already.
                await arrived.wait()
        finally:
            del self._settled[token]

    async def read(self, wanted: Sequence[tuple[str, File]]) -> list[bytes | None]:
        """Return the content of each file, or None where it is no longer the one wanted.

        What was read just now, or by the first scan, is not read again: also if another save came
        since, this is what was saved, and the next follows.
        """
        digests = {file.digest for _, file in wanted}
        if digests <= self._fresh.keys():
            fresh = {digest: self._fresh.pop(digest) for digest in digests}
            return [fresh[file.digest] for _, file in wanted]
        found = [self._scanned.pop(file.digest, None) for _, file in wanted]
        lacking = [one for one, content in zip(wanted, found, strict=True) if content is None]
        if lacking:
            async with self._turn:
                read = iter(await self._run(lambda: self._replica.outgoing.read_all(lacking)))
            found = [next(read) if content is None else content for content in found]
        return found

    async def read_part(self, path: str, file: File, offset: int, size: int) -> bytes | None:
        return await self._run_steps(self._replica.outgoing.part_steps(path, file, offset, size))

    async def read_unread(self, path: str, offset: int, size: int) -> bytes:
        """Return what is at a place of a file of which nothing is known yet; none if it fails."""
        async with self._turn:
            return await self._run(lambda: self._replica.outgoing.read_unread(path, offset, size))

    async def stage(self, digest: bytes, offset: int, data: bytes, size: int) -> bool:
        """Keep a part of a content; False if it cannot be: what needs it will lack it."""

        def work() -> bool:
            stage = self._replica.stage
            # What came before is gone, could not be kept, or is more than the content has.
            if offset and not offset <= stage.held(digest) <= size:
                return False
            stage.write(digest, offset, data, size)
            return True

        async with self._turn:
            return await self._run(work)

    async def stage_copy(self, digest: bytes, size: int, basis: Basis, stretch: Stretch) -> bool:
        """Keep a stretch of a content that is in a file here; False as `stage`."""
        async with self._turn:
            versions = self._replica.versions
            return await self._run(lambda: versions.stage_copy(digest, size, basis, stretch))

    async def delta(self, path: str, new: File, basis: bytes) -> list[Stretch] | None:
        """Return how the file `new` at `path` is made of the content `basis`; None if unknown."""
        return await self._run_steps(self._replica.versions.delta_steps(path, new, basis))

    async def _run_steps(self, steps: Generator[None, None, T]) -> T:
        """Run a generator to its end; others have their turn between its steps."""
        ended: list[T] = []

        def step() -> None:
            try:
                next(steps)
            except StopIteration as end:
                ended.append(end.value)

        try:
            while not ended:
                async with self._turn:
                    await self._run(step)
        finally:
            steps.close()
        return ended[0]

    async def staged(self, digest: bytes) -> int:
        """Return how many bytes of a content are here; read what an earlier life has left of it.

        Or all of it would have to be read at the end, at once.
        """
        await self._run_steps(self._replica.stage.catch_up_steps(digest))
        async with self._turn:
            return self._replica.stage.held(digest)

    async def sync_staged(self, digest: bytes) -> None:
        """Have what is staged of a content on the disk. Saves do not wait for that."""
        try:
            async with self._turn:
                descriptor = self._replica.stage.open_part(digest)
        except OSError:  # It is not here: whoever needs it will say so.
            return
        folder = self._replica.folder
        try:
            with suppress(OSError):  # Told by the change, which tries it again.
                await self._run(lambda: folder.sync_file(descriptor))
        finally:
            folder.close_file(descriptor)

    async def adopt(self, draft: bytes, digest: bytes, size: int) -> None:
        """Let the first `size` bytes staged as a draft be the start of a content."""
        async with self._turn:
            await self._run(lambda: self._replica.stage.rename(draft, digest, size))

    async def drop_staged(self, digest: bytes) -> None:
        async with self._turn:
            self._replica.stage.discard(digest)

    async def apply(
        self,
        changes: Sequence[Change],
        contents: Mapping[bytes, bytes],
        landed: Callable[[Sequence[Result]], None],
    ) -> None:
        """Carry out the changes; `landed` gets the results before what came to light is absorbed.

        For that was seen later: it may be that somebody has changed a path again already.
        """
        async with self._turn:
            now = anyio.current_time()
            results, observations = await self._run(
                lambda: self._follower.apply(changes, contents, now)
            )
            landed(results)
            self._absorb(News(observations=observations))
        self._wake()

    async def look_again(self, paths: Sequence[str]) -> None:
        """Look at paths that turned out to be other than believed."""
        async with self._turn:
            observations = await self._run(lambda: self._replica.observe(paths))
            self._absorb(News(observations=observations))
        self._wake()

    async def look_at_unread(self) -> bool:
        """Look again at what could not be read: a disk that recovers tells nothing.

        True: there was something. What is large in it may have yet to be read.
        """
        unread = self._follower.unread()
        if unread:
            await self.look_again(unread)
        return bool(unread)

    async def set_rules(self, rules: Rules) -> None:
        async with self._turn:
            await self._run(lambda: self._replica.set_rules(rules))

    def _wake(self) -> None:
        """Have the follower stepped: there may be something to be read, though nothing is told."""
        if self._idle is not None:
            self._idle.cancel()

    async def _wait_for_news(self) -> None:
        """Wait until the watch has something to tell or it is time to look."""
        due = self._follower.deadline()
        due = math.inf if due is None else due
        until = self._scanned_until if self._scanned else math.inf
        with anyio.CancelScope(deadline=min(due, until)) as self._idle:
            await self._readable(self._follower.watch)

    def _step(self, now: float) -> News:
        """Look at what is due, or is as good as due: others that belong to it may still come."""
        self._follower.hear(now)
        due = self._follower.quiet_at()
        if self._rest is not None and due is not None and now < due <= now + INSTANT_S:
            began = time.monotonic()
            self._follower.read_ahead()
            rest_s = due - now - (time.monotonic() - began)
            if rest_s > TIMER_S:
                self._rest(rest_s)
            now = due
        return self._follower.step(now)

    async def _look(self) -> None:
        async with self._turn:
            now = anyio.current_time()
            if now >= self._scanned_until:
                self.let_go()
            news = self._follower.step_plain(now)
            if news is None:
                news = await self._run(lambda: self._step(now))
            if news.observations:
                self._fresh = {**(self._fresh if self.awaits_more else {}), **news.contents}
            self.awaits_more = self._follower.is_part
            self._absorb(news)
            for token in news.settled:
                if token in self._settled:
                    self._settled[token].set()
