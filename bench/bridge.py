"""The bridge beside the bare `websockets` library: bytes each way through each, in turns.

`python -m bench.bridge [MB]` prints the rate of both and their ratio. Both send whole binary
messages of 16 KiB to an end that counts them; the bridge has one more hop of TCP, as it has in use,
and all of it shares one thread.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.abc import ByteStream
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from towline.core.address import WebSocket
from towline.routes.bridge import open_bridge
from towline.routes.relay import port_of
from towline.routes.websocket import MESSAGE_MAX, open_websocket

ROUNDS = 3
PART = bytes(64 << 10)

Rate = Callable[[int], Coroutine[Any, Any, float]]


@asynccontextmanager
async def listening(
    behave: Callable[[ByteStream], Coroutine[Any, Any, None]],
) -> AsyncIterator[int]:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, behave)
        yield port_of(listener)
        tasks.cancel_scope.cancel()


async def bridge_up(size: int) -> float:
    counted = anyio.Event()

    async def count(stream: ByteStream) -> None:
        left = size
        async with stream:
            async for part in stream:
                left -= len(part)
        assert left == 0
        counted.set()

    async with listening(count) as port, open_bridge(port) as bridge:
        address = WebSocket("127.0.0.1", bridge.port, token=bridge.token, secure=False)
        async with open_websocket(address) as stream:
            began = time.perf_counter()
            for _ in range(size // len(PART)):
                await stream.send(PART)
            await stream.send_eof()
            await counted.wait()
            return size / (time.perf_counter() - began)


async def bridge_down(size: int) -> float:
    async def pour(stream: ByteStream) -> None:
        async with stream:
            for _ in range(size // len(PART)):
                await stream.send(PART)

    async with listening(pour) as port, open_bridge(port) as bridge:
        address = WebSocket("127.0.0.1", bridge.port, token=bridge.token, secure=False)
        began = time.perf_counter()
        async with open_websocket(address) as stream:
            got = 0
            async for part in stream:
                got += len(part)
            assert got == size
            return size / (time.perf_counter() - began)


OPTIONS: dict[str, Any] = {"compression": None, "ping_interval": None}


async def _send(connection: Any, size: int) -> None:
    message = bytes(MESSAGE_MAX)
    for _ in range(size // MESSAGE_MAX):
        await connection.send(message)


async def _count(connection: Any, size: int) -> None:
    while size:
        size -= len(await connection.recv())


async def bare_up(size: int) -> float:
    counted = asyncio.Event()

    async def count(visitor: ServerConnection) -> None:
        await _count(visitor, size)
        counted.set()

    async with serve(count, "127.0.0.1", 0, **OPTIONS) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}/", **OPTIONS) as connection:
            began = time.perf_counter()
            await _send(connection, size)
            await counted.wait()
            return size / (time.perf_counter() - began)


async def bare_down(size: int) -> float:
    async def pour(visitor: ServerConnection) -> None:
        await _send(visitor, size)

    async with serve(pour, "127.0.0.1", 0, **OPTIONS) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}/", **OPTIONS) as connection:
            began = time.perf_counter()
            await _count(connection, size)
            return size / (time.perf_counter() - began)


async def compare(way: str, ours: Rate, bare: Rate, size: int) -> None:
    rates: dict[str, list[float]] = {"ours": [], "bare": []}
    for _ in range(ROUNDS):
        rates["ours"].append(await ours(size))
        rates["bare"].append(await bare(size))
    our, their = statistics.median(rates["ours"]), statistics.median(rates["bare"])
    print(
        f"{way:<5} bridge {our / 1e6:6.0f} MB/s   bare {their / 1e6:6.0f} MB/s   "
        f"ratio {our / their:.2f}"
    )


async def main(megabytes: int) -> None:
    size = megabytes << 20
    await compare("up", bridge_up, bare_up, size)
    await compare("down", bridge_down, bare_down, size)


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 64)
