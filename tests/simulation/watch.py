"""A watch that is told of events by the world, late, out of order, or not at all."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from random import Random

from tests.simulation.clock import Bell, VirtualClock
from tests.simulation.weather import Weather
from towline.core.path import is_below
from towline.disk.watch.base import NOTHING, Found, Mode, ModeKind, Seen, Skip, Statistics, Watch

_NUMBERS = itertools.count(1 << 20)  # No descriptors: nothing ever waits for them.


class Pending:
    """One event on its way to the watch."""

    def __init__(self, at: float, path: str, kind: str) -> None:
        self.at = at
        self.path = path
        self.kind = kind


class SimulatedWatch(Watch):
    """`git_busy` says whether git's lock is there; `root_is_there` whether the root is."""

    def __init__(
        self,
        clock: VirtualClock,
        random: Random,
        weather: Weather,
        skip: Skip,
        git_busy: Callable[[], bool],
        root_is_there: Callable[[], bool],
    ) -> None:
        self._clock = clock
        self._random = random
        self._number = next(_NUMBERS)
        self._weather = weather
        self._skip = skip
        self._git_busy = git_busy
        self._root_is_there = root_is_there
        self._follows = int(clock.current_time() * 1000) % 2 == 0  # Every other one, by chance.
        self._pending: list[Pending] = []
        self._lost_cookies: list[str] = []
        self._rescan = False
        self._root_gone = False
        self._git_known = False
        self._cookies = 0
        self._stirred = Bell(clock)
        self.closed = False
        self.on_stir: Callable[[], None] = lambda: None

    # What the world tells.

    def note(self, path: str, kind: str) -> None:
        """`kind`: "path", "writing", "git"."""
        now = self._clock.current_time()
        at = now + self._weather.event_delay_s()
        for other in self._pending:
            related = other.kind != "cookie" and (
                other.path == path or is_below(path, other.path) or is_below(other.path, path)
            )
            if related or not self._weather.reorders:
                at = max(at, other.at)
        self._pending.append(Pending(at, path, kind))
        if self._weather.overflows(len(self._pending)):
            self._overflow()
        self._stir()

    def note_root_gone(self) -> None:
        self._root_gone = True
        self._stir()

    def _overflow(self) -> None:
        lost = self._pending
        self._pending = []
        self._lost_cookies += [one.path for one in lost if one.kind == "cookie"]
        self._rescan = True

    def _stir(self) -> None:
        self._stirred.ring()
        self.on_stir()

    def __len__(self) -> int:
        return len(self._pending) + self._rescan + self._root_gone

    # What the follower asks.

    async def wait_readable(self) -> None:
        while not self.is_readable():
            arrival = self.next_arrival()
            if arrival is None:
                await self._stirred.wait()
            else:
                await self._stirred.wait(max(0.0, arrival - self._clock.current_time()))

    def is_readable(self) -> bool:
        arrival = self.next_arrival()
        return (
            self._rescan
            or self._root_gone
            or (arrival is not None and arrival <= self._clock.current_time())
        )

    def next_arrival(self) -> float | None:
        return min([one.at for one in self._pending]) if self._pending else None

    def start(self) -> None:
        self._learn_git()

    def close(self) -> None:
        self.closed = True

    def fileno(self) -> int:
        return self._number

    def deadline(self) -> float | None:
        return None

    def read_plain(self) -> Seen | None:
        return self.read() if self._random.random() < 0.5 else None

    def read(self) -> Seen:
        now = self._clock.current_time()
        arrival = self.next_arrival()
        if not (self._rescan or self._root_gone) and (arrival is None or arrival > now):
            return NOTHING
        found = Found(rescan=self._rescan, root_gone=self._root_gone)
        self._rescan = self._root_gone = False
        arrived = sorted((one for one in self._pending if one.at <= now), key=lambda one: one.at)
        self._pending = [one for one in self._pending if one.at > now]
        for one in arrived:
            if one.kind == "cookie":
                found.cookies.add(one.path)
            elif one.kind == "git":
                busy = self._git_busy()
                if busy != self._git_known:
                    self._git_known = busy
                    found.note_git(busy)
            elif one.kind == "writing":
                found.writing.add(one.path)
            else:
                found.note(one.path)
                if self._random.random() < 0.7:
                    found.closed.add(one.path)
        return found.seen()

    def move_in(self, directories: Mapping[str, str], move: Callable[[], None]) -> None:
        """A watch that follows, as inotify's, does not tell that they came."""
        known = set(map(id, self._pending))
        move()
        if not self._follows:
            return
        top = next(iter(directories.values()))
        came = (one for one in self._pending if id(one) not in known and one.path == top)
        if (record := next(came, None)) is not None:
            self._pending.remove(record)

    def rewatch(self) -> None:
        for cookie in self._lost_cookies:
            self._place(cookie)
        self._lost_cookies.clear()
        self._root_gone = self._root_gone or not self._root_is_there()
        self._learn_git()

    def place_cookie(self) -> str:
        self._weather.maybe_fail_cookie()
        if not self._root_is_there():
            raise FileNotFoundError(2, "no root")
        self._cookies += 1
        name = f"cookie-{self._cookies}"
        self._place(name)
        return name

    def _place(self, cookie: str) -> None:
        at = max([self._clock.current_time(), *(one.at for one in self._pending)])
        self._pending.append(Pending(at + self._weather.event_delay_s(), cookie, "cookie"))
        # What is on its way before a cookie comes before it; what follows may overtake it.
        self._stir()

    def _learn_git(self) -> None:
        self._pending.append(Pending(self._clock.current_time(), ".git/index.lock", "git"))
        self._stir()

    @property
    def mode(self) -> Mode:
        return Mode(ModeKind.NOTIFIED, "")

    def statistics(self) -> Statistics:
        return Statistics()
