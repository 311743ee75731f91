"""What is compressed for the machine it can read, in the order in which it is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio
import pytest

from towline.agent.zstd import find
from towline.core.wire.messages import Message, Part, decode
from towline.core.wire.packing import FLAGS, FRESH, STREAM, ZLIB, Unpacker
from towline.engine.remote import Lanes, Remote
from towline.engine.throttle import Throttle

T = TypeVar("T")
DIGEST = b"\1" * 16
TEXT = b"a line of code\n" * 1000


class Lane:
    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.is_broken = False

    async def send(self, message: bytes) -> None:
        await anyio.lowlevel.checkpoint()
        if self.is_broken:
            raise ConnectionResetError
        self.sent.append(message)

    async def receive(self) -> bytes:
        raise NotImplementedError


async def at_once(work: Callable[[], T], /) -> T:
    await anyio.lowlevel.checkpoint()
    return work()


def part(number: int) -> Message:
    return Part(DIGEST, 1 << 30, number * len(TEXT), TEXT)


def remote_of(lanes: Lanes, *, compress: bool = True) -> Remote:
    return Remote(lanes, lambda: compress, Throttle(None), at_once)


def flags_of(lane: Lane) -> list[int]:
    return [message[0] & FLAGS for message in lane.sent]


pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def lane() -> Lane:
    return Lane()


@pytest.fixture
def unpacker() -> Unpacker:
    open_stream = find()
    if open_stream is None:
        pytest.skip("zstd is not there")
    return Unpacker(open_stream)


async def test_a_machine_without_zstd_is_sent_zlib(lane: Lane) -> None:
    remote = remote_of(Lanes(lane, lane))
    await remote.send(part(0))
    await remote.send_bulk(part(1), more=True)
    assert flags_of(lane) == [ZLIB, ZLIB]
    assert [decode(message) for message in lane.sent] == [part(0), part(1)]


async def test_what_several_tasks_send_is_one_stream(lane: Lane, unpacker: Unpacker) -> None:
    remote = remote_of(Lanes(Lane(), lane))
    remote.use_zstd()
    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(lambda at: remote.send_bulk(part(at), more=True), number)
    assert flags_of(lane) == [STREAM | FRESH] + [STREAM] * 19
    read = [decode(message, unpacker.unpack) for message in lane.sent]
    assert sorted(message.offset for message in read if isinstance(message, Part)) == [
        number * len(TEXT) for number in range(20)
    ]
    assert len(lane.sent[-1]) < len(lane.sent[0]) / 2  # It is as those before.


async def test_after_what_was_not_sent_a_new_stream_begins(lane: Lane, unpacker: Unpacker) -> None:
    remote = remote_of(Lanes(Lane(), lane))
    remote.use_zstd()
    await remote.send_bulk(part(0), more=True)
    lane.is_broken = True
    with pytest.raises(ConnectionResetError):
        await remote.send_bulk(part(1), more=True)
    lane.is_broken = False
    await remote.send_bulk(part(2), more=True)
    assert [decode(message, unpacker.unpack) for message in lane.sent] == [part(0), part(2)]


async def test_small_groups_hold_no_stream_open(lane: Lane, unpacker: Unpacker) -> None:
    remote = remote_of(Lanes(lane, Lane()))
    remote.use_zstd()
    await remote.send(part(0))
    await remote.send(part(1))
    assert flags_of(lane) == [STREAM | FRESH] * 2
    assert [decode(message, unpacker.unpack) for message in reversed(lane.sent)] == [
        part(1),
        part(0),
    ]


async def test_a_fast_line_carries_all_as_it_is(lane: Lane) -> None:
    remote = remote_of(Lanes(lane, lane), compress=False)
    remote.use_zstd()
    await remote.send(part(0))
    await remote.send_bulk(part(1))
    assert flags_of(lane) == [0, 0]
