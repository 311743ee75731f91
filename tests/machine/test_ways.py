"""Several ways in at once, on a virtual clock: each is opened again, and what is open is told."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import anyio
import pytest
import trio
from trio.testing import MockClock

from towline.core.address import Address, Tcp
from towline.errors import UserError
from towline.machine.ways import BACKOFF_S, Tell, Ways
from towline.opening import LOOK_EVERY_S, LOOKS, OpenRoute
from towline.routes.base import Tunnel, never
from towline.routes.errors import RouteError


class Made:
    """A way that a test ends."""

    def __init__(self, route: str, port: int) -> None:
        self.route = route
        self.address: Address = Tcp("way.example", port)
        self.ended = anyio.Event()

    async def wait_ended(self) -> str:
        await self.ended.wait()
        return f"{self.route} was cut"


class World:
    """Opens ways, with a new port each time, but for those that `fails` names."""

    def __init__(self, *wanted: str) -> None:
        self.fails: set[str] = set()
        self.breaks = False
        self.opened: list[tuple[str, float]] = []
        self.last: dict[str, Made] = {}
        self.told: list[list[str]] = []
        self.ways = Ways(wanted, self.open, self.changed, lambda _: None)
        self._news = anyio.Event()

    @asynccontextmanager
    async def open(self, route: str, port: int, host_key: str, tell: Tell) -> AsyncGenerator[Made]:
        self.opened.append((route, anyio.current_time()))
        if self.breaks:
            raise OSError(errno.ENOSPC, "No space left on device")
        if route in self.fails:
            raise RouteError(f"{route} does not open")
        self.last[route] = Made(route, port + len(self.opened))
        yield self.last[route]

    def changed(self) -> None:
        self.told.append([str(way.address).rpartition(":")[2] for way in self.ways.open])
        self._news.set()

    async def wait_told(self) -> list[str]:
        await self._news.wait()
        self._news = anyio.Event()
        return self.told[-1]


def run(wanted: tuple[str, ...], test: Callable[[World], Awaitable[None]], *fails: str) -> World:
    world: World | None = None

    async def main() -> None:
        nonlocal world
        world = World(*wanted)
        world.fails |= set(fails)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.ways.keep_open, 100, "key")
            await test(world)
            tasks.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert world is not None
    return world


def test_the_first_word_is_of_all_of_them_in_their_order() -> None:
    async def test(world: World) -> None:
        assert len(await world.wait_told()) == 2
        assert [way.route for way in world.ways.open] == ["one", "two"]

    assert len(run(("one", "two"), test).told) == 1


def test_one_that_ends_is_opened_again_and_the_other_is_left_alone() -> None:
    async def test(world: World) -> None:
        first = await world.wait_told()
        world.last["one"].ended.set()
        assert await world.wait_told() == first[1:]
        assert world.ways.reason == "one was cut"
        again = await world.wait_told()
        assert again[1:] == first[1:]
        assert again[0] not in first

    world = run(("one", "two"), test)
    assert [route for route, _ in world.opened].count("two") == 1


def test_one_that_cannot_be_had_is_tried_again_while_the_other_serves() -> None:
    async def test(world: World) -> None:
        assert len(await world.wait_told()) == 1
        await anyio.sleep(sum(BACKOFF_S) + 1)
        world.fails.clear()
        assert len(await world.wait_told()) == 2

    world = run(("one", "two"), test, "one")
    times = [at for route, at in world.opened if route == "one"]
    waits = [round(later - sooner) for sooner, later in pairwise(times)]
    assert waits[:4] == list(BACKOFF_S)


def test_where_none_opens_at_first_the_caller_is_told_why() -> None:
    async def test(world: World) -> None:
        await anyio.sleep_forever()

    with pytest.raises(BaseExceptionGroup) as caught:
        run(("one", "two"), test, "one", "two")
    failures, rest = caught.value.split(UserError)
    assert rest is None
    assert failures is not None
    assert "does not open" in repr(failures)


def looked_at(answers: list[str | RouteError | None]) -> tuple[str, float]:
    """Return why a tunnel that itself never ends counts as ended, and when."""

    async def look() -> str | None:
        answer = answers.pop(0)
        if isinstance(answer, RouteError):
            raise answer
        return answer

    async def main() -> tuple[str, float]:
        began = anyio.current_time()
        reason = await OpenRoute("one", Tunnel(Tcp("way.example", 1), never), look).wait_ended()
        return reason, anyio.current_time() - began

    return trio.run(main, clock=MockClock(autojump_threshold=0))


def test_a_tunnel_that_stands_and_leads_nowhere_counts_as_ended() -> None:
    reason, after = looked_at(["refused", None, "refused", "nobody answers"])
    assert reason == "one: it leads here no more: nobody answers"
    assert round(after) == 4 * LOOK_EVERY_S
    assert LOOKS == 2


def test_a_tunnel_that_leads_to_another_machine_ends_at_once() -> None:
    reason, after = looked_at([None, RouteError("behind it is another machine")])
    assert reason == "behind it is another machine"
    assert round(after) == 2 * LOOK_EVERY_S


def test_a_full_disk_while_a_way_is_opened_again_is_not_the_end() -> None:
    async def test(world: World) -> None:
        await world.wait_told()
        world.breaks = True
        world.last["one"].ended.set()
        assert await world.wait_told() == []
        assert world.ways.reason == "one was cut"
        await anyio.sleep(BACKOFF_S[0] + 1)
        assert "No space left" in world.ways.reason
        world.breaks = False
        assert len(await world.wait_told()) == 1

    run(("one",), test)


def test_a_full_disk_at_first_is_said() -> None:
    async def main() -> None:
        world = World("one")
        world.breaks = True
        with pytest.raises(BaseExceptionGroup) as caught:
            await world.ways.keep_open(100, "key")
        assert "No space left" in str(caught.value.exceptions[0])

    trio.run(main, clock=MockClock(autojump_threshold=0))


def test_the_supervisors_log_on_a_full_disk_ends_nothing() -> None:
    script = """if True:
        import os
        from towline.expose import _Teller
        teller = _Teller()
        teller._is_alone = True
        teller.tell({"progress": "the way in has ended"})
        os.write(1, b"goes on")
        os._exit(0)
    """
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=full)
    assert done.stdout == b"goes on"
