"""A laptop and a machine, both real, over a slow line in memory, by a clock that jumps."""

from __future__ import annotations

import errno
import math
import os
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import anyio
import trio
from trio.testing import MockClock

from tests.engine.one_sided import RULES, live_over
from towline.agent.changes import Changes
from towline.agent.mirror import Lane, Mirror
from towline.agent.roots import Roots
from towline.core.wire.messages import Message, Part, decode, encode
from towline.disk.folder import Folder
from towline.disk.replica import Replica
from towline.engine.bell import Bell
from towline.engine.live import Live
from towline.engine.remote import Lanes

PART_S = 0.25
UNDER_WAY = 8  # Parts in the line at a time.
STEP_S = 0.05


class SmallDisk(Folder):
    """Has room for so many bytes."""

    room = math.inf

    def write(self, descriptor: int, content: bytes | memoryview) -> int:
        if self.room < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(descriptor, content)


class Way:
    """A lane to the laptop: takes so many messages, and lets one arrive after the other."""

    def __init__(self, capacity: float) -> None:
        self.capacity = capacity
        self.under_way: deque[bytes] = deque()
        self._arrived: deque[bytes] = deque()
        self._bell = Bell()

    def deliver(self) -> None:
        if self.under_way:
            self._arrived.append(self.under_way.popleft())
            self._bell.ring()

    async def receive(self) -> bytes:
        while not self._arrived:
            await self._bell.wait()
        return self._arrived.popleft()


class Machine:
    """A real mirror, driven by the clock; what comes of content passes one part each `PART_S`."""

    def __init__(self, root: Path, roots: Roots) -> None:
        self._root = root
        self._ways = {Lane.SYNC: Way(math.inf), Lane.BULK: Way(UNDER_WAY)}
        self._inbox: deque[Message] = deque()
        self._mirror = Mirror(self, roots.open, Changes("life"))
        self.sent = 0  # Parts.

    def room(self, lane: Lane) -> bool:
        return len(self._ways[lane].under_way) < self._ways[lane].capacity

    def send(self, lane: Lane, message: Message) -> None:
        self.sent += isinstance(message, Part)
        self._ways[lane].under_way.append(encode(message))

    @property
    def lanes(self) -> Lanes:
        return Lanes(End(self, Lane.SYNC), End(self, Lane.BULK))

    def hear(self, message: bytes) -> None:
        self._inbox.append(decode(message))

    async def say(self, lane: Lane) -> bytes:
        return await self._ways[lane].receive()

    async def run(self) -> None:
        part_at = 0.0
        while True:
            now = anyio.current_time()
            while self._inbox and self._mirror.takes():
                self._mirror.receive(self._inbox.popleft(), now)
            while self._mirror.step(now) and self.room(Lane.BULK):
                pass
            while self._ways[Lane.SYNC].under_way:
                self._ways[Lane.SYNC].deliver()
            if now >= part_at:
                self._ways[Lane.BULK].deliver()
                part_at = now + PART_S
            await anyio.sleep(STEP_S)


class End:
    """The laptop's end of a lane."""

    def __init__(self, machine: Machine, lane: Lane) -> None:
        self._machine = machine
        self._lane = lane

    async def send(self, message: bytes) -> None:
        self._machine.hear(message)

    async def receive(self) -> bytes:
        return await self._machine.say(self._lane)


async def until(is_so: Callable[[], bool], within_s: float) -> None:
    for _ in range(round(within_s)):
        if is_so():
            return
        await anyio.sleep(1)
    raise AssertionError(f"not within {within_s} s")


def run_linked(
    tmp_path: Path, scenario: Callable[[Live, Machine, SmallDisk], Awaitable[None]]
) -> None:
    """Run a scenario between a laptop and a machine, each with a folder of its own."""
    here, there = tmp_path / "laptop", tmp_path / "machine"
    here.mkdir()
    there.mkdir(exist_ok=True)
    disk, roots = SmallDisk(here), Roots()

    async def main() -> None:
        live = live_over(Replica(disk, RULES, host="laptop"))
        live.folder = replace(live.folder, machine_path=str(there))
        machine = Machine(there, roots)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(machine.run)
            tasks.start_soon(live.follow_folder)
            tasks.start_soon(live.run_life, machine.lanes)
            await scenario(live, machine, disk)
            tasks.cancel_scope.cancel()

    try:
        trio.run(main, clock=MockClock(autojump_threshold=0))
    finally:
        roots.close()
