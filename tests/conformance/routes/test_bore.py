"""`bore` against the real server, where it is installed (`cargo install bore-cli`)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial

import anyio
import pytest
from anyio.abc import ByteStream

from tests.conformance.routes.bore_server import PLACE, bore_server, real
from tests.conformance.routes.carry import carried
from towline.core.address import Tcp
from towline.routes.base import Surroundings
from towline.routes.errors import RouteError
from towline.routes.provider.bore import CONTROL_PORT, ROUTE
from towline.routes.relay import port_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def set_up(around: Surroundings) -> Surroundings:
    return replace(around, settings={"bore.server": PLACE})


@real
async def test_a_port_of_the_server_leads_here(set_up: Surroundings, echo: int) -> None:
    with bore_server():
        async with ROUTE.open(echo, set_up) as tunnel:
            assert isinstance(tunnel.address, Tcp)
            async with await anyio.connect_tcp(PLACE, tunnel.address.port) as stream:
                assert await carried(stream, 4 << 20)


@real
async def test_a_secret_is_proved_on_every_connection(set_up: Surroundings, echo: int) -> None:
    knows = replace(set_up, settings={**set_up.settings, "bore.secret": "open sesame"})
    with bore_server("--secret", "open sesame"):
        async with ROUTE.open(echo, knows) as tunnel:
            assert isinstance(tunnel.address, Tcp)
            async with await anyio.connect_tcp(PLACE, tunnel.address.port) as stream:
                assert await carried(stream, 1000)


@real
async def test_without_the_secret_it_says_what_to_set(set_up: Surroundings, echo: int) -> None:
    with bore_server("--secret", "open sesame"), pytest.raises(RouteError) as refused:
        async with ROUTE.open(echo, set_up):
            pass
    assert "BORE_SECRET" in refused.value.hint


@real
async def test_a_secret_that_nobody_asked_for_is_said(set_up: Surroundings, echo: int) -> None:
    knows = replace(set_up, settings={**set_up.settings, "bore.secret": "x"})
    with bore_server(), pytest.raises(RouteError, match="bore"):
        async with ROUTE.open(echo, knows):
            pass


@real
async def test_the_same_port_is_taken_again_after_a_restart(
    set_up: Surroundings, echo: int, free_tcp_port: int
) -> None:
    fixed = replace(set_up, settings={**set_up.settings, "bore.port": str(free_tcp_port)})
    for _ in range(2):
        with bore_server():
            async with ROUTE.open(echo, fixed) as tunnel:
                assert tunnel.address == Tcp(PLACE, free_tcp_port)


@real
async def test_any_port_is_the_same_after_a_restart_unless_it_is_taken(
    set_up: Surroundings, echo: int
) -> None:
    with bore_server():
        async with ROUTE.open(echo, set_up) as first:
            pass
    with bore_server():
        async with ROUTE.open(echo, set_up) as second:
            assert second.address == first.address
            async with ROUTE.open(echo, set_up) as third:
                assert third.address != first.address


@real
async def test_a_port_that_is_not_given_is_said(set_up: Surroundings, echo: int) -> None:
    low = replace(set_up, settings={**set_up.settings, "bore.port": "80"})
    with bore_server(), pytest.raises(RouteError, match="does not give that port"):
        async with ROUTE.open(echo, low):
            pass


@real
async def test_a_server_that_dies_is_reported(set_up: Surroundings, echo: int) -> None:
    with bore_server() as process:
        async with ROUTE.open(echo, set_up) as tunnel:
            process.kill()
            assert "the server closed the connection" in await tunnel.wait_ended()


async def test_a_server_that_is_not_there_is_said(around: Surroundings) -> None:
    nowhere = replace(around, settings={"bore.server": "127.0.0.1:1"})
    with pytest.raises(RouteError, match="cannot be reached"):
        async with ROUTE.open(1, nowhere):
            pass


HOSTILE = {
    "no JSON": b"SSH-2.0-x\0",
    "no end": b"x" * 4096,
    "no object": b"[]\0",
    "a port that cannot be": b'{"Hello":70000}\0',
    "a port that is none": b'{"Hello":"-oProxyCommand"}\0',
    "nothing": b"",
    "an error with escapes": b'{"Error":"\\u001b[2J"}\0',
}


@pytest.fixture
async def hostile(request: pytest.FixtureRequest) -> AsyncIterator[int]:
    async def answer(said: bytes, stream: ByteStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(said)

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, partial(answer, request.param))
        yield port_of(listener)
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE, indirect=True)
async def test_a_hostile_server_is_one_message(around: Surroundings, hostile: int) -> None:
    set_up = replace(around, settings={"bore.server": f"127.0.0.1:{hostile}"})
    with pytest.raises(RouteError) as refused:
        async with ROUTE.open(1, set_up):
            pass
    assert refused.value.message.isprintable()


@pytest.mark.parametrize("settings", [{"bore.server": "-x"}, {"bore.port": "many"}])
def test_what_makes_no_sense_is_said(around: Surroundings, settings: dict[str, str]) -> None:
    assert "TOWLINE_BORE" in ROUTE.why_not(replace(around, settings=settings))


def test_it_can_be_tried_without_anything(around: Surroundings) -> None:
    assert not ROUTE.why_not(around)
    assert CONTROL_PORT == 7835
