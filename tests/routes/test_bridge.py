"""SSH's bytes through WebSocket messages: bit-exact, bounded, for those who know the token."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from functools import partial

import anyio
import pytest
from anyio.abc import ByteStream
from websockets.asyncio.client import connect as bare_connect
from websockets.exceptions import InvalidStatus
from websockets.http11 import Request
from websockets.server import ServerProtocol

from towline.core.address import WebSocket
from towline.routes.bridge import Bridge, open_bridge
from towline.routes.errors import RouteError
from towline.routes.relay import port_of
from towline.routes.websocket import STATUSES, open_websocket

pytestmark = pytest.mark.anyio

HANG_S = 10


async def echo(stream: ByteStream) -> None:
    async with stream:
        async for part in stream:
            await stream.send(part)


async def digest_at_the_end(stream: ByteStream) -> None:
    """Takes everything, and answers only then: needs an end that leaves the other way open."""
    async with stream:
        digest = hashlib.sha256()
        async for part in stream:
            digest.update(part)
        await stream.send(digest.digest())


@pytest.fixture
async def serve() -> AsyncIterator[object]:
    async with AsyncExitStack() as stack:
        listeners = await stack.enter_async_context(AsyncExitStack())
        tasks = await stack.enter_async_context(anyio.create_task_group())

        async def start(behave: Callable[[ByteStream], Awaitable[None]]) -> int:
            listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
            await listeners.enter_async_context(listener)
            tasks.start_soon(listener.serve, behave)
            return port_of(listener)

        yield start
        tasks.cancel_scope.cancel()


def address_of(bridge: Bridge) -> WebSocket:
    return WebSocket("127.0.0.1", bridge.port, token=bridge.token, secure=False)


async def test_megabytes_arrive_bit_exact_both_ways_at_once(serve) -> None:
    given = bytes(range(256)) * 32768  # 8 MiB
    async with (
        open_bridge(await serve(echo)) as bridge,
        open_websocket(address_of(bridge)) as stream,
        anyio.create_task_group() as tasks,
    ):

        async def send() -> None:
            await stream.send(given)
            await stream.send_eof()

        tasks.start_soon(send)
        got = b"".join([part async for part in stream])
    assert hashlib.sha256(got).digest() == hashlib.sha256(given).digest()


async def test_who_has_sent_everything_still_receives(serve) -> None:
    async with (
        open_bridge(await serve(digest_at_the_end)) as bridge,
        open_websocket(address_of(bridge)) as stream,
    ):
        await stream.send(b"all of it")
        await stream.send_eof()
        got = b"".join([part async for part in stream])
    assert got == hashlib.sha256(b"all of it").digest()


async def test_every_message_on_the_wire_is_whole_binary_and_short(serve) -> None:
    async def send_much(stream: ByteStream) -> None:
        async with stream:
            await stream.send(bytes(1 << 20))

    async with open_bridge(await serve(send_much)) as bridge:
        headers = {"Authorization": f"Bearer {bridge.token}"}
        url = address_of(bridge).url
        async with bare_connect(url, additional_headers=headers) as bare:
            sizes = [-1]
            while sizes[-1] != 0:  # The end of that direction; the other one stays open.
                message = await bare.recv()
                assert isinstance(message, bytes)
                sizes.append(len(message))
            assert bare.protocol.extensions == []
    assert sum(sizes) + 1 == 1 << 20
    assert max(sizes) <= 16384  # What is beyond it is lost in cloudflared.


async def test_a_message_right_behind_the_handshake_waits_for_nothing_more(serve) -> None:
    """An SSH server greets unasked: its banner may come in one read with the answer."""

    async def greet(stream: ByteStream) -> None:
        protocol = ServerProtocol()
        async with stream:
            protocol.receive_data(await stream.receive())
            (request,) = protocol.events_received()
            assert isinstance(request, Request)
            protocol.send_response(protocol.accept(request))
            protocol.send_binary(b"SSH-2.0-a-server\r\n")
            await stream.send(b"".join(protocol.data_to_send()))
            await anyio.sleep_forever()

    address = WebSocket("127.0.0.1", await serve(greet), token="t", secure=False)  # noqa: S106
    async with open_websocket(address) as stream:
        with anyio.fail_after(HANG_S):
            assert await stream.receive() == b"SSH-2.0-a-server\r\n"


@pytest.mark.parametrize(
    "token", ["", "wrong", "\u00e9"], ids=["none", "wrong", "not of this alphabet"]
)
async def test_who_does_not_know_the_token_reaches_nothing(serve, token: str) -> None:
    reached = anyio.Event()

    async def notice(stream: ByteStream) -> None:
        reached.set()
        await stream.aclose()

    async with open_bridge(await serve(notice)) as bridge:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        with pytest.raises(InvalidStatus) as refused:
            await bare_connect(address_of(bridge).url, additional_headers=headers)
        assert refused.value.response.status_code == 401
        with pytest.raises(RouteError, match="another token"):
            async with open_websocket(replace(address_of(bridge), token="t")):  # noqa: S106
                pass
        assert not reached.is_set()


async def test_what_is_no_http_is_cut_and_the_bridge_goes_on(serve) -> None:
    async with open_bridge(await serve(echo)) as bridge:
        async with await anyio.connect_tcp("127.0.0.1", bridge.port) as stream:
            await stream.send(b"SSH-2.0-scanner\r\n\r\n" + bytes(100_000))
            with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                while True:  # Until it is cut; if it were not, the test would never end.
                    await stream.receive()
        async with open_websocket(address_of(bridge)) as stream:
            await stream.send(b"hello")
            assert await stream.receive() == b"hello"


async def test_a_slow_reader_holds_up_the_writer_and_costs_no_memory(serve) -> None:
    sent = 0
    stuck = anyio.Event()

    async def pour(stream: ByteStream) -> None:
        nonlocal sent
        async with stream:
            while True:
                with anyio.move_on_after(0.5) as patience:
                    await stream.send(bytes(1 << 20))
                if patience.cancelled_caught:
                    stuck.set()
                    return
                sent += 1 << 20

    async with (
        open_bridge(await serve(pour)) as bridge,
        open_websocket(address_of(bridge)) as stream,
    ):
        await stream.receive(1)
        await stuck.wait()
        assert sent < 64 << 20  # Kernels buffer some on each of the two connections.


async def answer_with(status: bytes, stream: ByteStream) -> None:
    async with stream:
        await stream.receive()
        await stream.send(b"HTTP/1.1 " + status + b" X\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize("status", [*STATUSES, 418])
async def test_each_answer_of_a_provider_s_edge_has_its_meaning(serve, status: int) -> None:
    port = await serve(partial(answer_with, str(status).encode()))
    with pytest.raises(RouteError, match=f"HTTP {status}") as refused:
        async with open_websocket(WebSocket("127.0.0.1", port, secure=False)):
            pass
    assert refused.value.hint


async def test_a_peer_that_is_cut_is_an_error_and_not_an_end(serve) -> None:
    async def cut(stream: ByteStream) -> None:
        await stream.receive()
        await stream.aclose()

    async with open_bridge(await serve(echo)) as bridge:
        port = await serve(cut)
        with pytest.raises(RouteError, match="hung up"):
            async with open_websocket(WebSocket("127.0.0.1", port, secure=False)):
                pass
        async with open_websocket(address_of(bridge)) as stream:
            await stream.send(b"x")
            assert await stream.receive() == b"x"


async def test_a_header_that_is_not_ascii_lets_nobody_in_and_ends_nothing() -> None:
    async with open_bridge(9) as bridge:
        for _ in range(2):
            async with await anyio.connect_tcp("127.0.0.1", bridge.port) as stream:
                await stream.send(b"GET / HTTP/1.1\r\nAuthorization: Bearer \xff\r\n\r\n")
                assert (await stream.receive()).startswith(b"HTTP/1.1 401")
