"""Streams that look now and then at what tells nothing by itself, and tell the laptop in a line.

A kind of them says what it looks at and what is worth a word. Nothing is waited for but the time:
they have no descriptors, and what finds no credit goes with a later look.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import Any, Generic, TypeVar

from towline.core.wire.line import Line

CHANNELS_MAX = 8  # Of one kind. A laptop needs one.

Asked = TypeVar("Asked")


class Watches(ABC, Generic[Asked]):
    """All channels of one kind on one Line, each with what is known of who asks. See `Streams`."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._asked: dict[int, Asked] = {}

    @abstractmethod
    def wants(self, greeting: Mapping[str, Any]) -> bool: ...

    @abstractmethod
    def begin(self) -> Asked:
        """Return what is known of a channel that was just opened."""

    @abstractmethod
    def put(self, channel: int, data: bytes) -> None: ...

    @abstractmethod
    def deadline(self) -> float | None:
        """When to look next, or None as long as nobody waits."""

    @abstractmethod
    def look(self, now: float) -> None:
        """Look if it is time."""

    def open(self, channel: int, greeting: Mapping[str, Any]) -> None:
        if len(self._asked) >= CHANNELS_MAX:
            self._line.close_channel(channel, "that is told to somebody already")
        else:
            self._asked[channel] = self.begin()

    def __contains__(self, channel: int) -> bool:
        return channel in self._asked

    def closed(self, channel: int) -> None:
        self._asked.pop(channel, None)

    def close(self) -> None:
        self._asked.clear()

    def stir(self, channel: int) -> None:
        """Nothing moves between two looks, credit or not."""

    def step(self) -> None:
        """Nothing moves between two looks."""

    def readable(self) -> Collection[int]:
        return ()

    def writable(self) -> Collection[int]:
        return ()
