"""What a Line knows of the transport attached now: greeting, signals, silence, delay.

It begins with `attach` and is forgotten with `detach`; nothing that must survive a cut is here.
"""

from __future__ import annotations

from towline.core.wire.events import Silent
from towline.core.wire.frames import (
    PAYLOAD_MAX,
    FrameReader,
    Hello,
    Kind,
    ProtocolError,
    encode_count,
)
from towline.core.wire.limits import Limits
from towline.core.wire.pace import Pace

ACK_EVERY_S = 0.001  # Of what keeps coming: each ACK wakes four programs on its way.
FRAME_S = 0.0013  # What one frame may hold up a small save; a slow line's smallest takes longer.
_RATE_S = 0.02  # How long a rate is measured, and then believed.
_SMOOTHING = 1 / 8  # Weight of the newest round trip, as in TCP.


class Transport:
    def __init__(self, limits: Limits, now: float) -> None:
        self._limits = limits
        self.reader = FrameReader()
        self.pace = Pace(now, limits.bulk_max)
        self.is_connected = False  # The peer's HELLO has come, and with it its counts.
        self.connected_at = now  # What went before waited for more than the way.
        self.owes_ack = False
        self._acks_at = now  # Not before, unless something else goes.
        self.owed_pong: int | None = None
        self.rtt_s: float | None = None
        self.payload_max = limits.payload_max  # Of the next frames.
        self._acknowledged = 0  # Bytes, since `_counted_from`.
        self._counted_from = now
        self._hello: Hello | None = None  # To be said.
        self._hello_said_at = now
        self._attached_at = now
        self._heard_at = now
        self._owes_ping = False
        self._pings = 0
        self._ping_sent_at: float | None = None  # None: the last PING has had its PONG.
        self._probed_at: float | None = None  # When a PING fell due that nothing answered yet.
        self._silence: Silent | None = None
        self._is_given_up = False

    def receive_bytes(self, data: bytes, now: float) -> None:
        self._heard_at = now
        self._probed_at = None
        self.reader.feed(data)

    def greet(self, hello: Hello) -> None:
        """Let `hello` be the first thing that goes out."""
        self._hello = hello

    def connect(self, now: float) -> float:
        """The peer's HELLO has come. Return the seconds since ours was handed out."""
        self.is_connected = True
        self.connected_at = now
        self._owes_ping = True  # The first round trip is measured while nothing else is under way.
        self._probed_at = now
        return now - self._hello_said_at

    def take_signals(self, received: int, now: float, *, others_go: bool) -> list[bytes]:
        """Return the unnumbered frames that are due, encoded. `others_go`: numbered ones, too."""
        signals: list[bytes] = []
        if self._hello is not None:
            signals.append(self._hello.encode())
            self._hello, self._hello_said_at = None, now
        if self.owes_ack and (others_go or now >= self._acks_at):
            signals.append(encode_count(Kind.ACK, received))
            self.owes_ack, self._acks_at = False, now + ACK_EVERY_S
        if self.owed_pong is not None:
            signals.append(encode_count(Kind.PONG, self.owed_pong))
            self.owed_pong = None
        if self._owes_ping:
            self._pings += 1
            signals.append(encode_count(Kind.PING, self._pings))
            self._owes_ping, self._ping_sent_at = False, now
        return signals

    def take_pong(self, number: int, in_flight: int, now: float) -> None:
        if not 0 < number <= self._pings:
            raise ProtocolError(f"the other side answered PING {number}, which was never sent")
        if number == self._pings and self._ping_sent_at is not None:
            self.add_rtt(now - self._ping_sent_at, in_flight, now)
            self._ping_sent_at = None

    def add_acknowledged(self, size: int, now: float) -> None:
        """Let frames grow with the rate that is seen: fewer of them, and none takes longer."""
        self._acknowledged += size
        if (took_s := now - self._counted_from) >= _RATE_S:
            fits = int(self._acknowledged / took_s * FRAME_S)
            smallest = self._limits.payload_max
            self.payload_max = min(max(fits, smallest), PAYLOAD_MAX)
            self._acknowledged, self._counted_from = 0, now

    def add_rtt(self, rtt_s: float, in_flight: int, now: float, acknowledged: int = 0) -> None:
        smoothed = rtt_s if self.rtt_s is None else self.rtt_s
        self.rtt_s = smoothed + (rtt_s - smoothed) * _SMOOTHING
        self.pace.add_sample(rtt_s, in_flight, now, acknowledged)

    def acks_at(self) -> float | None:
        """When an ACK is due, if nothing goes that carries it before."""
        return self._acks_at if self.owes_ack else None

    def deadline(self) -> float | None:
        """When `handle_timer` has something to do, if nothing arrives before."""
        if self._is_given_up:
            return None
        if not self.is_connected:
            return self._attached_at + self._limits.hello_s
        if self._probed_at is None:
            return self._heard_at + self._limits.ping_after_s
        # Counted from the PING: after a sleep the peer is asked before it is given up.
        return self._probed_at + self._limits.silence_s - self._limits.ping_after_s

    def handle_timer(self, now: float) -> None:
        deadline = self.deadline()
        if deadline is None or now < deadline:
            return
        if self.is_connected and self._probed_at is None:
            self._owes_ping, self._probed_at = True, now
        else:
            self._is_given_up = True
            self._silence = Silent(now - self._heard_at)

    def take_silence(self) -> Silent | None:
        silence, self._silence = self._silence, None
        return silence
