"""Whether a stream that leads to the echo carries bytes there and back unchanged."""

from __future__ import annotations

import hashlib

import anyio
from anyio.abc import ByteStream

GREETING = b"SSH-2.0-echo\r\n"
BLOCK = bytes(range(256)) * 256


async def carried(stream: ByteStream, size: int) -> bool:
    """Send `size` bytes while receiving them; return whether they came back as they were."""
    there, back = hashlib.sha256(GREETING), hashlib.sha256()

    async def send() -> None:
        for start in range(0, size, len(BLOCK)):
            block = (start.to_bytes(8, "big") + BLOCK[8:])[: size - start]
            there.update(block)
            await stream.send(block)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send)
        expected = len(GREETING) + size
        while expected > 0:
            part = await stream.receive()
            back.update(part)
            expected -= len(part)
    return there.digest() == back.digest()
