"""The machine's end of an HTTP-only tunnel: WebSocket visitors are led to a loopback port.

Only those who know the token: what scans the web for open doors does not reach the sshd.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
from anyio.abc import ByteStream

from towline.routes.base import background
from towline.routes.relay import GONE, connect_loopback, port_of, relay
from towline.routes.websocket import accept_websocket

VISITORS_MAX = 64  # At a time, known or not.
HANDSHAKE_S = 10.0
TOKEN_BYTES = 18


@dataclass(frozen=True, slots=True)
class Bridge:
    port: int  # On loopback; the tunnel's program is pointed at it.
    token: str  # For the address, and so for the ticket.


@asynccontextmanager
async def open_bridge(port: int) -> AsyncGenerator[Bridge]:
    """Bridge to 127.0.0.1:`port` for as long as the context lasts."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    visitors = anyio.CapacityLimiter(VISITORS_MAX)

    async def let_in(stream: ByteStream) -> None:
        try:
            visitors.acquire_on_behalf_of_nowait(stream)
        except anyio.WouldBlock:
            await stream.aclose()
            return
        try:
            await _let_in(port, token, stream)
        finally:
            visitors.release_on_behalf_of(stream)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, background() as tasks:
        tasks.start_soon(listener.serve, let_in)
        yield Bridge(port_of(listener), token)


async def _let_in(port: int, token: str, stream: ByteStream) -> None:
    try:
        with anyio.fail_after(HANDSHAKE_S):
            visitor = await accept_websocket(stream, token)
            inside = await connect_loopback(port) if visitor else None
        if visitor and inside:
            await relay(visitor, inside)
    except (TimeoutError, *GONE):
        pass  # That visitor is gone, or finds nobody; the bridge stays.
    finally:
        with anyio.CancelScope(shield=True):
            await stream.aclose()
