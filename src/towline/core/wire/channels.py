"""The channels of one end, by number: which are open, and which ever were.

Numbers only rise, so that all ever opened are known by two of them. Credit and content are the
channels' own affair.
"""

from __future__ import annotations

from dataclasses import dataclass

from towline.core.wire.channel import Incoming, Outgoing
from towline.core.wire.frames import Frame, Kind, Priority, ProtocolError
from towline.core.wire.limits import Limits


class TooManyChannelsError(Exception):
    """As many channels of this end are open as may be."""


@dataclass(slots=True)
class Channel:
    outgoing: Outgoing
    incoming: Incoming | None  # None once closed by this end: what comes is dropped.


class Channels:
    """`initiator` opens the odd numbers, the other end the even ones."""

    def __init__(self, limits: Limits, *, initiator: bool) -> None:
        self._limits = limits
        self._open: dict[int, Channel] = {}
        self._next_own = 1 if initiator else 2
        self._next_peer = 2 if initiator else 1

    def add_own(self, priority: Priority) -> int:
        """Return the number of a new channel. Raises `TooManyChannelsError`."""
        number = self._next_own
        if self._is_full(number):
            raise TooManyChannelsError(f"{self._limits.channels_max} channels are open")
        self._next_own += 2
        self._add(number, priority)
        return number

    def add_peers(self, number: int, priority: Priority) -> None:
        """Add the channel that the peer has opened. Raises `ProtocolError`."""
        if number != self._next_peer:
            raise ProtocolError(
                f"the other side opened channel {number}, when {self._next_peer} was next"
            )
        if self._is_full(number):
            raise ProtocolError(
                f"the other side opened more than {self._limits.channels_max} channels"
            )
        self._next_peer += 2
        self._add(number, priority)

    def get(self, number: int) -> Channel | None:
        """Return a channel, None if it is closed. Raises `ValueError` if it never was open."""
        channel = self._open.get(number)
        if channel is None and not self._was_opened(number):
            raise ValueError(f"channel {number} was never opened")
        return channel

    def of_frame(self, frame: Frame) -> Channel | None:
        """Return the frame's channel, None if it is closed.

        Raises `ProtocolError` if it never was open.
        """
        channel = self._open.get(frame.channel)
        if channel is None and not self._was_opened(frame.channel):
            name = Kind(frame.kind).name
            raise ProtocolError(
                f"the other side sent {name} on channel {frame.channel}, which was never opened"
            )
        return channel

    def remove(self, number: int) -> None:
        del self._open[number]

    def _add(self, number: int, priority: Priority) -> None:
        limits = self._limits
        self._open[number] = Channel(Outgoing(number, priority, limits), Incoming(priority, limits))

    def _is_full(self, like: int) -> bool:
        """Whether no more channels may be open of those that the opener of `like` opens."""
        count = sum(number % 2 == like % 2 for number in self._open)
        return count >= self._limits.channels_max

    def _was_opened(self, number: int) -> bool:
        is_own = number % 2 == self._next_own % 2
        return 0 < number < (self._next_own if is_own else self._next_peer)
