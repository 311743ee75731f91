"""A virtual clock that jumps to whatever is due next, and says when nobody ever sleeps.

Those who only wait for time or for a word of each other wait here, which is cheaper than a cancel
scope around an event. Nothing waits for a descriptor: `Idle` stands where trio asks the system.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import count
from types import SimpleNamespace

import trio
from trio.lowlevel import Abort, Task, current_task, reschedule, wait_task_rescheduled

LOOK_S = 1e-7
TURNS_MAX = 50_000  # Of the loop, within one second: beyond it nobody sleeps any more.


class _Sleeper:
    """A task that waits, by `wait_task_rescheduled(sleeper.give_up)`."""

    __slots__ = ("_can_be_cancelled", "task")

    def __init__(self, *, can_be_cancelled: bool) -> None:
        self.task: Task | None = current_task()
        self._can_be_cancelled = can_be_cancelled

    def wake(self) -> None:
        task, self.task = self.task, None
        if task is not None:
            reschedule(task)

    def give_up(self, _: object) -> Abort:
        if not self._can_be_cancelled:
            return Abort.FAILED
        self.task = None
        return Abort.SUCCEEDED


class VirtualClock(trio.abc.Clock):
    """It goes on a little with each look at it, as clocks do.

    Without, whoever wakes a rounding error too early would wake for ever. `now` is the time without
    a look.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._turns = 0
        self._second = 0
        self._sleepers: list[tuple[float, int, _Sleeper]] = []
        self._numbers = count()

    def current_time(self) -> float:
        self.now += LOOK_S
        return self.now

    async def sleep(self, seconds: float, *, can_be_cancelled: bool = True) -> None:
        """As `anyio.sleep`, and with as many looks at the clock: they are part of a seed."""
        if seconds == 0:
            await trio.lowlevel.checkpoint()
            return
        at = self.current_time() + seconds
        self.current_time()
        sleeper = _Sleeper(can_be_cancelled=can_be_cancelled)
        self.wake_at(at, sleeper)
        await wait_task_rescheduled(sleeper.give_up)

    def wake_at(self, at: float, sleeper: _Sleeper) -> None:
        heappush(self._sleepers, (at, next(self._numbers), sleeper))

    def wake_due(self) -> None:
        """Wake whoever sleeps until the next look, or less long."""
        now = self.now + LOOK_S
        self._count_turn()
        while self._sleepers and self._sleepers[0][0] <= now:
            heappop(self._sleepers)[2].wake()

    def _count_turn(self) -> None:
        self._turns += 1
        if self.now >= self._second:
            self._second, self._turns = int(self.now) + 1, 0
        elif self._turns > TURNS_MAX:
            self._turns = 0
            raise RuntimeError("somebody is busy without end")

    # What trio asks.

    def start_clock(self) -> None:
        pass

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Nobody can run before `deadline`, or before somebody who sleeps here: jump there."""
        at = min(deadline, self._next())
        if at == math.inf:
            raise RuntimeError("everybody waits for ever")
        if at > self.current_time() + LOOK_S:
            self.current_time()
            left = at - self.current_time()
            self.now += max(0.0, left)
            self.current_time()
        return 0

    def _next(self) -> float:
        while self._sleepers and self._sleepers[0][2].task is None:
            heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else math.inf


class Bell:
    """Wakes all who wait for it."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._waiting: set[_Sleeper] = set()

    def ring(self) -> None:
        for sleeper in self._waiting:  # In any order: trio sorts those who may run.
            sleeper.wake()

    async def wait(self, seconds: float | None = None) -> None:
        """Return when it rings, or after so many seconds."""
        if seconds is not None:
            at = self._clock.current_time() + seconds
            if self._clock.current_time() >= at:
                await trio.lowlevel.checkpoint()
                return
        sleeper = _Sleeper(can_be_cancelled=True)
        self._waiting.add(sleeper)
        if seconds is not None:
            self._clock.wake_at(at, sleeper)
        try:
            await wait_task_rescheduled(sleeper.give_up)
        finally:
            self._waiting.discard(sleeper)


class Idle:
    """Where trio waits for descriptors: nothing here ever does."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._reader: _Sleeper | None = None
        self._is_woken = False

    def wake(self) -> None:
        """Have trio itself look at what it was told: there is no descriptor that would say so."""
        if self._reader is None:
            self._is_woken = True
        else:
            self._reader.wake()

    def get_events(self, timeout: float) -> Sequence[object]:
        assert timeout == 0
        self._clock.wake_due()
        return ()

    def process_events(self, events: Sequence[object]) -> None:
        pass

    async def wait_readable(self, _descriptor: object) -> None:
        """Wait until `wake`: only trio itself waits for a descriptor."""
        self._reader = _Sleeper(can_be_cancelled=True)
        if self._is_woken:
            self._is_woken = False
            self._reader.wake()
        await wait_task_rescheduled(self._reader.give_up)
        self._reader = None

    def statistics(self) -> object:
        return SimpleNamespace(backend="none")

    def force_wakeup(self) -> None:
        pass

    def close(self) -> None:
        pass
