"""Two Lines and a transport between them that can be cut at any byte, under virtual time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from towline.core.wire.events import Closed, Connected, Event, Message, Opened
from towline.core.wire.frames import Priority
from towline.core.wire.limits import Limits
from towline.core.wire.line import Line

LINE_ID = bytes(range(16))
SMALL = replace(Limits(), payload_max=7, window=400, bulk_window=800)
"""Limits under which short messages take several frames and credit runs out."""


@dataclass
class End:
    """A line with what it reported; its reader consumes at once unless `reads` is cleared."""

    line: Line
    events: list[Event] = field(default_factory=list)
    reads: bool = True

    def take(self, data: bytes, now: float) -> None:
        if data:
            self.line.receive_bytes(data, now)
        while (event := self.line.next_event()) is not None:
            self.events.append(event)
            if self.reads and isinstance(event, Message):
                self.line.consumed(event.channel, len(event.data))

    def of(self, kind: type) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    def messages(self, channel: int) -> list[bytes]:
        return [e.data for e in self.events if isinstance(e, Message) and e.channel == channel]

    def opened(self) -> list[int]:
        return [event.channel for event in self.events if isinstance(event, Opened)]

    def closed(self) -> list[tuple[int, str]]:
        return [(e.channel, e.reason) for e in self.events if isinstance(e, Closed)]

    def resumed(self) -> list[bool]:
        return [event.resumed for event in self.events if isinstance(event, Connected)]


class Pair:
    """`left` is the initiator."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.now = 0.0
        self.left = End(self._line(True, limits or Limits()))
        self.right = End(self._line(False, limits or Limits()))

    def _line(self, initiator: bool, limits: Limits) -> Line:
        name = "left 1" if initiator else "right 1"
        return Line(LINE_ID, initiator=initiator, software=name, now=0.0, limits=limits)

    def attach(self) -> None:
        self.left.line.attach(self.now)
        self.right.line.attach(self.now)

    def detach(self) -> None:
        self.left.line.detach(self.now)
        self.right.line.detach(self.now)

    def carry(self, source: End, target: End, limit: int = 1 << 30) -> int:
        """Carry what goes from one end to the other, up to `limit` bytes; return how many."""
        data = source.line.bytes_to_send(self.now)
        target.take(data[:limit], self.now)
        return len(data)

    def exchange(self, step: Callable[[], None] | None = None) -> tuple[int, int]:
        """Carry both ways until nothing moves; return the bytes carried each way."""
        there = back = 0
        while True:
            a = self.carry(self.left, self.right)
            b = self.carry(self.right, self.left)
            there, back = there + a, back + b
            if step is not None:
                step()
            if not a and not b and not self._wait_for_acks():
                return there, back

    def exchange_until_cut(self, there: int, back: int, piece: int = 1 << 30) -> None:
        """Carry `there` bytes to the right and `back` to the left; past either, all is lost."""
        while True:
            a = self._carry_piece(self.left, self.right, there, piece)
            b = self._carry_piece(self.right, self.left, back, piece)
            there, back = there - a, back - b
            if there < 0 or back < 0 or not (a or b or self._wait_for_acks()):
                self.detach()
                return

    def _wait_for_acks(self) -> bool:
        """Let the time pass until an end acknowledges what it has; False if all is."""
        due = [at for end in (self.left, self.right) if (at := end.line.acks_at()) is not None]
        self.now = max(self.now, min(due, default=self.now))
        return bool(due)

    def _carry_piece(self, source: End, target: End, budget: int, piece: int) -> int:
        data = source.line.bytes_to_send(self.now, min(piece, 65536))
        within = data[: max(budget, 0)]
        for start in range(0, len(within), piece):
            target.take(within[start : start + piece], self.now)
        return len(data)


def connected(limits: Limits | None = None) -> Pair:
    pair = Pair(limits)
    pair.attach()
    pair.exchange()
    return pair


def open_both(pair: Pair, priority: Priority = Priority.SYNC) -> int:
    """Open a channel from the left and let the right see it."""
    channel = pair.left.line.open_channel(b"", priority)
    pair.exchange()
    return channel
