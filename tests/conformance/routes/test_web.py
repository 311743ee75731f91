"""A page shown to everybody for a time: by each route that carries pages, and by `--public`."""

from __future__ import annotations

from contextlib import AsyncExitStack

import anyio
import anyio.to_thread
import pytest

from tests.conformance.routes.worlds import WORLDS
from towline import publish
from towline.errors import UserError
from towline.routes.base import Surroundings, WebRoute
from towline.routes.catalog import route_named, routes
from towline.routes.relay import port_of

pytestmark = pytest.mark.anyio

WEB = {
    name: world
    for name, world in WORLDS.items()
    if isinstance(route_named(world[0]), WebRoute) and "alias" not in name
}
PAGE = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

every_web = pytest.mark.parametrize("name", WEB)


async def serve_page(stack: AsyncExitStack) -> int:
    """A page that lets nobody in; return its port."""
    listener = await stack.enter_async_context(
        await anyio.create_tcp_listener(local_host="127.0.0.1")
    )

    async def answer(stream: anyio.abc.ByteStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(PAGE)

    tasks = await stack.enter_async_context(anyio.create_task_group())
    stack.callback(tasks.cancel_scope.cancel)
    tasks.start_soon(listener.serve, answer)
    return port_of(listener)


@every_web
async def test_a_page_is_shown_as_it_is(name: str, around: Surroundings) -> None:
    kind, _, make = WEB[name]
    route = route_named(kind)
    assert isinstance(route, WebRoute)
    async with AsyncExitStack() as stack:
        port = await serve_page(stack)
        world = await stack.enter_async_context(make(around, port))
        web = await stack.enter_async_context(route.open_web(port, world.around))
        assert web.url.startswith("https://")
        if "cloudflared" in name:
            return  # Its stand-in speaks WebSocket only; the address is what counts.
        async with await anyio.connect_tcp("127.0.0.1", world.outside()) as visitor:
            await visitor.send(b"GET / HTTP/1.1\r\nHost: public\r\n\r\n")
            assert (await visitor.receive()).startswith(b"HTTP/1.1 403")


async def test_it_ends_when_its_time_is_over(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, _, make = WEB["localhost.run"]
    told: list[str] = []
    async with AsyncExitStack() as stack:
        port = await serve_page(stack)
        world = await stack.enter_async_context(make(around, port))
        monkeypatch.setattr(publish, "routes", lambda: [route_named(kind)])
        why = await publish._publish(port, 0.2, told.append, told.append, world.around)
        assert why == "the public address is gone: its time is over"
        assert told == [f"trying {kind}", "https://9239ab27cc1ba2.lhr.life"]
        with pytest.raises(OSError, match="attempts failed"):
            await anyio.connect_tcp("127.0.0.1", world.outside())


async def test_without_a_route_it_says_so(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "routes", lambda: [route_named("bore")])
    with pytest.raises(UserError, match="no route that carries pages works here"):
        await publish._publish(1, 1, print, print, around)


def test_routes_that_carry_pages_are_three() -> None:
    named = {route.name for route in routes() if isinstance(route, WebRoute)}
    assert named == {"cloudflared", "localhost.run", "serveo"}
