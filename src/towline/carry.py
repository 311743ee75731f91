"""Standard input and output carried through WebSocket messages, where only HTTP gets through.

Apart from `proxy`, which starts for every ssh and needs no event loop for all other ways.
"""

from __future__ import annotations

import os
from contextlib import suppress

import anyio
from anyio.abc import ByteStream

from towline.access import statuses_with, token_for
from towline.core.address import WebSocket
from towline.routes.websocket import open_websocket

PART = 64 << 10
GONE = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)


def carry_websocket(address: WebSocket) -> None:
    """Carry until the machine has sent everything or ssh is gone. Raises `UserError`."""
    anyio.run(_carry, address)


async def _carry(address: WebSocket) -> None:
    token = token_for(address, os.environ)
    way = open_websocket(address, token.headers() if token else None, statuses=statuses_with(token))
    async with way as stream, anyio.create_task_group() as tasks:
        tasks.start_soon(_send_input, stream)
        with suppress(*GONE):
            while True:
                await anyio.to_thread.run_sync(_write_all, await stream.receive(PART))
        tasks.cancel_scope.cancel()


async def _send_input(stream: ByteStream) -> None:
    """Threads read, for a pipe of Windows cannot be waited for. One left reading ends with us."""
    with suppress(*GONE):
        while data := await anyio.to_thread.run_sync(os.read, 0, PART, abandon_on_cancel=True):
            await stream.send(data)
        await stream.send_eof()


def _write_all(data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(1, rest) :]
