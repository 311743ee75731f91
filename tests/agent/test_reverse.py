"""Listeners of the machine over two real Lines and real sockets; the transport is a loop here."""

from __future__ import annotations

import json
import os
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.road import Road
from towline.agent.reverse import LISTENERS_MAX, WAITING_MAX, Reverses

BLOB = os.urandom(1 << 20)


@pytest.fixture
def road() -> Iterator[Road]:
    road = Road(Reverses)
    yield road
    road.streams.close()


def listen(road: Road, place: object = 0, number: int = 1) -> tuple[int, int]:
    """Return the channel and the port."""
    channel = road.open({"reverse": number, "listen": place})
    road.until(lambda: bool(road.received[channel]) or channel in road.closed)
    return channel, json.loads(road.received[channel] or b'{"port": 0}')["port"]


def wait(road: Road, number: int = 1) -> int:
    channel = road.open({"reverse": number})
    road.turn()
    return channel


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def test_a_connection_comes_on_a_channel_that_waits(road: Road) -> None:
    _, port = listen(road)
    channel = wait(road)
    with connect(port) as program:
        program.sendall(b"question")
        road.until(lambda: road.received[channel] == b"\0question")
        road.send(channel, BLOB)
        road.end(channel)
        got = bytearray()

        def has_all() -> bool:
            if select.select([program], [], [], 0)[0] and (part := program.recv(1 << 16)):
                got.extend(part)
            return len(got) == len(BLOB)

        road.until(has_all)
        assert got == BLOB
        program.shutdown(socket.SHUT_WR)
        road.until(lambda: channel in road.closed)
        assert road.closed[channel] == ""


def test_connections_wait_until_somebody_waits_for_them(road: Road) -> None:
    _, port = listen(road)
    with connect(port) as first, connect(port) as second:
        first.sendall(b"first")
        second.sendall(b"second")
        for _ in range(20):
            road.turn()
        one = wait(road)
        road.until(lambda: road.received[one] == b"\0first")
        two = wait(road)
        road.until(lambda: road.received[two] == b"\0second")


def test_the_listener_ends_with_its_channel(road: Road) -> None:
    channel, port = listen(road)
    waiting = wait(road)
    road.laptop.close_channel(channel)
    road.until(lambda: waiting in road.closed)
    with pytest.raises(ConnectionRefusedError):
        connect(port)
    assert listen(road, port, 2)[1] == port, "and may be asked for again at once"


def test_the_listener_ends_when_told_and_says_so(road: Road) -> None:
    channel, port = listen(road)
    waiting = wait(road)
    road.laptop.send(channel, b"more")
    road.until(lambda: road.laptop.statistics().unacknowledged == 0)
    connect(port).close()
    road.laptop.send(channel, b"")
    road.until(lambda: channel in road.closed)
    assert waiting in road.closed
    with pytest.raises(ConnectionRefusedError):
        connect(port)


def test_a_channel_that_waits_no_more_gets_nothing(road: Road) -> None:
    _, port = listen(road)
    gone, stays = wait(road), wait(road)
    road.laptop.close_channel(gone)
    for _ in range(5):
        road.turn()
    with connect(port) as program:
        program.sendall(b"x")
        road.until(lambda: road.received[stays] == b"\0x")
    assert road.received[gone] == b""


def test_it_listens_on_loopback_or_a_socket_of_its_own(road: Road, tmp_path: Path) -> None:
    _, port = listen(road)
    assert not road.streams.readable(), "nobody waits: it is not looked at"
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    channel, _ = listen(road, {"path": str(path)}, 2)
    assert path.stat().st_mode & 0o777 == 0o600
    waiting = wait(road, 2)
    with socket.socket(socket.AF_UNIX) as program:
        program.connect(str(path))
        program.sendall(b"x")
        road.until(lambda: road.received[waiting] == b"\0x")
    road.laptop.close_channel(channel)
    road.until(lambda: not path.exists())
    path.write_text("mine")
    refused, _ = listen(road, {"path": str(path)}, 3)
    assert path.read_text() == "mine"
    assert "taken by another program" in road.closed[refused]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), timeout=5)


def test_a_port_that_is_taken_is_told(road: Road) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        channel, _ = listen(road, port)
    assert road.closed[channel] == f"port {port} of the machine is taken by another program"


@pytest.mark.parametrize("place", [None, -1, 65536, True, "80", {}, {"path": "x"}, {"path": 1}])
def test_what_is_no_place_is_refused(road: Road, place: object) -> None:
    with pytest.raises(ValueError, match=r"no port|begins with"):
        road.streams.open(1, {"reverse": 1, "listen": place})
    with pytest.raises(ValueError, match="no number"):
        road.streams.open(1, {"reverse": place if type(place) is not int else "1"})


def test_how_many_there_may_be(road: Road) -> None:
    for number in range(LISTENERS_MAX):
        assert listen(road, 0, number)[1]
    assert "are listened on" in road.closed[listen(road, 0, 1000)[0]]
    for _ in range(WAITING_MAX):
        wait(road, 1)
    over, unknown = wait(road, 1), wait(road, 2000)
    road.until(lambda: {over, unknown} <= road.closed.keys())
