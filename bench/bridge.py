"""The bridge beside the bare `websockets` library: bytes each way through each, in turns.

`python -m bench.bridge [MB]` prints the rate of both and their ratio. Both send whole binary
messages of 16 KiB to an end that counts them. Client and bridge share this thread, as the bare
client and server do; behind the bridge is one more hop of TCP, to a process of its own, as sshd is.
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
from towline.routes.websocket import MESSAGE_MAX, open_websocket

ROUNDS = 3
PART = bytes(64 << 10)

Rate = Callable[[int], Coroutine[Any, Any, float]]

# What sshd is to the bridge: another process, in a language that costs little.
SINK = """\
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
peer, _ = listener.accept()
buffer, left = memoryview(bytearray(1 << 18)), int(sys.argv[1])
while count := peer.recv_into(buffer):
    left -= count
peer.sendall(b"whole" if left == 0 else b"short")
"""
SOURCE = """\
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
peer, _ = listener.accept()
part = bytes(1 << 18)
for _ in range(int(sys.argv[1]) // len(part)):
    peer.sendall(part)
"""


@asynccontextmanager
async def bridged(program: str, size: int) -> AsyncIterator[ByteStream]:
    """Yield a stream that leads through the bridge to a program."""
    argv = [sys.executable, "-c", program, str(size)]
    async with await anyio.open_process(argv) as process:
        assert process.stdout is not None
        port = int(await process.stdout.receive())
        async with open_bridge(port) as bridge:
            address = WebSocket("127.0.0.1", bridge.port, token=bridge.token, secure=False)
            async with open_websocket(address) as stream:
                yield stream


async def bridge_up(size: int) -> float:
    async with bridged(SINK, size) as stream:
        began = time.perf_counter()
        for _ in range(size // len(PART)):
            await stream.send(PART)
        await stream.send_eof()
        assert await stream.receive() == b"whole"
        return size / (time.perf_counter() - began)


async def bridge_down(size: int) -> float:
    async with bridged(SOURCE, size) as stream:
        began, got = time.perf_counter(), 0
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
