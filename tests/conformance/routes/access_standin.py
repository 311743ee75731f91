"""A stand-in for an access policy in front of a tunnel, as recorded of Cloudflare's.

Who shows no token is sent to a login page (302), who shows another one is refused (403), and before
either nothing gets through. It looks at the head of a request and carries the rest as it is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import anyio
from anyio.abc import ByteStream

from towline.access import Token
from towline.routes.relay import port_of

TOKEN = Token("4a1b.access", "s3cret")
LOGIN = (
    b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n"
    b"Location: https://team.cloudflareaccess.com/cdn-cgi/access/login\r\n\r\n"
)
FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"


@asynccontextmanager
async def access_standin(behind: Callable[[], int]) -> AsyncIterator[int]:
    """Yield the port of a policy; `behind` is where the tunnel really comes out."""
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, partial(_judge, behind))
        yield port_of(listener)
        tasks.cancel_scope.cancel()


async def _judge(behind: Callable[[], int], visitor: ByteStream) -> None:
    try:
        async with visitor:
            head = await _head(visitor)
            if (answer := _answer(head)) is not None:
                await visitor.send(answer)
                return
            async with await anyio.connect_tcp("127.0.0.1", behind()) as tunnel:
                await tunnel.send(head)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(_carry, visitor, tunnel)
                    await _carry(tunnel, visitor)
    except (anyio.EndOfStream, anyio.BrokenResourceError, OSError):
        pass


async def _head(visitor: ByteStream) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        head += await visitor.receive()
    return head


def _answer(head: bytes) -> bytes | None:
    lines = head.decode("latin-1").split("\r\n\r\n")[0].split("\r\n")[1:]
    fields = {name.lower(): value.strip() for name, _, value in (ln.partition(":") for ln in lines)}
    given = [fields.get(name.lower()) for name in TOKEN.headers()]
    if not any(given):
        return LOGIN
    return None if given == list(TOKEN.headers().values()) else FORBIDDEN


async def _carry(source: ByteStream, target: ByteStream) -> None:
    try:
        async for part in source:
            await target.send(part)
        await target.send_eof()
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        pass
