"""Forwards over two real Lines and real sockets; only the transport between is a loop here."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.agent.road import Road
from towline.agent.forwards import CONNECTED, FORWARDS_MAX, Forwards
from towline.core.wire.limits import Limits

BLOB = os.urandom(3 << 20)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def port_of(sock: socket.socket) -> int:
    port: int = sock.getsockname()[1]
    return port


def open_to(road: Road, listener: socket.socket) -> int:
    return road.open({"forward": port_of(listener)})


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
    road = Road(Forwards)
    channel = open_to(road, listener)
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
    assert channel not in road.streams


@pytest.mark.parametrize("limits", [Limits(), replace(Limits(), window=5_000)], ids=["", "small"])
def test_megabytes_arrive_as_they_were(listener: socket.socket, limits: Limits) -> None:
    road = Road(Forwards, limits)
    channel = open_to(road, listener)
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
    road.streams.close()


def test_a_laptop_that_does_not_read_stops_the_program_and_nothing_grows(
    listener: socket.socket,
) -> None:
    road = Road(Forwards)
    road.reads = False
    channel = open_to(road, listener)
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
        assert not road.streams.readable(), "it would wake the loop for nothing"
        road.reads = True
        road.read()
        before = len(road.received[channel])
        road.until(lambda: len(road.received[channel]) > before)
    road.streams.close()


def test_a_program_that_does_not_read_is_waited_for_and_others_go_on(
    listener: socket.socket,
) -> None:
    road = Road(Forwards)
    stuck, lively = open_to(road, listener), open_to(road, listener)
    with accept(road, listener) as first, accept(road, listener) as second:
        while road.laptop.sendable(stuck) > 0:
            road.laptop.send(stuck, bytes(1 << 16))
        for _ in range(50):
            road.turn()
        road.laptop.send(lively, b"hello")
        road.until(lambda: any(peek(sock) == b"hello" for sock in (first, second)))
    road.streams.close()


def peek(sock: socket.socket) -> bytes:
    try:
        return sock.recv(5, socket.MSG_PEEK)
    except BlockingIOError:
        return b""


def test_a_port_where_nobody_listens_is_said_so(listener: socket.socket) -> None:
    port = port_of(listener)
    listener.close()
    road = Road(Forwards)
    channel = road.open({"forward": port})
    road.until(lambda: channel in road.closed)
    assert road.closed[channel] == f"nothing listens on port {port} of the machine"


def test_a_channel_that_is_closed_hangs_up_on_the_program(listener: socket.socket) -> None:
    road = Road(Forwards)
    channel = open_to(road, listener)
    with accept(road, listener) as program:
        road.laptop.close_channel(channel)
        road.until(lambda: channel not in road.streams)
        program.setblocking(True)
        assert program.recv(1) == b""


def test_a_program_that_ends_hard_closes_the_channel(listener: socket.socket) -> None:
    road = Road(Forwards)
    channel = open_to(road, listener)
    program = accept(road, listener)
    program.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    program.close()
    road.until(lambda: channel in road.closed)


def test_there_is_a_limit(listener: socket.socket) -> None:
    road = Road(Forwards)
    channels = [open_to(road, listener) for _ in range(FORWARDS_MAX + 1)]
    road.until(lambda: bool(road.closed))
    assert set(road.closed) == {channels[-1]}
    assert "256 forwards are open already" in road.closed[channels[-1]]
    road.streams.close()


@pytest.mark.parametrize(
    "asked",
    [
        0,
        65536,
        -1,
        "22",
        True,
        None,
        {},
        {"host": "10.0.0.1"},
        {"host": "", "port": 22},
        {"host": "a b", "port": 22},
        {"host": "a" * 254, "port": 22},
        {"host": 7, "port": 22},
        {"host": "a", "port": 0},
        {"host": "a", "port": 22, "path": "/x"},
        {"path": "x.sock"},
        {"path": "/x\0y"},
        {"path": 7},
    ],
)
def test_what_is_no_port_host_or_socket_cannot_be_asked_for(asked: object) -> None:
    with pytest.raises(ValueError, match=r"port|host|path"):
        Road(Forwards).streams.open(1, {"forward": asked})


def test_a_host_is_looked_up_while_others_go_on(listener: socket.socket) -> None:
    road = Road(Forwards)
    channel = road.open({"forward": {"host": "localhost", "port": port_of(listener)}})
    with accept(road, listener) as program:
        road.laptop.send(channel, b"hello")
        road.until(lambda: peek(program) == b"hello")
    road.streams.close()


def test_a_host_that_is_unknown_is_said_so() -> None:
    road = Road(Forwards)
    channel = road.open({"forward": {"host": "no-such-host.invalid", "port": 80}})
    road.until(lambda: channel in road.closed)
    said = "no-such-host.invalid:80, as the machine sees it: the machine knows no such host"
    assert road.closed[channel] == said


def test_a_program_on_the_other_loopback_is_found() -> None:
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("needs an IPv6 loopback")
    with listener:
        road = Road(Forwards)
        channel = open_to(road, listener)
        with accept(road, listener) as program:
            road.laptop.send(channel, b"hello")
            road.until(lambda: peek(program) == b"hello")
        road.streams.close()


def test_a_unix_socket_is_reached(short_path: Path) -> None:
    path = str(short_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        road = Road(Forwards)
        channel = road.open({"forward": {"path": path}})
        with accept(road, listener) as program:
            road.laptop.send(channel, b"hello")
            road.until(lambda: peek(program) == b"hello")
        road.streams.close()


def test_a_unix_socket_whose_queue_is_full_is_tried_again(short_path: Path) -> None:
    path = str(short_path / "s")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as before:
        listener.bind(path)
        listener.listen(0)
        before.connect(path)
        road = Road(Forwards)
        channel = road.open({"connect": {"path": path}})
        road.laptop.send(channel, b"hello")
        for _ in range(20):
            road.turn()
        assert road.closed == {}
        assert road.streams.writable() == set()
        listener.accept()[0].close()
        with accept(road, listener) as program:
            road.until(lambda: peek(program) == b"hello")
            road.until(lambda: road.received[channel] == CONNECTED)
        road.streams.close()


@pytest.mark.parametrize(
    ("name", "said"),
    [("none", "nothing listens on {}"), ("n" * 120, "{}: AF_UNIX path too long")],
)
def test_a_socket_that_cannot_be_reached_is_said_so(short_path: Path, name: str, said: str) -> None:
    road = Road(Forwards)
    path = f"{short_path}/{name}"
    channel = road.open({"forward": {"path": path}})
    road.until(lambda: channel in road.closed)
    assert road.closed[channel] == said.format(f"{path} of the machine")


def test_other_greetings_are_for_others() -> None:
    assert not Road(Forwards).streams.wants({"mirror": 0, "lane": "sync"})


def test_who_asks_to_be_told_hears_when_the_connection_stands(listener: socket.socket) -> None:
    road = Road(Forwards)
    told = road.open({"connect": {"host": "127.0.0.1", "port": port_of(listener)}})
    with accept(road, listener) as program:
        program.sendall(b"first words")
        road.until(lambda: len(road.received[told]) > 1)
        assert road.received[told] == b"\0first words"
    refused = road.open({"connect": _unused()})
    road.until(lambda: refused in road.closed)
    assert "nothing listens" in road.closed[refused]
    assert road.received[refused] == b""
    road.streams.close()


def _unused() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return port_of(listener)


def test_an_answer_is_not_lost_to_a_question_that_nobody_reads(tmp_path: Path) -> None:
    """A server may answer and hang up before it has read: what it said is for the laptop."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        road = Road(Forwards)
        channel = road.open({"forward": {"path": str(tmp_path / "s")}})
        with accept(road, listener) as program:
            program.sendall(b"413 too large")
        road.laptop.send(channel, b"question")
        road.until(lambda: channel in road.closed)
    assert road.received[channel] == b"413 too large"
    assert road.closed[channel] == ""
