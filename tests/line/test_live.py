"""A live line to a peer in memory, on trio's virtual clock, over transports that break."""

from __future__ import annotations

import itertools
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import pytest
import trio
from anyio.abc import ByteStream
from trio.testing import MockClock

from towline.core.wire.events import Closed, Lost, Message, Opened, Sendable
from towline.core.wire.frames import Priority
from towline.core.wire.line import Line
from towline.line.errors import ChannelClosedError, ConnectError, ConnectKind, LineLostError
from towline.line.live import LineState, LiveLine, Phase, open_line

UNREACHABLE = ConnectError(ConnectKind.UNREACHABLE, "no way there")


class Pipe(ByteStream):
    """One end of a stream in memory that can be cut in the middle of what is sent."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._arrived = bytearray()
        self._changed = anyio.Event()
        self._cut_after: int | None = None
        self.other: Pipe
        self.is_cut = False
        self.is_deaf = False  # Takes everything, delivers nothing.

    def cut_after(self, size: int) -> None:
        self._cut_after = size

    def cut(self) -> None:
        for end in (self, self.other):
            end.is_cut = True
            end._changed.set()

    async def send(self, item: bytes) -> None:
        await anyio.sleep(self._delay_s)
        if self.is_cut:
            raise anyio.BrokenResourceError
        if self.is_deaf:
            return
        if self._cut_after is not None:
            item = item[: self._cut_after]
            self._cut_after -= len(item)
        self.other._arrived += item
        self.other._changed.set()
        if self._cut_after == 0:
            self.cut()

    async def receive(self, max_bytes: int = 65536) -> bytes:
        while not self._arrived:
            if self.is_cut:
                raise anyio.EndOfStream
            self._changed = anyio.Event()
            await self._changed.wait()
        data = bytes(self._arrived[:max_bytes])
        del self._arrived[:max_bytes]
        return data

    async def send_eof(self) -> None:
        self.cut()

    async def aclose(self) -> None:
        self.cut()


class Peer:
    """The other end: sends every message back. `machine` forgets its line when it is `renewed`."""

    def __init__(self, delay_s: float = 0.01) -> None:
        self.delay_s = delay_s
        self.attempts: list[tuple[float, bool]] = []
        self.refusal: ConnectError | None = None
        self.on_transport: Callable[[Pipe], None] = lambda pipe: None
        self.transport: Pipe | None = None
        self.line: Line | None = None
        self._waiting: dict[int, list[bytes]] = {}

    def renew(self) -> None:
        self.line = None
        assert self.transport is not None
        self.transport.cut()

    @asynccontextmanager
    async def connect(self, attended: bool) -> AsyncIterator[ByteStream]:
        self.attempts.append((anyio.current_time(), attended))
        await anyio.sleep(self.delay_s)
        if self.refusal:
            raise self.refusal
        near, far = Pipe(self.delay_s), Pipe(self.delay_s)
        near.other, far.other = far, near
        self.transport = near
        self.on_transport(near)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._serve, far)
            try:
                yield near
            finally:
                near.cut()
                tasks.cancel_scope.cancel()

    async def _serve(self, pipe: Pipe) -> None:
        if self.line is None:
            self._waiting.clear()
        wake = [anyio.Event()]

        async def write() -> None:
            while True:
                wake[0] = anyio.Event()
                while self.line and (data := self.line.bytes_to_send(anyio.current_time())):
                    await pipe.send(data)
                await wake[0].wait()

        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(write)
                first = True
                while True:
                    data = await pipe.receive()
                    now = anyio.current_time()
                    if first:
                        self._accept(data, now)
                        first = False
                    assert self.line is not None
                    self.line.receive_bytes(data, now)
                    self._take_events(self.line)
                    wake[0].set()
        except* (anyio.EndOfStream, anyio.BrokenResourceError):
            pass
        finally:
            if self.line:
                self.line.detach(anyio.current_time())

    def _accept(self, data: bytes, now: float) -> None:
        if self.line is None:
            line_id = bytes.fromhex(data.split(b'"line":"')[1][:32].decode())
            self.line = Line(line_id, initiator=False, software="peer", now=now)
        self.line.attach(now)

    def _take_events(self, line: Line) -> None:
        while event := line.next_event():
            match event:
                case Opened(channel):
                    self._waiting[channel] = []
                case Message(channel, data):
                    if data == b"close":
                        line.close_channel(channel, "as you wish")
                        continue
                    self._waiting[channel].append(data)
                    self._send_back(line, channel)
                case Sendable(channel):
                    self._send_back(line, channel)
                case Closed() | Lost():
                    pass
                case _:
                    pass

    def _send_back(self, line: Line, channel: int) -> None:
        waiting = self._waiting[channel]
        while waiting and line.sendable(channel):
            message = waiting.pop(0)
            line.send(channel, message)
            line.consumed(channel, len(message))


def simulate(scenario: Callable[[], object]) -> None:
    trio.run(scenario, clock=MockClock(autojump_threshold=0))


@asynccontextmanager
async def linked(peer: Peer, seed: int = 0) -> AsyncIterator[tuple[LiveLine, list[LineState]]]:
    states: list[LineState] = []
    async with open_line(
        peer.connect,
        software="test",
        on_state=states.append,
        wall=anyio.current_time,
        randomness=random.Random(seed),  # noqa: S311
    ) as live:
        yield live, states


@pytest.mark.parametrize("seed", range(30))
def test_everything_arrives_once_and_in_order_wherever_transports_are_cut(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    peer = Peer(delay_s=chance.choice([0.0, 0.001, 0.05]))

    def cut_somewhere(pipe: Pipe) -> None:
        if len(peer.attempts) < 25:
            victim = chance.choice([pipe, pipe.other])
            victim.cut_after(chance.randrange(1, chance.choice([200, 5000, 2_000_000])))

    peer.on_transport = cut_somewhere

    async def scenario() -> None:
        async with linked(peer, seed) as (live, _), anyio.create_task_group() as tasks:
            for priority in Priority:
                tasks.start_soon(exchange, live, priority)

    async def exchange(live: LiveLine, priority: Priority) -> None:
        messages = [
            bytes([priority, number % 256]) * chance.choice([0, 1, 500, 20_000, 300_000])
            for number in range(40)
        ]
        channel = live.open_channel(b"echo", priority)
        async with anyio.create_task_group() as tasks:

            async def send() -> None:
                for message in messages:
                    await channel.send(message)

            tasks.start_soon(send)
            received = [await channel.receive() for _ in messages]
        assert received == messages
        await channel.aclose("done")

    simulate(scenario)
    assert len(peer.attempts) > 1


def test_a_peer_that_forgot_the_line_ends_it_for_everybody() -> None:
    peer = Peer()

    async def scenario() -> None:
        async with linked(peer) as (live, states):
            channel = live.open_channel(b"echo", Priority.SYNC)
            await channel.send(b"a")
            assert await channel.receive() == b"a"
            peer.renew()
            for wait in (channel.receive, live.wait_connected):
                with pytest.raises(LineLostError):
                    await wait()
            with pytest.raises(LineLostError):
                live.open_channel(b"echo", Priority.SYNC)
            assert isinstance(await live.wait_ended(), LineLostError)
            assert [state.phase for state in states] == [
                Phase.CONNECTED,
                Phase.DISCONNECTED,
                Phase.ENDED,
            ]

    simulate(scenario)


def test_what_waiting_cannot_cure_ends_the_first_connect() -> None:
    peer = Peer()
    peer.refusal = ConnectError(ConnectKind.AUTH, "go away")

    async def scenario() -> None:
        async with linked(peer) as (live, states):
            with pytest.raises(ConnectError, match="go away"):
                await live.wait_connected()
            assert states[-1].phase is Phase.ENDED
            assert states[-1].error is peer.refusal

    simulate(scenario)
    assert len(peer.attempts) == 1


def test_later_the_same_is_tried_again_slowly_and_said() -> None:
    peer = Peer()

    async def scenario() -> None:
        async with linked(peer) as (live, states):
            await live.wait_connected()
            peer.refusal = ConnectError(ConnectKind.AUTH, "go away")
            peer.renew()
            await anyio.sleep(100)
            assert states[-1].phase is Phase.DISCONNECTED
            assert states[-1].error is peer.refusal
            assert 3 <= len(peer.attempts) <= 8

    simulate(scenario)


def test_a_machine_that_cannot_be_reached_is_tried_for_ever() -> None:
    peer = Peer()
    peer.refusal = UNREACHABLE

    async def scenario() -> None:
        async with linked(peer) as (live, states):
            await anyio.sleep(3600)
            assert live.state.phase is Phase.CONNECTING
            assert live.state.error is UNREACHABLE
            peer.refusal = None
            live.reconnect_now()
            with anyio.fail_after(0.1):
                await live.wait_connected()
            assert states[-1] == LineState(Phase.CONNECTED, anyio.current_time())

    simulate(scenario)
    times = [time for time, _ in peer.attempts]
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert pauses[0] < 0.1
    assert all(7.9 < pause < 12.1 for pause in pauses[8:-1])
    assert 300 < len(peer.attempts) < 420


def test_a_person_is_asked_only_until_the_line_was_connected_once() -> None:
    peer = Peer()
    peer.refusal = UNREACHABLE

    async def scenario() -> None:
        async with linked(peer) as (live, _):
            await anyio.sleep(1)
            peer.refusal = None
            await live.wait_connected()
            assert peer.transport is not None
            peer.transport.cut()
            await anyio.sleep(1)
            assert live.state.phase is Phase.CONNECTED

    simulate(scenario)
    attended = [attended for _, attended in peer.attempts]
    assert attended == [True] * (len(attended) - 1) + [False]


def test_a_transport_that_falls_silent_is_replaced() -> None:
    peer = Peer()

    async def scenario() -> None:
        async with linked(peer) as (live, states):
            channel = live.open_channel(b"echo", Priority.SYNC)
            await live.wait_connected()
            assert peer.transport is not None
            peer.transport.is_deaf = peer.transport.other.is_deaf = True
            await channel.send(b"a")
            began = anyio.current_time()
            assert await channel.receive() == b"a"
            assert 3 < anyio.current_time() - began < 8
            assert any("silent" in str(state.error) for state in states)

    simulate(scenario)


def test_after_a_sleep_the_peer_is_asked_at_once() -> None:
    peer = Peer()
    slept = [0.0]

    async def scenario() -> None:
        async with open_line(
            peer.connect, software="test", wall=lambda: anyio.current_time() + slept[0]
        ) as live:
            await live.wait_connected()
            await anyio.sleep(0.5)
            assert peer.transport is not None
            peer.transport.is_deaf = peer.transport.other.is_deaf = True
            slept[0] = 3600.0
            began = anyio.current_time()
            channel = live.open_channel(b"echo", Priority.SYNC)
            await channel.send(b"a")
            assert await channel.receive() == b"a"
            assert anyio.current_time() - began < 6

    simulate(scenario)


def test_a_closed_channel_says_why_after_the_last_message() -> None:
    peer = Peer()

    async def scenario() -> None:
        async with linked(peer) as (live, _):
            channel = live.open_channel(b"echo", Priority.SYNC)
            await channel.send(b"a")
            await channel.send(b"close")
            await anyio.sleep(1)
            assert await channel.receive() == b"a"
            with pytest.raises(ChannelClosedError, match="as you wish") as caught:
                await channel.receive()
            assert caught.value.reason == "as you wish"
            with pytest.raises(ChannelClosedError):
                await channel.send(b"b")
            await channel.aclose()

    simulate(scenario)


def test_a_sender_waits_for_a_reader_that_is_behind() -> None:
    peer = Peer()
    sent = 0

    async def scenario() -> None:
        async with linked(peer) as (live, _), anyio.create_task_group() as tasks:
            channel = live.open_channel(b"echo", Priority.SYNC)

            async def send() -> None:
                nonlocal sent
                while True:
                    await channel.send(bytes(100_000))
                    sent += 1

            tasks.start_soon(send)
            await anyio.sleep(60)
            assert 20 <= sent < 45  # Both windows full, and no more.
            tasks.cancel_scope.cancel()

    simulate(scenario)


def test_the_body_of_a_line_raises_its_own_exceptions() -> None:
    async def scenario() -> None:
        with pytest.raises(KeyError):
            async with linked(Peer()):
                raise KeyError

    simulate(scenario)


def test_a_small_message_overtakes_bulk() -> None:
    peer = Peer(delay_s=0.05)

    async def scenario() -> None:
        async with linked(peer) as (live, _), anyio.create_task_group() as tasks:
            bulk = live.open_channel(b"echo", Priority.BULK)
            small = live.open_channel(b"echo", Priority.SYNC)
            await live.wait_connected()

            async def send() -> None:
                for _ in range(100):
                    await bulk.send(bytes(1_000_000))

            tasks.start_soon(send)
            await anyio.sleep(2)
            began = anyio.current_time()
            await small.send(b"a")
            assert await small.receive() == b"a"
            assert anyio.current_time() - began < 0.5  # Of several seconds of bulk.
            tasks.cancel_scope.cancel()

    simulate(scenario)


def test_what_is_sent_at_the_beginning_does_not_wait_for_the_answer() -> None:
    peer = Peer(delay_s=0.01)

    async def scenario() -> None:
        async with linked(peer) as (live, _states):
            await live.wait_begun()
            channel = live.open_channel(b"echo", Priority.SYNC)
            await channel.send(b"early")
            assert live.state.phase is Phase.CONNECTING
            began = anyio.current_time()
            assert await channel.receive() == b"early"
            assert live.state.phase is Phase.CONNECTED
            assert anyio.current_time() - began < 0.035, "of one round trip, not of two"

    simulate(scenario)


def test_a_line_that_ends_before_it_begins_says_why() -> None:
    peer = Peer()
    peer.refusal = ConnectError(ConnectKind.AUTH, "go away")

    async def scenario() -> None:
        async with linked(peer) as (live, _states):
            with pytest.raises(ConnectError, match="go away"):
                await live.wait_begun()

    simulate(scenario)
