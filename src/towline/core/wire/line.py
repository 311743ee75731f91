"""One end of the Line: bytes and the time in, events and bytes out. Both ends are this class.

A Line outlives its transports. It numbers what it sends by counting, keeps it until the peer
acknowledges it, and after `attach` sends again whatever the peer's HELLO does not acknowledge: no
byte is lost and none comes twice, wherever the last transport was cut. Nothing here touches a
socket, a clock or a thread, and nothing knows what messages mean.

A transport's life, for the shell around a Line:

    line.attach(now)
    loop: write line.bytes_to_send(now) until it is empty
          line.receive_bytes(what was read, now); take line.next_event() until it is None
          at line.deadline(): line.handle_timer(now), then events and bytes as above
          at line.acks_at(): bytes as above
    line.detach(now)

After `Lost` or a `ProtocolError` write `bytes_to_send` once more: it may tell the peer why.
"""

from __future__ import annotations

from dataclasses import dataclass

from towline.core.wire.channel import Outgoing
from towline.core.wire.channels import Channels
from towline.core.wire.events import (
    Closed,
    Connected,
    Event,
    Late,
    Lost,
    Message,
    Opened,
    Sendable,
)
from towline.core.wire.frames import (
    GREETING_MAX,
    LINE_ID_SIZE,
    Frame,
    Hello,
    Kind,
    Priority,
    ProtocolError,
    VersionMismatchError,
    count_of,
    credit_of,
    encode_close,
    encode_open,
)
from towline.core.wire.limits import DEFAULT_LIMITS, Limits
from towline.core.wire.outbox import Outbox
from towline.core.wire.replay import Replay
from towline.core.wire.transport import Transport

_BATCH_MIN = 64 << 10  # Bytes written at once, without a limit.
_BATCH_FRAMES = 4  # The same in frames: on a fast line they are longer, and last no longer.


class ChannelClosedError(Exception):
    """The channel is closed, by either end: nothing can be sent on it."""


class NoCreditError(Exception):
    """The reader is behind. Wait for `Sendable` on this channel."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Sizes in bytes, of frames or messages as they are on the wire; times in seconds."""

    rtt_s: float | None  # Smoothed. None until something was acknowledged on this transport.
    bytes_in: int
    bytes_out: int
    unacknowledged: int
    queued: dict[Priority, int]
    bulk_window: int
    resumes: int
    heard_at: float | None  # When bytes last arrived, on any transport, by the caller's clock.


