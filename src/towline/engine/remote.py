"""The machine's side: messages to its mirror, over two channels of the Line.

It turns messages into bytes and back, and numbers the groups of changes. It believes nothing and
remembers nothing of what the machine holds; `live` does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from towline.core.wire.messages import Message, decode, encode


class Channel(Protocol):
    """A sequence of messages, as the Line carries it."""

    async def send(self, message: bytes) -> None:
        """Send once there is credit. Raises when the Line or the channel is gone."""
        ...

    async def receive(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Lanes:
    """The two channels of one mirror. State and small changes go on `sync`, content on `bulk`."""

    sync: Channel
    bulk: Channel


class Remote:
    def __init__(self, lanes: Lanes, *, compress: bool) -> None:
        self._lanes = lanes
        self._compress = compress

    async def send(self, message: Message) -> None:
        await self._lanes.sync.send(encode(message, compress=False))

    async def send_bulk(self, message: Message) -> None:
        await self._lanes.bulk.send(encode(message, compress=self._compress))

    async def states(self) -> AsyncIterator[Message]:
        while True:
            yield decode(await self._lanes.sync.receive())

    async def contents(self) -> AsyncIterator[Message]:
        while True:
            yield decode(await self._lanes.bulk.receive())
