"""Which frame goes next: strict priority between classes, round robin among a class's channels.

What must not wait behind anyone's content (OPEN, CREDIT, the answer to a CLOSE) goes before all
of it. That also keeps OPENs in the order of their numbers, and behind the CLOSEs that made room.
"""

from __future__ import annotations

from collections import deque

from towline.core.wire.channel import Outgoing
from towline.core.wire.frames import Priority, encode_credit


class Outbox:
    def __init__(self) -> None:
        self._first: deque[bytes] = deque()
        self._grants: dict[int, int] = {}
        self._ready: tuple[deque[Outgoing], ...] = tuple(deque[Outgoing]() for _ in Priority)

    @property
    def first_count(self) -> int:
        """How many frames wait before all content."""
        return len(self._first)

    def put_first(self, frame: bytes) -> None:
        self._first.append(frame)

    def put_grant(self, channel: int, size: int) -> None:
        """Grant credit; grants that have not gone yet add up to one."""
        self._grants[channel] = self._grants.get(channel, 0) + size

    def put_channel(self, outgoing: Outgoing) -> None:
        """The channel has frames to send, which it had not before."""
        self._ready[outgoing.priority].append(outgoing)

    def drop_channel(self, outgoing: Outgoing) -> None:
        """Nothing of this channel goes any more."""
        self._grants.pop(outgoing.channel, None)
        if outgoing in (ready := self._ready[outgoing.priority]):
            ready.remove(outgoing)

    def take_frame(self, payload_max: int, *, bulk_too: bool) -> tuple[bytes, Priority] | None:
        """Return the next frame and its priority; None if there is nothing that may go."""
        if self._first:
            return self._first.popleft(), Priority.CONTROL
        if self._grants:
            channel = next(iter(self._grants))
            return encode_credit(channel, self._grants.pop(channel)), Priority.CONTROL
        for ready in self._ready if bulk_too else self._ready[: Priority.BULK]:
            if ready:
                outgoing = ready.popleft()
                frame = outgoing.take_frame(payload_max)
                if outgoing.is_waiting:
                    ready.append(outgoing)
                return frame, outgoing.priority
        return None

    def queued(self, priority: Priority) -> int:
        """Bytes of messages that wait at this priority."""
        return sum(outgoing.size for outgoing in self._ready[priority])
