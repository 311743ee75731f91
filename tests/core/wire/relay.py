"""A link with a relay half way that keeps small packets back (Nagle), under virtual time.

As Linux does it: a packet that is not full waits while another such packet is unacknowledged, and
an odd one is acknowledged late. TCP's own window, losses and ssh's framing are not in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .link import Link

FULL = 1448  # Bytes of a full packet.
DELAYED_ACK_S = 0.040


@dataclass
class Hop:
    """One way of one connection, which the relay sends on."""

    waiting: bytearray = field(default_factory=bytearray)
    small_until: float = 0.0  # When the last packet that was not full is acknowledged.

    def take(self, data: bytes, now: float) -> None:
        self.waiting += data

    def give(self, now: float, rtt_s: float) -> bytes:
        """Return what may go now."""
        full = len(self.waiting) // FULL * FULL
        size = full if now < self.small_until else len(self.waiting)
        if size > full:
            late = DELAYED_ACK_S if size < 2 * FULL else 0.0
            self.small_until = now + rtt_s + late
        given = bytes(self.waiting[:size])
        del self.waiting[:size]
        return given


class RelayedLink(Link):
    """Half of the delay lies before the relay, half behind it, both ways."""

    def __init__(self, rate: float, delay_s: float) -> None:
        super().__init__(rate, delay_s)
        self._hops = {"arrives": Hop(), "returns": Hop()}

    def _carry(self, at: float, what: str, data: bytes) -> None:
        """`at` is when it has left the sender."""
        self._push(at + self.delay_s / 4, f"relay {what}", data)

    def _step(self, what: str, data: bytes) -> None:
        if not what.startswith("relay "):
            super()._step(what, data)
            return
        what = what.removeprefix("relay ")
        hop, now = self._hops[what], self.pair.now
        hop.take(data, now)
        if given := hop.give(now, self.delay_s / 2):
            self._push(now + self.delay_s / 4, what, given)
        if hop.waiting and hop.small_until > now:
            self._push(hop.small_until, f"relay {what}", b"")
