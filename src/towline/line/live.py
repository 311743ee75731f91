"""A live Line: the I/O-free `Line`, kept on a transport for as long as there is one to be had.

It connects, resumes, and carries bytes; it knows neither ssh nor what the channels are for. Time
and waiting are anyio's, so all of it runs on a virtual clock.
"""

from __future__ import annotations

import enum
import random
import secrets
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import anyio
from anyio.abc import ByteStream

from towline.core.wire import events, line
from towline.core.wire.frames import LINE_ID_SIZE, Priority, ProtocolError
from towline.core.wire.limits import DEFAULT_LIMITS, Limits
from towline.line.channel import Channel
from towline.line.errors import ConnectError, ConnectKind, LineLostError

READ_SIZE = 256 << 10
BACKOFF_S = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 10.0)  # Then the last one for ever.
SLOW_BACKOFF_S = (2.0, 10.0, 30.0)  # Where waiting alone is not likely to help.
JITTER = 0.2  # Of a delay, so that many lines to one machine do not knock together.
STEADY_S = 5.0  # A connection that lasted so long was one: the next is tried without delay.
UNSTEADY = 2  # Where in the delays a shorter one leaves us, so that two that oust each other rest.
TICK_S = 1.0  # The longest time between two looks at the clocks.
SLEPT_S = 5.0  # Seconds that only the wall clock counted: the laptop slept.
# Relays keep small packets back until the last one is answered. So what is said as a connection
# begins waits a moment for what comes right behind it, as an answer does behind its ACK.
GATHER_S = 0.003
BEGINNING_S = 2.0
LAST_WORDS_S = 3.0  # For the reader to learn why, after a write has failed.

Connect = Callable[[bool], AbstractAsyncContextManager[ByteStream]]
"""Open a byte stream to the agent. True: a person is there and may be asked for a password."""


class Phase(enum.Enum):
    CONNECTING = "connecting"  # Not connected yet, for the first time.
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"  # Was connected, and is trying to be again.
    ENDED = "ended"  # For good; `LiveLine.wait_connected` raises why.


@dataclass(frozen=True, slots=True)
class LineState:
    """`since` is in seconds of the line's clock; `error` the last thing that went wrong."""

    phase: Phase
    since: float
    error: ConnectError | None = None


@asynccontextmanager
async def open_line(
    connect: Connect,
    *,
    software: str,
    on_state: Callable[[LineState], None] | None = None,
    limits: Limits = DEFAULT_LIMITS,
    wall: Callable[[], float] = time.time,
    randomness: random.Random | None = None,
) -> AsyncGenerator[LiveLine]:
    """Keep a new Line alive while the context lasts. Connects in the background.

    `wall` is a clock that goes on while the computer sleeps. `randomness` makes the line's id and
    its delays, if they are to be the same in each run.
    """
    live = LiveLine(connect, software, on_state, limits, wall, randomness)
    failure: BaseException | None = None
    # The body's exception is carried around the task group, which would wrap it.
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(live.run)
        try:
            yield live
        except Exception as error:
            failure = error
        tasks.cancel_scope.cancel()
    live.end(LineLostError("the line was closed here"))
    if failure is not None:
        raise failure


