"""Forwards over two real Lines and real sockets; only the transport between is a loop here."""

from __future__ import annotations

import json
import os
import select
import socket
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from towline.agent.forwards import FORWARDS_MAX, Forwards, read_greeting
from towline.core.wire.events import Closed, Message, Opened, Sendable
from towline.core.wire.frames import Priority
from towline.core.wire.limits import Limits
from towline.core.wire.line import Line

TURNS_MAX = 20_000
BLOB = os.urandom(3 << 20)


class Road:
    """The laptop's end as bytes per channel, the machine's end with its forwards."""

    def __init__(self, limits: Limits | None = None) -> None:
        own = limits or Limits()
        self.laptop = Line(bytes(16), initiator=True, software="laptop", now=0, limits=own)
        self.machine = Line(bytes(16), initiator=False, software="agent", now=0, limits=own)
        self.forwards = Forwards(self.machine)
        self.received: dict[int, bytearray] = {}
        self.ended: set[int] = set()
        self.closed: dict[int, str] = {}
        self.reads = True
        self._unread: deque[tuple[int, int]] = deque()
        self.laptop.attach(0)
        self.machine.attach(0)

    def open(self, port: int) -> int:
        greeting = json.dumps({"forward": port}).encode()
        channel = self.laptop.open_channel(greeting, Priority.INTERACTIVE)
        self.received[channel] = bytearray()
        return channel

    def turn(self) -> None:
        moved = False
        for source, target in ((self.laptop, self.machine), (self.machine, self.laptop)):
            if data := source.bytes_to_send(0):
                target.receive_bytes(data, 0)
                moved = True
        while (event := self.machine.next_event()) is not None:
            self._machine_takes(event)
        while (event := self.laptop.next_event()) is not None:
            self._laptop_takes(event)
        if not moved:
            reading, writing = [*self.forwards.readable()], [*self.forwards.writable()]
            select.select(reading, writing, [], 0.02)
        self.forwards.step()

    def _machine_takes(self, event: object) -> None:
        match event:
            case Opened(channel, greeting):
                port = read_greeting(greeting)
                assert port is not None
                self.forwards.open(channel, port)
            case Message(channel, data) if channel in self.forwards:
                self.forwards.put(channel, data)
            case Sendable(channel):
                self.forwards.stir(channel)
            case Closed(channel):
                self.forwards.closed(channel)
            case _:
                pass

    def _laptop_takes(self, event: object) -> None:
        match event:
            case Message(channel, data):
                self.received[channel] += data
                if not data:
                    self.ended.add(channel)
                self._unread.append((channel, len(data)))
                if self.reads:
                    self.read()
            case Closed(channel, reason):
                self.closed[channel] = reason
            case _:
                pass

    def read(self) -> None:
        while self._unread:
            self.laptop.consumed(*self._unread.popleft())

    def until(self, holds: Callable[[], bool]) -> None:
        for _ in range(TURNS_MAX):
            if holds():
                return
            self.turn()
        raise AssertionError("it did not come to pass")

    def send(self, channel: int, data: bytes) -> None:
        """Send all of it, in parts, waiting for credit."""
        for start in range(0, len(data), 50_000):
            self.until(lambda: self.laptop.sendable(channel) > 0)
            self.laptop.send(channel, data[start : start + 50_000])


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def port_of(sock: socket.socket) -> int:
    port: int = sock.getsockname()[1]
    return port


def accept(road: Road, listener: socket.socket) -> socket.socket:
    listener.setblocking(False)
    accepted: list[socket.socket] = []

    def has_come() -> bool:
        try:
            accepted.append(listener.accept()[0])
        except BlockingIOError:
            return False
        return True

    road.until(has_come)
    accepted[0].setblocking(False)
    return accepted[0]


def test_bytes_go_both_ways_and_each_side_ends_by_itself(listener: socket.socket) -> None:
    road = Road()
    channel = road.open(port_of(listener))
    with accept(road, listener) as program:
        road.laptop.send(channel, b"question")
        road.laptop.send(channel, b"")
        road.until(lambda: select.select([program], [], [], 0)[0] != [])
        assert program.recv(100) == b"question"
        assert program.recv(100) == b"", "the laptop has no more to say"
        program.sendall(b"answer")
        road.until(lambda: road.received[channel] == b"answer")
        assert channel not in road.closed
    road.until(lambda: channel in road.closed)
    assert channel in road.ended
    assert road.closed[channel] == ""
    assert channel not in road.forwards


