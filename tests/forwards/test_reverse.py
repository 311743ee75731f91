"""A machine that tries to make the laptop connect elsewhere, over a real Line in memory."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import ByteStream

from tests.line.test_live import Pipe
from towline.core.wire.events import Closed, Message, Opened
from towline.core.wire.frames import Priority, parse_hello
from towline.core.wire.line import Line
from towline.forwards.place import Place
from towline.forwards.reverse import CONNECTIONS_MAX, WAITING, Reverse
from towline.line.live import LiveLine, open_line

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def target() -> Iterator[socket.socket]:
    """What the person asked for."""
    with socket.create_server(("127.0.0.1", 0), backlog=2 * CONNECTIONS_MAX) as listener:
        listener.settimeout(10)
        yield listener


@pytest.fixture
def elsewhere() -> Iterator[socket.socket]:
    """A port of the laptop that nobody asked for."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


class Hostile:
    """A machine that answers a waiting channel with `words`; it keeps what it was told."""

    def __init__(self, words: bytes) -> None:
        self.words = words
        self.waiting: list[int] = []
        self.closed: dict[int, str] = {}
        self.line: Line
        self._garbage = b""
        self._wake = anyio.Event()
        self._happened = anyio.Event()

    @asynccontextmanager
    async def connect(self, attended: bool) -> AsyncIterator[ByteStream]:
        ours, theirs = Pipe(0), Pipe(0)
        ours.other, theirs.other = theirs, ours
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._serve, ours)
            try:
                yield theirs
            finally:
                theirs.cut()
            tasks.cancel_scope.cancel()

    async def _serve(self, stream: Pipe) -> None:
        hello = await stream.receive()
        found = parse_hello(hello)
        assert found is not None
        self.line = Line(found[0].line_id, initiator=False, software="hostile", now=0)
        self.line.attach(0)
        self._take(hello)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._write, stream)
            with suppress(anyio.EndOfStream):
                while True:
                    self._take(await stream.receive())
            tasks.cancel_scope.cancel()

    def _take(self, data: bytes) -> None:
        self.line.receive_bytes(data, 0)
        self._take_events()
        self.stir()

    async def _write(self, stream: Pipe) -> None:
        while True:
            self._wake = anyio.Event()
            while data := self._garbage or self.line.bytes_to_send(0):
                self._garbage = b""
                await stream.send(data)
            await self._wake.wait()

    def _take_events(self) -> None:
        while (event := self.line.next_event()) is not None:
            match event:
                case Opened(channel, greeting):
                    self._opened(channel, json.loads(greeting))
                case Closed(channel, reason):
                    self.closed[channel] = reason
                case Message(channel, data):
                    self.line.consumed(channel, len(data))
                case _:
                    pass

    def _opened(self, channel: int, greeting: Any) -> None:
        if "listen" in greeting:
            return self.line.send(channel, b'{"port": 7}')
        self.waiting.append(channel)
        return self.line.send(channel, self.words)

    def garble(self) -> None:
        """Say next what is no frame."""
        self._garbage = b"\xff" * 1000
        self.stir()

    def stir(self) -> None:
        self._wake.set()
        happened, self._happened = self._happened, anyio.Event()
        happened.set()

    async def until(self, holds: Any) -> None:
        with anyio.fail_after(20):
            while not holds():
                await self._happened.wait()


@asynccontextmanager
async def reversed_to(target: socket.socket, machine: Hostile) -> AsyncIterator[Reverse]:
    lines: list[LiveLine] = []

    async def forever() -> None:
        await anyio.sleep_forever()

    async with open_line(machine.connect, software="laptop") as line:
        lines.append(line)
        reverse = Reverse(
            Place(target.getsockname()[1]), lambda: lines[0], lambda event: None, forever
        )
        await reverse.begin(Place(7))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reverse.serve)
            yield reverse
            tasks.cancel_scope.cancel()


def hostile_words(elsewhere: socket.socket) -> list[bytes]:
    port = elsewhere.getsockname()[1]
    return [
        json.dumps({"forward": port}).encode(),
        json.dumps({"host": "127.0.0.1", "port": port}).encode(),
        b"\0" + port.to_bytes(2, "big"),
        b"\1",
        b"\0\0",
    ]


@pytest.mark.parametrize("number", range(5))
async def test_words_of_the_machine_lead_nowhere(
    number: int, target: socket.socket, elsewhere: socket.socket
) -> None:
    machine = Hostile(hostile_words(elsewhere)[number])
    async with reversed_to(target, machine):
        await machine.until(lambda: len(machine.closed) == WAITING)
    target.setblocking(False)
    for listener in (target, elsewhere):
        with pytest.raises(BlockingIOError):
            listener.accept()


async def test_bytes_lead_to_the_target_whatever_they_say(
    target: socket.socket, elsewhere: socket.socket
) -> None:
    machine = Hostile(b"\0")
    words = hostile_words(elsewhere)[0]
    async with reversed_to(target, machine):
        await machine.until(lambda: len(machine.waiting) > WAITING)
        machine.line.send(machine.waiting[0], words)
        machine.stir()
        connections = [target.accept()[0]]
        with connections[0] as connection:
            connection.settimeout(10)
            assert (await anyio.to_thread.run_sync(connection.recv, 1000)) == words
    with pytest.raises(BlockingIOError):
        elsewhere.accept()


async def test_a_channel_that_the_machine_opens_is_closed(
    target: socket.socket, elsewhere: socket.socket
) -> None:
    machine = Hostile(b"")
    async with reversed_to(target, machine):
        await machine.until(lambda: len(machine.waiting) == WAITING)
        greeting = json.dumps({"forward": elsewhere.getsockname()[1], "reverse": 1}).encode()
        opened = machine.line.open_channel(greeting, Priority.INTERACTIVE)
        machine.stir()
        await machine.until(lambda: opened in machine.closed)
        assert machine.closed[opened] == "nobody expects a channel from this side"
    with pytest.raises(BlockingIOError):
        elsewhere.accept()


async def test_connections_are_bounded_whatever_the_machine_does(target: socket.socket) -> None:
    machine = Hostile(b"\0")  # Every channel that waits has a connection at once.
    async with reversed_to(target, machine) as reverse:
        await machine.until(lambda: len(machine.waiting) == CONNECTIONS_MAX)
        await anyio.wait_all_tasks_blocked()
        assert len(machine.waiting) == CONNECTIONS_MAX
        assert reverse.open <= CONNECTIONS_MAX


async def test_a_machine_that_breaks_the_rules_ends_the_line_and_no_more(
    target: socket.socket,
) -> None:
    machine = Hostile(b"\0")
    async with reversed_to(target, machine) as reverse:
        await machine.until(lambda: reverse.open > 0)
        machine.garble()
        with anyio.fail_after(20):
            while reverse.open:
                await anyio.lowlevel.checkpoint()
