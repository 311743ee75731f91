"""Opened again, a route asks for the port it had: another one is taken only if that is taken."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace

import anyio
import pytest
from anyio.abc import ByteStream

from towline.core.address import Tcp
from towline.routes.base import Surroundings, Tunnel, background, enter_same_port, never
from towline.routes.errors import RouteError
from towline.routes.provider.bore import ROUTE
from towline.routes.relay import port_of

pytestmark = pytest.mark.anyio

HAD, ANY = 20022, 31337


async def opened(around: Surroundings, refusal: RouteError | None, configured: int = 0) -> int:
    """Open where port `HAD` was given last and is refused now; return the port that is given."""

    @asynccontextmanager
    async def open_port(port: int) -> AsyncIterator[Tunnel]:
        if refusal and port == HAD:
            raise refusal
        yield Tunnel(Tcp("box.example", port or ANY), never)

    around.remember_port("box", HAD)
    async with AsyncExitStack() as stack:
        tunnel = await enter_same_port(stack, around, "box", configured, open_port)
        assert isinstance(tunnel.address, Tcp)
        return tunnel.address.port


async def test_the_port_it_had_is_given_again(around: Surroundings) -> None:
    assert await opened(around, None) == HAD


async def test_another_one_where_that_is_taken(around: Surroundings) -> None:
    assert await opened(around, RouteError("taken", passing=True, is_taken=True)) == ANY


async def test_none_where_the_server_is_away_for_a_moment(around: Surroundings) -> None:
    with pytest.raises(RouteError, match="away"):
        await opened(around, RouteError("away", passing=True))


async def test_a_configured_port_and_no_other(around: Surroundings) -> None:
    assert await opened(around, RouteError("taken", is_taken=True), configured=4242) == 4242


async def test_another_one_where_a_bore_server_gives_other_ports_by_now(
    around: Surroundings,
) -> None:
    async def serve(stream: ByteStream) -> None:
        async with stream:
            asked = json.loads((await stream.receive()).rstrip(b"\0"))["Hello"]
            refusal = {"Error": "client port number not in allowed range"}
            answer = refusal if asked == HAD else {"Hello": ANY}
            await stream.send(json.dumps(answer).encode() + b"\0")
            with suppress(anyio.EndOfStream):
                await stream.receive()

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, background() as tasks:
        tasks.start_soon(listener.serve, serve)
        port = port_of(listener)
        set_so = replace(around, settings={"bore.server": f"127.0.0.1:{port}"})
        set_so.remember_port(f"bore-127.0.0.1-{port}", HAD)
        async with ROUTE.open(22, set_so) as tunnel:
            assert tunnel.address == Tcp("127.0.0.1", ANY)