@pytest.mark.parametrize("limits", [Limits(), replace(Limits(), window=5_000)], ids=["", "small"])
def test_megabytes_arrive_as_they_were(listener: socket.socket, limits: Limits) -> None:
    road = Road(limits)
    channel = road.open(port_of(listener))
    with accept(road, listener) as program:
        got = bytearray()
        unsent = memoryview(BLOB)

        def echo() -> bool:
            nonlocal unsent
            if select.select([program], [], [], 0)[0]:
                got.extend(program.recv(1 << 16))
            if unsent and select.select([], [program], [], 0)[1]:
                unsent = unsent[program.send(unsent[: 1 << 16]) :]
            return bool(road.laptop.sendable(channel) > 0)

        left = memoryview(BLOB)
        while left or len(got) < len(BLOB) or len(road.received[channel]) < len(BLOB):
            if echo() and left:
                road.laptop.send(channel, bytes(left[:50_000]))
                left = left[50_000:]
            road.turn()
        assert got == BLOB
        assert road.received[channel] == BLOB
    road.forwards.close()


def test_a_laptop_that_does_not_read_stops_the_program_and_nothing_grows(
    listener: socket.socket,
) -> None:
    road = Road()
    road.reads = False
    channel = road.open(port_of(listener))
    with accept(road, listener) as program:
        stuck = 0
        while stuck < 50:
            try:
                program.send(bytes(1 << 16))
                stuck = 0
            except BlockingIOError:
                stuck += 1
            road.turn()
        assert len(road.received[channel]) <= Limits().window + (1 << 16)
        assert not road.forwards.readable(), "it would wake the loop for nothing"
        road.reads = True
        road.read()
        before = len(road.received[channel])
        road.until(lambda: len(road.received[channel]) > before)
    road.forwards.close()


def test_a_program_that_does_not_read_is_waited_for_and_others_go_on(
    listener: socket.socket,
) -> None:
    road = Road()
    stuck, lively = road.open(port_of(listener)), road.open(port_of(listener))
    with accept(road, listener) as first, accept(road, listener) as second:
        while road.laptop.sendable(stuck) > 0:
            road.laptop.send(stuck, bytes(1 << 16))
        for _ in range(50):
            road.turn()
        road.laptop.send(lively, b"hello")
        road.until(lambda: any(peek(sock) == b"hello" for sock in (first, second)))
    road.forwards.close()


def peek(sock: socket.socket) -> bytes:
    try:
        return sock.recv(5, socket.MSG_PEEK)
    except BlockingIOError:
        return b""


def test_a_port_where_nobody_listens_is_said_so(listener: socket.socket) -> None:
    port = port_of(listener)
    listener.close()
    road = Road()
    channel = road.open(port)
    road.until(lambda: channel in road.closed)
    assert road.closed[channel] == f"nothing listens on port {port} of the machine"


def test_a_channel_that_is_closed_hangs_up_on_the_program(listener: socket.socket) -> None:
    road = Road()
    channel = road.open(port_of(listener))
    with accept(road, listener) as program:
        road.laptop.close_channel(channel)
        road.until(lambda: channel not in road.forwards)
        program.setblocking(True)
        assert program.recv(1) == b""


def test_a_program_that_ends_hard_closes_the_channel(listener: socket.socket) -> None:
    road = Road()
    channel = road.open(port_of(listener))
    program = accept(road, listener)
    program.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    program.close()
    road.until(lambda: channel in road.closed)


def test_there_is_a_limit(listener: socket.socket) -> None:
    road = Road()
    channels = [road.open(port_of(listener)) for _ in range(FORWARDS_MAX + 1)]
    road.until(lambda: bool(road.closed))
    assert set(road.closed) == {channels[-1]}
    assert "256 forwards are open already" in road.closed[channels[-1]]
    road.forwards.close()


@pytest.mark.parametrize(
    "greeting",
    [
        {"forward": 0},
        {"forward": 65536},
        {"forward": -1},
        {"forward": "22"},
        {"forward": True},
        {"forward": {"host": "10.0.0.1", "port": 22}},
        {"forward": None},
    ],
)
def test_nothing_but_a_port_of_loopback_can_be_asked_for(greeting: object) -> None:
    with pytest.raises(ValueError, match="no port"):
        read_greeting(json.dumps(greeting).encode())


def test_other_greetings_are_for_others() -> None:
    assert read_greeting(b'{"mirror": 0, "lane": "sync"}') is None
    with pytest.raises(ValueError, match="Expecting"):
        read_greeting(b"\0")