class LiveLine:
    """Made by `open_line`. All methods are for the task group that opened it, and its children."""

    def __init__(
        self,
        connect: Connect,
        software: str,
        on_state: Callable[[LineState], None] | None,
        limits: Limits,
        wall: Callable[[], float],
        randomness: random.Random | None,
    ) -> None:
        self._connect = connect
        self._on_state = on_state
        self._wall = wall
        self._random = randomness or random.SystemRandom()
        line_id = randomness.randbytes(LINE_ID_SIZE) if randomness else secrets.token_bytes(16)
        now = anyio.current_time()
        self._line = line.Line(line_id, initiator=True, software=software, now=now, limits=limits)
        self._state = LineState(Phase.CONNECTING, now)
        self._channels: dict[int, Channel] = {}
        self._failure: Exception | None = None
        self._has_begun = False  # A first transport was there, and our HELLO is on its way.
        self._was_connected = False
        self._attempt = 0
        self._wake = anyio.Event()
        self._retry = anyio.Event()
        self._changed = anyio.Event()

    # -- For its user -------------------------------------------------------------------------

    @property
    def state(self) -> LineState:
        return self._state

    @property
    def rtt_min_s(self) -> float | None:
        return self._line.rtt_min_s

    def statistics(self) -> line.Statistics:
        return self._line.statistics()

    async def wait_connected(self) -> None:
        """Return when the line is connected. Raises what ended it, if it has ended."""
        while self._state.phase is not Phase.CONNECTED:
            self.check()
            await self._changed.wait()

    async def wait_begun(self) -> None:
        """Return when there was a first transport: what is sent now goes behind the HELLO.

        Raises what ended the line, if it has ended.
        """
        while not self._has_begun:
            self.check()
            await self._changed.wait()

    async def wait_ended(self) -> Exception:
        """Return why the line has ended, once it has."""
        while self._failure is None:
            await self._changed.wait()
        return self._failure

    def open_channel(self, greeting: bytes, priority: Priority) -> Channel:
        """Open a channel; it may be used at once, connected or not.

        Raises `TooManyChannelsError`, `ValueError` for a greeting of over 4 KiB, and what ended
        the line.
        """
        self.check()
        number = self._line.open_channel(greeting, priority)
        channel = self._channels[number] = Channel(number, self._line, self)
        self.wake()
        return channel

    def reconnect_now(self) -> None:
        """Do not wait any longer before the next attempt."""
        self._attempt = 0
        self._retry.set()

    # -- For its channels ---------------------------------------------------------------------

    def check(self) -> None:
        """Raise what ended the line, if it has ended."""
        if self._failure is not None:
            raise self._failure.with_traceback(None)  # Or each raise would add to the last one's.

    def wake(self) -> None:
        """There may be something to write."""
        self._wake.set()

    def forget(self, number: int) -> None:
        """The channel is closed by us: nothing about it is told any more."""
        self._channels.pop(number, None)

    # -- Connecting ---------------------------------------------------------------------------

    async def run(self) -> None:
        """Connect and carry, until the line ends or this is cancelled."""
        while self._failure is None:
            reason = await self._connect_once()
            if self._failure is not None:
                return
            if not self._was_connected and not reason.retryable:
                self.end(reason)
                return
            self._set_apart(reason)
            await self._wait_before_next(reason)

    async def _connect_once(self) -> ConnectError:
        """Connect, and carry bytes until the transport is gone; return why it is."""
        try:
            async with self._connect(not self._was_connected) as stream:
                return await self._carry(stream)
        except ConnectError as error:
            return error.alone()
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            return _CUT

    def _set_apart(self, reason: ConnectError) -> None:
        was = self._state
        if was.phase is Phase.CONNECTED:
            steady = anyio.current_time() - was.since >= STEADY_S
            self._attempt = 0 if steady else min(self._attempt, UNSTEADY)
        phase = Phase.DISCONNECTED if self._was_connected else Phase.CONNECTING
        since = anyio.current_time() if was.phase is Phase.CONNECTED else was.since
        self._set_state(LineState(phase, since, reason))

    async def _wait_before_next(self, reason: ConnectError) -> None:
        delays = BACKOFF_S if reason.retryable else SLOW_BACKOFF_S
        delay = delays[min(self._attempt, len(delays) - 1)]
        self._attempt += 1
        ends_at = self._wall() + delay
        ticks_at = anyio.current_time() + delay * (1 + self._random.uniform(-JITTER, JITTER))
        self._retry = anyio.Event()
        # In small steps: a laptop that slept meanwhile has waited long enough.
        while (left := ticks_at - anyio.current_time()) > 0 and not self._retry.is_set():
            with anyio.move_on_after(min(left, TICK_S)):
                await self._retry.wait()
            if self._wall() >= ends_at + SLEPT_S:
                self._attempt = 0
                return

    def _set_state(self, state: LineState) -> None:
        self._state = state
        self._tell_change()
        if self._on_state is not None:
            self._on_state(state)

    def _tell_change(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    def end(self, failure: Exception) -> None:
        """The line is over; whoever waits for it is told why."""
        if self._failure is not None:
            return
        self._failure = failure
        error = failure if isinstance(failure, ConnectError) else self._state.error
        self._set_state(LineState(Phase.ENDED, anyio.current_time(), error))
        for channel in self._channels.values():
            channel.stir()

    # -- Carrying -----------------------------------------------------------------------------

    async def _carry(self, stream: ByteStream) -> ConnectError:
        self._line.attach(anyio.current_time())
        carrier = _Carrier(stream)
        if not self._has_begun:
            self._has_begun = True
            carrier.begins(anyio.current_time())  # The HELLO waits for what goes behind it.
            self._tell_change()
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._read, carrier)
                tasks.start_soon(self._write, carrier)
                tasks.start_soon(self._watch_time, carrier)
                await carrier.ended.wait()
                tasks.cancel_scope.cancel()
        finally:
            self._line.detach(anyio.current_time())
        return carrier.reason or _CUT

    async def _read(self, carrier: _Carrier) -> None:
        try:
            while True:
                data = await carrier.stream.receive(READ_SIZE)
                carrier.gather(anyio.current_time())
                self._line.receive_bytes(data, anyio.current_time())
                self._take_events(carrier)
                self.wake()
        except ConnectError as error:
            carrier.end(error)
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            carrier.end(_CUT)

    async def _write(self, carrier: _Carrier) -> None:
        try:
            while True:
                self._wake = anyio.Event()
                if (rest_s := carrier.writes_at - anyio.current_time()) > 0:
                    await anyio.sleep(rest_s)
                while data := self._line.bytes_to_send(anyio.current_time()):
                    await carrier.stream.send(data)
                await self._wait_for_more()
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            await anyio.sleep(LAST_WORDS_S)
            carrier.end(_CUT)

    async def _wait_for_more(self) -> None:
        acks_at = self._line.acks_at()
        if acks_at is None:
            await self._wake.wait()
            return
        with anyio.move_on_after(max(0.0, acks_at - anyio.current_time())):
            await self._wake.wait()

    async def _watch_time(self, carrier: _Carrier) -> None:
        """Apart from the writer, which a peer that reads nothing can hold up for ever."""
        while True:
            now, wall = anyio.current_time(), self._wall()
            deadline = self._line.deadline()
            due = TICK_S if deadline is None else min(TICK_S, max(0.0, deadline - now))
            await anyio.sleep(due)
            now, before = anyio.current_time(), now
            slept = self._wall() - wall > now - before + SLEPT_S
            # After a sleep it is later than the clock says: the peer is asked at once.
            deadline = self._line.deadline()
            self._line.handle_timer(max(now, deadline) if slept and deadline else now)
            self._take_events(carrier)
            self.wake()

    def _take_events(self, carrier: _Carrier) -> None:
        try:
            while event := self._line.next_event():
                self._take_event(event, carrier)
        except ProtocolError as error:
            self.end(error)
            carrier.end(_CUT)

    def _take_event(self, event: events.Event, carrier: _Carrier) -> None:
        match event:
            case events.Message(number, data):
                if channel := self._channels.get(number):
                    channel.put(data)
            case events.Sendable(number):
                if channel := self._channels.get(number):
                    channel.stir()
            case events.Closed(number, reason):
                if channel := self._channels.pop(number, None):
                    channel.close(reason)
            case events.Opened(number):
                self._line.close_channel(number, "nobody expects a channel from this side")
            case events.Connected():
                self._was_connected = True
                carrier.begins(anyio.current_time())
                self._set_state(LineState(Phase.CONNECTED, anyio.current_time()))
            case events.Silent(silent_s):
                carrier.end(
                    ConnectError(
                        ConnectKind.UNREACHABLE, f"the machine has been silent for {silent_s:.0f} s"
                    )
                )
            case events.Late():  # For the machine's end only.
                carrier.end(_CUT)
            case events.Lost():
                self.end(LineLostError("the agent on the machine was started anew"))
                carrier.end(_CUT)


class _Carrier:
    """One transport, and why it ended."""

    def __init__(self, stream: ByteStream) -> None:
        self.stream = stream
        self.writes_at = 0.0  # Not before: what was begun to be said is to go together.
        self._begins_until = 0.0
        self.reason: ConnectError | None = None
        self.ended = anyio.Event()

    def begins(self, now: float) -> None:
        self._begins_until = now + BEGINNING_S
        self.writes_at = now + GATHER_S

    def gather(self, now: float) -> None:
        """Something came. An answer waits for company, but never longer because more comes."""
        if self.writes_at < now < self._begins_until:
            self.writes_at = now + GATHER_S

    def end(self, reason: ConnectError) -> None:
        """The first reason counts."""
        self.reason = self.reason or reason.alone()
        self.ended.set()


_CUT = ConnectError(ConnectKind.UNREACHABLE, "the connection was cut")
