"""Bytes from one stream to another and back, each way until its end: no limit grows, nothing waits.

One part at a time is held in each direction, so a slow reader slows its writer and costs no memory.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.stapled import MultiListener

from towline.routes.base import background

PART_MAX = 256 << 10  # Bytes read at a time.

GONE = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)


async def relay(one: ByteStream, other: ByteStream) -> None:
    """Carry both ways until both have ended or one is broken; then close both.

    Each direction ends by itself: who has sent everything may still receive.
    """
    async with one, other, anyio.create_task_group() as tasks:
        tasks.start_soon(_carry, one, other, tasks.cancel_scope)
        tasks.start_soon(_carry, other, one, tasks.cancel_scope)


async def _carry(source: ByteStream, sink: ByteStream, both: anyio.CancelScope) -> None:
    try:
        while True:
            try:
                part = await source.receive(PART_MAX)
            except anyio.EndOfStream:
                break
            await sink.send(part)
        await sink.send_eof()
    except GONE:
        both.cancel()


async def connect_loopback(port: int) -> ByteStream:
    """Connect to a port of this machine. Raises OSError."""
    return await anyio.connect_tcp("127.0.0.1", port)


@asynccontextmanager
async def open_relay(host: str | None, outer: int, inner: int) -> AsyncGenerator[None]:
    """Lead from a port of this machine to another one on loopback. Raises OSError."""

    async def let_in(outside: ByteStream) -> None:
        try:
            inside = await connect_loopback(inner)
        except OSError:  # What it leads to is not there now; it may come back.
            await outside.aclose()
            return
        await relay(outside, inside)

    listener = await anyio.create_tcp_listener(local_host=host, local_port=outer)
    async with listener, background() as tasks:
        tasks.start_soon(listener.serve, let_in)
        yield


def port_of(listener: MultiListener[Any]) -> int:
    """Return the port that a listener was given."""
    return listener.extra(SocketAttribute.local_port)  # noqa: S610 - anyio's, not Django's.
