"""A link under virtual time: rate, delay and an unbounded queue in front of it, as ssh and TCP are.

A sender with endless bulk and now and then a small save is driven over it, event by event.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field

from towline.core.wire.events import Message
from towline.core.wire.frames import Priority

from .pair import Pair, connected, open_both

BLOCK = bytes(64 << 10)


@dataclass
class Outcome:
    delivered: list[tuple[float, int]] = field(default_factory=list)  # When, bytes of bulk.
    queued_s: list[tuple[float, float]] = field(default_factory=list)  # When, delay of the queue.
    saves_s: list[float] = field(default_factory=list)  # From send to arrival.

    def rate(self, since: float, until: float) -> float:
        """Bytes per second of bulk that arrived."""
        return sum(size for at, size in self.delivered if since <= at < until) / (until - since)

    def queued_below(self, limit_s: float, since: float) -> float:
        """Return the part of the samples in which the queue delayed by less than `limit_s`."""
        samples = [delay for at, delay in self.queued_s if at >= since]
        return sum(delay < limit_s for delay in samples) / len(samples)


class Link:
    """Carries from left to right at `rate` (bytes per second); back there is only the delay."""

    def __init__(self, rate: float, delay_s: float, beside: Priority = Priority.SYNC) -> None:
        self.rate = rate
        self.delay_s = delay_s
        self.pair: Pair = connected()
        self.bulk = open_both(self.pair, Priority.BULK)
        self.sync = open_both(self.pair, beside)
        self.outcome = Outcome()
        self.free_at = 0.0  # When the queue would be empty.
        self._pending: list[tuple[float, int, str, bytes]] = []
        self._serial = itertools.count()
        self._save_sent_at = 0.0
        # A fresh transport, so that what is learnt of the delay is this link's.
        self.pair.detach()
        self.pair.attach()

    def run(self, until: float, save_every_s: float = 0.25) -> Outcome:
        self._push(0.0, "tick", b"")
        while self._pending and self._pending[0][0] < until:
            at, _, what, data = heapq.heappop(self._pending)
            self.pair.now = at
            if what == "tick":
                self._tick(save_every_s)
            else:
                self._step(what, data)
            self._pump()
        return self.outcome

    def _tick(self, save_every_s: float) -> None:
        at = self.pair.now
        self.outcome.queued_s.append((at, max(0.0, self.free_at - at)))
        self._push(at + 0.005, "tick", b"")
        if at - self._save_sent_at >= save_every_s:
            self._save_sent_at = at
            self.pair.left.line.send(self.sync, b"save")

    def _step(self, what: str, data: bytes) -> None:
        if what == "arrives":
            self._arrive(data)
        else:
            self.pair.left.take(data, self.pair.now)
            self.pair.left.events.clear()

    def _push(self, at: float, what: str, data: bytes) -> None:
        heapq.heappush(self._pending, (at, next(self._serial), what, data))

    def _carry(self, at: float, what: str, data: bytes) -> None:
        """`at` is when it has left the sender."""
        self._push(at + self.delay_s / 2, what, data)

    def _arrive(self, data: bytes) -> None:
        right = self.pair.right
        right.take(data, self.pair.now)
        for event in right.events:
            if isinstance(event, Message) and event.channel == self.bulk:
                self.outcome.delivered.append((self.pair.now, len(event.data)))
            elif isinstance(event, Message):
                self.outcome.saves_s.append(self.pair.now - self._save_sent_at)
        right.events.clear()

    def _pump(self) -> None:
        left, right, now = self.pair.left.line, self.pair.right.line, self.pair.now
        while left.sendable(self.bulk) > 0:
            left.send(self.bulk, BLOCK)
        while data := left.bytes_to_send(now, limit=16 << 10):
            self.free_at = max(self.free_at, now) + len(data) / self.rate
            self._carry(self.free_at, "arrives", data)
        while data := right.bytes_to_send(now):
            self._carry(now, "returns", data)


class Busy(Link):
    """A link that others keep full, so that a queue of theirs stands, until they have done."""

    def __init__(self, rate: float, delay_s: float, *, queue_s: float, until: float) -> None:
        super().__init__(rate, delay_s)
        self._queue_s = queue_s
        self._until = until

    def _tick(self, save_every_s: float) -> None:
        if 2.0 < self.pair.now < self._until:  # Ours came first, and knows the way without them.
            self.free_at = max(self.free_at, self.pair.now + self._queue_s)
        super()._tick(save_every_s)
