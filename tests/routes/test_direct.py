"""`direct` believes what it is told, or listens where it is told to."""

from __future__ import annotations

from dataclasses import replace

import anyio
import pytest
from anyio.abc import ByteStream

from towline.core.address import Tcp
from towline.routes.base import Surroundings
from towline.routes.errors import RouteError
from towline.routes.provider.direct import ROUTE
from towline.routes.relay import port_of

pytestmark = pytest.mark.anyio


async def upper(stream: ByteStream) -> None:
    async with stream:
        said = b""
        async for part in stream:
            said += part
        await stream.send(said.upper())


def test_without_an_address_it_says_what_to_set(around: Surroundings) -> None:
    assert "TOWLINE_DIRECT_ADDRESS" in ROUTE.why_not(around)


@pytest.mark.parametrize(
    "settings",
    [
        {"direct.address": "-oProxyCommand=x:22"},
        {"direct.address": "0.0.0.0:22"},
        {"direct.address": "box:22", "direct.listen": "nonsense"},
    ],
)
def test_what_is_no_place_is_refused(around: Surroundings, settings: dict[str, str]) -> None:
    assert "TOWLINE_DIRECT" in ROUTE.why_not(replace(around, settings=settings))


async def test_a_place_that_leads_here_already_is_taken_as_it_is(around: Surroundings) -> None:
    set_up = replace(around, settings={"direct.address": "gpu.example:2222"})
    assert not ROUTE.why_not(set_up)
    async with ROUTE.open(40022, set_up) as tunnel:
        assert tunnel.address == Tcp("gpu.example", 2222)


async def test_it_relays_from_the_port_it_opens_and_each_side_may_end_first(
    around: Surroundings, free_tcp_port: int
) -> None:
    place = f"127.0.0.1:{free_tcp_port}"
    set_up = replace(around, settings={"direct.address": place, "direct.listen": place})
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, upper)
        port = port_of(listener)
        async with ROUTE.open(port, set_up) as tunnel:
            assert tunnel.address == Tcp("127.0.0.1", free_tcp_port)
            async with await anyio.connect_tcp("127.0.0.1", free_tcp_port) as stream:
                await stream.send(b"through")
                await stream.send_eof()
                assert b"".join([part async for part in stream]) == b"THROUGH"
        with pytest.raises(OSError, match="onnect"):
            await anyio.connect_tcp("127.0.0.1", free_tcp_port)
        tasks.cancel_scope.cancel()


async def test_a_port_that_is_taken_is_said(around: Surroundings) -> None:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as taken:
        place = f"127.0.0.1:{port_of(taken)}"
        set_up = replace(around, settings={"direct.address": place, "direct.listen": place})
        with pytest.raises(RouteError, match="cannot listen"):
            async with ROUTE.open(1, set_up):
                pass
