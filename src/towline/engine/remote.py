"""The machine's side: messages to its mirror, over two channels of the Line.

It turns messages into bytes and back, and numbers the groups of changes. It believes nothing and
remembers nothing of what the machine holds; `live` does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import anyio

from towline.core.wire.messages import Message, decode, encode
from towline.core.wire.packing import Compressor, Packer
from towline.engine.blocking import RunBlocking
from towline.engine.throttle import Throttle


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
    """`compress` is asked for each message with content; `throttle` slows the bulk lane."""

    def __init__(
        self,
        lanes: Lanes,
        compress: Callable[[], bool],
        throttle: Throttle,
        run: RunBlocking,
    ) -> None:
        self._lanes = lanes
        self._compress = compress
        self._throttle = throttle
        self._run = run
        self._turn = anyio.Lock(fast_acquire=True)  # A save is not to wait for a turn of the loop.
        self._bulk_turn = anyio.Lock()
        self._packer, self._bulk_packer = Packer(), Packer()

    def use_zstd(self) -> None:
        """The machine can read it."""
        self._packer, self._bulk_packer = Packer(_open_stream), Packer(_open_stream)

    async def send(self, message: Message) -> None:
        """Send on the sync lane: in the order of the calls, also where they wait for credit."""
        async with self._turn:
            packed = encode(message, self._packer.pack) if self._compress() else encode(message)
            await self._lanes.sync.send(packed)

    async def send_bulk(self, message: Message, *, more: bool = False) -> None:
        """Send on the bulk lane, in the order of the calls. `more` follows soon."""
        async with self._bulk_turn:
            try:
                packed = await self._packed(message, more=more)
                await self._throttle.spend(len(packed))
                await self._lanes.bulk.send(packed)
            except BaseException:
                self._bulk_packer.reset()
                raise

    async def _packed(self, message: Message, *, more: bool) -> bytes:
        if not self._compress():
            return encode(message)
        # It takes longer than others should wait, and most of it without Python's lock.
        pack = partial(self._bulk_packer.pack, more=more)
        return await self._run(lambda: encode(message, pack))

    async def states(self) -> AsyncIterator[Message]:
        while True:
            yield decode(await self._lanes.sync.receive())

    async def contents(self) -> AsyncIterator[Message]:
        while True:
            packed = await self._lanes.bulk.receive()
            await self._throttle.spend(len(packed))  # Unread, it uses up the machine's credit.
            yield decode(packed)


def _open_stream() -> Compressor:
    from towline.engine.zstd import Stream  # Few links have use for it: it loads the library.

    return Stream()
