"""One forward, whichever way it leads: what it is called, and its channels to the machine's end.

Where it listens and what it does with a connection is for the files of the directions.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import anyio

from towline.channels import CLOSED
from towline.control import Json
from towline.core.wire.channels import TooManyChannelsError
from towline.core.wire.frames import Priority
from towline.engine.events import ForwardFailed
from towline.forwards.place import ANY_FREE, Place
from towline.line.channel import Channel
from towline.line.live import LiveLine

LOOPBACK = "127.0.0.1"

OpenLine = Callable[[], LiveLine | None]


class NoChannelError(Exception):
    """There is no Line to open a channel on, or no room on it."""


class Forward(ABC):
    """`taken` says why it listens elsewhere than was wished, if it does."""

    direction: str

    def __init__(
        self, target: Place, line: OpenLine, tell: Callable[[ForwardFailed], None]
    ) -> None:
        self.target = target
        self.listen = ANY_FREE
        self.taken = ""
        self.open = 0  # Connections now.
        self._told = ""  # Once for a reason, not at each try of a page that reloads itself.
        self._line = line
        self._tell = tell

    def as_json(self) -> Json:
        return {
            "direction": self.direction,
            "listen": self.address,
            "target": self.leads_to,
            "open": self.open,
            "failure": self._told,
        }

    @property
    def leads_to(self) -> str:
        return self.target.text

    @property
    def names(self) -> tuple[str, ...]:
        """What a person may call it."""
        return (self.address, self.listen.text, self.target.text)

    @property
    def address(self) -> str:
        """Where a program here connects to."""
        return self.listen.path or f"{LOOPBACK}:{self.listen.port}"

    @abstractmethod
    async def begin(self, wished: Place | None) -> None:
        """Listen where wished, or where is usual. Raises UserError."""

    @abstractmethod
    async def serve(self) -> None:
        """Take connections until cancelled."""

    def _open_channel(self, greeting: Json) -> Channel:
        """Raises NoChannelError."""
        line = self._line()
        if line is None:
            raise NoChannelError("the machine is not connected")
        try:
            return line.open_channel(json.dumps(greeting).encode(), Priority.INTERACTIVE)
        except (TooManyChannelsError, *CLOSED) as error:
            raise NoChannelError(str(error)) from None

    @asynccontextmanager
    async def _channel(self, greeting: Json) -> AsyncGenerator[Channel]:
        """Hold a channel to the machine's end. Raises NoChannelError."""
        channel = self._open_channel(greeting)
        try:
            yield channel
        finally:
            with anyio.CancelScope(shield=True):
                await channel.aclose()

    def _note(self, reason: str) -> None:
        if reason and reason != self._told:
            self._tell(ForwardFailed(self.address, self.target.text, reason))
        self._told = reason
