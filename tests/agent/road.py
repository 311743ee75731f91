"""Streams over two real Lines; only the transport between is a loop here."""

from __future__ import annotations

import json
import select
from collections import deque
from collections.abc import Callable
from typing import Any

from towline.agent.streams import Streams
from towline.core.wire.events import Closed, Message, Opened, Sendable
from towline.core.wire.frames import Priority
from towline.core.wire.limits import Limits
from towline.core.wire.line import Line

TURNS_MAX = 20_000


class Road:
    """The laptop's end as bytes per channel, the machine's end with its streams."""

    def __init__(self, kind: Callable[[Line], Streams], limits: Limits | None = None) -> None:
        own = limits or Limits()
        self.laptop = Line(bytes(16), initiator=True, software="laptop", now=0, limits=own)
        self.machine = Line(bytes(16), initiator=False, software="agent", now=0, limits=own)
        self.streams = kind(self.machine)
        self.received: dict[int, bytearray] = {}
        self.ended: set[int] = set()
        self.closed: dict[int, str] = {}
        self.reads = True
        self._now = 0.0
        self._unread: deque[tuple[int, int]] = deque()
        self.laptop.attach(0)
        self.machine.attach(0)

    def open(self, greeting: dict[str, Any]) -> int:
        encoded = json.dumps(greeting).encode()
        channel = self.laptop.open_channel(encoded, Priority.INTERACTIVE)
        self.received[channel] = bytearray()
        return channel

    def turn(self) -> None:
        """Carry what goes; a millisecond passes, as what waits for that must go, too."""
        self._now += 0.001
        moved = False
        for source, target in ((self.laptop, self.machine), (self.machine, self.laptop)):
            if data := source.bytes_to_send(self._now):
                target.receive_bytes(data, self._now)
                moved = True
        while (event := self.machine.next_event()) is not None:
            self._machine_takes(event)
        while (event := self.laptop.next_event()) is not None:
            self._laptop_takes(event)
        if not moved:
            reading, writing = [*self.streams.readable()], [*self.streams.writable()]
            select.select(reading, writing, [], 0.02)
        self.streams.step()

    def _machine_takes(self, event: object) -> None:
        match event:
            case Opened(channel, greeting):
                named = json.loads(greeting)
                assert self.streams.wants(named)
                self.streams.open(channel, named)
            case Message(channel, data) if channel in self.streams:
                self.streams.put(channel, data)
            case Sendable(channel):
                self.streams.stir(channel)
            case Closed(channel):
                self.streams.closed(channel)
            case _:
                pass

    def _laptop_takes(self, event: object) -> None:
        match event:
            case Message(channel, data):
                self.received[channel] += data
                if not data:
                    self.ended.add(channel)
                self._unread.append((channel, len(data)))
                if self.reads:
                    self.read()
            case Closed(channel, reason):
                self.closed[channel] = reason
            case _:
                pass

    def read(self) -> None:
        while self._unread:
            self.laptop.consumed(*self._unread.popleft())

    def until(self, holds: Callable[[], bool]) -> None:
        for _ in range(TURNS_MAX):
            if holds():
                return
            self.turn()
        raise AssertionError("it did not come to pass")

    def send(self, channel: int, data: bytes) -> None:
        """Send all of it, in parts, waiting for credit."""
        for start in range(0, len(data), 50_000):
            self.until(lambda: self.laptop.sendable(channel) > 0)
            self.laptop.send(channel, data[start : start + 50_000])

    def end(self, channel: int) -> None:
        """Say that nothing more will be sent."""
        self.until(lambda: self.laptop.sendable(channel) > 0)
        self.laptop.send(channel, b"")
