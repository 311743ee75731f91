"""A channel of a live Line, as async code sees it: whole messages, in order, with back-pressure."""

from __future__ import annotations

from collections import deque
from typing import Protocol

import anyio
import anyio.lowlevel

from towline.core.wire.line import Line
from towline.line.errors import ChannelClosedError


class Owner(Protocol):
    """What a channel needs of the live line it belongs to."""

    def check(self) -> None:
        """Raise what ended the line, if it has ended."""

    def wake(self) -> None:
        """There may be something to write."""

    def forget(self, number: int) -> None:
        """The channel is closed by this side."""


class Channel:
    """Opened by `LiveLine.open_channel`. It stays through cuts of the transport."""

    def __init__(self, number: int, line: Line, owner: Owner) -> None:
        self._number = number
        self._line = line
        self._owner = owner
        # Bounded by the channel's credit: the peer may send no more than its window.
        self._received: deque[bytes] = deque()
        self._closed: str | None = None
        self._stirred = anyio.Event()

    async def send(self, message: bytes) -> None:
        """Queue a message, once there is credit for it.

        Raises `ChannelClosedError`, what ended the line (`LineLostError` and others), and
        `ValueError` for a message that is too large.
        """
        while True:
            self._check()
            if self._line.sendable(self._number):
                break
            await self._wait_stirred()
        self._line.send(self._number, message)
        self._owner.wake()

    async def receive(self) -> bytes:
        """Return the next message. Raises as `send` does, after all that had come before."""
        while not self._received:
            self._check()
            await self._wait_stirred()
        message = self._received.popleft()
        if self._closed is None:
            self._line.consumed(self._number, len(message))
            self._owner.wake()
        return message

    async def aclose(self, reason: str = "") -> None:
        """Close the channel both ways, after what was sent. Closing twice is harmless."""
        if self._closed is None:
            self._line.close_channel(self._number, reason)
            self._received.clear()
            self._owner.forget(self._number)
            self._owner.wake()
            self.close(reason)
        await anyio.lowlevel.checkpoint()

    # -- For the live line --------------------------------------------------------------------

    def put(self, message: bytes) -> None:
        self._received.append(message)
        self.stir()

    def close(self, reason: str) -> None:
        self._closed = reason
        self.stir()

    def stir(self) -> None:
        """Let whoever waits look again."""
        self._stirred.set()

    def _check(self) -> None:
        if self._closed is not None:
            raise ChannelClosedError(self._closed)
        self._owner.check()

    async def _wait_stirred(self) -> None:
        if self._stirred.is_set():
            self._stirred = anyio.Event()
        await self._stirred.wait()
