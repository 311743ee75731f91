"""A transport in memory: slow, split anywhere, cut at any byte, silent for as long as it likes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random

import anyio
import trio
from anyio.abc import ByteStream

from tests.simulation.clock import Bell, VirtualClock
from tests.simulation.weather import Weather

CAPACITY = 64 << 10  # Bytes under way in one direction.
STALLS_S = (1.0, 5.0, 9.0, 30.0)


class Way:
    """One direction."""

    def __init__(self, clock: VirtualClock, random: Random, weather: Weather) -> None:
        self._clock = clock
        self._random = random
        self._weather = weather
        self._chunks: deque[tuple[float, bytes]] = deque()
        self._last = 0.0
        self.size = 0
        self.sent = 0
        self.broken = False
        self.stirred = Bell(clock)

    @property
    def has_room(self) -> bool:
        return self.size < CAPACITY

    def put(self, data: bytes) -> None:
        if self.broken:
            return
        while data:
            size = len(data)
            if self._random.random() < 0.2:
                size = self._random.randint(1, size)
            piece, data = data[:size], data[size:]
            now = self._clock.current_time()
            late = self._random.random() * self._weather.latency_s
            if not self._weather.is_over and self._random.random() < self._weather.stall:
                late += self._random.choice(STALLS_S)
            self._last = max(self._last, now + late)
            self._chunks.append((self._last, piece))
            self.size += size
            self.sent += size
        self.stir()

    def take(self) -> bytes | None:
        """Return what has arrived; b"" at the end, None if it is to be waited for."""
        now = self._clock.current_time()
        if self._chunks and self._chunks[0][0] <= now:
            _, data = self._chunks.popleft()
            self.size -= len(data)
            self.stir()
            return data
        return b"" if self.broken and not self._chunks else None

    def cut(self) -> None:
        """What is under way arrives up to some byte, and nothing after it."""
        if self.broken:
            return
        self.broken = True
        keep = self._random.randint(0, self.size) if self._random.random() < 0.7 else 0
        kept: deque[tuple[float, bytes]] = deque()
        for at, data in self._chunks:
            if data[:keep]:
                kept.append((at, data[:keep]))
            keep -= len(data[:keep])
        self._chunks = kept
        self.size = sum(len(data) for _, data in kept)
        self.stir()

    def close(self) -> None:
        """What is under way arrives, and then the end."""
        self.broken = True
        self.stir()

    def stir(self) -> None:
        self.stirred.ring()

    async def wait(self) -> None:
        """Return when there may be something new."""
        arrival = self._chunks[0][0] if self._chunks else None
        if arrival is None:
            await self.stirred.wait()
        else:
            await self.stirred.wait(max(0.0, arrival - self._clock.current_time()))


class Wire:
    """Both directions of one transport."""

    def __init__(
        self,
        clock: VirtualClock,
        random: Random,
        weather: Weather,
        trace: Callable[[str], None],
    ) -> None:
        self.up = Way(clock, random, weather)
        self.down = Way(clock, random, weather)
        self._trace = trace
        self.on_room: Callable[[], None] = lambda: None
        self._budget = 0
        if weather.cut_after and not weather.is_over:
            self._budget = random.randint(1, weather.cut_after)

    @property
    def is_cut(self) -> bool:
        return self.up.broken

    def send(self, way: Way, data: bytes) -> None:
        if self._budget and way.sent + len(data) >= self._budget:
            way.put(data[: self._budget - way.sent])
            self._trace(f"the transport is cut after {self._budget} bytes")
            self.cut()
        else:
            way.put(data)

    def cut(self) -> None:
        self.up.cut()
        self.down.cut()

    def close(self) -> None:
        """The machine's end closes it in good order."""
        self.up.cut()
        self.down.close()


class LaptopEnd(ByteStream):
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def receive(self, max_bytes: int = 65536) -> bytes:
        await trio.lowlevel.checkpoint()
        way = self._wire.down
        while (data := way.take()) is None:
            await way.wait()
        if not data:
            raise anyio.EndOfStream
        self._wire.on_room()
        return data

    async def send(self, item: bytes) -> None:
        await trio.lowlevel.checkpoint()
        way = self._wire.up
        while not way.has_room and not way.broken:
            await way.stirred.wait()
        if way.broken:
            raise anyio.BrokenResourceError
        self._wire.send(way, item)

    async def send_eof(self) -> None:
        raise NotImplementedError

    async def aclose(self) -> None:
        self._wire.cut()
        await trio.lowlevel.checkpoint()