class Line:
    """One end of a line. `initiator` is the end that connects; it alone speaks first."""

    def __init__(
        self,
        line_id: bytes,
        *,
        initiator: bool,
        software: str,
        now: float,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """Make a line that nothing is attached to. `now` is in seconds, monotonic, here and below.

        `line_id` is 16 random bytes, made by the initiator; `software` is a name and a version.
        """
        if len(line_id) != LINE_ID_SIZE:
            raise ValueError(f"a line id has {LINE_ID_SIZE} bytes, not {len(line_id)}")
        self.line_id = line_id
        self._initiator = initiator
        self._software = software
        self._limits = limits
        self._now = now
        self._transport: Transport | None = None
        self._fault: ProtocolError | None = None
        self._lost = False
        self._last_words = b""  # What tells the peer why nothing else will come.
        self._transports = (
            0  # The initiator's: how many it began. The acceptor's: the last one met.
        )
        self._connects = 0
        self._received = 0  # Numbered frames taken, on all transports.
        self._replay = Replay()
        self._outbox = Outbox()
        self._channels = Channels(limits, initiator=initiator)
        self._held = 0  # Bytes received and not consumed, over all channels.
        self._bytes_in = 0
        self._heard_at: float | None = None
        self._bytes_out = 0

    # -- The transport ------------------------------------------------------------------------

    def attach(self, now: float) -> None:
        """A new transport begins. What was half received on the last one is forgotten.

        Raises `RuntimeError` after `Lost` or a `ProtocolError`: that line has ended.
        """
        if self._has_ended:
            raise RuntimeError("a line that has ended cannot be attached")
        self._now = now
        self._transport = Transport(self._limits, now)
        if self._initiator:
            self._transports += 1
            self._transport.greet(self._own_hello())

    def detach(self, now: float) -> None:
        """The transport is gone. Channels stay, and what they hold waits for the next one."""
        self._now = now
        self._transport = None

    def receive_bytes(self, data: bytes, now: float) -> None:
        """Take bytes as they arrive. Then call `next_event` until it returns None."""
        if self._transport is None:
            raise RuntimeError("bytes from a transport that is not attached")
        self._now = self._heard_at = now
        self._bytes_in += len(data)
        self._transport.receive_bytes(data, now)

    def bytes_to_send(self, now: float, limit: int | None = None) -> bytes:
        """Return what is to be written now, up to `limit` bytes and the rest of one frame.

        Without a limit some frames, for the next choice of what goes first is to come soon.
        Empty if there is nothing, or nothing that may go before the peer has answered. Bytes
        returned count as sent: write them all, or `detach`.
        """
        self._now = now
        transport = self._transport
        if transport is None:
            return b""
        if self._has_ended:
            data, self._last_words = self._last_words, b""
            return data
        may_go = transport.is_connected or self._goes_first
        frames = self._take_frames(transport, limit) if may_go else []
        signals = transport.take_signals(self._received, now, others_go=bool(frames))
        data = b"".join(signals + frames)
        self._bytes_out += len(data)
        return data

    def _take_frames(self, transport: Transport, limit: int | None) -> list[bytes]:
        frames: list[bytes] = []
        size, payload_max = 0, transport.payload_max
        limit = max(_BATCH_MIN, _BATCH_FRAMES * payload_max) if limit is None else limit
        while size < limit and (frame := self._next_frame(transport, payload_max)) is not None:
            frames.append(frame)
            size += len(frame)
        return frames

    @property
    def _goes_first(self) -> bool:
        """Whether what waits may go right behind our HELLO: there is nothing to be sent again.

        So on the initiator's first transport, whatever the answer will say; on any later one the
        answer decides, for of the first no more is known than that it broke.
        """
        return self._initiator and self._transports == 1

    @property
    def _has_ended(self) -> bool:
        return self._lost or self._fault is not None

    def _own_hello(self) -> Hello:
        known = self._connects > 0
        return Hello(self.line_id, self._transports, self._received, known, self._software)

    def _next_frame(self, transport: Transport, payload_max: int) -> bytes | None:
        replay, window = self._replay, transport.pace.window
        if replay.is_repeating:
            return replay.repeat(window, self._now)
        if replay.size >= self._limits.replay_max:
            return None
        bulk_too = transport.is_connected and replay.bulk_in_flight < window
        taken = self._outbox.take_frame(payload_max, bulk_too=bulk_too)
        if taken is None:
            return None
        frame, priority = taken
        if priority is Priority.BULK and not replay.bulk_in_flight:
            transport.pace.resume(self._now)
        replay.add(frame, priority is Priority.BULK, self._now)
        if priority is Priority.INTERACTIVE:
            transport.pace.note_person(self._now)
        return frame

    # -- Time ---------------------------------------------------------------------------------

    def deadline(self) -> float | None:
        """When to call `handle_timer` if nothing arrives before. None: never."""
        if self._transport is None or self._has_ended:
            return None
        return self._transport.deadline()

    def acks_at(self) -> float | None:
        """When `bytes_to_send` has an acknowledgement, if nothing else goes before. None: never."""
        if self._transport is None or self._has_ended:
            return None
        return self._transport.acks_at()

    def handle_timer(self, now: float) -> None:
        """Do what is due: a PING to send, or `Silent` as the next event. Early is harmless.

        Pass in first what has arrived: a peer that was heard meanwhile is not silent.
        """
        self._now = now
        if self._transport is not None:
            self._transport.handle_timer(now)

    # -- Events -------------------------------------------------------------------------------

    def next_event(self) -> Event | None:
        """Return what happened next, or None if more bytes or time are needed for it.

        Raises `ProtocolError` at the point where the peer broke the protocol, and ever after.
        """
        if self._fault is not None:
            raise self._fault
        transport = self._transport
        if transport is None or self._lost:
            return None
        try:
            return self._take_event(transport)
        except ProtocolError as fault:
            self._fault = fault
            if isinstance(fault, VersionMismatchError):
                self._refuse()
            raise

    def _take_event(self, transport: Transport) -> Event | None:
        if not transport.is_connected:
            hello = transport.reader.take_hello()
            return self._meet(hello, transport) if hello else transport.take_silence()
        while frame := transport.reader.take_frame():
            event = self._take_frame(frame, transport)
            if event is not None:
                return event
        return transport.take_silence()

    def _meet(self, hello: Hello, transport: Transport) -> Event:
        if hello.line_id != self.line_id:
            raise ProtocolError("the other side answered for another line")
        if not self._initiator:
            if hello.transport <= self._transports:
                return Late()
            self._transports = hello.transport
        if self._is_broken(hello):
            self._lost = True
            self._refuse()
            return Lost()
        if self._goes_first:
            self._replay.acknowledge(hello.received)
        else:
            self._replay.rewind(hello.received)
        if not self._initiator:
            transport.greet(self._own_hello())
        resumed = self._connects > 0
        self._connects += 1
        rtt_s = transport.connect(self._now)
        return Connected(resumed, rtt_s if self._initiator else None)

    def _refuse(self) -> None:
        """Let the acceptor still say its HELLO, so that the initiator learns what is wrong."""
        if not self._initiator:
            transports = max(1, self._transports)
            last = Hello(self.line_id, transports, 0, False, self._software)
            self._last_words = last.encode()

    def _is_broken(self, hello: Hello) -> bool:
        """Whether one of the two ends is not, any more, the one that the other knew.

        The acceptor answers, so an initiator that has once been connected knows that it was heard.
        The acceptor may not have been: its HELLO was lost if the initiator still knows nothing, who
        then has acknowledged nothing, and still keeps all that it sent.
        """
        if self._initiator:
            return self._connects > 0 and not hello.known
        if hello.known:
            return self._connects == 0
        return self._replay.acknowledged > 0

    def _take_frame(self, frame: Frame, transport: Transport) -> Event | None:
        kind = frame.kind
        if kind >= Kind.ACK:
            self._take_signal(frame, transport)
            return None
        self._received += 1
        transport.owes_ack = True
        if kind == Kind.DATA:
            return self._take_data(frame)
        if kind == Kind.OPEN:
            return self._take_open(frame)
        if kind == Kind.CREDIT:
            return self._take_credit(frame)
        return self._take_close(frame)

    def _take_signal(self, frame: Frame, transport: Transport) -> None:
        count = count_of(frame)
        if frame.kind == Kind.ACK:
            size, in_flight = self._replay.size, self._replay.bulk_in_flight
            sent_at = self._replay.acknowledge(count)
            if sent_at is not None and sent_at >= transport.connected_at:
                transport.add_acknowledged(size - self._replay.size, self._now)
                acknowledged = in_flight - self._replay.bulk_in_flight
                transport.add_rtt(self._now - sent_at, in_flight, self._now, acknowledged)
        elif frame.kind == Kind.PING:
            transport.owed_pong = count  # Only the last of several: a flood of PINGs costs nothing.
        else:
            transport.take_pong(count, self._replay.bulk_in_flight, self._now)

    def _take_data(self, frame: Frame) -> Event | None:
        channel = self._channels.of_frame(frame)
        incoming = channel.incoming if channel is not None else None
        if incoming is None:
            return None
        held = incoming.held
        message = incoming.take(frame)
        self._held += incoming.held - held
        if self._held > self._limits.held_max:
            raise ProtocolError(
                f"the other side sent {self._limits.held_max} bytes that nobody has read"
            )
        return None if message is None else Message(frame.channel, message)

    def _take_open(self, frame: Frame) -> Event:
        priority = Priority(frame.flags)
        self._channels.add_peers(frame.channel, priority)
        return Opened(frame.channel, frame.payload, priority)

    def _take_credit(self, frame: Frame) -> Event | None:
        channel = self._channels.of_frame(frame)
        if channel is None:
            return None
        outgoing = channel.outgoing
        was_empty = outgoing.credit <= 0
        outgoing.credit += credit_of(frame)
        if outgoing.credit > self._limits.window_of(outgoing.priority):
            raise ProtocolError(
                f"the other side granted more credit than was used on channel {frame.channel}"
            )
        if was_empty and outgoing.credit > 0 and channel.incoming is not None:
            return Sendable(frame.channel)
        return None

    def _take_close(self, frame: Frame) -> Event | None:
        channel = self._channels.of_frame(frame)
        if channel is None:
            return None
        self._channels.remove(frame.channel)
        self._outbox.drop_channel(channel.outgoing)
        if not channel.outgoing.close_left:
            self._answer_close(channel.outgoing)
        if channel.incoming is None:
            return None
        self._held -= channel.incoming.held
        return Closed(frame.channel, frame.payload.decode("utf-8", "replace"))

    def _answer_close(self, outgoing: Outgoing) -> None:
        # A peer opens no new channel before it has the answers, so few can wait here.
        if self._outbox.first_count >= 3 * self._limits.channels_max:
            raise ProtocolError("the other side closes channels and does not wait for the answers")
        self._outbox.put_first(encode_close(outgoing.channel, outgoing.closing or ""))

    # -- Channels -----------------------------------------------------------------------------

    def open_channel(self, greeting: bytes, priority: Priority) -> int:
        """Open a channel, which the peer sees as `Opened(channel, greeting, priority)`.

        Raises `TooManyChannelsError`; `ValueError` for a greeting of over 4 KiB.
        """
        if len(greeting) > GREETING_MAX:
            raise ValueError(f"greeting of {len(greeting)} bytes exceeds {GREETING_MAX}")
        number = self._channels.add_own(priority)
        self._outbox.put_first(encode_open(number, priority, bytes(greeting)))
        return number

    def send(self, channel: int, message: bytes) -> None:
        """Queue a message, to arrive whole and in the channel's order.

        Any size up to `message_max` may be sent while `sendable` is above 0. Raises
        `NoCreditError` when it is not, `ChannelClosedError`, and `ValueError` for a larger one.
        """
        if len(message) > self._limits.message_max:
            raise ValueError(f"message of {len(message)} bytes exceeds {self._limits.message_max}")
        known = self._channels.get(channel)
        if known is None or known.incoming is None:
            raise ChannelClosedError(f"channel {channel} is closed")
        outgoing = known.outgoing
        if outgoing.credit <= 0:
            raise NoCreditError(f"channel {channel} has no credit left")
        if not outgoing.is_waiting:
            self._outbox.put_channel(outgoing)
        outgoing.put(bytes(message))

    def sendable(self, channel: int) -> int:
        """Return the bytes of credit left after what is queued; 0 if the channel is closed."""
        known = self._channels.get(channel)
        if known is None or known.incoming is None:
            return 0
        return max(0, known.outgoing.credit)

    def consumed(self, channel: int, size: int) -> None:
        """The reader is done with `size` more bytes of messages: the peer may send as much again.

        Call it for an empty message too, with 0. Raises `ValueError` for more than was received.
        """
        known = self._channels.get(channel)
        if known is None or known.incoming is None:
            return
        grant = known.incoming.consume(size)
        if grant:
            self._held -= grant
            self._outbox.put_grant(channel, grant)

    def close_channel(self, channel: int, reason: str = "") -> None:
        """Close a channel, both ways, after what is queued on it. Nothing of it is read any more.

        `reason` is for a person, up to 1 KiB of it arrives. Closing twice is harmless.
        """
        known = self._channels.get(channel)
        if known is None or known.incoming is None:
            return
        self._held -= known.incoming.held
        known.incoming = None
        if not known.outgoing.is_waiting:
            self._outbox.put_channel(known.outgoing)
        known.outgoing.closing = reason

    @property
    def rtt_min_s(self) -> float | None:
        """Of the last minute on this transport."""
        return self._transport.pace.rtt_min_s if self._transport else None

    def statistics(self) -> Statistics:
        transport = self._transport
        return Statistics(
            rtt_s=transport.rtt_s if transport else None,
            bytes_in=self._bytes_in,
            bytes_out=self._bytes_out,
            unacknowledged=self._replay.size,
            queued={priority: self._outbox.queued(priority) for priority in Priority},
            bulk_window=transport.pace.window if transport else 0,
            resumes=max(0, self._connects - 1),
            heard_at=self._heard_at,
        )
